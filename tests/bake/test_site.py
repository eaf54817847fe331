"""The documentation site of the template and of a bake, built for real."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import helpers
import pytest
from markdown_it import MarkdownIt

from mlops.errors import CheckError
from mlops.experiments.record import note
from mlops.project import about
from mlops.report.experiments import write
from mlops.site.build import Site, build, load_site
from mlops.site.navigation import pages

# What a page is made of, wherever it is rendered.
ELEMENTS = {"h1", "h2", "h3", "h4", "img", "li", "ol", "pre", "table", "td", "th", "tr", "ul"}


class Elements(HTMLParser):
    """Counts a page's elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Count an element."""
        self.counts[tag] += tag in ELEMENTS


def built(folder: Path, monkeypatch: pytest.MonkeyPatch, output: Path) -> tuple[Site, Path]:
    """Build the site of a folder."""
    monkeypatch.chdir(folder)
    site = load_site(about().repository)
    assert build(site, output / "site") == len([*pages(site.entries)])
    return site, output / "site"


def check(site: Site, output: Path) -> None:
    """A site needs no network, and each page of it has what GitHub shows of its source."""
    for path in output.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|img)[^>]*src=\"?https?:[^>]*", html) == []
        assert 'data-md-component="source"' not in html  # it asks GitHub's API for stars
        assert re.findall(r"<link[^>]*rel=\"?stylesheet\"?[^>]*href=\"?https?:[^>]*", html) == []
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    for page in pages(site.entries):
        html = (output / page.place).with_suffix(".html").read_text(encoding="utf-8")
        article = html[html.index("<article") : html.index("</article>")]
        source = page.source.read_text(encoding="utf-8")
        on_github = Elements(markdown.render(source)).counts
        assert +Elements(article).counts == +on_github, page.source


@pytest.mark.slow
def test_the_site_of_a_bake(
    baked: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "flight-delays"
    shutil.copytree(baked(), root)
    site, output = built(root, monkeypatch, tmp_path)
    check(site, output)
    assert site.name == "Flight Delays"
    note("leaves", "larger *trees* find routes", None)
    note("depth", "deeper ones, too", "they do not: 0.687 and 0.684")
    written = write()
    site, output = built(root, monkeypatch, tmp_path)
    check(site, output)
    assert written in {page.source for page in pages(site.entries)}
    assert (output / "manual" / "on-call.html").is_file()
    page = root / "docs" / "decisions.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text + "\n[x](../deploy/gone.yaml)\n", encoding="utf-8")
    with pytest.raises(
        CheckError, match=r"docs/decisions\.md:\d+: \.\./deploy/gone\.yaml: no such"
    ):
        build(site, output)
    page.write_text(text + "\n[x](contacts.md#nowhere)\n", encoding="utf-8")
    with pytest.raises(CheckError, match=r"docs/decisions\.md:\d+: anchor does not exist"):
        build(site, output)
    assert (output / "index.html").is_file()  # what was there stays
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")] == []


@pytest.mark.slow
def test_the_site_of_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, output = built(helpers.ROOT, monkeypatch, tmp_path)
    check(site, output)
    assert (output / "assets" / "javascripts" / "mermaid.js").is_file()
    listed = {page.source for page in pages(site.entries)}
    assert {Path(path.name) for path in helpers.ROOT.glob("*.md")} <= listed
