"""What the stand-in of GitHub's API refuses: requests that its description does not have, and those
that a job's `permissions:` do not cover."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import load_yaml
from workflows import permissions, rest_update
from workflows.act import Workflow
from workflows.events import ZEROS, dispatch, pull_request
from workflows.github import APP_TOKEN, BOT, PERSON, TOKEN, Answer, Call
from workflows.hosting import Hosting
from workflows.rest import REST, endpoints
from workflows.world import hub

R = "/repos/example-org/flight-delays"


@pytest.fixture
def github(tmp_path: Path) -> Hosting:
    """A repository; the running job may do nothing."""
    made = Hosting("example-org/flight-delays", hub(tmp_path), tmp_path / "api")
    made.folder.mkdir()
    made.merges_alone = False  # there is no pull request that could
    run_job(made)
    return made


def run_job(github: Hosting, **has: str) -> None:
    """Let a job run that has these permissions."""
    may = {name.replace("_", "-"): level for name, level in has.items()}
    github.running.write_text(json.dumps({"name": "ci/comment", "permissions": may}))


def ask(
    github: Hosting, request: str, body: dict[str, Any] | None = None, token: str = TOKEN
) -> Answer:
    """Ask as `gh` does."""
    method, _, address = request.partition(" ")
    path, _, query = address.partition("?")
    pairs = dict(each.split("=", 1) for each in query.split("&") if each)
    return github.reply(Call(method, path, pairs, body or {}, "gh", token))


ISSUE = {"title": "drift", "labels": ["monitoring"], "body": "Rows are unlike those of training."}
MISTAKES = [
    (f"POST {R}/issues", ISSUE | {"label": ["x"]}, "'label' was unexpected"),
    (f"POST {R}/issues", {"body": "x"}, "'title' is a required property"),
    (f"POST {R}/issues", ISSUE | {"labels": 7}, "$.labels: 7 is not"),
    (f"GET {R}/issues?state=opened&labels=x", {}, "query: state: $: 'opened' is not one of"),
    (f"GET {R}/issues?label=monitoring", {}, "query: there is no label"),
    (f"PATCH {R}/issues/1", {"state": "merged"}, "$.state: 'merged' is not one of"),
    (f"GET {R}/pulls?state=open&page=first", {}, "query: page: $: 'first' is not of type"),
    (f"GET {R}/git/ref/heads/a/b", {"ref": "x"}, "body: there is none"),
    (f"PUT {R}/environments/prod", {"reviewer": []}, "'reviewer' was unexpected"),
    (f"POST {R}/rulesets", {"name": "main", "enforcement": "on"}, "'on' is not one of"),
    (
        f"POST {R}/rulesets",
        {"name": "main", "enforcement": "active", "rules": [{"type": "deletions"}]},
        "is not valid under any",
    ),
]


@pytest.mark.parametrize(("request_", "body", "said"), MISTAKES)
def test_request_of_another_form_than_described_is_refused(
    github: Hosting, request_: str, body: dict[str, Any], said: str
) -> None:
    status, answer = ask(github, request_, body, PERSON)
    assert status == 422
    assert said in answer["message"]


def test_request_that_there_is_not_is_told(github: Hosting) -> None:
    status, answer = ask(github, f"GET {R}/issue", token=PERSON)
    assert (status, "no such request" in answer["message"]) == (404, True)
    assert ask(github, f"GET {R}/issues", token="another")[0] == 401  # noqa: S106


# A request, and each set of permissions that is just enough.
ENOUGH: list[tuple[str, dict[str, Any], list[dict[str, str]]]] = [
    (f"GET {R}", {}, [{}]),
    (f"GET {R}/issues?state=open&labels=deploy", {}, [{"issues": "read"}]),
    (f"POST {R}/issues", ISSUE, [{"issues": "write"}]),
    (
        f"POST {R}/issues/1/comments",
        {"body": "x"},
        [{"issues": "write"}, {"pull_requests": "write"}],
    ),
    (f"GET {R}/pulls?state=open", {}, [{"pull_requests": "read"}]),
    (f"GET {R}/git/ref/heads/report-pictures/1", {}, [{"contents": "read"}]),
    (f"DELETE {R}/git/refs/heads/report-pictures/1", {}, [{"contents": "write"}]),
    (
        f"GET {R}/actions/workflows/retrain.yml/runs?created=>=2026-01-01",
        {},
        [{"actions": "read"}],
    ),
    (
        "POST /graphql",
        {"query": "enablePullRequestAutoMerge", "variables": {"input": {"pullRequestId": "PR_1"}}},
        [{"contents": "write", "pull_requests": "write"}],
    ),
]
LESS = {"write": "read", "read": "none"}


@pytest.mark.parametrize(("request_", "body", "sets"), ENOUGH)
def test_token_may_what_its_job_may_and_no_more(
    github: Hosting, request_: str, body: dict[str, Any], sets: list[dict[str, str]]
) -> None:
    refused = 403, {"message": permissions.REFUSAL}
    for has in sets:
        run_job(github, **has)
        assert ask(github, request_, body)[0] != 403
        for name, level in has.items():
            run_job(github, **{**has, name: LESS[level]})
            assert ask(github, request_, body) == refused
    # A job never administrates, whatever it is given.
    run_job(github, administration="write", contents="write", actions="write")
    assert ask(github, f"PUT {R}/actions/permissions/workflow") == refused


def test_apps_token_may_what_it_was_asked_for(github: Hosting) -> None:
    body = {"title": "x", "head": "y", "base": "main"}
    for asked, status in {"contents=write,pull-requests=write": 422, "contents=write": 403}.items():
        assert ask(github, f"POST {R}/pulls", body, f"{APP_TOKEN}:{asked}")[0] == status
    assert Call("GET", "", {}, {}, "", TOKEN).login == BOT


def test_permission_that_nothing_needed_is_found(github: Hosting) -> None:
    has = {"issues": "write", "contents": "write", "pull_requests": "read"}
    run_job(github, **has)
    ask(github, f"POST {R}/issues", ISSUE)
    ask(github, f"GET {R}/git/ref/heads/main")
    ask(github, f"GET {R}/issues/1/comments")  # of issues or pull requests: one of them is enough
    mine = {name.replace("_", "-"): level for name, level in has.items()}
    found = permissions.unneeded(github.running, "ci/comment", mine)
    assert found == ["contents: write", "pull-requests: read"]


def test_runs_for_strangers_only_read(baked_ci: Workflow) -> None:
    for job, what in (("pictures", "contents"), ("comment", "pull-requests")):
        assert baked_ci.permissions(job, pull_request()) == {what: "write"}
        assert baked_ci.permissions(job, pull_request(head="grace/fork")) == {what: "read"}
        assert baked_ci.permissions(job, pull_request(author="dependabot[bot]")) == {what: "read"}
    assert baked_ci.permissions("gate", dispatch(ZEROS)) == {}


def test_what_nothing_asks_here_is_a_permission_of_a_job(
    baked: Callable[..., Path],
) -> None:
    folder = baked() / ".github" / "workflows"
    declared = {
        f"{path.stem}/{job}: {name}: {level}"
        for path in folder.glob("*.yml")
        for job, about in load_yaml(path.read_text("utf-8"))["jobs"].items()
        for name, level in about["permissions"].items()
    }
    assert permissions.UNASKED.keys() <= declared


def test_description_is_small_and_of_the_requests_that_are_listed() -> None:
    listed = {
        f"{method} {path}"
        for path, methods in rest_update.ENDPOINTS.items()
        for method in methods.split()
    }
    assert {each.name for each in endpoints()} == listed
    assert REST.stat().st_size < 50_000
