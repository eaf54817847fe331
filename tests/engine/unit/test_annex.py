"""Technical documentation in the order of Annex IV: filled from facts, its gaps named."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from engine.stored import Stored
from engine.unit.test_card import STATEMENT, state
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from mlops import paths
from mlops.cli import app
from mlops.digits import digits
from mlops.files import read_json
from mlops.git.revision import Revision
from mlops.report.annex import annex, markdown

# https://artificialintelligenceact.eu/annex/4/
ORDER = [*(f"1({each})" for each in "abcdefgh"), *(f"2({each})" for each in "abcdefgh")]
ORDER += [*"3456789"]


@pytest.fixture
def described(begin: Callable[[str], Stored]) -> Stored:
    """A project that says what it is for, committed."""
    stored = begin("binary")
    state(STATEMENT)
    stored.made()
    return stored


def points(stored: Stored) -> dict[str, Any]:
    found = annex(Revision(stored.git("rev-parse", "HEAD")))
    return {each.number: each for each in found}


def test_points_are_in_the_annexs_order_and_filled_from_the_facts(described: Stored) -> None:
    found = points(described)
    assert [*found] == ORDER
    metrics, ends = read_json(paths.METRICS), read_json(paths.INTERVALS)["roc_auc"]
    measured = (
        f"roc_auc of the test rows: {digits(metrics['roc_auc'])} "
        f"(95%: {digits(ends['low'])} to {digits(ends['high'])})"
    )
    assert measured in found["2(g)"].told
    assert measured in found["3"].told
    assert "Uses that are out of scope: Judging people" in found["1(a)"].told
    assert any("Snapshot: SHA-256 " + "0" * 64 in line for line in found["2(d)"].told)
    assert any(line.startswith("Input size, numeric") for line in found["3"].told)
    assert len(found["5"].told) == 5
    assert any("EU declaration of conformity" in gap for gap in found["8"].gaps)


def test_what_nobody_said_is_a_gap_with_the_key_that_fills_it(described: Stored) -> None:
    before = {number: each.gaps for number, each in points(described).items()}
    state({})
    described.commit()
    after = points(described)
    for number, key in (("1(a)", "goal"), ("1(h)", "limits"), ("4", "success"), ("5", "risks")):
        new = {*after[number].gaps} - {*before[number]}
        assert any(f"`{key}` in `model.yaml`" in gap for gap in new), number


def test_it_says_that_it_is_no_legal_advice_and_takes_words_for_words(described: Stored) -> None:
    state(STATEMENT | {"goal": "<script>x</script> [y](javascript:z) | `q`\n# No heading"})
    described.commit()
    found = points(described)
    text = markdown([*found.values()], "made <b>")
    assert "It is no legal advice" in text
    assert f"{sum(len(each.gaps) for each in found.values())} gaps are named below" in text
    assert re.findall(r"^## (\S+) ", text, re.MULTILINE) == ORDER
    told = MarkdownIt("commonmark").render(text)
    assert not re.search(r"<script|href=.javascript|<h\d>No heading|<b>", told)


def test_the_command_prints_it(described: Stored) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["card", "--annex", *arguments])

    assert run().output.startswith("# Technical documentation: ")
    assert [each["number"] for each in json.loads(run("--json").output)] == ORDER
    assert "give one of them" in str(run("--check").exception)
    assert not paths.CARD.exists()
