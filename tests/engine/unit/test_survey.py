"""What `mlops data show` finds in data, odd data too, and the page that it makes of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.metrics import r2_score

from mlops.data.contract import Contract
from mlops.errors import InputError
from mlops.facts import as_json
from mlops.learning.survey import BINS, VALUES, Survey, Surveyed, load_rows, survey
from mlops.paths import SNAPSHOT
from mlops.report.data import COLUMNS, doubts, headline, page, percent

NUMBER = {"kind": "numeric", "role": "feature", "nullable": True}
TEXT = {"kind": "categorical", "role": "feature", "nullable": True}
LATE = {"kind": "boolean", "role": "target"}


def contract_of(**columns: Any) -> Contract:
    """A contract of these columns."""
    return made.contract_of(columns)


def of(data: pd.DataFrame, contract: Contract, task: Any = "classification") -> Survey:
    """The survey of all rows."""
    return survey(data, len(data), contract, task)


def column(found: Survey, name: str) -> Surveyed:
    """A column of a survey."""
    return next(each for each in found.columns if each.name == name)


def test_a_column_is_what_pandas_says_of_it() -> None:
    generator = np.random.default_rng(1)
    size = generator.normal(size=2000)
    late = generator.random(2000) < np.where(size > 0, 0.7, 0.2)
    size[:100] = np.nan
    data = pd.DataFrame({"size": size, "late": late})
    found = of(data, contract_of(size=NUMBER, late=LATE))
    assert [each.name for each in found.columns] == ["late", "size"]
    assert found.positive == "true"
    of_size = column(found, "size")
    assert of_size.missing == 0.05
    assert of_size.distinct == 1900
    assert len(of_size.bars) == BINS
    heights, edges = np.histogram(size[100:], BINS)
    assert [bar.share for bar in of_size.bars] == pytest.approx(heights / 1900)
    inside = (size >= edges[12]) & (size < edges[13])
    assert of_size.bars[12].target == pytest.approx(late[inside].mean())
    assert (of_size.middle, of_size.low) == (f"{np.median(size[100:]):,.6g}", f"{edges[0]:,.6g}")
    known = size[100:]
    best = np.where(known > 0, 0.7, 0.2)
    assert of_size.explained == pytest.approx(r2_score(late[100:], best), abs=0.08)
    (no, yes) = column(found, "late").bars
    assert (no.label, yes.label, yes.target) == ("false", "true", None)
    assert yes.share == pytest.approx(late.mean())


def test_categories_are_the_most_frequent_and_one_bar_of_all_others() -> None:
    names = [f"v{i:02}" for i in range(20) for _ in range(40 - i)]
    data = pd.DataFrame({"name": names, "late": [True, False] * (len(names) // 2)})
    bars = column(of(data, contract_of(name=TEXT, late=LATE)), "name").bars
    assert [bar.label for bar in bars] == [*sorted(set(names))[:VALUES], "12 others"]
    assert sum(bar.share for bar in bars) == pytest.approx(1)


def test_a_leak_copies_and_columns_without_values_are_found() -> None:
    data = made.rows("regression", 400)
    data = pd.concat([data, data.head(30)], ignore_index=True)
    data = data.assign(paid=data["price"] * 2, gone=None, same=1.0)
    columns = made.COLUMNS | made.TARGETS["regression"][1]
    contract = contract_of(**columns, paid=NUMBER, gone=NUMBER, same=NUMBER)
    found = dict(doubts(of(data, contract, "regression")))
    assert found["paid"].startswith("explains 99")
    assert found["gone"] == "has no value"
    assert found["same"].startswith("has one value only")
    assert found[None] == "30 rows of 430 repeat an earlier row in features and target"
    assert column(of(data, contract, "regression"), "paid").explained == pytest.approx(1, abs=0.02)


def test_values_that_cannot_be_read_are_counted_apart() -> None:
    data = pd.DataFrame({"size": ["1", "x", "", "2"] * 25, "late": ["true", "false"] * 50})
    of_size = column(of(data, contract_of(size=NUMBER, late=LATE)), "size")
    assert (of_size.missing, of_size.unreadable) == (0.25, 0.25)


def test_people_are_not_singled_out() -> None:
    data = pd.DataFrame(
        {
            "size": range(100),
            "who": [f"p{i}" for i in range(100)],
            "faith": ["a"] * 60 + ["b"] * 37 + ["c"] * 3,
            "age": [*range(20, 119), 119],
            "secret": ["s1", "s2"] * 50,
            "late": [True, False] * 50,
        }
    )
    contract = contract_of(
        secret=TEXT | {"redact": True},
        size=NUMBER,
        who={"kind": "categorical", "role": "id"},
        faith={"kind": "categorical", "role": "sensitive"},
        age={"kind": "numeric", "role": "sensitive"},
        late=LATE,
    )
    found = of(data, contract)
    assert column(found, "who").bars == []
    assert column(found, "who").distinct == 100
    assert (column(found, "secret").bars, column(found, "secret").distinct) == ([], 2)
    assert [bar.label for bar in column(found, "faith").bars] == ["a", "b", "1 others"]
    assert (column(found, "faith").bars[2].share, column(found, "faith").bars[2].target) == (
        0,
        None,
    )
    assert column(found, "age").high is None
    assert {bar.share for bar in column(found, "age").bars} == {0.0}
    assert "p42" not in page(found, "x")
    assert column(found, "faith").explained is None


ODD: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    "no rows": (
        pd.DataFrame({"size": pd.Series([], dtype="float64"), "late": pd.Series([], dtype="bool")}),
        {"size": NUMBER, "late": LATE},
        "classification",
    ),
    "one row": (
        pd.DataFrame({"size": [1.5], "late": [True]}),
        {"size": NUMBER, "late": LATE},
        "classification",
    ),
    "infinite and huge": (
        pd.DataFrame({"size": [np.inf, -np.inf, 1e300, -1e300, 0.0] * 20, "late": [True] * 100}),
        {"size": NUMBER, "late": LATE},
        "classification",
    ),
    "nothing but infinite": (
        pd.DataFrame({"size": [np.inf] * 9, "late": [True] * 9}),
        {"size": NUMBER, "late": LATE},
        "classification",
    ),
    "no target known": (
        pd.DataFrame({"size": range(60), "late": [None] * 60}),
        {"size": NUMBER, "late": LATE},
        "classification",
    ),
    "three classes": (
        pd.DataFrame({"size": range(99), "kind": ["a", "b", "c"] * 33}),
        {"size": NUMBER, "kind": {"kind": "categorical", "role": "target"}},
        "classification",
    ),
    "clusters": (pd.DataFrame({"size": range(60)}), {"size": NUMBER}, "clustering"),
    "moments": (
        pd.DataFrame(
            {"at": pd.date_range("1700-01-01", periods=99, freq="YS"), "price": range(99)}
        ),
        {
            "at": {"kind": "datetime", "role": ["feature", "time"]},
            "price": {"kind": "numeric", "role": "target"},
        },
        "regression",
    ),
    "markup": (
        pd.DataFrame({"<b>\"'": ["<script>alert(1)</script>", "\x1b[31m", "&", "é\n"] * 20}),
        {"<b>\"'": TEXT},
        "clustering",
    ),
}


class Tags(HTMLParser):
    """The elements of a page, of which each must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Open an element."""
        self.seen.add(tag)
        if tag not in ("meta", "rect", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        if tag not in ("meta", "rect", "circle", "polyline"):
            assert self.open.pop() == tag


@pytest.mark.parametrize("what", ODD)
def test_odd_data_makes_a_page(what: str) -> None:
    data, columns, task = ODD[what]
    found = of(data, contract_of(**columns), task)
    html = page(found, "flight-delays")
    tags = Tags(html)
    assert tags.open == []
    assert "script" not in tags.seen
    assert re.findall(r"(?:src|href)=|url\(|@import|\bnan\b", html) == []
    assert json.loads(as_json(found))["rows"] == len(data)


def test_a_wide_table_is_drawn_in_part_and_says_so() -> None:
    names = [f"c{i:03}" for i in range(COLUMNS + 20)]
    data = pd.DataFrame(dict.fromkeys(names, [*range(60)]))
    html = page(of(data, contract_of(**dict.fromkeys(names, NUMBER)), "clustering"), "x")
    assert html.count("<section") == COLUMNS
    assert f"{COLUMNS} of {COLUMNS + 20} columns are drawn" in html


def test_rows_are_spread_evenly_and_no_more_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no snapshot yet; take it with `uv run dvc repro ingest`"):
        load_rows()
    SNAPSHOT.parent.mkdir(parents=True)
    data = pd.DataFrame({"size": range(1000)})
    data.to_parquet(SNAPSHOT, row_group_size=64)
    rows, total = load_rows(300)
    assert total == 1000
    assert [*rows["size"]] == [*range(0, 1000, 4)]
    assert [*load_rows()[0]["size"]] == [*range(1000)]
    data.head(0).to_parquet(SNAPSHOT)
    assert (len(load_rows()[0]), load_rows()[1]) == (0, 0)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0"), (1, "100.0"), (1e-6, "< 0.1"), (0.9999, "> 99.9"), (0.5, "50.0")],
)
def test_small_shares_are_not_nothing(share: float, text: str) -> None:
    assert percent(share) == f"{text}\u202f%"


def test_sound_data_has_nothing_doubtful() -> None:
    data = pd.DataFrame(
        {"size": np.random.default_rng(0).normal(size=60), "late": [True, False] * 30}
    )
    assert headline(of(data, contract_of(size=NUMBER, late=LATE))) == (
        "60 rows, 2 columns: nothing doubtful found"
    )
