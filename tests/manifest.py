"""The manifest of the engine: `mlops/manifest` in the bake, which this module computes and writes.

After changing a file of the engine run `uv run python tests/manifest.py`; `make lint` does it, too.
"""

from __future__ import annotations

import subprocess

from helpers import PROJECT

from mlops.git.engine import MANIFEST, digest, is_part, manifest


def computed() -> str:
    """Return the manifest of the engine as it lies in the checkout, without what Git ignores."""
    engine = PROJECT / MANIFEST.parent
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=engine,
        check=True,
        capture_output=True,
        text=True,
    )
    names = {name for name in listing.stdout.split("\0") if name and (engine / name).is_file()}
    return manifest({n: digest((engine / n).read_bytes()) for n in names if is_part(n)})


def main() -> None:
    """Write what was computed."""
    (PROJECT / MANIFEST).write_text(computed(), encoding="utf-8")


if __name__ == "__main__":
    main()
