#!/usr/bin/env python3
"""A stand-in for `cml comment create`, which does what CML 0.20.6 was seen to do.

Recorded: it asks for one page of comments, thirty by default, and updates the last that carries its
watermark with the same title, of whatever commit; else it posts a new one, also where an older one
of its own is on a later page. It fails with exit code 1 and prints the comment's address otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def ask(method: str, url: str, body: str | None = None) -> Any:
    """Ask GitHub."""
    request = urllib.request.Request(  # noqa: S310
        url,
        method=method,
        data=None if body is None else json.dumps({"body": body}).encode(),
        headers={"Authorization": f"token {os.environ['REPO_TOKEN']}", "User-Agent": "octokit"},
    )
    trusted = ssl.create_default_context(cafile=os.environ["NODE_EXTRA_CA_CERTS"])
    with urllib.request.urlopen(request, context=trusted, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def main() -> None:
    """Create the comment, or update it."""
    parser = argparse.ArgumentParser(prog="cml comment create", allow_abbrev=False)
    parser.add_argument("what", choices=["comment"])
    parser.add_argument("how", choices=["create"])
    parser.add_argument("report", type=Path)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--update", action="store_true")
    # Publishing sends every file that the report links to, to somebody else's server.
    parser.add_argument("--publish", required=True, choices=["false"])
    parser.add_argument("--watermark-title", default="")
    options = parser.parse_args()

    kind, number = options.target.split("/")
    if kind != "pr":
        parser.error(f"--target: {options.target}")
    server = urlsplit(options.repo)
    issues = f"{server.scheme}://{server.netloc}/api/v3/repos{server.path}/issues"
    title = f"CML watermark {options.watermark_title}".strip()
    picture = "https://cml.dev/watermark.png"
    mark = f'![]({picture}#{os.environ["GITHUB_SHA"]} "{title}")'
    body = f"{options.report.read_text(encoding='utf-8')}\n\n{mark}"
    known = re.compile(rf'!\[\]\({re.escape(picture)}#[0-9a-fA-F]+ "{re.escape(title)}"\)')
    mine = []
    if options.update:
        page = ask("GET", f"{issues}/{number}/comments")
        mine = [comment["id"] for comment in page if known.search(comment["body"])]
    if mine:
        answer = ask("PATCH", f"{issues}/comments/{mine[-1]}", body)
    else:
        answer = ask("POST", f"{issues}/{number}/comments", body)
    print(answer["html_url"])


if __name__ == "__main__":
    try:
        main()
    except (OSError, urllib.error.URLError) as error:
        message = error.read().decode() if isinstance(error, urllib.error.HTTPError) else error
        print(json.dumps({"level": "error", "message": str(message)}), file=sys.stderr)
        sys.exit(1)
