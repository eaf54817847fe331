"""The site's navigation and links: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from mlops.errors import CheckError, InputError
from mlops.site.build import problems
from mlops.site.links import resolve
from mlops.site.navigation import Page, Section, load_navigation, pages

PAGES = {
    "README.md": "# Home",
    "docs/README.md": "# Docs",
    "docs/more.md": "# More",
    "mlops/docs/ci.md": "# CI",
}
NAVIGATION = """
- ../README.md
- About:
    - README.md
    - ../reports/model-card.md
    - more.md
- manual: ../mlops/docs/navigation.yaml
"""
FILE = Path("docs/navigation.yaml")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in PAGES.items():
        write(name, text)
    write("docs/navigation.yaml", NAVIGATION)
    write("mlops/docs/navigation.yaml", "- ci.md")


def write(name: str, text: str) -> None:
    """Write a file of the project."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def places() -> dict[str, str]:
    """Where the site has each page."""
    return {str(page.source): str(page.place) for page in pages(load_navigation(FILE))}


def test_pages_lie_as_they_do_in_the_project_and_the_manual_apart() -> None:
    assert places() == {
        "README.md": "index.md",
        "docs/README.md": "docs/index.md",
        "docs/more.md": "docs/more.md",
        "mlops/docs/ci.md": "manual/ci.md",
    }


def test_sections_keep_their_order_and_titles() -> None:
    _, about, last = load_navigation(FILE)
    assert isinstance(about, Section)
    assert about.title == "About"
    assert isinstance(last, Page)


def test_the_model_card_is_a_page_once_it_is_there() -> None:
    write("reports/model-card.md", "# Card")
    assert places()["reports/model-card.md"] == "reports/model-card.md"


def test_a_page_that_no_navigation_has_is_refused() -> None:
    write("docs/lost.md", "# Lost")
    with pytest.raises(CheckError, match=r"docs/navigation\.yaml: lists no docs/lost\.md"):
        load_navigation(FILE)
    Path("docs/lost.md").rename("mlops/docs/lost.md")
    with pytest.raises(CheckError, match=r"mlops/docs/navigation\.yaml: lists no mlops/docs/lost"):
        load_navigation(FILE)


def test_a_page_that_stands_twice_is_refused() -> None:
    write("docs/navigation.yaml", NAVIGATION + "- more.md\n")
    with pytest.raises(CheckError, match=r"listed twice: docs/more\.md"):
        load_navigation(FILE)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("- gone.md", "docs/gone.md: no such page"),
        ("- ../../elsewhere.md", "no such page"),
        ("- {A: 7}", "A is 7 .int.; must be a list"),
        ("- {A: [7]}", "must be a page, or a title"),
        ("- page.txt", "must be a page, or a title"),
        ("- {A: [], B: []}", "must be a page, or a title"),
        ("- 7", "docs/navigation.yaml: 3.str: input should be"),
        ("- {A: gone.yaml}", "docs/gone.yaml: no such file"),
    ],
)
def test_what_is_no_entry_is_refused(entry: str, message: str) -> None:
    write("docs/navigation.yaml", NAVIGATION + entry + "\n")
    with pytest.raises(InputError, match=message):
        load_navigation(FILE)


def test_links_lead_into_the_site_or_to_the_repository() -> None:
    write("deploy/a b.yaml", "x")
    write("docs/look.svg", "<svg/>")
    text = (
        "[1](more.md#x) [2](../mlops/docs/ci.md) [3](../deploy/a%20b.yaml) [4](../deploy)\n"
        "[5](https://example.com/x) [6](#here) `[7](gone.md)` [8](mailto:a@example.com)\n\n"
        '```bash\n[9](gone.md)\n```\n\n![10](look.svg) <img src="look.svg">\n'
    )
    known = {Path(source): PurePosixPath(place) for source, place in places().items()}
    page = Page(Path("docs/README.md"), PurePosixPath("docs/index.md"))
    resolved = resolve(text, page, known, "https://example.com/o/r")
    assert resolved.dead == []
    assert resolved.text == (
        "[1](more.md#x) [2](../manual/ci.md) "
        "[3](https://example.com/o/r/blob/HEAD/deploy/a%20b.yaml) "
        "[4](https://example.com/o/r/tree/HEAD/deploy)\n"
        "[5](https://example.com/x) [6](#here) `[7](gone.md)` [8](mailto:a@example.com)\n\n"
        "```bash\n[9](gone.md)\n```\n\n![10](../pictures/docs/look.svg) "
        '<img src="../pictures/docs/look.svg">\n'
    )
    assert resolved.pictures == {PurePosixPath("pictures/docs/look.svg"): Path("docs/look.svg")}


def test_dead_links_are_told_with_file_and_line() -> None:
    text = "# A\n\n```text\ncode\n```\n\n[1](gone.md) `code`\n[2](../../etc/passwd)\n"
    page = Page(Path("docs/more.md"), PurePosixPath("docs/more.md"))
    assert resolve(text, page, {}, "https://example.com").dead == [
        "docs/more.md:7: gone.md: no such file",
        "docs/more.md:8: ../../etc/passwd: no such file",
    ]


def test_what_zensical_finds_is_told_by_source() -> None:
    printed = (
        "\x1b[33mWarning:\x1b[0m anchor does not exist\n   \x1b[38;5;246m╭─[\x1b[0m "
        "manual/ci.md:2:49 \x1b[38;5;246m]\x1b[0m\n 2 │ [x](#y)\n2 issues found\n"
    )
    known = {"manual/ci.md": Path("mlops/docs/ci.md")}
    assert problems(printed, known) == "mlops/docs/ci.md:2: anchor does not exist"
    assert problems("no space left", known) == "Zensical: no space left"
