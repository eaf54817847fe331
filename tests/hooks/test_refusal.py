"""Refused answers, through cookiecutter: every problem told, exit 1, nothing left on disk."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.cli import main
from helpers import literal, user_config

BAD = {
    "project_name": "two\nlines",
    "project_slug": "Flight Delays; rm -rf x",
    "package_name": "json",
    "description": "",
    "author": "\x1b[31mred",
    "email": "nobody",
    "github_owner": "-x-",
    "data_science_team": "@all of us",
    "ml_engineering_team": "a/b/c",
    "data_remote_url": "data",
}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(
    template: Path,
    output: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs cookiecutter as a user does, but in this process; hooks have processes of their own."""
    monkeypatch.chdir(output.parent)
    monkeypatch.setenv("HOME", str(output.parent))

    def go(*options: str) -> subprocess.CompletedProcess[str]:
        config = user_config(output.parent)
        where = [str(template), "--output-dir", str(output), "--config-file", str(config)]
        capfd.readouterr()
        try:
            main([*where, *options])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # which cookiecutter lets through: its process would end so
            traceback.print_exc()
            code = 1
        told = capfd.readouterr()
        return subprocess.CompletedProcess(options, code, told.out, told.err)

    return go


def extra(answers: dict[str, str]) -> list[str]:
    return ["--no-input", *(f"{name}={literal(answer)}" for name, answer in answers.items())]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def test_all_problems_are_told_and_nothing_is_left(run: Run, output: Path) -> None:
    result = run(*extra(BAD))
    assert result.returncode == 1
    told = [line for line in result.stderr.splitlines() if line.partition(":")[0] in BAD]
    assert [line.partition(":")[0] for line in told] == list(BAD)
    assert list(output.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ({"project_slug": "Späte Flüge!"}, {"project_slug": "late-flights"}),
        ({"package_name": "json", "author": "\x1b[31mred"}, {"package_name": "f", "author": "Red"}),
        ({"github_owner": "My Org", "email": "nobody"}, {"github_owner": "o", "email": "a@b.co"}),
        (
            {"project_slug": "x y", "data_remote_url": "s3://company/x-y-data"},
            {"project_slug": "xy"},
        ),
    ],
)
def test_the_good_answers_are_kept(
    run: Run, output: Path, typed: dict[str, str], corrected: dict[str, str]
) -> None:
    """One command goes on, with nothing of what was good to be typed again."""
    good = {"project_name": 'Flights of "JFK"', "description": "'a' << b # <% c"}
    chosen = {"python_version": "3.12", "task": "regression", "data_remote": "s3"}
    choices = [f"{question}={answer}" for question, answer in chosen.items()]
    result = run(*extra(good | typed), *choices)
    assert result.returncode == 1
    said = result.stderr.splitlines()
    (line,) = (line.strip() for line in said if line.startswith("  cookiecutter "))
    for question, answer in corrected.items():
        assert line.count(f" {question}=") == 1
        line = line.replace(f" {question}=''", f" {question}='{answer}'")
    slug = corrected.get("project_slug", "flights-of-jfk")
    config = f"--config-file '{user_config(output.parent)}'"
    command = line.replace("cookiecutter", f"{sys.executable} -m cookiecutter {config}", 1)
    subprocess.run(command, shell=True, cwd=output.parent, check=True, capture_output=True)
    record = json.loads((output / slug / ".cookiecutter.json").read_text(encoding="utf-8"))
    answers = record["answers"]
    assert answers | good | chosen | typed | corrected == answers
    package = corrected.get("package_name", slug.replace("-", "_"))
    assert answers["package_name"] == package
    owner = corrected.get("github_owner", "example-org")
    assert answers["ml_engineering_team"] == f"{owner}/ml-engineering"
    assert answers["data_remote_url"] == typed.get("data_remote_url", f"s3://{slug}-data")


def test_an_answer_that_is_the_templates_own_is_kept_from_the_users_settings(
    run: Run, output: Path
) -> None:
    settings = output.parent / "cookiecutter.yaml"
    said = run(*extra({"author": "Data Science Team", "email": "nobody"})).stderr
    (line,) = (each for each in said.splitlines() if each.startswith("  cookiecutter "))
    known = json.loads(settings.read_text("utf-8")) | {"default_context": {"author": "Another"}}
    settings.write_text(json.dumps(known), encoding="utf-8")
    command = line.strip().replace("email=''", "email='a@b.co'")
    command = command.replace(
        "cookiecutter", f"{sys.executable} -m cookiecutter --config-file '{settings}'", 1
    )
    subprocess.run(command, shell=True, cwd=output.parent, check=True, capture_output=True)
    record = (output / "flight-delays/.cookiecutter.json").read_text(encoding="utf-8")
    assert json.loads(record)["answers"]["author"] == "Data Science Team"


@pytest.mark.parametrize(
    "slug", ["..", ".", "", "../up", "a/b", "a/b/c", "a/../b", "~", "-rf", "$(touch pwned)", "a\nb"]
)
def test_bad_slug_leaves_nothing(run: Run, output: Path, slug: str) -> None:
    before = sorted(output.parent.iterdir())
    answers = {"project_slug": slug, "package_name": "sound"}
    assert run(*extra(answers)).returncode == 1
    after = [p for p in output.parent.iterdir() if p.name not in {"cookiecutter.yaml", "replay"}]
    assert sorted(after) == before
    assert list(output.iterdir()) == []


def test_folders_that_were_there_stay(run: Run, output: Path) -> None:
    (output / "a").mkdir()
    (output / "a" / "kept").touch()
    assert run(*extra({"project_slug": "a/b"})).returncode == 1
    assert [path.name for path in (output / "a").iterdir()] == ["kept"]


@pytest.mark.parametrize("question", ["license", "python_version", "task", "data_remote"])
def test_unknown_choice_is_refused(run: Run, output: Path, question: str) -> None:
    result = run("--no-input", f"{question}=none")
    assert result.returncode == 1
    assert question in result.stderr
    assert list(output.iterdir()) == []


def test_unknown_choice_in_a_replay_is_refused(run: Run, template: Path, output: Path) -> None:
    """cookiecutter takes what a replay file says, so only the hook stands in the way."""
    assert run("--no-input").returncode == 0
    replay = output.parent / "replay" / f"{template.name}.json"
    context = json.loads(replay.read_text("utf-8"))
    context["cookiecutter"] |= {"project_slug": "other", "license": "GPL", "task": "../x"}
    replay.write_text(json.dumps(context), encoding="utf-8")
    result = run("--replay")
    assert result.returncode == 1
    assert "\nlicense: 'GPL'" in f"\n{result.stderr}"
    assert "\ntask: '../x'" in f"\n{result.stderr}"
    assert [path.name for path in output.iterdir()] == ["flight-delays"]


def test_dependency_is_refused_as_name(run: Run, output: Path) -> None:
    result = run(*extra({"project_slug": "scikit-learn"}))
    assert result.returncode == 1
    assert "project_slug: 'scikit-learn' is the name of a dependency" in result.stderr
    assert "package_name: 'scikit_learn' is the name of a dependency" in result.stderr


def test_existing_project_is_left_alone(run: Run, output: Path) -> None:
    project = output / "flight-delays"
    project.mkdir()
    (project / "mine").touch()
    assert run("--no-input").returncode == 1
    assert run("-f", *extra({"author": ""})).returncode == 1
    assert [path.name for path in project.iterdir()] == ["mine"]


def test_a_folder_of_a_repository_is_refused(run: Run, output: Path) -> None:
    """Its workflows would never start, and `make run` would make a repository in a repository."""
    subprocess.run(["git", "init", "--quiet", str(output)], check=True)
    result = run("--no-input")
    assert result.returncode == 1
    told = f"{output / 'flight-delays'}: is inside the Git repository {output}, "
    assert [line for line in result.stderr.splitlines() if line.startswith(told)] != []
    assert f"--output-dir {output.parent}" in result.stderr
    assert [path.name for path in output.iterdir()] == [".git"]


def test_a_folder_that_a_repository_ignores_is_fine(run: Run, output: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(output)], check=True)
    (output / ".gitignore").write_text("/flight-delays/\n")
    assert run("--no-input").returncode == 0


def test_a_new_repository_is_baked_into(run: Run, output: Path) -> None:
    """As GitHub makes it: a README, a licence, and nothing else."""
    project = output / "flight-delays"
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    for name in ("README.md", "LICENSE"):
        (project / name).write_text("theirs\n")
    assert run("-f", "--no-input").returncode == 0
    assert (project / "README.md").read_text("utf-8").startswith("# Flight Delays")
    assert (project / "params.yaml").is_file()
    listed = ["git", "-C", str(project), "status", "--porcelain", "--ignored", "mlops"]
    assert subprocess.run(listed, capture_output=True, text=True).stdout == "?? mlops/\n"


def test_make_makes_no_repository_in_a_repository(run: Run, output: Path) -> None:
    assert run("--no-input").returncode == 0
    subprocess.run(["git", "init", "--quiet", str(output)], check=True)
    make = ["make", "--directory", str(output / "flight-delays"), ".git"]
    done = subprocess.run(make, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"is inside the Git repository {output}" in done.stdout
    assert not (output / "flight-delays" / ".git").exists()
