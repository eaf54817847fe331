"""`mlops update`: a newer template in a project whose owner has worked on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers import named, pairwise
from update.worlds import (
    NEW_KEY,
    VERIFY_KEY,
    Project,
    Versions,
    append,
    commit,
    edit,
    git,
    replace,
)

Begin = Callable[..., Project]

CI = ".github/workflows/ci.yml"
FORM = ".github/ISSUE_TEMPLATE/bug.yml"
ESTIMATOR = "\nfrom sklearn.ensemble import ExtraTreesClassifier  # noqa: E402\n"


def test_an_untouched_project_becomes_the_newer_bake(begin: Begin) -> None:
    project = begin()
    before = git(project.folder, "status", "--porcelain", "--ignored")
    said = project.update()
    assert "Update the template from 0.2.0 to 9.0.0: no conflict" in said
    assert git(project.folder, "status", "--porcelain", "--ignored") == before
    assert git(project.folder, "branch", "--show-current") == "main"
    project.switch()
    record = json.loads(project.read(".cookiecutter.json"))
    assert record["commit"] == project.versions.new
    assert record["template"] == str(project.versions.folder)
    assert record["version"] == "9.0.0"
    assert record["answers"]["region"] == "eu-central-1"
    assert not (project.folder / "mlops/docs/limits.md").exists()
    assert (project.folder / "tests/test_region.py").is_file()
    assert "# newer" not in project.read("tests/test_contract.py")
    assert project.mlops("engine", "--check").returncode == 0


def work_on(project: Project) -> None:
    """Eight things that owners do."""
    package = next((project.folder / "src").iterdir())
    append(package / "estimators.py", ESTIMATOR)
    edit(
        project.folder / CI, lambda text: text.replace("timeout-minutes: 30", "timeout-minutes: 45")
    )
    edit(
        project.folder / "params.yaml",
        lambda text: text.replace("regression: 0}", "regression: 0.01}", 1),
    )
    replace(project.folder / "pyproject.toml", '[pipeline]"]', '[pipeline]", "requests>=2"]')
    project.write("docs/notes.md", "# Notes\n")
    project.write("tests/test_own.py", "def test_own() -> None:\n    pass\n")
    edit(project.folder / "environments/prod/policy.yaml", lambda text: text + "\n# ours\n")
    for name in (FORM, "data/example/build.py"):
        (project.folder / name).unlink()
    project.commit()


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize("answers", pairwise(), ids=named)
def test_what_the_owner_did_stays_and_what_is_new_comes(
    begin: Begin, answers: dict[str, str]
) -> None:
    project = begin(**answers)
    work_on(project)
    before = git(project.folder, "status", "--porcelain", "--ignored")
    said = project.update()
    assert "no conflict" in said
    assert git(project.folder, "status", "--porcelain", "--ignored") == before
    mine = {p: project.read(p) for p in ("docs/notes.md", "tests/test_own.py")}
    policy = project.read("environments/prod/policy.yaml")
    params = yaml.safe_load(project.read("params.yaml"))
    project.switch()
    # Kept.
    assert {p: project.read(p) for p in mine} == mine
    assert project.read("environments/prod/policy.yaml") == policy
    package = next((project.folder / "src").iterdir())
    assert ESTIMATOR in (package / "estimators.py").read_text()
    assert "timeout-minutes: 45" in project.read(CI)
    assert '"requests>=2"' in project.read("pyproject.toml")
    assert "requests" in project.read("uv.lock")
    assert "\nrequests==" in project.read("packages.txt")
    assert not (project.folder / FORM).exists()
    assert not (project.folder / "data/example/build.py").exists()
    # New.
    assert "name: lint code" in project.read(CI)
    assert "NEWER = True" in project.read("mlops/src/mlops/judging/gate.py")
    assert "It runs in eu-central-1." in project.read("README.md")
    text = project.read("params.yaml")
    assert f"{VERIFY_KEY}\n{NEW_KEY}" in text
    found = yaml.safe_load(text)
    assert found.pop("notices") == {"channel": "none"}
    assert found["verify"].pop("seed") == 7
    assert found == params
    assert project.mlops("engine", "--check").returncode == 0


@pytest.mark.usefixtures("_in_this_process")
def test_a_conflict_is_in_its_file_and_told(begin: Begin) -> None:
    project = begin()
    replace(project.folder / CI, "name: lint\n    needs", "name: our lint\n    needs")
    project.commit()
    said = project.update()
    assert "1 conflict" in said
    assert f"conflict: {CI}" in said
    project.switch()
    text = project.read(CI)
    assert "<<<<<<< yours\n    name: our lint\n" in text
    assert ">>>>>>> template\n" in text


@pytest.mark.usefixtures("_in_this_process")
def test_a_changed_engine_is_merged_and_told(begin: Begin) -> None:
    project = begin()
    gate = project.folder / "mlops/src/mlops/judging/gate.py"
    edit(gate, lambda text: f"# Ours.\n{text}")
    (project.folder / "mlops/src/mlops/ours.py").write_text("")
    project.commit()
    told = project.mlops("engine", "--check")
    assert told.returncode == 3
    assert told.stdout.splitlines()[-2:] == [
        "added: mlops/src/mlops/ours.py",
        "changed: mlops/src/mlops/judging/gate.py",
    ]
    assert told.stderr == "error: 2 files differ from version 0.2.0\n"
    project.update()
    project.switch()
    text = gate.read_text()
    assert text.startswith("# Ours.\n")
    assert text.endswith("NEWER = True\n")
    assert "changed: mlops/src/mlops/judging/gate.py" in project.mlops("engine", "--check").stdout


@pytest.mark.usefixtures("_in_this_process")
def test_what_the_template_removed_stays_where_it_was_changed(begin: Begin) -> None:
    project = begin()
    append(project.folder / "mlops/docs/limits.md", "Ours.\n")
    project.commit()
    assert "no conflict" in project.update()
    assert "Ours." in git(project.folder, "show", "update/9.0.0:mlops/docs/limits.md")


@pytest.mark.usefixtures("_in_this_process")
def test_twice_is_up_to_date(begin: Begin) -> None:
    project = begin()
    project.update()
    git(project.folder, "merge", "--quiet", "--ff-only", "update/9.0.0")
    assert project.update().startswith(f"up to date: 9.0.0 ({project.versions.new[:7]})")


@pytest.mark.usefixtures("_in_this_process")
def test_a_dry_run_leaves_no_branch(begin: Begin) -> None:
    project = begin()
    said = project.update("--to", project.versions.new, "--dry-run")
    assert "## What is new\n\n## 9.0.0" in said
    assert "- `notices`" in said
    assert "- `tests/test_contract.py`" in said
    assert git(project.folder, "branch", "--list", "update/*") == ""


@pytest.mark.usefixtures("_in_this_process")
def test_a_branch_is_pushed_where_there_is_a_remote(begin: Begin, tmp_path: Path) -> None:
    project = begin()
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(project.folder, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(project.folder, "push", "--quiet", "origin", "main")
    assert "Pushed update/9.0.0" in project.update()
    pushed = git(tmp_path / "remote.git", "rev-parse", "update/9.0.0")
    # The same again stays, with the reviews that it has.
    project.update()
    assert git(tmp_path / "remote.git", "rev-parse", "update/9.0.0") == pushed


@pytest.mark.usefixtures("_in_this_process")
def test_a_branch_for_another_job_is_pushed_there(begin: Begin, tmp_path: Path) -> None:
    project = begin()
    git(project.folder, "remote", "add", "origin", str(tmp_path / "nowhere.git"))
    project.update("--to", project.versions.new, "--output", str(tmp_path / "told"))
    assert "## 9.0.0" in (tmp_path / "told/body.md").read_text()
    branch = git(project.folder, "branch", "--list", "--format=%(refname:short)", "update/*")
    assert branch

    # The other job, in a clone of its own, takes it as it is, and once.
    remote, other = tmp_path / "nowhere.git", tmp_path / "other"
    git(
        tmp_path, "clone", "--quiet", "--bare", "--branch", "main", str(project.folder), str(remote)
    )
    git(remote, "branch", "--quiet", "-D", branch)
    git(tmp_path, "clone", "--quiet", str(remote), str(other))
    there = Project(other, project.versions)
    for _ in range(2):
        assert f"Pushed {branch}" in there.mlops("propose", str(tmp_path / "told")).stdout
        assert git(remote, "rev-parse", branch) == git(project.folder, "rev-parse", branch)
    # Hooks of the template ran where it was made: they do not choose what is pushed.
    done = there.mlops("propose", str(tmp_path / "told"), "--under", "promote/")
    assert done.returncode == 2
    assert "is to have one branch, of a name like promote/…" in done.stderr

    # What somebody did with it at the remote, which was fetched, is left there.
    for message, kept in (([], True), (["--message", "Settled"], False)):
        git(project.folder, "switch", "--quiet", branch)
        if message:
            git(project.folder, "commit", "--quiet", "--amend", *message)
        git(project.folder, "update-ref", f"refs/remotes/origin/{branch}", "HEAD")
        git(project.folder, "switch", "--quiet", "main")
        git(project.folder, "branch", "-D", branch)
        done = project.mlops(
            "update", "--to", project.versions.new, "--output", str(tmp_path / "b")
        )
        assert done.returncode == 0, done.stderr
        assert bool(git(project.folder, "branch", "--list", "update/*")) == kept
    assert f"{branch}: left as it is: somebody worked on it (Settled)" in done.stdout


def refused(project: Project, *arguments: str) -> str:
    done = project.mlops("update", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert git(project.folder, "branch", "--list", "update/*") == ""
    return done.stderr


@pytest.mark.usefixtures("_in_this_process")
def test_what_cannot_be_is_a_line(begin: Begin, tmp_path: Path) -> None:
    project = begin()
    assert "error: 7.7.7: the template at " in refused(project, "--to", "7.7.7")
    nowhere = str(tmp_path / "nowhere")
    assert f"error: {nowhere}: the template is to be there" in refused(
        project, "--template", nowhere
    )
    assert "the template cannot be fetched" in refused(project, "--template", f"file://{nowhere}")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    (other / "file").touch()
    commit(other, "Other")
    assert "has no such version or commit" in refused(project, "--template", str(other))
    (project.folder / ".cookiecutter.json").unlink()
    project.commit()
    told = refused(project)
    assert told.startswith("error: .cookiecutter.json: no such file in Git")
    assert len(told.splitlines()) == 1


@pytest.mark.usefixtures("_in_this_process")
def test_an_answer_that_is_no_longer_valid_is_named(
    begin: Begin, versions: Versions, tmp_path: Path
) -> None:
    project = begin(license="BSD-3-Clause")
    other = tmp_path / "mlops-template"
    shutil.copytree(versions.folder, other)
    git(other, "switch", "--quiet", "main")
    replace(other / "cookiecutter.json", '"BSD-3-Clause", ', "")
    to = commit(other, "Without a licence")
    told = refused(project, "--template", str(other), "--to", to)
    assert told.startswith("error: license: 'BSD-3-Clause' is no longer a choice (MIT, Apache-2.0")


def test_an_answer_that_the_template_refuses_is_named(
    begin: Begin, versions: Versions, tmp_path: Path
) -> None:
    project = begin()
    record = project.folder / ".cookiecutter.json"
    replace(record, "data-science@example.com", "nobody")
    project.commit()
    # cookiecutter itself, whose hook refuses.
    assert "email: 'nobody' is no e-mail address" in refused(project, "--to", versions.new)


@pytest.mark.usefixtures("_in_this_process")
def test_without_a_commit_it_asks_for_one(begin: Begin) -> None:
    project = begin()
    edit(
        project.folder / ".cookiecutter.json",
        lambda text: text.replace(f'"{project.versions.old}"', "null"),
    )
    project.commit()
    assert "say which it was: mlops update --from COMMIT" in refused(project)
    project.update("--from", project.versions.old, "--to", project.versions.new)
    assert git(project.folder, "branch", "--list", "update/9.0.0")


def test_the_newest_version_is_one_with_a_tag(
    begin: Begin, versions: Versions, tmp_path: Path
) -> None:
    project = begin()
    other = tmp_path / "mlops-template"
    shutil.copytree(versions.folder, other)
    git(other, "tag", "v0.2.0", versions.old)
    at = ("--template", str(other))
    assert "up to date: 0.2.0" in project.update(*at)
    git(other, "tag", "v9.0.0", versions.new)
    assert "from 0.2.0 to 9.0.0" in project.update(*at, "--dry-run")
    assert "from 0.2.0 to 9.0.0" in project.update(*at, "--to", "9.0.0", "--dry-run")
    assert "from 0.2.0 to 9.0.0" in project.update(*at, "--to", "main", "--dry-run")


@pytest.mark.usefixtures("_in_this_process")
def test_a_project_in_a_folder_of_its_repository_is_updated_there(
    begin: Begin, tmp_path: Path
) -> None:
    baked = begin()
    shutil.rmtree(baked.folder / ".git")
    top = tmp_path / "models"
    shutil.move(baked.folder, top / "flights")
    (top / "README.md").write_text("Models\n")
    git(top, "init", "--quiet", "--initial-branch", "main")
    commit(top, "Bake")
    project = Project(top / "flights", baked.versions)
    assert "no conflict" in project.update()
    git(top, "switch", "--quiet", "update/9.0.0")
    assert (top / "README.md").read_text() == "Models\n"
    assert "It runs in eu-central-1." in project.read("README.md")
    assert git(top, "status", "--porcelain") == ""
