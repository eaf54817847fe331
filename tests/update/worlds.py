"""A template with two versions, and a project of the first whose owner has worked on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from helpers import PROJECT, bake

from mlops.cli import main
from mlops.git.engine import digest, is_part
from mlops.git.engine import manifest as manifest_text

BAKED = PROJECT.name
IDENTITY = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}
QUESTION = '  "review": ["strict", "fast"],\n'
NEW_QUESTION = '  "region": "eu-central-1",\n'
NEW_KEY = "notices: # who is told of what\n  # A line of its own.\n  channel: none # or mail\n"
VERIFY_KEY = "  seed: 7 # of the edge cases\n"


def environment() -> dict[str, str]:
    """The environment without what Git tells its hooks, and with somebody who commits."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    return own | IDENTITY | {"PATH": path}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def git(folder: Path, *arguments: str) -> str:
    done = run(folder, "git", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rstrip("\n")


def edit(file: Path, change: Callable[[str], str]) -> None:
    before = file.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"{file}: nothing to change"
    file.write_text(after, encoding="utf-8")


def replace(file: Path, old: str, new: str) -> None:
    edit(file, lambda text: text.replace(old, new))


def append(file: Path, text: str) -> None:
    edit(file, lambda before: before + text)


def manifest(template: Path) -> None:
    """Write the engine's manifest anew in a template's folder."""
    engine = template / BAKED / "mlops"
    names = [path.relative_to(engine).as_posix() for path in engine.rglob("*") if path.is_file()]
    found = {n: digest((engine / n).read_bytes()) for n in names if is_part(n)}
    (engine / "manifest").write_text(manifest_text(found), encoding="utf-8")


def newer(template: Path) -> None:
    """What the newer version changes: engine, workflows, params, a question, pages, a deletion."""
    baked = template / BAKED
    settings = template / "cookiecutter.json"
    version = json.loads(settings.read_text("utf-8"))["__template_version"]
    replace(settings, QUESTION, QUESTION + NEW_QUESTION)
    replace(settings, f'"__template_version": "{version}"', '"__template_version": "9.0.0"')
    edit(
        template / "CHANGELOG.md",
        lambda text: text.replace("## ", "## 9.0.0\n\n### Added\n\n- Regions.\n\n## ", 1),
    )
    append(baked / "mlops/src/mlops/judging/gate.py", "\n\nNEWER = True\n")
    (baked / "mlops/src/mlops/region.py").write_text('"""Where the model is."""\n')
    (baked / "mlops/docs/limits.md").unlink()
    manifest(template)
    replace(
        baked / ".github/workflows/ci.yml", "name: lint\n    needs", "name: lint code\n    needs"
    )
    for params in baked.glob("*params.yaml*"):
        edit(
            params,
            lambda text: re.sub(
                r"(  edge_rows: .*\n)", rf"\g<1>{VERIFY_KEY}\n{NEW_KEY}", text, count=1
            ),
        )
    append(baked / "README.md", "\n## Regions\n\nIt runs in <<cookiecutter.region>>.\n")
    (baked / "tests/test_region.py").write_text("def test_region() -> None:\n    pass\n")
    append(baked / "tests/test_contract.py", "\n# newer\n")
    append(baked / ".github/ISSUE_TEMPLATE/bug.yml", "# newer\n")


@dataclass(frozen=True)
class Versions:
    """The template as a repository.

    Attributes:
        folder: its clone, on the older commit, which has the tag v<version>.
        old, new: commits.
    """

    folder: Path
    old: str
    new: str

    @staticmethod
    def make(template: Path, folder: Path) -> Versions:
        shutil.copytree(template, folder)
        git(folder, "init", "--quiet", "--initial-branch", "main")
        old = commit(folder, "Old")
        newer(folder)
        new = commit(folder, "New")
        git(folder, "switch", "--quiet", "--detach", old)
        return Versions(folder, old, new)


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Project:
    """A project in a repository of its own."""

    folder: Path
    versions: Versions

    @staticmethod
    def begin(versions: Versions, output: Path, **answers: str) -> Project:
        folder = bake(versions.folder, output, **answers)
        git(folder, "init", "--quiet", "--initial-branch", "main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "Bake")
        return Project(folder, versions)

    def commit(self, message: str = "Work on") -> None:
        commit(self.folder, message)

    def mlops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `mlops`, as it lies in the template, in the project."""
        told, wrong = StringIO(), StringIO()
        status: int | str | None = 0
        with (
            chdir(self.folder),
            patch.dict(os.environ, environment(), clear=True),
            patch.object(sys, "argv", ["mlops", *arguments]),
            redirect_stdout(told),
            redirect_stderr(wrong),
        ):
            try:
                main()
            except SystemExit as end:
                status = end.code
        return subprocess.CompletedProcess(
            arguments, int(status or 0), told.getvalue(), wrong.getvalue()
        )

    def update(self, *arguments: str) -> str:
        """Update to the newer version, unless told otherwise, and return what is said."""
        chosen = arguments or ("--to", self.versions.new)
        done = self.mlops("update", *chosen)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def switch(self, branch: str = "update/9.0.0") -> None:
        git(self.folder, "switch", "--quiet", branch)

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")
