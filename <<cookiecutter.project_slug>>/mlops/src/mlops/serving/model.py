"""The model behind the protocol: from checked requests to answers, many requests in one call."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from ..errors import InputError
from ..inference import OnnxModel
from ..project import module, takes, wrong
from ..project import shown as a_value
from ..reading import Unreadable
from .errors import Refused, Violation
from .protocol import InferRequest, InferResponse, Tensor, flat
from .settings import Settings
from .signature import Category, Values, columns, readers, shown, signature

# A step before or after the model, on the arrays of a whole batch by name.
Step = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def own_step(name: str, what: str) -> Step:
    """The owner's step of this name, whose results are checked; else one that changes nothing.

    Args:
        name: `before` or `after`.
        what: it is given: inputs, whose types the model insists on, or outputs.
    Raises:
        InputError: it is no function of one argument.
    """
    own = module("hooks")
    if not hasattr(own, name):
        return lambda arrays: arrays
    step: Step = getattr(own, name)
    takes("hooks", name, step, what)

    def checked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = step(dict(arrays))
        if why := _fault(made, arrays, exact=what == "inputs"):
            raise wrong("hooks", name, why)
        return made

    return checked


def _fault(made: Any, given: dict[str, np.ndarray], exact: bool) -> str | None:
    """What is wrong with what a step made of arrays; None where it can stand in their place."""
    if not isinstance(made, dict):
        return f"returns {a_value(made)}; must return a dictionary of arrays by name"
    if gone := [name for name in given if name not in made]:
        return f"returns no {gone[0]}; must return each array that it is given"
    rows = len(next(iter(given.values())))
    for name, array in made.items():
        if array is given.get(name):
            continue  # nearly always: this is done for each batch
        if not isinstance(array, np.ndarray):
            return f"returns {a_value(array)} for {name}; must be an array"
        shape = given[name].shape if name in given else (rows, *array.shape[1:2])
        if array.shape != shape:
            return f"returns {name} of shape {array.shape}; must be {shape}, rows first"
        like = given[name].dtype if name in given else array.dtype
        if array.dtype != like and (exact or array.dtype.kind != like.kind):
            return f"returns {name} of type {array.dtype}; must be {like}"
        if array.dtype.kind != "O" and (array.dtype.kind, array.dtype.itemsize) not in DATATYPES:
            return f"returns {name} of type {array.dtype}; the protocol has no such type"
    return None


@dataclass(slots=True)
class Job:
    """The rows of a request.

    Attributes:
        id: the client's, or one made for it.
        rows: how many.
        columns: the model's inputs in its order, each a list of one value a row.
        others: columns of the contract that the model does not take but the log keeps, such as ids.
        unknown: rows by column, of categories that training never saw.
    """

    id: str
    rows: int
    columns: list[Values]
    others: dict[str, Values] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of some rows: `width` values a row, one after the other."""

    name: str
    datatype: str
    width: int | None
    values: list[Any]

    def of(self, start: int, rows: int) -> Tensor:
        """That of `rows` rows from `start`."""
        if self.width is None:
            some = self.values[start : start + rows]
            return Tensor(name=self.name, datatype=self.datatype, shape=[rows], data=some)
        some = self.values[start * self.width : (start + rows) * self.width]
        return Tensor(name=self.name, datatype=self.datatype, shape=[rows, self.width], data=some)


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that went through the model together.

    Not the jobs themselves: the log keeps many batches for a while, and Python's collector goes
    through the values in their lists again and again, but not through arrays.

    Attributes:
        ids: of the jobs.
        sizes: how many rows each of them has.
        others, unknown: of each job, see Job.
        inputs, outputs: of the model, arrays of all rows.
    """

    ids: list[str]
    sizes: list[int]
    others: list[dict[str, Values]]
    unknown: list[dict[str, int]]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(self.sizes)


class ServedModel:
    """The ONNX model, what it takes and what it is called.

    Attributes:
        name: the project's.
        version: the release's id, else the start of the model file's SHA-256.
        inputs: by name, in the model's order.
        categories: those of the inputs whose values training saw are known.
        others: columns of the contract that may be sent along for the log.
        outputs: what it says of an example row.
        task: what it does: classification, regression or clustering.
    """

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        """Load the model and run it once, so that its first request is as quick as the others.

        Raises InputError: there is no such model, or it does not come from this project's convert.
        """
        self._model = OnnxModel(settings.model, threads)
        self.sha256 = hashlib.sha256(settings.model.read_bytes()).hexdigest()
        self.metadata = self._model.metadata
        try:
            self.name: str = self.metadata["project"]
            self.task: str = self.metadata["task"]
            described = columns(self.metadata["contract"])
            self.inputs = signature(self.metadata["contract"], self.metadata.get("categories"))
            self._readers = readers(self.metadata["contract"])
        except KeyError as missing:
            raise InputError(
                f"{settings.model}: its metadata has no {missing.args[0]}; "
                "serve a model that `uv run dvc repro` made"
            ) from None
        except (TypeError, msgspec.ValidationError) as wrong:
            raise InputError(
                f"{settings.model}: its contract cannot be read: {wrong}; "
                "serve a model that `uv run dvc repro` made"
            ) from None
        self.version = settings.release or self.sha256[:12]
        if list(self.inputs) != list(self._model.inputs):
            raise InputError(f"{settings.model}: its inputs are not those of its contract")
        self.others = {
            name: column
            for name, column in described.items()
            if name not in self.inputs and "target" not in column.role
        }
        self._index = {name: i for i, name in enumerate(self.inputs)}
        self._checks = [
            (each.datatypes, each.check, isinstance(each, Category))
            for each in self.inputs.values()
        ]
        self._known = [
            (name, self._index[name], each.known)
            for name, each in self.inputs.items()
            if isinstance(each, Category) and each.known is not None
        ]
        self.categories = [name for name, *_ in self._known]
        target = [column.kind for column in described.values() if "target" in column.role]
        self._boolean = target == ["boolean"]
        self.max_rows = settings.max_rows
        self._before, self._after = own_step("before", "inputs"), own_step("after", "outputs")
        self.outputs = self._outputs(self.run([self._example()]))

    def job(self, request: InferRequest, id_: str) -> Job:
        """Check a request of the protocol. Raises Refused, naming the input and the row."""
        found: list[Any] = [None] * len(self._checks)
        others: dict[str, Values] = {}
        shape = request.inputs[0].shape if request.inputs else []
        rows = shape[0] if shape else 0
        self._check_rows(rows)
        for tensor in request.inputs:
            values = tensor.data
            if values is None or len(shape) != 1 or tensor.shape != shape or len(values) != rows:
                values = flat(tensor)
                if len(values) != rows:
                    raise Refused(f"input {tensor.name}: {len(values)} rows, others have {rows}")
            i = self._index.get(tensor.name)
            if i is None:
                others[tensor.name] = self._other(tensor.name, values, others)
                continue
            datatypes, check, is_text = self._checks[i]
            if tensor.datatype not in datatypes:
                raise Violation(
                    f"input {tensor.name}: datatype {tensor.datatype:.40}, not "
                    f"{' or '.join(sorted(datatypes))}",
                    tensor.name,
                )
            if found[i] is not None:
                raise Refused(f"input {tensor.name}: given twice")
            if is_text and tensor.datatype != "BYTES":
                values = _numbers_of(tensor, values)
            found[i] = check(values)
        if None in found:
            missing = [name for name, i in self._index.items() if found[i] is None]
            raise Violation(f"inputs missing: {', '.join(missing)}", missing[0])
        asked: set[str] = set()
        for wanted in request.outputs:
            if all(each.name != wanted.name for each in self.outputs):
                names = ", ".join(each.name for each in self.outputs)
                raise Refused(f"output {wanted.name:.60}: there is none; there are {names}")
            if wanted.name in asked:
                raise Refused(f"output {wanted.name}: asked for twice")
            asked.add(wanted.name)
        return Job(id_, rows, found, others, self._unknown(found))

    def job_of_rows(self, rows: list[dict[str, Any]], id_: str) -> Job:
        """Check plain rows: a dictionary each, with every input; further keys are left aside."""
        self._check_rows(len(rows))
        found = []
        for name, each in self.inputs.items():
            try:
                values = [row[name] for row in rows]
            except KeyError:
                row = next(i for i, row in enumerate(rows, 1) if name not in row)
                hint = "; send null where it is missing" if each.column.nullable else ""
                raise Violation(f"row {row}: there is no {name}{hint}", name) from None
            found.append(each.check(values))
        others = {
            name: self._other(name, [row.get(name) for row in rows], {})
            for name in self.others
            if any(name in row for row in rows)
        }
        return Job(id_, len(rows), found, others, self._unknown(found))

    def _unknown(self, columns: list[Values]) -> dict[str, int]:
        """Rows by column, of categories that training never saw."""
        found = {}
        for name, place, known in self._known:
            if not known.issuperset(columns[place]):
                found[name] = sum(value not in known for value in columns[place])
        return found

    def run(self, jobs: Sequence[Job]) -> Batch:
        """Answer jobs in one call of the model."""
        by_column = zip(*(job.columns for job in jobs), strict=True)
        inputs = {
            name: each.array(parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)])
            for (name, each), parts in zip(self.inputs.items(), by_column, strict=True)
        }
        outputs = self._after(self._model.predict(self._before(inputs)))
        if self._boolean:
            outputs["prediction"] = outputs["prediction"].astype(bool)
        return Batch(
            [job.id for job in jobs],
            [job.rows for job in jobs],
            [job.others for job in jobs],
            [job.unknown for job in jobs],
            inputs,
            outputs,
        )

    def answers(self, batch: Batch) -> Iterable[InferResponse]:
        """The response to each job of a batch, in order."""
        outputs, start = self._outputs(batch), 0
        for id_, rows, unknown in zip(batch.ids, batch.sizes, batch.unknown, strict=True):
            tensors = [each.of(start, rows) for each in outputs]
            told = {f"{UNKNOWN}.{name}": n for name, n in unknown.items()} if unknown else {}
            yield InferResponse(self.name, self.version, id_, tensors, told)
            start += rows

    def described(self) -> dict[str, Any]:
        """The protocol's metadata of the model, with its lineage as parameters."""
        lineage = {"release": self.version, "model_sha256": self.sha256}
        lineage |= {name: self.metadata[name] for name in LINEAGE if name in self.metadata}
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "onnx_onnxv1",
            "inputs": [
                {"name": name, "datatype": each.datatype, "shape": [-1]}
                for name, each in self.inputs.items()
            ],
            "outputs": [
                {
                    "name": each.name,
                    "datatype": each.datatype,
                    "shape": [-1] if each.width is None else [-1, each.width],
                }
                for each in self.outputs
            ],
            "parameters": lineage,
        }

    def _outputs(self, batch: Batch) -> list[Output]:
        return [
            Output(
                name,
                DATATYPES[values.dtype.kind, values.dtype.itemsize]
                if values.dtype.kind != "O"
                else "BYTES",
                values.shape[1] if values.ndim == 2 else None,
                values.reshape(-1).tolist(),
            )
            for name, values in batch.outputs.items()
        ]

    def _check_rows(self, rows: int) -> None:
        if not 1 <= rows <= self.max_rows:
            raise Refused(
                f"{rows} rows: send 1 to {self.max_rows} at a time", 413 if rows > 0 else 400
            )

    def _other(self, name: str, values: Values, given: dict[str, Values]) -> Values:
        if name not in self.others:
            known = ", ".join(self.inputs)
            raise Violation(f"input {name:.60}: there is none; there are {known}", "")
        if name in given:
            raise Refused(f"input {name}: given twice")
        read, found = self._readers[name], []
        for row, value in enumerate(values, 1):
            try:
                found.append(read.category(value))
            except Unreadable:
                wrong = f"input {name}, row {row}: {shown(value)} is no single value"
                raise Refused(wrong) from None
        return found

    def _example(self) -> Job:
        values = {"categorical": "", "boolean": False, "numeric": 0.0}
        return Job("", 1, [[values[each.column.kind]] for each in self.inputs.values()])


def _numbers_of(tensor: Tensor, values: Values) -> Values:
    """The values of a tensor of numbers or booleans that are categories. Raises Violation."""
    for row, value in enumerate(values, 1):
        if isinstance(value, str):
            wrong = f"datatype {tensor.datatype}, and row {row} is text: {shown(value)}"
            raise Violation(f"input {tensor.name}: {wrong}", tensor.name)
    short = SHORT.get(tensor.datatype)
    if short is None:
        return values
    return [short(value) if isinstance(value, float) else value for value in values]


# Floats whose digits are few: as a category 0.1 is 0.1, not 0.10000000149011612.
SHORT: dict[str, Callable[[float], Any]] = {"FP16": np.float16, "FP32": np.float32}

# A parameter of the answer for each column that it is true of: how many rows hold a category that
# training never saw.
UNKNOWN = "unknown_categories"

# What of the model's own metadata is told to clients.
LINEAGE = ("task", "estimator", "contract_sha256", "data_sha256", "example")

# The protocol's names of numpy's types.
DATATYPES = {("f", 4): "FP32", ("f", 8): "FP64", ("i", 8): "INT64", ("b", 1): "BOOL"}
