"""The plots of both models in one picture each: for light pages and for dark ones."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vl_convert

from ..card import network_at
from ..errors import InputError
from ..files import read_json
from ..git.revision import WORKSPACE, Revision
from ..learning import plots
from ..paths import EXPORT_REPORTS, ONNX, PLOTS, PRUNING, TRAINING_LOG
from ..printable import all_shown
from . import architecture
from .change import Change

SMALLER = plots.Plot(
    "sizes", "bytes", "metric", "Smaller models", "bytes", "metric of the validation rows"
)
LEARNING = plots.Plot(
    "line", "step", "loss", "Learning curve", "round or epoch", "loss, the less the better"
)
# What `train` logs by step, and of which rows that is.
LOSSES = {"loss": "rows learned from", "validation_loss": "rows held back"}
# Columns in the picture of their importance, those that one of the models needs most.
COLUMNS = 8
# Of every picture, so that two of them stand side by side in a line of their own.
WIDTH, HEIGHT = 460, 400
# The colours of the plots' templates, and what they are on GitHub's dark pages.
DARK = {
    "white": "#0d1117",
    "#24292f": "#f0f6fc",
    "#57606a": "#9198a1",
    "#eaeef2": "#21262d",
    "#d0d7de": "#3d444d",
    "#0969da": "#58a6ff",
    "#bf5700": "#f0883e",
    "#1a7f64": "#3fb950",
    "#8250df": "#bc8cff",
    "#cf222e": "#ff7b72",
    "#eef4fb": "#121d2f",
    "#0550ae": "#388bfd",
}


def draw(change: Change, folder: Path) -> list[str]:
    """Draw each plot with both models in it; return their names."""
    drawn = _pruned(folder) + _exported(change, folder)
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
            draw_both(folder, name, plot, foremost(data) if name == "importance" else data)
            drawn.append(name)
    return drawn


def draw_both(folder: Path, name: str, plot: plots.Plot, data: plots.Records) -> None:
    """Write `<name>.png` and `<name>-dark.png`, each as large as every other picture."""
    spec = plots.filled(name, plot, all_shown(data))
    for path, seen in ((f"{name}.png", spec), (f"{name}-dark.png", recoloured(spec))):
        drawing = vl_convert.vegalite_to_svg(json.dumps(seen))
        framed = _framed(drawing, str(seen["config"]["background"]))
        (folder / path).write_bytes(vl_convert.svg_to_png(framed, scale=2))


def _framed(drawing: str, page: str) -> str:
    """An SVG in the corner of another one of WIDTH and HEIGHT, as large as fits there."""
    opening, _, rest = drawing.partition(">")
    inner = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect {size} fill="{page}"/>'
        f'{inner} {size} preserveAspectRatio="xMinYMin">{rest}</svg>'
    )


def recoloured(spec: Any) -> Any:
    """A template as it is on a dark page; data has no colours."""
    if isinstance(spec, dict):
        return {key: value if key == "data" else recoloured(value) for key, value in spec.items()}
    if isinstance(spec, list):
        return [recoloured(item) for item in spec]
    return DARK.get(spec, spec) if isinstance(spec, str) else spec


def foremost(data: plots.Records) -> plots.Records:
    """The importance of the same COLUMNS in each model."""
    strength: dict[str, float] = {}
    for record in data:
        column = record["column"]
        strength[column] = max(strength.get(column, record["importance"]), record["importance"])
    columns = sorted(strength, key=lambda column: -strength[column])[:COLUMNS]
    return [record for record in data if record["column"] in columns]


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
        draw_both(folder, "pruning", SMALLER, data)
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
    draw_both(folder, "exports", plot, data)
    return ["exports"]


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
        draw_both(folder, "learning", LEARNING, data)
    return ["learning"] if data else []


def _architecture(change: Change, folder: Path) -> list[str]:
    """The layers of this model, where it is a declared network."""
    network = network_at(WORKSPACE)
    if network is None:
        return []
    colours = {"architecture": architecture.LIGHT, "architecture-dark": architecture.DARK}
    for name, of_page in colours.items():
        drawn = architecture.picture(network, change.params.task, of_page)
        framed = _framed(drawn, str(of_page.page))
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(framed, scale=2))
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
        return list(read_json(path))
