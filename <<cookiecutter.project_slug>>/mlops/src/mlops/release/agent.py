"""A device that nobody reaches asks Git what it is to run, and brings that about itself.

Each round looks at the remote's `main`. Its newest commit is taken only where a key that this
machine trusts signed it, and where it stands on the one that was taken before: a signature covers
all that is read from a commit (releases, evidence with the hashes of models and images, settings,
Compose files), and old commits have good signatures, too. What cannot be asked, taken or brought
about leaves what runs as it is, and that is mended from what is here.

All that is remembered is a ref, which names the last commit that was brought about, and with which
Git keeps all of it. It moves at the end: whatever kills a round, the next one does it again.
"""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import CheckError, ProjectError, first_line
from ..git.remote import REMOTE, Unreachable, keep, kept, newest
from ..git.revision import Revision, git
from . import apply, process
from .journal import signature
from .target import target

BRANCH = "main"
# A commit that cannot be brought about is tried again after 1, 2, 4 rounds, and at last so many.
MOST_ROUNDS = 64


class Duty(Protocol):
    """What a device has to bring about."""

    @property
    def name(self) -> str:
        """What it is called among those of one environment."""
        ...

    def is_done(self, at: Revision) -> bool:
        """Whether all is as a commit says. Raises as `do`, but for what it takes to be done."""
        ...

    def do(self, at: Revision) -> Iterator[str]:
        """Bring about what a commit says, a line a step; what fails leaves what was before.

        Raises:
            InputError: it cannot be had.
            CheckError: it is not as it should be.
        """
        ...


@dataclass(frozen=True)
class Servers:
    """An environment's servers on this machine, as `mlops apply` has them."""

    environment: str
    name: str = "servers"

    def is_done(self, at: Revision) -> bool:
        """Whether they serve as a commit says."""
        return apply.is_settled(target(self.environment, at))

    def do(self, at: Revision) -> Iterator[str]:
        """Have them serve so."""
        wanted = target(self.environment, at)
        if not wanted.release.serving_image:
            process.model_of(wanted, may_remake=False)  # a device trains nothing
        yield from apply.apply(self.environment, at)


@dataclass
class Agent:
    """What looks after a device.

    Attributes:
        environment: whose state in Git it follows.
        duty: what it brings about.
        failures: how often a commit could not be brought about, by commit.
        rests: the rounds until it is tried again.
    """

    environment: str
    duty: Duty
    failures: Counter[Revision] = field(default_factory=Counter, init=False)
    rests: Counter[Revision] = field(default_factory=Counter, init=False)

    @property
    def ref(self) -> str:
        """Names the last commit that was brought about."""
        return f"refs/mlops/agent/{self.environment}/{self.duty.name}"

    def run(self, seconds: float) -> Iterator[str]:
        """Round after round for ever, with seconds between them; only what is news is told."""
        told = ""
        with self._alone():
            while True:
                for line in self._told():
                    if line != told:
                        yield line
                    told = line
                time.sleep(seconds)

    def once(self) -> Iterator[str]:
        """One round.

        Raises:
            InputError: there is nothing that could be brought about.
            CheckError: a commit is not to be taken, or not to be brought about, or another agent
                is at work. What was before is, still.
        """
        with self._alone():
            yield from self._round()

    def _told(self) -> Iterator[str]:
        try:
            yield from self._round()
        except (ProjectError, OSError) as error:
            yield f"error: {first_line(error)}"

    def _round(self) -> Iterator[str]:
        last = kept(self.ref)
        wanted = last
        problem: Exception | None = None
        try:
            wanted = self._taken(newest(BRANCH), last)
        except Unreachable as error:
            yield f"{REMOTE} is out of reach ({error}): what is here goes on"
        except ProjectError as error:
            problem = error
        if wanted is None:
            raise problem or CheckError(
                f"{self.environment}: nothing was brought about yet, and {REMOTE} is out of reach"
            )
        try:
            if not self._rests(wanted):
                yield from self._bring_about(wanted, last)
        except (ProjectError, OSError) as error:
            problem = error
        if last not in (None, wanted) and wanted in self.failures:
            yield from self._mend(last)
        if problem:
            raise problem

    def _taken(self, commit: Revision, last: Revision | None) -> Revision:
        """A commit that may be brought about. Raises CheckError where it may not."""
        if commit == last:
            return commit
        name = str(commit.commit)[:7]
        if problem := signature(commit).problem:
            raise CheckError(f"{BRANCH} is at {name}, which is not taken: {problem}")
        if last is not None and not _stands_on(commit, last):
            raise CheckError(
                f"{BRANCH} is at {name}, which is not taken: it does not stand on "
                f"{str(last.commit)[:7]}, which came before; if somebody meant to rewrite history, "
                f"`git update-ref -d {self.ref}` here accepts it"
            )
        return commit

    def _bring_about(self, wanted: Revision, last: Revision | None) -> Iterator[str]:
        self.failures[wanted] += 1
        self.rests[wanted] = min(2 ** self.failures[wanted] // 2, MOST_ROUNDS)
        if not self.duty.is_done(wanted):
            yield from self.duty.do(wanted)
        if wanted != last:
            os.sync()  # the ref must not outlive what it says was done
            keep(self.ref, wanted)
            yield f"{self.environment}: as {str(wanted.commit)[:7]} says"
        self.failures.clear()
        self.rests.clear()

    def _rests(self, commit: Revision) -> bool:
        """Whether a commit failed so lately that it is not tried in this round."""
        if not self.rests[commit]:
            return False
        self.rests[commit] -= 1
        return True

    def _mend(self, last: Revision) -> Iterator[str]:
        """Have what was before run, where it does not: the machine may have been started anew."""
        try:
            if not self.duty.is_done(last):
                yield from self.duty.do(last)
        except (ProjectError, OSError) as error:
            yield f"error: {first_line(error)}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other agent do the same. Raises CheckError where one does."""
        folder = process.FOLDER / self.environment
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"agent-{self.duty.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CheckError(f"{self.environment}: another agent is at work here") from None
            yield


def _stands_on(commit: Revision, last: Revision) -> bool:
    return git("merge-base", str(commit.commit), str(last.commit), success=(0, 1)) == last.commit
