"""Update the bake's uv.lock and packages.txt: lock a fresh bake, then put the rendered values back.

The template's own uv.lock takes the bake's versions, so that the engine is tested in place with
what a bake has. Run `uv run python tests/bake/update_lock.py [--upgrade]` after a change of the
bake's dependencies.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from cookiecutter.main import cookiecutter

from mlops import packages

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "<<cookiecutter.project_slug>>" / "uv.lock"
OWN = ROOT / "uv.lock"
PACKAGES = LOCK.with_name("packages.txt")

# What a bake with the defaults renders, and the expression it came from.
RENDERED = {
    '"flight-delays",': '"<<cookiecutter.project_slug>>",',
    'name = "flight-delays"': 'name = "<<cookiecutter.project_slug>>"',
    '"remote-local"]': '"remote-<<cookiecutter.data_remote>>"]',
}


def versions_of(lock: Path) -> dict[str, set[str]]:
    """Return the versions that a lock file names of each package; two where Pythons differ."""
    found: dict[str, set[str]] = {}
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        found.setdefault(package["name"], set()).add(package.get("version", ""))
    return found


def differing() -> dict[str, tuple[set[str], set[str]]]:
    """Return the packages that the bake and the template lock in other versions, with both."""
    bake, own = versions_of(LOCK), versions_of(OWN)
    return {name: (bake[name], own[name]) for name in bake.keys() & own if bake[name] != own[name]}


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
    PACKAGES.write_text(packages.text(text))
    chosen = [
        f"--upgrade-package={name}=={version}"
        for name, (versions, _) in differing().items()
        for version in versions
    ]
    subprocess.run([uv, "lock", *chosen], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
