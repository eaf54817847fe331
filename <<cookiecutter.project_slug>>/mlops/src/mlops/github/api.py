"""GitHub's REST API, as `gh` reaches it with its own login: https://docs.github.com/rest."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, ProjectError
from ..git.revision import git

_REPOSITORY = r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+"
_LOGGED_OUT = 4  # `gh help exit-codes`


# What GitHub refuses with, and the command or page that mends it.
_MENDED = {
    "not permitted to create or approve pull requests": "workflows may not open pull requests "
    "here, as in every new repository: an administrator runs `uv run mlops github`",
    "Resource not accessible by integration": "the token of this job may not: the workflow's "
    "`permissions:`, or what the app was granted, has to allow it",
    "Resource not accessible by personal access token": "your token may not: `gh auth refresh`, or "
    "grant it in its settings on GitHub",
    "Issues are disabled": "gh repo edit --enable-issues",
    "No commits between": "main has all of the branch; there is nothing to do",
    "without `workflows` permission": "it changes workflows, which takes an app with the "
    "permission Workflows: write, or a person at a desk: mlops/docs/update.md",
    "secondary rate limit": "wait some minutes, then run it again",
}


def mended(message: str) -> str:
    """GitHub's refusal, with what mends it where that is known."""
    found = [what for part, what in _MENDED.items() if part.lower() in message.lower()]
    return f"{message}: {found[0]}" if found else message


class Refused(Exception):
    """GitHub's answer to a request that it does not grant.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(mended(f"{message} (HTTP {status})"))
        self.status = status


@dataclass(frozen=True)
class Api:
    """The API of a repository; paths are those below it, or begin with a slash.

    Each method raises Refused for a request that GitHub does not grant, InputError where `gh` is
    missing or logged out, ProjectError where GitHub is out of reach.

    Attributes:
        repository: owner/name.
    """

    repository: str

    def get(self, path: str) -> Any:
        """What is there."""
        return json.loads(self._call("GET", path))

    def all(self, path: str, key: str = "") -> list[Any]:
        """All there is in a list of many pages, or in those lists that each page has at `key`."""
        lines = self._call("GET", f"{path}?per_page=30", "--paginate", "--jq", f".{key}[]")
        return [json.loads(line) for line in lines.splitlines()]

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Change what is there."""
        if body is None:
            self._call(method, path)
        else:
            self._call(method, path, "--input", "-", body=json.dumps(body))

    def _call(self, method: str, path: str, *options: str, body: str = "") -> str:
        gh = shutil.which("gh")
        if gh is None:
            raise InputError("gh: not found; install it from https://cli.github.com")
        where = path[1:] if path.startswith("/") else f"repos/{self.repository}/{path}".rstrip("/")
        version = ["--header", "X-GitHub-Api-Version: 2022-11-28"]
        done = subprocess.run(
            [gh, "api", where, "--method", method, *version, *options],
            input=body,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        told = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        status = int(found[1]) if (found := re.search(r"HTTP (\d{3})\)", done.stderr)) else 0
        if done.returncode == _LOGGED_OUT or status == 401:
            raise InputError("gh: not logged in to GitHub; run `gh auth login`")
        if not 400 <= status < 500:
            raise ProjectError(f"{told}; run it again: what is done stays done")
        raise Refused(status, _reason(done.stdout, told))


def repository(named: str | None) -> str:
    """The repository that is meant: the one that was named, or that of the remote `origin`.

    Raises InputError where that is none on GitHub.
    """
    if named is not None:
        if not re.fullmatch(_REPOSITORY, named):
            raise InputError(f"--repo {named}: not OWNER/NAME")
        return named
    if "origin" not in git("remote").split():
        raise InputError("there is no remote: `git remote add origin …`, or give --repo OWNER/NAME")
    url = git("remote", "get-url", "origin")
    # Without the address: there may be a password in it.
    host = r"(?:\w+://(?:[^/@]*@)?|[^/@]+@)[^/:@]+(?::\d+)?"
    found = re.fullmatch(rf"{host}[:/]({_REPOSITORY}?)(?:\.git)?/?", url)
    if found is None:
        raise InputError("the remote origin is no repository on GitHub; give --repo OWNER/NAME")
    return found[1]


def _reason(answer: str, told: str) -> str:
    """What GitHub says is wrong, in a line."""
    try:
        content = json.loads(answer)
        errors = content.get("errors") or []
        said = [each if isinstance(each, str) else each.get("message", "") for each in errors]
        return ": ".join(filter(None, [content["message"], "; ".join(filter(None, said))]))
    except (ValueError, KeyError, AttributeError):
        return told
