"""A small language over the columns of a row: `arrived >= departed and carrier in ['UA', 'AA']`.

It is written as Python writes it, and only what stands here is understood: nothing is ever run but
the functions below, on whole columns at once. As in SQL, what is said of a missing value is
unknown, neither true nor false, unless `is missing` asks for it.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .errors import InputError

# The kinds of columns in a contract, and what is between two moments, kept as seconds.
Kind = Literal["numeric", "categorical", "boolean", "datetime", "duration"]
NAMES: dict[Kind, str] = {
    "numeric": "a number",
    "categorical": "text",
    "boolean": "true or false",
    "datetime": "a moment",
    "duration": "a length of time",
}
DAY = 86_400
# Operations within one another; more would be no rule that anybody can read.
DEEPEST = 50
# Seconds whose microseconds an integer holds.
LONGEST = 9e12

# In the order of Python's `ast`: quoted text, or a name in backticks that needs them.
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")

Values = Any  # an Arrow array, or a scalar for each row the same
Row = Mapping[str, Values]


@dataclass(frozen=True)
class Term:
    """A part of an expression: the kind of its values, and how they follow from the columns."""

    kind: Kind
    of: Callable[[Row], Values]


@dataclass(frozen=True)
class Expression:
    """An expression that makes sense for the columns of a contract.

    Attributes:
        text: as it was written.
        kind: of its values.
        columns: those that it reads, in the order in which it names them.
    """

    text: str
    columns: list[str]
    term: Term

    @property
    def kind(self) -> Kind:
        """The kind of its values."""
        return self.term.kind

    def values(self, data: pd.DataFrame) -> pd.Series:
        """Its value for each row of conformed `data`; what is unknown is missing."""
        row = {name: pa.array(data[name], from_pandas=True) for name in self.columns}
        found = self.term.of(row)
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        kind = "boolean" if self.kind == "boolean" else None
        return pd.Series(found.to_pandas(), data.index, dtype=kind)


def parse(text: str, kinds: Mapping[str, Kind], wanted: Kind) -> Expression:
    """The expression in `text`, whose value is of the kind `wanted`.

    Args:
        text: as in contract.yaml.
        kinds: of the columns, by name.
        wanted: the kind that the expression must have.

    Raises:
        InputError: it cannot be read, names what is not there, or compares what cannot be compared.
    """
    reader = _Reader(kinds)
    try:
        term = reader.read(text)
    except InputError as error:
        raise InputError(f"`{text}`: {error}") from None
    except (SyntaxError, MemoryError, RecursionError, ValueError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "too long or too deep"
        raise InputError(f"`{text}`: cannot be read: {why}") from None
    if term.kind != wanted:
        raise InputError(f"`{text}`: is {NAMES[term.kind]}, and must be {NAMES[wanted]}")
    if not reader.columns:
        raise InputError(f"`{text}`: names no column")
    return Expression(text, reader.columns, term)


class _Reader:
    """Turns the syntax tree of an expression into a term."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._quoted: dict[str, tuple[str, bool]] = {}
        self._depth = 0
        self.columns: list[str] = []

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
            raise InputError("too deep; make two rules of it")
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
                return _constant("numeric", float(value))
            case ast.BoolOp(op=op, values=values):
                join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                return _joined(join, [self._condition(each) for each in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _applied("boolean", pc.invert, self._condition(operand))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                term = self._term(operand)
                if term.kind not in ("numeric", "duration"):
                    raise InputError(f"`-` takes a number, not {NAMES[term.kind]}")
                return _applied(term.kind, pc.negate, term)
            case ast.BinOp(left=left, op=op, right=right):
                return _arithmetic(type(op), self._term(left), self._term(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                parts = [self._compared(sides[i], op, sides[i + 1]) for i, op in enumerate(ops)]
                return _joined(pc.and_kleene, parts)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._called(name, arguments)
        raise InputError("only comparisons, arithmetic, `and`, `or`, `not` and functions are known")

    def _name(self, name: str) -> Term:
        text, is_column = self._quoted.get(name, (name, True))
        if not is_column:
            return _constant("categorical", text)
        if name in ("true", "false"):
            return _constant("boolean", name == "true")
        if text not in self._kinds:
            raise InputError(f"the contract has no column {text}; it has {', '.join(self._kinds)}")
        if text not in self.columns:
            self.columns.append(text)
        return Term(self._kinds[text], lambda row: row[text])

    def _condition(self, node: ast.expr) -> Term:
        term = self._term(node)
        if term.kind != "boolean":
            raise InputError(f"`and`, `or` and `not` take conditions, not {NAMES[term.kind]}")
        return term

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Term:
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Name) and right.id == "missing"):
                raise InputError("after `is` comes `missing` or `not missing`; to compare, use ==")
            ask = pc.is_null if isinstance(op, ast.Is) else pc.is_valid
            return _applied("boolean", ask, self._term(left))
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple):
                raise InputError("after `in` comes a list: ['UA', 'AA']")
            same = [self._compared(left, ast.Eq(), each) for each in right.elts]
            if not same:
                raise InputError("after `in` comes a list that is not empty")
            found = _joined(pc.or_kleene, same)
            return found if isinstance(op, ast.In) else _applied("boolean", pc.invert, found)
        return _comparison(type(op), self._term(left), self._term(right))

    def _called(self, name: str, arguments: list[ast.expr]) -> Term:
        if name == "matches":
            return self._matches(arguments)
        if name not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, "matches"])
            raise InputError(f"no function {name}; there are {known}")
        takes, gives, function = FUNCTIONS[name]
        terms = [self._term(each) for each in arguments]
        if [each.kind for each in terms] != [takes]:
            raise InputError(f"{name}(…) takes {NAMES[takes]}")
        return _applied(gives, function, *terms)

    def _matches(self, arguments: list[ast.expr]) -> Term:
        """Whether a pattern fits the whole text. RE2 takes no pattern that could run for long."""
        quoted = [self._quoted.get(getattr(each, "id", ""), ("", True)) for each in arguments]
        if len(quoted) != 2 or quoted[1][1]:
            raise InputError("matches(…) takes a column and a pattern in quotes")
        term, pattern = self._term(arguments[0]), f"^(?:{quoted[1][0]})$"
        if term.kind != "categorical":
            raise InputError(f"matches(…) takes text, not {NAMES[term.kind]}")
        fits = partial(pc.match_substring_regex, pattern=pattern)
        try:
            fits(pa.array([""]))
        except pa.ArrowInvalid as error:
            raise InputError(f"not a pattern: {error}") from None
        return _applied("boolean", fits, term)


def _constant(kind: Kind, value: object) -> Term:
    scalar = pa.scalar(value)
    return Term(kind, lambda _: scalar)


def _applied(kind: Kind, function: Callable[..., Values], *terms: Term) -> Term:
    return Term(kind, lambda row: function(*(each.of(row) for each in terms)))


def _joined(join: Callable[..., Values], terms: list[Term]) -> Term:
    return Term("boolean", lambda row: reduce(join, (each.of(row) for each in terms)))


COMPARISONS: dict[type[ast.cmpop], Callable[..., Values]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}


def _comparison(op: type[ast.cmpop], left: Term, right: Term) -> Term:
    left, right = _as_moment(left, right), _as_moment(right, left)
    if left.kind != right.kind:
        raise InputError(f"compares {NAMES[left.kind]} with {NAMES[right.kind]}")
    if left.kind == "boolean" and op not in (ast.Eq, ast.NotEq):
        raise InputError("true and false have no order; compare them with == or !=")
    return _applied("boolean", COMPARISONS[op], left, right)


def _as_moment(term: Term, beside: Term) -> Term:
    """Text that stands beside a moment is one, where it reads so: '2013-01-01'."""
    if (term.kind, beside.kind) != ("categorical", "datetime"):
        return term
    try:
        value = term.of({})
    except KeyError:  # a column, not what is quoted
        return term
    try:
        moment = datetime.fromisoformat(value.as_py())
    except ValueError:
        why = "is no moment; write 2013-01-31 or 2013-01-31T12:00"
        raise InputError(f"{value.as_py()!r} {why}") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return Term("datetime", lambda _: pa.scalar(moment, pa.timestamp("us")))


def _divided(one: Values, other: Values) -> Values:
    """What is divided by zero is unknown."""
    found = pc.divide(one, other)
    return pc.if_else(pc.is_finite(found), found, None)


def _rest(one: Values, other: Values) -> Values:
    return pc.subtract(one, pc.multiply(other, pc.floor(_divided(one, other))))


def _between(one: Values, other: Values) -> Values:
    """Seconds from one moment to another."""
    micro = pc.subtract(one, other).cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.divide(micro, 1e6)


def _micro(seconds: Values) -> Values:
    sound = pc.if_else(pc.less(pc.abs(seconds), LONGEST), seconds, None)
    return pc.round(pc.multiply(sound, 1e6)).cast(pa.int64()).cast(pa.duration("us"))


def _later(moment: Values, seconds: Values) -> Values:
    return pc.add(moment, _micro(seconds))


def _earlier(moment: Values, seconds: Values) -> Values:
    return pc.subtract(moment, _micro(seconds))


# What the operators take, and give.
ARITHMETIC: dict[tuple[type[ast.operator], Kind, Kind], tuple[Kind, Callable[..., Values]]] = {
    (ast.Add, "numeric", "numeric"): ("numeric", pc.add),
    (ast.Sub, "numeric", "numeric"): ("numeric", pc.subtract),
    (ast.Mult, "numeric", "numeric"): ("numeric", pc.multiply),
    (ast.Div, "numeric", "numeric"): ("numeric", _divided),
    (ast.Mod, "numeric", "numeric"): ("numeric", _rest),
    (ast.Sub, "datetime", "datetime"): ("duration", _between),
    (ast.Add, "datetime", "duration"): ("datetime", _later),
    (ast.Sub, "datetime", "duration"): ("datetime", _earlier),
    (ast.Add, "duration", "duration"): ("duration", pc.add),
    (ast.Sub, "duration", "duration"): ("duration", pc.subtract),
    (ast.Mult, "duration", "numeric"): ("duration", pc.multiply),
    (ast.Div, "duration", "numeric"): ("duration", _divided),
    (ast.Div, "duration", "duration"): ("numeric", _divided),
}
SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}


def _arithmetic(op: type[ast.operator], left: Term, right: Term) -> Term:
    if op not in SIGNS:
        raise InputError(f"of arithmetic, {' '.join(SIGNS.values())} are known")
    left, right = _as_moment(left, right), _as_moment(right, left)
    if (op, left.kind, right.kind) not in ARITHMETIC:
        raise InputError(f"{NAMES[left.kind]} {SIGNS[op]} {NAMES[right.kind]} makes no sense")
    kind, function = ARITHMETIC[op, left.kind, right.kind]
    return _applied(kind, function, left, right)


def _part(name: str) -> Callable[[Values], Values]:
    return lambda moment: getattr(pc, name)(moment).cast(pa.float64())


def _length(text: Values) -> Values:
    return pc.utf8_length(text).cast(pa.float64())


def _weekday(moment: Values) -> Values:
    """Monday is 1, Sunday 7, as ISO 8601 counts."""
    return pc.day_of_week(moment, count_from_zero=False).cast(pa.float64())


# Name → what it takes, what it gives, and how.
FUNCTIONS: dict[str, tuple[Kind, Kind, Callable[[Values], Values]]] = {
    **{
        name: ("datetime", "numeric", _part(name))
        for name in ("year", "month", "day", "hour", "minute")
    },
    "weekday": ("datetime", "numeric", _weekday),
    "date": ("datetime", "datetime", partial(pc.floor_temporal, unit="day")),
    "days": ("numeric", "duration", lambda number: pc.multiply(number, float(DAY))),
    "hours": ("numeric", "duration", lambda number: pc.multiply(number, 3600.0)),
    "minutes": ("numeric", "duration", lambda number: pc.multiply(number, 60.0)),
    "abs": ("numeric", "numeric", pc.abs),
    "length": ("categorical", "numeric", _length),
    "lower": ("categorical", "categorical", pc.utf8_lower),
}
