"""What `expressions` means, said to ONNX: nodes that compute of a model's inputs what Arrow does.

Numbers are computed in float64, as Arrow has them, and are float32 at the end. Shapes are (rows, 1)
throughout; constants are of shape (1,).

- A number or a length of time is float64; NaN where it is missing.
- A condition is two edges: whether it is true, whether it is false; neither where it is unknown.
- A text is a text; "" where it is missing.
- A moment is int64, microseconds from 1970; MISSING where it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..data.checks import LARGEST
from ..data.expressions import CROSS, DAY, FIRST, LARGEST_WHOLE, LAST, LONGEST, SPLIT, STEPS, Term

MISSING = np.iinfo(np.int64).min
# What is computed of numbers below is finite for certain.
CERTAIN = 1e300
MICRO = 1_000_000
DAYS = DAY * MICRO
EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Number:
    """Float64 values.

    Attributes:
        edge: that has them.
        limit: no number is farther from 0; infinite where that is not known.
        least: none is nearer to 0.
    """

    edge: str
    limit: float = math.inf
    least: float = 0.0


@dataclass(frozen=True)
class Condition:
    """Whether something is true, and whether it is false; never both, neither where it is unknown.

    Attributes:
        true, false: edges of booleans.
    """

    true: str
    false: str


@dataclass(frozen=True)
class Text:
    """Texts, "" where one is missing."""

    edge: str


@dataclass(frozen=True)
class Moment:
    """Microseconds from 1970, MISSING where one is."""

    edge: str


class Nodes:
    """Nodes in the making: those that would do the same are one.

    Attributes:
        nodes: in the order in which they are computed.
        initializers: the constants that they take.
    """

    def __init__(self, inputs: dict[str, str], numbers: list[str]) -> None:
        """Take the model's inputs.

        Args:
            inputs: the edges of the columns, by name: float32 numbers and booleans, texts, and
                moments as float64.
            numbers: the columns of numbers that are read.
        """
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._inputs = inputs
        self._edges: dict[Any, str] = {}
        self._made: dict[Term, Any] = {}
        self._numbers = self._wide(numbers) if numbers else {}

    def _wide(self, numbers: list[str]) -> dict[str, Number]:
        """The columns of numbers as float64, in one go: each node costs a server its time."""
        joined = self._joined([self._inputs[name] for name in numbers])
        wide = self._finite(self.add("Cast", joined, to=TensorProto.DOUBLE), math.inf)
        edges = [f"declared/column {name}" for name in numbers]
        self._parted(wide.edge, edges)
        return {name: Number(edge, LARGEST) for name, edge in zip(numbers, edges, strict=True)}

    def _joined(self, edges: list[str]) -> str:
        return edges[0] if len(edges) == 1 else self.add("Concat", *edges, axis=1)

    def _parted(self, edge: str, edges: list[str]) -> None:
        """Let edges have a column each of what one has."""
        if len(edges) == 1:
            node = helper.make_node("Identity", [edge], edges)
        else:
            node = helper.make_node("Split", [edge], edges, axis=1, num_outputs=len(edges))
        self.nodes.append(node)

    def outputs(self, terms: dict[str, Term]) -> None:
        """Let edges of these names have what the model learns from: float32, or text."""
        numbers: dict[str, Number] = {}
        for name, term in terms.items():
            made = self.of(term)
            if isinstance(made, Text):
                self.nodes.append(helper.make_node("Identity", [made.edge], [name]))
            else:
                numbers[name] = self._as_number(made) if isinstance(made, Condition) else made
        if not numbers:
            return
        edge = self._joined([each.edge for each in numbers.values()])
        if any(each.limit > LARGEST for each in numbers.values()):
            small = self.add("LessOrEqual", self.add("Abs", edge), self.number(LARGEST))
            edge = self.add("Where", small, edge, self.number(math.nan))
        self._parted(self.add("Cast", edge, to=TensorProto.FLOAT), [*numbers])

    def of(self, term: Term) -> Any:
        """What has the values of a term: a Number, Condition, Text or Moment."""
        if term not in self._made:
            if term.operation == "column":
                self._made[term] = self._column(term)
            elif term.operation == "constant":
                self._made[term] = self._constant(term)
            else:
                self._made[term] = self._operation(term)
        return self._made[term]

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The edge of an operator's output."""
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._edges:
            self._edges[key] = edge = f"declared/{len(self._edges)}"
            self.nodes.append(helper.make_node(operator, [*inputs], [edge], **attributes))
        return self._edges[key]

    def constant(self, value: np.ndarray) -> str:
        """The edge of a constant."""
        key = (
            value.dtype.str,
            value.shape,
            value.tobytes() if value.dtype != object else str(value.tolist()),
        )
        if key not in self._edges:
            self._edges[key] = edge = f"declared/{len(self._edges)}"
            self.initializers.append(numpy_helper.from_array(value, edge))
        return self._edges[key]

    def number(self, value: float) -> str:
        """The edge of a number."""
        return self.constant(np.array([value], dtype=np.float64))

    def whole(self, value: int) -> str:
        """The edge of a whole number."""
        return self.constant(np.array([value], dtype=np.int64))

    def text(self, value: str) -> str:
        """The edge of a text."""
        return self.constant(np.array([value], dtype=object))

    def _column(self, term: Term) -> Any:
        edge = self._inputs[term.given]
        match term.kind:
            case "categorical":
                return Text(edge)
            case "datetime":
                return self._moment(self.add("Floor", edge))
            case "boolean":
                one, nothing = (self.constant(np.array([x], np.float32)) for x in (1, 0))
                return Condition(self.add("Equal", edge, one), self.add("Equal", edge, nothing))
            case _:
                return self._numbers[term.given]

    def _moment(self, micro: str) -> Moment:
        """Whole microseconds in float64 as a moment, missing outside the years 1 to 9999."""
        inside = self.add(
            "And",
            self.add("GreaterOrEqual", micro, self.number(FIRST)),
            self.add("Less", micro, self.number(LAST + 1)),
        )
        sound = self.add("Where", inside, micro, self.number(0))
        found = self.add("Cast", sound, to=TensorProto.INT64)
        return Moment(self.add("Where", inside, found, self.whole(MISSING)))

    def _constant(self, term: Term) -> Any:
        match term.kind:
            case "categorical":
                return Text(self.text(term.given))
            case "datetime":
                return Moment(self.whole((term.given - EPOCH) // timedelta(microseconds=1)))
            case "boolean":
                yes, no = (self.constant(np.array([x])) for x in (term.given, not term.given))
                return Condition(yes, no)
            case _:
                return Number(self.number(term.given), abs(term.given), abs(term.given))

    def _finite(self, edge: str, limit: float) -> Number:
        """Numbers, missing where they are not finite; nothing is done where the limit says so."""
        if limit < CERTAIN:
            return Number(edge, limit)
        return Number(self.add("Where", self.add("IsInf", edge), self.number(math.nan), edge))

    def _operation(self, term: Term) -> Any:
        made = [self.of(each) for each in term.terms]
        operation = term.operation
        if operation in EQUALITIES or operation in ORDERS:
            return self._compared(operation, *made)
        if operation in MOMENTS:
            return MOMENTS[operation](self, *made)
        method: Callable[..., Any] = METHODS[operation]
        return method(self, *made) if term.given is None else method(self, *made, term.given)

    # Conditions.

    def _and(self, *made: Condition) -> Condition:
        return reduce(
            lambda one, other: Condition(
                self.add("And", one.true, other.true), self.add("Or", one.false, other.false)
            ),
            made,
        )

    def _or(self, *made: Condition) -> Condition:
        return self._not(self._and(*map(self._not, made)))

    def _not(self, made: Condition) -> Condition:
        return Condition(made.false, made.true)

    def _is_missing(self, made: Any) -> Condition:
        missing = self._missing(made)
        return Condition(missing, self.add("Not", missing))

    def _is_not_missing(self, made: Any) -> Condition:
        return self._not(self._is_missing(made))

    def _missing(self, made: Any) -> str:
        match made:
            case Number(edge=edge):
                return self.add("IsNaN", edge)
            case Text(edge=edge):
                return self.add("Equal", edge, self.text(""))
            case Moment(edge=edge):
                return self.add("Equal", edge, self.whole(MISSING))
            case Condition(true=true, false=false):
                return self.add("Not", self.add("Or", true, false))
        raise AssertionError(made)

    def _compared(self, sign: str, one: Any, other: Any) -> Condition:
        if isinstance(one, Number):  # no comparison holds of NaN
            if sign in EQUALITIES:
                true = self.add("Equal", one.edge, other.edge)
                false = self.add(
                    "Or",
                    self.add("Less", one.edge, other.edge),
                    self.add("Greater", one.edge, other.edge),
                )
                return Condition(true, false) if sign == "==" else Condition(false, true)
            holds, fails = ORDERS[sign]
            return Condition(
                self.add(holds, one.edge, other.edge), self.add(fails, one.edge, other.edge)
            )
        if isinstance(one, Condition):
            same = self._or(self._and(one, other), self._and(self._not(one), self._not(other)))
            return same if sign == "==" else self._not(same)
        if sign in EQUALITIES:
            holds = self.add("Equal", one.edge, other.edge)
        else:
            holds = self.add(ORDERS[sign][0], one.edge, other.edge)
        known = self._known(one, other)
        found = Condition(
            self.add("And", holds, known), self.add("And", self.add("Not", holds), known)
        )
        return self._not(found) if sign == "!=" else found

    def _known(self, *made: Any) -> str:
        return self.add("Not", reduce(lambda a, b: self.add("Or", a, b), map(self._missing, made)))

    def _one_of(self, made: Any, others: list[Any]) -> Condition:
        if isinstance(made, Text):
            keys = [*dict.fromkeys(others)]
            place = self._place(made, keys)
            found = self.add("Less", place, self.whole(len(keys)))
        else:
            same = self.add("Equal", made.edge, self.constant(np.array([others], np.float64)))
            count = self.add("Cast", same, to=TensorProto.INT64)
            axis = self.whole(1)
            found = self.add("Greater", self.add("ReduceSum", count, axis), self.whole(0))
        known = self._known(made)
        return Condition(
            self.add("And", found, known), self.add("And", self.add("Not", found), known)
        )

    def _place(self, made: Text, keys: list[str]) -> str:
        """Where a text stands among keys; how many there are where it does not."""
        return self.add(
            "LabelEncoder",
            made.edge,
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=[*range(len(keys))],
            default_int64=len(keys),
        )

    def _either(self, condition: Condition, one: Any, other: Any) -> Any:
        return self._chosen(condition.true, one, self._chosen(condition.false, other, None, one))

    def _fill(self, one: Any, other: Any) -> Any:
        return self._chosen(self._missing(one), other, one)

    def _chosen(self, where: str, one: Any, other: Any, like: Any = None) -> Any:
        """One where an edge is true, else the other; None is what is missing, of a kind like it."""
        if other is None:
            other = self._nothing(like)
        if isinstance(one, Condition):
            return Condition(
                *(
                    self.add(
                        "Or",
                        self.add("And", where, yes),
                        self.add("And", self.add("Not", where), no),
                    )
                    for yes, no in ((one.true, other.true), (one.false, other.false))
                )
            )
        edge = self.add("Where", where, one.edge, other.edge)
        if isinstance(one, Number):
            return Number(edge, max(one.limit, other.limit))
        return type(one)(edge)

    def _nothing(self, like: Any) -> Any:
        match like:
            case Number():
                return Number(self.number(math.nan), 0)
            case Text():
                return Text(self.text(""))
            case Moment():
                return Moment(self.whole(MISSING))
        no = self.constant(np.array([False]))
        return Condition(no, no)

    # Numbers.

    def _sum(self, one: Number, other: Number) -> Number:
        return self._finite(self.add("Add", one.edge, other.edge), one.limit + other.limit)

    def _difference(self, one: Number, other: Number) -> Number:
        return self._finite(self.add("Sub", one.edge, other.edge), one.limit + other.limit)

    def _product(self, one: Number, other: Number) -> Number:
        limit = one.limit * other.limit if one.limit and other.limit else 0.0
        return self._finite(self.add("Mul", one.edge, other.edge), limit)

    def _quotient(self, one: Number, other: Number) -> Number:
        limit = one.limit / other.least if other.least else math.inf
        return self._finite(self.add("Div", one.edge, other.edge), limit)

    def _rest(self, one: Number, other: Number) -> Number:
        quotient = self._quotient(one, other)
        floor = self._unary("Floor", quotient, quotient.limit + 1)
        return self._difference(one, self._product(other, floor))

    def _negate(self, one: Number) -> Number:
        return Number(self.add("Neg", one.edge), one.limit)

    def _scaled(self, factor: float) -> Callable[[Number], Number]:
        return lambda one: self._product(one, Number(self.number(factor), factor))

    def _unary(self, operator: str, made: Number, limit: float) -> Number:
        return Number(self.add(operator, made.edge), limit)

    def _logarithm(self, made: Number) -> Number:
        return self._rounded(self.add("Log", made.edge), 1000)

    def _log1p(self, made: Number) -> Number:
        return self._logarithm(self._sum(made, Number(self.number(1), 1)))

    def _exp(self, made: Number) -> Number:
        return self._rounded(self.add("Exp", made.edge), math.inf)

    def _rounded(self, edge: str, limit: float) -> Number:
        """To 40 bits, as expressions does it."""
        large = self.add("Mul", edge, self.number(SPLIT))
        found = self.add("Sub", large, self.add("Sub", large, edge))
        return Number(found, limit)  # what is not finite becomes NaN by itself

    def _extreme(self, operator: str, made: tuple[Number, ...]) -> Number:
        """The least or the largest, NaN where one of them is."""
        edges = [each.edge for each in made]
        return Number(self.add(operator, *edges), max(each.limit for each in made))

    def _clip(self, made: Number, low: Number, high: Number) -> Number:
        return self._extreme("Min", (self._extreme("Max", (made, low)), high))

    def _turn(self, made: Number, period: Number) -> str:
        share = self._quotient(self._rest(made, period), period)
        return self.add("Mul", share.edge, self.number(2 * math.pi))

    def _cycle(self, operator: str, made: Number, period: Number) -> Number:
        steps = self.number(STEPS)
        found = self.add("Mul", self.add(operator, self._turn(made, period)), steps)
        return Number(self.add("Div", self.add("Round", found), steps), 1)

    def _as_number(self, made: Condition) -> Number:
        no = self.add("Where", made.false, self.number(0), self.number(math.nan))
        return Number(self.add("Where", made.true, self.number(1), no), 1)

    def _bins(self, made: Number, edges: list[float]) -> Number:
        above = self.add("GreaterOrEqual", made.edge, self.constant(np.array([edges], np.float64)))
        wide = self.add("Cast", above, to=TensorProto.DOUBLE)
        count = self.add("ReduceSum", wide, self.whole(1))
        known = self.add("Where", self.add("IsNaN", made.edge), made.edge, count)
        return Number(known, len(edges))

    # Texts.

    def _normalized(self, made: Text, action: str) -> Text:
        flat = self.add("Reshape", made.edge, self.whole(-1))
        # Its own locale is not there in small images; with C's it knows A to Z.
        done = self.add(
            "StringNormalizer", flat, case_change_action=action, is_case_sensitive=1, locale="C"
        )
        column = self.constant(np.array([-1, 1], np.int64))
        return Text(self.add("Reshape", done, column))

    def _matches(self, made: Text, pattern: str) -> Condition:
        fits = self.add("RegexFullMatch", made.edge, pattern=f"(?:{pattern})")
        known = self._known(made)
        return Condition(
            self.add("And", fits, known), self.add("And", self.add("Not", fits), known)
        )

    def _part(self, made: Text, given: tuple[str, int]) -> Text:
        mark, place = given
        padded = self.add("StringConcat", made.edge, self.text(mark * (place + 1)))
        edge, count = f"declared/parts{len(self.nodes)}", f"declared/count{len(self.nodes)}"
        self.nodes.append(helper.make_node("StringSplit", [padded], [edge, count], delimiter=mark))
        found = self.add("Gather", edge, self.whole(place), axis=2)
        column = self.constant(np.array([-1, 1], np.int64))
        known = self.add("Reshape", found, column)
        return Text(self.add("Where", self._missing(made), self.text(""), known))

    def _lookup(self, made: Text, table: dict[str, Any]) -> Any:
        keys = [*table]
        place = self._place(made, keys)
        values = [*table.values()]
        if any(isinstance(each, str) for each in values):
            return Text(self.add("Gather", self.constant(np.array([*values, ""], object)), place))
        numbers = np.array([*values, math.nan], np.float64)
        limit = max((abs(each) for each in values), default=0.0)
        return Number(self.add("Gather", self.constant(numbers), place), limit)

    def _cross(self, *made: Any) -> Text:
        parts = [self._spelled(each) for each in made]
        joined = reduce(
            lambda one, other: self.add(
                "StringConcat", self.add("StringConcat", one, self.text(CROSS)), other
            ),
            (each.edge for each in parts),
        )
        return Text(self.add("Where", self._known(*parts), joined, self.text("")))

    def _spelled(self, made: Number | Condition | Text) -> Text:
        if isinstance(made, Condition):
            no = self.add("Where", made.false, self.text("false"), self.text(""))
            return Text(self.add("Where", made.true, self.text("true"), no))
        if isinstance(made, Number):
            sound = self.add("Less", self.add("Abs", made.edge), self.number(LARGEST_WHOLE))
            floor = self.add("Where", sound, self.add("Floor", made.edge), self.number(0))
            whole = self.add("Cast", floor, to=TensorProto.INT64)
            text = self.add("Cast", whole, to=TensorProto.STRING)
            return Text(self.add("Where", sound, text, self.text("")))
        return made

    # Moments, in whole numbers.

    def _if_known(self, number: str, *made: Moment, limit: float) -> Number:
        """A whole number as float64 where the moments are known that it was computed of."""
        wide = self.add("Cast", number, to=TensorProto.DOUBLE)
        return Number(self.add("Where", self._known(*made), wide, self.number(math.nan)), limit)

    def _floor(self, whole: str, by: int) -> str:
        """Whole numbers divided, rounded down: ONNX rounds towards nothing."""
        rest = self.add("Mod", whole, self.whole(by))
        return self.add("Div", self.add("Sub", whole, rest), self.whole(by))

    def _minus(self, one: str, other: str) -> str:
        return self.add("Sub", one, other)

    def _plus(self, one: str, number: int) -> str:
        return self.add("Add", one, self.whole(number))

    def _times(self, one: str, number: int) -> str:
        return self.add("Mul", one, self.whole(number))

    def _sound(self, made: Moment) -> str:
        """The microseconds, 0 where they are missing."""
        return self.add("Where", self._missing(made), self.whole(0), made.edge)

    def _day_number(self, made: Moment) -> str:
        return self._floor(self._sound(made), DAYS)

    def _time_of_day(self, made: Moment, unit: int, count: int) -> Number:
        units = self._floor(self._sound(made), unit * MICRO)
        return self._if_known(self.add("Mod", units, self.whole(count)), made, limit=count)

    def _weekday(self, made: Moment) -> Number:
        """Monday is 1; the first day of 1970 was a Thursday."""
        week = self.add("Mod", self._plus(self._day_number(made), 3), self.whole(7))
        return self._if_known(self._plus(week, 1), made, limit=7)

    def _calendar(self, made: Moment) -> tuple[str, str, str, str]:
        """Year, month, day, and days from the first of March, of the proleptic Gregorian calendar.

        Hinnant, "chrono-compatible low-level date algorithms", 2013: years begin in March, so that
        the leap day is the last one; 146,097 days are 400 years.
        """
        days = self._plus(self._day_number(made), 719_468)
        era = self._floor(days, 146_097)
        of_era = self._minus(days, self._times(era, 146_097))
        leaps = self._minus(
            self.add(
                "Add", self._minus(of_era, self._floor(of_era, 1460)), self._floor(of_era, 36_524)
            ),
            self._floor(of_era, 146_096),
        )
        year_of_era = self._floor(leaps, 365)
        before = self._minus(
            self.add("Add", self._times(year_of_era, 365), self._floor(year_of_era, 4)),
            self._floor(year_of_era, 100),
        )
        of_year = self._minus(of_era, before)
        from_march = self._floor(self._plus(self._times(of_year, 5), 2), 153)
        day = self._plus(
            self._minus(of_year, self._floor(self._plus(self._times(from_march, 153), 2), 5)), 1
        )
        next_year = self.add("GreaterOrEqual", from_march, self.whole(10))
        month = self.add("Where", next_year, self._plus(from_march, -9), self._plus(from_march, 3))
        year = self.add("Add", year_of_era, self._times(era, 400))
        year = self.add("Where", next_year, self._plus(year, 1), year)
        return year, month, day, of_year

    def _year(self, made: Moment) -> Number:
        return self._if_known(self._calendar(made)[0], made, limit=9999)

    def _month(self, made: Moment) -> Number:
        return self._if_known(self._calendar(made)[1], made, limit=12)

    def _day(self, made: Moment) -> Number:
        return self._if_known(self._calendar(made)[2], made, limit=31)

    def _day_of_year(self, made: Moment) -> Number:
        year, month, _, of_year = self._calendar(made)

        def divides(by: int) -> str:
            return self.add("Equal", self.add("Mod", year, self.whole(by)), self.whole(0))

        leap = self.add(
            "Or", self.add("And", divides(4), self.add("Not", divides(100))), divides(400)
        )
        leap_day = self.add("Cast", leap, to=TensorProto.INT64)
        early = self.add("LessOrEqual", month, self.whole(2))
        late = self.add("Add", self._plus(of_year, 60), leap_day)
        return self._if_known(
            self.add("Where", early, self._plus(of_year, -305), late), made, limit=366
        )

    def _date(self, made: Moment) -> Moment:
        day = self._times(self._day_number(made), DAYS)
        return Moment(self.add("Where", self._missing(made), made.edge, day))

    def _between(self, one: Moment, other: Moment) -> Number:
        apart = self._minus(self._sound(one), self._sound(other))
        micro = self._if_known(apart, one, other, limit=1e18)
        return Number(self.add("Div", micro.edge, self.number(1e6)), 1e12)

    def _moved(self, operator: str, made: Moment, seconds: Number) -> Moment:
        sound = self.add("Less", self.add("Abs", seconds.edge), self.number(LONGEST))
        some = self.add("Where", sound, seconds.edge, self.number(0))
        micro = self.add("Round", self.add("Mul", some, self.number(1e6)))
        moved = self.add(operator, self._sound(made), self.add("Cast", micro, to=TensorProto.INT64))
        inside = self.add(
            "And",
            self.add("GreaterOrEqual", moved, self.whole(FIRST)),
            self.add("LessOrEqual", moved, self.whole(LAST)),
        )
        sound = self.add("And", self.add("And", sound, inside), self._known(made))
        return Moment(self.add("Where", sound, moved, self.whole(MISSING)))


EQUALITIES = ("==", "!=")
# Which operator is true where a comparison is, and which where it is not.
ORDERS = {
    "<": ("Less", "GreaterOrEqual"),
    "<=": ("LessOrEqual", "Greater"),
    ">": ("Greater", "LessOrEqual"),
    ">=": ("GreaterOrEqual", "Less"),
}
MOMENTS: dict[str, Callable[..., Any]] = {
    "year": Nodes._year,
    "month": Nodes._month,
    "day": Nodes._day,
    "day_of_year": Nodes._day_of_year,
    "weekday": Nodes._weekday,
    "hour": lambda nodes, made: nodes._time_of_day(made, 3600, 24),
    "minute": lambda nodes, made: nodes._time_of_day(made, 60, 60),
    "second": lambda nodes, made: nodes._time_of_day(made, 1, 60),
    "date": Nodes._date,
    "between": Nodes._between,
    "later": lambda nodes, made, seconds: nodes._moved("Add", made, seconds),
    "earlier": lambda nodes, made, seconds: nodes._moved("Sub", made, seconds),
}
METHODS: dict[str, Callable[..., Any]] = {
    "and": Nodes._and,
    "or": Nodes._or,
    "not": Nodes._not,
    "is missing": Nodes._is_missing,
    "is not missing": Nodes._is_not_missing,
    "one of": Nodes._one_of,
    "if": Nodes._either,
    "fill": Nodes._fill,
    "+": Nodes._sum,
    "-": Nodes._difference,
    "*": Nodes._product,
    "/": Nodes._quotient,
    "%": Nodes._rest,
    "negate": Nodes._negate,
    "days": lambda nodes, made: nodes._scaled(DAY)(made),
    "hours": lambda nodes, made: nodes._scaled(3600)(made),
    "minutes": lambda nodes, made: nodes._scaled(60)(made),
    "abs": lambda nodes, made: nodes._unary("Abs", made, made.limit),
    "sign": lambda nodes, made: nodes._unary("Sign", made, 1),
    "floor": lambda nodes, made: nodes._unary("Floor", made, made.limit + 1),
    "ceil": lambda nodes, made: nodes._unary("Ceil", made, made.limit + 1),
    "round": lambda nodes, made: nodes._unary("Round", made, made.limit + 1),
    "sqrt": lambda nodes, made: nodes._unary("Sqrt", made, max(made.limit, 1)),
    "log": Nodes._logarithm,
    "log1p": Nodes._log1p,
    "exp": Nodes._exp,
    "min": lambda nodes, *made: nodes._extreme("Min", made),
    "max": lambda nodes, *made: nodes._extreme("Max", made),
    "clip": Nodes._clip,
    "cycle_sin": lambda nodes, *made: nodes._cycle("Sin", *made),
    "cycle_cos": lambda nodes, *made: nodes._cycle("Cos", *made),
    "number": Nodes._as_number,
    "bins": Nodes._bins,
    "ascii_lower": lambda nodes, made: nodes._normalized(made, "LOWER"),
    "ascii_upper": lambda nodes, made: nodes._normalized(made, "UPPER"),
    "matches": Nodes._matches,
    "part": Nodes._part,
    "lookup": Nodes._lookup,
    "cross": Nodes._cross,
}
