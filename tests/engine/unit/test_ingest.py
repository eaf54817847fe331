"""Ingest: whatever the source, the snapshot holds what was written there, and the provenance says
where it came from without a secret. What cannot be read is told in one line."""

import gzip
import json
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from engine import made, sheets
from helpers import PROJECT

from mlops.config.source import Source
from mlops.data import tables
from mlops.data.contract import load_contract
from mlops.data.dialect import Dialect
from mlops.errors import InputError
from mlops.files import read_json, sha256, write_text
from mlops.paths import CONTRACT, PARAMS, PROVENANCE, SNAPSHOT
from mlops.pipeline import ingest as module
from mlops.pipeline.ingest import ingest, read

CSV = b"code,size\n00501,1e5\n"
ROWS = {"code": ["00501"], "size": ["1e5"]}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _write(name: str, content: bytes) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def _parquet(name: str, **columns: list[Any]) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), name)
    return name


def _rows(path: str, database: str | None = None) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = read(Source(path=path, database=database))[0].to_pydict()
    return rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("A.CSV", CSV),
        ("a.tsv", CSV.replace(b",", b"\t")),
        ("a.csv", CSV.replace(b",", b";")),
        ("a.csv", CSV.replace(b",", b"|")),
        ("a.csv", CSV.replace(b"\n", b"\r\n")),
        ("a.csv", CSV.rstrip()),
        ("a.csv", b"\xef\xbb\xbf" + CSV),
        ("a.csv", b'\xef\xbb\xbf"code";"size"\n"00501";"1e5"\n'),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)),
    ],
)
def test_csv_is_kept_as_text(name: str, content: bytes) -> None:
    assert _rows(_write(name, content)) == ROWS


def test_cells_stay_as_they_were_written() -> None:
    """What is missing, and what a number, is the contract's to say."""
    path = _write("a.csv", b'x,y\nNA,"NA"\n 7.0,"null"\n,""\n"12,50",a\n')
    assert _rows(path) == {"x": ["NA", " 7.0", "", "12,50"], "y": ["NA", "null", "", "a"]}


def test_a_cell_may_hold_lines_and_delimiters() -> None:
    path = _write("a.csv", b'x,y\n"one\r\ntwo","a,""b"""\n')
    assert _rows(path) == {"x": ["one\r\ntwo"], "y": ['a,"b"']}


def test_a_delimiter_in_a_quoted_name_is_no_delimiter() -> None:
    path = _write("a.csv", b'"size (h, w, d)";code\n1;2\n')
    assert _rows(path) == {"size (h, w, d)": ["1"], "code": ["2"]}


def test_parquet_keeps_its_types() -> None:
    rows: dict[str, list[Any]] = {"code": ["00501", None], "size": [1.5, 2.5], "n": [1, None]}
    assert _rows(_parquet("a.parquet", **rows)) == rows


def test_a_folder_is_read_in_the_order_of_names() -> None:
    _write("in/b/2.csv", b"y,x\n3,4\n")
    _write("in/1.csv", b"x,y\n1,2\n")
    _write("in/notes.txt", b"not data")
    table, origins = read(Source(path="in"))
    assert table.to_pydict() == {"x": ["1", "4"], "y": ["2", "3"]}
    assert [(origin.name, origin.rows) for origin in origins] == [
        ("in/1.csv", 1),
        ("in/b/2.csv", 1),
    ]


def test_parquet_parts_take_a_type_that_fits_all() -> None:
    _parquet("in/a=1/x.parquet", x=[1], y=[None])
    _parquet("in/a=2/x.parquet", x=[1.5], y=["text"])
    assert _rows("in") == {"x": [1.0, 1.5], "y": [None, "text"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that serves the folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_addresses_are_fetched(server: str, tmp_path: Path) -> None:
    _write("a.csv", CSV)
    addresses = [f"{server}/a.csv", f"file://{tmp_path}/a.csv", "memory://store/a.csv"]
    with fsspec.open(addresses[2], "wb") as stream:
        stream.write(CSV)
    for address in addresses:
        assert _rows(address) == ROWS
    _write("a.url", f"# a comment\n  # another\n\n{addresses[0]}\n {addresses[1]} \n".encode())
    table, origins = read(Source(path="a.url"))
    assert table.num_rows == 2
    assert [origin.name for origin in origins] == addresses[:2]
    assert {origin.sha256 for origin in origins} == {sha256(Path("a.csv"))}


def test_variables_come_from_the_environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_FOLDER", "pa$$word")
    _write("pa$$word/a.csv", CSV)
    for written in ("$SECRET_FOLDER", "${SECRET_FOLDER}"):
        address = f"{server}/{written}/a.csv"
        table, (origin,) = read(Source(path=address))
        assert table.to_pydict() == ROWS
        assert origin.name == address


def test_an_unset_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(InputError, match="the environment variable NO_SUCH is not set"):
        _rows("http://127.0.0.1:1/${NO_SUCH}/a.csv")


def test_an_error_does_not_tell_a_secret(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    for path in ("$SECRET_TOKEN/a.csv", "a.csv?key=$SECRET_TOKEN"):
        with pytest.raises(InputError, match="cannot be fetched") as refused:
            _rows(f"{server}/{path}")
        assert "hush" not in str(refused.value)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a database with a table `t`."""
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection, connection:
        connection.execute("create table t (code text, size real, mixed)")
        connection.execute("insert into t values ('00501', 1.5, 1), (null, 2.5, 'one')")
    return f"sqlite:///{tmp_path}/d.sqlite"


def test_a_query_is_run(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query = b"-- 10:30\nselect code, size from t where code like '%1' or size = 2.5;\n"
    monkeypatch.setenv("SECRET_DATABASE", database)
    for given in (database, "$SECRET_DATABASE"):
        assert _rows(_write("q.sql", query), given) == {"code": ["00501", None], "size": [1.5, 2.5]}


def test_the_provenance_tells_no_secret(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_DATABASE", f"{database}?timeout=77")
    _write("q.sql", b"select code from t")
    _, (origin,) = read(Source(path="q.sql", database="$SECRET_DATABASE"))
    assert origin.rows == 2
    assert "77" not in origin.name
    # SQLite takes neither user nor password.
    monkeypatch.setenv("SECRET_PASSWORD", "hush")
    with pytest.raises(InputError) as refused:
        _rows("q.sql", "sqlite://user:$SECRET_PASSWORD@host/d")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "url", "line"),
    [
        ("select absent from t", None, "q.sql: .*no such column: absent"),
        ("select code from", None, "q.sql: .*incomplete input"),
        ("select code from t where size = :limit", None, "q.sql: .*limit"),
        ("select code, code from t", None, "code"),
        ("select mixed from t", None, "mixed"),
        ("select code from t where 1 = 0", None, "q.sql: no rows"),
        ("delete from t", None, "q.sql: "),
        ("select 1", "nonsense", "q.sql: .*URL"),
        ("select 1", "sqlite:////no/such/folder/d", "q.sql: .*unable to open"),
        ("select 1", "postgresql://host/d", "source.database: No module named .*uv add"),
    ],
)
def test_a_query_that_fails_is_told(database: str, query: str, url: str | None, line: str) -> None:
    _write("q.sql", query.encode())
    with pytest.raises(InputError, match=line) as refused:
        _rows("q.sql", url or database)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", None, "a.csv: no such file"),
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"\n\n", "a.csv: "),
        ("a.csv", b"x,y\n", "a.csv: no rows"),
        ("a.csv", b"x,y\n1,2\n3\n", "a.csv: not readable.*Expected 2 columns, got 1"),
        ("a.csv", b"x,y\n1,2\n3,4,5\n", "a.csv: not readable.*Expected 2 columns, got 3"),
        ("a.csv", b"x,y,x\n1,2,3\n", "a.csv: column named twice: x"),
        ("a.csv.gz", CSV, "a.csv.gz: not readable"),
        ("a.csv.gz", gzip.compress(CSV * 1000, mtime=0)[:-20], "a.csv.gz: not readable"),
        ("a.parquet", b"PAR1 this is not one PAR1", "a.parquet: not readable"),
        ("a.xlsx", b"x", "a.xlsx: not readable"),
        ("a.xml", b"x", "a.xml: cannot read this kind of file"),
        ("a.url", b"# nothing\n", "a.url: no address in it"),
        ("a.url", b"no://such/store.csv", "no://such/store.csv: cannot be fetched"),
        ("a.url", b"http://127.0.0.1:1/a.csv", "http://127.0.0.1:1/a.csv: cannot be fetched"),
        ("a.url", b"http://127.0.0.1/query", "http://127.0.0.1/query: the address must end in"),
        ("in/a.txt", b"x", "in/a.txt: cannot read this kind of file"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, content: bytes | None, line: str) -> None:
    if content is not None:
        _write(name, content)
    with pytest.raises(InputError, match=line) as refused:
        _rows(name)
    assert len(str(refused.value).splitlines()) == 1


def test_a_truncated_parquet_file_is_told() -> None:
    path = Path(_parquet("a.parquet", x=[*range(1000)]))
    for share in (0.1, 0.5, 0.99):
        content = path.read_bytes()
        _write("cut.parquet", content[: int(len(content) * share)])
        with pytest.raises(InputError, match=r"cut\.parquet: not readable, is it whole\?"):
            _rows("cut.parquet")


def test_columns_named_twice_are_told_in_parquet_and_in_folders() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, "a.parquet")
    _write("in/1.csv", b"x,x\n1,2\n")
    _write("in/2.csv", b"x,x\n1,2\n")
    for source in ("a.parquet", "in"):
        with pytest.raises(InputError, match="column named twice: x"):
            _rows(source)


def test_parts_that_do_not_fit_are_told() -> None:
    _write("names/1.csv", b"x,y\n1,2\n")
    _write("names/2.csv", b"x,z\n1,2\n")
    with pytest.raises(InputError, match=r"names/2\.csv: its columns differ .*: y, z"):
        _rows("names")
    _write("types/1.csv", b"x\n1\n")
    _parquet("types/2.parquet", x=[1])
    with pytest.raises(InputError, match=r"types/1\.csv and its fellows disagree on a type"):
        _rows("types")
    Path("empty").mkdir()
    with pytest.raises(InputError, match="empty: the folder holds no"):
        _rows("empty")


def _params(source: str) -> None:
    params = made.params("binary", "linear").model_copy(update={"source": Source(path=source)})
    write_text(PARAMS, params.model_dump_json())
    write_text(CONTRACT, made.contract("binary").model_dump_json(exclude_defaults=True))


def test_the_provenance_says_what_was_read_and_where_from() -> None:
    _params(_write("in/a.csv", CSV))
    ingest()
    written = read_json(PROVENANCE)
    assert written.pop("retrieved_at").endswith("+00:00")
    assert written == {
        "source": "in/a.csv",
        "origins": [{"name": "in/a.csv", "rows": 1, "sha256": sha256(Path("in/a.csv"))}],
        "rows": 1,
        "columns": {"code": "string", "size": "string"},
        "snapshot_sha256": sha256(SNAPSHOT),
    }
    assert pq.read_table(SNAPSHOT).to_pydict() == ROWS


def test_the_same_source_makes_the_same_snapshot() -> None:
    _params(_write("in/a.csv", CSV))
    ingest()
    first = SNAPSHOT.read_bytes()
    ingest()
    assert SNAPSHOT.read_bytes() == first


def test_a_failure_leaves_the_snapshot_as_it_was() -> None:
    _params(_write("in/a.csv", CSV))
    ingest()
    first = SNAPSHOT.read_bytes()
    _write("in/a.csv", b"x,y\n1\n")
    with pytest.raises(InputError):
        ingest()
    assert SNAPSHOT.read_bytes() == first
    assert [*SNAPSHOT.parent.glob(".*")] == []


# How the source is written.


@pytest.mark.parametrize(
    ("dialect", "content", "rows"),
    [
        ({"encoding": "cp1252"}, "x\n€\n".encode("cp1252"), {"x": ["€"]}),
        ({"encoding": "iso-8859-15"}, "x\n€\n".encode("iso-8859-15"), {"x": ["€"]}),
        ({}, "é;ü\n1;ß\n".encode("cp1252"), {"é": ["1"], "ü": ["ß"]}),
        ({}, "é;ü\n1;ß\n".encode("utf-16"), {"é": ["1"], "ü": ["ß"]}),
        ({}, "é;ü\n1;ß\n".encode("utf-16-le"), {"é": ["1"], "ü": ["ß"]}),
        ({"delimiter": ":"}, b"x,y:z\n1:2\n", {"x,y": ["1"], "z": ["2"]}),
        ({"delimiter": "tab"}, b"x\ty\n1,2\t3\n", {"x": ["1,2"], "y": ["3"]}),
        ({"header": False}, b"1,2\n3,4\n", {"c1": ["1", "3"], "c2": ["2", "4"]}),
        ({"header": False}, b"c1,c2\n3,4\n", {"c1": ["3"], "c2": ["4"]}),
        ({"header": ["a", "b"]}, b"1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ({"header": ["a", "b"]}, b"a,b\n3,4\n", {"a": ["3"], "b": ["4"]}),
        ({"header": False}, b"\xef\xbb\xbf1,2\n", {"c1": ["1"], "c2": ["2"]}),
        ({}, b",x\n0,1\n", {"unnamed_1": ["0"], "x": ["1"]}),
        ({}, b"\n\nx,y\n1,2\n", {"x": ["1"], "y": ["2"]}),
        ({}, b"sep=;\r\nx;y\r\n1,5;2\r\n", {"x": ["1,5"], "y": ["2"]}),
        ({}, b'"x\n(m)",y\n1,2\n', {"x\n(m)": ["1"], "y": ["2"]}),
        ({}, b"x;y\n1,5;2,5\n", {"x": ["1,5"], "y": ["2,5"]}),
        ({}, b"x\n1\n", {"x": ["1"]}),
    ],
)
def test_text_is_cut_into_cells_as_it_lies(
    dialect: dict[str, Any], content: bytes, rows: dict[str, Any]
) -> None:
    how = Dialect.model_validate(dialect)
    table, _ = read(Source(path=_write("a.csv", content)), how)
    assert table.to_pydict() == rows
    assert tables.column_names(Path("a.csv"), how) == [*rows]
    assert tables.count(Path("a.csv"), how) == len(next(iter(rows.values())))


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        ({"encoding": "utf-9"}, "dialect.encoding: there is no encoding utf-9"),
        ({"delimiter": ";;"}, "dialect.delimiter: one sign"),
        ({"header": ["a", "a"]}, "dialect.header: a name occurs twice"),
        ({"decimal": ";"}, "dialect.decimal: "),
        ({"decimal": ",", "thousands": ","}, "dialect: `decimal` and `thousands` are the same"),
        ({"thousands": "5"}, "dialect.thousands: one sign that is no digit"),
        ({"unit": "5$"}, "dialect.unit: a sign or word"),
        ({"decimals": ","}, "dialect.decimals: unknown key"),
    ],
)
def test_a_dialect_that_cannot_be_is_told(dialect: dict[str, Any], line: str) -> None:
    columns = {"x": {"kind": "numeric", "role": "feature"}}
    write_text(CONTRACT, json.dumps({"dialect": dialect, "columns": columns}))
    with pytest.raises(InputError, match=rf"contract\.yaml: {line}"):
        load_contract()


def test_other_files_than_csv() -> None:
    rows = {"a": [1.5, None], "c": ["x", "y"]}
    lines = b'{"a": 1.5, "c": "x"}\n{"a": null, "c": "y"}\n'
    assert _rows(_write("a.jsonl", lines)) == rows
    assert _rows(_write("a.ndjson.gz", gzip.compress(lines))) == rows
    sheets.write(Path("a.xlsx"), [["a", "c"], [1.5, "x"], [None, "y"]])
    assert _rows("a.xlsx") == rows
    sheets.write(Path("b.xlsx"), [["a"], [7.0], ["seven"], [None], [True]])
    assert _rows("b.xlsx") == {"a": ["7", "seven", "true"]}  # rows of nothing are none
    for name in ("a.csv.zip", "a.zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("inside.csv", CSV)
        assert _rows(name) == ROWS


def test_a_zip_of_several_files_is_told() -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("one.csv", CSV)
        archive.writestr("two.csv", CSV)
    with pytest.raises(InputError, match=r"a\.zip: not readable.* it holds one\.csv, two\.csv"):
        _rows("a.zip")


def test_a_snapshot_is_written_a_group_of_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with the source."""
    monkeypatch.setattr(module, "GROUP_BYTES", 100_000)
    monkeypatch.setattr(tables, "CSV_BLOCK", 50_000)
    rows = [f"{i},text {i}" for i in range(60_000)]
    _write("in/a.csv", "\n".join(["x,y", *rows]).encode())
    _write("in/b.csv", b"y,x\nlast,60000\n")
    _params("in")
    ingest()
    file = pq.ParquetFile(SNAPSHOT)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    assert len(sizes) >= 10
    assert max(sizes) < 12_000
    table = file.read()
    assert table["x"].to_pylist() == [str(i) for i in range(60_001)]
    assert table["y"][-1].as_py() == "last"


def test_a_snapshot_is_taken_anew_for_how_the_file_lies_and_for_nothing_else() -> None:
    """What values mean is read later; a live source is not read again for it."""
    stage = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["ingest"]
    wanted = {"contract.yaml": ["dialect.encoding", "dialect.delimiter", "dialect.header"]}
    assert stage["params"] == ["source", wanted]
    for contract in PROJECT.glob("*contract.yaml*"):
        written = yaml.safe_load(contract.read_text())["dialect"]
        assert {f"dialect.{key}" for key in written} == {*wanted["contract.yaml"]}
