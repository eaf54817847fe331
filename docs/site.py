"""Build the template's documentation site: build/docs/index.html.

`make docs` runs it. The pages are this folder's, those beside README.md and the manual that each
project has.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mlops.errors import ProjectError
from mlops.project import about
from mlops.site.build import build, load_site

OUTPUT = Path("build/docs")


def main() -> None:
    """Build it from the root of the checkout."""
    try:
        count = build(load_site(about().repository), OUTPUT)
    except ProjectError as error:
        sys.exit(f"error: {error}")
    print(f"{OUTPUT}/index.html: {count} pages")


if __name__ == "__main__":
    main()
