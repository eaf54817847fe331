"""Write the template's address, as `pyproject.toml` has it, into the pages that name it.

A hook of `make lint` runs it: whoever moves the repository changes `urls.Repository` alone.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs/questions.md")
# As cookiecutter abbreviates it, and as a browser and Git take it.
SHORT = re.compile(r"gh:[\w.-]+/[\w.-]+")


def short(url: str) -> str:
    """Return the address of a repository on GitHub as cookiecutter abbreviates it."""
    return url.replace("https://github.com/", "gh:")


def written(text: str, url: str) -> str:
    """Return a page whose addresses of the template are this one."""
    return SHORT.sub(short(url), text)


def main() -> None:
    """Write it, and exit with 1 where a page had another."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changed = False
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = written(text, project["urls"]["Repository"])
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: its address is that of pyproject.toml now")
            changed = True
    sys.exit(changed)


if __name__ == "__main__":
    main()
