"""Whatever an expression and the rows, Arrow and ONNX Runtime say the same of it."""

from __future__ import annotations

import math
import os
from datetime import datetime
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from onnx import TensorProto, helper

from mlops.data.contract import Contract, conform
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.learning.conversion import FEATURES_OPSET, FORMAT, INPUTS, OPSET, nodes_of
from mlops.learning.declared import Declared, FeatureFile, declared

CONTRACT = Contract.model_validate(
    {
        "columns": {
            **{name: {"kind": "numeric", "role": "feature"} for name in ("a", "b")},
            **{name: {"kind": "categorical", "role": "feature"} for name in ("s", "t")},
            **{name: {"kind": "datetime", "role": "feature"} for name in ("d", "e")},
            "p": {"kind": "boolean", "role": "feature"},
        }
    }
)
TABLES: dict[str, dict[str, Any]] = {
    "heights": {"JFK": 13.0, "Æ, é": -1e-3, "huge": 1e300},
    "names": {"JFK": "Kennedy", "x y": "é"},
}
LARGEST = float(np.finfo("float32").max)
NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 7.0, 23.999, 1e-3, 3.0, -2.5, 1.5, 6.0, 8.0, 12.0, 18.0),
    *(math.nan, math.inf, -math.inf, LARGEST, -LARGEST, 1e-45, 1e20, 16_777_217.0, 2.0**31),
]
TEXTS = ["", "JFK", "jfk", "x y", "Æ, é", "a-b-c", "-", "--", "a\nb", "1.5", "ß", "😀", " JFK "]
MOMENTS = [
    *(None, "1970-01-01", "1969-12-31T23:59:59.999999", "2000-02-29T12:00", "1900-02-28T23:59:59"),
    *("1900-03-01", "2100-02-28", "2100-03-01", "2024-02-29", "2024-12-31T23:59:59.999999"),
    *("2023-12-31", "0001-01-01", "9999-12-31T23:59:59", "1600-02-29", "1677-09-21", "2262-04-12"),
]
# The kinds of which expressions are made, and what is made at the end of them.
Part = some.SearchStrategy[str]


def _constants(values: list[float]) -> Part:
    return some.sampled_from([f"{value:g}" for value in values])


def _call(name: str, *parts: Part) -> Part:
    return some.tuples(*parts).map(lambda each: f"{name}({', '.join(each)})")


def _between(sign: str, one: Part, other: Part) -> Part:
    return some.tuples(one, other).map(lambda each: f"({each[0]} {sign} {each[1]})")


def _below(kind: str, depth: int) -> Part:
    return some.deferred(lambda: _made(kind, depth - 1))


@cache
def _made(kind: str, depth: int) -> Part:
    """Expressions of a kind, so deep at most."""
    leaf: dict[str, Part] = {
        "number": some.sampled_from(["a", "b"]) | _constants([0, 1, -1, 0.7, 3, 1e-9, 1e30, 1e300]),
        "text": some.sampled_from(["s", "t"]),
        "moment": some.sampled_from(["d", "e"]),
        "condition": some.sampled_from(["p", "true", "false"]),
        "duration": _call("days", _constants([0, 1, -400, 1e7])) | _call("minutes", some.just("a")),
    }
    if depth == 0:
        return leaf[kind]
    number, text, moment, condition, duration = (
        _below(each, depth) for each in ("number", "text", "moment", "condition", "duration")
    )
    same = {"number": number, "text": text, "moment": moment, "condition": condition}
    same["duration"] = duration
    mine = same[kind]
    either = some.tuples(mine, condition, mine).map(lambda e: f"({e[0]} if {e[1]} else {e[2]})")
    shared = [mine, either, _call("fill", mine, mine)]
    period = _constants([7, 24, 0.3]) | number
    ways: dict[str, list[Part]] = {
        "number": [
            *(_between(sign, number, number) for sign in "+-*/%"),
            some.builds("(-{})".format, number),
            *(_call(name, number) for name in ("abs", "sign", "floor", "ceil", "round")),
            *(_call(name, number) for name in ("sqrt", "log", "log1p", "exp")),
            *(_call(name, number, number) for name in ("min", "max")),
            _call("max", number, number, number),
            _call("clip", number, number, number),
            *(_call(name, number, period) for name in ("cycle_sin", "cycle_cos")),
            _call("number", condition),
            number.map("bins({}, -1, 0, 0.5, 7)".format),
            text.map("lookup({}, 'heights')".format),
            *(
                _call(name, moment)
                for name in ("year", "month", "day", "hour", "minute", "second", "weekday")
            ),
            _call("day_of_year", moment),
            some.tuples(moment, moment).map(lambda each: f"(({each[0]} - {each[1]}) / hours(1))"),
            _between("/", duration, duration),
        ],
        "text": [
            _call("cross", text, text),
            _call("cross", text, number, condition),
            _call("ascii_lower", text),
            _call("ascii_upper", text),
            some.tuples(text, some.sampled_from(["-", " ", ", ", "--"]), some.integers(0, 3)).map(
                lambda each: f"part({each[0]}, '{each[1]}', {each[2]})"
            ),
            text.map("lookup({}, 'names')".format),
        ],
        "moment": [
            _call("date", moment),
            _between("+", moment, duration),
            _between("-", moment, duration),
        ],
        "duration": [
            _between("-", moment, moment),
            _between("+", duration, duration),
            _between("*", duration, number),
            _between("/", duration, number),
            _call("hours", number),
        ],
        "condition": [
            _between("and", condition, condition),
            _between("or", condition, condition),
            some.builds("(not {})".format, condition),
            *(_between(sign, number, number) for sign in ("<", "<=", ">", ">=", "==", "!=")),
            *(_between(sign, moment, moment) for sign in ("<", ">=", "==", "!=")),
            *(_between(sign, text, text) for sign in ("==", "!=")),
            _between("==", condition, condition),
            text.map("({} == 'JFK')".format),
            moment.map("({} < '2000-02-29T12:00')".format),
            text.map("({} in ['JFK', 'é', ''])".format),
            number.map("({} not in [0, 1, 7])".format),
            *(
                one.map("({} is missing)".format)
                for one in (number, text, moment, condition, duration)
            ),
            some.tuples(
                text, some.sampled_from([".*", "[a-z]+", "J..", "(?i)jfk", "|a", r"\S+"])
            ).map(lambda each: f"matches({each[0]}, '{each[1]}')"),
        ],
    }
    return some.one_of(shared + ways[kind])


EXPRESSIONS = some.one_of([_made(kind, 3) for kind in ("number", "text", "condition")])
ROWS = some.lists(
    some.fixed_dictionaries(
        {
            **{name: some.sampled_from(NUMBERS) | some.floats(width=32) for name in ("a", "b")},
            **{name: some.sampled_from(TEXTS) | some.text(max_size=5) for name in ("s", "t")},
            **{
                name: some.sampled_from(MOMENTS) | some.datetimes().map(datetime.isoformat)
                for name in ("d", "e")
            },
            "p": some.sampled_from([True, False, None]),
        }
    ),
    min_size=1,
    max_size=20,
)


def _inputs(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as models take them: what is not finite, too, which validate and the server refuse."""
    typed = conform(pd.DataFrame(rows), CONTRACT)
    for name in "ab":
        typed[name] = [row[name] for row in rows]
    for name in "st":
        typed[name] = [row[name].replace("\0", "") for row in rows]
    return model_inputs(typed, CONTRACT)


def _declared(*expressions: str) -> Declared:
    """Features of these expressions; all of the columns are read, for they must be."""
    all_ = {"expr": "number(s == t) + a + b + year(d) + year(e) + number(p)"}
    features = {f"f{i}": {"expr": text} for i, text in enumerate(expressions)} | {"all": all_}
    file = FeatureFile.model_validate({"features": features, "tables": TABLES})
    return declared(file, CONTRACT)


def _served(what: Declared, inputs: pd.DataFrame) -> dict[str, np.ndarray]:
    """What ONNX Runtime computes of the features."""
    nodes = nodes_of(what, {name: f"feature/{name}" for name in what.terms()})
    of_text = {n for n, each in what.expressions.items() if each.kind == "categorical"}
    graph = helper.make_graph(
        nodes.nodes,
        "features",
        [
            helper.make_tensor_value_info(name, INPUTS[CONTRACT.columns[name].kind], [None, 1])
            for name in CONTRACT.features
        ],
        [
            helper.make_tensor_value_info(
                f"feature/{name}",
                TensorProto.STRING if name in of_text else TensorProto.FLOAT,
                [None, 1],
            )
            for name in what.terms()
        ],
        nodes.initializers,
    )
    versions = OPSET | {"": FEATURES_OPSET}
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=FORMAT)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    feeds = {
        name: values.reshape(-1, 1)
        for name, values in columns(inputs).items()
        if name in {each.name for each in session.get_inputs()}
    }
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    return {name.removeprefix("feature/"): values.reshape(-1) for name, values in found.items()}


def _names_a_column(text: str) -> bool:
    try:
        _declared(text)
    except InputError as error:
        if "names no column" not in str(error):
            raise
        return False
    return True


def _agree(what: Declared, inputs: pd.DataFrame) -> None:
    trained, served = what.columns_of(inputs), _served(what, inputs)
    for name in what.terms():
        text = what.expressions[name].text
        expected, actual = trained[name].to_numpy(), served[name]
        if what.expressions[name].kind == "categorical":
            assert expected.tolist() == actual.tolist(), text
            continue
        assert actual.dtype == expected.dtype == np.float32
        gone = np.isnan(expected)
        assert gone.tolist() == np.isnan(actual).tolist(), (text, expected, actual)
        assert actual[~gone].tolist() == expected[~gone].tolist(), text


# Ten thousand expressions and more in `make test-long`, hundreds each time.
FEWEST = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 8


@pytest.mark.slow
@given(some.lists(EXPRESSIONS, min_size=FEWEST, max_size=FEWEST + 10), ROWS)
def test_both_say_the_same(expressions: list[str], rows: list[dict[str, Any]]) -> None:
    what = _declared(*filter(_names_a_column, expressions))
    assert len(what.expressions) > len(expressions) / 2
    _agree(what, _inputs(rows))


# Each operation on what it is written for, as it stands.
PLAIN = [
    *(f"a {sign} b" for sign in "+-*/%"),
    *(f"number(a {sign} b)" for sign in ("<", "<=", ">", ">=", "==", "!=")),
    *(f"number(not (a {sign} b))" for sign in ("<", "<=", ">", ">=", "==", "!=")),
    *(f"{name}(a)" for name in ("abs", "sign", "floor", "ceil", "round", "sqrt", "exp")),
    *("log(a)", "log1p(a)", "min(a, b)", "max(a, b, 1)", "clip(a, -1, b)", "-a", "a % 24 / 7"),
    *("cycle_sin(a, 24)", "cycle_cos(a, 24)", "cycle_sin(a, b)", "bins(a, -1, 0, 0.5, 7)"),
    *("fill(a, b)", "a if p else b", "a if a > b else -1", "a in [0, 1, 7]", "a not in [0.5]"),
    *("p and a > b", "p or a > b", "not p", "p == (a > 0)", "a is missing", "p is not missing"),
    *(f"{name}(d)" for name in ("year", "month", "day", "day_of_year", "weekday")),
    *(f"{name}(d)" for name in ("hour", "minute", "second")),
    *("d < e", "d >= e", "d == e", "d != e", "d < '2000-02-29T12:00'", "d is missing"),
    *("(d - e) / hours(1)", "year(d + days(a))", "day(d - hours(b))", "(date(d) - e) / days(1)"),
    *("s == t", "s != t", "s == 'JFK'", "s in ['JFK', 'é']", "s is missing", "fill(s, t)"),
    *("cross(s, t)", "cross(s, a, p)", "ascii_lower(s)", "ascii_upper(s)", "part(s, '-', 1)"),
    *("part(s, ' ', 0)", "lookup(s, 'heights')", "lookup(s, 'names')", "s if a > 0 else t"),
    *(f"matches(s, '{pattern}')" for pattern in (".*", "[a-z]+", "(?i)jfk", "|a", r"\S+")),
]


def test_both_say_the_same_of_each_pair_of_edges() -> None:
    pairs: list[Any] = [product(values, values) for values in (NUMBERS, TEXTS, MOMENTS)]
    numbers, texts, moments = ([*each] for each in pairs)
    rows = [
        {
            **dict(zip("ab", numbers[i % len(numbers)], strict=True)),
            **dict(zip("st", texts[i % len(texts)], strict=True)),
            **dict(zip("de", moments[i % len(moments)], strict=True)),
            "p": (True, False, None)[i % 3],
        }
        for i in range(max(map(len, (numbers, texts, moments))))
    ]
    _agree(_declared(*PLAIN), _inputs(rows))
