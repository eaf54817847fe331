"""What `gh api` does, without a process: most tests look at what is asked of GitHub, not at `gh`.

That it does the same is tested with the real one, for each kind of request and answer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from github.hub import Hub
from workflows.github import PERSON, Call


def parser() -> argparse.ArgumentParser:
    """Return a parser of the options that the engine gives to `gh`."""
    found = argparse.ArgumentParser(prog="gh", allow_abbrev=False, exit_on_error=False)
    found.add_argument("command", choices=["api"])
    found.add_argument("path")
    found.add_argument("--method", required=True)
    found.add_argument("--header", required=True)
    found.add_argument("--paginate", action="store_true")
    found.add_argument("--jq", default="")
    found.add_argument("--input", choices=["-"])
    return found


class Failure(Exception):
    """An answer that `gh` fails for."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(f"gh: {content['message']} (HTTP {status})\n")
        self.content = content


def unspawned(hub: Hub, *arguments: str, body: str) -> subprocess.CompletedProcess[str]:
    """Ask the hub what `gh` would ask it, as somebody who is logged in, and print what it would."""
    options = parser().parse_args(arguments)
    key = options.jq.removeprefix(".").removesuffix("[]")
    try:
        pages = [*_pages(hub, options, body)]
    except Failure as failure:
        answer = json.dumps(failure.content)
        return subprocess.CompletedProcess(arguments, 1, answer, str(failure))
    found = pages
    if options.jq:
        found = [item for page in pages for item in (page[key] if key else page)]
    return subprocess.CompletedProcess(arguments, 0, "\n".join(map(json.dumps, found)), "")


def _pages(hub: Hub, options: argparse.Namespace, body: str) -> Iterator[Any]:
    url = urlsplit(f"/{options.path}")
    query = dict(parse_qsl(url.query))
    content = json.loads(body) if options.input else {}
    while True:
        call = Call(options.method, url.path, query, content, "gh", PERSON)
        status, page = hub.reply(call)
        if status >= 400:
            raise Failure(status, page)
        yield page
        if not (options.paginate and hub.has_more(call)):
            return
        query = query | {"page": str(int(query.get("page", 1)) + 1)}
