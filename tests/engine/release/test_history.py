"""What history would keep: the guard judges each commit, for whichever way a branch is merged."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from engine.released import Repository, copy

from mlops.errors import InputError
from mlops.git.revision import Revision, git
from mlops.release import changes
from mlops.release.history import lived, ways_back
from mlops.release.proposal import is_trunk
from mlops.release.state import Release

STAGING = "environments/staging/release.env"


def head(repository: Repository) -> Revision:
    return Revision(repository.head)


def as_it_is(_: Repository, commit: str) -> str:
    return commit


def on_trial(repository: Repository, commit: str) -> str:
    """What CI checks out."""
    return repository.merged(commit)


def in_a_queue(repository: Repository, commit: str) -> str:
    """Behind another change."""
    first = repository.merged(repository.branch({"queued": "first"}))
    return repository.merged(commit, first)


def brought_up_to_date(repository: Repository, commit: str) -> str:
    """By the button of a pull request, which merges main into the branch; then on trial."""
    repository.commit({"note": "moves on"})
    repository.git("checkout", "--quiet", "--detach", commit)
    repository.now += timedelta(minutes=1)
    repository.git("merge", "--quiet", "--no-edit", "main")
    updated = repository.head
    repository.git("checkout", "--quiet", "main")
    return updated


each_form = pytest.mark.parametrize("form", [as_it_is, on_trial, in_a_queue, brought_up_to_date])
Form = Callable[[Repository, str], str]


@each_form
@pytest.mark.parametrize("ghost", ["bad", "good"])
def test_what_a_branch_takes_back_is_refused(
    repository: Repository, form: Form, ghost: str
) -> None:
    """Else it would be in the history of main after a rebase, and a way back."""
    first = repository.live("dev", "staging")
    second = repository.live("dev")
    release = Release(**{**vars(first), "id": "r9"}) if ghost == "bad" else second
    branch = repository.branch(copy(release, "staging"), copy(first, "staging"))
    (told,) = repository.judged(form(repository, branch))
    commit = repository.git("rev-parse", f"{branch}~1")[:7]
    assert told.startswith(f"{STAGING}: commit {commit} has there what neither main nor")
    assert told.endswith("`git merge main`, `git reset --soft main`, `git commit`")


def test_a_branch_is_mended_as_the_line_says(repository: Repository) -> None:
    first, second = repository.live("dev", "staging"), repository.live("dev")
    branch = repository.branch(copy(second, "staging"), copy(first, "staging"), {"a": "1"})
    repository.commit({"note": "moves on"})
    assert repository.judged(branch) != []
    repository.git("checkout", "--quiet", "--detach", branch)
    for command in ("merge --no-edit main", "reset --soft main", "commit --message x"):
        repository.git(*command.split())
    assert repository.judged(repository.head) == []
    assert Path("a").read_text() == "1"
    assert Path("note").exists()


@each_form
def test_a_branch_of_several_commits_passes(repository: Repository, form: Form) -> None:
    release = repository.live("dev")
    branch = repository.branch({"a": "1"}, copy(release, "staging"), {"a": "2"})
    assert repository.judged(form(repository, branch)) == []


@each_form
def test_evidence_that_changes_on_the_way_is_refused(repository: Repository, form: Form) -> None:
    evidence = repository.evidence()
    other = evidence.model_copy(update={"metrics": {"roc_auc": 0.1}})
    branch = repository.branch(repository.files(other), repository.files(evidence, "dev"))
    told = repository.judged(form(repository, branch))
    assert [line.partition(":")[0] for line in told] == [f"releases/{evidence.id}.json"]


def test_what_main_has_meanwhile_is_no_excuse(repository: Repository) -> None:
    """A rebase leaves out what main has already, and then takes that back."""
    first, second = repository.live("dev", "staging"), repository.live("dev")
    branch = repository.branch(copy(second, "staging"), copy(first, "staging"))
    repository.commit(copy(second, "staging"))
    (told,) = repository.judged(repository.merged(branch))
    assert "has there what neither" in told


def test_what_main_has_already_changes_nothing(repository: Repository) -> None:
    before = repository.head
    repository.live("dev")
    for commit in (before, repository.head):
        assert repository.judged(commit) == []
        assert repository.judged(commit, commit, merged=True) == []


def test_a_side_branch_is_looked_at_too(repository: Repository) -> None:
    """A rebase takes each of its commits."""
    first, second = repository.live("dev", "staging"), repository.live("dev")
    side = repository.branch(copy(second, "staging"), copy(first, "staging"))
    branch = repository.branch({"a": "1"})
    both = repository.merged(side, branch)
    assert "has there what neither" in repository.judged(both)[0]


def test_what_main_got_meanwhile_is_no_change_of_a_branch(repository: Repository) -> None:
    """Environments that main changed are not changed by a branch that main is merged into."""
    release = repository.live("dev")
    branch = repository.branch({"a": "1"}, copy(release, "staging"))
    repository.live("dev")
    updated = brought_up_to_date(repository, branch)
    repository.live("dev")
    again = brought_up_to_date(repository, updated)
    for commit in (branch, updated, again, repository.merged(again)):
        assert repository.judged(commit) == []


def test_a_main_that_was_merged_into_a_branch_is_refused(repository: Repository) -> None:
    """First parents are what environments had; main must go on from where it was."""
    repository.live("dev", "staging")
    fork = repository.head
    second, _ = repository.live("dev", "staging"), repository.live("dev", "staging")
    before = repository.head
    repository.git("checkout", "--quiet", "--detach", fork)
    branch = repository.commit({"local": "work"})
    repository.git("merge", "--quiet", "--no-edit", "main")
    foxtrot = repository.head
    repository.git("checkout", "--quiet", "main")
    merge = repository.merged(branch)
    # As a pull request it passes, and so does main where that was merged.
    assert repository.judged(foxtrot, before) == []
    assert repository.judged(merge, before, merged=True) == []
    (told,) = repository.judged(foxtrot, before, merged=True)
    assert told.startswith(f"{before[:7]}, which main was, is not among the first parents of")
    assert second in ways_back("staging", Revision(merge))
    assert second not in ways_back("staging", Revision(foxtrot))


def test_the_tip_of_main_is_known_to_be_merged(repository: Repository) -> None:
    branch = repository.branch({"a": "1"})
    assert is_trunk(head(repository))
    assert not is_trunk(Revision(branch))
    repository.git("update-ref", "refs/remotes/origin/main", branch)
    assert is_trunk(Revision(branch))


def test_a_commit_of_another_time_is_refused(repository: Repository) -> None:
    release = repository.live("dev")
    before = repository.head[:7]
    now = repository.now
    repository.now -= timedelta(minutes=30)
    early = repository.branch(copy(release, "staging"))
    repository.now = now + timedelta(days=1)
    late = repository.branch({"a": "1"})
    repository.now = now
    (told,) = repository.judged(early)
    assert told.startswith(f"commit {early[:7]} is older than {before}, its parent; set")
    (told,) = repository.judged(late)
    assert told.startswith(f"commit {late[:7]} is of 2030-01-02 00:04, which is to come; set")
    assert len(repository.judged(repository.merged(early))) == 1


def test_clocks_that_differ_a_little_stop_no_code(repository: Repository) -> None:
    repository.live("dev")
    now = repository.now
    repository.now -= timedelta(minutes=3)
    behind = repository.branch({"a": "1"})
    repository.now = now + timedelta(minutes=3)
    ahead = repository.branch({"a": "2"})
    repository.now = now
    assert repository.judged(behind) == []
    assert repository.judged(ahead) == []


def test_a_release_is_live_from_when_it_was_merged(repository: Repository) -> None:
    """However old its commit is, and none sooner than what it stands on, whatever it says."""
    first, second = repository.live("dev"), repository.live("dev")
    waiting = repository.branch(copy(first, "staging"))
    repository.now += timedelta(days=3)
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", waiting)
    (live,) = lived("staging", head(repository))
    assert (live.release, live.since) == (first, repository.now)
    assert repository.refused(copy(first, "prod")) == [
        "r1 was live in staging for 0 minutes; prod wants 60"
    ]
    merged = repository.now
    repository.now -= timedelta(days=2)
    repository.commit({"a": "backdated"})
    repository.commit(copy(second, "staging"))
    repository.now = merged + timedelta(minutes=59)
    assert lived("staging", head(repository))[0].since == merged
    assert repository.refused(copy(second, "prod")) == [
        "r2 was live in staging for 59 minutes; prod wants 60"
    ]


def test_a_commit_of_no_time_is_read(repository: Repository) -> None:
    """Git takes any number of seconds."""
    release = repository.live("dev")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    header = f"tree {tree}\nparent {repository.git('rev-parse', 'HEAD')}\n"
    who = f"Ada <ada@example.com> {10**13} +0000"
    made = f"{header}author {who}\ncommitter {who}\n\nx\n"
    commit = git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", text=made)
    (told,) = repository.judged(commit)
    assert "is of 9999-12-31 23:59, which is to come" in told
    assert [each.release for each in lived("dev", Revision(commit))] == [release]


def test_a_proposal_is_not_older_than_what_it_stands_on(repository: Repository) -> None:
    """By a clock that is slow, as those of laptops are: a rollback must not wait for it."""
    repository.live("dev")
    proposal = changes.promote("staging", head(repository))
    commit = changes.propose(proposal, head(repository), repository.now)
    made = [repository.git("show", "--no-patch", "--format=%ct", each) for each in (commit, "HEAD")]
    assert made[0] == made[1]


def test_what_has_nothing_in_common_is_told(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "other")
    other = repository.commit({"a": "1"})
    repository.git("checkout", "--quiet", "--force", "main")
    with pytest.raises(InputError, match="has no commit in common with"):
        repository.judged(other)
