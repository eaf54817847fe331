"""An environment without images is served by a process; what is not as Git says is told."""

from collections.abc import Iterator

import pytest
from engine.released import Released


@pytest.fixture
def dev(released: Released) -> Iterator[Released]:
    """A repository whose dev is served."""
    released.mlops("apply", "dev")
    yield released
    released.mlops("stop", "dev")


def _drift(dev: Released) -> list[str]:
    lines = dev.mlops("status").stdout.splitlines()
    return [line for line in lines if "mlops apply" in line]


def test_what_git_says_answers(dev: Released) -> None:
    release, url = dev.evidence.stem, f"http://127.0.0.1:{dev.port}"
    assert f"release {release}" in dev.mlops("smoke", url).stdout
    assert f"ok  server: {release}" in dev.mlops("trace", "dev").stdout
    assert _drift(dev) == []
    # Once more changes nothing.
    assert dev.mlops("apply", "dev").stdout == f"serving: {release} at 127.0.0.1:{dev.port}\n"


def test_other_settings_are_told_and_applied(dev: Released) -> None:
    dev.settings("MLOPS_WORKERS=1", "MLOPS_MAX_ROWS=7")
    dev.commit()
    release = dev.evidence.stem
    assert _drift(dev) == [f"dev: runs {release} with other settings: mlops apply dev"]
    assert "with other settings" in dev.mlops("apply", "dev", "--dry-run").stdout
    assert f"stopped: {release}" in dev.mlops("apply", "dev").stdout
    assert _drift(dev) == []


def test_a_server_that_does_not_start_leaves_the_old_one(dev: Released) -> None:
    dev.settings("MLOPS_WORKERS=1", "MLOPS_LOG=nothing://here")
    dev.commit()
    done = dev.mlops("apply", "dev", code=3)
    assert done.stderr.startswith("error: dev: ")
    assert done.stderr.endswith(f"; {dev.evidence.stem} still serves\n")
    assert len(_drift(dev)) == 1
    dev.mlops("smoke", f"127.0.0.1:{dev.port}", "--release", dev.evidence.stem)


def test_stop_ends_it(dev: Released) -> None:
    assert dev.mlops("stop", "dev").stdout == "dev: stopped\n"
    assert dev.mlops("stop", "dev").stdout == "dev: nothing runs\n"
    dev.mlops("smoke", f"127.0.0.1:{dev.port}", code=3)


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [("prod", 2, "prod has no release yet"), ("qa", 2, "there is no environment qa")],
)
def test_nothing_to_apply_is_told(
    released: Released, environment: str, code: int, told: str
) -> None:
    assert told in released.mlops("apply", environment, code=code).stderr


def test_a_release_that_was_edited_is_not_applied(released: Released) -> None:
    file = released.project.folder / "environments/dev/release.env"
    file.write_text(file.read_text().replace("MODEL_MD5=", "MODEL_MD5=00")[:-3] + "\n")
    released.commit()
    assert "nothing is applied" in released.mlops("apply", "dev", code=3).stderr
