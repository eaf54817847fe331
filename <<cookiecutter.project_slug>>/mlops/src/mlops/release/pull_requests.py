"""Pull requests of proposals on GitHub: one a branch, and none that a newer proposal replaced."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ..github.api import Api, Refused

# How the title of a pull request begins that was closed here, and not by a person.
SUPERSEDED = "Superseded: "


def opened(branch: str, title: str, body: str, api: Api) -> str:
    """The address of the open pull request for a branch, which is opened if there is none."""
    found = _of_branch(branch, "open", api)
    if not found:
        about = {"head": branch, "base": "main", "title": title, "body": body}
        api.send("POST", "pulls", about)
        found = _of_branch(branch, "open", api)
    return str(found[0]["html_url"])


def closed_by_hand(branch: str, api: Api) -> str | None:
    """The address of the newest pull request for a branch, where somebody closed it unmerged."""
    if _of_branch(branch, "open", api):
        return None
    newest = next(iter(_of_branch(branch, "closed", api)), None)
    if newest is None or newest["merged_at"] or newest["title"].startswith(SUPERSEDED):
        return None
    return str(newest["html_url"])


def supersede(
    branch: str, replaced: str, url: str, api: Api, is_untouched: Callable[[str], bool]
) -> list[str]:
    """Close the pull requests that another one replaces, with a word, and remove their branches.

    Args:
        branch: of the one that replaces them.
        replaced: what the names of their branches begin with.
        url: its address.
        is_untouched: whether nobody worked on a branch; those on which somebody did stay.
    Returns:
        A line for each of them: closed, or why not.
    """
    lines = []
    for each in api.get("pulls?state=open&base=main&per_page=100"):
        name, number = each["head"]["ref"], each["number"]
        if not name.startswith(replaced) or name == branch or not is_untouched(name):
            continue
        said = {"title": f"{SUPERSEDED}{each['title']}", "state": "closed"}
        try:
            api.send("POST", f"issues/{number}/comments", {"body": f"{url} replaces this."})
            api.send("PATCH", f"pulls/{number}", said)
            api.send("DELETE", f"git/refs/heads/{quote(name)}")
            lines.append(f"#{number} is closed, which this replaces: {each['title']}")
        except Refused as refused:
            lines.append(f"#{number}, which this replaces, is not closed: {refused}")
    return lines


def _of_branch(branch: str, state: str, api: Api) -> list[Any]:
    """The pull requests of a branch to main, the newest first."""
    owner = api.repository.partition("/")[0]
    found: list[Any] = api.get(f"pulls?state={state}&base=main&head={owner}:{branch}")
    return found
