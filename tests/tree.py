"""The files that a bake must hold: `bake/tree.txt` lists them, this module reads and writes it.

A line of `tree.txt` is a path, and after two blanks the choices it depends on, if any:
`k8s/app.yaml  target=kubernetes|openshift size=large`. After adding or removing a file of the
template, run `uv run python tests/tree.py` and read the difference before committing it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from helpers import CHOICES, bake, export, files, single_choices

TREE = Path(__file__).with_name("bake") / "tree.txt"


def expected(answers: dict[str, str]) -> list[str]:
    """Return the paths that a bake with these answers holds."""
    chosen = {name: options[0] for name, options in CHOICES.items()} | answers
    paths = []
    for line in TREE.read_text(encoding="utf-8").splitlines():
        path, _, conditions = line.partition("  ")
        needs = dict(condition.split("=") for condition in conditions.split())
        if all(chosen[name] in options.split("|") for name, options in needs.items()):
            paths.append(path)
    return paths


def found(project: Path) -> list[str]:
    """Return the paths that a bake holds."""
    return sorted(path.as_posix() for path in files(project))


def conditions(path: str, trees: dict[tuple[str, str], set[str]]) -> str:
    """Return the choices that a path depends on, judged by changing one answer at a time."""
    needs = []
    for name, options in CHOICES.items():
        present = [option for option in options if path in trees[name, option]]
        if present and len(present) < len(options):
            needs.append(f"{name}={'|'.join(present)}")
    return " ".join(needs)


def main() -> None:
    """Bake every single choice and write what was found."""
    with tempfile.TemporaryDirectory() as folder:
        template = export(Path(folder, "clone", "mlops-template"))
        trees: dict[tuple[str, str], set[str]] = {}
        for number, answers in enumerate(single_choices()):
            tree = set(found(bake(template, Path(folder, str(number)), **answers)))
            for name, options in CHOICES.items():
                if name in answers or not answers:
                    trees[name, answers[name] if answers else options[0]] = tree
    lines = [f"{path}  {conditions(path, trees)}".rstrip() for path in set().union(*trees.values())]
    TREE.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
