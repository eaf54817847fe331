"""What .cookiecutter.json records: the template that a project is from, and the answers to it."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..errors import InputError
from ..files import parse
from .revision import Revision

RECORD = Path(".cookiecutter.json")


class Record(BaseModel):
    """Where a project is from.

    Attributes:
        template: the address that was given to cookiecutter: a URL, or a folder.
        commit: of the template; None where it was baked from what no commit holds.
        version: of the template.
        answers: to each of its questions, and the days that the bake was told.
    """

    model_config = ConfigDict(frozen=True)

    template: str
    commit: str | None = None
    version: str
    answers: dict[str, Any]

    def text(self) -> str:
        """The file's."""
        return json.dumps(self.model_dump(), indent=4, sort_keys=True) + "\n"


def load_record(at: Revision) -> Record:
    """The record of a revision. Raises InputError where there is none, or a broken one."""
    text = at.read(RECORD)
    if text is None:
        raise InputError(
            f"{RECORD}: no such file{' in Git' if at.commit else ''}; it records the template and "
            f"the answers: take it from an older commit, `git log --oneline --all {RECORD}`"
        )
    return parse(text, Record, RECORD)
