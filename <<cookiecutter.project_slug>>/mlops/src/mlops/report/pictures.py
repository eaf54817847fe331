"""The plots of both models in one picture each."""

import tempfile
from pathlib import Path

from ..errors import InputError
from ..files import read_json
from ..git.revision import WORKSPACE, Revision
from ..learning import plots
from ..paths import EXPORT_REPORTS, ONNX, PLOTS, PRUNING
from .change import Change

SMALLER = plots.Plot(
    "sizes", "bytes", "metric", "Smaller models", "bytes", "metric of the validation rows"
)
# Columns of each model in the picture of their importance, most important first.
COLUMNS = 8


def draw(change: Change, folder: Path) -> list[str]:
    """Draw each plot with both models in it; return their names."""
    drawn = _pruned(folder) + _exported(change, folder)
    found = change.comparison.answers
    if found is None:
        return drawn
    sides = (
        (change.base, Revision(change.base_commit), found.champion),
        ("this", WORKSPACE, found.challenger),
    )
    for name, plot in plots.PLOTS[change.params.task].items():
        data: plots.Records = []
        for rev, revision, side in sides:
            if name in plots.MEASURED:
                records = _measured(revision, name)
            else:
                records = plots.records(name, side.scored, side.classes)
            data += [{"rev": rev, **each} for each in records]
        if data:
            plots.draw(folder / f"{name}.png", name, plot, data)
            drawn.append(name)
    return drawn


def _pruned(folder: Path) -> list[str]:
    """The models that `train.prune` tried: their size against their metric."""
    tried = WORKSPACE.load(PRUNING) or []
    data = [
        {
            "rev": "taken" if each["kept"] else "tried",
            "bytes": each["size"],
            "metric": each["metric"],
        }
        for each in tried
    ]
    if data:
        plots.draw(folder / "pruning.png", "pruning", SMALLER, data)
    return ["pruning"] if data else []


def _exported(change: Change, folder: Path) -> list[str]:
    """The model in each form: the size of its files against the metric that decides first."""
    names = [each.target for each in change.exports]
    told = {name: WORKSPACE.load(EXPORT_REPORTS / f"{name}.json") for name in names}
    served = WORKSPACE.outputs.get(ONNX)
    known = [
        name for name in change.decide if all(name in each["metrics"] for each in told.values())
    ]
    if not told or not known or served is None:
        return []
    costs = {name: each["metrics"][known[0]] for name, each in told.items()}
    data = [{"rev": "onnx", "bytes": served.size, "metric": costs[names[0]]["onnx"]}]
    for name, each in told.items():
        size = sum(file["bytes"] for file in each["files"].values())
        data.append({"rev": name, "bytes": size, "metric": costs[name]["target"]})
    label = f"{known[0]} of the test rows"
    plot = plots.Plot("sizes", "bytes", "metric", "Exports", "bytes", label)
    plots.draw(folder / "exports.png", "exports", plot, data)
    return ["exports"]


def _measured(revision: Revision, name: str) -> plots.Records:
    """What `evaluate` measured; nothing where it cannot be had, since it is no verdict."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = revision.fetch(PLOTS / f"{name}.json", Path(folder))
        except InputError:
            return []
        found = list(read_json(path))
        return found[:COLUMNS] if name == "importance" else found
