"""A stand-in for the part of GitHub's API that changes go through: pull requests and issues.

Branches are those of the bare repository. A pull request is of a branch, and there is one for each
at most; when a person, or GitHub itself, merges it, the bare repository has the merge.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from helpers import load_yaml
from workflows.github import Answer, Call, GitHub
from workflows.world import git


@dataclass
class Hosting(GitHub):
    """A repository with its pull requests and issues.

    Attributes:
        visibility: who may see it.
        pulls: its pull requests, the oldest first.
        issues: its issues, the oldest first.
        merges_alone: whether its settings let pull requests merge themselves.
        dispatches: the workflows that were started, the oldest first, with their inputs.
        runs: those that came of it, the oldest first, with their jobs.
        releases: those of its page of releases, the oldest first, with their files as assets.
        reviews: those of each pull request, the oldest first.
        reruns: the jobs that were run again, the oldest first.
    """

    visibility: str = "public"
    pulls: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    merges_alone: bool = True
    dispatches: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    reruns: list[int] = field(default_factory=list)

    def open_pulls(self) -> dict[str, dict[str, Any]]:
        """Return the open pull requests by their branch."""
        return {each["head"]["ref"]: each for each in self.pulls if each["state"] == "open"}

    def open_issues(self) -> list[str]:
        """Return the titles of the open issues."""
        return [each["title"] for each in self.issues if each["state"] == "open"]

    def add_run(
        self, workflow: str, jobs: Mapping[str, str], started: datetime, commit: str = ""
    ) -> None:
        """Let a workflow have run for a commit, with the result of each of its jobs."""
        moment = f"{started:%Y-%m-%dT%H:%M:%SZ}"
        number = 1000 + len(self.runs)
        told = [
            {"id": 100 * number + i, "name": n, "conclusion": jobs[n], "started_at": moment}
            for i, n in enumerate(jobs)
        ]
        run = {"id": number, "workflow": workflow, "created_at": moment, "head_sha": commit}
        self.runs.append({**run, "jobs": told})

    def merge(self, branch: str) -> str:
        """Merge a pull request, and return the commit that main was before."""
        pull = self.open_pulls()[branch]
        before = git(self.origin, "rev-parse", "main")
        folder = self.folder / "merge"
        git(self.folder, "clone", "--quiet", str(self.origin), str(folder))
        owner = self.repository.partition("/")[0]
        message = f"Merge pull request #{pull['number']} from {owner}/{branch}\n\n{pull['title']}"
        whole = self._with_head(pull["number"])
        git(folder, "merge", "--quiet", "--no-ff", "--message", message, f"origin/{branch}")
        git(folder, "push", "--quiet", "origin", "HEAD:main", f":{branch}")
        shutil.rmtree(folder)
        pull |= {"state": "closed", "merged_at": "2030-01-01T00:00:00Z"}
        pull |= {key: whole[key] for key in ("head", "onto")}
        return before

    def review(self, number: int, login: str, state: str = "APPROVED", commit: str = "") -> None:
        """Let somebody give their opinion, of the branch as it is now or of another commit."""
        given = self.reviews.setdefault(number, [])
        given.append(
            {
                "id": 1 + len(given),
                "user": {"login": login},
                "state": state,
                "commit_id": commit or self._with_head(number)["head"]["sha"],
                "submitted_at": f"2029-12-31T{len(given):02}:00:00Z",
            }
        )

    def answer(self, call: Call) -> Answer:
        """Answer a request as GitHub does."""
        path = call.path.removeprefix(f"/repos/{self.repository}")
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", "", lambda call: (200, {"visibility": self.visibility})),
            ("GET", "/pulls", self._list_pulls),
            ("POST", "/pulls", self._open_pull),
            ("GET", "/pulls/([0-9]+)", self._get_pull),
            ("PATCH", "/pulls/([0-9]+)", self._patch_pull),
            ("GET", "/pulls/[0-9]+/(?:commits|reviews)", lambda call: (200, self.page(call))),
            ("GET", "/issues", self._list_issues),
            ("POST", "/issues", self._open_issue),
            ("PATCH", "/issues/([0-9]+)", self._patch_issue),
            ("POST", "/actions/workflows/([^/]+)/dispatches", self._dispatch),
            ("GET", "/actions/workflows/([^/]+)/runs", self._list_runs),
            ("GET", "/actions/runs/([0-9]+)/jobs", self._list_jobs),
            ("GET", "/releases/tags/([^/]+)", self._tagged),
            ("POST", "/releases", self._draft),
            ("POST", "/releases/([0-9]+)/assets", self._attach),
            ("PATCH", "/releases/([0-9]+)", self._publish),
            ("GET", "/actions/runs/([0-9]+)", self._get_run),
            ("POST", "/actions/jobs/([0-9]+)/rerun", self._rerun),
            ("POST", "/graphql", self._graphql),
        ]
        for method, pattern, handler in routes:
            match = re.fullmatch(pattern, path)
            if call.method == method and match and call.method not in self.faults:
                self.calls.append(call)
                return handler(call, *match.groups())
        return super().answer(call)

    def _tagged(self, call: Call, tag: str) -> Answer:
        for each in self.releases:
            if each["tag_name"] == tag and not each["draft"]:
                return 200, _without_files(each)
        return 404, {"message": "Not Found"}

    def _draft(self, call: Call) -> Answer:
        number = 1 + len(self.releases)
        there = f"https://uploads.github.com/repos/{self.repository}/releases/{number}/assets"
        about = {
            "id": number,
            "draft": False,
            "prerelease": False,
            "html_url": f"https://github.com/{self.repository}/releases/tag/{call.body['tag_name']}",
            "url": f"https://api.github.com/repos/{self.repository}/releases/{number}",
            "upload_url": f"{there}{{?name,label}}",
            "assets": {},
        }
        self.releases.append(about | call.body)
        return 201, _without_files(self.releases[-1])

    def _attach(self, call: Call, number: str) -> Answer:
        files, name = self.releases[int(number) - 1]["assets"], call.query["name"]
        if name in files:
            return 422, {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
        files[name] = call.file
        return 201, {"name": name, "size": len(call.file), "state": "uploaded"}

    def _publish(self, call: Call, number: str) -> Answer:
        self.releases[int(number) - 1].update(call.body)
        return 200, _without_files(self.releases[int(number) - 1])

    def _list_pulls(self, call: Call) -> Answer:
        found = [each for each in reversed(self.pulls) if each["state"] == call.query["state"]]
        if "head" in call.query:
            owner, _, branch = call.query["head"].partition(":")
            assert owner == self.repository.partition("/")[0]
            found = [each for each in found if each["head"]["ref"] == branch]
        return 200, found

    def listed(self, path: str) -> list[Any]:
        """Return all that a list has, whose pages are asked for."""
        found = re.fullmatch(f"/repos/{self.repository}/pulls/([0-9]+)/(commits|reviews)", path)
        if found is None:
            return super().listed(path)
        number = int(found[1])
        if found[2] == "reviews":
            return self.reviews.get(number, [])
        pull = self._with_head(number)
        form = ("log", "--reverse", "--format=%H %an %cn", f"{pull['onto']}..{pull['head']['sha']}")
        lines = [line.split() for line in git(self.origin, *form).splitlines()]
        return [
            {"sha": sha, "author": {"login": wrote.lower()}, "committer": {"login": made.lower()}}
            for sha, wrote, made in lines
        ]

    def _with_head(self, number: int) -> dict[str, Any]:
        """Return a pull request with the last commit of its branch, which may be gone since."""
        (pull,) = (each for each in self.pulls if each["number"] == number)
        if "sha" in pull["head"]:  # it was merged
            return pull
        sha = git(self.origin, "rev-parse", pull["head"]["ref"])
        onto = git(self.origin, "merge-base", "main", sha)
        return pull | {"head": pull["head"] | {"sha": sha}, "onto": onto}

    def _get_pull(self, call: Call, number: str) -> Answer:
        if not any(each["number"] == int(number) for each in self.pulls):
            return 404, {"message": "Not Found"}
        return 200, self._with_head(int(number))

    def _get_run(self, call: Call, number: str) -> Answer:
        (run,) = (each for each in self.runs if each["id"] == int(number))
        return 200, {"id": run["id"], "status": run.get("status", "completed")}

    def _rerun(self, call: Call, number: str) -> Answer:
        self.reruns.append(int(number))
        return 201, {}

    def _patch_pull(self, call: Call, number: str) -> Answer:
        (pull,) = (each for each in self.pulls if each["number"] == int(number))
        pull.update(call.body)
        return 200, pull

    def _open_pull(self, call: Call) -> Answer:
        branch, base = call.body["head"], call.body["base"]
        if branch in self.open_pulls():
            message = f"A pull request already exists for {self.repository}:{branch}."
            return 422, {"message": "Validation Failed", "errors": [{"message": message}]}
        ahead = self._git("rev-list", "--count", f"{base}..{branch}")
        if ahead.returncode or ahead.stdout.strip() == "0":
            message = f"No commits between {base} and {branch}"
            return 422, {"message": "Validation Failed", "errors": [{"message": message}]}
        number = 1 + len(self.pulls) + len(self.issues)
        self.pulls.append(
            {
                "number": number,
                "html_url": f"https://github.com/{self.repository}/pull/{number}",
                "state": "open",
                "title": call.body["title"],
                "body": call.body["body"],
                "head": {"ref": branch},
                "user": {"login": call.login},
                "auto_merge": None,
                "merged_at": None,
            }
        )
        return 201, self.pulls[-1]

    def _list_issues(self, call: Call) -> Answer:
        assert call.query["state"] == "open"
        return 200, [
            each
            for each in self.issues
            if each["state"] == "open" and call.query["labels"] in each["labels"]
        ]

    def _open_issue(self, call: Call) -> Answer:
        number = 1 + len(self.pulls) + len(self.issues)
        page = f"https://github.com/{self.repository}/issues/{number}"
        self.issues.append({"number": number, "html_url": page, "state": "open", **call.body})
        return 201, self.issues[-1]

    def _patch_issue(self, call: Call, number: str) -> Answer:
        (issue,) = (each for each in self.issues if each["number"] == int(number))
        issue.update(call.body)
        return 200, issue

    def _dispatch(self, call: Call, workflow: str) -> Answer:
        file = self._git("show", f"{call.body['ref']}:.github/workflows/{workflow}")
        if file.returncode:
            return 404, {"message": "Not Found"}
        starts = load_yaml(file.stdout)[True]  # to YAML 1.1 the key `on` is true
        known = starts["workflow_dispatch"]["inputs"]
        unknown = [name for name in call.body["inputs"] if name not in known]
        if unknown:
            return 422, {"message": f"Unexpected inputs provided: {json.dumps(unknown)}"}
        self.dispatches.append((workflow, call.body["inputs"]))
        return 204, None

    def _list_runs(self, call: Call, workflow: str) -> Answer:
        since, commit = (call.query.get(key, "") for key in ("created", "head_sha"))
        found = [
            {"id": each["id"], "created_at": each["created_at"]}
            for each in reversed(self.runs)
            if each["workflow"] == workflow
            and each["created_at"] >= since.removeprefix(">=")
            and commit in ("", each["head_sha"])
        ]
        return 200, {"total_count": len(found), "workflow_runs": found}

    def _list_jobs(self, call: Call, number: str) -> Answer:
        (run,) = (each for each in self.runs if each["id"] == int(number))
        return 200, {"total_count": len(run["jobs"]), "jobs": run["jobs"]}

    def _graphql(self, call: Call) -> Answer:
        """Answer what `gh pr merge --auto` asks: which fields there are, which number, to do it."""
        query = call.body["query"]
        kinds = re.findall(r"(\w+): ?__type\(", query)
        if kinds:
            return 200, {"data": {kind: {"fields": []} for kind in kinds}}
        variables = call.body["variables"]
        if "enablePullRequestAutoMerge" in query:
            number = int(variables["input"]["pullRequestId"].removeprefix("PR_"))
            if not self.merges_alone:
                message = "Pull request Auto merge is not allowed for this repository"
                return 200, {"data": None, "errors": [{"message": message}]}
            (pull,) = (each for each in self.pulls if each["number"] == number)
            pull["auto_merge"] = {"by": call.login}
            return 200, {"data": {"enablePullRequestAutoMerge": {"clientMutationId": ""}}}
        (asked,) = (each for each in variables.values() if isinstance(each, int))
        (pull,) = (each for each in self.pulls if each["number"] == asked)
        return 200, {"data": {"repository": {"pullRequest": self._as_node(pull)}}}

    def _as_node(self, pull: dict[str, Any]) -> dict[str, Any]:
        owner = self.repository.partition("/")[0]
        return {
            "id": f"PR_{pull['number']}",
            "number": pull["number"],
            "url": pull["html_url"],
            "title": pull["title"],
            "state": pull["state"].upper(),
            "headRefName": pull["head"]["ref"],
            "headRepositoryOwner": {"login": owner},
            "isCrossRepository": False,
            "mergeStateStatus": "BLOCKED",
            "commits": {"nodes": [], "totalCount": 1},
        }


def _without_files(release: Mapping[str, Any]) -> dict[str, Any]:
    return {**release, "assets": [{"name": name} for name in release["assets"]]}
