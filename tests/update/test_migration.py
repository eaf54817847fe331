"""From 0.1.0, which held the engine in the owner's package, to the layout of today."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from update.worlds import Project, Versions, append, commit, environment, git, replace, run

# The last commit of that layout.
BEFORE = "4972d89a81896adc4c5347bb11de0a87423ad1e7"
PACKAGE = "src/flight_delays"

HOLIDAYS = '''\
"""Holidays."""

from .config import Section, load_params
from .contract import Contract
from .errors import (
    InputError,
)
from .features import preprocessing
from .reporting import compare
from .reporting.plots import PLOTS

__all__ = ["Contract", "InputError", "PLOTS", "Section", "compare", "load_params", "preprocessing"]
'''
OWN_TEST = """\
from flight_delays import holidays
from flight_delays.config import Task
from flight_delays.estimators import CATALOGUE
from flight_delays.serving.hooks import after


def test_holidays() -> None:
    assert holidays.load_params().train.estimator == "extra_trees"
    assert Task and CATALOGUE and after
"""


@pytest.fixture(scope="session")
def layouts(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """The template as it was before, and as it is."""
    if run(ROOT, "git", "cat-file", "-e", BEFORE).returncode:
        pytest.skip(f"{BEFORE[:7]} is not in this clone: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("layouts") / "mlops-template"
    git(ROOT, "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(folder))
    git(folder, "checkout", "--quiet", "-B", "main", BEFORE)
    git(folder, "rm", "--quiet", "-r", ".")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    new = commit(folder, "Now")
    git(folder, "checkout", "--quiet", "--detach", BEFORE)
    return Versions(folder, BEFORE, new)


def work_on(project: Project) -> None:
    """What the owner of such a project has done."""
    package = project.folder / PACKAGE
    replace(package / "features.py", 'strategy="median"', 'strategy="mean"')
    estimators = package / "estimators.py"
    replace(
        estimators,
        "from sklearn.ensemble import (\n",
        "from sklearn.ensemble import (\n    ExtraTreesClassifier,\n",
    )
    replace(
        estimators,
        '        "forest": Entry(RandomForestClassifier, scaled=False),\n',
        '        "forest": Entry(RandomForestClassifier, scaled=False),\n'
        '        "extra_trees": Entry(ExtraTreesClassifier, scaled=False),\n',
    )
    replace(
        package / "config.py",
        "class MlpParams(",
        "class ExtraTreesParams(Section):\n    n_estimators: Count = 100\n\n\nclass MlpParams(",
    )
    replace(
        package / "config.py",
        '        "forest": ForestParams,\n        "mlp": MlpParams,\n    },\n    "regression"',
        '        "forest": ForestParams,\n        "extra_trees": ExtraTreesParams,\n'
        '        "mlp": MlpParams,\n    },\n    "regression"',
    )
    replace(
        package / "metrics.py",
        "METRICS: dict[",
        "def _share(s: Scored) -> float:\n"
        '    return float((s.outputs["prediction"] == s.classes[1]).mean())\n\n\nMETRICS: dict[',
    )
    replace(
        package / "metrics.py",
        '        "f1": Metric("higher", _averaged(sk.f1_score)),\n',
        '        "f1": Metric("higher", _averaged(sk.f1_score)),\n'
        '        "share": Metric("lower", _share),\n',
    )
    replace(package / "serving/hooks.py", "    return outputs\n", "    return dict(outputs)\n")
    append(package / "serving/load.py", "\nOURS = 1\n")
    replace(package / "profile.py", "CATEGORIES = 50", "CATEGORIES = 40")
    append(package / "cli.py", "\n# Our commands.\n")
    project.write(f"{PACKAGE}/holidays.py", HOLIDAYS)
    project.write("tests/unit/test_holidays.py", OWN_TEST)
    append(project.folder / "tests/unit/test_gate.py", "\n# Ours.\n")
    replace(
        project.folder / "pyproject.toml",
        "dependencies = [\n",
        'dependencies = [\n    "requests>=2",\n',
    )
    replace(project.folder / "params.yaml", "estimator: boosting", "estimator: extra_trees")
    replace(project.folder / "params.yaml", "estimators: #", "estimators: # ours;")
    replace(
        project.folder / "params.yaml",
        "  forest:\n",
        "  extra_trees: {n_estimators: 50}\n  forest:\n",
    )
    own_stage = (
        "  holidays:\n    cmd: python -m flight_delays.holidays\n    deps:\n"
        "      - ${src}/holidays.py\n      - ${src}/contract.py\n"
    )
    replace(project.folder / "dvc.yaml", "\nstages:\n", f"\nstages:\n{own_stage}\n")
    project.write("docs/notes.md", "# Notes\n")
    project.commit()


@pytest.fixture(scope="session")
def migrated(layouts: Versions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project of 0.1.0 on its update's branch, and what was said."""
    project = Project.begin(layouts, tmp_path_factory.mktemp("migrated") / "project")
    work_on(project)
    said = project.update(
        *("--from", layouts.old, "--to", layouts.new, "--template", str(layouts.folder))
    )
    body = project.mlops(
        *("update", "--from", layouts.old, "--to", layouts.new, "--dry-run"),
        *("--template", str(layouts.folder)),
    ).stdout
    project.switch("update/0.2.0")
    return project, said + body


def test_the_owners_folder_holds_what_is_the_owners(migrated: tuple[Project, str]) -> None:
    project, _ = migrated
    package = project.folder / PACKAGE
    assert sorted(path.relative_to(package).as_posix() for path in package.rglob("*")) == [
        *("__init__.py", "estimators.py", "features.py", "holidays.py", "hooks.py", "metrics.py"),
    ]
    tests = project.folder / "tests"
    assert (tests / "unit/test_holidays.py").is_file()
    assert not (tests / "unit/test_gate.py").exists()
    assert not (tests / "made.py").exists()
    assert (tests / "test_model.py").is_file()
    assert project.read("docs/notes.md") == "# Notes\n"
    assert not (project.folder / "docs/ci.md").exists()
    assert project.mlops("engine").stdout.startswith("engine 0.2.0\n")


def test_what_could_be_carried_is(migrated: tuple[Project, str]) -> None:
    project, said = migrated
    assert ": no conflict" in said
    assert 'strategy="mean"' in project.read(f"{PACKAGE}/features.py")
    assert "from mlops.data.contract import Contract" in project.read(f"{PACKAGE}/features.py")
    assert "dict(outputs)" in project.read(f"{PACKAGE}/hooks.py")
    estimators = project.read(f"{PACKAGE}/estimators.py")
    assert 'ESTIMATORS["classification"]["extra_trees"] = Entry(' in estimators
    assert "hyperparameters=ExtraTreesParams" in estimators
    assert 'METRICS["classification"]["share"] = Metric("lower", _share)' in project.read(
        f"{PACKAGE}/metrics.py"
    )
    holidays = project.read(f"{PACKAGE}/holidays.py")
    assert "from mlops.judging import comparison as compare\n" in holidays
    assert "from mlops.learning.plots import PLOTS\n" in holidays
    assert '"requests>=2"' in project.read("pyproject.toml")
    stages = yaml.safe_load(project.read("dvc.yaml"))["stages"]
    assert stages["holidays"]["deps"] == [
        f"{PACKAGE}/holidays.py",
        "mlops/src/mlops/data/contract.py",
    ]
    assert stages["train"]["cmd"] == "python -m mlops.pipeline.train"


def test_what_could_not_be_is_told(migrated: tuple[Project, str]) -> None:
    project, said = migrated
    assert "your change of `tests/unit/test_gate.py` has no place of its own any more" in said
    assert "+# Ours." in project.read("docs/update-0.2.0.patch")
    assert "config.py" not in project.read("docs/update-0.2.0.patch")
    assert "your change of `src/flight_delays/cli.py` has no place of its own any more" in said
    assert "+# Our commands." in project.read("docs/update-0.2.0.patch")
    for old, module, what in (
        ("serving/load.py", "mlops/src/mlops/serving/load.py", "OURS = 1"),
        ("profile.py", "mlops/src/mlops/data/profile.py", "CATEGORIES = 40"),
    ):
        assert f"your change of `src/flight_delays/{old}` is one of the engine now" in said
        assert what in project.read(module)
        assert f"changed: {module}" in project.mlops("engine").stdout


def test_it_runs(migrated: tuple[Project, str]) -> None:
    project, _ = migrated
    paths = [str(project.folder / each) for each in ("src", "mlops/src")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/unit", "-p", "no:cacheprovider"],
        cwd=project.folder,
        env=environment() | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    code = (
        "from mlops.config.hyperparameters import own_estimators\n"
        "from mlops.learning.metrics import catalogue\n"
        "assert 'extra_trees' in own_estimators('classification')\n"
        "assert 'share' in catalogue('classification')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=environment() | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_passes_its_own_lint(migrated: tuple[Project, str]) -> None:
    project, _ = migrated
    ruff = str(Path(sys.executable).with_name("ruff"))
    # As `make lint` does.
    run(project.folder, ruff, "check", "--no-cache", "--quiet", "--fix", "src")
    run(project.folder, ruff, "format", "--no-cache", "--quiet", "src")
    done = run(project.folder, ruff, "check", "--no-cache", "src")
    assert done.returncode == 0, done.stdout
    lock = run(project.folder, "uv", "lock", "--check")
    assert lock.returncode == 0, lock.stderr
