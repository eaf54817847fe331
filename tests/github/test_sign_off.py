"""`mlops sign-off` against GitHub's API: red until both roles approved the last commit."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from engine.released import POLICIES, Repository, copy
from github.conftest import MISSING
from workflows.act import Workflow
from workflows.events import REPOSITORY
from workflows.github import APP, APP_TOKEN, TOKEN, serve
from workflows.hosting import Hosting
from workflows.world import git, hub

from mlops import cli
from mlops.git.revision import Revision
from mlops.release.proposal import hosted
from mlops.release.sign_off import NOTES, signed
from mlops.release.state import environments

BRANCH = "promote/prod"
NAMED = {"approvers": {"business": ["@ada"], "technical": ["@hopper"]}}
MAY = {"contents": "read", "pull-requests": "read"}


@dataclass(frozen=True)
class Promotion:
    """A pull request, opened by the app, that gives prod a release. prod asks two roles."""

    repository: Repository
    github: Hosting

    def type(self, *arguments: str) -> tuple[int, str]:
        """Run `mlops`, and return its exit code and what it prints."""
        said = io.StringIO()
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "argv", ["mlops", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return int(ended.value.code or 0), said.getvalue().strip()

    def check(self) -> tuple[int, str]:
        """Check it as ci does, where the branch is merged into main on trial."""
        self.repository.git("checkout", "--quiet", "--detach", "main")
        self.repository.git("merge", "--quiet", "--no-ff", "--no-edit", BRANCH)
        try:
            return self.type("sign-off", "1", "--base", "main")
        finally:
            self.repository.git("checkout", "--quiet", "main")

    def push(self, branch: str) -> None:
        """Push a branch."""
        self.repository.git("push", "--quiet", "--force", "origin", branch)


@pytest.fixture
def promotion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Promotion]:
    """See Promotion."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    for name in os.environ:
        if name.startswith(("GIT_", "GH_", "GITHUB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("project", "api", "gh"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "project")
    repository = Repository.begin()
    repository.policy("prod", f"{POLICIES['prod']}approvals: [business, technical]\n")
    repository.commit({"model.yaml": json.dumps(NAMED)})
    release = repository.live("dev", "staging")
    origin = hub(tmp_path)
    repository.git("remote", "add", "origin", f"file://{origin}")
    repository.git("push", "--quiet", "origin", "main")
    repository.git("checkout", "--quiet", "-b", BRANCH)
    repository.git("config", "user.name", "github-actions[bot]")
    repository.commit(copy(release, "prod"))
    repository.git("push", "--quiet", "origin", BRANCH)
    repository.git("checkout", "--quiet", "main")
    repository.git("config", "user.name", "Ada")
    github = Hosting(REPOSITORY, origin, tmp_path / "api")
    socket = f"http_unix_socket: {github.socket}\n"
    (tmp_path / "gh/config.yml").write_text(socket, encoding="utf-8")
    monkeypatch.setenv("GH_CONFIG_DIR", str(tmp_path / "gh"))
    monkeypatch.setenv("GH_REPO", REPOSITORY)
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    run_job(github, **MAY)
    with serve(github):
        body = {"head": BRANCH, "base": "main", "title": "Promote to prod", "body": ""}
        opened = ["gh", "api", f"repos/{REPOSITORY}/pulls", "--input", "-"]
        token = f"{APP_TOKEN}:pull-requests=write"
        subprocess.run(
            opened,
            input=json.dumps(body),
            env=os.environ | {"GH_TOKEN": token},
            text=True,
            check=True,
            capture_output=True,
        )
        assert github.pulls[0]["user"]["login"] == APP
        yield Promotion(repository, github)


def run_job(github: Hosting, **has: str) -> None:
    """Let a job run that has these permissions."""
    github.running.write_text(json.dumps({"name": "ci/sign-off", "permissions": has}))


def test_a_release_waits_until_both_roles_approved_its_last_commit(promotion: Promotion) -> None:
    github = promotion.github
    tip = git(github.origin, "rev-parse", BRANCH)[:7]
    both = f"error: prod: {tip} waits for the approval of business (@ada) and technical (@hopper)"
    assert promotion.check() == (3, both)
    github.review(1, "mallory")
    github.review(1, APP)
    assert promotion.check() == (3, both)
    github.review(1, "hopper", "COMMENTED")
    github.review(1, "ada")
    one = f"error: prod: {tip} waits for the approval of technical (@hopper)"
    assert promotion.check() == (3, one)
    github.review(1, "hopper")
    code, said = promotion.check()
    assert (code, [line.partition(" on ")[0] for line in said.splitlines()]) == (
        0,
        ["prod: business: @ada", "prod: technical: @hopper"],
    )
    github.review(1, "hopper", "DISMISSED")
    assert promotion.check() == (3, f"{one}; @hopper no longer approves it")
    github.review(1, "hopper")
    # Somebody pushes: what was approved is another commit, and who pushed is an author.
    repository = promotion.repository
    repository.git("checkout", "--quiet", BRANCH)
    repository.git("config", "user.name", "Hopper")
    repository.commit({"docs/why.md": "x"})
    promotion.push(BRANCH)
    code, said = promotion.check()
    assert (code, said.count("\n")) == (3, 0)
    assert f"@ada approved {tip}, which is not its last commit" in said
    assert "@hopper is an author of it" in said
    github.review(1, "ada")
    github.review(1, "hopper")
    last = git(github.origin, "rev-parse", BRANCH)[:7]
    waits = f"error: prod: {last} waits for the approval of technical (@hopper)"
    assert promotion.check() == (3, f"{waits}; @hopper is an author of it")


SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]


def test_what_was_merged_is_noted_and_proved(
    promotion: Promotion, of_bake: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github, repository = promotion.github, promotion.repository
    run_job(github, **of_bake.jobs["record"]["permissions"])
    github.review(1, "ada")
    github.review(1, "hopper")
    github.merge(BRANCH)
    github.review(1, "mallory")
    repository.git("pull", "--quiet", "--ff-only", "origin", "main")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\nshift\nexec "{Path(sys.executable).parent}/$@"\n')
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(uv.parent), prepend=os.pathsep)
    monkeypatch.setenv("NOTES", NOTES)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    script = of_bake.step("record", "Note it")["run"]
    for said in (2, 0):  # once: a second run finds it at the remote
        done = subprocess.run([*SHELL, script], capture_output=True, text=True)
        assert (done.returncode, done.stdout.count("@")) == (0, said), done.stderr
        assert git(github.origin, "rev-list", "--count", NOTES) == "1"
        if said:
            repository.git("update-ref", "-d", NOTES)
    note = json.loads(repository.git("notes", f"--ref={NOTES}", "show", "HEAD"))
    assert [each["login"] for each in note["approvals"]] == ["ada", "hopper"]
    main = Revision(repository.git("rev-parse", "HEAD"))
    found = [*signed("prod", main, main, hosted())]
    assert [(hop.what, hop.state, hop.why) for hop in found] == [
        ("signed for business", "ok", None),
        ("signed for technical", "ok", None),
    ]


def test_a_token_that_may_not_read_pull_requests_passes_nothing(promotion: Promotion) -> None:
    run_job(promotion.github, contents="read")
    code, said = promotion.check()
    assert (code, said.count("\n")) == (1, 0)
    assert "Resource not accessible by integration" in said


def test_it_asks_github_only_where_an_environment_asks(promotion: Promotion) -> None:
    calls = len(promotion.github.calls)
    nothing = "no environment that asks for approvals gets another release"
    assert promotion.type("sign-off", "1", "--base", "main") == (0, nothing)
    assert len(promotion.github.calls) == calls
    for arguments in ([], ["1", "--record"]):
        code, said = promotion.type("sign-off", *arguments)
        assert (code, said) == (2, "error: give the number of a pull request, or --record")


def test_a_review_runs_the_check_again(promotion: Promotion, of_bake: Workflow) -> None:
    github = promotion.github
    tip = git(github.origin, "rev-parse", BRANCH)
    (step,) = of_bake.jobs["again"]["steps"]
    run_job(github, **of_bake.jobs["again"]["permissions"])

    def review(commit: str = tip) -> subprocess.CompletedProcess[str]:
        known = {"COMMIT": commit, "GITHUB_REPOSITORY": REPOSITORY}
        script = [*SHELL, step["run"]]
        return subprocess.run(script, env=os.environ | known, capture_output=True, text=True)

    assert review().stdout == "no environment changes, or ci has not begun\n"
    jobs = {"changes": "success", "sign-off": "skipped", "gate": "success"}
    github.add_run("ci.yml", jobs, datetime.now(UTC), tip)
    assert review().stdout == "no environment changes, or ci has not begun\n"
    github.runs.clear()
    github.add_run("ci.yml", jobs | {"sign-off": "failure"}, datetime.now(UTC), tip)
    done = review()
    assert done.returncode == 0, done.stderr
    assert github.reruns == [100_001], "the job of that name, and what needs it"
    assert review("f" * 40).returncode == 0
    assert len(github.reruns) == 1
    run_job(github, actions="read")
    assert review().returncode != 0


@pytest.fixture
def of_bake(baked: object) -> Workflow:
    """The workflow of a bake."""
    assert callable(baked)
    return Workflow.read(Path(baked()) / ".github/workflows/sign-off.yml")


def test_the_job_has_the_name_by_which_it_is_run_again(baked: object) -> None:
    assert callable(baked)
    jobs = Workflow.read(Path(baked()) / ".github/workflows/ci.yml").jobs
    assert jobs["sign-off"]["name"] == "sign-off"
    assert "sign-off" in jobs["gate"]["needs"]


def test_the_example_asks_both_roles_for_prod_alone(baked: object) -> None:
    assert callable(baked)
    for review, roles in (("strict", ["business", "technical"]), ("fast", [])):
        with contextlib.chdir(baked(review=review)):
            known = environments(Revision(None))
        asks = {name: each.policy.approvals for name, each in known.items()}
        assert asks == {"dev": [], "staging": [], "prod": roles}
