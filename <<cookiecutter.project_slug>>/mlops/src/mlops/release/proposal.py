"""A change of files as a commit on a branch of its own, made without touching the workspace.

Git's objects are written first and the branch last, in one step: a process that is killed leaves
the branch or nothing, and never a file half changed.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CheckError, InputError, ProjectError
from ..files import read_text, write_text
from ..git.revision import Revision, changed_tree, git, root
from ..github.api import Api, Refused, mended, repository
from .pull_requests import closed_by_hand, opened, supersede

# The trailer by which a proposal's commit is told from what somebody made of it.
SEAL = "Proposal"
# Seconds that a remote may take to answer at all: somebody on call cannot wait for a dead network.
PATIENCE = 20
# What a proposal is in a folder: its commit, and the text of its pull request.
_BUNDLE, _BODY = "branch.bundle", "body.md"
_TRUNKS = ("refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")


@dataclass(frozen=True)
class Proposal:
    """A change for others to look at.

    Attributes:
        branch: where it is to be.
        title: what it does, in a line.
        files: what files are to hold; others stay as they are. Empty where the commit was made
            by other means.
        trailers: facts for machines, at the end of the message.
        body: what the pull request says to people, before the facts.
        replaces: what the branches of older proposals begin with that this one makes pointless;
            empty where there are none.
    """

    branch: str
    title: str
    files: Mapping[Path, str]
    trailers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    replaces: str = ""

    @property
    def ref(self) -> str:
        """The branch as Git names it, here and at the remote."""
        return f"refs/heads/{self.branch}"

    @property
    def facts(self) -> list[str]:
        """The trailers, a line each."""
        return [f"{name}: {' '.join(value.split())}" for name, value in self.trailers.items()]

    @property
    def message(self) -> str:
        """The commit's."""
        facts = "\n".join(self.facts)
        return "\n\n".join(part for part in (self.title, facts) if part) + "\n"

    @property
    def text(self) -> str:
        """The pull request's."""
        return "\n\n".join(filter(None, [self.body, *self.facts]))


def trunk() -> str:
    """The branch that environments follow: the remote's `main` if there is one, else ours.

    Without a remote it may be `master`, as Git called it. Raises InputError where there is none.
    """
    for name in _TRUNKS:
        if git("for-each-ref", "--format=%(refname)", name):
            return name
    raise InputError("there is no branch main: commit to one first")


def is_trunk(head: Revision) -> bool:
    """Whether that branch is at a commit, here or at the remote: it is merged already."""
    return bool(git("for-each-ref", "--points-at", str(head.commit), *_TRUNKS))


def write(proposal: Proposal, base: Revision) -> str:
    """Write the commit, on `base`; no branch names it yet. Raises InputError where Git refuses."""

    within = root()

    def change(index: dict[str, str]) -> None:
        for path, text in proposal.files.items():
            blob = git("hash-object", "-w", "--stdin", text=text)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{within}{path}", env=index)

    return write_tree(proposal, base, changed_tree(base, change))


def write_tree(proposal: Proposal, base: Revision, tree: str) -> str:
    """The same of a tree that was made by other means."""
    parent = str(base.commit)
    end = "" if proposal.facts else "\n"
    message = f"{proposal.message}{end}{SEAL}: {_seal(tree, parent, proposal.message)}\n"
    return git("commit-tree", tree, "-p", parent, text=message, env=_not_before(parent))


def _not_before(parent: str) -> dict[str, str]:
    """The date of a commit on another one: now, but by a clock that is slow not before that one."""
    made = int(git("rev-list", "--no-walk", "--timestamp", parent).split()[0])
    return {"GIT_COMMITTER_DATE": f"@{max(made, int(time.time()))} +0000"}


def _seal(tree: str, parents: str, message: str) -> str:
    """What a commit's files, its place and its words are known by; who and when is left out."""
    return hashlib.sha256(f"{tree}\n{parents}\n{message.strip()}".encode()).hexdigest()[:40]


def _is_untouched(commit: str) -> bool:
    """Whether a commit is what `write` made: nobody amended or moved it, nor added one to it."""
    told = git("show", "--no-patch", "--format=%T%x00%P%x00%B", commit)
    tree, parents, message = told.split("\0")
    words, _, sealed = message.strip().rpartition(f"\n{SEAL}: ")
    return sealed == _seal(tree, parents, words)


def publish(proposal: Proposal, commit: str, unless_closed: bool = False) -> str:
    """Give the commit its branch, here and at the remote, and open a pull request where GitHub is.

    Returns what is to be done next. A branch of that name is replaced, but one that proposes the
    same stays, with its pull request and the reviews that it has. Pull requests that it makes
    pointless are closed, and branches of its kind that are merged are removed here. The branch is
    there before the remote is asked, which may be out of reach.

    Args:
        proposal: what the commit proposes.
        commit: made by `write`.
        unless_closed: do not propose again what somebody closed on GitHub without merging it.
    Raises:
        CheckError: somebody closed it.
        InputError: somebody worked on the branch or has it checked out.
        ProjectError: the remote is out of reach, or GitHub opens no pull request.
    """
    _free(proposal, commit)
    if "origin" not in git("remote").split():
        git("update-ref", proposal.ref, commit)
        _tidy(proposal, commit)
        return f"Next: git merge --ff-only {proposal.branch}"
    api = hosted()
    if api and unless_closed and (url := _closed_by_hand(proposal, api)):
        raise CheckError(
            f"{proposal.branch}: somebody closed it, so that it is not proposed again by itself; "
            f"reopen {url}, or propose it by hand"
        )
    git("update-ref", proposal.ref, commit)
    _tidy(proposal, commit)
    try:
        there = _at_remote(proposal.ref)
    except InputError as error:
        raise ProjectError(
            f"{proposal.branch} is made, and not pushed: {error}; once the remote can be reached: "
            f"git push origin {proposal.branch}"
        ) from None
    git("update-ref", proposal.ref, _pushed(proposal, commit, there))
    if api is None:
        return f"Pushed {proposal.branch}. Next: have it reviewed and merged"
    try:
        return "\n".join([f"Pushed {proposal.branch}", *_pull_request(proposal, api)])
    except (ProjectError, Refused) as error:
        raise ProjectError(
            f"{proposal.branch} is pushed, and has no pull request yet: {error}"
        ) from None


def hosted() -> Api | None:
    """The API of the remote's repository, where that is on GitHub and `gh` is there to ask it."""
    # What `gh` takes for its repository, too: https://cli.github.com/manual/gh_help_environment
    named = os.environ.get("GH_REPO")
    there = "origin" in git("remote").split()
    on_github = named or (there and "github.com" in git("remote", "get-url", "origin"))
    return Api(repository(named)) if on_github and shutil.which("gh") else None


def _closed_by_hand(proposal: Proposal, api: Api) -> str | None:
    try:
        return closed_by_hand(proposal.branch, api)
    except Refused as refused:
        raise ProjectError(f"{proposal.branch}: {refused}") from None


def pack(proposal: Proposal, commit: str, folder: Path) -> None:
    """Give the commit its branch here alone, and write a folder that `unpack` reads elsewhere.

    Errors as in `publish`.
    """
    _free(proposal, commit)
    git("update-ref", proposal.ref, commit)
    write_text(folder / _BODY, proposal.text + "\n")
    git("bundle", "create", "--quiet", str(folder / _BUNDLE), f"{commit}^..{proposal.branch}")


def unpack(folder: Path, under: str) -> tuple[Proposal, str]:
    """A proposal that another job packed, and its commit.

    Args:
        folder: what `pack` wrote.
        under: what the name of its branch has to begin with: whoever packed it may have run code
            of others, which does not choose what is pushed. Older proposals below it are replaced.
    Raises:
        InputError: there is none, its branch has another name, or Git cannot read it.
    """
    heads = git("bundle", "list-heads", str(folder / _BUNDLE)).splitlines()
    if len(heads) != 1 or not heads[0].partition(" ")[2].startswith(f"refs/heads/{under}"):
        raise InputError(f"{folder / _BUNDLE}: is to have one branch, of a name like {under}…")
    commit, _, ref = heads[0].partition(" ")
    git("fetch", "--quiet", str(folder / _BUNDLE), ref)
    body = read_text(folder / _BODY).strip()
    branch = ref.removeprefix("refs/heads/")
    return Proposal(branch, _subject(commit), {}, body=body, replaces=under), commit


def work_at_remote(proposal: Proposal, commit: str) -> str | None:
    """What somebody did on the remote's branch, as it was last fetched; None where nobody did."""
    name = f"refs/remotes/origin/{proposal.branch}"
    there = git("for-each-ref", "--format=%(objectname)", name)
    return _subject(there) if there and _is_work(there, commit) else None


def _free(proposal: Proposal, commit: str) -> None:
    """Refuse to replace what somebody did on a branch, or what they have checked out."""
    place = git("for-each-ref", "--format=%(objectname)%00%(worktreepath)", proposal.ref)
    there, _, folder = place.partition("\0")
    if folder:
        raise InputError(f"{proposal.branch}: is checked out in {folder}; switch to another branch")
    if there and _is_work(there, commit):
        raise InputError(
            f"{proposal.branch}: has work of somebody's ({_subject(there)}); merge it, or delete "
            f"the branch: git branch -D {proposal.branch}"
        )


def _tidy(proposal: Proposal, commit: str) -> None:
    """Remove branches here of older proposals of the kind that are merged."""
    if not proposal.replaces:
        return
    shape = "--format=%(refname)%00%(objectname)%00%(worktreepath)"
    for line in git("for-each-ref", shape, f"refs/heads/{proposal.replaces}").splitlines():
        ref, there, folder = line.split("\0")
        if (
            ref != proposal.ref
            and not folder
            and _is_untouched(there)
            and _is_merged(there, commit)
        ):
            git("update-ref", "-d", ref, there)


def _pushed(proposal: Proposal, commit: str, there: str) -> str:
    """The commit by which the remote's branch, which is at `there`, proposes it then."""
    if _proposes(proposal, there, commit):
        return there
    if there and _is_work(there, commit):
        raise InputError(
            f"{proposal.branch}: somebody worked on it at the remote ({_subject(there)}); merge "
            f"it, or delete it: git push origin --delete {proposal.branch}"
        )
    lease = f"--force-with-lease={proposal.ref}:{there}"
    try:
        git("push", "--quiet", lease, "origin", f"{commit}:{proposal.ref}")
    except InputError as error:
        there = _at_remote(proposal.ref)  # somebody may have proposed the same at that moment
        if _proposes(proposal, there, commit):
            return there
        raise InputError(mended(str(error))) from None
    return commit


def _at_remote(ref: str) -> str:
    """The commit of the remote's branch, fetched; empty where there is none."""
    there = git("ls-remote", "origin", ref, seconds=PATIENCE).partition("\t")[0]
    if there:
        git("fetch", "--quiet", "origin", ref)
    return there


def refresh() -> str | None:
    """Fetch what main is at the remote; say why that could not be, None where all is well."""
    if "origin" not in git("remote").split():
        return None
    try:
        git("fetch", "--quiet", "origin", "main", seconds=PATIENCE)
    except InputError as error:
        return str(error)
    return None


def _proposes(proposal: Proposal, there: str, commit: str) -> bool:
    """Whether a branch proposes the same as `commit`, and still does."""
    return bool(there) and not _is_merged(there, commit) and _is_same(proposal, there, commit)


def _is_work(there: str, commit: str) -> bool:
    """Whether somebody would lose what is there if `commit` replaced it."""
    return not _is_merged(there, commit) and not _is_untouched(there)


def _is_merged(there: str, commit: str) -> bool:
    """Whether `commit` stands on all that is there."""
    return git("merge-base", there, f"{commit}^", success=(0, 1)) == there


def _subject(commit: str) -> str:
    return git("show", "--no-patch", "--format=%s", commit)


def _is_same(proposal: Proposal, there: str, commit: str) -> bool:
    if not proposal.files:
        return git("rev-parse", f"{there}^{{tree}}") == git("rev-parse", f"{commit}^{{tree}}")
    return all(Revision(there).read(path) == text for path, text in proposal.files.items())


def _pull_request(proposal: Proposal, api: Api) -> list[str]:
    """The address of the proposal's pull request, then what became of those that it replaces."""
    url = opened(proposal.branch, proposal.title, proposal.text, api)
    if not proposal.replaces:
        return [url]
    return [url, *supersede(proposal.branch, proposal.replaces, url, api, _is_untouched_branch)]


def _is_untouched_branch(name: str) -> bool:
    there = _at_remote(f"refs/heads/{name}")
    return bool(there) and _is_untouched(there)
