"""The report of a change, with its pictures, for a pull request."""

from pathlib import Path

from ..files import replacing, write_text
from ..judging.comparison import Comparison
from . import pictures
from .change import Change, change
from .comment import comment
from .folder import check_replaceable


def report(
    name: str,
    folder: Path,
    log: Path | None,
    comparison: Comparison | None = None,
    pushed: bool = True,
) -> Change:
    """Write report.md and its pictures, and return what they tell.

    Args:
        name: the base revision, as Git knows it; all zeros for none.
        folder: is replaced as a whole.
        log: what `dvc repro` printed, to tell which stages ran; None leaves that out.
        comparison: with the base revision, where it was made already.
        pushed: whether the remote is to have the data by now.
    Raises:
        InputError: `folder` holds something else than a report.
    """
    check_replaceable(folder, "report.md")
    found = change(name, log, comparison, pushed)
    with replacing(folder) as temporary:
        temporary.mkdir()
        drawn = pictures.draw(found, temporary)
        write_text(temporary / "report.md", comment(found, drawn))
    return found
