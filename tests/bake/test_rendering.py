"""The unrendered files are valid as they lie, and Jinja finds nothing in them by accident.

`<<` means something in shell, YAML and Python too: `cat <<'EOF' >> "$OUT"` is an expression to
Jinja and would silently become `cat EOF "$OUT"`. So every expression must name `cookiecutter`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from helpers import PROJECT, QUESTIONS, ROOT, SETTINGS, environment, is_copied, texts
from jinja2 import TemplateSyntaxError, nodes

Bake = Callable[..., Path]

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


@pytest.mark.parametrize("folder", ["src", "mlops"])
def test_no_delimiter_is_in_what_is_copied(baked: Bake, project: Path, folder: str) -> None:
    """Neither in the template, nor in what it makes: `mlops/` is the same in every project."""
    found = [
        str(path)
        for root in (project, baked())
        for path, text in texts(root / folder)
        if any(delimiter in text for delimiter in DELIMITERS)
    ]
    assert found == []


def prose(text: str) -> str:
    """Markdown without its code, in which brackets mean something else."""
    text = re.sub(r"^(```+)[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "code", text)


def anchors(text: str) -> set[str]:
    """Return where a link can lead to in a page, as GitHub names its headings."""
    code = re.sub(r"^(```+)[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", code, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page that lead to no file, or to no heading of one."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        found = target.exists()
        if found and anchor:
            found = anchor in anchors(target.read_text(encoding="utf-8"))
        if not found:
            yield link


def test_broken_links_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, c\n\n## Twice\n\n## Twice\n\n```bash\n# no heading\ncat [x](no.md)\n```\n\n"
        "[1](#a-b-c) [2](page.md#twice-1) [3](https://example.com/x) `[x](no.md)` [`4`](.)\n"
        "[5](#no-heading) [6](gone.md) [7](page.md#twice-2) [`8`](gone/)\n",
        encoding="utf-8",
    )
    assert [*broken_links(page)] == ["#no-heading", "gone.md", "page.md#twice-2", "gone/"]


@pytest.mark.parametrize("deployment", ["compose", "kubernetes"])
def test_links_of_documents_lead_somewhere(baked: Bake, deployment: str) -> None:
    root = baked() if deployment == "compose" else baked(deployment=deployment)
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("mlops/docs/**/*.md")]
    assert len(pages) > 30
    found = {str(page.relative_to(root)): [*broken_links(page)] for page in pages}
    assert {page: links for page, links in found.items() if links} == {}


def test_every_page_of_the_manual_has_a_way_to_it(baked: Bake) -> None:
    index = (baked() / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.name for path in (baked() / "mlops" / "docs").glob("*.md")]
    assert [name for name in pages if f"](../mlops/docs/{name})" not in index] == []


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
