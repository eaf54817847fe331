"""The unrendered files are valid as they lie, and Jinja finds nothing in them by accident.

`<<` means something in shell, YAML and Python too: `cat <<'EOF' >> "$OUT"` is an expression to
Jinja and would silently become `cat EOF "$OUT"`. So every expression must name `cookiecutter`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from helpers import PROJECT, QUESTIONS, ROOT, SETTINGS, environment, is_copied, texts
from jinja2 import TemplateSyntaxError, nodes

DELIMITERS = ("<<", "# <%", "# <#")


@pytest.fixture(scope="module")
def project(template: Path) -> Path:
    return template / PROJECT.name


def expressions(source: str) -> list[nodes.Expr]:
    """Return what Jinja would replace in a text."""
    outputs = environment().parse(source).find_all(nodes.Output)
    return [n for output in outputs for n in output.nodes if not isinstance(n, nodes.TemplateData)]


def accidents(source: str) -> list[int]:
    """Return the lines that hold an expression without the name `cookiecutter`."""
    wrapped = [(node.lineno, nodes.Output([node])) for node in expressions(source)]
    return [
        line
        for line, output in wrapped
        if all(name.name != "cookiecutter" for name in output.find_all(nodes.Name))
    ]


@pytest.mark.parametrize(
    "source",
    [
        "cat <<'EOF' >> \"$GITHUB_OUTPUT\"",
        "print(1 << 20, 2 >> 1)",
        "# <% for x in [1] %><<x>># <% endfor %>",
    ],
)
def test_silent_accidents_are_noticed(source: str) -> None:
    assert accidents(source) == [1]


@pytest.mark.parametrize("source", ["cat <<EOF", 'grep x <<< "$y"', "<<: *anchor", "1 << 20"])
def test_other_accidents_are_loud(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        accidents(source)


@pytest.mark.parametrize(
    "source",
    [
        "${{ github.sha }}",
        "<<cookiecutter.task | upper>>",
        "# <% raw -%>\n1 << 2\n# <% endraw %>",
    ],
)
def test_intentions_are_let_through(source: str) -> None:
    assert accidents(source) == []


def test_every_expression_is_meant(project: Path) -> None:
    found = [
        f"{path}:{line}"
        for path, text in texts(project)
        for source in [str(path), *([] if is_copied(path) else [text])]
        for line in accidents(source)
    ]
    assert found == []


def test_hooks_hold_one_expression_each(template: Path) -> None:
    for path, text in texts(template / "hooks"):
        assert len(expressions(text)) == 1, path
        assert accidents(text) == [], path


def test_no_delimiter_is_in_the_package(project: Path) -> None:
    found = [
        str(path)
        for path, text in texts(project / "src")
        if any(delimiter in text for delimiter in DELIMITERS)
    ]
    assert found == []


def test_unrendered_files_parse(template: Path) -> None:
    broken = []
    for path, text in texts(template):
        unparsed = PROJECT.name in path.parts and "tests" in path.parts  # imports name the package
        try:
            if path.suffix in {".yaml", ".yml"} or path.name == "dvc.lock":
                list(yaml.safe_load_all(text))
            elif path.suffix == ".toml" or path.name == "uv.lock":
                tomllib.loads(text)
            elif path.suffix == ".py" and not unparsed:
                compile(text, str(path), "exec")
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            broken.append(f"{path}: {error}")
    assert broken == []


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert SETTINGS["__template_version"] == project["version"]


def test_every_question_has_a_prompt() -> None:
    assert list(SETTINGS["__prompts__"]) == list(QUESTIONS)
