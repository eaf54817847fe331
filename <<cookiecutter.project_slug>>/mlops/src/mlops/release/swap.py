"""The exported model of an environment at a place of its own, for a device that runs no server.

The place is a link to a folder with all files of one model, so that whoever reads there finds those
of one or of the other, and never of both. A command of the owner's is run then: it writes a
microcontroller's flash, starts a program anew, or only tries the model.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckError, InputError
from ..files import write_text
from ..git.revision import Revision
from . import artefact
from .process import FOLDER

# Seconds that the command may take.
COMMAND_SECONDS = 600


@dataclass(frozen=True)
class Swap:
    """A target's files at a place.

    Attributes:
        environment: whose model it is.
        name: of export.targets.
        place: where the files are found: a link of the agent's, or nothing yet.
        command: what is run once they are there, with its arguments; empty for nothing. It may be
            run again with the same files: what lost power does not know whether it was.
    """

    environment: str
    name: str
    place: Path
    command: tuple[str, ...] = ()

    def is_done(self, at: Revision) -> bool:
        """Whether the files of a commit are there, and the command ended well with them."""
        shipped = artefact.shipped(self.environment, self.name, at)
        folder = self._folder(shipped.md5)
        return self._good == shipped.md5 and self._leads_to(folder) and shipped.are_at(folder)

    def do(self, at: Revision) -> Iterator[str]:
        """Bring the files of a commit there, and run the command.

        Raises:
            InputError: the files cannot be had, or something else is at the place.
            CheckError: they are not those of the evidence, or the command fails: those that were
                there before are there again, and the command was run with them.
        """
        shipped = artefact.shipped(self.environment, self.name, at)
        if self.place.exists() and not self.place.is_symlink():
            raise InputError(f"{self.place}: is no link of the agent's; give another place")
        folder, good = self._folder(shipped.md5), self._good
        if not shipped.are_at(folder):
            artefact.fetch(self.environment, self.name, folder, at)
        self._lead_to(folder)
        try:
            self._run()
        except CheckError as error:
            raise CheckError(f"{self.environment}: {error}; {self._go_back(good)}") from None
        write_text(self._marker, shipped.md5)
        yield f"{self.place}: {self.name} of {shipped.release}"
        for other in self._folders.iterdir():  # what a killed agent left, too
            if other not in (folder, self._folder(good)):
                shutil.rmtree(other)

    @property
    def _marker(self) -> Path:
        """Has the MD5 of the files with which the command ended well."""
        return FOLDER / self.environment / f"agent-{self.name}.done"

    @property
    def _good(self) -> str:
        return self._marker.read_text(encoding="utf-8") if self._marker.exists() else ""

    @property
    def _folders(self) -> Path:
        """Has a folder for each model, beside the place."""
        return self.place.with_name(f".{self.place.name}")

    def _folder(self, md5: str) -> Path:
        return self._folders / md5.removesuffix(".dir")

    def _leads_to(self, folder: Path) -> bool:
        return self.place.is_symlink() and self.place.readlink() == self._within(folder)

    def _within(self, folder: Path) -> Path:
        """A model's folder as the link names it, which may be moved with what it leads to."""
        return folder.relative_to(self.place.parent)

    def _lead_to(self, folder: Path) -> None:
        """Have the place be that folder, in one move."""
        if self._leads_to(folder):
            return
        link = self.place.with_name(f".{self.place.name}.new")
        link.unlink(missing_ok=True)  # a killed agent's
        link.symlink_to(self._within(folder))
        link.replace(self.place)

    def _go_back(self, good: str) -> str:
        """Bring back what the command ended well with, and say what became of it."""
        before = self._folder(good)
        if not good or not before.is_dir():
            self.place.unlink()
            return "nothing is there now"
        self._lead_to(before)
        try:
            self._run()
        except CheckError as error:
            return f"with what was before, too, {error}"
        return "what was before is there again"

    def _run(self) -> None:
        """Run the command. Raises CheckError where it fails."""
        if not self.command:
            return
        try:
            done = subprocess.run(
                self.command,
                env=os.environ | {"MLOPS_MODEL": str(self.place.absolute())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CheckError(f"{self.command[0]} takes over {COMMAND_SECONDS} seconds") from None
        except OSError as error:
            raise CheckError(f"{self.command[0]}: {error.strerror}") from None
        if done.returncode:
            lines = done.stdout.decode(errors="replace").strip().splitlines()
            said = f" ({lines[-1]:.200})" if lines else ""
            raise CheckError(f"{self.command[0]} ends with {done.returncode}{said}")
