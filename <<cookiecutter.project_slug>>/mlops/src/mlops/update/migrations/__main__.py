"""`python -m mlops.update.migrations OLD NEW FOLDER...`: run those between two versions.

Prints, as JSON, which ran and what is left to do by hand.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from . import Folders, between


def main(old: str, new: str, folders: Folders) -> dict[str, list[str]]:
    """Run the migrations of versions after `old`, up to `new`."""
    ran, by_hand = [], []
    for name in between(old, new, (each.stem for each in Path(__file__).parent.iterdir())):
        migration = import_module(f".{name}", __package__)
        if migration.is_due(folders):
            by_hand += migration.run(folders)
            ran.append(name)
    return {"ran": ran, "by_hand": by_hand}


if __name__ == "__main__":
    _, old, new, *paths = sys.argv
    print(json.dumps(main(old, new, Folders(*map(Path, paths)))))
