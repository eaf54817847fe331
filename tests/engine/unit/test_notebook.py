"""The notebook of a bake runs from its first cell to its last, for every task and column."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from engine import made
from engine.stored import Stored
from helpers import PROJECT
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops import paths
from mlops.files import write_text

NOTEBOOK = PROJECT / "notebooks" / "explore.py"
FEATURES = "features: {twice: {expr: size * 2}}\n"


@pytest.fixture(scope="module")
def app() -> Any:
    """The notebook. Its text is Python as it stands: outputs are never in it."""
    spec = importlib.util.spec_from_file_location("explore", NOTEBOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def ran(app: Any, **given: Any) -> tuple[list[Any], Any]:
    """What cells show, and what they define."""
    outputs, defined = app.run(defs=given) if given else app.run()
    return [each for each in outputs if each is not None], defined


@pytest.mark.parametrize("what", ["binary", "multiclass", "regression", "clustering"])
def test_it_runs_for_every_task_and_column(
    app: Any, what: str, begin: Callable[[str], Stored]
) -> None:
    stored = begin(what)
    rows, others = made.rows(what, 400, seed=1), made.rows(what, 300, seed=2)
    stored.put(train=rows)
    others.to_parquet(paths.PARTS["validation"])
    write_text(Path("features.yaml"), FEATURES)
    paths.PARTS["test"].unlink()  # nobody looks at these
    shown, defined = ran(app)
    first, described, learned, metrics = (each for each in shown if isinstance(each, pd.DataFrame))
    assert [len(first), len(defined["train"])] == [100, 400]
    assert [*described.index] == [*first.columns]
    assert learned["twice"].equals(learned["size"] * 2)
    for name in made.contract(what).features:
        ran(app, chosen=SimpleNamespace(value=name))
    assert metrics.notna().all(axis=None)
    if what == "binary":
        ((_, said),) = metrics.iterrows()
        assert said["roc_auc"] == pytest.approx(_plainly(rows, others), abs=0.02)


def test_what_cells_showed_stays_out_of_git() -> None:
    """marimo keeps it beside the notebook."""
    ignored = (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "__marimo__/" in ignored


def _plainly(rows: pd.DataFrame, others: pd.DataFrame) -> float:
    """The area under the curve by scikit-learn, without the engine."""
    numbers = make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    )
    model = make_pipeline(numbers, LogisticRegression()).fit(rows, rows["large"])
    return float(roc_auc_score(others["large"], model.predict_proba(others)[:, 1]))
