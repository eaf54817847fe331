"""Whatever stands in a file is read, or refused by a line for each mistake: never a stack trace.

What is read is written as it was: nothing is lost between a text and what it means.
"""

import json
import string
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from engine.properties.texts import any_text, at, changed, dumped, read_or_refused
from engine.workspace import root
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mlops.config.gates import Gate
from mlops.config.params import Params
from mlops.data.contract import Column, Contract
from mlops.files import parse
from mlops.paths import CONTRACT, PARAMS
from mlops.release import changes, settings, state
from mlops.release.evidence import (
    Evidence,
    Images,
    Model,
    evidence_path,
    evidence_text,
    load_evidence,
)
from mlops.release.state import QUARANTINE, Policy, Release, policy_path, quarantined, release_path

SHA, MD5 = "0123456789abcdef" * 2 + "01234567", "0123456789abcdef" * 2
IMAGE = "ghcr.io/example-org/flights/serving@sha256:" + MD5 * 2
RELEASE = Release("20300107-1200-0123456", SHA, IMAGE, "", "flight-delays@v12.0.0", MD5)
EVIDENCE = Evidence(
    id=RELEASE.id,
    created="2030-01-07T12:00:00Z",
    git_sha=SHA,
    dvc_lock_sha256=MD5 * 2,
    snapshot_sha256=MD5 * 2,
    model=Model(version=RELEASE.model_version, md5=MD5, sha256=MD5 * 2),
    images=Images(serving=IMAGE, training=""),
    metrics={"roc_auc": 0.7, "log_loss": 1e-7},
    verdict="better",
)
POLICY = """# By which rules it changes.
requires: staging
soak_minutes: 60
hold: null
freeze:
  - start: 2030-12-20
    end: 2031-01-02T08:00:00+01:00
    reason: holidays
gates:
  roc_auc: {min: 0.7, regression: 0, slices: {origin: {min: 0.5}}}
"""
QUARANTINED = f"# Never again\n{RELEASE.id} answers are wrong\n"


@cache
def baked(name: str) -> str:
    """A file of a bake."""
    return (root() / name).read_text(encoding="utf-8")


@cache
def _content(name: str) -> Any:
    """What a good file says."""
    return YAML(typ="safe", pure=True).load(FILES[name][1]())


# By name: where the file is, a good text of it, and what reads one.
FILES: dict[str, tuple[Path, Callable[[], str], Callable[[str], Any]]] = {
    "contract": (
        CONTRACT,
        lambda: baked("contract.yaml"),
        lambda text: parse(text, Contract, CONTRACT),
    ),
    "params": (PARAMS, lambda: baked("params.yaml"), lambda text: parse(text, Params, PARAMS)),
    "policy": (
        policy_path("prod"),
        lambda: POLICY,
        lambda text: parse(text, Policy, policy_path("prod")),
    ),
    "release.env": (
        release_path("prod"),
        RELEASE.text,
        lambda text: Release.parse(text, release_path("prod")),
    ),
    "config.env": (
        settings.settings_path("prod"),
        lambda: baked("environments/prod/config.env"),
        lambda text: settings.load("prod", at(text)),
    ),
    "quarantine": (QUARANTINE, lambda: QUARANTINED, lambda text: quarantined(at(text))),
    "evidence": (
        evidence_path(RELEASE.id),
        lambda: evidence_text(EVIDENCE),
        lambda text: load_evidence(RELEASE.id, at(text)),
    ),
}
each_file = pytest.mark.parametrize("name", FILES)
YAMLS = ("contract", "params", "policy", "evidence")


@each_file
def test_what_is_good_is_read(name: str) -> None:
    path, good, read = FILES[name]
    assert read_or_refused(lambda: read(good()), path) is not None


@each_file
@given(st.data())
def test_any_text_is_read_or_refused_in_lines(name: str, data: st.DataObject) -> None:
    path, good, read = FILES[name]
    text = data.draw(any_text(good()))
    read_or_refused(lambda: read(text), path)


@pytest.mark.parametrize("name", YAMLS)
@given(st.data())
def test_any_content_is_read_or_refused_in_lines(name: str, data: st.DataObject) -> None:
    """YAML that is right, with some other value where a good one stood."""
    path, _, read = FILES[name]
    text = data.draw(changed(_content(name)))
    read_or_refused(lambda: read(text), path)


# Texts of one line, as people write reasons and names.
lines = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
hexadecimal = {
    length: st.text("0123456789abcdef", min_size=length, max_size=length).filter(
        lambda text: set(text) != {"0"}  # no file has that hash
    )
    for length in (32, 40, 64)
}
images = st.just("") | st.builds(
    "{}@sha256:{}".format, st.from_regex(r"\A[a-z0-9][a-zA-Z0-9._:/-]{0,20}\Z"), hexadecimal[64]
)
versions = st.from_regex(r"\A[a-z0-9-]{1,10}@v[0-9]{1,3}\.[0-9]\.[0-9]\Z")
ids = st.from_regex(rf"\A{state.ID.pattern}\Z")
releases = st.builds(Release, ids, hexadecimal[40], images, images, versions, hexadecimal[32])


@given(releases)
def test_a_release_is_what_its_file_says(release: Release) -> None:
    assert Release.parse(release.text(), release_path("prod")) == release


@given(releases, st.data())
def test_a_release_has_one_file_only(release: Release, data: st.DataObject) -> None:
    """Equal releases are equal files, which is by what promotions are compared."""
    text = data.draw(any_text(release.text()))
    found = read_or_refused(lambda: Release.parse(text, release_path("prod")), release_path("prod"))
    assert found is None or found.text() == text


evidence = st.builds(
    Evidence,
    id=ids,
    created=st.just("2030-01-07T12:00:00Z"),
    git_sha=hexadecimal[40],
    dvc_lock_sha256=hexadecimal[64],
    snapshot_sha256=hexadecimal[64],
    model=st.builds(Model, version=versions, md5=hexadecimal[32], sha256=hexadecimal[64]),
    images=st.builds(Images, serving=images, training=images),
    metrics=st.dictionaries(st.text(max_size=10), numbers, max_size=4),
    verdict=st.none() | st.sampled_from(["better", "same", "worse"]),
    champion=st.none() | ids,
    run=st.none() | st.text(max_size=30),
)


@given(evidence)
def test_evidence_is_what_its_file_says(found: Evidence) -> None:
    assert load_evidence(found.id, at(evidence_text(found))) == found


@given(st.dictionaries(ids, lines.map(lambda text: " ".join(text.split())), max_size=5))
def test_quarantine_is_what_was_put_into_it(banned: dict[str, str]) -> None:
    text = "# Never again\n\n"
    for release, reason in banned.items():
        # There is evidence of it: the same revision answers for each file.
        text = changes.quarantine(release, at(text), reason).files[QUARANTINE]
    assert quarantined(at(text)) == banned


bounds = st.fixed_dictionaries({"min": numbers})
gates = st.fixed_dictionaries(
    {"min": numbers},
    optional={
        "regression": st.floats(0, 1e9),
        "slices": st.dictionaries(lines, bounds, min_size=1, max_size=2),
    },
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
freezes = st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted)


@given(
    st.none() | lines,
    st.integers(0, 10**6),
    st.none() | lines,
    freezes,
    st.dictionaries(lines, gates),
)
def test_a_policy_is_what_its_file_says(
    requires: str | None,
    soak: int,
    hold: str | None,
    freeze: list[datetime],
    bounded: dict[str, Any],
) -> None:
    content = {
        "requires": requires,
        "soak_minutes": soak,
        "hold": hold,
        "freeze": [{"start": freeze[0], "end": freeze[1], "reason": "r"}],
        "gates": bounded,
    }
    found = parse(dumped(content), Policy, policy_path("prod"))
    assert (found.requires, found.soak_minutes, found.hold) == (requires, soak, hold)
    assert [found.freeze[0].start, found.freeze[0].end] == freeze
    assert found.gates == {name: Gate.model_validate(gate) for name, gate in bounded.items()}


@given(st.text(max_size=30))
def test_a_hold_keeps_all_else_of_a_policy(reason: str) -> None:
    """Whatever the reason is: a person's words are in YAML then, and the comments stay."""
    held = changes._held(POLICY, reason)
    found, before = (parse(text, Policy, policy_path("prod")) for text in (held, POLICY))
    assert found == before.model_copy(update={"hold": reason})
    assert held.startswith("# By which rules it changes.\n")
    assert changes._held(held, None) == changes._held(POLICY, None)


names = st.text(string.ascii_letters + "_ é.-", min_size=1, max_size=8)
Described = st.SearchStrategy[dict[str, Any]]
numeric: Described = st.fixed_dictionaries(
    {
        "kind": st.just("numeric"),
        "role": st.sampled_from(["feature", "slice", "id"]),
    },
    optional={
        "range": st.tuples(st.none() | st.floats(-1e6, 0), st.none() | st.floats(0, 1e6)).map(list),
        "nullable": st.booleans(),
    },
)
categorical: Described = st.fixed_dictionaries(
    {"kind": st.just("categorical"), "role": st.sampled_from(["feature", "id", "slice"])},
    optional={
        "allowed": st.lists(lines, min_size=1, max_size=3),
        "redact": st.booleans(),
        "description": lines,
    },
)
moment: Described = st.fixed_dictionaries(
    {"kind": st.just("datetime"), "role": st.just("id")},
    optional={
        "range": st.lists(st.none() | moments, min_size=2, max_size=2).map(
            lambda pair: sorted(pair) if None not in pair else pair  # type: ignore[type-var]
        ),
        "format": st.just("%d.%m.%Y"),
    },
)
described = numeric | categorical | moment


@given(st.dictionaries(names, described, max_size=5))
def test_a_contract_is_the_same_in_its_file_and_in_a_model(columns: dict[str, Any]) -> None:
    """A model carries it as JSON: see pipeline.convert.metadata."""
    text = dumped({"columns": {**columns, "x": {"kind": "numeric", "role": "feature"}}})
    contract = parse(text, Contract, CONTRACT)
    carried = json.loads(json.dumps(contract.model_dump(mode="json", exclude_defaults=True)))
    assert Contract.parse(carried) == contract
    assert list(contract.columns) == [*columns, *(["x"] if "x" not in columns else [])]
    assert all(isinstance(column, Column) for column in contract.columns.values())


@given(st.data())
def test_params_are_the_same_when_written_again(data: st.DataObject) -> None:
    text = data.draw(st.just(baked("params.yaml")) | any_text(baked("params.yaml")))
    found = read_or_refused(lambda: parse(text, Params, PARAMS), PARAMS)
    if found is not None:
        again = dumped(found.model_dump(mode="json", exclude_unset=True))
        assert parse(again, Params, PARAMS) == found
