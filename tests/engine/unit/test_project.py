"""The project's root: commands run there alone, and Git's objects are found from there, also where
the root is a folder of a repository that holds more; the owner's package is found by its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from engine.released import POLICIES, Repository
from typer.testing import CliRunner

from mlops import cli, project
from mlops.errors import InputError
from mlops.files import write_text
from mlops.git.revision import Revision, is_clean, root
from mlops.pipeline import stage
from mlops.release.guard import refusals
from mlops.release.proposal import Proposal, write
from mlops.release.state import environments, policy_path, release_path

SETTINGS = '[tool.mlops]\npackage = "late_flights"\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project two folders below the top of its repository, with another one beside it."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
    write_text(Path("models/b/environments/prod/policy.yaml"), "requires: null\n")
    folder = tmp_path / "models" / "a"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    found = Repository()
    found.git("config", "user.name", "Ada")
    found.git("config", "user.email", "ada@example.com")
    found.git("add", "--all", str(tmp_path))
    found.commit({str(policy_path(k)): text for k, text in POLICIES.items()})
    return found


def test_files_and_history_are_those_of_the_project(repository: Repository) -> None:
    release = repository.live("dev")
    head = Revision(repository.head)
    assert root() == "models/a/"
    assert head.read(policy_path("staging")) == POLICIES["staging"]
    assert head.folders(Path("environments")) == ["dev", "prod", "staging"]
    assert head.files(Path("releases"), ".json") == [f"{release.id}.json"]
    assert environments(head)["dev"].release == release


def test_the_guard_judges_its_own_environments_alone(repository: Repository) -> None:
    release = repository.live("dev")
    hand_made = release.text().replace(release.id, "r9")
    assert repository.refused({str(release_path("staging")): hand_made}) != []
    assert repository.refused({str(release_path("staging")): release.text()}) == []
    base = Revision(repository.head)
    write_text(Path("../b/environments/prod/release.env"), "NOT=OURS\n")
    repository.git("add", "--all", "..")
    repository.git("commit", "--quiet", "--message", "x")
    head = Revision(repository.head)
    assert refusals(base, head, repository.now) == []


def test_a_proposal_changes_the_project(repository: Repository) -> None:
    base = Revision(repository.head)
    made = write(Proposal("branch", "title", {Path("environments/dev/note"): "x\n"}), base)
    assert repository.git("show", "--name-only", "--format=", made) == (
        "models/a/environments/dev/note"
    )


def test_work_elsewhere_in_the_repository_is_none_of_the_project(repository: Repository) -> None:
    assert is_clean()
    Path("../b/environments/prod/policy.yaml").write_text("requires: dev\n", encoding="utf-8")
    assert is_clean()
    Path(policy_path("dev")).write_text("requires: null # more\n", encoding="utf-8")
    assert not is_clean()
    assert repository.ids == {}


OUTSIDE = "this is not a project: no pyproject.toml here or above has [tool.mlops]; cd to one"
COMMANDS = [
    *("data init x.csv", "predict x.csv", "compare", "gate", "lock", "report", "serve", "engine"),
    *("guard --base HEAD", "status", "promote prod", "monitor prod", "retrain --reason x"),
    *("github plan", "batch in out --environment prod", "apply prod"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run_at_the_root(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says so in a line, outside of a project and below its root, and leaves nothing."""
    below = tmp_path / "environments" / "prod"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert told(monkeypatch, *command.split()) == OUTSIDE
    write_text(tmp_path / "pyproject.toml", SETTINGS)
    told_there = f"this is not the root of the project: cd {tmp_path}"
    assert told(monkeypatch, *command.split()) == told_there
    assert [*below.iterdir()] == []
    monkeypatch.setattr("sys.argv", ["mlops", *command.split()[:1], "--help"])
    assert CliRunner().invoke(cli.app, [*command.split()[:1], "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[tool.mlops", "not valid TOML: "),
        (b"\xff = 1", "not UTF-8 text"),
        (b"tool = 3", "tool is 3 (int); must be a table"),
        (b"[tool]\nmlops = 'x'", "tool.mlops is 'x' (str); must be a table"),
    ],
)
def test_a_description_that_is_none_is_one_line(
    text: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each command; above a project it is none of its business."""
    (tmp_path / "pyproject.toml").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    assert told(monkeypatch, "gate").startswith(f"pyproject.toml: {said}")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir("below")
    assert told(monkeypatch, "gate") == OUTSIDE


@pytest.mark.parametrize("name", ["3", "'not-a-name'", "['a']", "''"])
def test_a_package_has_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(project.VARIABLE, raising=False)
    settings = f"[tool.mlops]\npackage = {name}\n"
    write_text(tmp_path / "pyproject.toml", settings)
    with pytest.raises(InputError, match=r"tool\.mlops\.package is .*; must name a package"):
        project.module("features")
    with pytest.raises(InputError, match="must name a package"):
        project.speak_for(settings)
    write_text(tmp_path / "pyproject.toml", "project = 1\n")
    with pytest.raises(InputError, match="project is 1 .*; must be a table"):
        project.about()


def told(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a command that is refused says."""
    monkeypatch.setattr("sys.argv", ["mlops", *arguments])
    found = CliRunner().invoke(cli.app, arguments)
    assert isinstance(found.exception, InputError), found.output
    assert found.output == ""
    return str(found.exception)


def test_what_takes_no_project_runs_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = "ftp://x: not the URL of a server; write http://HOST:PORT"
    assert told(monkeypatch, "smoke", "ftp://x") == said
    said = "x.onnx: no model; make it with `uv run dvc repro` or `dvc pull`"
    assert told(monkeypatch, "predict", "x.csv", "--model", "x.onnx") == said


def test_a_stage_runs_at_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "pyproject.toml", SETTINGS)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    ran: list[int] = []
    with pytest.raises(SystemExit) as ended:
        stage(lambda: ran.append(1))
    assert (ended.value.code, ran) == (2, [])
    monkeypatch.chdir(tmp_path)
    stage(lambda: ran.append(1))
    assert ran == [1]


@pytest.mark.parametrize("text", [None, "", "[tool.other]\nx = 1\n"])
def test_without_a_project_there_is_no_root_and_no_package(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        write_text(tmp_path / "pyproject.toml", text)
    assert project.root() is None
    assert project.package() is None
    assert project.module("features") is None


def test_a_package_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "pyproject.toml", SETTINGS.replace("late", "no_such"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no_such_flights: \[tool\.mlops\].*; run `uv sync`"):
        project.module("hooks")


def test_modules_of_the_owner_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "pyproject.toml", SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    write_text(tmp_path / "src/late_flights/__init__.py", "")
    write_text(tmp_path / "src/late_flights/features.py", "HERE = 1\n")
    write_text(tmp_path / "src/late_flights/metrics.py", "import no_such_library\n")
    features = project.module("features")
    assert features is not None
    assert features.HERE == 1
    assert project.module("hooks") is None
    with pytest.raises(InputError, match="late_flights/metrics.py: there is no module no_such_li"):
        project.module("metrics")
    monkeypatch.setenv("MLOPS_PACKAGE", "json")
    assert project.package() == "json"
