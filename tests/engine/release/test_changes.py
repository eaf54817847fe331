"""Promote, roll back, hold, quarantine: each is a commit on a branch that the guard accepts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from engine.released import Repository, copy

from mlops.errors import CheckError, InputError, ProjectError
from mlops.git.revision import Revision
from mlops.release import changes
from mlops.release import proposal as module
from mlops.release.proposal import (
    Proposal,
    publish,
    trunk,
    write,
)
from mlops.release.state import environments
from mlops.release.status import status


def _head() -> Revision:
    found = Revision.of("HEAD")
    assert found is not None
    return found


def _merge(repository: Repository, proposal: Proposal) -> None:
    commit = changes.propose(proposal, _head(), repository.now)
    assert publish(proposal, commit) == f"Next: git merge --ff-only {proposal.branch}"
    repository.git("merge", "--quiet", "--ff-only", proposal.branch)


def test_promote_copies_the_release_and_says_where_from(repository: Repository) -> None:
    release = repository.live("dev")
    untouched = repository.git("status", "--porcelain")
    proposal = changes.promote("staging", _head())
    _merge(repository, proposal)
    assert environments(_head())["staging"].release == release
    assert Path("environments/dev/release.env").read_bytes() == (
        Path("environments/staging/release.env").read_bytes()
    )
    message = repository.git("log", "-1", "--format=%B")
    assert message.startswith(f"Promote {release.id} to staging")
    assert f"Release-Id: {release.id}\nEnvironment: staging\nFrom-Env: dev" in message
    assert repository.git("status", "--porcelain") == untouched


def test_what_the_guard_refuses_gets_no_branch(repository: Repository) -> None:
    repository.live("dev", "staging")
    with pytest.raises(CheckError, match="prod wants 60"):
        changes.propose(changes.promote("prod", _head()), _head(), repository.now)
    assert repository.git("branch", "--format=%(refname:short)") == "main"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ("dev", "dev is the first environment"),
        ("qa", "there is no environment qa; there are dev, staging, prod"),
        ("prod", "staging has no release yet"),
        ("staging", "staging has .* already, as dev does"),
    ],
)
def test_nothing_to_promote_is_told(repository: Repository, environment: str, told: str) -> None:
    release = repository.live("dev")
    if environment == "staging":
        repository.commit(copy(release, "staging"))
    with pytest.raises(InputError, match=told):
        changes.promote(environment, _head())


def test_rollback_goes_back_and_stays_there(repository: Repository) -> None:
    first = repository.live("dev", "staging")
    repository.live("dev", "staging")
    _merge(repository, changes.rollback("staging", _head(), None, "wrong since noon"))
    known = environments(_head())["staging"]
    assert (known.release, known.policy.hold) == (first, "wrong since noon")
    assert "# what comes before" in Path("environments/staging/policy.yaml").read_text()
    with pytest.raises(CheckError, match="staging is on hold: wrong since noon"):
        changes.propose(changes.promote("staging", _head()), _head(), repository.now)
    _merge(repository, changes.hold("staging", _head(), None))
    _merge(repository, changes.promote("staging", _head()))
    known = environments(_head())["staging"]
    assert known.release is not None
    assert known.release.id == repository.ids["r2"]


def test_rollback_to_a_release_by_its_id(repository: Repository) -> None:
    first = repository.live("dev")
    repository.live("dev")
    repository.live("dev")
    _merge(repository, changes.rollback("dev", _head(), first.id, "bad"))
    assert environments(_head())["dev"].release == first
    with pytest.raises(InputError, match="dev: no earlier release to go back to; it had none"):
        changes.rollback("dev", _head(), None, "worse still")
    repository.live("dev")
    had = ", ".join(repository.ids[name] for name in ("r3", "r2", "r1"))
    with pytest.raises(InputError, match=f"no earlier release r9 to go back to; it had {had}"):
        changes.rollback("dev", _head(), "r9", "bad")


def test_rollback_passes_over_what_is_in_quarantine(repository: Repository) -> None:
    first = repository.live("dev")
    repository.live("dev")
    repository.live("dev")
    _merge(repository, changes.quarantine(repository.ids["r2"], _head(), "it leaks"))
    _merge(repository, changes.rollback("dev", _head(), None, "bad"))
    assert environments(_head())["dev"].release == first
    with pytest.raises(InputError, match=r"there is no releases/r9\.json"):
        changes.quarantine("r9", _head(), "x")


def test_a_proposal_is_pushed_where_there_is_a_remote(
    repository: Repository, tmp_path: Path
) -> None:
    repository.live("dev")
    repository.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    repository.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    assert trunk() == "refs/heads/main"
    repository.git("push", "--quiet", "origin", "main")
    repository.git("fetch", "--quiet")
    assert trunk() == "refs/remotes/origin/main"
    proposal = changes.promote("staging", _head())
    commit = changes.propose(proposal, _head(), repository.now)
    assert publish(proposal, commit).startswith(f"Pushed {proposal.branch}.")
    assert repository.git("ls-remote", "origin", proposal.branch).startswith(commit)

    # The same again, later: the branch stays, and with it the reviews of its pull request.
    repository.commit({"note": "moves on"})
    repository.git("push", "--quiet", "origin", "main")
    later = changes.propose(proposal, _head(), repository.now)
    assert later != commit
    publish(proposal, later)
    assert repository.git("ls-remote", "origin", proposal.branch).startswith(commit)

    # Once it was merged, or where it says something else, it is a new one.
    repository.git("merge", "--quiet", "--no-edit", commit)
    repository.git("push", "--quiet", "origin", "main")
    anew = write(proposal, _head())
    publish(proposal, anew)
    assert repository.git("ls-remote", "origin", proposal.branch).startswith(anew)
    other = write(replace(proposal, files={Path("x"): "y"}), _head())
    publish(replace(proposal, files={Path("x"): "y"}), other)
    assert repository.git("ls-remote", "origin", proposal.branch).startswith(other)


def test_a_proposal_that_somebody_else_pushes_at_that_moment(
    repository: Repository, tmp_path: Path
) -> None:
    repository.live("dev")
    origin = tmp_path / "origin.git"
    repository.git("init", "--quiet", "--bare", str(origin))
    repository.git("remote", "add", "origin", str(origin))
    repository.git("push", "--quiet", "origin", "main")
    repository.git("fetch", "--quiet")
    proposal = changes.promote("staging", _head())
    theirs = changes.propose(proposal, _head(), repository.now)
    repository.git("push", "--quiet", "origin", f"{theirs}:refs/heads/theirs")
    ours = write(replace(proposal, title="The same"), _head())
    # Where a push meets another one, Git refuses it: the branch is locked, or no longer as it was.
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    first = f"git update-ref refs/heads/{proposal.branch} {theirs}"
    hook.write_text(f"#!/bin/sh\nunset GIT_QUARANTINE_PATH\n{first}\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    assert publish(proposal, ours).startswith(f"Pushed {proposal.branch}.")
    assert repository.git("ls-remote", "origin", proposal.branch).startswith(theirs)

    # What is refused for another reason stays refused.
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n", encoding="utf-8")
    another = replace(proposal, branch="promote/staging/other")
    with pytest.raises(InputError, match="git push: "):
        publish(another, ours)


def test_a_reason_of_many_lines_makes_no_trailers(repository: Repository) -> None:
    repository.live("dev")
    repository.live("dev")
    proposal = changes.rollback("dev", _head(), None, "wrong\nRelease-Id: r9")
    assert "Reason: wrong Release-Id: r9" in proposal.facts


def test_status_says_what_is_where_and_what_waits(repository: Repository) -> None:
    repository.live("dev", "staging")
    repository.live("dev")
    repository.commit({}, wait=10)
    dev, staging, prod = status(_head(), repository.now)
    assert dev.age == timedelta(minutes=10)
    assert dev.metrics == {"roc_auc": 0.7}
    assert (dev.waiting, staging.waiting, prod.waiting) == (
        None,
        repository.ids["r2"],
        repository.ids["r1"],
    )
    assert (staging.reasons, prod.age) == ([], None)
    assert [*map(repository.short, prod.reasons)] == [
        "r1 was live in staging for 12 minutes; prod wants 60"
    ]


def test_work_on_a_proposed_branch_is_not_replaced(repository: Repository, tmp_path: Path) -> None:
    """What somebody settled there stays, here and at the remote."""
    base = Revision(repository.head)

    def proposed(text: str) -> str:
        proposal = Proposal("update/9", "Update", {Path("note"): text})
        return publish(proposal, write(proposal, base))

    proposed("one\n")
    proposed("two\n")  # by nobody's hand: replaced
    repository.git("switch", "--quiet", "update/9")
    with pytest.raises(InputError, match=r"update/9: is checked out in .*; switch to another"):
        proposed("three\n")
    settled = repository.commit({"note": "settled\n"})
    repository.git("switch", "--quiet", "main")
    with pytest.raises(InputError, match=r"update/9: has work of somebody's \(x\); merge it"):
        proposed("three\n")
    assert repository.git("rev-parse", "update/9") == settled

    origin = tmp_path / "origin.git"
    repository.git("init", "--quiet", "--bare", str(origin))
    repository.git("remote", "add", "origin", str(origin))
    repository.git("push", "--quiet", "origin", "update/9")
    repository.git("branch", "--quiet", "-D", "update/9")
    with pytest.raises(InputError, match=r"update/9: somebody worked on it at the remote \(x\)"):
        proposed("three\n")
    assert repository.git("ls-remote", "origin", "refs/heads/update/9").startswith(settled)


def _amended(repository: Repository, *arguments: str) -> None:
    repository.git("commit", "--quiet", "--amend", *arguments)


def _with_content(repository: Repository) -> None:
    Path("note").write_text("settled\n", encoding="utf-8")
    _amended(repository, "--all", "--no-edit")


def _rebased(repository: Repository) -> None:
    repository.git("switch", "--quiet", "main")
    repository.commit({"other": "moves on\n"})
    repository.git("rebase", "--quiet", "main", "update/9")


def _under_its_title(repository: Repository) -> None:
    repository.git("reset", "--quiet", "--hard", "main")
    repository.commit({"note": "written by hand\n"})
    _amended(repository, "--message", "Update")


WORK = {
    "message": lambda repository: _amended(repository, "--message", "Update\n\nRead by Ada."),
    "content": _with_content,
    "another commit": lambda repository: repository.commit({"note": "settled\n"}),
    "an empty one with its message": lambda repository: repository.git(
        "commit", "--quiet", "--allow-empty", "--reuse-message=HEAD"
    ),
    "rebased": _rebased,
    "its title": _under_its_title,
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize("place", ["here", "at the remote"])
def test_work_on_a_proposal_is_told_from_the_proposal(
    repository: Repository, tmp_path: Path, place: str, work: Callable[[Repository], object]
) -> None:
    base = _head()
    origin = tmp_path / "origin.git"
    if place == "at the remote":
        repository.git("init", "--quiet", "--bare", str(origin))
        repository.git("remote", "add", "origin", str(origin))
        repository.git("push", "--quiet", "origin", "main")
    proposed = [
        Proposal("update/9", "Update", {Path("note"): text}, {"Reason": "x"})
        for text in ("one\n", "two\n", "three\n")
    ]
    for each in proposed[:2]:  # nobody's work is replaced
        publish(each, write(each, base))
    repository.git("switch", "--quiet", "update/9")
    work(repository)
    theirs = repository.git("rev-parse", "update/9")
    repository.git("switch", "--quiet", "main")
    if place == "at the remote":
        repository.git("push", "--quiet", "--force", "origin", "update/9")
        repository.git("branch", "--quiet", "-D", "update/9")
    with pytest.raises(InputError, match=r"^update/9: .*(has work of somebody's|worked on it)"):
        publish(proposed[2], write(proposed[2], base))
    where = "origin" if place == "at the remote" else "."
    assert repository.git("ls-remote", where, "refs/heads/update/9").startswith(theirs)

    # What is merged is nobody's loss.
    repository.git("merge", "--quiet", "--no-edit", theirs)
    if place == "at the remote":
        repository.git("push", "--quiet", "origin", "main")
    anew = write(proposed[2], _head())
    publish(proposed[2], anew)
    assert repository.git("ls-remote", where, "refs/heads/update/9").startswith(anew)


def test_what_comes_to_the_remote_at_that_moment_is_not_replaced(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = _head()
    origin = tmp_path / "origin.git"
    repository.git("init", "--quiet", "--bare", str(origin))
    repository.git("remote", "add", "origin", str(origin))
    ours, another = (
        Proposal("update/9", "Update", {Path("note"): text}) for text in ("ours\n", "theirs\n")
    )
    theirs = write(another, base)

    look = module._at_remote

    def looked(ref: str) -> str:
        """Nothing yet; and then somebody pushes."""
        monkeypatch.setattr(module, "_at_remote", look)
        repository.git("push", "--quiet", "origin", f"{theirs}:{ref}")
        return ""

    monkeypatch.setattr(module, "_at_remote", looked)
    with pytest.raises(InputError, match="git push: "):
        publish(ours, write(ours, base))
    assert repository.git("ls-remote", "origin", ours.ref).startswith(theirs)


def test_a_push_that_is_refused_says_why_and_what_mends_it(
    repository: Repository, tmp_path: Path
) -> None:
    origin = tmp_path / "origin.git"
    repository.git("init", "--quiet", "--bare", str(origin))
    repository.git("remote", "add", "origin", str(origin))
    wanted = Proposal("update/9", "Update", {Path("note"): "new\n"})
    commit = write(wanted, _head())
    refusal = (
        "refusing to allow a GitHub App to create or update workflow `ci.yml` without `workflows` "
        "permission"
    )
    hook = origin / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(InputError) as refused:
        publish(wanted, commit)
    assert str(refused.value).startswith(f"git push: {refusal}; ")
    assert "takes an app with the permission Workflows: write" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_branch_is_made_before_the_remote_is_asked(repository: Repository) -> None:
    repository.live("dev")
    repository.git("remote", "add", "origin", "nowhere.git")
    proposal = changes.promote("staging", _head())
    commit = changes.propose(proposal, _head(), repository.now)
    with pytest.raises(ProjectError) as failed:
        publish(proposal, commit)
    assert str(failed.value).startswith(f"{proposal.branch} is made, and not pushed: git ls-remote")
    assert str(failed.value).endswith(f"git push origin {proposal.branch}")
    assert repository.git("rev-parse", proposal.branch) == commit


def test_branches_of_merged_proposals_are_removed_and_no_others(repository: Repository) -> None:
    def left() -> list[str]:
        names = repository.git("branch", "--list", "--format=%(refname:short)", "promote/*")
        return [repository.short(name) for name in names.split()]

    for _ in range(2):
        repository.live("dev")
        _merge(repository, changes.promote("staging", _head()))
    assert left() == ["promote/staging/r2"]
    merged = f"promote/staging/{repository.ids['r2']}"

    # What waits, what somebody worked on, and what is checked out stays.
    repository.git("branch", "promote/staging/mine", "main~2")
    folder = str(Path.cwd().with_name("elsewhere"))
    repository.git("worktree", "add", "--quiet", folder, merged)
    for _ in range(2):
        repository.live("dev")
        waiting = changes.promote("staging", _head())
        publish(waiting, changes.propose(waiting, _head(), repository.now))
    assert left() == [f"promote/staging/{name}" for name in ("r2", "r3", "r4", "mine")]


def test_the_way_forth_after_a_wrong_rollback_passes_by_the_bad_release(
    repository: Repository,
) -> None:
    first = repository.live("dev", "staging", "prod")
    good = repository.live("dev", "staging", "prod")
    repository.now += timedelta(hours=2)
    bad = repository.live("dev", "staging", "prod")
    _merge(repository, changes.rollback("prod", _head(), first.id, "answers are wrong"))
    forth = rf"it had {good.id} later: `mlops promote prod --release {good.id}`"
    with pytest.raises(InputError, match=forth):
        changes.rollback("prod", _head(), good.id, "too far")
    with pytest.raises(CheckError, match="prod is on hold"):
        changes.propose(changes.promote("prod", _head(), good.id), _head(), repository.now)
    _merge(repository, changes.quarantine(bad.id, _head(), "answers are wrong"))
    with pytest.raises(InputError) as refused:
        changes.rollback("prod", _head(), bad.id, "too far")
    assert "later" not in str(refused.value)
    _merge(repository, changes.hold("prod", _head(), None))
    repository.now += timedelta(hours=2)
    with pytest.raises(CheckError, match="in quarantine"):
        changes.propose(changes.promote("prod", _head()), _head(), repository.now)
    _merge(repository, changes.promote("prod", _head(), good.id))
    assert environments(_head())["prod"].release == good
    with pytest.raises(
        InputError, match=f"staging never had r9, so that prod cannot; it had {bad.id}"
    ):
        changes.promote("prod", _head(), "r9")
