"""What the answers choose is installed by its own lock file, and works as the answer says."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from helpers import CHOICES, PROJECT, load_hook
from pipeline.running import EXAMPLE, PACKAGE, Project, shell

Bake = Callable[..., Path]

LONGEST = "a" + "bcdefghi_" * 4 + "xyz"  # 40 characters, what the hook allows


def interpreters() -> dict[str, str]:
    """Return the Pythons of the question that uv finds on this machine, by version."""
    found = {}
    for version in CHOICES["python_version"]:
        find = ["uv", "python", "find", "--no-project", "--no-python-downloads", version]
        done = subprocess.run(
            find, env=shell(Path(tempfile.gettempdir())), capture_output=True, text=True
        )
        if done.returncode == 0:
            found[version] = done.stdout.strip()
    return found


FOUND = interpreters()


def install(folder: Path, *groups: str) -> Project:
    """Install a bake as `uv sync` does, from its lock file alone."""
    project = Project(folder, folder / ".venv")
    project.run("uv", "lock", "--check")
    project.run("uv", "sync", "--locked", *groups)
    return project


VERSION = "import json, sys; print(json.dumps(sys.version_info[:2]))"


@pytest.mark.parametrize("version", FOUND)
def test_python_version_runs_the_pipeline(bake: Bake, version: str) -> None:
    """For each version of the question that is on this machine."""
    project = install(bake(python_version=version, task="clustering"))
    project.init()
    project.sample(EXAMPLE, 10)
    ran_by = project.python(VERSION)
    assert ".".join(map(str, ran_by)) == version
    project.uv("dvc", "repro")
    assert project.read("reports/parity.json")["within_tolerance"]
    assert "2,000 predictions" in project.uv("mlops", "predict", EXAMPLE).stdout


ABSENT = [version for version in CHOICES["python_version"] if version not in FOUND]


@pytest.mark.parametrize("absent", [ABSENT], ids=[f"untested-{'-'.join(ABSENT) or 'none'}"])
def test_untested_versions_are_named(absent: list[str]) -> None:
    """The name of this test says which versions are not on this machine; never the default."""
    assert CHOICES["python_version"][0] not in absent


PLUGIN = {"local": "dvc", "s3": "dvc_s3", "gs": "dvc_gs", "azure": "dvc_azure", "ssh": "dvc_ssh"}
STORE = """
import importlib, json, sys
from dvc.repo import Repo
importlib.import_module(sys.argv[1])
store = Repo().cloud.get_remote()
print(json.dumps([store.name, store.fs.protocol, type(store.fs).__module__.split(".")[0]]))
"""


FIND = """
import json, sys
from importlib.util import find_spec
print(json.dumps([find_spec(name) is not None for name in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def everything(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A bake with what every option needs: the one installation for tests that change nothing."""
    return install(helpers.bake(template, tmp_path_factory.mktemp("everything")), "--all-groups")


@pytest.mark.parametrize("remote", CHOICES["data_remote"])
def test_data_remote_is_locked_and_configured(bake: Bake, everything: Project, remote: str) -> None:
    """DVC finds its plugin, accepts the configuration and opens the store's file system.

    No other plugin would be installed.
    """
    project = Project(bake(data_remote=remote), everything.venv)
    project.init()
    recorded = json.loads((project.folder / ".cookiecutter.json").read_text("utf-8"))
    address = recorded["answers"]["data_remote_url"]
    name, listed = project.run("dvc", "remote", "list").stdout.split()[:2]
    assert name == "storage"
    assert listed == (
        str(Path(project.folder, address).resolve()) if remote == "local" else address
    )
    found, protocol, module = project.python(STORE, PLUGIN[remote])
    assert found == "storage"
    assert remote in protocol
    assert module in {PLUGIN[remote], "dvc_objects"}
    packages = project.run("uv", "export", "--locked", "--no-hashes").stdout
    named = {each.replace("-", "_") for each in re.findall(r"^([\w-]+)==", packages, re.MULTILINE)}
    assert named & {*PLUGIN.values()} == {"dvc", PLUGIN[remote]}


def test_data_remote_is_installed(bake: Bake) -> None:
    """Really, one of them, and no other."""
    project = install(bake(data_remote="s3"))
    assert [*zip(PLUGIN, project.python(FIND, *PLUGIN.values()), strict=True)] == [
        (remote, remote in ("local", "s3")) for remote in PLUGIN
    ]


def test_longest_name_passes_every_check(bake: Bake, everything: Project) -> None:
    """No line gets too long, no import falls out of order, and types hold.

    The package's source is the same whatever is answered, so once is enough.
    """
    folder = bake(package_name=LONGEST, project_slug=LONGEST.replace("_", "-"))
    project = Project(folder, everything.venv)
    project.run("uv", "lock", "--check")
    project.run("ruff", "format", "--check", ".")
    project.run("ruff", "check", ".")
    project.run("mypy")
    assert "Usage: mlops" in project.run("mlops", "--help").stdout


MODULES = """
import importlib.metadata, json, pkgutil, sys
names = {*importlib.metadata.packages_distributions(), *sys.builtin_module_names}
print(json.dumps(sorted(names | {module.name for module in pkgutil.iter_modules()})))
"""


def test_names_of_installed_modules_are_refused(everything: Project, tmp_path: Path) -> None:
    """A package that is called like another module hides it, or is hidden by it.

    Others are those of Python, of every dependency of every option, and of the bake's tests.
    """
    project = everything
    hook = load_hook("pre_gen_project", tmp_path)
    lock = (PROJECT / "uv.lock").read_text(encoding="utf-8")
    locked = frozenset(map(hook.normalised, re.findall(r'^name = "(.+)"$', lock, re.MULTILINE)))
    modules = project.python(MODULES)
    assert len(modules) > 150
    modules += [path.stem for path in (project.folder / "tests").glob("*.py")]
    assert [name for name in modules if hook.package(name, locked) is None] == [PACKAGE]
