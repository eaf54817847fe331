"""What benchmarks have the bake's own Python do, where pyarrow and onnxruntime are installed.

worker.py facts                       print the versions that matter
worker.py rows SOURCE TARGET COUNT    repeat SOURCE's rows to COUNT, into a .parquet or .csv file
worker.py floor MODEL FILE BATCH      print the seconds onnxruntime takes for FILE's rows in memory
worker.py report PACKAGE BASE         print the seconds of each part of `mlops report --base BASE`
worker.py samples PACKAGE COUNT FILE  print test rows and scikit-learn's answers; keep it in FILE
worker.py alone MODEL FILE COUNT SECONDS   print onnxruntime's rows a second, COUNT rows a call
worker.py table TARGET COUNT            write a table of 15 columns as CSV, print its target's name
worker.py plain TABLE TARGET FOLDER     make a verified model of it by pandas and scikit-learn alone
worker.py draw SPEC TARGET            draw a Vega-Lite specification as SVG
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Rows written at a time, which is a row group in Parquet: about what pandas and pyarrow write.
GROUP = 1_000_000
# Parts of `mlops report`, none within another: module and function.
PARTS = {
    "both models and the test rows from DVC": ("judging.comparison", "obtain"),
    "both models' answers and latency": ("judging.comparison", "_side"),
    "bootstrap": ("judging.paired", "judge"),
    "`dvc.lock` and the remote": ("git.lock", "check"),
    "pictures": ("report.pictures", "draw"),
}
VERSIONS = ("dvc", "onnxruntime", "pandas", "pyarrow", "scikit-learn")


def facts() -> None:
    """Print the versions of the libraries that the bake's speed comes from."""
    print(", ".join(f"{name} {version(name)}" for name in VERSIONS))


def rows(source: str, target: str, count: str) -> None:
    """Write `count` rows, those of `source` over and over; memory does not grow with `count`."""
    import pyarrow
    from pyarrow import csv, parquet

    once, wanted = parquet.read_table(source), int(count)
    size = min(wanted, GROUP)
    group = pyarrow.concat_tables([once] * -(-size // once.num_rows)).combine_chunks()
    writer = parquet.ParquetWriter if target.endswith(".parquet") else csv.CSVWriter
    with writer(target, once.schema) as out:
        for start in range(0, wanted, size):
            out.write_table(group.slice(0, min(size, wanted - start)))


def floor(model: str, file: str, batch: str) -> None:
    """Print the seconds of onnxruntime alone: arrays are in memory, nothing is checked or kept."""
    import onnxruntime
    from pyarrow import parquet

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    kinds = {each.name: each.type for each in session.get_inputs()}
    feeds = [
        {name: _array(part.column(name), kind) for name, kind in kinds.items()}
        for part in parquet.ParquetFile(Path(file)).iter_batches(batch_size=int(batch))
    ]
    start = time.perf_counter()
    for feed in feeds:
        session.run(None, feed)
    print(time.perf_counter() - start)


def _array(column: Any, kind: str) -> Any:
    """A column of shape (rows, 1) as the model takes it: text, missing "", or float32."""
    if kind == "tensor(string)":
        values = column.fill_null("").to_numpy(zero_copy_only=False)
    else:
        values = column.cast("float32").to_numpy(zero_copy_only=False)
    return values.reshape(-1, 1)


def report(base: str) -> None:
    """Write the report as `mlops report` does, and print the seconds of its parts."""
    start = time.perf_counter()
    import_module("dvc.api")  # else a part of what happens to need it first
    spent = {"imports": 0.0, **dict.fromkeys(PARTS, 0.0)}
    for part, (name, function) in PARTS.items():
        module = import_module(f"mlops.{name}")
        setattr(module, function, _timed(getattr(module, function), spent, part))
    paths = import_module("mlops.paths")
    main = import_module("mlops.report.report").report
    spent["imports"] = time.perf_counter() - start
    main(base, paths.REPORT, None)
    rest = time.perf_counter() - start - sum(spent.values())
    print(json.dumps(spent | {"all else": rest}))


def samples(count: str, pipeline: str) -> None:
    """Print test rows without missing values and their probabilities; keep the pipeline apart."""
    import joblib
    import pandas

    contract = import_module("mlops.data.contract").load_contract()
    model = import_module("mlops.learning.model").Model.load()
    test = pandas.read_parquet(import_module("mlops.paths").PARTS["test"])
    inputs = import_module("mlops.data.inputs").model_inputs(test, contract)
    inputs = inputs[(inputs.notna() & (inputs != "")).all(axis=1)].head(int(count))
    kinds = {name: contract.columns[name].kind for name in inputs}
    values = [[_plain(value, kinds[name]) for value in inputs[name]] for name in inputs]
    rows = [dict(zip(kinds, row, strict=True)) for row in zip(*values, strict=True)]
    probability = model.predict(inputs)["probability"].tolist()
    joblib.dump(model.pipeline, pipeline)
    print(json.dumps({"rows": rows, "probability": probability}))


def _plain(value: Any, kind: str) -> Any:
    """A value as a client would write it: the shortest number that is the same as a float32."""
    if kind == "boolean":
        return bool(value)
    return value if kind == "categorical" else float(str(value))


def alone(model: str, file: str, count: str, seconds: str) -> None:
    """Print the rows a second of onnxruntime alone, one thread, on `count` rows of a JSON file."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rows = json.loads(Path(file).read_text(encoding="utf-8"))[: int(count)]
    feed = {
        each.name: numpy.array(
            [row[each.name] for row in rows],
            object if each.type == "tensor(string)" else numpy.float32,
        ).reshape(-1, 1)
        for each in session.get_inputs()
    }
    session.run(None, feed)
    calls, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < float(seconds):
        session.run(None, feed)
        calls += 1
    print(calls * len(rows) / taken)


def table(target: str, count: str) -> None:
    """Write rows that tell a little of their target, in groups, and print the target's name."""
    import numpy
    import pyarrow
    from pyarrow import csv

    rng = numpy.random.default_rng(0)
    writer, left = None, int(count)
    while left:
        rows, left = min(left, GROUP), max(0, left - GROUP)
        numbers = {f"number{i}": rng.normal(10 * i, 1 + i, rows).round(4) for i in range(8)}
        texts = {
            f"text{i}": numpy.char.add("value ", rng.integers(0, 4**i + 2, rows).astype(str))
            for i in range(4)
        }
        flags = {f"flag{i}": rng.random(rows) < 0.3 for i in range(2)}
        logit = numbers["number0"] + (numbers["number1"] - 10) / 2 + flags["flag0"] - 0.5
        said = rng.random(rows) < 1 / (1 + numpy.exp(-logit))
        columns = {
            name: pyarrow.array(values, mask=rng.random(rows) < (0.05 if name[-1] in "23" else 0))
            for name, values in (numbers | texts | flags).items()
        }
        made = pyarrow.table(columns | {"target": numpy.where(said, "yes", "no")})
        writer = writer or csv.CSVWriter(target, made.schema)
        writer.write_table(made)
    if writer:
        writer.close()
    print("target")


def plain(file: str, target: str, folder: str) -> None:
    """What the pipeline does, as a script would: read, split, train, judge, convert, compare."""
    import joblib
    import numpy
    import onnxruntime
    import pandas
    import yaml
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    held, seed = params["split"], params["train"]["seed"]
    data = pandas.read_csv(file)
    names = [str(name) for name in data if name != target]
    texts = [name for name in names if name.startswith("text")]
    numbers = [name for name in names if name not in texts]
    data[numbers] = data[numbers].astype("float32")
    data[texts] = data[texts].fillna("")
    rest, test = train_test_split(
        data, test_size=held["test"], stratify=data[target], random_state=seed
    )
    share = held["validation"] / (1 - held["test"])
    train, validation = train_test_split(
        rest, test_size=share, stratify=rest[target], random_state=seed
    )
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=numpy.float32)
    model = make_pipeline(
        ColumnTransformer(
            [("numbers", SimpleImputer(strategy="median"), numbers), ("texts", encode, texts)]
        ),
        HistGradientBoostingClassifier(
            **params["estimators"]["boosting"], early_stopping=False, random_state=seed
        ),
    ).fit(train[names], train[target])
    for part in (validation, test):
        truth, said = part[target] == "yes", model.predict_proba(part[names])[:, 1]
        scores = [metric(truth, said) for metric in (roc_auc_score, average_precision_score)]
        print(*scores, log_loss(truth, said), f1_score(truth, said > 0.5))
    some = test.sample(min(params["evaluate"]["importance_rows"], len(test)), random_state=seed)
    permutation_importance(
        model, some[names], some[target], scoring="neg_log_loss", n_repeats=5, random_state=seed
    )
    Path(folder).mkdir(exist_ok=True)
    joblib.dump(model, Path(folder, "model.joblib"))
    kinds = {name: StringTensorType if name in texts else FloatTensorType for name in names}
    converted = to_onnx(
        model,
        initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()],
        options={"zipmap": False},
    ).SerializeToString()
    Path(folder, "model.onnx").write_bytes(converted)
    session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    feed = {name: test[[name]].to_numpy(object if name in texts else None) for name in names}
    served = session.run(None, feed)[1]
    print("largest difference", numpy.abs(served - model.predict_proba(test[names])).max())


def draw(spec: str, target: str) -> None:
    """Draw a picture."""
    import vl_convert

    picture = vl_convert.vegalite_to_svg(Path(spec).read_text(encoding="utf-8"))
    Path(target).write_text(f"{picture}\n", encoding="utf-8")


def _timed(function: Callable[..., Any], spent: dict[str, float], part: str) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            spent[part] += time.perf_counter() - start

    return timed


if __name__ == "__main__":
    tasks: list[Callable[..., None]] = [
        *(facts, rows, floor, report, samples, alone, table, plain, draw),
    ]
    {task.__name__: task for task in tasks}[sys.argv[1]](*sys.argv[2:])
