"""What was found as JSON: strict, whatever it is made of."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.config.gates import Gate
from mlops.facts import as_json


class Kind(StrEnum):
    """Something to choose from."""

    ONE = "one"


@dataclass(frozen=True)
class Found:
    """A result, and what it was made of."""

    value: Any
    made_of: Any = field(default=None, repr=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        (np.float64(0.5), 0.5),
        (float("nan"), None),
        (float("inf"), None),
        ("ä", "ä"),
        (Kind.ONE, "one"),
        ({Kind.ONE: (1, 2)}, {"one": [1, 2]}),
        (timedelta(minutes=2), 120.0),
        (datetime(2030, 1, 1, tzinfo=UTC), "2030-01-01T00:00:00+00:00"),
        (Path("a/b"), "a/b"),
        ([Found(1, np.zeros(3))], [{"value": 1}]),
        (
            Gate(min=0.5),
            {"min": 0.5, "max": None, "regression": None, "naive": None, "slices": None},
        ),
    ],
)
def test_each_kind_of_fact_has_a_form(value: Any, told: Any) -> None:
    text = as_json(Found(value, made_of=object()))
    assert json.loads(text, parse_constant=pytest.fail) == {"value": told}
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [np.zeros(3), object(), {1, 2}, lambda: None])
def test_what_has_none_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no form in JSON"):
        as_json(Found(value))
