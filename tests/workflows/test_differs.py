"""What `ci` looks at, by what differs: the commands of its first step, in a repository of their
own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from workflows.act import Workflow
from workflows.events import ZEROS
from workflows.world import git

CODE, JUDGED, NOTHING = ("true", "true"), ("false", "true"), ("false", "false")
DIFFERS = {
    "README.md": NOTHING,
    "docs/decisions.md": NOTHING,
    "mlops/docs/ci.md": NOTHING,
    "data/example/README.md": NOTHING,
    "environments/prod/release.env": JUDGED,
    "environments/prod/policy.yaml": JUDGED,
    "releases/20300101-0900-89abcde.json": JUDGED,
    "releases/quarantine.txt": JUDGED,
    "environments/prod/config.env": CODE,
    "environments/prod/more/policy.yaml": CODE,
    "params.yaml": CODE,
    "reports/model-card.md": CODE,
    # Templates of what people read, and what is packed with code, whatever they are called.
    "mlops/src/mlops/report/comment.md": CODE,
    "src/flight_delays/words.md": CODE,
    "tests/expected.md": CODE,
    ".github/workflows/ci.yml": CODE,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a main that has all these files."""
    folder = tmp_path_factory.mktemp("differing")
    git(folder, "init", "--quiet", "--initial-branch=main")
    write(folder, *DIFFERS)
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    return folder


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text() if path.exists() else ''}more\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


def outputs(folder: Path, workflow: Workflow, base: str) -> tuple[str, str]:
    """Return whether code differs, and what is judged."""
    script = workflow.step("changes", "What differs?")["run"]
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    environ = {"PATH": os.environ["PATH"], "BASE": base, "GITHUB_OUTPUT": os.devnull}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=") for line in done.stdout.splitlines())
    return found["code"], found["judged"]


@pytest.mark.parametrize("name", DIFFERS)
def test_what_differs_decides_what_is_looked_at(
    repository: Path, baked_ci: Workflow, name: str
) -> None:
    git(repository, "checkout", "--quiet", "--detach", "main")
    write(repository, name)
    assert outputs(repository, baked_ci, "refs/remotes/origin/main") == DIFFERS[name]


def test_without_a_base_everything_differs(repository: Path, baked_ci: Workflow) -> None:
    assert outputs(repository, baked_ci, ZEROS) == CODE


def test_a_tag_does_not_go_before_the_branch(repository: Path, baked_ci: Workflow) -> None:
    """Anybody who may push may push a tag, and Git takes a tag first."""
    git(repository, "checkout", "--quiet", "--detach", "main")
    write(repository, "params.yaml")
    git(repository, "tag", "origin/main", "HEAD")
    base = baked_ci.content["env"]["BASE"]
    assert "format('refs/remotes/origin/{0}'" in base
    assert outputs(repository, baked_ci, "refs/remotes/origin/main") == CODE
    assert outputs(repository, baked_ci, "origin/main") == NOTHING
    git(repository, "tag", "--delete", "origin/main")
