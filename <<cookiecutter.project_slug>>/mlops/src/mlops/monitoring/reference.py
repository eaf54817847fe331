"""What a release was made of: its training rows, and what its model says of its test rows."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ..config.monitoring import Monitoring
from ..config.params import Params
from ..config.section import Task
from ..data.contract import Column, Contract, conform
from ..data.inputs import target_values
from ..errors import InputError
from ..git.revision import Revision
from ..inference import OnnxModel
from ..judging.comparison import obtain, onnx_file
from ..learning.metrics import Scored
from ..paths import ONNX, PARTS
from ..release.state import Release
from ..scoring.predict import answers
from .drift import of_missing, of_values
from .sketch import Sketch, sketch


@dataclass(frozen=True)
class Watched:
    """A column that is compared with the reference.

    Attributes:
        column: what it holds.
        is_output: whether the model says it.
        sketch: what it looks like in the reference.
        usual, usual_missing: the largest distance of a window of the reference from the rest of it,
            of the values and of the share that is missing; 0 where it has no such windows. The
            model knows such weeks, so that none of them is news.
    """

    column: Column
    is_output: bool
    sketch: Sketch
    usual: float
    usual_missing: float


@dataclass(frozen=True)
class Reference:
    """What live rows are held against.

    Attributes:
        release: what it is of.
        task, contract, classes: of its model.
        watched: columns by name, inputs first.
        rows: training rows and test rows.
        test: what the model says of the test rows, and what is true; None for clustering.
        said: the outputs that metrics take, with their types; none for clustering.
        slices: of the test rows, the columns with role slice or sensitive.
    """

    release: Release
    task: Task
    contract: Contract
    classes: list[str]
    watched: dict[str, Watched]
    rows: tuple[int, int]
    test: Scored | None
    said: dict[str, pa.DataType]
    slices: dict[str, pa.Array]


def reference(release: Release, params: Params) -> Reference:
    """Fetch what a release was made of, or make it again where no store has it.

    Raises InputError where that cannot be had, or is for another task than params.yaml.
    """
    commit = Revision(release.git_sha)
    with tempfile.TemporaryDirectory() as folder:
        # Only the candidate has not seen the test rows. But clusters are numbered anew by each
        # training, so that only the model that is served gives them the numbers that are logged.
        file = ONNX if params.task == "clustering" else onnx_file(commit)
        wanted = [file, PARTS["train"], PARTS["test"]]
        files = obtain(commit, wanted, Path(folder, "release")).files
        model = OnnxModel(files[file])
        contract = Contract.parse(model.metadata["contract"])
        train, test = (
            conform(pd.read_parquet(files[PARTS[part]]), contract) for part in ("train", "test")
        )
    if model.metadata["task"] != params.task:
        raise InputError(
            f"{release.id} is for {model.metadata['task']}, and params.yaml for {params.task}"
        )
    return describe(release, params, model, train, test)


def contract_of(release: Release) -> Contract:
    """The contract that a release's model carries. Raises InputError where it cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        files = obtain(Revision(release.git_sha), [ONNX], Path(folder, "release")).files
        return Contract.parse(OnnxModel(files[ONNX]).metadata["contract"])


def describe(
    release: Release, params: Params, model: OnnxModel, train: pd.DataFrame, test: pd.DataFrame
) -> Reference:
    """What conformed rows and a model make for a reference."""
    contract = Contract.parse(model.metadata["contract"])
    classes = model.metadata.get("classes") or []
    told = answers(model, contract, test)
    how, watched = params.monitoring, {}
    windows = list(_windows(train, contract, how))
    for name in contract.features:
        # Time goes on: moments are always others than those that were trained on; so are texts.
        is_always_new = contract.columns[name].kind in ("datetime", "text")
        if not contract.columns[name].redact and not is_always_new:
            values = arrow(train[name])
            watched[name] = _watched(contract.columns[name], False, values, windows)
    windows = list(_windows(test, contract, how))
    for name, column in _outputs(contract, params.task, classes).items():
        watched[name] = _watched(column, True, told[name], windows)
    truth = target_values(test, contract)
    compared = dict.fromkeys([*contract.with_role("slice"), *contract.with_role("sensitive")])
    return Reference(
        release=release,
        task=params.task,
        contract=contract,
        classes=classes,
        watched=watched,
        rows=(len(train), len(test)),
        test=None if truth is None else scored(told, truth, contract, classes),
        said={} if truth is None else {name: each.type for name, each in told.items()},
        slices={name: arrow(test[name]) for name in compared},
    )


def _outputs(contract: Contract, task: Task, classes: list[str]) -> dict[str, Column]:
    """The model's outputs that are watched, named as in the log."""
    kind = contract.columns[contract.target].kind if contract.target else "categorical"
    found = {"prediction": Column(kind=kind, role=["target"])}
    # Of two classes one says it all.
    for name in classes[-1:] if len(classes) == 2 else classes:
        found[f"probability_{name}"] = Column(kind="numeric", role=["target"])
    return found


def arrow(values: pd.Series) -> pa.Array:
    """A conformed column as the log would have it."""
    return pa.array(values, from_pandas=True)


def _windows(data: pd.DataFrame, contract: Contract, how: Monitoring) -> Iterator[np.ndarray]:
    """Row numbers of each window of the data's own time that is large enough to be judged."""
    if contract.time is None:
        return
    times = data[contract.time]
    number = (times.max() - times) // pd.Timedelta(days=how.window_days)
    for rows in number.groupby(number.to_numpy()).indices.values():
        if how.minimum_rows <= len(rows) < len(data):
            yield np.asarray(rows)


def _watched(
    column: Column, is_output: bool, values: pa.Array, windows: list[np.ndarray]
) -> Watched:
    whole = sketch(column, values)
    usual = usual_missing = 0.0
    for rows in windows:
        part = whole.empty()
        part.add(values.take(pa.array(rows)))
        rest = whole.minus(part)  # type: ignore[arg-type]
        found = of_values(rest, part)
        usual = max(usual, found.distance if found else 0.0)
        usual_missing = max(usual_missing, of_missing(rest, part).distance)
    return Watched(column, is_output, whole, usual, usual_missing)


def scored(
    columns: dict[str, pa.Array], truth: np.ndarray, contract: Contract, classes: list[str]
) -> Scored:
    """Rows of the log beside what turned out to be true, for metrics.

    Args:
        columns: the model's outputs, named as in the log.
        truth: as inputs.target_values.
        contract, classes: of the model.
    """
    boolean = contract.columns[contract.target or ""].kind == "boolean"
    prediction = columns["prediction"].to_numpy(zero_copy_only=False)
    outputs = {"prediction": prediction}
    of_classes = None
    if classes:
        of_classes = np.arange(2) if boolean else np.asarray(classes)
        outputs["prediction"] = prediction.astype(of_classes.dtype)
        outputs["probability"] = np.column_stack(
            [columns[f"probability_{name}"].to_numpy(zero_copy_only=False) for name in classes]
        )
    for name in ("lower", "upper"):
        if name in columns:
            outputs[name] = columns[name].to_numpy(zero_copy_only=False)
    return Scored(outputs, truth, of_classes)
