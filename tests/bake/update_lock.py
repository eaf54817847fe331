"""Update the bake's uv.lock: lock a fresh bake, then put the two rendered values back.

Run `uv run python tests/bake/update_lock.py [--upgrade]` after a change of the bake's dependencies.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "<<cookiecutter.project_slug>>" / "uv.lock"

# What a bake with the defaults renders, and the expression it came from.
RENDERED = {
    'name = "flight-delays"': 'name = "<<cookiecutter.project_slug>>"',
    '"remote-local", "serving"]': '"remote-<<cookiecutter.data_remote>>", "serving"]',
}


def main() -> None:
    """Write the template's uv.lock anew."""
    with tempfile.TemporaryDirectory() as folder:
        bake = Path(cookiecutter(str(ROOT), no_input=True, output_dir=folder))
        uv = shutil.which("uv") or "uv"
        subprocess.run([uv, "lock", *sys.argv[1:]], cwd=bake, check=True)
        text = (bake / "uv.lock").read_text()
    for value, expression in RENDERED.items():
        text = text.replace(value, expression)
    LOCK.write_text(text)


if __name__ == "__main__":
    main()
