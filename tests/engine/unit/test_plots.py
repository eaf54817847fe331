"""Plots: the data for `dvc plots` and the pictures say the same, and dvc.yaml declares each one as
this code draws it."""

import struct
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from engine import made
from engine.workspace import root
from ruamel.yaml import YAML

from mlops import paths
from mlops.config.params import Params
from mlops.data.inputs import model_inputs, target_values
from mlops.files import read_json
from mlops.learning import plots
from mlops.learning.metrics import Scored

DRAWN = [
    (what, plot)
    for what in made.TARGETS
    for plot in plots.PLOTS[made.task(what)]
    if plot not in plots.MEASURED
]


@pytest.fixture(autouse=True)
def _templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plots' templates are the project's; nothing else here needs one."""
    monkeypatch.setattr(plots, "PLOT_TEMPLATES", root() / paths.PLOT_TEMPLATES)


def _scored(what: str) -> tuple[Scored, list[str]]:
    name = "kmeans" if what == "clustering" else "linear"
    model, contract, rows = made.trained(what, name), made.contract(what), made.rows(what, seed=6)
    outputs = model.predict(model_inputs(rows, contract))
    classes = getattr(model.pipeline, "classes_", None)
    return Scored(outputs, target_values(rows, contract), classes), model.classes or []


def test_dvc_yaml_declares_the_plots_of_the_task(own_params: Params) -> None:
    declared = {
        path: looks
        for entry in YAML(typ="safe").load(root() / paths.PIPELINE)["plots"]
        for path, looks in entry.items()
        if Path(path).parent == paths.PLOTS
    }
    assert declared == {
        f"{paths.PLOTS}/{name}.json": asdict(plot)
        for name, plot in plots.PLOTS[own_params.task].items()
    }


@pytest.mark.parametrize(("what", "name"), DRAWN)
def test_a_plot_is_data_and_a_picture(what: str, name: str, tmp_path: Path) -> None:
    plot = plots.PLOTS[made.task(what)][name]
    data = plots.records(name, *_scored(what))
    plots.write(tmp_path, name, plot, data)
    assert read_json(tmp_path / f"{name}.json") == data
    assert data
    assert all({plot.x, plot.y} <= record.keys() for record in data)
    picture = (tmp_path / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(struct.unpack(">II", picture[16:24])) > 200  # wide and high, from its header


def test_importance_is_drawn(tmp_path: Path) -> None:
    data = [
        {"column": name, "importance": value, "spread": 0.1}
        for name, value in (("size", 0.7), ('Æ "quoted" <b>', -0.01))
    ]
    plots.write(tmp_path, "importance", plots.IMPORTANCE, data)
    assert read_json(tmp_path / "importance.json") == data
    assert (tmp_path / "importance.png").stat().st_size > 1000


def test_dependence_is_drawn_for_numbers_and_words_side_by_side(tmp_path: Path) -> None:
    data = [
        {"column": column, "value": value, "answer": answer, "class": "late"}
        for column, values in (("hour", ("5", "12")), ('Æ "quoted" <b>', ("a", "b")))
        for value, answer in zip(values, (0.2, 0.4), strict=True)
    ]
    plots.write(tmp_path, "dependence", plots.DEPENDENCE, data)
    assert read_json(tmp_path / "dependence.json") == data
    assert (tmp_path / "dependence.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "name", sorted({plot.template for each in plots.PLOTS.values() for plot in each.values()})
)
def test_a_template_takes_what_dvc_fills_in(name: str) -> None:
    plot = plots.Plot(name, "horizontal", "vertical", "A title", "A label", "Another")
    data = [{"horizontal": 0.5, "vertical": 0.5, "rows": 1, "share": 0.5, "class": "a"}]
    text = str(plots.filled("name", plot, data, rev="a-branch"))
    assert "DVC_METRIC" not in text
    for wanted in ("horizontal", "vertical", "A title", "A label", "Another", "a-branch"):
        assert wanted in text


def test_the_confusion_matrix_counts_every_row() -> None:
    scored, classes = _scored("multiclass")
    data = plots.records("confusion", scored, classes)
    assert len(data) == len(classes) ** 2
    assert sum(record["rows"] for record in data) == made.ROWS
    for record in data:
        rows = (scored.truth == record["actual"]) & (
            scored.outputs["prediction"] == record["predicted"]
        )
        assert record["rows"] == rows.sum()
    for actual in classes:
        shares = [record["share"] for record in data if record["actual"] == actual]
        assert sum(shares) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["roc", "precision_recall"])
@pytest.mark.parametrize(("what", "curves"), [("binary", {"true"}), ("multiclass", None)])
def test_a_curve_keeps_its_ends_and_few_points(
    name: str, what: str, curves: set[str] | None
) -> None:
    scored, classes = _scored(what)
    many = scored.rows(np.arange(made.ROWS).repeat(3))
    data = plots.records(name, many, classes)
    assert {record["class"] for record in data} == (curves or {*classes})
    plot = plots.PLOTS["classification"][name]
    for curve in {record["class"] for record in data}:
        points = [record for record in data if record["class"] == curve]
        assert len(points) <= plots.POINTS
        assert [points[0][plot.x], points[-1][plot.x]] == [0, 1]
        assert [point[plot.x] for point in points] == sorted(point[plot.x] for point in points)


def test_residuals_are_truth_less_prediction() -> None:
    scored, _ = _scored("regression")
    assert scored.truth is not None
    data = plots.records("residuals", scored, [])
    assert len(data) == made.ROWS
    assert [record["predicted"] + record["residual"] for record in data] == pytest.approx(
        scored.truth.tolist(), abs=1e-3
    )
    many = scored.rows(np.arange(made.ROWS).repeat(10))
    assert len(plots.records("residuals", many, [])) == 1000


def test_every_cluster_is_counted() -> None:
    scored, _ = _scored("clustering")
    data = plots.records("clusters", scored, [])
    assert len(data) == 4
    assert sum(record["rows"] for record in data) == made.ROWS
