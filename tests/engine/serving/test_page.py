"""The page for people: it shows what is served, and its form asks for what the example has."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable

import pytest
from engine.served import Served

Start = Callable[[str], Served]


@pytest.mark.parametrize("what", ["binary", "clustering"])
def test_page_has_the_model_and_a_row_that_it_answers(served: Start, what: str) -> None:
    server = served(what)
    response, content = server.ask("GET", "/")
    page = content.decode()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    release = server.ask("GET", "/v2")[1]["version"]
    assert f"<dd>{release}</dd>" in page
    row = json.loads(html.unescape(re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)[0]))
    answer = server.ask("POST", "/predict", row)[1]
    assert len(answer["predictions"]) == 1
    for address in re.findall(r'href="([^"]*)"', page):
        assert server.ask("GET", address)[0].status == 200


def test_browser_runs_what_the_page_holds_and_nothing_else(served: Start) -> None:
    response, content = served("binary").ask("GET", "/")
    told = response.headers["content-security-policy"]
    policy = dict(part.strip().split(" ", 1) for part in told.split(";"))
    page = content.decode()
    for kind in ("style", "script"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert not re.findall(r"(?:src|href)=\"(?!/)", page)


def test_index_lists_the_model(served: Start) -> None:
    server = served("binary")
    version = server.ask("GET", "/v2")[1]["version"]
    expected = [{"name": "made", "version": version, "state": "READY", "reason": ""}]
    for body in (None, b"", {"ready": True}):
        response, answer = server.ask("POST", "/v2/repository/index", body)
        assert (response.status, answer) == (200, expected)
    assert server.ask("GET", "/v2/repository/index")[0].status == 405
