"""Forged evidence: each field in turn, wherever it is, is refused with its name and both values.

What Git alone cannot prove is listed in one place; nothing else passes. See mlops.release.lineage.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.released import REGISTRY, Repository, copy, locked

from mlops.errors import InputError
from mlops.files import flat
from mlops.git.revision import Revision
from mlops.release.evidence import Evidence, Images, evidence_path, load_evidence, read_evidence
from mlops.release.lineage import BELIEVED

IMAGES = Images(
    serving=f"{REGISTRY}/serving@sha256:{'5' * 64}",
    training=f"{REGISTRY}/training@sha256:{'6' * 64}",
)
# A value of the field's own kind: only what it says is not so.
FORGED: dict[str, Any] = {
    "id": "20300101-0001-abcdef0",
    "created": "2029-01-01T00:00:00Z",
    "git_sha": "d" * 40,
    "dvc_lock_sha256": "d" * 64,
    "snapshot_sha256": "d" * 64,
    "model.version": "made@v999.0.0",
    "model.md5": "d" * 32,
    "model.sha256": "d" * 64,
    "model.judged_md5": "d" * 32,
    "images.serving": f"{REGISTRY}/serving@sha256:{'d' * 64}",
    "images.training": f"{REGISTRY}/training@sha256:{'d' * 64}",
    "exports.c.md5": f"{'d' * 32}.dir",
    "exports.c.files.model.c": "d" * 64,
    "metrics.roc_auc": 0.99,
    "metrics.log_loss": 0.001,
    "verdict": "better",
    "champion": "20300101-0001-abcdef0",
    "run": "https://elsewhere.example.com/1",
}


@pytest.fixture
def evidence(repository: Repository) -> Evidence:
    """True evidence that has each field: there is a champion, and there are images."""
    repository.live("dev", "staging", "prod")
    return repository.evidence(
        metrics={"roc_auc": 0.7, "log_loss": 1},  # a whole number is one, too
        images=IMAGES,
        exports={"c": {"md5": f"{'7' * 32}.dir", "files": {"model.c": "8" * 64}}},
        verdict="same",
        run="https://ci.example.com/1",
    )


def _with(content: dict[str, Any], field: str, value: object) -> dict[str, Any]:
    """A copy in which one field has another value."""
    changed: dict[str, Any] = json.loads(json.dumps(content))
    *way, last = field.split(".", 3)  # a file's name has a dot, too
    place = changed
    for name in way:
        place = place[name]
    place[last] = value
    return changed


def _refused(repository: Repository, evidence: Evidence, text: str) -> list[str]:
    """What the guard says of evidence that is merged with the release it is for."""
    path = evidence_path(evidence.id)
    return repository.refused({str(path): text, **copy(evidence.release, "dev")})


def test_true_evidence_passes(repository: Repository, evidence: Evidence) -> None:
    assert repository.refused(repository.files(evidence, "dev")) == []


@pytest.mark.slow
def test_every_forgery_is_refused_with_the_field_and_both_values(
    repository: Repository, evidence: Evidence
) -> None:
    true = evidence.model_dump()
    assert flat(true).keys() == FORGED.keys(), "a field of evidence that no forgery tries"
    assert BELIEVED.keys() < FORGED.keys()
    passed = set()
    for field, value in flat(true).items():
        forged = Evidence.model_validate(_with(true, field, FORGED[field]))
        lines = repository.refused(repository.files(forged, "dev"))
        told = [line for line in lines if f": {field}: " in line]
        if not lines:
            passed.add(field)
            continue
        assert told, (field, lines)
        # Also where no environment gets it yet.
        assert told[0] in repository.refused(repository.files(forged)), field
        said, found = (
            repository.short(f"{each:g}" if isinstance(each, float) else str(each))
            for each in (FORGED[field], value)
        )
        assert f"it says {said}" in told[0]
        if field != "git_sha":  # there is no other: any commit may be released
            assert found in told[0].partition(f"it says {said}")[2], (field, told)
    assert passed == BELIEVED.keys()


@pytest.mark.parametrize("field", [*FORGED])
def test_a_field_that_is_missing_or_of_another_kind_is_refused(
    repository: Repository, evidence: Evidence, field: str
) -> None:
    """Also those that only a model or a registry can prove: they must look like what they are."""
    values: list[Any] = [[], {"x": 1}, True, -1.5]
    for value in values:
        forged = _with(evidence.model_dump(), field, value)
        if field.startswith("metrics.") and value == -1.5:
            continue
        (line, *_) = _refused(repository, evidence, json.dumps(forged))
        assert line.startswith(f"releases/r2.json: {field}"), line
    if not field.startswith("metrics.") and field not in ("verdict", "run"):
        forged = _with(evidence.model_dump(), field, "0" * 64)
        assert _refused(repository, evidence, json.dumps(forged)), field


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: text.replace("0.7", "NaN"), "not valid JSON: NaN is no finite number"),
        (lambda text: text.replace("0.7", "-Infinity"), "-Infinity is no finite number"),
        (lambda text: text.replace("0.7", "1e999"), "1e999 is no finite number"),
        (lambda text: text.replace("0.7", ".nan"), "not valid JSON"),
        (lambda text: text.replace("0.7", '".nan"'), "metrics.roc_auc: "),
        (lambda text: text.replace("0.7", "!!float 0.7"), "not valid JSON"),
        (lambda text: text.replace('{"', '{"verdict": "better", "', 1), "stands twice"),
        (lambda text: text.replace('{"', '{"approved": true, "', 1), "approved: unknown key"),
        (lambda text: text.replace("5" * 64, "0" * 64), "is a hash of zeros"),
        (lambda text: text.replace("2" * 64, "0" * 64), "is a hash of zeros"),
        (lambda text: text.replace("5" * 64, "5" * 63), "is not an image by its digest"),
        (lambda text: f"---\n{text}", "not valid JSON"),
        (lambda text: f"# as YAML has it\n{text}", "not valid JSON"),
        (lambda _: "null", "releases/r2.json: "),
        (lambda _: "", "not valid JSON"),
        (lambda text: f"\ufeff{text}", "not valid JSON"),
    ],
)
def test_evidence_is_strict_json_with_finite_numbers(
    repository: Repository, evidence: Evidence, edit: Callable[[str], str], told: str
) -> None:
    text = evidence.model_dump_json()
    forged = edit(text)
    assert forged != text
    (line, *_) = _refused(repository, evidence, forged)
    assert line.startswith("releases/r2.json: ")
    assert told in line


def test_evidence_that_is_no_utf_8_is_told(repository: Repository, evidence: Evidence) -> None:
    base = Revision(repository.head)
    path = evidence_path(evidence.id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(evidence.model_dump_json().encode().replace(b"ci.example", b"\xff\xfe"))
    head = Revision(repository.commit({}))
    assert head != base
    with pytest.raises(InputError, match="not UTF-8 text"):
        load_evidence(evidence.id, head)


def test_a_file_for_mlops_release_is_read_by_the_same_parser(
    evidence: Evidence, tmp_path: Path
) -> None:
    for name in ("evidence.json", "evidence.yaml", "evidence"):
        file = tmp_path / name
        file.write_text(evidence.model_dump_json())
        assert read_evidence(file) == evidence
        file.write_text(evidence.model_dump_json().replace("0.7", "NaN"))
        with pytest.raises(InputError, match="NaN is no finite number"):
            read_evidence(file)


@pytest.mark.parametrize(
    "image",
    [
        f"ghcr.io/somebody/made/serving@sha256:{'5' * 64}",
        f"{REGISTRY}/training@sha256:{'5' * 64}",
        f"{REGISTRY}@sha256:{'5' * 64}",
        f"{REGISTRY}/serving/x@sha256:{'5' * 64}",
    ],
)
def test_an_image_of_another_registry_is_refused(
    repository: Repository, evidence: Evidence, image: str
) -> None:
    forged = _with(evidence.model_dump(), "images.serving", image)
    (line,) = repository.refused(repository.files(Evidence.model_validate(forged), "dev"))
    assert line == (
        f"releases/r2.json: images.serving: it says {image}, pyproject.toml (tool.mlops: registry) "
        f"says {REGISTRY}/serving@sha256:..."
    )


def test_a_registry_is_declared_before_it_is_used(
    repository: Repository, evidence: Evidence
) -> None:
    """Not by the change that uses it; without one there are no images."""
    project = Path("pyproject.toml").read_text()
    other = project.replace(REGISTRY, "ghcr.io/somebody/made")
    forged = evidence.model_dump_json().replace(REGISTRY, "ghcr.io/somebody/made")
    files = repository.files(Evidence.model_validate_json(forged), "dev")
    assert len(repository.refused(files | {"pyproject.toml": other})) == 2
    repository.commit({"pyproject.toml": '[project]\nname = "made"\n'})
    assert repository.refused(files) == [
        "releases/r2.json: images: pyproject.toml: tool.mlops: registry is missing: where images "
        'are pushed, as "registry.example.com/team/flights"'
    ]


def test_the_champion_is_one_that_was(repository: Repository, evidence: Evidence) -> None:
    for champion, verdict, told in (
        (None, None, "champion: it says nothing; since its commit it was r1"),
        (evidence.id, "same", "champion: it says r2; since its commit it was r1"),
    ):
        forged = evidence.model_copy(update={"champion": champion, "verdict": verdict})
        (line,) = repository.refused(repository.files(forged, "dev"))
        assert line == f"releases/r2.json: {told}"
    # What came while it waited may have been it, too.
    second = repository.live("dev", "staging", "prod")
    for champion in (second.id, evidence.champion):
        renewed = evidence.model_copy(update={"champion": champion})
        assert repository.refused(repository.files(renewed, "dev")) == []


def test_there_is_no_verdict_on_nothing(repository: Repository) -> None:
    first = repository.evidence(verdict="better")
    assert repository.refused(repository.files(first, "dev")) == [
        "releases/r1.json: verdict: it says better, and champion says nothing to compare with"
    ]


def test_the_very_same_model_is_neither_better_nor_worse(repository: Repository) -> None:
    judged = repository.evidence()
    repository.commit(repository.files(judged, "dev", "staging", "prod"))
    later = repository.evidence(md5=judged.model.md5, verdict="better")
    same = later.model.model_copy(update={"judged_md5": judged.model.judged_md5})
    assert later.champion == judged.id
    # Its lock says so, too.
    lock = json.loads(Path("dvc.lock").read_text())
    (out,) = (
        each for each in lock["stages"]["all"]["outs"] if each["path"] == "models/candidate.onnx"
    )
    out["md5"] = same.judged_md5
    repository.commit({"dvc.lock": json.dumps(lock)})
    renewed = _of_its_commit(repository, later.model_copy(update={"model": same}))
    lines = repository.refused(repository.files(renewed, "dev"))
    assert len(lines) == 1
    assert "verdict: it says better, the model of r1 is the same file" in lines[0]
    right = renewed.model_copy(update={"verdict": "same"})
    assert repository.refused(repository.files(right, "dev")) == []


def _of_its_commit(repository: Repository, evidence: Evidence) -> Evidence:
    """The evidence of what is checked out now, in those fields that its commit tells of."""
    from mlops.release.lineage import of_commit

    commit = repository.head
    known = of_commit(Revision(commit))
    model = evidence.model.model_copy(update={"version": known["model.version"]})
    return evidence.model_copy(
        update={
            "id": known["id"],
            "git_sha": commit,
            "dvc_lock_sha256": known["dvc_lock_sha256"],
            "model": model,
        }
    )


def test_reports_that_the_lock_does_not_name_are_refused(repository: Repository) -> None:
    """The evidence says what the file says, and the file was edited by hand."""
    evidence = repository.evidence()
    repository.commit({"reports/metrics.json": json.dumps({"roc_auc": 0.99})})
    forged = _of_its_commit(repository, evidence.model_copy(update={"metrics": {"roc_auc": 0.99}}))
    (line,) = repository.refused(repository.files(forged, "dev"))
    assert ": reports/metrics.json (md5): it says " in line
    assert ", dvc.lock of " in line


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"dvc.lock": None}, "dvc_lock_sha256: it says "),
        ({"dvc.lock": "stages: [1]\n"}, "not as DVC writes it"),
        ({"dvc.lock": locked({})}, "model.md5: it says "),
        ({"reports/metrics.json": None}, "metrics.roc_auc: it says 0.7, reports/metrics.json of "),
        ({"reports/metrics.json": '{"roc_auc": NaN}'}, "not valid JSON: NaN"),
        ({"reports/metrics.json": '{"roc_auc": "0.7"}'}, "metrics.roc_auc: it says 0.7, "),
        ({"reports/metrics.json": '{"roc_auc": true}'}, "metrics.roc_auc: it says 0.7, "),
        ({"reports/metrics.json": "[]"}, "not an object"),
        ({"data/raw/provenance.json": "{}"}, "snapshot_sha256: it says "),
        ({"pyproject.toml": "[project"}, "not valid TOML"),
    ],
)
def test_a_commit_that_does_not_say_is_no_proof(
    repository: Repository, files: dict[str, str | None], told: str
) -> None:
    evidence = repository.evidence()
    commit = repository.commit(files)
    forged = evidence.model_copy(
        update={"git_sha": commit, "id": f"{repository.now:%Y%m%d-%H%M}-{commit[:7]}"}
    )
    lines = repository.refused(repository.files(forged, "dev"))
    assert any(told in line for line in lines), lines


def test_a_release_that_goes_on_is_held_against_its_commit_again(repository: Repository) -> None:
    """Also where its evidence came to main past the guard."""
    forged = repository.evidence().model_copy(update={"metrics": {"roc_auc": 0.99}})
    repository.commit(repository.files(forged, "dev"))
    (line,) = repository.refused(copy(forged.release, "staging"))
    assert line.startswith("releases/r1.json: metrics.roc_auc: it says 0.99, reports/metrics.json")
    assert line.endswith(" says 0.7")
