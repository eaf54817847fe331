"""0.2.0: the engine leaves the owner's package for `mlops/`."""

from . import Folders, Migration


def _is_due(folders: Folders) -> bool:
    return not (folders.old / "mlops").is_dir() and (folders.new / "mlops").is_dir()


def _run(folders: Folders) -> list[str]:
    return []


ENGINE_APART = Migration("0.2.0", _is_due, _run)
