"""A pull request with what people said of it: https://docs.github.com/rest/pulls/reviews."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import ProjectError
from .api import Api

APPROVED = "APPROVED"
# Who commits for others on GitHub's pages, as a merge of main into the branch.
_WEB = "web-flow"


@dataclass(frozen=True)
class Review:
    """What somebody thinks of a commit of a pull request.

    Attributes:
        login: theirs, as GitHub writes it.
        state: APPROVED, CHANGES_REQUESTED or DISMISSED.
        when: it was given.
        commit: that it is of.
    """

    login: str
    state: str
    when: datetime
    commit: str


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Attributes:
        number: its own.
        head: the last commit of its branch.
        merged: when; None where it is not.
        authors: the logins, in lower case, of who opened it, and wrote or committed what it has.
        reviews: the last opinion of each reviewer that they gave before it was merged.
    """

    number: int
    head: str
    merged: datetime | None
    authors: frozenset[str]
    reviews: list[Review]


def pull_request(number: int, api: Api) -> Pull:
    """Ask GitHub. Raises as Api does, and ProjectError where the answer is of another form."""
    path = f"pulls/{number}"
    about, commits, reviews = api.get(path), api.all(f"{path}/commits"), api.all(f"{path}/reviews")
    try:
        merged = datetime.fromisoformat(about["merged_at"]) if about["merged_at"] else None
        return Pull(
            number=number,
            head=str(about["head"]["sha"]),
            merged=merged,
            authors=frozenset(_authors(about, commits)),
            reviews=_opinions(reviews, merged),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProjectError(f"GitHub's answer for {path} is of another form: {error}") from None


def _authors(about: Any, commits: list[Any]) -> set[str]:
    people = [about["user"]]
    people += [commit[role] for commit in commits for role in ("author", "committer")]
    return {each["login"].lower() for each in people if each} - {_WEB}


def _opinions(reviews: list[Any], merged: datetime | None) -> list[Review]:
    """The last one of each person that is more than a comment; GitHub lists the oldest first."""
    last: dict[str, Review] = {}
    for each in reviews:
        if each["state"] in ("COMMENTED", "PENDING") or not each["user"]:
            continue  # of a login that was deleted nobody can say whose it was
        login, when = each["user"]["login"], datetime.fromisoformat(each["submitted_at"])
        if merged is None or when <= merged:
            last[login.lower()] = Review(login, each["state"], when, str(each["commit_id"]))
    return [*last.values()]
