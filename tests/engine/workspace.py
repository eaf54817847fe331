"""A bake in which the pipeline runs for real, on a sample of its source."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from helpers import ROOT, bake
from pipeline import warm
from pipeline.running import shell
from ruamel.yaml import YAML

from mlops.git.revision import sources

PARTS: tuple[str, ...] = (
    "contract.yaml",
    "features.yaml",
    "model.yaml",
    "params.yaml",
    "dvc.yaml",
    "packages.txt",
    "uv.lock",
    "pyproject.toml",
    ".dvc",
    ".dvcignore",
)
PARTS += ("environments", "mlops", "src")


@cache
def root() -> Path:
    """A project as it is baked with the default answers, once a session."""
    folder = tempfile.mkdtemp(prefix="engine-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return bake(ROOT, Path(folder, "bake"))


def warm_commands() -> Path:
    """A folder for PATH whose commands begin warm, in this environment and with one thread."""
    return warm.folder(Path(sys.prefix), **shell(Path(os.sep)))


SAMPLE = "data/sample.parquet"


@dataclass(frozen=True)
class Workspace:
    """A folder with the project's code, contract and parameters."""

    folder: Path

    @staticmethod
    def make(folder: Path, sample: pa.Table) -> "Workspace":
        """Copy the project to `folder`, with `sample` for its source and little to compute."""
        for name in PARTS:
            if (root() / name).is_dir():
                skipped = shutil.ignore_patterns("cache", "tmp", "config.local")
                shutil.copytree(root() / name, folder / name, ignore=skipped)
            else:
                folder.mkdir(exist_ok=True)
                shutil.copy2(root() / name, folder / name)
        (folder / SAMPLE).parent.mkdir()
        pq.write_table(sample, folder / SAMPLE)
        made = Workspace(folder)

        def shrink(params: dict[str, Any]) -> None:
            params["source"] = {"path": SAMPLE}
            search, evaluate, verify = (
                params["train"]["search"],
                params["evaluate"],
                params["verify"],
            )
            search["trials"] = min(search["trials"], 2)
            evaluate["importance_rows"] = min(evaluate["importance_rows"], 200)
            verify["edge_rows"] = min(verify["edge_rows"], 500)

        made.edit("params.yaml", shrink)
        made.run("git", "init", "--quiet")
        return made

    def copy(self, folder: Path) -> "Workspace":
        """The same in another folder, so that a test may change it."""
        shutil.copytree(self.folder, folder)
        return Workspace(folder)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, with this Python and the folder's code.

        It begins warm where it is one of Python's, and so does what it begins.
        """
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "PYTHON"))
        }
        path = [str(Path(sys.executable).parent), own["PATH"]]
        if command[0] in warm.COMMANDS:
            path.insert(0, str(warm_commands()))
        settings = {
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": sources(self.folder),
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "tmp" / "site"),
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env=own | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def repro(self, *arguments: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
        """Run `dvc repro`: the stages that ran, and what came of it."""
        done = self.run("dvc", "repro", *arguments)
        return re.findall(r"^Running stage '(.+)'", done.stdout, flags=re.MULTILINE), done

    def load(self, name: str) -> dict[str, Any]:
        """The content of a YAML file."""
        content: dict[str, Any] = YAML(typ="safe", pure=True).load(self.folder / name)
        return content

    def edit(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the content of a YAML file."""
        content = self.load(name)
        change(content)
        YAML(typ="safe", pure=True).dump(content, self.folder / name)
