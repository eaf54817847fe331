"""model.yaml: what is right is read, what is wrong or says nothing is told; it may be blank."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from engine.workspace import root

from mlops.config.params import load_params
from mlops.errors import InputError
from mlops.files import write_text
from mlops.statement import Statement, blank, load_statement, parse_statement

RISK = {"likelihood": 2, "impact": 5, "mitigation": "m", "owner": "o", "review": date(2030, 1, 1)}


def test_the_projects_own_says_everything() -> None:
    found = load_statement(root() / "model.yaml")
    unsaid = [key for key in Statement.model_fields if getattr(found, key) is None]
    assert unsaid == ["approvers"], "whose logins no template knows"
    assert {*load_params(root() / "params.yaml").source.paths} == {*(found.sources or {})}
    assert {*found.reviews()} == {"outage", "wrong_predictions", "decay", "lost_knowledge"}
    assert min(found.reviews().values()) > date.today()


def test_a_file_that_is_not_there_says_nothing() -> None:
    assert parse_statement(None) == Statement()


@pytest.mark.parametrize("source", ["data/a.csv", "https://x.example/ä b.csv", "data/: #.csv"])
def test_a_blank_one_names_every_key_and_says_nothing(tmp_path: Path, source: str) -> None:
    path = tmp_path / "model.yaml"
    write_text(path, blank(source))
    found = load_statement(path).model_dump(exclude_none=True)
    assert found == {"runbook": "mlops/docs/on-call.md"}
    lines = {line.removeprefix("# ").partition(":")[0] for line in blank(source).splitlines()}
    assert {*Statement.model_fields} <= lines


def test_a_blank_one_shows_how_a_source_is_named(tmp_path: Path) -> None:
    lines = blank('data/"x": y.csv').splitlines()
    start = lines.index("# sources: # the terms of each source in params.yaml")
    text = "\n".join(line.removeprefix("# ") for line in lines[start : start + 4])
    (path,) = parse_statement(text).sources or {}
    assert path == 'data/"x": y.csv'


def test_a_caller_is_for_one_of_the_intended_uses() -> None:
    text = "intended: [Planning, Offers]\ncallers: {desk: Planning}\n"
    assert parse_statement(text).callers == {"desk": "Planning"}
    assert parse_statement("callers: {}\n").callers == {}
    for wrong in (text.replace("desk: Planning", "desk: Prices"), "callers: {desk: Planning}\n"):
        with pytest.raises(InputError, match="callers: desk: '.*' is none of `intended`"):
            parse_statement(wrong)


def test_the_weight_of_a_risk_is_its_likelihood_times_its_impact() -> None:
    risks = dict.fromkeys(("outage", "wrong_predictions", "decay", "lost_knowledge"), RISK)
    found = Statement.model_validate({"risks": risks}).risks
    assert found is not None
    assert found.decay.weight == 10


@pytest.mark.parametrize(
    "text",
    ["", "  ", "TODO", "todo: ask Ada", "TBD", "...", "?", "xxx", "To be filled in", "<name>", "-"]
    + ["n/a", "NA", "—", "\u200b", "\u202e."],
)
@pytest.mark.parametrize("key", ["owner", "problem", "retention"])
def test_a_placeholder_is_no_answer(tmp_path: Path, key: str, text: str) -> None:
    path = tmp_path / "model.yaml"
    write_text(path, f"{key}: {json.dumps(text)}\n")
    with pytest.raises(InputError, match=rf"model.yaml: {key}: .* says nothing; leave the key out"):
        load_statement(path)


@pytest.mark.parametrize("text", ["X-ray department", "The team that todos are sent to", "A. B."])
def test_what_only_looks_like_a_placeholder_is_an_answer(tmp_path: Path, text: str) -> None:
    assert parse_statement(f"owner: {text!r}").owner == text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("ownr: Ada", "ownr: unknown key"),
        ("owner: [Ada]", "owner: "),
        ("regulation: none", "regulation: .*'minimal', 'limited' or 'high'"),
        ("success: {measure: a, unit: b, baseline: 1, target: 1}", "`target` is the same as"),
        ("success: {measure: a, unit: b, baseline: .nan, target: 1}", "success.baseline: "),
        ("sources: {a: {licence: b, personal_data: some}}", "sources.a.personal_data: "),
        ("sources: {}", "sources: "),
        ("intended: []", "intended: "),
        ("risks: {}", "risks.outage: this key is missing"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "model.yaml"
    write_text(path, content)
    with pytest.raises(InputError, match=f"model.yaml: .*{told}"):
        load_statement(path)


@pytest.mark.parametrize(
    ("key", "value"), [("likelihood", 0), ("impact", 6), ("impact", "3"), ("review", "soon")]
)
def test_a_risk_that_is_none_is_refused(key: str, value: Any) -> None:
    risks = dict.fromkeys(("outage", "wrong_predictions", "lost_knowledge"), RISK)
    with pytest.raises(ValueError, match=f"risks.decay.{key}"):
        Statement.model_validate({"risks": risks | {"decay": RISK | {key: value}}})
