"""The plots of both models in one picture each."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import vl_convert

from ..card import network_at
from ..errors import InputError
from ..files import read_json
from ..git.revision import WORKSPACE, Revision
from ..learning import plots
from ..paths import PLOTS, PRUNING, TRAINING_LOG
from . import architecture
from .change import Change

SIZES = plots.Plot(
    "scatter", "bytes", "metric", "Smaller models", "bytes", "metric of the validation rows"
)
LEARNING = plots.Plot(
    "line", "step", "loss", "Learning curve", "round or epoch", "loss, the less the better"
)
# What `train` logs by step, and of which rows that is.
LOSSES = {"loss": "rows learned from", "validation_loss": "rows held back"}
# Columns of each model in the picture of their importance, most important first.
COLUMNS = 8


def draw(change: Change, folder: Path) -> list[str]:
    """Draw each plot with both models in it; return their names."""
    drawn = _pruned(folder)
    found = change.comparison.answers
    if found is None:
        return drawn
    drawn += _learned(change, folder) + _architecture(change, folder)
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
        plots.draw(folder / "pruning.png", "pruning", SIZES, data)
    return ["pruning"] if data else []


def _learned(change: Change, folder: Path) -> list[str]:
    """The loss of both models after each step of training, where their estimators have steps."""
    sides = {"this": WORKSPACE}
    if change.base_commit:
        sides = {change.base: Revision(change.base_commit), **sides}
    data = [
        {"rev": rev, "class": rows, "step": step, "loss": loss}
        for rev, revision in sides.items()
        for name, rows in LOSSES.items()
        for step, loss in _losses(revision, name)
    ]
    if data:
        plots.draw(folder / "learning.png", "learning", LEARNING, data)
    return ["learning"] if data else []


def _architecture(change: Change, folder: Path) -> list[str]:
    """The layers of this model, where it is a declared network."""
    network = network_at(WORKSPACE)
    if network is None:
        return []
    drawn = architecture.picture(network, change.params.task, architecture.OPAQUE)
    (folder / "architecture.png").write_bytes(vl_convert.svg_to_png(drawn, scale=2))
    return ["architecture"]


def _losses(revision: Revision, name: str) -> list[tuple[int, float]]:
    """A loss by step as DVCLive logged it; nothing where it cannot be had: it is no verdict."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = revision.fetch(TRAINING_LOG / "plots" / "metrics" / f"{name}.tsv", Path(folder))
            logged = pd.read_csv(path, sep="\t")
        except (InputError, ValueError):
            return []
    places = np.unique(np.linspace(0, len(logged) - 1, min(plots.POINTS, len(logged))).astype(int))
    some = logged.iloc[places]
    return [*zip(some["step"].tolist(), some[name].tolist(), strict=True)]


def _measured(revision: Revision, name: str) -> plots.Records:
    """What `evaluate` measured; nothing where it cannot be had, since it is no verdict."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = revision.fetch(PLOTS / f"{name}.json", Path(folder))
        except InputError:
            return []
        found = list(read_json(path))
        return found[:COLUMNS] if name == "importance" else found
