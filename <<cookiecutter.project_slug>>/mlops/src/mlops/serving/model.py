"""The model behind the protocol: from checked requests to answers, many requests in one call."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from ..data.reading import Unreadable
from ..errors import InputError
from ..inference import TEXT_ROWS, OnnxModel
from ..project import module, takes, wrong
from ..project import shown as a_value
from ..scoring.reasons import Reasons
from . import protocol
from .errors import Refused, Violation
from .protocol import InferRequest, InferResponse, Tensor, Values, flat
from .settings import Settings
from .signature import (
    CATEGORY_CHARACTERS,
    TEXT_CHARACTERS,
    Category,
    columns,
    listed,
    readers,
    shown,
    signature,
)

# Rows that the model is given at a time.
PART_ROWS = 2048

# Bytes that a text takes beside its characters, and a number.
TEXT, NUMBER = 64, 8

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
        text_bytes: that its values may take in memory where they are texts.
        caller: who asks, where that is known.
        explain: how many reasons are wanted for each answer.
    """

    id: str
    rows: int
    columns: list[Values]
    others: dict[str, list[Any]] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    text_bytes: int = 0
    caller: str = ""
    explain: int = 0


class Output:
    """An output of the rows of a batch.

    Attributes:
        datatype: the protocol's name of its type.
        width: values a row; None for one that is no list.
        array: of shape (rows,) or (rows, width).
    """

    __slots__ = ("_values", "array", "datatype", "name", "width")

    def __init__(self, name: str, array: np.ndarray) -> None:
        kind = array.dtype.kind
        self.name = name
        self.datatype = "BYTES" if kind == "O" else DATATYPES[kind, array.dtype.itemsize]
        self.width: int | None = array.shape[1] if array.ndim == 2 else None
        self.array = array
        self._values: list[Any] | None = None

    def shape(self, rows: int) -> list[int]:
        """That of the tensor of so many rows."""
        return [rows] if self.width is None else [rows, self.width]

    def tensor(self, start: int, rows: int) -> Tensor:
        """That of `rows` rows from `start`."""
        values, shape = self.values(start, rows), self.shape(rows)
        return Tensor(name=self.name, datatype=self.datatype, shape=shape, data=values)

    def binary(self, start: int, rows: int) -> tuple[Tensor, bytes]:
        """As `tensor`, with the values beside it."""
        blob = protocol.binary(self.datatype, self.array[start : start + rows].reshape(-1))
        size = {"binary_data_size": len(blob)}
        shape = self.shape(rows)
        return Tensor(name=self.name, datatype=self.datatype, shape=shape, parameters=size), blob

    def values(self, start: int, rows: int) -> list[Any]:
        """Those of `rows` rows from `start`, one after the other."""
        if self._values is None:  # of all the rows at once, many requests' together
            self._values = self.array.reshape(-1).tolist()
        width = self.width or 1
        return self._values[start * width : (start + rows) * width]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says to a job: `rows` rows of the outputs of its batch, from `start`."""

    id: str
    outputs: list[Output]
    start: int
    rows: int
    unknown: dict[str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that went through the model together.

    Not the jobs themselves: the log keeps many batches for a while, and Python's collector goes
    through the values in their lists again and again, but not through arrays.

    Attributes:
        ids: of the jobs.
        sizes: how many rows each of them has.
        others, unknown, callers: of each job, see Job.
        bytes: of memory that it takes at most.
        inputs, outputs: of the model, arrays of all rows.
    """

    ids: list[str]
    sizes: list[int]
    others: list[dict[str, list[Any]]]
    unknown: list[dict[str, int]]
    callers: list[str]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    bytes: int = 0

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(self.sizes)


class ServedModel:
    """The ONNX model, what it takes and what it is called.

    Attributes:
        name: the project's.
        version: the release's id, else the start of the model file's SHA-256.
        inputs: by name, in the model's order; types: of the arrays that it takes, by onnxruntime.
        categories: those of the inputs whose values training saw are known.
        others: columns of the contract that may be sent along for the log.
        outputs: what it says of an example row.
        reasons: explains its answers; None where it cannot, for which `unexplained` is why.
        task: what it does: classification, regression or clustering.
    """

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        """Load the model and run it once, so that its first request is as quick as the others.

        Raises InputError: there is no such model, or it does not come from this project's convert.
        """
        self._model = OnnxModel(settings.model, threads)
        self.sha256 = hashlib.sha256(settings.model.read_bytes()).hexdigest()
        self.metadata, self.types = self._model.metadata, self._model.inputs
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
        self._checks = [each.check_tensor for each in self.inputs.values()]
        self._known = [
            (name, self._index[name], each.known)
            for name, each in self.inputs.items()
            if isinstance(each, Category) and each.known is not None
        ]
        self.categories = [name for name, *_ in self._known]
        target = [column.kind for column in described.values() if "target" in column.role]
        self._boolean = target == ["boolean"]
        self.max_rows = settings.max_rows
        self._row_bytes = 0
        self._before, self._after = own_step("before", "inputs"), own_step("after", "outputs")
        self.outputs = self._outputs(self.run([self._example(1)]))
        texts = len(self.others) + sum(each.dtype is object for each in self.inputs.values())
        texts += sum(each.datatype == "BYTES" for each in self.outputs)
        numbers = len(self.inputs) + sum(each.width or 1 for each in self.outputs)
        self._row_bytes = TEXT * texts + NUMBER * numbers

        self.reasons: Reasons | None = None
        self.unexplained = ""
        try:
            if any(each.name == REASONS for each in self.outputs):
                raise InputError(f"the answers have an output {REASONS} of their own")
            self.reasons = Reasons(_Whole(self))
        except InputError as error:
            self.unexplained = str(error)

    def job(self, request: InferRequest, id_: str) -> Job:
        """Check a request of the protocol. Raises Refused, naming the input and the row."""
        found: list[Any] = [None] * len(self._checks)
        others: dict[str, list[Any]] = {}
        shape = request.inputs[0].shape if request.inputs else []
        rows = shape[0] if shape else 0
        self._check_rows(rows)
        filled = 0
        for tensor in request.inputs:
            values: Values | None = tensor.data
            if values is None or len(shape) != 1 or tensor.shape != shape or len(values) != rows:
                values = flat(tensor)
                if len(values) != rows:
                    raise Refused(f"input {tensor.name}: {len(values)} rows, others have {rows}")
            i = self._index.get(tensor.name)
            if i is None:
                others[tensor.name] = self._other(tensor.name, values, others)
                continue
            if found[i] is not None:
                raise Refused(f"input {tensor.name}: given twice")
            found[i] = self._checks[i](values, tensor.datatype)
            filled += 1
        if filled < len(found):
            missing = [name for name, i in self._index.items() if found[i] is None]
            raise Violation(f"inputs missing: {', '.join(missing)}", missing[0])
        asked: set[str] = set()
        for wanted in request.outputs or ():
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
                hint = "; send null where it is missing" if each.column.optional else ""
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
        outputs = self.said(inputs)
        if self._boolean:
            outputs["prediction"] = outputs["prediction"].astype(bool)
        return Batch(
            [job.id for job in jobs],
            [job.rows for job in jobs],
            [job.others for job in jobs],
            [job.unknown for job in jobs],
            [job.caller for job in jobs],
            inputs,
            outputs,
            sum(job.text_bytes + job.rows * self._row_bytes for job in jobs),
        )

    def said(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model says, with the owner's steps around it."""
        return self._after(self._predict(self._before(inputs)))

    def explained(self, batch: Batch, count: int) -> Output:
        """At most so many reasons for each answer of a batch, and empty texts after them."""
        assert self.reasons is not None
        found = self.reasons.of(batch.inputs, count)
        texts = np.full((batch.rows, count), "", dtype=object)
        for row, told in enumerate(found):
            texts[row, : len(told)] = told
        return Output(REASONS, texts)

    def _predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model says; of many rows in parts, so that what it takes has an end."""
        rows = len(next(iter(inputs.values())))
        if rows <= PART_ROWS:
            return self._model.predict(inputs)
        parts = [
            self._model.predict(
                {name: array[at : at + PART_ROWS] for name, array in inputs.items()}
            )
            for at in range(0, rows, PART_ROWS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def answers(self, batch: Batch) -> Iterable[Answer]:
        """The answer to each job of a batch, in order."""
        outputs, start = self._outputs(batch), 0
        for id_, rows, unknown in zip(batch.ids, batch.sizes, batch.unknown, strict=True):
            yield Answer(id_, outputs, start, rows, unknown)
            start += rows

    def response(self, answer: Answer, tensors: list[Tensor] | None = None) -> InferResponse:
        """The protocol's form of an answer: with these tensors, else with all of its outputs."""
        if tensors is None:
            tensors = [each.tensor(answer.start, answer.rows) for each in answer.outputs]
        unknown = answer.unknown
        told = {f"{UNKNOWN}.{name}": n for name, n in unknown.items()} if unknown else {}
        return InferResponse(self.name, self.version, answer.id, tensors, told)

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
                {"name": each.name, "datatype": each.datatype, "shape": each.shape(-1)}
                for each in self.outputs
            ],
            "parameters": lineage,
        }

    def _outputs(self, batch: Batch) -> list[Output]:
        return [Output(name, array) for name, array in batch.outputs.items()]

    def _check_rows(self, rows: int) -> None:
        if not 1 <= rows <= self.max_rows:
            raise Refused(
                f"{rows} rows: send 1 to {self.max_rows} at a time", 413 if rows > 0 else 400
            )

    def _other(self, name: str, values: Values, given: dict[str, list[Any]]) -> list[Any]:
        if name not in self.others:
            known = ", ".join(self.inputs)
            raise Violation(f"input {name:.60}: there is none; there are {known}", "")
        if name in given:
            raise Refused(f"input {name}: given twice")
        read, found = self._readers[name], []
        for row, value in enumerate(listed(values), 1):
            try:
                text = read.category(value)
            except Unreadable:
                wrong = f"input {name}, row {row}: {shown(value)} is no single value"
                raise Refused(wrong) from None
            if text is not None and len(text) > CATEGORY_CHARACTERS:
                wrong = f"has more than {CATEGORY_CHARACTERS} characters"
                raise Refused(f"input {name}, row {row}: {shown(value)} {wrong}")
            found.append(text)
        return found

    def is_example(self, job: Job) -> bool:
        """Whether all rows are the one that the model carries, which smoke and load ask for."""
        row = self.metadata.get("example", {}).get("row")
        if row is None:
            return False
        example = self.job_of_rows([row], "").columns
        return all(
            listed(found) == listed(expected) * job.rows
            for found, expected in zip(job.columns, example, strict=True)
        )

    def warm(self) -> None:
        """Take what memory the model takes for a call, at most: what is left can be shared out."""
        self.run([self._example(PART_ROWS)])

    def _example(self, rows: int) -> Job:
        one = {"boolean": False, "numeric": 0.0, "datetime": 0.0, "categorical": ""}
        columns: dict[str, list[Any]] = {kind: [value] * rows for kind, value in one.items()}
        # The most words that there may be, in as many rows as are answered at once.
        longest = ["a " * (TEXT_CHARACTERS // 2)] * min(rows, TEXT_ROWS)
        columns["text"] = longest + [""] * (rows - len(longest))
        return Job("", rows, [columns[each.column.kind] for each in self.inputs.values()])


class _Whole:
    """A served model as those see it who ask it: the owner's steps are a part of what it says."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self.inputs = model.types
        self.metadata = model.metadata

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._model.said(columns)


# The output that a request gets beside the model's own where it asks for reasons.
REASONS = "reasons"

# A parameter of the answer for each column that it is true of: how many rows hold a category that
# training never saw.
UNKNOWN = "unknown_categories"

# What of the model's own metadata is told to clients.
LINEAGE = ("task", "estimator", "contract_sha256", "data_sha256", "example")

# The protocol's names of numpy's types.
DATATYPES = {("f", 4): "FP32", ("f", 8): "FP64", ("i", 8): "INT64", ("b", 1): "BOOL"}
