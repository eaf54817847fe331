"""A warehouse that rows arrive in, and a project that imports them: fresh data, for retraining."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.running import EXAMPLE, QUICK, Project

# Some rows of the example, by time: the first 800, or the next ones. Taught ones have a carrier
# that there was not before, and that is mostly late: who knows it is better.
ROWS = """
import sys
import numpy as np
import pandas as pd
source, target, part, rename = sys.argv[1:]
rows = pd.read_parquet(source).sort_values("time_hour").iloc[::10].reset_index(drop=True)
rows = rows[:800] if part == "first" else rows[800:]
if part == "taught":
    chosen = np.random.default_rng(0).random(len(rows)) < 0.3
    rows.loc[chosen, "carrier"] = "ZZ"
    rows.loc[chosen, "late"] = np.random.default_rng(1).random(chosen.sum()) < 0.85
if part == "equal":
    rows = rows[:20]
if rename:
    rows = rows.rename(columns={rename: rename + "_"})
rows.to_parquet(target, index=False)
print("null")
"""


@dataclass(frozen=True)
class Warehouse:
    """A folder outside the project, whose rows the project imports.

    Attributes:
        folder: where rows arrive.
        project: imports them as data/flights.
    """

    folder: Path
    project: Project

    def begin(self, store: Path) -> None:
        """Have the project learn from the first rows, and share its data in a store."""
        self.folder.mkdir()
        self._write("first.parquet", "first")
        project = self.project
        project.run("dvc", "remote", "modify", "storage", "url", str(store))
        project.run("dvc", "import-url", str(self.folder), "data/flights")
        project.learn_from("data/flights")
        project.set(
            "params.yaml",
            estimators__boosting__max_iter=20,
            gates={"roc_auc": {"regression": 0}},
            **QUICK,
        )
        project.repro()
        project.run("dvc", "push")
        project.commit()

    def copy(self, folder: Path) -> Project:
        """Copy the project to `folder`, with a warehouse and a store of its own."""
        project = self.project.copy(folder / "project")
        shutil.copytree(self.folder, folder / "warehouse")
        project.run("dvc", "remote", "modify", "storage", "url", str(folder / "store"))
        imported = (project.folder / "data/flights.dvc").read_text(encoding="utf-8")
        there = imported.replace(str(self.folder), str(folder / "warehouse"))
        project.write("data/flights.dvc", there)
        project.run("dvc", "push")
        project.commit()
        return project

    def add(self, taught: bool, rename: str = "") -> None:
        """Let rows arrive: such as teach something, or some like those before."""
        self._write("more.parquet", "taught" if taught else "equal", rename)

    def _write(self, name: str, *how: str) -> None:
        target = str(self.folder / name)
        self.project.python(ROWS, EXAMPLE, target, *how, *[""] * (2 - len(how)))
