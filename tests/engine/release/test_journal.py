"""Who brought what, when and by which pull request: what Git tells, and what it does not."""

import subprocess
from pathlib import Path

import pytest
from engine.released import Repository

from mlops.git.revision import Revision
from mlops.release.journal import Landing, arrival, first_change, last_change

FILE = Path("releases/one.json")


def head(repository: Repository) -> Revision:
    return Revision(repository.head)


def merged(repository: Repository, subject: str, files: dict[str, str]) -> str:
    """Commit files on a branch as Grace, merge it as Ada, and say the branch's commit."""
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.git("config", "user.name", "Grace")
    commit = repository.commit(dict(files))
    repository.git("config", "user.name", "Ada")
    repository.git("checkout", "--quiet", "main")
    repository.commit({"other": subject})
    repository.git("merge", "--quiet", "--no-ff", "--message", subject, "branch")
    repository.git("branch", "--quiet", "--delete", "branch")
    return commit


def test_a_merge_brings_what_its_branch_has(repository: Repository) -> None:
    commit = merged(repository, "Merge pull request #12 from org/branch", {str(FILE): "{}"})
    merge, now = head(repository), repository.now
    repository.commit({"later": "x"})
    for found in (
        arrival(Revision(commit), head(repository)),
        first_change(FILE, head(repository)),
        last_change(FILE, head(repository)),
    ):
        assert found == Landing(str(merge.commit), now, "Ada", 12)


def test_a_squashed_branch_is_its_own_author_s(repository: Repository) -> None:
    repository.git("config", "user.name", "Grace")
    repository.commit({str(FILE): "{}"})
    repository.git("commit", "--quiet", "--amend", "--message", "Release it (#7)")
    found = arrival(head(repository), head(repository))
    assert found is not None
    assert (found.who, found.pull, found.when) == ("Grace", 7, repository.now)
    assert found == last_change(FILE, head(repository))


@pytest.mark.parametrize("subject", ["x", "see #12", "(#12) first", "Merge pull request #x from a"])
def test_a_commit_that_names_no_pull_request(repository: Repository, subject: str) -> None:
    repository.commit({str(FILE): "{}"})
    repository.git("commit", "--quiet", "--amend", "--message", subject)
    found = last_change(FILE, head(repository))
    assert found is not None
    assert found.pull is None


def test_the_first_change_is_not_the_last(repository: Repository) -> None:
    first = repository.commit({str(FILE): "{}"})
    last = repository.commit({str(FILE): "{ }"})
    found = first_change(FILE, head(repository)), last_change(FILE, head(repository))
    assert [each.commit for each in found if each] == [first, last]


def test_words_of_commits_may_hold_anything(repository: Repository) -> None:
    repository.git("config", "user.name", "A\u2028da | `b`")
    repository.commit({str(FILE): "{}"})
    repository.git("commit", "--quiet", "--amend", "--message", "one\u2028two\x0b\x85 (#3)")
    found = last_change(FILE, head(repository))
    assert found is not None
    assert (found.who, found.pull) == ("A\u2028da | `b`", 3)


def test_what_never_came_is_not_told(repository: Repository) -> None:
    assert first_change(Path("nothing"), head(repository)) is None
    before = head(repository)
    later = Revision(repository.commit({"later": "x"}))
    assert arrival(later, before) is None


def test_a_history_that_is_cut_off_tells_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({str(FILE): "{}"})
    where = tmp_path / "clone"
    command = ["git", "clone", "--quiet", "--depth=1", f"file://{Path.cwd()}", str(where)]
    subprocess.run(command, check=True)
    monkeypatch.chdir(where)
    assert last_change(FILE, head(repository)) is None
