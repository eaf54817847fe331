"""The log in a volume on a Docker Engine: read, and given feedback, by way of a container."""

from __future__ import annotations

from deploy.site import Site
from monitoring.logged import ASKED, Logged, balanced


def test_log_in_a_volume(containers: Site) -> None:
    containers.project.set("params.yaml", compare__resamples=20, monitoring__minimum_effect=0.2)
    containers.settings("dev", MLOPS_LOG_SECONDS="0.5", MLOPS_LOG_ROWS="150")
    containers.project.commit()
    containers.mlops("apply", "dev")
    found = Logged(containers)
    found.ask(ASKED)
    for _ in range(100):
        found.monitor()
        if found.result["windows"][-1]["rows"] == ASKED:
            break
    # The new servers were tried, which is logged, too.
    examples = found.result["account"]["examples"]
    assert examples > 0
    assert balanced(found.result) == ASKED + examples
    labels = found.csv(containers.project.folder.with_suffix(".csv"), found.labels)
    for said in (f"{ASKED} labels", f"{ASKED} labels, known already"):
        done = containers.mlops("feedback", "import", "dev", str(labels))
        assert done.stdout.splitlines()[0].endswith(said)
    found.monitor()
    assert found.result["windows"][-1]["labelled"] == ASKED
    # It stays with the environment, whichever server writes the log next.
    containers.mlops("stop", "dev")
    containers.mlops("apply", "dev")
    found.monitor()
    assert found.result["feedback"]["labels"] == ASKED
