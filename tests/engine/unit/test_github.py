"""`mlops github`, as far as it goes without GitHub: the file, the remote, and what is told."""

import subprocess
from pathlib import Path

import pytest
from engine.workspace import root

from mlops.errors import InputError
from mlops.github.api import Refused, repository
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


@pytest.mark.parametrize(
    ("status", "message", "what_to_do"),
    [
        (
            403,
            "GitHub Actions is not permitted to create or approve pull requests.",
            "an administrator runs `uv run mlops github`",
        ),
        (403, "Resource not accessible by integration", "the workflow's `permissions:`"),
        (403, "Resource not accessible by personal access token", "`gh auth refresh`"),
        (410, "Issues are disabled for this repo", "gh repo edit --enable-issues"),
        (422, "Validation Failed: No commits between main and promote/x", "nothing to do"),
        (403, "You have exceeded a secondary rate limit", "wait some minutes"),
        (404, "Not Found", ""),
    ],
)
def test_a_known_refusal_says_what_mends_it(status: int, message: str, what_to_do: str) -> None:
    told = str(Refused(status, message))
    assert told.startswith(f"{message} (HTTP {status})")
    assert what_to_do in told
    assert (told == f"{message} (HTTP {status})") == (what_to_do == "")
