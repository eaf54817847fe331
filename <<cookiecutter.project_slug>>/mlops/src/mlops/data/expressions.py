"""A small language over the columns of a row: `arrived >= departed and carrier in ['UA', 'AA']`.

It is written as Python writes it, and only what stands here is understood: nothing is ever run but
the operations below, on whole columns at once. As in SQL, what is said of a missing value is
unknown, neither true nor false, unless `is missing` asks for it; a number that is not finite, such
as what is divided by zero, and an empty text are missing too.

Rules of contract.yaml and features of features.yaml are written in it. Here Arrow computes what an
expression says; `nodes` says the same to ONNX.
"""

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from itertools import pairwise
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError

# The kinds of columns in a contract, and what is between two moments, kept as seconds.
Kind = Literal["numeric", "categorical", "text", "boolean", "datetime", "duration"]
NAMES: dict[Kind, str] = {
    "numeric": "a number",
    "categorical": "text",
    "text": "text",
    "boolean": "true or false",
    "datetime": "a moment",
    "duration": "a length of time",
}
DAY = 86_400
# Operations within one another; more would be no expression that anybody can read.
DEEPEST = 50
# Seconds that may be added to a moment: more than there are between the first and the last.
LONGEST = 4e11
# Microseconds from 1970 to the first and the last moment that there is: of the years 1 and 9999.
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
# Whole numbers that float64 tells apart.
LARGEST_WHOLE = 2.0**53
# To so many steps of 1 a sine is computed; and what splits 13 bits from a number of float64.
STEPS, SPLIT = 2.0**40, 2.0**13 + 1
# Stands between the texts of a cross.
CROSS = " × "

# In the order of Python's `ast`: quoted text, or a name in backticks that needs them.
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")

Values = Any  # an Arrow array, or a scalar for each row the same
Row = Mapping[str, Values]
# Texts and what stands for each of them: numbers or texts.
Table = Mapping[str, float] | Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Term:
    """A part of an expression: an operation on others, of which each target knows how it is done.

    Attributes:
        kind: of its values.
        operation: `column`, `constant`, or what stands in OPERATIONS.
        terms: what it is done to.
        given: what it is done with beside: a column's name, a constant's value, a pattern.
    """

    kind: Kind
    operation: str
    terms: tuple["Term", ...] = ()
    given: Any = None


@dataclass(frozen=True)
class Expression:
    """An expression that makes sense for the columns of a contract.

    Attributes:
        text: as it was written.
        term: what is to be done.
    """

    text: str
    term: Term

    @property
    def kind(self) -> Kind:
        """The kind of its values."""
        return self.term.kind

    @property
    def columns(self) -> list[str]:
        """The columns that it reads, in the order in which it names them."""
        return columns(self.term)

    def values(self, data: pd.DataFrame) -> pd.Series:
        """Its value for each row of conformed `data`; what is unknown is missing."""
        found = Evaluation(data).array(self.term)
        kind = "boolean" if self.kind == "boolean" else None
        return pd.Series(found.to_pandas(), data.index, dtype=kind)


class Evaluation:
    """What terms come to on some rows, each of them computed once."""

    def __init__(self, data: pd.DataFrame) -> None:
        """Take conformed rows, or a model's inputs: moments are then microseconds from 1970."""
        self._data = data
        self._found: dict[Term, Values] = {}

    def array(self, term: Term) -> pa.Array:
        """The values of a term; null where they are missing."""
        found = self._of(term)
        if isinstance(found, pa.Scalar):
            return pa.array([found.as_py()] * len(self._data), found.type)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def _of(self, term: Term) -> Values:
        if term not in self._found:
            if term.operation == "column":
                self._found[term] = _column(self._data[term.given], term.kind)
            elif term.operation == "constant":
                self._found[term] = _scalar(term)
            else:
                said = [self._of(each) for each in term.terms]
                extra = [] if term.given is None else [term.given]
                self._found[term] = OPERATIONS[term.operation](*said, *extra)
        return self._found[term]


def columns(term: Term) -> list[str]:
    """The columns that a term reads, in the order in which it names them."""
    named = (part.given for part in parts(term) if part.operation == "column")
    return [*dict.fromkeys(named)]


def parts(term: Term) -> Iterator[Term]:
    """A term and all that it is made of, as they are written; what stands twice in it, once."""
    seen: set[Term] = set()
    waiting = [term]
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            yield part
            waiting += reversed(part.terms)


def column(name: str, kind: Kind) -> Term:
    """What reads a column; texts are texts, whether they are categories or not."""
    return Term("categorical" if kind == "text" else kind, "column", given=name)


def parse(text: str, kinds: Mapping[str, Kind], wanted: Kind) -> Expression:
    """The expression in `text`, whose value is of the kind `wanted`.

    Args:
        text: as in contract.yaml.
        kinds: of the columns, by name.
        wanted: the kind that the expression must have.

    Raises:
        InputError: it cannot be read, names what is not there, or compares what cannot be compared.
    """
    found = read(text, {name: column(name, kind) for name, kind in kinds.items()})
    if found.kind != wanted:
        raise InputError(f"`{text}`: is {NAMES[found.kind]}, and must be {NAMES[wanted]}")
    return found


def read(
    text: str, names: Mapping[str, Term], tables: Mapping[str, Table] | None = None
) -> Expression:
    """The expression in `text`, of whatever kind.

    Args:
        text: as in features.yaml.
        names: what a name stands for: a column, or an expression that was read before.
        tables: those that lookup(…) may name.

    Raises:
        InputError: as `parse` does.
    """
    try:
        term = _Reader(names, tables or {}).read(text)
    except InputError as error:
        raise type(error)(f"`{text}`: {error}") from None
    except (SyntaxError, MemoryError, RecursionError, ValueError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "too long or too deep"
        raise InputError(f"`{text}`: cannot be read: {why}") from None
    if not any(part.operation == "column" for part in parts(term)):
        raise InputError(f"`{text}`: names no column")
    return Expression(text, term)


class _Reader:
    """Turns the syntax tree of an expression into a term."""

    def __init__(self, names: Mapping[str, Term], tables: Mapping[str, Table]) -> None:
        self._names = names
        self._tables = tables
        self._quoted: dict[str, tuple[str, bool]] = {}
        self._depth = 0

    def read(self, text: str) -> Term:
        plain = QUOTED.sub(self._keep, " ".join(text.split()) if "\n" in text else text).strip()
        if odd := re.search(r"[#'\"`\\;:@{}]", plain):
            raise InputError(f"{odd[0]} is not understood here")
        return self._term(ast.parse(plain, mode="eval").body)

    def _keep(self, found: re.Match[str]) -> str:
        """A name in the place of what is quoted: text has no escapes, and needs none."""
        name = f"quoted_{len(self._quoted)}__"
        single, double, column = found.groups()
        is_column = column is not None
        self._quoted[name] = (column if is_column else single or double or "", is_column)
        return f" {name} "

    def _term(self, node: ast.expr) -> Term:
        self._depth += 1
        if self._depth > DEEPEST:
            raise InputError("too deep; make two of it")
        term = self._read(node)
        self._depth -= 1
        return term

    def _read(self, node: ast.expr) -> Term:
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Constant(value=bool(value)):
                return _constant("boolean", value)
            case ast.Constant(value=int(value) | float(value)):
                return _number(float(value))
            case ast.BoolOp(op=op, values=values):
                word = "and" if isinstance(op, ast.And) else "or"
                return _joined(word, [self._condition(each) for each in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Term("boolean", "not", (self._condition(operand),))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                term = self._term(operand)
                if term.kind not in ("numeric", "duration"):
                    raise InputError(f"`-` takes a number, not {NAMES[term.kind]}")
                if term.operation == "constant":
                    return _constant(term.kind, -term.given)
                return Term(term.kind, "negate", (term,))
            case ast.BinOp(left=left, op=op, right=right):
                return _arithmetic(type(op), self._term(left), self._term(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                parts = [self._compared(sides[i], op, sides[i + 1]) for i, op in enumerate(ops)]
                return _joined("and", parts)
            case ast.IfExp(test=test, body=body, orelse=other):
                condition = self._condition(test)
                return _alike("if", "if … else", (condition,), self._term(body), self._term(other))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._called(name, arguments)
        raise InputError("only comparisons, arithmetic, `and`, `or`, `not` and functions are known")

    def _name(self, name: str) -> Term:
        text, is_column = self._quoted.get(name, (name, True))
        if not is_column:
            return _constant("categorical", text)
        if name in ("true", "false"):
            return _constant("boolean", name == "true")
        if text not in self._names:
            raise InputError(f"the contract has no column {text}; it has {', '.join(self._names)}")
        return self._names[text]

    def _condition(self, node: ast.expr) -> Term:
        term = self._term(node)
        if term.kind != "boolean":
            raise InputError(f"`and`, `or`, `not` and `if` take conditions, not {NAMES[term.kind]}")
        return term

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Term:
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Name) and right.id == "missing"):
                raise InputError("after `is` comes `missing` or `not missing`; to compare, use ==")
            ask = "is missing" if isinstance(op, ast.Is) else "is not missing"
            return Term("boolean", ask, (self._term(left),))
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple):
                raise InputError("after `in` comes a list: ['UA', 'AA']")
            if not right.elts:
                raise InputError("after `in` comes a list that is not empty")
            found = self._one_of(self._term(left), [self._term(each) for each in right.elts])
            return found if isinstance(op, ast.In) else Term("boolean", "not", (found,))
        return _comparison(type(op), self._term(left), self._term(right))

    def _one_of(self, term: Term, others: list[Term]) -> Term:
        same = [_comparison(ast.Eq, term, each) for each in others]
        if all(each.operation == "constant" for each in others) and term.kind in (
            "numeric",
            "categorical",
        ):
            return Term("boolean", "one of", (term,), [each.given for each in others])
        return _joined("or", same)

    def _called(self, name: str, arguments: list[ast.expr]) -> Term:
        special: dict[str, Callable[[list[ast.expr]], Term]] = {
            "matches": self._matches,
            "part": self._part,
            "lookup": self._lookup,
            "bins": self._bins,
            "cross": self._cross,
            "fill": self._fill,
        }
        if name in special:
            return special[name](arguments)
        if name not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, *special])
            raise InputError(f"no function {name}; there are {known}")
        takes, gives = FUNCTIONS[name]
        terms = [self._term(each) for each in arguments]
        kinds = [each.kind for each in terms]
        if takes == MANY_NUMBERS and len(kinds) > 1:
            takes = takes[:1] * len(kinds)
        if (*kinds,) != takes:
            wanted = ", ".join(NAMES[each] for each in takes)
            given = ", ".join(NAMES[each] for each in kinds) or "nothing"
            raise InputError(f"{name}(…) takes {wanted}, not {given}")
        return Term(gives, name, (*terms,))

    def _text(self, name: str, node: ast.expr) -> Term:
        term = self._term(node)
        if term.kind != "categorical":
            raise InputError(f"{name}(…) takes text, not {NAMES[term.kind]}")
        if term.operation == "constant":
            raise InputError(f"{name}(…) takes the text of a column, not one in quotes")
        return term

    def _quote(self, node: ast.expr) -> str | None:
        """The text that stands in quotes; None for anything else."""
        text, is_column = self._quoted.get(getattr(node, "id", ""), ("", True))
        return None if is_column else text

    def _matches(self, arguments: list[ast.expr]) -> Term:
        """Whether a pattern fits the whole text. RE2 takes no pattern that could run for long."""
        pattern = self._quote(arguments[1]) if len(arguments) == 2 else None
        if pattern is None:
            raise InputError("matches(…) takes a column and a pattern in quotes")
        term = self._text("matches", arguments[0])
        try:
            _matches(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise InputError(f"not a pattern: {error}") from None
        return Term("boolean", "matches", (term,), pattern)

    def _part(self, arguments: list[ast.expr]) -> Term:
        mark = self._quote(arguments[1]) if len(arguments) == 3 else None
        place = self._term(arguments[2]).given if len(arguments) == 3 else None
        if not mark or not isinstance(place, float) or place not in range(100):
            raise InputError("part(…) takes a column, a mark in quotes and a number from 0")
        term = self._text("part", arguments[0])
        return Term("categorical", "part", (term,), (mark, int(place)))

    def _lookup(self, arguments: list[ast.expr]) -> Term:
        name = self._quote(arguments[1]) if len(arguments) == 2 else None
        if name is None:
            raise InputError("lookup(…) takes a column and the name of a table in quotes")
        if name not in self._tables:
            there = f"there are {', '.join(self._tables)}" if self._tables else "there is none"
            raise InputError(f"no table {name}; {there}")
        term, table = self._text("lookup", arguments[0]), self._tables[name]
        of_text = any(isinstance(each, str) for each in table.values())
        return Term("categorical" if of_text else "numeric", "lookup", (term,), table)

    def _bins(self, arguments: list[ast.expr]) -> Term:
        terms = [self._term(each) for each in arguments]
        edges = [each.given for each in terms[1:]]
        numbers = bool(terms) and terms[0].kind == "numeric" and bool(edges)
        if not numbers or not all(isinstance(each, float) for each in edges):
            raise InputError("bins(…) takes a number and the edges: bins(hour, 6, 12, 18)")
        if any(one >= other for one, other in pairwise(edges)):
            raise InputError("bins(…) takes edges in ascending order")
        return Term("numeric", "bins", (terms[0],), edges)

    def _cross(self, arguments: list[ast.expr]) -> Term:
        terms = tuple(self._term(each) for each in arguments)
        for each in terms:
            if each.kind not in ("categorical", "numeric", "boolean"):
                raise InputError(f"cross(…) takes texts and whole numbers, not {NAMES[each.kind]}")
        if len(terms) < 2:
            raise InputError("cross(…) takes two or more")
        return Term("categorical", "cross", terms)

    def _fill(self, arguments: list[ast.expr]) -> Term:
        terms = [self._term(each) for each in arguments]
        if len(terms) != 2:
            raise InputError("fill(…) takes a value that may be missing, and its replacement")
        return _alike("fill", "fill(…)", (), *terms)


def _constant(kind: Kind, value: object) -> Term:
    return Term(kind, "constant", given=value)


def _number(value: float) -> Term:
    if not math.isfinite(value):
        raise InputError("a number is too large")
    return _constant("numeric", value)


def _joined(word: str, terms: list[Term]) -> Term:
    return terms[0] if len(terms) == 1 else Term("boolean", word, (*terms,))


def _alike(operation: str, called: str, before: tuple[Term, ...], one: Term, other: Term) -> Term:
    """An operation that gives one or the other."""
    one, other = _as_moment(one, other), _as_moment(other, one)
    if one.kind != other.kind:
        raise InputError(f"{called} is either {NAMES[one.kind]} or {NAMES[other.kind]}; be one")
    return Term(one.kind, operation, (*before, one, other))


COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def _comparison(op: type[ast.cmpop], left: Term, right: Term) -> Term:
    left, right = _as_moment(left, right), _as_moment(right, left)
    if left.kind != right.kind:
        raise InputError(f"compares {NAMES[left.kind]} with {NAMES[right.kind]}")
    if left.kind == "boolean" and op not in (ast.Eq, ast.NotEq):
        raise InputError("true and false have no order; compare them with == or !=")
    return Term("boolean", COMPARISONS[op], (left, right))


def _as_moment(term: Term, beside: Term) -> Term:
    """Text that stands beside a moment is one, where it reads so: '2013-01-01'."""
    if (term.operation, term.kind, beside.kind) != ("constant", "categorical", "datetime"):
        return term
    try:
        moment = datetime.fromisoformat(term.given)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        why = "is no moment; write 2013-01-31 or 2013-01-31T12:00"
        raise InputError(f"{term.given!r} {why}") from None
    return _constant("datetime", moment)


# What the operators take, and give.
ARITHMETIC: dict[tuple[type[ast.operator], Kind, Kind], tuple[Kind, str]] = {
    (ast.Add, "numeric", "numeric"): ("numeric", "+"),
    (ast.Sub, "numeric", "numeric"): ("numeric", "-"),
    (ast.Mult, "numeric", "numeric"): ("numeric", "*"),
    (ast.Div, "numeric", "numeric"): ("numeric", "/"),
    (ast.Mod, "numeric", "numeric"): ("numeric", "%"),
    (ast.Sub, "datetime", "datetime"): ("duration", "between"),
    (ast.Add, "datetime", "duration"): ("datetime", "later"),
    (ast.Sub, "datetime", "duration"): ("datetime", "earlier"),
    (ast.Add, "duration", "duration"): ("duration", "+"),
    (ast.Sub, "duration", "duration"): ("duration", "-"),
    (ast.Mult, "duration", "numeric"): ("duration", "*"),
    (ast.Div, "duration", "numeric"): ("duration", "/"),
    (ast.Div, "duration", "duration"): ("numeric", "/"),
}
SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}


def _arithmetic(op: type[ast.operator], left: Term, right: Term) -> Term:
    if op not in SIGNS:
        raise InputError(f"of arithmetic, {' '.join(SIGNS.values())} are known")
    left, right = _as_moment(left, right), _as_moment(right, left)
    if (op, left.kind, right.kind) not in ARITHMETIC:
        raise InputError(f"{NAMES[left.kind]} {SIGNS[op]} {NAMES[right.kind]} makes no sense")
    kind, operation = ARITHMETIC[op, left.kind, right.kind]
    return Term(kind, operation, (left, right))


MANY_NUMBERS: tuple[Kind, ...] = ("numeric", "numeric")
OF_MOMENT: tuple[tuple[Kind, ...], Kind] = (("datetime",), "numeric")
OF_NUMBER: tuple[tuple[Kind, ...], Kind] = (("numeric",), "numeric")
# Name → what it takes, and what it gives. That of `min` and `max` may be more numbers than two.
FUNCTIONS: dict[str, tuple[tuple[Kind, ...], Kind]] = {
    **dict.fromkeys(("year", "month", "day", "day_of_year", "weekday"), OF_MOMENT),
    **dict.fromkeys(("hour", "minute", "second"), OF_MOMENT),
    "date": (("datetime",), "datetime"),
    "days": (("numeric",), "duration"),
    "hours": (("numeric",), "duration"),
    "minutes": (("numeric",), "duration"),
    **dict.fromkeys(("abs", "sign", "floor", "ceil", "round"), OF_NUMBER),
    **dict.fromkeys(("sqrt", "log", "log1p", "exp"), OF_NUMBER),
    "min": (MANY_NUMBERS, "numeric"),
    "max": (MANY_NUMBERS, "numeric"),
    "clip": (("numeric", "numeric", "numeric"), "numeric"),
    "cycle_sin": (("numeric", "numeric"), "numeric"),
    "cycle_cos": (("numeric", "numeric"), "numeric"),
    "number": (("boolean",), "numeric"),
    "length": (("categorical",), "numeric"),
    "lower": (("categorical",), "categorical"),
    "ascii_lower": (("categorical",), "categorical"),
    "ascii_upper": (("categorical",), "categorical"),
}


# What Arrow makes of each operation. Numbers are finite or missing, texts not empty or missing.

_NO_NUMBER = pa.scalar(None, pa.float64())
_NO_TEXT = pa.scalar(None, pa.string())


def _finite(values: Values) -> Values:
    """Numbers, of which those that are not finite are unknown."""
    return pc.if_else(pc.is_finite(values), values, _NO_NUMBER)


def _not_empty(values: Values) -> Values:
    return pc.if_else(pc.equal(values, ""), _NO_TEXT, values)


def _column(values: pd.Series, kind: Kind) -> Values:
    """A column of conformed data, or of a model's inputs, as the operations take it."""
    found = pa.array(values, from_pandas=True)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    match kind:
        case "numeric" | "duration":
            return _finite(found.cast(pa.float64()))
        case "boolean":
            if pa.types.is_floating(found.type):
                sound = pc.or_kleene(pc.equal(found, 1.0), pc.equal(found, 0.0))
                return pc.if_else(sound, pc.equal(found, 1.0), pa.scalar(None, pa.bool_()))
            return found.cast(pa.bool_())
        case "datetime":
            if pa.types.is_floating(found.type):
                micro = pc.floor(found)
                inside = pc.and_(
                    pc.greater_equal(micro, float(FIRST)), pc.less(micro, float(LAST + 1))
                )
                found = pc.if_else(inside, micro, _NO_NUMBER).cast(pa.int64(), safe=False)
            return _in_time(found.cast(pa.timestamp("us")))
        case _:
            return _not_empty(found.cast(pa.string()))


def _scalar(term: Term) -> Values:
    if term.kind == "categorical":
        return pa.scalar(term.given or None, pa.string())
    return pa.scalar(term.given, pa.timestamp("us") if term.kind == "datetime" else None)


def _in_time(moments: Values) -> Values:
    """Moments, of which those outside the years 1 to 9999 are unknown."""
    micro = moments.cast(pa.int64())
    inside = pc.and_(pc.greater_equal(micro, FIRST), pc.less_equal(micro, LAST))
    return pc.if_else(inside, moments, pa.scalar(None, pa.timestamp("us")))


def _many(function: Callable[..., Values]) -> Callable[..., Values]:
    """A function of two as one of several."""
    return lambda *values: reduce(function, values)


def _numbers(function: Callable[..., Values]) -> Callable[..., Values]:
    """A function of numbers whose results are finite or unknown."""
    return lambda *values: _finite(function(*values))


_divided = _numbers(pc.divide)
_product = _numbers(pc.multiply)


def _rest(one: Values, other: Values) -> Values:
    whole = _product(other, pc.floor(_divided(one, other)))
    return _finite(pc.subtract(one, whole))


def _between(one: Values, other: Values) -> Values:
    """Seconds from one moment to another."""
    micro = pc.subtract(one, other).cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.divide(micro, 1e6)


def _micro(seconds: Values) -> Values:
    sound = pc.if_else(pc.less(pc.abs(seconds), LONGEST), seconds, _NO_NUMBER)
    return pc.round(pc.multiply(sound, 1e6)).cast(pa.int64()).cast(pa.duration("us"))


def _later(moment: Values, seconds: Values) -> Values:
    return _in_time(pc.add(moment, _micro(seconds)))


def _earlier(moment: Values, seconds: Values) -> Values:
    return _in_time(pc.subtract(moment, _micro(seconds)))


def _part_of_time(name: str) -> Callable[[Values], Values]:
    return lambda moment: getattr(pc, name)(moment).cast(pa.float64())


def _weekday(moment: Values) -> Values:
    """Monday is 1, Sunday 7, as ISO 8601 counts."""
    return pc.day_of_week(moment, count_from_zero=False).cast(pa.float64())


def _either(condition: Values, one: Values, other: Values) -> Values:
    """One or the other, unknown where the condition is."""
    return pc.if_else(condition, one, other)


def _turn(number: Values, period: Values) -> Values:
    """Where in its cycle a number is, as an angle."""
    return pc.multiply(_divided(_rest(number, period), period), 2 * math.pi)


def _cycle(function: Callable[[Values], Values]) -> Callable[..., Values]:
    """A sine or cosine to STEPS of 1: at half a turn, libraries say 0 or 1e-16."""

    def rounded(number: Values, period: Values) -> Values:
        found = function(_turn(number, period))
        return pc.divide(pc.round(pc.multiply(found, STEPS)), STEPS)

    return rounded


def _rounded(function: Callable[[Values], Values]) -> Callable[[Values], Values]:
    """A function whose last bits libraries compute differently, to 40 of 53 bits.

    Dekker, "A floating-point technique for extending the available precision", 1971.
    """

    def rounded(number: Values) -> Values:
        found = function(number)
        large = pc.multiply(found, SPLIT)
        return _finite(pc.subtract(large, pc.subtract(large, found)))

    return rounded


def _one_of(values: Values, others: list[Any]) -> Values:
    choice = pa.array(others)
    if pa.types.is_floating(choice.type):  # a hash tells -0 from 0
        values, choice = pc.add(values, 0.0), pc.add(choice, 0.0)
    found = pc.is_in(values, choice)
    return pc.if_else(pc.is_valid(values), found, pa.scalar(None, pa.bool_()))


def _matches(values: Values, pattern: str) -> Values:
    return pc.match_substring_regex(values, f"^(?:{pattern})$")


def _part(values: Values, given: tuple[str, int]) -> Values:
    mark, place = given
    padded = pc.binary_join_element_wise(values, mark * (place + 1), "")
    return _not_empty(pc.list_element(pc.split_pattern(padded, mark), place))


def _lookup(values: Values, table: Table) -> Values:
    place = pc.index_in(values, pa.array([*table]))
    found = pa.array([*table.values()]).take(place)
    return found if pa.types.is_string(found.type) else _finite(found.cast(pa.float64()))


def _bins(values: Values, edges: list[float]) -> Values:
    """How many edges a number is not below."""
    return reduce(pc.add, (pc.greater_equal(values, each).cast(pa.float64()) for each in edges))


def _cross(*values: Values) -> Values:
    return pc.binary_join_element_wise(*map(_spelled, values), CROSS)


def _spelled(values: Values) -> Values:
    """Values as texts; a number as the whole number that is not above it."""
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "true", "false")
    if pa.types.is_floating(values.type):
        sound = pc.if_else(pc.less(pc.abs(values), LARGEST_WHOLE), values, _NO_NUMBER)
        return pc.floor(sound).cast(pa.int64()).cast(pa.string())
    return values


OPERATIONS: dict[str, Callable[..., Values]] = {
    "and": _many(pc.and_kleene),
    "or": _many(pc.or_kleene),
    "not": pc.invert,
    "is missing": pc.is_null,
    "is not missing": pc.is_valid,
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "one of": _one_of,
    "if": _either,
    "fill": pc.coalesce,
    "+": _numbers(pc.add),
    "-": _numbers(pc.subtract),
    "*": _product,
    "/": _divided,
    "%": _rest,
    "negate": pc.negate,
    "between": _between,
    "later": _later,
    "earlier": _earlier,
    **{
        name: _part_of_time(name)
        for name in ("year", "month", "day", "hour", "minute", "second", "day_of_year")
    },
    "weekday": _weekday,
    "date": partial(pc.floor_temporal, unit="day"),
    "days": lambda number: _product(number, float(DAY)),
    "hours": lambda number: _product(number, 3600.0),
    "minutes": lambda number: _product(number, 60.0),
    "abs": pc.abs,
    "sign": pc.sign,
    "floor": pc.floor,
    "ceil": pc.ceil,
    "round": pc.round,
    "sqrt": _numbers(pc.sqrt),
    "log": _rounded(pc.ln),
    "log1p": _rounded(lambda number: pc.ln(pc.add(number, 1.0))),
    "exp": _rounded(pc.exp),
    "min": partial(pc.min_element_wise, skip_nulls=False),
    "max": partial(pc.max_element_wise, skip_nulls=False),
    "clip": lambda number, low, high: pc.min_element_wise(
        pc.max_element_wise(number, low, skip_nulls=False), high, skip_nulls=False
    ),
    "cycle_sin": _cycle(pc.sin),
    "cycle_cos": _cycle(pc.cos),
    "number": lambda condition: condition.cast(pa.float64()),
    "bins": _bins,
    "length": lambda text: pc.utf8_length(text).cast(pa.float64()),
    "lower": pc.utf8_lower,
    "ascii_lower": pc.ascii_lower,
    "ascii_upper": pc.ascii_upper,
    "matches": _matches,
    "part": _part,
    "lookup": _lookup,
    "cross": _cross,
}
