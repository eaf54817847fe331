"""What becomes of the pull requests of proposals: the engine asks a stand-in of GitHub's API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from workflows.events import REPOSITORY
from workflows.github import APP_TOKEN, Call
from workflows.hosting import Hosting
from workflows.world import git, hub

from mlops.github.api import Api, Refused
from mlops.release.pull_requests import closed_by_hand, opened, supersede

TOKEN = f"{APP_TOKEN}:contents=write,pull-requests=write"
OLD, NEW, OTHER = "promote/staging/r1", "promote/staging/r2", "promote/prod/r1"


@dataclass(frozen=True)
class Direct(Api):
    """The API, asked without `gh`, as an app."""

    github: Hosting

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def send(self, method: str, path: str, body: Any = None) -> None:
        self._ask(method, path, body or {})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        url = urlsplit(f"/repos/{self.repository}/{path}")
        call = Call(method, url.path, dict(parse_qsl(url.query)), body or {}, "gh", TOKEN)
        status, content = self.github.reply(call)
        if status >= 400:
            raise Refused(status, json.dumps(content))
        return json.loads(json.dumps(content))


@pytest.fixture
def api(tmp_path: Path) -> Direct:
    """A repository with a branch for each of some proposals."""
    origin = hub(tmp_path)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    for branch in ("main", OLD, NEW, OTHER):
        git(clone, "commit", "--quiet", "--allow-empty", "--message", branch)
        git(clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    return Direct(REPOSITORY, Hosting(REPOSITORY, origin, tmp_path / "api"))


def branches(api: Direct) -> set[str]:
    names = git(api.github.origin, "for-each-ref", "--format=%(refname:short)", "refs/heads")
    return set(names.split())


def test_one_pull_request_is_opened_for_a_branch(api: Direct) -> None:
    url = opened(OLD, "Promote r1", "Why.", api)
    assert opened(OLD, "Promote r1 again", "", api) == url
    assert [each["title"] for each in api.github.pulls] == ["Promote r1"]


def test_what_a_newer_one_replaces_is_closed_with_a_word_and_nothing_else(api: Direct) -> None:
    for branch in (OLD, OTHER, NEW):
        url = opened(branch, f"Promote {branch}", "", api)
    (told,) = supersede(NEW, "promote/staging/", url, api, lambda name: True)
    assert told == "#1 is closed, which this replaces: Promote promote/staging/r1"
    assert {*api.github.open_pulls()} == {OTHER, NEW}
    assert api.github.pulls[0]["title"] == "Superseded: Promote promote/staging/r1"
    assert api.github.bodies(1) == [f"{url} replaces this."]
    assert branches(api) == {"main", NEW, OTHER}
    # It was not a person who closed it: what it proposed may be proposed again.
    assert closed_by_hand(OLD, api) is None


def test_what_somebody_worked_on_stays_open(api: Direct) -> None:
    opened(OLD, "Promote r1", "", api)
    url = opened(NEW, "Promote r2", "", api)
    assert supersede(NEW, "promote/staging/", url, api, lambda name: False) == []
    assert {*api.github.open_pulls()} == {OLD, NEW}


def test_one_that_may_not_be_closed_is_told(api: Direct) -> None:
    opened(OLD, "Promote r1", "", api)
    url = opened(NEW, "Promote r2", "", api)
    api.github.faults["PATCH"] = 403
    (told,) = supersede(NEW, "promote/staging/", url, api, lambda name: True)
    assert told.startswith("#1, which this replaces, is not closed: ")
    assert OLD in branches(api)


def test_what_somebody_closed_is_known_until_it_is_open_again_or_merged(api: Direct) -> None:
    assert closed_by_hand(OLD, api) is None
    url = opened(OLD, "Promote r1", "", api)
    (pull,) = api.github.pulls
    assert closed_by_hand(OLD, api) is None
    pull["state"] = "closed"
    assert closed_by_hand(OLD, api) == url
    assert closed_by_hand(NEW, api) is None
    pull["merged_at"] = "2030-01-01T00:00:00Z"
    assert closed_by_hand(OLD, api) is None
    pull["merged_at"] = None
    opened(OLD, "Promote r1 all the same", "", api)  # by a person
    assert closed_by_hand(OLD, api) is None
