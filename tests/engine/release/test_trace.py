"""A release of the project's own pipeline, and the way back from it to the data, hop by hop."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from engine.released import Released
from engine.workspace import SAMPLE

pytestmark = pytest.mark.slow


def test_trace_ends_at_the_data(released: Released) -> None:
    told = released.mlops("trace", "dev").stdout
    assert "wrong" not in told
    # Nothing runs: nobody could be asked.
    (server,) = (line for line in told.splitlines() if not line.startswith("ok  "))
    assert server.startswith("not checked  server: http://127.0.0.1:")
    released.mlops("trace", "dev", "--strict", code=3)
    of_sample = hashlib.sha256((released.project.folder / SAMPLE).read_bytes()).hexdigest()
    assert told.splitlines()[-1] == f"ok  source {SAMPLE}: {of_sample}"
    evidence = json.loads(released.evidence.read_text())
    assert f"ok  models/model.onnx: {evidence['model']['sha256']}" in told
    assert released.mlops("trace", evidence["id"], "--strict").stdout in told
    hops = json.loads(released.mlops("trace", "dev", "--json").stdout)
    assert [f"{each['state']}  {each['what']}: {each['value']}" for each in hops] == [
        line.partition(": none is reached")[0] for line in told.splitlines()
    ]


def test_the_evidence_sheet_has_every_hop(released: Released) -> None:
    hops = json.loads(released.mlops("trace", "dev", "--json").stdout)
    page = released.mlops("trace", "dev", "--html").stdout
    text = released.mlops("trace", "dev", "--md").stdout
    assert page.count("<li>") == len(hops)
    assert len(re.findall(r"^\| (?:ok|not checked) \|", text, re.MULTILINE)) == len(hops)
    landed = {each["what"]: each["landed"] for each in hops if each["landed"]}
    assert landed.keys() == {"environment", "release", "commit"}
    evidence = json.loads(released.evidence.read_text())
    assert landed["commit"]["commit"] == evidence["git_sha"]
    for each in landed.values():
        assert each["commit"][:12] in page
        assert each["commit"][:12] in text
    released.mlops("trace", "dev", "--html", "--strict", code=3)
    assert "give one of them" in released.mlops("trace", "dev", "--html", "--md", code=2).stderr


def test_an_audit_of_today_goes_from_who_approved_it_to_the_data(released: Released) -> None:
    seconds = int(released.git("log", "-1", "--format=%ct"))
    today = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    found = json.loads(released.mlops("audit", "dev", "--at", today, "--json").stdout)
    (answering,) = found["answering"]
    assert answering["release"] == released.evidence.stem
    evidence = json.loads(released.evidence.read_text())
    assert {each["what"] for each in answering["measured"]} == evidence["metrics"].keys()
    unchecked = {"approved", "alarms"}  # nobody signs here, and nothing was monitored or logged
    for part in ("came", "measured", "incidents", "lineage"):
        for each in answering[part]:
            expected = "not checked" if each["what"] in unchecked else "ok"
            assert each["state"] == expected, each
    assert answering["lineage"][-1]["what"] == f"source {SAMPLE}"
    done = released.mlops("audit", "dev", "--at", today, "--md", "--strict", code=3)
    assert f"## {released.evidence.stem}" in done.stdout
    assert "0 wrong and 3 not checked" in done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda each: each.update(snapshot_sha256="1" * 64), "wrong  snapshot_sha256: 1111"),
        (lambda each: each["model"].update(md5="1" * 32), "wrong  environment: "),
        (lambda each: each.update(dvc_lock_sha256="1" * 64), "wrong  dvc_lock_sha256: 1111"),
        (
            lambda each: each["model"].update(judged_md5="1" * 32),
            "wrong  model.judged_md5: 1111",
        ),
    ],
)
def test_evidence_that_was_tampered_with_is_found(
    released: Released, change: Callable[[dict[str, object]], None], told: str
) -> None:
    evidence = json.loads(released.evidence.read_text())
    change(evidence)
    released.evidence.write_text(json.dumps(evidence))
    released.commit()
    done = released.mlops("trace", "dev", code=3)
    assert told in done.stdout
    assert "wrong and 1 not checked" in done.stderr
    hops = json.loads(released.mlops("trace", "dev", "--json", code=3).stdout)
    assert sum(each["state"] == "wrong" for each in hops) == done.stdout.count("wrong  ")


def test_a_release_is_of_what_is_committed(released: Released) -> None:
    params = released.project.folder / "params.yaml"
    params.write_text(params.read_text() + "# changed\n")
    done = released.mlops("release", code=2)
    assert "not committed" in done.stderr
    released.git("checkout", "--quiet", "params.yaml")
    (released.project.folder / "models/model.onnx").unlink()
    assert "Release " in released.mlops("release").stdout, "DVC has the model"


def test_a_commit_with_a_stale_lock_is_not_released(released: Released) -> None:
    """As committed: what lies in the workspace does not make it fit."""
    made = released.mlops("release", "--dry-run").stdout
    assert "Release " in made
    released.project.edit("params.yaml", lambda params: params["train"].update(seed=99))
    released.commit()
    done = released.mlops("release", code=2)
    assert "dvc.lock is stale: train (" in done.stderr
    evidence = json.loads(released.evidence.read_text())
    evidence["git_sha"] = released.git("rev-parse", "HEAD")
    file = released.project.folder.with_suffix(".json")
    file.write_text(json.dumps(evidence | {"id": "20300101-0000-abcdef0"}))
    done = released.mlops("release", "--evidence", str(file), code=2)
    assert "dvc.lock is stale: train (" in done.stderr


def test_releases_that_wait_side_by_side_have_versions_of_their_own(released: Released) -> None:
    def version(line: str) -> str:
        return line.rpartition("MODEL_VERSION=")[2].split()[0]

    first = version((released.project.folder / "environments/dev/release.env").read_text())
    waiting = released.mlops("release", "--dry-run").stdout
    (released.project.folder / "note.txt").write_text("one more")
    released.commit()
    later = released.mlops("release", "--dry-run").stdout
    assert len({first, version(waiting), version(later)}) == 3


def test_status_and_guard_say_where_it_is(released: Released) -> None:
    assert released.evidence.stem in released.mlops("status").stdout
    first, *_ = json.loads(released.mlops("status", "--json").stdout)
    assert first["environment"]["name"] == "dev"
    assert first["environment"]["release"]["id"] == released.evidence.stem
    assert first["age"] >= 0
    # The release, and then the settings of this copy.
    assert "by the rules" in released.mlops("guard", "--base", "HEAD~2").stdout
    released.mlops("promote", "staging", "--dry-run")
    assert "promote" not in released.git("branch")
    text = Path(released.project.folder / "environments/dev/release.env").read_text()
    staging = released.project.folder / "environments/staging/release.env"
    staging.write_text(text.replace("MODEL_MD5=", "MODEL_MD5=0")[:-2] + "\n")
    released.commit()
    done = released.mlops("guard", "--base", "HEAD~1", code=3)
    assert "copy the file, do not edit it" in done.stderr
