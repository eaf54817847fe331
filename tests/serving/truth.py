"""What scikit-learn says of a project's test rows, and whether answers say the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.running import Project
from serving.running import Row

SAY = """
import json, sys
import pandas as pd
from mlops.data.contract import load_contract
from mlops.data.inputs import model_inputs
from mlops.learning.model import Model
contract, model = load_contract(), Model.load()
test = pd.read_parquet("data/split/test.parquet")
outputs = model.predict(model_inputs(test, contract))
frame = test[contract.features]
rows = json.loads(frame.to_json(orient="records", double_precision=15))
print(json.dumps({
    "rows": rows,
    "outputs": {name: values.tolist() for name, values in outputs.items()},
    "classes": model.classes,
}))
"""


@dataclass(frozen=True)
class Truth:
    """Rows, and scikit-learn's outputs by name, a value or a list of values a row.

    Attributes:
        tolerance: by which numbers may differ, relative above 1: verify.tolerance.
    """

    rows: list[Row]
    outputs: dict[str, list[Any]]
    classes: list[str] | None
    tolerance: float

    @staticmethod
    def of(project: Project) -> Truth:
        """Have the project's scikit-learn model predict its test rows."""
        found = project.python(SAY)
        tolerance = project.read("params.yaml")["verify"]["tolerance"]
        return Truth(found["rows"], found["outputs"], found["classes"], tolerance)

    def is_told(self, answered: Mapping[str, Sequence[Any]], start: int) -> None:
        """Require that answers, by name, are those of the rows from `start`."""
        assert answered.keys() == self.outputs.keys()
        for i in range(len(answered["prediction"])):
            row = (start + i) % len(self.rows)
            for name, values in self.outputs.items():
                same = self._same(values[row], answered[name][i])
                assert same or (name == "prediction" and self._tie(row)), (name, row, answered)

    def _same(self, expected: Any, answered: Any) -> bool:
        if isinstance(expected, list):
            assert len(expected) == len(answered)
            return all(map(self._same, expected, answered))
        if isinstance(expected, str):
            return bool(expected == answered)
        return math.isclose(expected, answered, rel_tol=self.tolerance, abs_tol=self.tolerance)

    def _tie(self, row: int) -> bool:
        """Tell whether the best two classes or clusters are as good as the same."""
        best = self.outputs.get("probability") or self.outputs.get("distances")
        if best is None:
            return False
        first, second = sorted(best[row], reverse="probability" in self.outputs)[:2]
        return bool(abs(first - second) <= self.tolerance * max(1, abs(first)))


def of_tensors(outputs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the protocol's outputs by name, a list of values a row where there are several."""
    found = {}
    for each in outputs:
        rows, *width = each["shape"]
        data = each["data"]
        assert len(data) == rows * math.prod(width)
        found[each["name"]] = (
            [data[i * width[0] : (i + 1) * width[0]] for i in range(rows)] if width else data
        )
    return found
