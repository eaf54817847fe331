"""`python -m mlops.update.migrations OLD NEW FOLDER...`: run those between two versions.

Prints, as JSON, which ran and what is left to do by hand.
"""

import json
import sys
from pathlib import Path

from . import Folders, between, v0_2_0

MIGRATIONS = {"v0_2_0": v0_2_0}


def main(old: str, new: str, folders: Folders) -> dict[str, list[str]]:
    """Run the migrations of versions after `old`, up to `new`."""
    ran, by_hand = [], []
    for name in between(old, new, MIGRATIONS):
        migration = MIGRATIONS[name]
        if migration.is_due(folders):
            by_hand += migration.run(folders)
            ran.append(name)
    return {"ran": ran, "by_hand": by_hand}


if __name__ == "__main__":
    _, old, new, *paths = sys.argv
    print(json.dumps(main(old, new, Folders(*map(Path, paths)))))
