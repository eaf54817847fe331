"""`python -m mlops.update.migrations OLD NEW FOLDER FOLDER FOLDER`: run those between two versions.

Prints, as JSON, which ran and what is left to do by hand.
"""

import json
import sys
from pathlib import Path

from . import Folders, Migration, is_newer
from .engine_apart import ENGINE_APART

# Oldest first.
MIGRATIONS: tuple[Migration, ...] = (ENGINE_APART,)


def main(old: str, new: str, folders: Folders) -> dict[str, list[str]]:
    """Run the migrations of versions after `old`, up to `new`."""
    ran, by_hand = [], []
    for each in MIGRATIONS:
        between = is_newer(each.version, old) and not is_newer(each.version, new)
        if between and each.is_due(folders):
            by_hand += each.run(folders)
            ran.append(each.version)
    return {"ran": ran, "by_hand": by_hand}


if __name__ == "__main__":
    _, old, new, *paths = sys.argv
    print(json.dumps(main(old, new, Folders(*map(Path, paths)))))
