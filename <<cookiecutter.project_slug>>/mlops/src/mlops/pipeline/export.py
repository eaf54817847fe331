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

import onnx
import pandas as pd

from ..config.params import Params, load_params
from ..data.contract import Contract, load_contract
from ..data.inputs import model_inputs
from ..errors import CheckError, InputError
from ..export.footprint import Footprint, check
from ..export.targets import TARGETS, Target
from ..files import replacing, sha256, significant, write_json
from ..inference import OnnxModel, Runnable
from ..judging.paired import judge, judged
from ..learning.answers import answers
from ..learning.metrics import catalogue
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
        converted = onnx.load(ONNX)
        final = exam.made(converted, folder)
        taken = exam.footprint(folder)
        with tempfile.TemporaryDirectory() as other:
            # What is served may have learned from the test rows: its candidate did not.
            candidate = onnx.load(CANDIDATE_ONNX)
            tried = exam.made(candidate, Path(other)) if is_refitted() else final
            costs = exam.costs(OnnxModel(CANDIDATE_ONNX), tried)
            groups = exam.groups(Model.load(CANDIDATE), tried, candidate)
        if is_refitted():
            of_final = exam.groups(Model.load(MODEL), final, converted)
            groups |= {f"final {group}": some for group, some in of_final.items()}
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
        }
        found = {
            "files": files,
            "footprint": asdict(taken) if taken else None,
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

    def made(self, model: onnx.ModelProto, folder: Path) -> Runnable:
        """The target's files of an ONNX model, in an empty folder, ready to answer."""
        self.target.make(model, about().name, folder, self.settings)
        return self.target.run(folder)

    def footprint(self, folder: Path) -> Footprint | None:
        """What the target's files take of a microcontroller, where params.yaml bounds that."""
        measured = self.target.measured
        if measured is None:
            return None
        return check(self.name, measured, folder / self.target.file, self.settings)

    def groups(self, model: Model, target: Runnable, converted: onnx.ModelProto) -> Groups:
        """How the target agrees with scikit-learn, by group of rows: see verify.

        Args:
            model: as scikit-learn has it.
            target: the same model, exported.
            converted: its ONNX graph.
        """
        test = model_inputs(self.rows, self.contract)
        how = self.params.verify
        groups, found, _ = agreement(model, target, converted, self.contract, test, how)
        return {name: (groups[name], parity) for name, parity in found.items()}

    def costs(self, model: OnnxModel, target: Runnable) -> dict[str, Cost]:
        """What the target costs in each deciding metric of the test rows."""
        params, space = self.params, None
        if params.task == "clustering":
            features = Model.load(CANDIDATE).pipeline[:-1]
            space = features.transform(model_inputs(self.rows, self.contract))
        before, after = (answers(each, self.contract, self.rows, space) for each in (model, target))
        known, found = catalogue(params.task, params.evaluate.value), {}
        for metric, each in judge(params, before, after, names=judged(params)).items():
            is_higher_better = known[metric].better == "higher"
            low, high = (-each.high, -each.low) if is_higher_better else (each.low, each.high)
            loss = -each.difference if is_higher_better else each.difference
            numbers = (each.champion, each.challenger, loss, low, high)
            found[metric] = Cost(*map(significant, numbers))
        return found

    def refuse(self, groups: Groups, costs: dict[str, Cost]) -> None:
        """Raise CheckError where the target does not hold what it must."""
        if not self.target.is_exact:
            allowed = self.settings.metric_loss
            for metric in judged(self.params):
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


if __name__ == "__main__":
    stage(partial(export, *sys.argv[1:]))
