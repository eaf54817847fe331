"""The template's address is in one place, from which the pages have it."""

from __future__ import annotations

import runpy
import subprocess
import tomllib

import helpers

SCRIPT = runpy.run_path(str(helpers.ROOT / "docs/address.py"))


def test_pages_have_the_address_of_pyproject() -> None:
    text = (helpers.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    url = tomllib.loads(text)["project"]["urls"]["Repository"]
    for page in SCRIPT["PAGES"]:
        text = page.read_text(encoding="utf-8")
        assert SCRIPT["short"](url) in text
        assert SCRIPT["written"](text, url) == text


def test_nobody_else_writes_it() -> None:
    mentions = subprocess.run(
        ["git", "grep", "--name-only", "org/mlops-template", "--", ":!tests"],
        cwd=helpers.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert mentions.stdout.splitlines() == ["README.md", "docs/questions.md", "pyproject.toml"]


def test_another_address_is_written() -> None:
    text = "uvx cookiecutter gh:org/mlops-template --no-input\n"
    moved = SCRIPT["written"](text, "https://github.com/acme/ml.template")
    assert moved == "uvx cookiecutter gh:acme/ml.template --no-input\n"
    moved = SCRIPT["written"](text, "https://git.example.com/acme/ml")
    assert moved == "uvx cookiecutter https://git.example.com/acme/ml --no-input\n"
