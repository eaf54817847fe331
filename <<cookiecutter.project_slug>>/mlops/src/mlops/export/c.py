"""C: the model as one C99 file and its header, for machines without an operating system.

No memory is allocated, tables are constants (flash, not RAM), and of the library's functions only
what the model computes with is called. Categories are texts as callers of the server send them;
what is missing is NAN in a number and NULL or "" in a text.
"""

import json
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import InputError
from .program import LABELS, Kind, Program, Step, Value
from .trees import Trees

TYPES: dict[Kind, str] = {
    "float": "float",
    "double": "double",
    "integer": "int64_t",
    "truth": "bool",
    "text": "const char *",
}
# Bytes of each on a machine of 32 bits.
SIZES: dict[Kind, int] = {"float": 4, "double": 8, "integer": 8, "truth": 1, "text": 4}


@dataclass(frozen=True)
class Source:
    """A model in C.

    Attributes:
        header, code: the texts of `model.h` and `model.c`.
        table_bytes: what its tables take, texts in them apart.
    """

    header: str
    code: str
    table_bytes: int


@dataclass(frozen=True)
class Description:
    """What a model in C says of itself, in a comment at its end: whoever runs it reads that.

    Attributes:
        name: what its names begin with.
        inputs: the kind of each column.
        outputs: of each its kind, and how many numbers it has; None for one that is no array.
        metadata: that of the ONNX model which it was made from.
    """

    name: str
    inputs: dict[str, Kind]
    outputs: dict[str, tuple[Kind, int | None]]
    metadata: dict[str, str]

    def comment(self) -> str:
        """As it stands in the code."""
        return f"/* {BEGUN}\n{json.dumps(asdict(self), indent=1).replace('/', SLASH)}\n*/\n"

    @staticmethod
    def of(code: Path) -> "Description":
        """Read it. Raises InputError where there is no such file, or none in it."""
        if not code.is_file():
            raise InputError(f"{code}: no model; `export` makes it, or `mlops fetch`")
        text = code.read_text(encoding="utf-8", errors="replace")
        try:
            return Description(**json.loads(text.rpartition(f"/* {BEGUN}")[2].rpartition("*/")[0]))
        except (ValueError, TypeError):
            raise InputError(f"{code}: not a model in C that says what it is") from None


BEGUN = "what this is:"
# In the place of a slash, which could begin or end a comment.
SLASH = r"\u002f"


def write(model: onnx.ModelProto, name: str, note: str) -> Source:
    """Write a model in C.

    Args:
        model: whose inputs are columns and whose outputs are an answer's.
        name: begins every name that a program which links it can see.
        note: a line that says what it was made from.
    Raises:
        InputError: it has a step that cannot be written in C.
    """
    program = Program.of(model)
    writer = Writer(program.read)
    lines = [line for step in program.steps for line in writer.step(step)]
    metadata = {each.key: each.value for each in model.metadata_props}
    return _source(program, writer, lines, identifier(name), note, metadata)


def identifier(name: str) -> str:
    """`name` as C can write it: letters, digits and underscores, a letter first."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return plain if re.match(r"[A-Za-z]", plain) and plain not in KEYWORDS else f"x_{plain}"


# What a member of a structure may not be called.
KEYWORDS = frozenset(
    {
        *("auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double"),
        *("else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long"),
        *(
            "register",
            "restrict",
            "return",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "switch",
        ),
        *("true", "typedef", "union", "unsigned", "void", "volatile", "while"),
    }
)


class Writer:
    """Writes steps one after the other, and keeps the tables that they read.

    Args:
        read: the names of values that something reads.
    Attributes:
        tables: the constants, as they stand before the function.
        table_bytes: what they take, see SIZES.
        headers: the headers of what is called.
    """

    def __init__(self, read: Set[str]) -> None:
        self._read = read
        self.tables: list[str] = []
        self.table_bytes = 0
        self.headers: set[str] = set()
        self._names: dict[str, str] = {}
        self._known: dict[tuple[Kind, bytes], str] = {}

    def step(self, step: Step) -> Iterator[str]:
        """The statements of a step. Raises InputError where there are none."""
        write = WRITERS.get(step.operator)
        if write is None:
            raise _refused(step)
        for value in step.outputs:
            yield f"{TYPES[value.kind]} {self.name(value)}[{value.size}];"
        yield f"{{ /* {step.operator} */"
        yield from (f"    {line}" for line in write(self, step))
        yield "}"
        for value in step.outputs:
            if value.name not in self._read:  # compilers warn of what is computed for nobody
                yield f"(void){self.name(value)};"

    def name(self, value: Value) -> str:
        """What an array is called in C."""
        if value.constant is not None:
            return self.table(value.kind, value.constant)
        return self._names.setdefault(value.name, f"v{len(self._names)}")

    def table(self, kind: Kind, values: np.ndarray) -> str:
        """The name of a constant array; each is written once."""
        flat = values.ravel() if values.size else np.zeros(1, values.dtype)
        key = kind, repr(flat.tolist()).encode()
        if key not in self._known:
            self._known[key] = name = f"t{len(self._known)}"
            body = ", ".join(literal(kind, each) for each in flat)
            self.table_bytes += SIZES[kind] * len(flat)
            self.tables.append(f"static {_constant(kind)} {name}[{len(flat)}] = {{{body}}};")
        return self._known[key]

    def indices(self, values: np.ndarray) -> str:
        """The name of a constant array of numbers that count from 0, as small as they allow."""
        largest = values.max(initial=0)
        sizes = ((2**8, "uint8_t"), (2**16, "uint16_t"))
        kind = next((kind for end, kind in sizes if largest < end), "uint32_t")
        return self._array(kind, values)

    def numbers(self, values: np.ndarray) -> str:
        """The name of a constant array of numbers that may be below 0."""
        kind = "int16_t" if len(values) == 0 or np.abs(values).max() < 2**15 else "int32_t"
        return self._array(kind, values)

    def _array(self, kind: str, values: np.ndarray) -> str:
        flat = values.ravel().tolist() or [0]  # C has no empty arrays
        name = f"i{len(self.tables)}"
        body = ", ".join(map(str, flat))
        self.tables.append(f"static const {kind} {name}[{len(flat)}] = {{{body}}};")
        self.table_bytes += len(flat) * int(re.sub(r"\D", "", kind)) // 8
        return name

    def call(self, function: str, kind: Kind) -> str:
        """The name of a function of math.h for a kind of number."""
        self.headers.add("math.h")
        return f"{function}f" if kind == "float" else function

    def element(self, value: Value, shape: tuple[int, ...]) -> Callable[[str], str]:
        """How a value's element is written, by the place in an array of that shape.

        By ONNX's rule of broadcasting, which is NumPy's.
        """
        name = self.name(value)
        size = int(np.prod(shape, dtype=int))
        if value.size == size:
            return lambda place: f"{name}[{place}]"
        if value.size == 1:
            return lambda place: f"{name}[0]"
        places = np.broadcast_to(np.arange(value.size).reshape(value.shape), shape)
        index = self.indices(places)
        return lambda place: f"{name}[{index}[{place}]]"


def _constant(kind: Kind) -> str:
    """The type of an array that nothing changes."""
    return "const char *const" if kind == "text" else f"const {TYPES[kind]}"


def literal(kind: Kind, value: object) -> str:
    """A constant as C writes it, exactly."""
    if kind == "text":
        return quoted(str(value))
    if kind in ("integer", "truth"):
        whole = int(value)  # type: ignore[call-overload] # a number of NumPy
        return "INT64_MIN" if whole == -(2**63) else str(whole)
    number = float(value)  # type: ignore[arg-type] # the same
    if np.isnan(number):
        return "MISSING"
    end = "f" if kind == "float" else ""
    if np.isinf(number):
        return f"{'-' if number < 0 else ''}(1.0{end} / 0.0{end})"
    short = np.format_float_scientific(np.dtype(_DTYPES[kind]).type(number), trim="0")
    return f"{short}{end}"


_DTYPES: dict[Kind, str] = {"float": "float32", "double": "float64"}


def quoted(text: str) -> str:
    """A text as C writes it: what is not plain as the octal numbers of its bytes in UTF-8."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def _loop(size: int, body: str) -> str:
    """A statement for each element; `body` has `{i}` for its place."""
    if size == 1:
        return body.replace("{i}", "0")
    return f"for (int i = 0; i < {size}; i++) " + body.replace("{i}", "i")


def _each(expression: str) -> Callable[[Writer, Step], Iterator[str]]:
    """A step that computes each element alone, of one, two or three values: `{a}`, `{b}`, `{c}`."""

    def write(writer: Writer, step: Step) -> Iterator[str]:
        (made,) = step.outputs
        taken = [value for value in step.inputs if value is not None]
        parts = {
            letter: writer.element(value, made.shape)("{i}")
            for letter, value in zip("abc", taken, strict=False)
        }
        text = expression
        for function in re.findall(r"@(\w+)", expression):
            text = text.replace(f"@{function}", writer.call(function, made.kind))
        for letter, part in parts.items():
            text = text.replace(f"{{{letter}}}", part)
        yield _loop(made.size, f"{writer.name(made)}[{{i}}] = {text};")

    return write


def _folded(expression: str) -> Callable[[Writer, Step], Iterator[str]]:
    """A step that puts any number of values together, element by element."""

    def write(writer: Writer, step: Step) -> Iterator[str]:
        (made,) = step.outputs
        out = writer.name(made)
        first, *others = [value for value in step.inputs if value is not None]
        yield _loop(made.size, f"{out}[{{i}}] = {writer.element(first, made.shape)('{i}')};")
        for value in others:
            text = expression.replace("{a}", f"{out}[{{i}}]")
            text = text.replace("{b}", writer.element(value, made.shape)("{i}"))
            yield _loop(made.size, f"{out}[{{i}}] = {text};")

    return write


def _compared(operator: str) -> Callable[[Writer, Step], Iterator[str]]:
    """A step that compares two values: texts as texts."""

    def write(writer: Writer, step: Step) -> Iterator[str]:
        (made,) = step.outputs
        one, other = (writer.element(step.taken(n), made.shape)("{i}") for n in (0, 1))
        text = f"{one} {operator} {other}"
        if step.taken().kind == "text":
            writer.headers.add("string.h")
            text = f"strcmp({one}, {other}) {operator} 0"
        yield _loop(made.size, f"{writer.name(made)}[{{i}}] = {text};")

    return write


def _copy(writer: Writer, step: Step) -> Iterator[str]:
    """Cast, Identity, Reshape: the same elements in their order, as another type of number."""
    (made,), taken = step.outputs, step.taken()
    part = f"{writer.name(taken)}[{{i}}]"
    if made.kind != taken.kind:
        if "text" in (made.kind, taken.kind):
            raise _refused(step, " between a number and a text")
        part = f"{part} != 0" if made.kind == "truth" else f"({TYPES[made.kind]}){part}"
    yield _loop(made.size, f"{writer.name(made)}[{{i}}] = {part};")


def _concat(writer: Writer, step: Step) -> Iterator[str]:
    """Concat along the last axis of a row."""
    (made,), start = step.outputs, 0
    _only(_is_row(made, step.settings["axis"]), step)
    for value in step.inputs:
        assert value is not None
        body = f"{writer.name(made)}[{start} + {{i}}] = {writer.name(value)}[{{i}}];"
        yield _loop(value.size, body.replace("0 + {i}", "{i}") if start == 0 else body)
        start += value.size


def _split(writer: Writer, step: Step) -> Iterator[str]:
    """Split along the last axis of a row."""
    start, taken = 0, writer.name(step.taken())
    _only(_is_row(step.taken(), step.settings.get("axis", 0)), step)
    for made in step.outputs:
        yield _loop(made.size, f"{writer.name(made)}[{{i}}] = {taken}[{start} + {{i}}];")
        start += made.size


# The lists of LabelEncoder by how their names end.
LISTS: dict[str, Kind] = {"strings": "text", "int64s": "integer", "floats": "float"}
# What it says of what it does not know, where nothing else is said.
UNKNOWN = {"strings": "_Unused", "int64s": -1, "floats": -0.0}


def _labelled(writer: Writer, step: Step) -> Iterator[str]:
    """LabelEncoder: what is said of each key, or of all that are none."""
    (made,), taken, told = step.outputs, step.taken(), step.settings
    keys, given = (
        next((name for name in LISTS if f"{what}_{name}" in told), None)
        for what in ("keys", "values")
    )
    if keys is None or given is None:
        raise _refused(step, " without lists of keys and values")
    known, values = (
        writer.table(LISTS[name], np.array(told[f"{what}_{name}"], dtype=object))
        for what, name in (("keys", keys), ("values", given))
    )
    other = literal(made.kind, told.get(f"default_{given[:-1]}", UNKNOWN[given]))
    part, out = f"{writer.name(taken)}[i]", f"{writer.name(made)}[i]"
    same = f"{part} == {known}[j]"
    if taken.kind == "text":
        writer.headers.add("string.h")
        same = f"strcmp({part}, {known}[j]) == 0"
    yield f"for (int i = 0; i < {made.size}; i++) {{"
    yield f"    {out} = {other};"
    yield f"    for (int j = 0; j < {len(told[f'keys_{keys}'])}; j++)"
    yield f"        if ({same}) {{ {out} = {values}[j]; break; }}"
    yield "}"


def _rest(writer: Writer, step: Step) -> Iterator[str]:
    """Mod of whole numbers: the rest has the sign of what is divided by, as in Python."""
    (made,) = step.outputs
    if made.kind != "integer":
        raise _refused(step, " of numbers with a point")
    yield from _each("({a} % {b} + {b}) % {b}")(writer, step)


def _gather(writer: Writer, step: Step) -> Iterator[str]:
    """Gather and ArrayFeatureExtractor: the elements, or rows of a matrix, that another counts."""
    (made,), taken, chosen = step.outputs, step.taken(), step.taken(1)
    is_feature = step.operator == "ArrayFeatureExtractor"
    axis = (len(taken.shape) - 1 if is_feature else step.settings.get("axis", 0)) % len(taken.shape)
    width = int(np.prod(taken.shape[axis + 1 :], dtype=int))
    _only(taken.size == taken.shape[axis] * width, step)
    out, part = writer.name(made), writer.name(taken)
    if chosen.constant is not None:
        counted = np.asarray(chosen.constant, dtype=int).ravel() % taken.shape[axis]
        places = (counted[:, None] * width + np.arange(width)).ravel()
        place = f"{writer.indices(places)}[{{i}}]" if len(places) > 1 else str(places[0])
    elif width == 1:
        place = f"{writer.name(chosen)}[{{i}}]"
    else:
        _only(chosen.size == 1, step)
        place = f"{writer.name(chosen)}[0] * {width} + {{i}}"
    yield _loop(made.size, f"{out}[{{i}}] = {part}[{place}];")


def _only(is_so: bool, step: Step) -> None:
    """Raise InputError where a step has values of a shape that its writer does not take."""
    if not is_so:
        shapes = " and ".join(str(value.shape) for value in step.inputs if value is not None)
        raise _refused(step, f" of values of shape {shapes}")


def _refused(step: Step, how: str = "") -> InputError:
    """That a step cannot be written, and what helps."""
    return InputError(
        f"export: {step.operator}{how} cannot be written in C (it makes {step.outputs[0].name}); "
        "take the feature or step that needs it out, or export to onnx"
    )


def _is_row(value: Value, axis: int = -1) -> bool:
    """Whether all of a value lies along an axis."""
    return not value.shape or value.shape[axis] == value.size


def _imputer(writer: Writer, step: Step) -> Iterator[str]:
    (made,), taken = step.outputs, step.taken()
    fill = np.array(step.settings["imputed_value_floats"], dtype="float32")
    fill = np.broadcast_to(fill, taken.size)
    part = f"{writer.name(taken)}[{{i}}]"
    yield _loop(
        made.size,
        f"{writer.name(made)}[{{i}}] = {part} != {part} ? "
        f"{writer.table('float', fill)}[{{i}}] : {part};",
    )


def _scaler(writer: Writer, step: Step) -> Iterator[str]:
    (made,), taken = step.outputs, step.taken()
    offset, scale = (
        writer.table(
            "float", np.broadcast_to(np.array(step.settings[name], dtype="float32"), taken.size)
        )
        for name in ("offset", "scale")
    )
    yield _loop(
        made.size,
        f"{writer.name(made)}[{{i}}] = "
        f"({writer.name(taken)}[{{i}}] - {offset}[{{i}}]) * {scale}[{{i}}];",
    )


def _one_hot(writer: Writer, step: Step) -> Iterator[str]:
    """OneHotEncoder: zeros everywhere where a category is none of its own."""
    (made,), taken = step.outputs, step.taken()
    of_texts = "cats_strings" in step.settings
    known = step.settings["cats_strings" if of_texts else "cats_int64s"]
    table = writer.table("text" if of_texts else "integer", np.array(known, dtype=object))
    out, part = writer.name(made), writer.name(taken)
    if of_texts:
        writer.headers.add("string.h")
    for number in range(taken.size):
        test = (
            f"strcmp({part}[{number}], {table}[i]) == 0"
            if of_texts
            else f"{part}[{number}] == {table}[i]"
        )
        start = f"{number * len(known)} + " if number else ""
        yield f"for (int i = 0; i < {len(known)}; i++) {out}[{start}i] = {test};"


def _product(writer: Writer, step: Step) -> Iterator[str]:
    """MatMul of a row by a matrix."""
    (made,), taken, matrix = step.outputs, step.taken(), step.taken(1)
    width = made.size
    _only(_is_row(taken) and matrix.size == taken.size * width, step)
    yield f"for (int i = 0; i < {width}; i++) {{"
    yield f"    {TYPES[made.kind]} sum = 0;"
    yield f"    for (int j = 0; j < {taken.size}; j++)"
    yield f"        sum += {writer.name(taken)}[j] * {writer.name(matrix)}[j * {width} + i];"
    yield f"    {writer.name(made)}[i] = sum;"
    yield "}"


def _sum(writer: Writer, step: Step) -> Iterator[str]:
    """ReduceSum of a row to one number."""
    (made,), taken = step.outputs, step.taken()
    _only(made.size == 1, step)
    out = writer.name(made)
    yield f"{out}[0] = 0;"
    yield _loop(taken.size, f"{out}[0] += {writer.name(taken)}[{{i}}];")


def _best(operator: str) -> Callable[[Writer, Step], Iterator[str]]:
    """ArgMax and ArgMin of a row: of equals, the first."""

    def write(writer: Writer, step: Step) -> Iterator[str]:
        (made,), taken = step.outputs, step.taken()
        _only(made.size == 1, step)
        out, part = writer.name(made), writer.name(taken)
        yield f"{out}[0] = 0;"
        yield (
            f"for (int i = 1; i < {taken.size}; i++) "
            f"if ({part}[i] {operator} {part}[{out}[0]]) {out}[0] = i;"
        )

    return write


def _softmax(writer: Writer, step: Step) -> Iterator[str]:
    (made,), taken = step.outputs, step.taken()
    _only(_is_row(made, step.settings.get("axis", -1)), step)
    yield from _softened(writer, made.kind, made.size, writer.name(taken), writer.name(made))


def _softened(writer: Writer, kind: Kind, size: int, part: str, out: str) -> Iterator[str]:
    """Softmax of `size` numbers, the largest subtracted first: see https://onnx.ai/onnx."""
    exp, of = writer.call("exp", kind), TYPES[kind]
    yield "{"
    yield f"    {of} most = {part}[0], sum = 0;"
    yield f"    for (int i = 1; i < {size}; i++) if ({part}[i] > most) most = {part}[i];"
    yield f"    for (int i = 0; i < {size}; i++) sum += {out}[i] = {exp}({part}[i] - most);"
    yield f"    for (int i = 0; i < {size}; i++) {out}[i] /= sum;"
    yield "}"


def _normalizer(writer: Writer, step: Step) -> Iterator[str]:
    """Normalizer with norm L1, of numbers that are not negative."""
    (made,), taken = step.outputs, step.taken()
    if step.settings.get("norm") != "L1":
        raise _refused(step, f" by {step.settings.get('norm')}")
    _only(_is_row(made), step)
    out, part = writer.name(made), writer.name(taken)
    size = made.size
    yield "{"
    yield f"    {TYPES[made.kind]} sum = 0;"
    yield f"    for (int i = 0; i < {size}; i++) sum += {part}[i] < 0 ? -{part}[i] : {part}[i];"
    yield (
        f"    for (int i = 0; i < {size}; i++) {out}[i] = sum > 0 ? {part}[i] / sum : {part}[i];"
    )
    yield "}"


def _linear_classifier(writer: Writer, step: Step) -> Iterator[str]:
    labels, (label, probability) = _labels(step), step.outputs
    scores = probability.size
    yield from _scores(writer, step, scores)
    yield from _best_label(writer, label, labels, "score", scores)
    yield from _turned(writer, step, "score", probability)


def _linear_regressor(writer: Writer, step: Step) -> Iterator[str]:
    (made,) = step.outputs
    yield from _scores(writer, step, made.size)
    yield from _turned(writer, step, "score", made)


def _scores(writer: Writer, step: Step, size: int) -> Iterator[str]:
    """An array `score`: coefficients of a row each, and what they begin with."""
    taken = step.taken()
    weights, start = (
        writer.table("float", np.array(step.settings[name], dtype="float32"))
        for name in ("coefficients", "intercepts")
    )
    if len(step.settings["intercepts"]) != size:
        raise _refused(step, " with one score")
    yield f"float score[{size}];"
    yield f"for (int i = 0; i < {size}; i++) {{"
    yield f"    score[i] = {start}[i];"
    yield f"    for (int j = 0; j < {taken.size}; j++)"
    yield f"        score[i] += {weights}[i * {taken.size} + j] * {writer.name(taken)}[j];"
    yield "}"


def _labels(step: Step) -> np.ndarray:
    for name in LABELS:
        if name in step.settings:
            return np.array(step.settings[name], dtype=object)
    raise _refused(step, " without labels")


def _best_label(
    writer: Writer, label: Value, labels: np.ndarray, part: str, size: int
) -> Iterator[str]:
    table = writer.table(label.kind, labels)
    yield "{"
    yield "    int best = 0;"
    yield f"    for (int i = 1; i < {size}; i++) if ({part}[i] > {part}[best]) best = i;"
    yield f"    {writer.name(label)}[0] = {table}[best];"
    yield "}"


def _turned(writer: Writer, step: Step, part: str, made: Value) -> Iterator[str]:
    """Scores as `post_transform` turns them."""
    out, how = writer.name(made), step.settings.get("post_transform", "NONE")
    match how:
        case "NONE":
            yield _loop(made.size, f"{out}[{{i}}] = {part}[{{i}}];")
        case "LOGISTIC":
            yield _loop(made.size, f"{out}[{{i}}] = {_logistic(writer, f'{part}[{{i}}]')};")
        case "SOFTMAX":
            yield from _softened(writer, "float", made.size, part, out)
        case _:
            raise _refused(step, f" with {how}")


def _logistic(writer: Writer, part: str, kind: Kind = "float") -> str:
    return f"1 / (1 + {writer.call('exp', kind)}(-({part})))"


def _summed(writer: Writer, step: Step, trees: Trees) -> Iterator[str]:
    """An array `score`: what the leaves add up to that a row comes to."""
    taken, width = writer.name(step.taken()), len(trees.start)
    single = trees.single
    columns = writer.indices(trees.columns * 2 + trees.missing)
    thresholds = writer.table("float", trees.thresholds)
    yes, no, roots = (writer.numbers(each) for each in (trees.yes, trees.no, trees.roots))
    start = writer.table("float", trees.start)
    yield f"float score[{width}];"
    yield _loop(width, f"score[{{i}}] = {start}[{{i}}];")
    yield f"for (int tree = 0; tree < {len(trees.roots)}; tree++) {{"
    yield f"    int node = {roots}[tree];"
    yield "    while (node >= 0) {"
    yield f"        const float value = {taken}[{columns}[node] >> 1];"
    yield f"        const bool is_yes = value != value ? {columns}[node] & 1 : "
    yield f"            value {trees.comparison} {thresholds}[node];"
    yield f"        node = is_yes ? {yes}[node] : {no}[node];"
    yield "    }"
    if single is not None:
        weights = writer.table("float", trees.weights.sum(axis=1))
        place = "0" if width == 1 else f"{writer.indices(single)}[tree]"
        yield f"    score[{place}] += {weights}[~node];"
    else:
        weights = writer.table("float", trees.weights)
        yield f"    for (int i = 0; i < {width}; i++) score[i] += {weights}[~node * {width} + i];"
    yield "}"


def _tree_regressor(writer: Writer, step: Step) -> Iterator[str]:
    (made,) = step.outputs
    yield from _summed(writer, step, Trees.of(step))
    yield from _turned(writer, step, "score", made)


def _tree_classifier(writer: Writer, step: Step) -> Iterator[str]:
    """Of two classes trees may have the score of the second one alone, as onnxruntime reads it."""
    trees, labels, (label, probability) = Trees.of(step), _labels(step), step.outputs
    yield from _summed(writer, step, trees)
    if len(trees.start) == len(labels):
        yield from _best_label(writer, label, labels, "score", len(labels))
        yield from _turned(writer, step, "score", probability)
        return
    out = writer.name(probability)
    is_share = bool((trees.weights >= 0).all())
    how = step.settings.get("post_transform", "NONE")
    if is_share:
        yield f"{out}[0] = 1 - score[0];"
        yield f"{out}[1] = score[0];"
    elif how == "LOGISTIC":
        yield f"{out}[0] = {_logistic(writer, '-score[0]')};"
        yield f"{out}[1] = {_logistic(writer, 'score[0]')};"
    else:
        raise _refused(step, f" of one score with {how}")
    table = writer.table(label.kind, labels)
    half = "0.5f" if is_share else "0"
    yield f"{writer.name(label)}[0] = {table}[score[0] > {half}];"


def _sigmoid(writer: Writer, step: Step) -> Iterator[str]:
    (made,), taken = step.outputs, step.taken()
    part = _logistic(writer, f"{writer.name(taken)}[{{i}}]", made.kind)
    yield _loop(made.size, f"{writer.name(made)}[{{i}}] = {part};")


WRITERS: dict[str, Callable[[Writer, Step], Iterator[str]]] = {
    "Abs": _each("@fabs({a})"),
    "Add": _each("{a} + {b}"),
    "And": _each("{a} && {b}"),
    "ArgMax": _best(">"),
    "ArgMin": _best("<"),
    "ArrayFeatureExtractor": _gather,
    "Cast": _copy,
    "Ceil": _each("@ceil({a})"),
    "Concat": _concat,
    "Cos": _each("@cos({a})"),
    "Div": _each("{a} / {b}"),
    "Equal": _compared("=="),
    "Exp": _each("@exp({a})"),
    "Floor": _each("@floor({a})"),
    "Gather": _gather,
    "Greater": _compared(">"),
    "GreaterOrEqual": _compared(">="),
    "Identity": _copy,
    "Imputer": _imputer,
    "IsNaN": _each("{a} != {a}"),
    "Less": _compared("<"),
    "LessOrEqual": _compared("<="),
    "IsInf": _each("{a} == {a} && {a} - {a} != 0"),
    "LabelEncoder": _labelled,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Log": _each("@log({a})"),
    "MatMul": _product,
    "Max": _folded("{b} > {a} || {b} != {b} ? {b} : {a}"),
    "Min": _folded("{b} < {a} || {b} != {b} ? {b} : {a}"),
    "Mod": _rest,
    "Mul": _each("{a} * {b}"),
    "Neg": _each("-{a}"),
    "Normalizer": _normalizer,
    "Not": _each("!{a}"),
    "OneHotEncoder": _one_hot,
    "Or": _each("{a} || {b}"),
    "ReduceSum": _sum,
    "Relu": _each("{a} > 0 ? {a} : 0"),
    "Reshape": _copy,
    "Round": _each("@rint({a})"),
    "Scaler": _scaler,
    "Sigmoid": _sigmoid,
    "Sign": _each("{a} != {a} ? {a} : ({a} > 0) - ({a} < 0)"),
    "Sin": _each("@sin({a})"),
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _each("@sqrt({a})"),
    "Sub": _each("{a} - {b}"),
    "Sum": _folded("{a} + {b}"),
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
    "Tanh": _each("@tanh({a})"),
    "Where": _each("{a} ? {b} : {c}"),
}


def _source(
    program: Program,
    writer: Writer,
    lines: list[str],
    name: str,
    note: str,
    metadata: dict[str, str],
) -> Source:
    """The two texts: a row and an answer as structures, and the function that leads there."""
    members = {value.name: identifier(value.name) for value in program.inputs}
    if len(set(members.values())) < len(members):
        members = {value: f"{member}_{n}" for n, (value, member) in enumerate(members.items())}
    row = [
        f"    {TYPES[value.kind]} {members[value.name]};".replace("* ", "*")
        for value in program.inputs
    ]
    answer = [
        f"    {TYPES[value.kind]} {value.name}{_extent(value)};".replace("* ", "*")
        for value in program.outputs
    ]
    read = [
        f"{_constant(value.kind)} {writer.name(value)}[1] = {{{_member(value, members)}}};"
        for value in program.inputs
    ]
    tell = [
        _loop(
            value.size,
            f"answer->{value.name}{'[{i}]' if _extent(value) else ''} = "
            f"{writer.name(value)}[{{i}}];",
        )
        for value in program.outputs
    ]
    header = HEADER.format(
        note=note,
        name=name,
        guard=f"{name.upper()}_MODEL_H",
        row="\n".join(row),
        answer="\n".join(answer),
        constants="".join(f"{line}\n" for line in _constants(program, name, metadata)),
    )
    description = Description(
        name=name,
        inputs={value.name: value.kind for value in program.inputs},
        outputs={
            value.name: (value.kind, value.size if len(value.shape) > 1 else None)
            for value in program.outputs
        },
        metadata=metadata,
    )
    includes = [f"#include <{each}>" for each in sorted(writer.headers)]
    body = "\n".join(f"    {line}" for line in [*read, *lines, *tell])
    code = CODE.format(
        note=note,
        name=name,
        includes="".join(f"{each}\n" for each in includes),
        tables="\n".join(writer.tables),
        body=body,
    )
    code += description.comment()
    return Source(header, code, writer.table_bytes)


# Where a model comes from: what of its metadata is a constant of the header.
LINEAGE = ("project", "estimator", "contract_sha256", "data_sha256")


def _constants(program: Program, name: str, metadata: dict[str, str]) -> Iterator[str]:
    """The lineage, and the labels of classes in the order of their probabilities."""
    start = name.upper()
    for key in LINEAGE:
        if key in metadata:
            yield f"#define {start}_{key.upper()} {quoted(str(json.loads(metadata[key])))}"
    labels: list[Any] | None = json.loads(metadata.get("classes", "null")) or program.labels
    if labels is not None:
        yield f"#define {start}_CLASSES {len(labels)}"
        yield f"#define {start}_LABELS {{{', '.join(quoted(str(each)) for each in labels)}}}"


def _extent(value: Value) -> str:
    return f"[{value.size}]" if len(value.shape) > 1 else ""


def _member(value: Value, members: dict[str, str]) -> str:
    part = f"row->{members[value.name]}"
    return f'{part} ? {part} : ""' if value.kind == "text" else part


HEADER = """\
/* {note} */
#ifndef {guard}
#define {guard}

#include <stdbool.h>
#include <stdint.h>

{constants}
/* A row: NAN is a number that is missing, NULL or "" a text. */
typedef struct {{
{row}
}} {name}_row;

/* What the model says of it. */
typedef struct {{
{answer}
}} {name}_answer;

void {name}_predict(const {name}_row *row, {name}_answer *answer);

#endif
"""

CODE = """\
/* {note} */
#include "model.h"

{includes}
#define MISSING (0.0f / 0.0f)

{tables}

void {name}_predict(const {name}_row *row, {name}_answer *answer)
{{
{body}
}}
"""
