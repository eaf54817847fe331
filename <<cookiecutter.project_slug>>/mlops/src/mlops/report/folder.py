"""The folder of a report, which is replaced as a whole."""

from pathlib import Path

from ..errors import InputError


def check_replaceable(folder: Path, mark: str) -> None:
    """Raise InputError where a folder holds something else than a report, which has file `mark`."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / mark).is_file():
        raise InputError(f"{folder}: holds something else, which a report would replace")
