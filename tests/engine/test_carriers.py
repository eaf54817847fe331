"""The same rows through every entrance, brought by every carrier: the same predictions.

The model learns from codes with gaps, from amounts, from a flag and from colours; whoever brings
them, as CSV of pandas or of a German Excel, as Parquet of any type, as JSON or as tensors, gets
what the model says of those rows.
"""

import json
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made, sheets
from onnx import helper

from mlops.config.source import Source
from mlops.data.contract import Contract, conform
from mlops.data.inputs import model_inputs
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model
from mlops.pipeline import ingest
from mlops.pipeline.validate import check
from mlops.scoring.batch import batch
from mlops.scoring.predict import predict
from mlops.serving import protocol
from mlops.serving.model import ServedModel
from mlops.serving.settings import Settings

ROWS = 50
COLUMNS: dict[str, Any] = {
    "code": {"kind": "categorical", "role": "feature", "nullable": True},
    "amount": {"kind": "numeric", "role": "feature", "nullable": True},
    "flag": {"kind": "boolean", "role": "feature"},
    "colour": {"kind": "categorical", "role": "feature"},
    "late": {"kind": "boolean", "role": "target"},
}
FEATURES = ["code", "amount", "flag", "colour"]
DIALECTS: dict[str, dict[str, Any]] = {
    "pandas": {},
    "excel": {"decimal": ",", "thousands": "."},
}


def _rows(count: int, seed: int = 0) -> pd.DataFrame:
    """Codes are integers with gaps, and so floats to pandas: 7.0 in CSV."""
    rng = np.random.default_rng(seed)
    code = np.where(rng.random(count) < 0.1, np.nan, rng.integers(1, 9, count))
    amount = np.where(rng.random(count) < 0.1, np.nan, (rng.normal(0, 2000, count)).round(2))
    colour = rng.choice(["red", "green", "blue"], count)
    flag = rng.random(count) < 0.5
    late = (code % 2 == 1) ^ (amount > 500) ^ flag
    return pd.DataFrame(
        {"code": code, "amount": amount, "flag": flag, "colour": colour, "late": late}
    )


def _german(number: float) -> str:
    return "" if pd.isna(number) else f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def pandas_csv(rows: pd.DataFrame, path: Path) -> Path:
    """7.0, True, an empty cell."""
    rows.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def r_csv(rows: pd.DataFrame, path: Path) -> Path:
    """TRUE, NA, integers."""
    told = rows.assign(code=rows["code"].astype("Int64"), flag=rows["flag"].map(str).str.upper())
    told.to_csv(path.with_suffix(".csv"), index=False, na_rep="NA", quoting=2)
    return path.with_suffix(".csv")


def excel_csv(rows: pd.DataFrame, path: Path) -> Path:
    """Semicolons, 1.234,50, a byte order mark, ends of lines as Windows has them."""
    told = rows.assign(code=rows["code"].astype("Int64"), amount=rows["amount"].map(_german))
    told.to_csv(
        path.with_suffix(".csv"), index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n"
    )
    return path.with_suffix(".csv")


def utf16_tsv(rows: pd.DataFrame, path: Path) -> Path:
    """What Excel calls Unicode text."""
    rows.to_csv(path.with_suffix(".tsv"), index=False, sep="\t", encoding="utf-16")
    return path.with_suffix(".tsv")


def zipped_csv(rows: pd.DataFrame, path: Path) -> Path:
    """A file in a zip."""
    rows.to_csv(path.with_suffix(".csv.zip"), index=False)
    return path.with_suffix(".csv.zip")


def json_lines(rows: pd.DataFrame, path: Path) -> Path:
    """An object a line, of JSON's types."""
    path = path.with_suffix(".jsonl")
    rows.to_json(path, orient="records", lines=True, double_precision=15)
    return path


def excel(rows: pd.DataFrame, path: Path) -> Path:
    """A sheet, in which all numbers are floats."""
    cells = rows.astype(object).where(rows.notna(), None).to_numpy().tolist()
    return sheets.write(path.with_suffix(".xlsx"), [[*rows], *cells])


def _parquet(path: Path, **columns: Any) -> Path:
    path = path.with_suffix(".parquet")
    pq.write_table(pa.table(columns), path)
    return path


def parquet_of_pandas(rows: pd.DataFrame, path: Path) -> Path:
    """Floats, and a named index, which is a column."""
    path = path.with_suffix(".parquet")
    rows.set_index("colour").to_parquet(path)
    return path


def parquet_of_integers(rows: pd.DataFrame, path: Path) -> Path:
    """Small integers with gaps, a dictionary, a decimal."""
    amounts = [None if pd.isna(v) else Decimal(f"{v:.2f}") for v in rows["amount"]]
    return _parquet(
        path,
        code=pa.array(rows["code"].astype("Int64"), pa.int8()),
        amount=pa.array(amounts, pa.decimal128(12, 2)),
        flag=pa.array(rows["flag"]),
        colour=pa.array(rows["colour"].tolist()).dictionary_encode(),
        late=pa.array(rows["late"]),
    )


def parquet_of_texts(rows: pd.DataFrame, path: Path) -> Path:
    """All of it text, large or not, with words for what is missing."""
    texts = [None if pd.isna(v) else f"{v:.0f}" for v in rows["code"]]
    return _parquet(
        path,
        code=pa.array([each or "NA" for each in texts], pa.large_string()),
        amount=pa.array(["null" if pd.isna(v) else repr(v) for v in rows["amount"]]),
        flag=pa.array(["yes" if v else "no" for v in rows["flag"]]).dictionary_encode(),
        colour=pa.array(rows["colour"].tolist(), pa.large_string()),
        late=pa.array(["1" if v else "0" for v in rows["late"]]),
    )


def parquet_of_decimals(rows: pd.DataFrame, path: Path) -> Path:
    """Decimals for codes, float64 for amounts, 0 and 1 for the flag."""
    codes = [None if pd.isna(v) else Decimal(f"{v:.2f}") for v in rows["code"]]
    return _parquet(
        path,
        code=pa.array(codes, pa.decimal128(9, 2)),
        amount=pa.array(rows["amount"], from_pandas=True),
        flag=pa.array(rows["flag"].astype("uint8")),
        colour=pa.array(rows["colour"].tolist()),
        late=pa.array(rows["late"].astype("float32")),
    )


# What writes a file, and how the numbers in its text are written.
Writer = Callable[[pd.DataFrame, Path], Path]
FILES: list[tuple[Writer, str | None]] = [
    (pandas_csv, "pandas"), (r_csv, "pandas"), (excel_csv, "excel"), (utf16_tsv, "pandas"),
    (zipped_csv, "pandas"), (json_lines, None), (excel, None), (parquet_of_pandas, None),
    (parquet_of_integers, None), (parquet_of_texts, "pandas"), (parquet_of_decimals, None),
]  # fmt: skip


def _contract(dialect: str) -> Contract:
    return Contract.model_validate({"dialect": DIALECTS[dialect], "columns": COLUMNS})


@pytest.fixture(scope="module")
def fitted() -> Model:
    """Learnt from typed rows."""
    contract = _contract("pandas")
    data = conform(_rows(600), contract)
    return made.fit(made.params("binary", "boosting"), contract, data, data)


@pytest.fixture(scope="module")
def written(fitted: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model as ONNX, in a contract of each dialect."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for dialect in DIALECTS:
        contract = _contract(dialect)
        facts = {
            "project": "carriers",
            "task": "classification",
            "classes": fitted.classes,
            "categories": fitted.categories,
            "contract": contract.model_dump(mode="json", exclude_defaults=True),
        }
        converted = to_onnx(fitted, contract)
        helper.set_model_props(converted, {name: json.dumps(v) for name, v in facts.items()})
        found[dialect] = folder / f"{dialect}.onnx"
        onnx.save(converted, found[dialect])
    return found


@pytest.fixture(scope="module")
def expected(fitted: Model) -> np.ndarray:
    """What scikit-learn says of the rows, as they are in memory."""
    data = conform(_rows(ROWS, 1), _contract("pandas"))
    found: np.ndarray = fitted.predict(model_inputs(data, _contract("pandas")))["probability"][:, 1]
    assert len({*found}) > 10
    return found


def _same(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("write", "dialect"), FILES, ids=lambda each: getattr(each, "__name__", "")
)
def test_files(
    write: Writer,
    dialect: str | None,
    written: dict[str, Path],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    """`ingest` and `validate`, `predict` and `batch`; what has types needs no dialect."""
    for how in [dialect] if dialect else [*DIALECTS]:
        file = write(_rows(ROWS, 1), tmp_path / "rows")
        contract, model = _contract(how), OnnxModel(written[how])
        table, _ = ingest.read(Source(path=str(file)), contract.dialect)
        raw = table.to_pandas()
        assert check(raw, contract) == []
        typed = conform(raw, contract)
        assert typed["late"].tolist() == _rows(ROWS, 1)["late"].tolist()
        answered = model.predict(
            {str(name): values.to_numpy() for name, values in model_inputs(typed, contract).items()}
        )
        _same(answered["probability"][:, 1], expected)
        tally = predict(file, tmp_path / "p.parquet", model)
        assert tally.lines() == []
        _same(pd.read_parquet(tmp_path / "p.parquet")["probability_true"], expected)
        batch(file, tmp_path / how, written[how])
        _same(pd.read_parquet(tmp_path / how)["probability_true"], expected)


def test_a_file_of_another_dialect_is_told_by_an_option(
    written: dict[str, Path], expected: np.ndarray, tmp_path: Path
) -> None:
    file, model = excel_csv(_rows(ROWS, 1), tmp_path / "rows"), OnnxModel(written["pandas"])
    predict(file, tmp_path / "p.csv", model, written={"decimal": ",", "thousands": "."})
    _same(pd.read_csv(tmp_path / "p.csv")["probability_true"], expected)


# What a client may send for a code.
CODES: dict[str, Callable[[float], Any]] = {
    "integers": int,
    "floats": float,
    "texts": lambda code: f"{code:.0f}",
    "texts of floats": str,
}


def _cells(code: Callable[[float], Any]) -> list[dict[str, Any]]:
    rows = _rows(ROWS, 1).drop(columns="late")
    cells = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return [
        {str(k): code(v) if k == "code" and v is not None else v for k, v in row.items()}
        for row in cells
    ]


@pytest.fixture(scope="module")
def server(written: dict[str, Path]) -> ServedModel:
    """The model as the server has it."""
    return ServedModel(Settings(model=written["pandas"]))


@pytest.mark.parametrize("code", CODES)
def test_json(code: str, server: ServedModel, expected: np.ndarray) -> None:
    job = server.job_of_rows(json.loads(json.dumps(_cells(CODES[code]))), "a")
    assert job.unknown == {}
    _same(server.run([job]).outputs["probability"][:, 1], expected)


DATATYPES = {"integers": "INT64", "floats": "FP32", "texts": "BYTES", "texts of floats": "BYTES"}
FORMATS = {"INT64": "<i8", "FP32": "<f4", "FP64": "<f8", "BOOL": "?"}


# A binary integer cannot be missing.
BINARY = [code for code in CODES if DATATYPES[code] != "INT64"]


@pytest.mark.parametrize(
    ("code", "binary"), [(code, False) for code in CODES] + [(code, True) for code in BINARY]
)
def test_tensors(code: str, binary: bool, server: ServedModel, expected: np.ndarray) -> None:
    cells = _cells(CODES[code])
    inputs, blobs = [], []
    kinds = {"code": DATATYPES[code], "amount": "FP64", "flag": "BOOL", "colour": "BYTES"}
    for name, datatype in kinds.items():
        values = [row[name] for row in cells]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [ROWS]}
        if binary:
            blobs.append(_packed(datatype, values))
            tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            tensor["data"] = values
        inputs.append(tensor)
    head = json.dumps({"inputs": inputs}).encode()
    request = protocol.decode(head + b"".join(blobs), len(head) if binary else None)
    _same(server.run([server.job(request, "a")]).outputs["probability"][:, 1], expected)


def _packed(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [("NA" if each is None else each).encode() for each in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    filled = [float("nan") if each is None else each for each in values]
    return np.array(filled, FORMATS[datatype]).tobytes()
