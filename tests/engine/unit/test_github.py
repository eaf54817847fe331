"""`mlops github`, as far as it goes without GitHub: the file, the remote, and what is told."""

import subprocess
from pathlib import Path

import pytest
from engine.workspace import root

from mlops.errors import InputError
from mlops.github.api import repository
from mlops.github.apply import advice
from mlops.github.changes import (
    Problem,
    differing,
)
from mlops.github.settings import (
    SETTINGS,
    load_settings,
)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What begins the command that gives a repository in the current folder its remote."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    return ["git", "remote", "add", "origin"]


def test_the_projects_own_file_is_sound() -> None:
    settings = load_settings(root() / SETTINGS)
    assert "main" in settings.rulesets
    assert {"dev", "staging", "prod"} <= set(settings.environments)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/late-flights",
        "https://github.com/acme/late-flights.git",
        "https://ada:secret@github.com/acme/late-flights.git/",
        "git@github.com:acme/late-flights.git",
        "ada@work-alias:acme/late-flights",
        "ssh://git@github.com/acme/late-flights.git",
        "ssh://git@ssh.github.com:443/acme/late-flights.git",
    ],
)
def test_the_repository_is_that_of_the_remote(remote: list[str], url: str) -> None:
    subprocess.run([*remote, url], check=True)
    assert repository(None) == "acme/late-flights"
    assert repository("acme/other") == "acme/other"


@pytest.mark.parametrize(
    "url", ["/srv/hub/late-flights", "https://ada:secret@git.acme.com/flights"]
)
def test_another_remote_is_told_without_its_password(remote: list[str], url: str) -> None:
    with pytest.raises(InputError, match="no remote"):
        repository(None)
    subprocess.run([*remote, url], check=True)
    with pytest.raises(InputError, match="--repo OWNER/NAME") as told:
        repository(None)
    assert "secret" not in str(told.value)


def test_only_what_is_declared_is_compared() -> None:
    there = {"a": True, "b": ["x", "y"], "other": 1}
    assert differing("it", {"a": True}, there) == []
    assert differing("it", {"a": False, "b": [], "c": 1}, there) == [
        "~ it: a: true -> false",
        "~ it: b: x, y -> none",
        "~ it: c: none -> 1",
    ]


def test_what_is_not_enforced_is_told_once_for_each_reason() -> None:
    plan = "Upgrade to GitHub Pro (HTTP 403)"
    told = advice(
        [
            Problem("environment dev", plan),
            Problem("environment prod", plan),
            Problem("workflows", "Conflict (HTTP 409)"),
        ]
    )
    first, instead, second = told.splitlines()
    assert first == f"not enforced: environment dev, environment prod: {plan}"
    assert instead.startswith("  instead: make the repository public")
    assert second == "not enforced: workflows: Conflict (HTTP 409)"
