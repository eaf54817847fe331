"""The report of a change, with its pictures, for a pull request."""

from pathlib import Path

from ..comparison import Comparison
from ..facts import as_json
from ..files import replacing, write_text
from . import pictures
from .change import change
from .comment import comment
from .folder import check_replaceable
from .headline import headline


def report(name: str, folder: Path, log: Path | None, comparison: Comparison | None = None) -> str:
    """Write report.md, its pictures and report.json; return the verdict as plain text.

    Args:
        name: the base revision, as Git knows it; all zeros for none.
        folder: is replaced as a whole.
        log: what `dvc repro` printed, to tell which stages ran; None leaves that out.
        comparison: with the base revision, where it was made already.
    Raises:
        InputError: `folder` holds something else than a report.
    """
    check_replaceable(folder, "report.md")
    found = change(name, log, comparison)
    with replacing(folder) as temporary:
        temporary.mkdir()
        drawn = pictures.draw(found, temporary)
        verdict = headline(found)
        write_text(temporary / "report.md", comment(found, verdict, drawn))
        write_text(temporary / "report.json", as_json(found))
    return verdict.plain()
