"""`mlops data init`: what is drafted from a file can be read back and holds for that file; comments
and other settings stay as they were."""

import datetime as dt
import gzip
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made, sheets
from engine.workspace import root
from ruamel.yaml import YAML

from mlops.config.gates import Gate
from mlops.config.params import load_params
from mlops.data.columns import frame
from mlops.data.contract import Contract, conform, load_contract
from mlops.data.rules import Rules
from mlops.drafting.draft import caveats_of, init
from mlops.drafting.sniff import guess
from mlops.errors import InputError
from mlops.learning.metrics import METRICS
from mlops.learning.plots import PLOTS
from mlops.pipeline import ingest, validate
from mlops.statement import Statement, load_statement

ROWS = 60


@pytest.fixture(autouse=True)
def _in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that are written, in a folder of their own."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    for name in ("params.yaml", "contract.yaml", "model.yaml", "dvc.yaml"):
        shutil.copy2(root() / name, folder / name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(folder)


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(ROWS)],
            "signed up": pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y"),
            "plan: no, yes": rng.choice(["NO", "basic", "#1"], ROWS),
            "zip": [f"0{i % 9}501" for i in range(ROWS)],
            "active": rng.choice(["yes", "no"], ROWS),
            "spent (€)": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(0, 9, ROWS)),
            "remark": [f"text {i}" for i in range(ROWS)],
            "always": 1,
            "stars": rng.integers(1, 6, ROWS),
            "churned": rng.integers(0, 2, ROWS),
        }
    )


def _init(data: pd.DataFrame, target: str | None, **options: Any) -> Contract:
    path = Path("data/own.csv")
    data.to_csv(path, index=False)
    asked = {"time": None, "task": None, "database": None, "force": False} | options
    init(str(path), target, **asked)
    return load_contract()


def test_a_draft_holds_for_its_data() -> None:
    contract = _init(_data(), "churned", time="signed up")
    params = load_params()
    assert (params.task, params.source.name) == ("classification", "data/own.csv")
    contract.check_task(params.task)
    read = ingest.read(params.source)[0].to_pandas()
    assert validate.check(read, contract) == []
    kinds = {name: column.kind for name, column in contract.columns.items()}
    assert kinds == {
        "customer_id": "categorical",
        "signed up": "datetime",
        "plan: no, yes": "categorical",
        "zip": "categorical",
        "active": "boolean",
        "spent (€)": "numeric",
        "remark": "categorical",
        "stars": "numeric",
        "churned": "boolean",
    }
    assert contract.with_role("id") == ["customer_id"]
    assert contract.rules == Rules(unique=[["customer_id"]])
    assert (contract.time, contract.target) == ("signed up", "churned")
    assert contract.columns["signed up"].format == "%d.%m.%Y"
    assert contract.columns["spent (€)"].nullable
    assert contract.columns["plan: no, yes"].allowed == ["#1", "NO", "basic"]


def test_the_gate_has_a_value_even_for_a_class_that_is_rare() -> None:
    data = _data().assign(stars=["five"] * 3 + ["one", "two", "three"] * 19)
    _init(data, "stars")
    assert [*load_params().gates] == ["log_loss"]


def test_columns_called_like_what_the_model_says_are_left_out() -> None:
    contract = _init(_data().assign(prediction=1.5 * np.arange(ROWS), lower="a"), "churned")
    assert not contract.columns.keys() & {"prediction", "lower"}
    text = Path("contract.yaml").read_text(encoding="utf-8")
    assert "left out: the model's own output is called so" in text


@pytest.mark.parametrize(
    ("values", "why"),
    [([1.5] * ROWS, "always 1.5"), (["b"] * ROWS, "always b"), ([None] * ROWS, "missing in every")],
)
def test_a_target_that_never_varies_is_refused(values: list[Any], why: str) -> None:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(InputError, match=f"^--target stars: {why}"):
        _init(_data().assign(stars=values), "stars")
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.filterwarnings("error")
def test_infinite_numbers_are_told_before_validate_refuses_them() -> None:
    spent = np.where(np.arange(ROWS) < 2, np.inf, np.arange(ROWS) / 3)
    path = Path("data/own.csv")
    _data().assign(**{"spent (€)": spent}).to_csv(path, index=False)
    done = init(str(path), "churned", None, None, None, force=False)
    assert [line for line in done.assumed if line.startswith("spent (€): infinite in 2 of 60 rows")]


@pytest.mark.parametrize(
    ("target", "task"),
    [("spent (€)", "regression"), ("plan: no, yes", "classification"), (None, "clustering")],
)
def test_a_draft_sets_everything_to_the_task(target: str | None, task: Any) -> None:
    contract = _init(_data().dropna(), target)
    params = load_params()
    assert params.task == task
    contract.check_task(task)
    naive = None if task == "clustering" else 0  # clusters have no truth to guess
    assert params.gates == {next(iter(METRICS[task])): Gate(regression=0, naive=naive)}
    keys = "regression: 0" if naive is None else "regression: 0, naive: 0"
    assert f"  {next(iter(params.gates))}: {{{keys}}}\n" in Path("params.yaml").read_text()
    assert [Path(path).stem for each in _pipeline()["plots"] for path in each] == [*PLOTS[task]]
    for name in params.estimators:
        params.hyperparameters(name)
    # Clusters are judged in a time that grows with the square of the rows.
    assert params.compare.rows == (1000 if task == "clustering" else 20_000)


def _pipeline() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(Path("dvc.yaml"))
    return content


def test_what_does_not_depend_on_the_data_stays() -> None:
    before, stages = load_params(), _pipeline()["stages"]
    comments = [
        line.strip() for line in Path("params.yaml").read_text().splitlines() if line[:1] == "#"
    ]
    _init(_data().dropna(), None if before.task == "clustering" else "spent (€)", task=None)
    after = load_params()
    assert (after.split, after.evaluate, after.verify) == (
        before.split,
        before.evaluate,
        before.verify,
    )
    assert _pipeline()["stages"] == stages
    text = Path("params.yaml").read_text()
    assert all(comment in text for comment in comments)


def test_several_sources_are_drafted_as_they_are_declared() -> None:
    _data().drop(columns="spent (€)").to_csv("data/own.csv", index=False)
    _data()[["customer_id", "spent (€)"]].to_csv("data/spent.csv", index=False)
    tables = {name: {"path": f"data/{name}.csv", "known_at": "always"} for name in ("own", "spent")}
    query = 'SELECT *, "spent (€)"::DOUBLE AS spent FROM own JOIN spent USING (customer_id)'
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["source"] = {"query": query, "tables": tables}
    yaml.dump(params, Path("params.yaml"))
    init(None, "churned", None, None, None, False)
    assert load_params().source.name == "source.query of own, spent"
    assert load_contract().columns["spent"].kind == "numeric"
    deps = [f"${{source.tables.{name}.path}}" for name in tables]
    assert _pipeline()["stages"]["ingest"]["deps"] == deps
    # And back to one.
    _init(_data(), "churned")
    assert load_params().source.name == "data/own.csv"
    assert _pipeline()["stages"]["ingest"]["deps"] == ["${source.path}"]


def test_a_file_from_elsewhere_is_copied(tmp_path: Path) -> None:
    _data().to_csv(tmp_path / "else.csv", index=False)
    init(str(tmp_path / "else.csv"), "churned", None, None, None, False)
    assert load_params().source.name == "data/else.csv"
    assert Path("data/else.csv").read_bytes() == (tmp_path / "else.csv").read_bytes()


@pytest.mark.parametrize(
    ("target", "options", "line"),
    [
        ("no such", {}, "no column 'no such'; there are customer_id, "),
        ("churned", {"time": "no such"}, "no column 'no such'"),
        ("churned", {"time": "remark"}, "remark: not a date or a time"),
        ("churned", {"task": "clustering"}, "task clustering takes no --target"),
        (None, {"task": "regression"}, "task regression takes a --target"),
    ],
)
def test_what_cannot_be_drafted_is_told_and_changes_nothing(
    target: str | None, options: dict[str, Any], line: str
) -> None:
    names = ("params.yaml", "contract.yaml", "dvc.yaml")
    before = [Path(name).read_bytes() for name in names]
    with pytest.raises(InputError, match=line):
        _init(_data(), target, **options)
    assert [Path(name).read_bytes() for name in names] == before


def test_a_missing_file_is_told() -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file or folder"):
        init("none.csv", None, None, None, None, False)


def test_made_rows_make_their_contract_again() -> None:
    for what in made.TARGETS:
        wanted = made.contract(what)
        drafted = _init(made.rows(what), wanted.target)
        kinds = {name: column.kind for name, column in wanted.columns.items()}
        assert {name: column.kind for name, column in drafted.columns.items()} == kinds
        assert drafted.target == wanted.target


# Awkward files. Each has a feature `a`, mostly, whose first value is 0.5.

MANY = range(1200)


def _lines(*cells: Callable[[int], str], header: str | None = "a,c,y", mark: str = ",") -> str:
    rows = [mark.join(cell(i) for cell in cells) for i in MANY]
    names = [header.replace(",", mark)] if header is not None else []
    return "\n".join([*names, *rows]) + "\n"


def _number(i: int) -> str:
    return f"{i % 97}.5"


def _comma(i: int) -> str:
    return _number(i).replace(".", ",")


def _colour(i: int) -> str:
    return ["red", "green", "blue"][i % 3]


def _flag(i: int) -> str:
    return "ny"[i * 7 % 11 % 2]


def _grouped(i: int) -> str:
    return f'"{1000.5 + i:,.2f}"'


AWKWARD: dict[str, tuple[str, bytes, dict[str, Any], float]] = {
    "decimal comma": (
        "a.csv", _lines(_comma, _colour, _flag, mark=";").encode(), {"decimal": ","}, 0.5,
    ),
    "excel": (
        "a.csv", _lines(_comma, _colour, _flag, mark=";").encode("utf-8-sig"), {"decimal": ","}, 0.5
    ),
    "sep=": (
        "a.csv",
        b"sep=;\r\n" + _lines(_comma, _colour, _flag, mark=";").encode(),
        {"decimal": ","},
        0.5,
    ),
    "one ?": (
        "a.csv",
        _lines(lambda i: "?" if i == 1100 else _number(i), _colour, _flag).encode(),
        {"missing": ["?"], "nullable": True},
        0.5,
    ),
    "dashes": (
        "a.csv",
        _lines(lambda i: "-" if i % 3 == 1 else _number(i), _colour, _flag).encode(),
        {"missing": ["-"], "nullable": True},
        0.5,
    ),
    "thousands": (
        "a.csv", _lines(_grouped, _colour, _flag).encode(), {"thousands": ","}, 1000.5
    ),
    "whole thousands": (
        "a.csv",
        _lines(lambda i: f'"{1000 + i:,}"', _colour, _flag).encode(),
        {"thousands": ","},
        1000,
    ),
    "german thousands": (
        "a.csv",
        _lines(
            lambda i: f"{1000.5 + i:,.2f}".translate(str.maketrans(",.", ".,")),
            _colour, _flag, mark=";",
        ).encode(),
        {"decimal": ",", "thousands": "."},
        1000.5,
    ),
    "percent": (
        "a.csv", _lines(lambda i: f"{_number(i)}%", _colour, _flag).encode(), {"unit": "%"}, 0.5
    ),
    "dollars": (
        "a.csv", _lines(lambda i: f"${_number(i)}", _colour, _flag).encode(), {"unit": "$"}, 0.5
    ),
    "euros": (
        "a.csv",
        _lines(lambda i: f"{_comma(i)} €", _colour, _flag, mark=";").encode("cp1252"),
        {"unit": "€", "decimal": ","},
        0.5,
    ),
    "degrees": (
        "a.csv", _lines(lambda i: f"{_number(i)}°C", _colour, _flag).encode(), {"unit": "°C"}, 0.5
    ),
    "typographic": (
        "a.csv",
        _lines(lambda i: f"{1000.5 + i:,.2f}".replace(",", "\u2019"), _colour, _flag).encode(),
        {"thousands": "'"},
        1000.5,
    ),
    "utf-16": ("a.tsv", _lines(_number, _colour, _flag, mark="\t").encode("utf-16"), {}, 0.5),
    "gz": ("a.csv.gz", gzip.compress(_lines(_number, _colour, _flag).encode()), {}, 0.5),
    "two lines in a cell": (
        "a.csv",
        _lines(_number, lambda i: f'"{_colour(i)}\nor, so"', _flag).encode(),
        {},
        0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_files_are_read_as_they_are_meant(name: str) -> None:
    file, content, keys, first = AWKWARD[name]
    Path("data", file).write_bytes(content)
    init(f"data/{file}", "y", None, None, None, False)
    contract, params = load_contract(), load_params()
    written = contract.columns["a"].model_dump(exclude_defaults=True)
    if "decimal" in keys:  # all numbers of the source have it
        assert contract.dialect.decimal == keys["decimal"]
        keys = {key: value for key, value in keys.items() if key != "decimal"}
    bound = {"range": [0, None]}
    assert written == {"kind": "numeric", "role": ["feature"], **bound, **keys}
    assert len(contract.columns["c"].allowed or []) == 3
    assert contract.columns["y"].kind == "boolean"
    raw = ingest.read(params.source, contract.dialect)[0].to_pandas()
    assert validate.check(raw, contract) == []
    assert conform(raw, contract)["a"].iloc[0] == first


def _accounted(number: float) -> str:
    return f'"({-number:,.2f})"' if number < 0 else f'"{number:,.2f}"'


def _of_sap(number: float) -> str:
    return f"{abs(number):.2f}" + "-" * (number < 0)


def _of_typographers(number: float) -> str:
    return f"{number:.2f}".replace("-", "\u2212")


@pytest.mark.parametrize("middle", [40, 900])
@pytest.mark.parametrize(
    ("write", "keys"),
    [
        (_accounted, {"thousands": ",", "negative": "parentheses"}),
        (lambda number: _accounted(number).replace("(", "($"), {}),
        (_of_sap, {"negative": "trailing"}),
        (_of_typographers, {}),
    ],
)
def test_negative_numbers_are_told_however_they_say_so(
    write: Callable[[float], str], keys: dict[str, str], middle: int
) -> None:
    numbers = [(i - middle) * 31.25 for i in range(1200)]
    Path("data/a.csv").write_text(_lines(lambda i: write(numbers[i]), _colour, _flag))
    drafted = init("data/a.csv", "y", None, None, None, False)
    contract = load_contract()
    written = contract.columns["a"].model_dump(exclude_defaults=True)
    assert {key: written.get(key) for key in keys} == keys
    raw = ingest.read(load_params().source)[0].to_pandas()
    assert conform(raw, contract)["a"].tolist() == numbers
    for key, value in keys.items():
        assert any(f"{key} {value!r}" in line for line in drafted.assumed)


@pytest.mark.parametrize("texts", [["12A", "12B", "7A"], ["0-", "5-", "10-"], ["-5", "(5)"]])
def test_codes_and_ranges_are_no_numbers(texts: list[str]) -> None:
    assert guess(dict.fromkeys(texts, 400)).kind == "categorical"


def test_columns_that_are_written_each_in_its_own_way() -> None:
    text = _lines(_comma, _number, lambda i: f"{1000 + i}", _flag, header="a,b,n,y", mark=";")
    Path("data/a.csv").write_text(text)
    init("data/a.csv", "y", None, None, None, False)
    contract = load_contract()
    raw = ingest.read(load_params().source)[0].to_pandas()
    typed = conform(raw, contract)
    assert typed.iloc[1, :3].tolist() == [1.5, 1.5, 1001]


def test_what_other_columns_say_decides_between_thousands_and_decimals() -> None:
    """1,234 alone may be either."""
    open_ = [f"{i % 9 + 1},{i % 900 + 100}" for i in MANY]
    for other, wanted in ((_comma, float), (lambda i: _number(i), int)):
        text = _lines(lambda i: open_[i], other, _flag, mark=";")
        Path("data/a.csv").write_text(text)
        drafted = init("data/a.csv", "y", None, None, None, True)
        raw = ingest.read(load_params().source)[0].to_pandas()
        found = conform(raw, load_contract())["a"].iloc[0]
        assert found == (1.1 if wanted is float else 1100)
        assert any("a guess: the mark may stand" in line for line in drafted.assumed)


def test_names_of_other_alphabets_in_other_encodings() -> None:
    for encoding in ("latin-1", "utf-16", "utf-8-sig"):
        content = _lines(_number, lambda i: ["grün", "röt"][i % 2], _flag, header="größe,ähre,y")
        Path("data/a.csv").write_bytes(content.encode(encoding))
        init("data/a.csv", "y", None, None, None, True)
        contract = load_contract()
        assert [*contract.columns] == ["größe", "ähre", "y"]
        assert contract.columns["ähre"].allowed == ["grün", "röt"]


def test_an_encoding_that_shows_late_in_a_file() -> None:
    text = _lines(_number, lambda i: "café" if i > 1100 else "bar", _flag) * 1
    Path("data/a.csv").write_bytes(text.encode("cp1252"))
    init("data/a.csv", "y", None, None, None, False)
    assert load_contract().columns["c"].allowed == ["bar", "café"]


def test_a_file_without_names() -> None:
    text = _lines(_number, _colour, lambda i: str(i * 7 % 11 % 2), header=None)
    Path("data/a.csv").write_text(text)
    drafted = init("data/a.csv", "c3", None, None, None, False)
    contract, params = load_contract(), load_params()
    assert contract.dialect.header is False
    assert [*contract.columns] == ["c1", "c2", "c3"]
    assert ingest.read(params.source, contract.dialect)[0].num_rows == len(MANY)
    assert any("no names in the first line" in line for line in drafted.assumed)


def test_years_are_names() -> None:
    text = _lines(lambda i: f"k{i % 40}", _number, _number, _flag, header="land,2019,2020,y")
    Path("data/a.csv").write_text(text)
    init("data/a.csv", "y", None, None, None, False)
    assert [*load_contract().columns] == ["land", "2019", "2020", "y"]


def _dates(how: str, days: int) -> str:
    first = dt.date(2020, 1, 1)
    when = [first + dt.timedelta(i % days) for i in MANY]
    return _lines(lambda i: when[i].strftime(how), _number, _flag, header="when,a,y")


@pytest.mark.parametrize(
    ("how", "found"),
    [("%d/%m/%Y", "%d/%m/%Y"), ("%m/%d/%Y", "%m/%d/%Y"), ("%Y-%m-%d", None), ("%d.%m.%Y",) * 2,
     ("%d-%b-%y",) * 2, ("%Y%m%d",) * 2, ("%m/%d/%y",) * 2],
)  # fmt: skip
def test_dates_that_can_be_read_in_one_way(how: str, found: str | None) -> None:
    Path("data/a.csv").write_text(_dates(how, 300))
    init("data/a.csv", "y", "when", None, None, False)
    contract = load_contract()
    assert contract.columns["when"].format == found
    raw = ingest.read(load_params().source)[0].to_pandas()
    assert conform(raw, contract)["when"].max() == pd.Timestamp(2020, 10, 26)


@pytest.mark.parametrize("dates", ["day-first", "month-first"])
def test_dates_that_can_be_read_in_two_ways_are_asked_for(dates: Any) -> None:
    text = _lines(lambda i: f"{i % 12 + 1:02}/{i % 11 + 1:02}/2020", _number, _flag)
    Path("data/a.csv").write_text(text.replace("a,c,y", "when,a,y", 1))
    before = [each.read_bytes() for each in map(Path, ("params.yaml", "contract.yaml"))]
    with pytest.raises(InputError, match="when: the day or the month may be first: .*--dates day-"):
        init("data/a.csv", "y", "when", None, None, False)
    assert [each.read_bytes() for each in map(Path, ("params.yaml", "contract.yaml"))] == before
    init("data/a.csv", "y", "when", None, None, False, dates)
    wanted = {"day-first": "%d/%m/%Y", "month-first": "%m/%d/%Y"}[dates]
    assert load_contract().columns["when"].format == wanted


def test_a_day_above_twelve_far_down_decides() -> None:
    """Beyond the rows that are looked at closely."""
    rows = [f"{i % 12 + 1:02}/{i % 11 + 1:02}/2020,{i},{i % 2}" for i in range(30_000)]
    rows[17] = "02/13/2020,5,1"
    Path("data/a.csv").write_text("\n".join(["when,a,y", *rows]))
    init("data/a.csv", "y", "when", None, None, False)
    assert load_contract().columns["when"].format == "%m/%d/%Y"


def test_a_text_far_down_is_found() -> None:
    rows = [f"{i}.5,{i % 2}" for i in range(30_000)]
    rows[17] = "none of it,1"
    Path("data/a.csv").write_text("\n".join(["a,y", *rows]))
    init("data/a.csv", "y", None, None, None, False)
    assert load_contract().columns["a"].missing == ["none of it"]


def test_any_type_of_parquet_is_used_or_left_out_with_its_reason() -> None:
    n = 1200
    types: dict[str, Any] = {
        "list": [[1, 2]] * n,
        "struct": [{"a": 1}] * n,
        "map": pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int64())),
        "bytes": [b"\xff\x00"] * n,
        "duration": pa.array([dt.timedelta(i) for i in MANY]),
        "clock": pa.array([dt.time(i % 24) for i in MANY]),
        "nothing": pa.nulls(n),
        "decimal": [Decimal(f"{i}.50") for i in MANY],
        "dictionary": pa.array([_colour(i) for i in MANY]).dictionary_encode(),
        "codes": pa.array([i % 5 for i in MANY], pa.int8()).dictionary_encode(),
        "day": [dt.date(2020, 1, 1) + dt.timedelta(i) for i in MANY],
        "half": pa.array(np.arange(n) % 50, pa.float16()),
        "view": pa.array([_colour(i) for i in MANY], pa.string_view()),
        "huge": pa.array([2**63 + i * 2**50 for i in MANY], pa.uint64()),
        "y": [i * 7 % 11 % 2 for i in MANY],
    }
    pq.write_table(pa.table(types), "data/types.parquet")
    drafted = init("data/types.parquet", "y", None, None, None, False)
    out = {each.name: each.why_left_out for each in drafted.drafts if each.why_left_out}
    assert {*out} == {"list", "struct", "map", "bytes", "duration", "clock", "nothing", "day"}
    assert all("\n" not in why for why in out.values())
    contract = load_contract()
    kinds = {name: column.kind for name, column in contract.columns.items()}
    assert kinds == {
        "decimal": "numeric", "dictionary": "categorical", "codes": "numeric", "half": "numeric",
        "view": "categorical", "huge": "numeric", "y": "boolean",
    }  # fmt: skip
    table = ingest.read(load_params().source)[0]
    assert validate.check(frame(table), contract) == []


def test_the_index_of_pandas_is_an_id_or_left_out() -> None:
    data = pd.DataFrame({"x": np.linspace(0, 1, 60), "y": [0, 1] * 30})
    data.to_csv("data/a.csv")  # the index has no name
    init("data/a.csv", "y", None, None, None, False)
    assert load_contract().with_role("id") == ["unnamed_1"]
    data.rename_axis("customer").rename("c{}".format).to_parquet("data/b.parquet")
    init("data/b.parquet", "y", None, None, None, True)
    assert [*load_contract().columns] == ["x", "y", "customer"]
    pd.concat([data, data]).rename(lambda i: i + 0.5).to_parquet("data/c.parquet")
    drafted = init("data/c.parquet", "y", None, None, None, True)
    out = {each.name: each.why_left_out for each in drafted.drafts if each.why_left_out}
    assert out == {"__index_level_0__": "it looks like the index of pandas, and is not unique"}


def test_excel_and_json_lines() -> None:
    rows: list[list[Any]] = [[float(_number(i)), _colour(i), bool(i % 2)] for i in MANY]
    rows[5][0] = None
    sheets.write(Path("data/a.xlsx"), [["a", "c", "y"], *rows])
    objects = [json.dumps(dict(zip("acy", row, strict=True))) for row in rows]
    Path("data/a.jsonl").write_text("\n".join(objects))
    for file in ("data/a.xlsx", "data/a.jsonl"):
        init(file, "y", None, None, None, True)
        contract = load_contract()
        kinds = [column.kind for column in contract.columns.values()]
        assert (kinds, contract.columns["a"].nullable) == (
            ["numeric", "categorical", "boolean"],
            True,
        )
        assert validate.check(frame(ingest.read(load_params().source)[0]), contract) == []


def test_few_rows_suggest_no_bounds() -> None:
    data = pd.DataFrame({"a": range(200), "c": ["x"] * 199 + ["rare"], "y": [0, 1] * 100})
    contract = _init(data, "y")
    assert (contract.columns["a"].range, contract.columns["c"].allowed) == (None, None)


def test_blanks_are_stripped_and_case_is_told() -> None:
    data = pd.DataFrame({"c": [" Gov", "Gov ", "GOV", "Private"] * 50, "y": [0, 1] * 100})
    data.to_csv("data/own.csv", index=False)
    drafted = init("data/own.csv", "y", None, None, None, False)
    column = load_contract().columns["c"]
    assert (column.strip, column.allowed) == (True, ["GOV", "Gov", "Private"])
    assert any("'GOV' and 'Gov' are different values" in line for line in drafted.assumed)


def test_missing_targets_are_told() -> None:
    data = pd.DataFrame({"a": range(200), "y": [None, "no", "yes", "yes"] * 50})
    data.to_csv("data/own.csv", index=False)
    drafted = init("data/own.csv", "y", None, None, None, False)
    assert any("y: missing in 50 of 200 rows" in line for line in drafted.assumed)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        (lambda i: f"name {i}", "like names or ids"),
        (lambda i: f"{i},5,{i}" if i % 2 else f"{i}.5", "look like numbers, others, such as"),
        (lambda i: f"it is what it is, {i} times", "like sentences"),
    ],
)
def test_a_target_of_hundreds_of_texts_is_refused(text: Callable[[int], str], looks: str) -> None:
    data = pd.DataFrame({"a": range(300), "y": [text(i) for i in range(300)]})
    with pytest.raises(InputError, match=rf"--target y: 300 different texts .*{looks}"):
        _init(data, "y")


def test_nothing_is_left_behind_by_what_fails(tmp_path: Path) -> None:
    _data().to_csv(tmp_path / "else.csv", index=False)
    for target in ("churnd", "remark"):
        with pytest.raises(InputError):
            init(str(tmp_path / "else.csv"), target, "no such", None, None, False)
        assert [*Path("data").iterdir()] == []
    with pytest.raises(InputError):
        init("memory://nothing/a.csv", "churned", None, None, None, False)
    assert [*Path("data").iterdir()] == []
    init(str(tmp_path / "else.csv"), "churned", None, None, None, False)
    assert [each.name for each in Path("data").iterdir()] == ["else.csv"]


def test_an_address_is_kept_and_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    fetch = fsspec.open

    def counted(address: str, *rest: Any, **more: Any) -> Any:
        asked.append(address)
        return fetch(address, *rest, **more)

    with fetch("memory://draft/a.csv", "wb") as stream:
        stream.write(_lines(_number, _colour, _flag).encode())
    monkeypatch.setattr(fsspec, "open", counted)
    init("memory://draft/a.csv", "y", None, None, None, False)
    assert asked == ["memory://draft/a.csv"]
    assert load_params().source.name == "data/source.url"
    assert Path("data/source.url").read_text() == "memory://draft/a.csv\n"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"x,y\n", "a.csv: no rows"),
        ("a.csv.gz", b"no gzip", "a.csv.gz: not readable"),
        ("a.csv", b"x,y\n1,2\n3\n", "a.csv: not readable.*Expected 2 columns, got 1"),
        ("a.parquet", b"PAR1 no PAR1", "a.parquet: not readable"),
        ("a.xlsx", b"no sheet", "a.xlsx: not readable"),
        ("a.jsonl", b"{", "a.jsonl: not readable"),
        ("a.zip", b"no zip", "a.zip: not readable"),
        ("a.txt", b"x", "a.txt: cannot read this kind of file"),
    ],
)
def test_what_is_no_table_is_told_in_a_line(name: str, content: bytes, line: str) -> None:
    Path("data", name).write_bytes(content)
    with pytest.raises(InputError, match=line) as refused:
        init(f"data/{name}", "y", None, None, None, False)
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_doubtful_is_told_with_its_evidence() -> None:
    """A column that says the target, and numbers that rise from row to row."""
    rows = [f"{i},{i % 7},{'paid' if i % 3 else 'open'},{'no' if i % 3 else 'yes'}" for i in MANY]
    Path("bills.csv").write_text("number,size,state,late\n" + "\n".join(rows) + "\n")
    found = init("bills.csv", "late", None, None, None, force=True)
    assert {(each.kind, each.column) for each in found.caveats} == {
        ("leak", "state"),
        ("order", "number"),
    }
    many = pa.table({"number": range(50_000), "late": [i % 2 == 0 for i in range(50_000)]})
    contract = Contract.model_validate(
        {"columns": {"number": {"kind": "numeric", "role": "feature"},
                     "late": {"kind": "boolean", "role": "target"}}}
    )  # fmt: skip
    (caveat,) = caveats_of(many, contract, "classification")
    assert (caveat.kind, caveat.column) == ("order", "number")


def test_what_is_said_of_the_example_is_not_said_of_other_data() -> None:
    """And what the owner said of it stays, whatever is looked at next."""
    Path("data/a.csv").write_text(_lines(_number, _number, _flag))
    assert init("data/a.csv", "y", None, None, None, False).states_nothing
    assert load_statement() == Statement(runbook="mlops/docs/on-call.md")
    said = 'owner: Ada\nsources: {"data/a.csv": {licence: own, personal_data: none}}\n'
    Path("model.yaml").write_text(said)
    Path("data/b.csv").write_text(_lines(_number, _number, _flag))
    assert not init("data/b.csv", "y", None, None, None, False).states_nothing
    assert Path("model.yaml").read_text() == said
    Path("model.yaml").unlink()
    assert not init("data/b.csv", "y", None, None, None, False).states_nothing


def test_a_statement_that_cannot_be_read_stops_before_anything_is_written() -> None:
    Path("data/a.csv").write_text(_lines(_number, _number, _flag))
    Path("model.yaml").write_text("owner: TODO\n")
    before = Path("contract.yaml").read_bytes()
    with pytest.raises(InputError, match="model.yaml: owner"):
        init("data/a.csv", "y", None, None, None, False)
    assert Path("contract.yaml").read_bytes() == before
