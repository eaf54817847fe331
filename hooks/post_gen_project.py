"""Remove what does not belong in the project, record where it is from, and say what to do next.

A folder that an answer switches off renders as `.dropped/<name>`: a folder name that renders
empty would make cookiecutter write into the parent folder. Caches lie in a checkout of the template
in which somebody ran the linters.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

RECORD = ".cookiecutter.json"

# What cookiecutter takes for an address, too, unless somebody configured it otherwise.
HOSTS = {"gh": "https://github.com", "gl": "https://gitlab.com", "bb": "https://bitbucket.org"}


def prune(project: Path) -> None:
    """Remove every `.dropped` folder and every cache of the project."""
    for name in (".dropped", "__pycache__", ".mypy_cache", ".ruff_cache"):
        for folder in list(project.rglob(name)):
            if folder.is_dir():
                shutil.rmtree(folder)


def checkout(answers: dict[str, object]) -> Path | None:
    """Return the folder that the project is rendered from; None where it is not found.

    cookiecutter notes it as it was typed, so relative to where the user stood: the output folder,
    or with another output folder the shell's working directory.
    """
    for start in (str(answers.get("_output_dir")), os.environ.get("PWD", ".")):
        template = Path(start, str(answers.get("_repo_dir"))).resolve()
        if (template / "cookiecutter.json").is_file():
            return template
    return None


def address(template: str, folder: Path | None) -> str:
    """Return where the template can be had again: a URL without a password, or a folder.

    `folder` is where cookiecutter found it: the template itself, when that is a folder.
    """
    if folder is not None and Path(template).name in (folder.name, "", ".", ".."):
        typed = Path(template).expanduser()
        is_url = re.match(r"[\w+.-]+://|[^/]+@[^/]+:|(gh|gl|bb):", template)
        if not is_url and (not typed.is_absolute() or typed.resolve() == folder):
            return str(folder)
    host, colon, name = template.partition(":")
    if colon and host in HOSTS:
        return f"{HOSTS[host]}/{name}"
    return re.sub(r"^(?:git\+)?([\w+.-]+://)(?:[^/@]*:[^/@]*@)?", r"\1", template)


def commit(folder: Path | None) -> str | None:
    """Return the commit that a checkout of the template is at.

    None where it is no checkout, or holds changes that no commit does.
    """
    git = shutil.which("git")
    if folder is None or git is None or not (folder / ".git").exists():
        return None
    settings = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def ask(*arguments: str) -> str | None:
        command = [git, "-C", str(folder), *arguments]
        done = subprocess.run(command, env=settings, capture_output=True, text=True)  # noqa: S603
        return None if done.returncode else done.stdout.strip()

    return None if ask("status", "--porcelain") != "" else ask("rev-parse", "HEAD")


def complete(record: Path, answers: dict[str, object]) -> None:
    """Write the template's address and commit to the project's record."""
    folder = checkout(answers)
    content = json.loads(record.read_text(encoding="utf-8"))
    content["template"] = address(str(answers.get("_template")), folder)
    content["commit"] = commit(folder)
    record.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")


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
    complete(Path(RECORD), answers)
    print(next_steps(answers["project_slug"]))
