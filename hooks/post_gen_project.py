"""Remove what does not belong in the project, and say what to do next.

A folder that an answer switches off renders as `.dropped/<name>`: a folder name that renders
empty would make cookiecutter write into the parent folder. Caches lie in a checkout of the template
in which somebody ran the linters.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def prune(project: Path) -> None:
    """Remove every `.dropped` folder and every cache of the project."""
    for name in (".dropped", "__pycache__", ".mypy_cache", ".ruff_cache"):
        for folder in list(project.rglob(name)):
            if folder.is_dir():
                shutil.rmtree(folder)


def next_steps(slug: str) -> str:
    """Return what the user reads when the project is there."""
    return (
        f"{slug} is ready. Next:\n"
        f"  cd {slug}\n"
        "  make run     from the data to a verified model\n"
        "  make test    test it"
    )


if __name__ == "__main__":
    answers = json.loads(r"""<<cookiecutter | tojson>>""")
    prune(Path())
    print(next_steps(answers["project_slug"]))
