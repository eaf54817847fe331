"""The evidence sheet: the faces of a trace, which nothing that people write breaks."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from engine.released import Repository
from markdown_it import MarkdownIt

from mlops.git.revision import Revision
from mlops.release.hop import Hop, State
from mlops.release.journal import Landing
from mlops.report.evidence import markdown, page, sheet

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
NASTY = "<script>alert(1)</script> `a|b`\n\n# No heading\n| x | [y](javascript:z) \u202eturned"


class Page(HTMLParser):
    """Tags of a page, and addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("href", "src")]


def hops(text: str = "x") -> list[Hop]:
    landed = Landing("1" * 40, datetime(2030, 1, 2, 3, 4, tzinfo=UTC), text, 12)
    return [
        Hop("environment", text, "ok", landed=landed),
        Hop(text, "2" * 64, "wrong", text),
        Hop("snapshot", "3" * 64, "not checked", text, taken="2029-01-01T00:00:00+00:00"),
    ]


def base(repository: Repository, address: str = "https://github.com/org/made") -> Revision:
    text = f'[project]\nname = "made"\n\n[project.urls]\nRepository = "{address}"\n'
    return Revision(repository.commit({"pyproject.toml": text}))


def test_date_person_pull_request_hash_and_state_of_each_hop(repository: Repository) -> None:
    found = sheet("prod", hops("Ada"), base(repository), NOW)
    assert found.verdict == "3 steps: 1 ok, 1 wrong, 1 not checked."
    told = MarkdownIt("commonmark").enable("table").render(markdown(found))
    for text in (page(found), told):
        for words in (
            *("2030-01-02 03:04 UTC", "Ada", "111111111111", "2" * 64, "not checked", "made"),
            *("2029-01-01 00:00 UTC", "2030-03-01 12:00 UTC"),
            'href="https://github.com/org/made/pull/12"',
        ):
            assert words in text, words


@pytest.mark.parametrize(
    ("states", "verdict", "worst"),
    [
        ("ok ok", "All 2 steps were checked, and fit.", "ok"),
        ("ok wrong", "2 steps: 1 ok, 1 wrong, 0 not checked.", "wrong"),
        ("unchecked ok", "2 steps: 1 ok, 0 wrong, 1 not checked.", "not checked"),
    ],
)
def test_the_verdict_is_that_of_the_worst(
    repository: Repository, states: str, verdict: str, worst: str
) -> None:
    known: dict[str, State] = {"ok": "ok", "wrong": "wrong", "unchecked": "not checked"}
    steps = [Hop("x", "y", known[each]) for each in states.split()]
    found = sheet("prod", steps, base(repository), NOW)
    assert (found.verdict, found.state) == (verdict, worst)
    assert verdict in page(found)


def test_whatever_people_write_is_text(repository: Repository) -> None:
    found = sheet(NASTY, hops(NASTY), base(repository), NOW)
    shown = Page(page(found))
    assert "script" not in shown.tags
    assert shown.tags.count("li") == 3
    assert shown.addresses == ["https://github.com/org/made/pull/12"]
    text = markdown(found)
    told = MarkdownIt("commonmark").enable("table").render(text)
    assert not re.search(r"<script|javascript:z\"|<h\d>No heading", told)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert {row.count("|") for row in rows} == {8}
    assert "\u202e" not in text + page(found)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://example.com/a/b", "https://x/y z/w", "https://x"]
)
def test_an_address_that_is_none_of_a_repository_is_no_link(
    repository: Repository, address: str
) -> None:
    found = sheet("prod", hops(), base(repository, address), NOW)
    assert found.repository is None
    assert Page(page(found)).addresses == []
    assert "](" not in markdown(found)
