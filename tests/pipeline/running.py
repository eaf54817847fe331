"""Run a baked project's own commands as its users do, in one virtual environment a task.

`Project.copy` gives a test a project to break. It runs in the environment of the original, with
its own source first on the path: no second installation, and what runs is the copy's code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline import warm

from mlops.git.revision import sources

TASKS = ("classification", "regression", "clustering")
STAGES = ["ingest", "validate", "split", "train", "convert", "evaluate", "verify"]
PACKAGE = "flight_delays"
OWN = f"src/{PACKAGE}"
ENGINE = "mlops/src/mlops"
EXAMPLE = "data/example/flights.parquet"

# What makes a project quick to examine, where nothing rests on how closely.
QUICK: dict[str, Any] = {
    "evaluate": {"importance_rows": 50, "slice_rows": 50},
    "verify__edge_rows": 300,
    "compare__resamples": 50,
}

SAMPLE = """
import sys, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
pq.write_table(table.take(list(range(0, table.num_rows, int(sys.argv[3])))), sys.argv[2])
print("null")
"""

Run = subprocess.CompletedProcess[str]
Reproduced = Callable[[str], "Project"]

each_task = pytest.mark.parametrize("task", TASKS)


def shell(folder: Path) -> dict[str, str]:
    """Return the environment of a user's shell: nothing of the template's own tools or settings.

    One OpenMP thread: two that share their cores with other processes are several times slower.
    """
    ours = ("DVC_", "GIT_", "MLOPS_", "PYTEST_", "PYTHON", "UV_PROJECT", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept.pop("UV_PYTHON", None)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [entry for entry in kept["PATH"].split(os.pathsep) if entry != f"{sys.prefix}/bin"]
    return kept | {
        "PATH": os.pathsep.join([*path, *map(str, sorted(pyenv.glob("versions/3.*/bin")))]),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / "dvc-system"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


@dataclass(frozen=True)
class Project:
    """A bake, and the virtual environment that its commands run in."""

    folder: Path
    venv: Path

    @property
    def owns_venv(self) -> bool:
        """Whether it has an environment of its own, in which `uv run` runs commands."""
        return self.venv == self.folder / ".venv"

    def environ(self) -> dict[str, str]:
        """Return `cold`, with commands on PATH that begin warm where `uv run` need not find any."""
        known = self.cold()
        if self.owns_venv:
            return known
        place = warm.folder(self.venv, **shell(Path(os.sep)))
        return known | {"PATH": f"{place}{os.pathsep}{known['PATH']}"}

    def cold(self) -> dict[str, str]:
        """Return what `uv run` would set, and the copy's source first on Python's path.

        For tests that look at the process itself: a warm one is not the one that they began.
        """
        known = shell(self.folder.parent)
        known["PATH"] = f"{self.venv}/bin{os.pathsep}{known['PATH']}"
        return known if self.owns_venv else known | {"PYTHONPATH": sources(self.folder)}

    def run(self, *command: str, code: int = 0, env: Mapping[str, str] | None = None) -> Run:
        """Run a command at the project's root and require its exit code."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ() | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=600,
        )
        told = f"{' '.join(command)[:300]}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        assert done.returncode == code, f"exit {done.returncode}, not {code}: {told}"
        return done

    def uv(self, *command: str, code: int = 0) -> Run:
        """Run `uv run COMMAND` as users do; an environment that others share stays as it is."""
        shared = {"UV_PROJECT_ENVIRONMENT": str(self.venv), "UV_NO_SYNC": "1"}
        return self.run("uv", "run", *command, code=code, env={} if self.owns_venv else shared)

    def python(self, script: str, *arguments: str) -> Any:
        """Run a script in the project's environment and return the JSON that it prints."""
        return json.loads(self.run("python", "-c", script, *arguments).stdout)

    def sample(self, target: str, step: int) -> None:
        """Write every so-many-th row of the example to a Parquet file."""
        self.python(SAMPLE, EXAMPLE, target, str(step))

    def stage(self, name: str, code: int = 0, env: Mapping[str, str] | None = None) -> Run:
        """Run a stage's module without DVC."""
        return self.run("python", "-m", f"mlops.pipeline.{name}", code=code, env=env)

    def repro(self, *arguments: str, code: int = 0) -> tuple[list[str], Run]:
        """Run `dvc repro` and return the stages that ran, and the run."""
        done = self.run("dvc", "repro", *arguments, code=code)
        return re.findall(r"^Running stage '([\w@-]+)':", done.stdout, re.MULTILINE), done

    def status(self) -> set[str]:
        """Return the stages that DVC finds changed, not those that follow from them."""
        return set(json.loads(self.run("dvc", "status", "--json").stdout))

    def git(self, *arguments: str) -> str:
        """Run Git and return what it prints."""
        return self.run("git", *arguments).stdout

    def commit(self) -> None:
        """Commit everything that Git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def init(self) -> None:
        """Make it a Git repository, with an author: `git init` is all that a bake needs."""
        self.git("init", "--quiet")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.com")
        self.git("config", "core.fsync", "none")  # nothing here outlives a crash of the machine

    def read(self, name: str) -> Any:
        """Return the content of a JSON or YAML file."""
        text = (self.folder / name).read_text(encoding="utf-8")
        return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)

    def write(self, name: str, content: Any) -> None:
        """Write text as it is, other content as YAML."""
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (self.folder / name).write_text(text, encoding="utf-8")

    def set(self, name: str, **changes: Any) -> None:
        """Change values of a YAML file; `__` stands between the keys that lead to one."""
        content = self.read(name)
        for keys, value in changes.items():
            *path, last = keys.split("__")
            place = content
            for key in path:
                place = place.setdefault(key, {})
            place[last] = value
        self.write(name, content)

    def learn_from(self, source: str) -> None:
        """Take another source, of which is said what was said of the one before."""
        self.set("params.yaml", source__path=source)
        ((_, terms),) = self.read("model.yaml")["sources"].items()
        self.set("model.yaml", sources={source: terms})

    def declare(self, registry: str) -> None:
        """Commit that images are in a registry, as HOST/NAME."""
        text = (self.folder / "pyproject.toml").read_text(encoding="utf-8")
        changed, times = re.subn(r'^registry = ".*?"', f'registry = "{registry}"', text, flags=re.M)
        assert times == 1
        self.write("pyproject.toml", changed)
        self.commit()

    def append(self, module: str, code: str) -> None:
        """Add code to a module, which replaces what the module defined before."""
        path = self.folder / module
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{code}\n", encoding="utf-8")

    def restore(self, *names: str) -> None:
        """Take back changes to files that Git knows."""
        self.git("checkout", "--quiet", "--", *names)

    def outputs(self) -> dict[str, str]:
        """Return the hash of everything that the stages wrote, but the time of the ingest."""
        stages = self.read("dvc.lock")["stages"]
        found = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
        del found["data/raw/provenance.json"]
        return found

    def copy(self, folder: Path) -> Project:
        """Copy the project with DVC's cache; the copy runs its own code in this environment."""
        left_out = {self.folder: {".venv"}, self.folder / ".dvc": {"tmp"}}
        shutil.copytree(self.folder, folder, ignore=lambda path, _: left_out.get(Path(path), set()))
        return Project(folder, self.venv)


def one_line(run: Run) -> str:
    """Return the only line on standard error, an error without a stack trace."""
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
