"""Export: the model for other machines than a server, each target proven on the test rows.

    python -m mlops.pipeline.export TARGET

dvc.yaml has such a stage for each target that params.yaml names.
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from ..config.params import Params, load_params
from ..data.contract import Contract, load_contract
from ..data.inputs import model_inputs
from ..errors import CheckError, InputError
from ..export.targets import TARGETS, Target
from ..files import replacing, sha256, significant, write_json
from ..inference import OnnxModel, Runnable
from ..judging.bootstrap import errors, interval
from ..learning.answers import answers
from ..learning.metrics import METRICS, catalogue, values
from ..learning.model import Model, is_refitted
from ..paths import CANDIDATE, CANDIDATE_ONNX, EXPORT, EXPORT_REPORTS, MODEL, ONNX, PARTS
from ..project import about
from . import stage
from .verify import Parity, agreement, explanation


@dataclass(frozen=True)
class Cost:
    """What a target costs in a metric of the test rows.

    Attributes:
        onnx, target: its value by the ONNX model and by the target.
        loss: how much worse the target is, in the metric's unit; below 0 where it is better.
        low, high: the loss's interval, from a paired bootstrap.
    """

    onnx: float
    target: float
    loss: float
    low: float
    high: float


def export(name: str) -> None:
    """Write `models/export/TARGET/` and what was found of it.

    Raises:
        InputError: there is no such target, or it cannot take the model.
        CheckError: it does not say what the model says, or loses more than it may.
    """
    params, contract = load_params(), load_contract()
    wanted = params.export.targets.wanted
    if name not in wanted:
        raise InputError(f"{name}: export.targets does not name it ({', '.join(wanted) or 'none'})")
    rows = pd.read_parquet(PARTS["test"])
    exam = Exam(name, TARGETS[name], wanted[name], params, contract, rows)
    with replacing(EXPORT / name) as folder:
        folder.mkdir()
        final = exam.made(ONNX, folder)
        with tempfile.TemporaryDirectory() as other:
            # What is served may have learned from the test rows: its candidate did not.
            judged = exam.made(CANDIDATE_ONNX, Path(other)) if is_refitted() else final
            costs = exam.costs(OnnxModel(CANDIDATE_ONNX), judged)
            groups = exam.groups(Model.load(CANDIDATE), judged, CANDIDATE_ONNX)
        if is_refitted():
            of_final = exam.groups(Model.load(MODEL), final, ONNX)
            groups |= {f"final {group}": some for group, some in of_final.items()}
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
        }
        found = {
            "files": files,
            "groups": {group: asdict(each[1]) for group, each in groups.items()},
            "metrics": {metric: asdict(cost) for metric, cost in costs.items()},
        }
        exam.refuse(groups, costs)
    write_json(EXPORT_REPORTS / f"{name}.json", found)
    for path, facts in files.items():
        print(f"{EXPORT / name / path}: {facts['bytes']:,} bytes")
    for metric, cost in costs.items():
        print(f"{metric:<16} {cost.target:g}, {cost.onnx:g} by ONNX")


Groups = dict[str, tuple[pd.DataFrame, Parity]]


@dataclass(frozen=True)
class Exam:
    """A target of this project, and what it is examined by.

    Attributes:
        name: of the target.
        settings: what params.yaml says of it.
        rows: of the test, with what is true of them.
    """

    name: str
    target: Target
    settings: Any
    params: Params
    contract: Contract
    rows: pd.DataFrame

    def made(self, path: Path, folder: Path) -> Runnable:
        """The target's files of an ONNX model, in an empty folder, ready to answer."""
        model, project = onnx.load(path), about().name
        self.target.make(model, project, folder, self.settings)
        return self.target.run(model, project, folder)

    def groups(self, model: Model, target: Runnable, path: Path) -> Groups:
        """How the target agrees with scikit-learn, by group of rows: see verify.

        Args:
            model: as scikit-learn has it.
            target: the same model, exported.
            path: its ONNX file.
        """
        test = model_inputs(self.rows, self.contract)
        how = self.params.verify
        groups, found, _ = agreement(model, target, onnx.load(path), self.contract, test, how)
        return {name: (groups[name], parity) for name, parity in found.items()}

    def costs(self, model: OnnxModel, target: Runnable) -> dict[str, Cost]:
        """What the target costs in each deciding metric of the test rows."""
        params, space = self.params, None
        if params.task == "clustering":
            features = Model.load(CANDIDATE).pipeline[:-1]
            space = features.transform(model_inputs(self.rows, self.contract))
        before, after = (answers(each, self.contract, self.rows, space) for each in (model, target))
        known = {
            metric: each
            for metric, each in catalogue(params.task, params.evaluate.value).items()
            if metric in deciding(params)
        }

        def losses(chosen: np.ndarray | None = None) -> dict[str, float]:
            sides = [each if chosen is None else each.rows(chosen) for each in (before, after)]
            one, other = (values(known, each) for each in sides)
            return {
                metric: (one[metric] - other[metric]) * (1 if each.better == "higher" else -1)
                for metric, each in known.items()
                if metric in one and metric in other
            }

        lost, one, other = losses(), values(known, before), values(known, after)
        spread = errors(losses, known, len(self.rows), params.compare)
        found = {}
        for metric, loss in lost.items():
            low, high = interval(loss, spread.get(metric, np.inf), params.compare)
            numbers = (one[metric], other[metric], loss, low, high)
            found[metric] = Cost(*map(significant, numbers))
        return found

    def refuse(self, groups: Groups, costs: dict[str, Cost]) -> None:
        """Raise CheckError where the target does not hold what it must."""
        if not self.target.is_exact:
            allowed = self.settings.metric_loss
            for metric in deciding(self.params):
                cost = costs.get(metric)
                if cost is None:
                    raise CheckError(f"{self.name}: {metric} has no value on the test rows")
                if cost.high > allowed:
                    raise CheckError(
                        f"{self.name} may lose {cost.high:.3g} of {metric} ({cost.onnx:g} by ONNX, "
                        f"{cost.target:g} by it, {self.params.compare.confidence:.0%} interval), "
                        f"more than export.targets.{self.name}.metric_loss: {allowed:g}"
                    )
            return
        broken = [name for name, (_, parity) in groups.items() if parity.worst]
        if broken:
            raise CheckError(
                explanation(
                    self.name,
                    broken,
                    {name: parity for name, (_, parity) in groups.items()},
                    {name: rows for name, (rows, _) in groups.items()},
                    self.params.verify.tolerance,
                )
            )


def deciding(params: Params) -> list[str]:
    """The metrics that decide: those with a gate on regression, else the task's first."""
    gated = [name for name, gate in params.gates.items() if gate.regression is not None]
    return gated or [next(iter(METRICS[params.task]))]


if __name__ == "__main__":
    stage(partial(export, *sys.argv[1:]))
