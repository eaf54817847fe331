"""Events as GitHub describes them to a workflow: only what the workflows look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OWNER, NAME = "example-org", "flight-delays"
REPOSITORY = f"{OWNER}/{NAME}"
ZEROS = "0" * 40


@dataclass(frozen=True)
class Event:
    """What happened.

    Attributes:
        name: of the event.
        ref: the branch, or `refs/pull/NUMBER/merge`, that the run is for.
        sha: the commit that is checked out.
        payload: the event's own description.
    """

    name: str
    ref: str
    sha: str
    payload: dict[str, Any]
    repository: str = REPOSITORY

    @property
    def is_of_strangers(self) -> bool:
        """Whether it is a pull request of a fork or of Dependabot, whose runs get less."""
        request = self.payload.get("pull_request")
        if request is None:
            return False
        source = request["head"]["repo"]
        is_fork = source is None or source["full_name"] != self.repository
        return is_fork or request["user"]["login"] == "dependabot[bot]"


def _repository(name: str = REPOSITORY, *, fork: bool = False) -> dict[str, Any]:
    owner, _, short = name.partition("/")
    return {
        "full_name": name,
        "name": short,
        "owner": {"login": owner},
        "fork": fork,
        "default_branch": "main",
    }


def pull_request(
    number: int = 1,
    sha: str = ZEROS,
    *,
    head: str | None = REPOSITORY,
    forked: bool = False,
    author: str = "ada",
    action: str = "synchronize",
    base: str = "main",
) -> Event:
    """A pull request from a branch of `head`; `sha` is the trial merge that GitHub makes.

    Args:
        number: of the pull request.
        sha: of the trial merge.
        head: the repository that it comes from; None where that was deleted since.
        forked: whether the project's own repository is a fork of another project.
        author: who opened it.
        action: what happened to it.
        base: the branch that it is to go into.
    """
    fork = forked or head != REPOSITORY
    source = None if head is None else _repository(head, fork=fork)
    return Event(
        "pull_request",
        f"refs/pull/{number}/merge",
        sha,
        {
            "action": action,
            "number": number,
            "pull_request": {
                "number": number,
                "user": {"login": author},
                "head": {"ref": "topic", "sha": sha, "repo": source},
                "base": {"ref": base, "repo": _repository(fork=forked)},
            },
            "repository": _repository(),
            "sender": {"login": author},
        },
    )


def review(state: str = "approved", head: str = REPOSITORY, action: str = "submitted") -> Event:
    """Somebody reviewed a pull request from a branch of `head`."""
    of = pull_request(head=head, action=action)
    return Event("pull_request_review", of.ref, of.sha, of.payload | {"review": {"state": state}})


def push(sha: str = ZEROS, before: str = ZEROS, branch: str = "main") -> Event:
    """A push to a branch, which had `before` as its last commit; all zeros when it is new."""
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": sha,
        "deleted": False,
        "repository": _repository(),
    }
    return Event("push", f"refs/heads/{branch}", sha, payload)


def merge_group(sha: str = ZEROS, base: str = ZEROS) -> Event:
    """A merge queue asks whether a group of pull requests may go in on top of `base`."""
    ref = "refs/heads/gh-readonly-queue/main/pr-1-x"
    group = {"head_sha": sha, "head_ref": ref, "base_sha": base, "base_ref": "refs/heads/main"}
    payload = {"action": "checks_requested", "merge_group": group, "repository": _repository()}
    return Event("merge_group", ref, sha, payload)


def dispatch(sha: str = ZEROS, branch: str = "main", **inputs: str) -> Event:
    """Somebody pressed the button."""
    payload = {
        "ref": f"refs/heads/{branch}",
        "inputs": inputs or None,
        "repository": _repository(),
    }
    return Event("workflow_dispatch", f"refs/heads/{branch}", sha, payload)


def schedule(sha: str = ZEROS, cron: str = "53 6 * * *") -> Event:
    """It is time; nothing but which line of the workflow says so is told."""
    return Event("schedule", "refs/heads/main", sha, {"schedule": cron})
