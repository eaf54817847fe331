"""A change of files as a commit on a branch of its own, made without touching the workspace.

Git's objects are written first and the branch last, in one step: a process that is killed leaves
the branch or nothing, and never a file half changed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..revision import Revision, git


@dataclass(frozen=True)
class Proposal:
    """A change for others to look at.

    Attributes:
        branch: where it is to be.
        title: what it does, in a line.
        files: what files are to hold; others stay as they are.
        trailers: facts for machines, at the end of the message.
    """

    branch: str
    title: str
    files: Mapping[Path, str]
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> list[str]:
        """The trailers, a line each."""
        return [f"{name}: {value}" for name, value in self.trailers.items()]

    @property
    def message(self) -> str:
        """The commit's."""
        facts = "\n".join(self.facts)
        return "\n\n".join(part for part in (self.title, facts) if part) + "\n"


def trunk() -> str:
    """The branch that environments follow: the remote's `main` if there is one, else ours.

    Without a remote it may be `master`, as Git called it. Raises InputError where there is none.
    """
    for name in ("refs/remotes/origin/main", "refs/heads/main", "refs/heads/master"):
        if git("for-each-ref", "--format=%(refname)", name):
            return name
    raise InputError("there is no branch main: commit to one first")


def write(proposal: Proposal, base: Revision) -> str:
    """Write the commit, on `base`; no branch names it yet. Raises InputError where Git refuses."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", str(base.commit), env=index)
        for path, text in proposal.files.items():
            blob = git("hash-object", "-w", "--stdin", text=text)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        tree = git("write-tree", env=index)
    return git("commit-tree", tree, "-p", str(base.commit), text=proposal.message)


def publish(proposal: Proposal, commit: str) -> str:
    """Give the commit its branch, here and at the remote, and open a pull request where GitHub is.

    Returns what is to be done next. The branch is replaced when it is there already.
    """
    git("update-ref", f"refs/heads/{proposal.branch}", commit)
    if "origin" not in git("remote").split():
        return f"Next: git merge --ff-only {proposal.branch}"
    git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{proposal.branch}")
    gh = shutil.which("gh")
    if gh is None or "github.com" not in git("remote", "get-url", "origin"):
        return f"Pushed {proposal.branch}. Next: have it reviewed and merged"
    body = "\n\n".join(proposal.facts)
    asked = ["--head", proposal.branch, "--base", "main", "--title", proposal.title, "--body", body]
    done = subprocess.run([gh, "pr", "create", *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"Pushed {proposal.branch}, but gh opened no pull request: {done.stderr.strip()}"
    return done.stdout.strip()
