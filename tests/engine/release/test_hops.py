"""Each step of a trace is ok where two things were compared, wrong where they differ, and otherwise
not checked, with the reason: a small project in Git and DVC, whose stages did nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from engine.traced import (
    EXPORTED,
    MODEL,
    QUERY,
    SNAPSHOT,
    SOURCES,
    Shipped,
    Traced,
    provenance,
    sha256,
)

from mlops import paths
from mlops.errors import CheckError, InputError
from mlops.git.revision import Revision, git
from mlops.release import artefact
from mlops.release.evidence import (
    Evidence,
    Images,
    evidence_path,
)
from mlops.release.lineage import committed, md5
from mlops.release.trace import trace


def test_a_true_release_is_ok_to_the_last_byte(traced: Traced) -> None:
    hops = traced.hops()
    assert {hop.state for hop in hops.values()} == {"ok"}
    assert hops[f"{paths.ONNX}"].value == sha256(MODEL)
    assert hops[f"{paths.SNAPSHOT}"].value == sha256(SNAPSHOT)
    for name, text in EXPORTED.items():
        assert hops[f"{paths.EXPORT / 'c' / name}"].value == sha256(text)
        assert hops[f"exports.c.files.{name}"].value == sha256(text)
    for name, text in SOURCES.items():
        assert hops[f"source {name}"].value == sha256(text)
    assert {"source data/kept.csv (md5)", "data/large.csv.dvc (md5)", "data/parts.dvc (md5)"} < {
        *hops
    }


def test_what_cannot_be_had_is_not_checked_and_says_why(traced: Traced) -> None:
    traced.stored.forget(remote=True)
    shutil.rmtree(traced.stored.folder.parent / "cache")
    for name in ("data/large.csv", "data/raw/snapshot.parquet"):
        Path(name).unlink()
    shutil.rmtree("data/parts")
    others = traced.others()
    assert {hop.state for hop in others.values()} == {"not checked"}
    assert others.keys() == {
        *(f"{paths.ONNX}", f"{paths.SNAPSHOT}"),
        *(f"{paths.EXPORT / 'c' / name}" for name in EXPORTED),
        *("source data/large.csv", "source data/parts/one.csv"),
    }
    for hop in others.values():
        assert hop.why is not None
        assert "neither in DVC's cache nor on the remote" in hop.why


def test_sources_of_which_git_has_less(traced: Traced) -> None:
    origins = [
        {"name": "https://example.com/flights.csv", "sha256": "1" * 64},
        {"name": "query.sql on sqlite:///flights.db", "sha256": sha256(QUERY)},
        {"name": "/elsewhere/flights.csv", "sha256": "1" * 64},
        {"name": "data/gone.csv", "sha256": "1" * 64},
    ]
    paths.PROVENANCE.write_text(json.dumps(provenance() | {"origins": origins}))
    traced.made()
    traced.release()
    hops = traced.hops()
    assert {
        what: hop.state for what, hop in hops.items() if "source" in what or "query" in what
    } == {
        "source https://example.com/flights.csv": "not checked",
        "source query.sql on sqlite:///flights.db": "not checked",
        "text of query.sql": "ok",
        "source /elsewhere/flights.csv": "not checked",
        "source data/gone.csv": "not checked",
    }
    assert all(hop.why for hop in hops.values() if hop.state == "not checked")


def _invented(content: dict[str, Any]) -> None:
    content["snapshot_sha256"] = "1" * 64


def _other_source(name: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        (origin,) = (each for each in content["origins"] if each["name"] == name)
        origin["sha256"] = "1" * 64

    return change


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (_invented, {f"{paths.SNAPSHOT}"}),
        *((_other_source(name), {f"source {name}"}) for name in SOURCES),
        (lambda content: content.update(origins=[]), {"source"}),
        (lambda content: content.pop("origins"), {"source", f"{paths.SNAPSHOT}"}),
    ],
)
def test_provenance_that_invents_is_wrong(
    traced: Traced, change: Callable[[dict[str, Any]], object], wrong: set[str]
) -> None:
    """Its lock fits, and the evidence says the same: only the bytes tell."""
    content = provenance()
    change(content)
    paths.PROVENANCE.write_text(json.dumps(content))
    traced.made()
    traced.release()
    others = traced.others()
    assert others.keys() == wrong
    assert {hop.state for hop in others.values()} == {"wrong"}


def test_an_empty_provenance_is_wrong(traced: Traced) -> None:
    paths.PROVENANCE.write_text("{}")
    traced.made()
    traced.release()
    others = traced.others()
    assert others.keys() == {"snapshot_sha256", f"{paths.SNAPSHOT}", "source"}
    assert {hop.state for hop in others.values()} == {"wrong"}


def test_a_model_is_one_file_with_both_hashes(traced: Traced) -> None:
    """An SHA-256 of another file, which servers would be asked for."""
    Path(evidence_path(traced.id)).unlink()
    content = Evidence.model_validate_json(
        traced.git("show", f"HEAD:{evidence_path(traced.id).as_posix()}")
    )
    forged = content.model.model_copy(update={"sha256": "2" * 64})
    traced.write(content.model_copy(update={"model": forged}))
    others = traced.others()
    assert others.keys() == {"release", f"{paths.ONNX}"}
    assert others[f"{paths.ONNX}"].why == (
        f"the evidence says so, the file with the MD5 {md5(MODEL.encode())} {sha256(MODEL)}"
    )


@pytest.mark.parametrize(
    ("stage", "out", "wrong"),
    [
        (None, None, {"dvc_lock_sha256", "model.md5", f"{paths.ONNX}", f"{paths.SNAPSHOT}"}),
        ("train", f"{paths.ONNX}", {"model.md5", f"{paths.ONNX}"}),
        ("ingest", f"{paths.SNAPSHOT}", {f"{paths.SNAPSHOT}"}),
        (
            "export",
            f"{paths.EXPORT_REPORTS / 'c.json'}",
            {f"{paths.EXPORT_REPORTS / 'c.json'} (md5)"},
        ),
        ("evaluate", f"{paths.METRICS}", {f"{paths.METRICS} (md5)"}),
    ],
)
def test_a_lock_that_lacks_something_is_wrong(
    traced: Traced, stage: str | None, out: str | None, wrong: set[str]
) -> None:
    content = traced.stored.load("dvc.lock")
    if stage is None:
        Path("dvc.lock").unlink()
    else:
        outs = content["stages"][stage]["outs"]
        content["stages"][stage]["outs"] = [each for each in outs if each["path"] != out]
        traced.stored.write("dvc.lock", content)
    traced.stored.commit()
    traced.release()
    others = traced.others()
    assert wrong <= others.keys()
    assert {others[what].state for what in wrong} == {"wrong"}


def test_a_report_that_is_nowhere_is_wrong(traced: Traced) -> None:
    """Neither the commit nor its lock has it: nothing and nothing do not fit."""
    content = traced.stored.load("dvc.lock")
    outs = content["stages"]["evaluate"]["outs"]
    content["stages"]["evaluate"]["outs"] = [
        each for each in outs if each["path"] != str(paths.METRICS)
    ]
    traced.stored.write("dvc.lock", content)
    paths.METRICS.unlink()
    traced.stored.commit()
    traced.release()
    assert traced.others()[f"{paths.METRICS} (md5)"].state == "wrong"


def test_a_commit_may_be_of_a_year_that_python_knows_not(traced: Traced) -> None:
    tree = traced.git("rev-parse", "HEAD^{tree}")
    commit = git("commit-tree", tree, "-m", "x", env={"GIT_COMMITTER_DATE": "@253402300900 +0000"})
    assert committed(commit).year == 9999


def test_a_source_of_dvc_that_is_not_what_was_read_is_wrong(traced: Traced) -> None:
    """The .dvc file was changed after the pipeline ran."""
    Path("data/large.csv").write_text("something else\n")
    with Repo() as repo:
        repo.add(["data/large.csv"])
        repo.push()
    traced.stored.commit()
    traced.release()
    others = traced.others()
    assert others.keys() == {"source data/large.csv", "data/large.csv.dvc (md5)"}
    assert {hop.state for hop in others.values()} == {"wrong"}


def test_a_file_that_dvc_keeps_in_the_place_of_another_is_wrong(traced: Traced) -> None:
    known = Revision(traced.git("rev-parse", "HEAD")).outputs[paths.ONNX].md5
    for kept in traced.stored.folder.parent.glob(f"*/files/md5/{known[:2]}/{known[2:]}"):
        kept.chmod(0o644)
        kept.write_text("another model\n")
    shutil.rmtree("models")
    hop = traced.hops()[f"{paths.ONNX}"]
    assert hop.state == "wrong", hop
    assert hop.why is not None
    assert f"in the place of {known}" in hop.why


def test_evidence_replaced_on_the_other_side_of_a_merge_is_wrong(traced: Traced) -> None:
    """Git's history of the file has one commit, for it follows the side whose file was kept."""
    path = evidence_path(traced.id)
    written = traced.git("rev-parse", "HEAD")
    traced.git("checkout", "--quiet", "-b", "side", f"{written}~1")
    text = traced.git("show", f"{written}:{path.as_posix()}").replace("0.7", "0.9")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n")
    side = traced.stored.commit()
    traced.git("checkout", "--quiet", "-B", "main", written)
    traced.git("merge", "--quiet", "--no-edit", "-X", "theirs", side)
    assert "0.9" in path.read_text()
    assert len(traced.git("log", "--format=%h", "--", path.as_posix()).split()) == 1
    hop = traced.others()["release"]
    assert hop.state == "wrong"
    assert hop.why is not None
    assert "was changed after it was written" in hop.why


def test_evidence_that_came_by_a_merge_is_as_it_was_written(traced: Traced) -> None:
    written = traced.git("rev-parse", "HEAD")
    traced.git("checkout", "--quiet", "-B", "main", f"{written}~1")
    Path("note").write_text("x")
    traced.stored.commit()
    traced.git("merge", "--quiet", "--no-ff", "--no-edit", written)
    assert traced.others() == {}


def test_a_history_that_is_cut_off_is_not_checked(
    traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "shallow"
    origin = f"file://{traced.stored.folder}"
    traced.git("clone", "--quiet", "--depth=1", origin, str(clone))
    monkeypatch.chdir(clone)
    others = {hop.what: hop for hop in trace(traced.id, Revision(traced.git("rev-parse", "HEAD")))}
    assert {what: hop.state for what, hop in others.items()} == {
        "release": "not checked",
        "commit": "not checked",
    }
    assert all("git fetch --unshallow" in (hop.why or "") for hop in others.values())


IMAGE = f"registry.example.com/team/traced/serving@sha256:{'5' * 64}"


def _with_image(traced: Traced, image: str) -> None:
    registry = IMAGE.rpartition("/")[0]
    Path("pyproject.toml").write_text(
        f'[project]\nname = "traced"\n\n[tool.mlops]\nregistry = "{registry}"\n'
    )
    traced.stored.commit()
    traced.release(images=Images(serving=image, training=""))


@pytest.mark.parametrize(
    ("image", "state", "told"),
    [
        (IMAGE.replace("team", "else"), "wrong", "says registry.example.com/team/traced/serving"),
        (IMAGE, "not checked", "its registry was not asked: "),
    ],
)
def test_an_image_that_nobody_asks_for_is_not_ok(
    traced: Traced, monkeypatch: pytest.MonkeyPatch, image: str, state: str, told: str
) -> None:
    def away(*_: str) -> str:
        raise CheckError("docker: connection refused")

    monkeypatch.setattr("mlops.release.trace.docker", away)
    _with_image(traced, image)
    hop = traced.others()["serving image"]
    assert hop.state == state
    assert hop.why is not None
    assert told in hop.why


def test_an_image_is_held_against_its_commit_and_its_model(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is a stand-in here: tests/images asks a real one."""
    _with_image(traced, IMAGE)
    commit = traced.git("rev-parse", "HEAD~1")
    labels = {
        "org.opencontainers.image.revision": commit,
        "mlops.model.sha256": sha256(MODEL),
    }
    for changed, wrong in (
        ({}, set()),
        ({"org.opencontainers.image.revision": "e" * 40}, {"org.opencontainers.image.revision"}),
        ({"mlops.model.sha256": "e" * 64}, {"mlops.model.sha256"}),
    ):
        told = json.dumps({"config": {"Labels": labels | changed}})
        monkeypatch.setattr("mlops.release.trace.docker", lambda *_, told=told: told)
        others = traced.others()
        assert others.keys() == {f"serving image, {label}" for label in wrong}
        assert {hop.state for hop in others.values()} <= {"wrong"}
    # An index has an image for each platform, and each is looked at.
    both = {
        "linux/amd64": {"config": {"Labels": labels}},
        "linux/arm64": {"config": {"Labels": labels | {"mlops.model.sha256": "e" * 64}}},
    }
    monkeypatch.setattr("mlops.release.trace.docker", lambda *_: json.dumps(both))
    (wrong_one,) = traced.others().items()
    assert (wrong_one[0], wrong_one[1].state) == (
        "serving image linux/arm64, mlops.model.sha256",
        "wrong",
    )
    for nothing in ('{"config": {}}', "{}"):
        monkeypatch.setattr("mlops.release.trace.docker", lambda *_, told=nothing: told)
        assert traced.others()["serving image"].state == "not checked"


def test_an_export_is_what_the_report_of_its_commit_says(traced: Traced) -> None:
    """Its lock fits the report, and the evidence says the same: only the bytes tell."""
    told = {name: {"sha256": "1" * 64} for name in EXPORTED}
    (paths.EXPORT_REPORTS / "c.json").write_text(json.dumps({"files": told}))
    traced.made()
    traced.release()
    others = traced.others()
    assert others.keys() == {f"{paths.EXPORT / 'c' / name}" for name in EXPORTED}
    assert {hop.state for hop in others.values()} == {"wrong"}


def test_evidence_has_every_export_and_no_other(traced: Traced) -> None:
    found = Evidence.model_validate_json(evidence_path(traced.id).read_text())
    traced.write(found.model_copy(update={"exports": {}}))
    others = traced.others()
    assert "exports.c.md5" in others
    assert others["exports.c.files.model.c"].why == (
        f"it says nothing, dvc.lock with reports/export of {found.git_sha[:7]} says "
        f"{sha256(EXPORTED['model.c'])}"
    )
    assert {hop.state for hop in others.values()} == {"wrong"}


def test_a_target_that_is_no_longer_asked_for_is_not_released(traced: Traced) -> None:
    """DVC's lock keeps what a stage of before made."""
    Path("params.yaml").write_text("export: {targets: {}}\n")
    traced.stored.commit()
    traced.release()
    assert json.loads(evidence_path(traced.id).read_text())["exports"] == {}
    assert traced.others() == {}


def test_the_exported_model_of_an_environment_is_fetched(shipped: Shipped, tmp_path: Path) -> None:
    """From the remote alone, twice into the same folder, and whatever is checked out now."""
    shutil.rmtree(shipped.traced.stored.folder.parent / "cache")
    shutil.rmtree("models")
    out = tmp_path / "device" / "c"
    for _ in range(2):
        assert shipped.fetch(out) == [out / name for name in EXPORTED]
        assert {path.name: path.read_text() for path in out.iterdir()} == EXPORTED


def test_what_cannot_be_fetched_is_one_line_and_writes_nothing(
    shipped: Shipped, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"^dev runs \S+, which was exported to c, not to tflite"):
        shipped.fetch(out, target="tflite")
    with pytest.raises(InputError, match=r"^prod has no release yet"):
        shipped.fetch(out, "prod")
    with pytest.raises(InputError, match=r"^there is no environment nowhere"):
        shipped.fetch(out, "nowhere")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out: has mine\.txt in it, which would be lost"):
        shipped.fetch(out)
    with pytest.raises(InputError, match=r"mine\.txt: is a file; give a folder"):
        shipped.fetch(out / "mine.txt")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_no_remote_is_one_line_and_writes_nothing(shipped: Shipped, tmp_path: Path) -> None:
    shipped.traced.stored.forget(remote=True)
    shutil.rmtree(shipped.traced.stored.folder.parent / "cache")
    line = r"^models/export/c/model\.c .* nor on the remote"
    with pytest.raises(InputError, match=line) as told:
        shipped.fetch(tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_build_has_the_files_of_every_target(shipped: Shipped, tmp_path: Path) -> None:
    evidence = Evidence.model_validate_json(evidence_path(shipped.traced.id).read_text())
    artefact.collect(evidence, tmp_path / "exports")
    kept = {path.name: path.read_text() for path in (tmp_path / "exports/c").iterdir()}
    assert kept == EXPORTED
    artefact.collect(evidence.model_copy(update={"exports": {}}), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    export = evidence.exports["c"].model_copy(update={"files": {"model.c": "1" * 64}})
    with pytest.raises(CheckError, match="is not the file that"):
        artefact.collect(
            evidence.model_copy(update={"exports": {"c": export}}), tmp_path / "another"
        )


def test_another_file_than_the_evidence_names_is_not_written(
    shipped: Shipped, tmp_path: Path
) -> None:
    """The first file is right: what was there stays all the same."""
    out = tmp_path / "out"
    shipped.fetch(out)
    content = json.loads(evidence_path(shipped.traced.id).read_text())
    content["exports"]["c"]["files"]["model.h"] = "1" * 64
    evidence_path(shipped.traced.id).write_text(json.dumps(content))
    shipped.traced.stored.commit()
    (out / "model.c").write_text("of before")
    with pytest.raises(CheckError, match=r"^models/export/c/model\.h of \S+ is not the file that"):
        shipped.fetch(out)
    assert (out / "model.c").read_text() == "of before"
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
