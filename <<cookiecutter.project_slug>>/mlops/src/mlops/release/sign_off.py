"""Sign-off: an approval each of the roles that an environment's policy asks for, on GitHub.

Who may give it is what `approvers` in model.yaml says, read with the policy where the change would
be merged, so that no change names its own approvers. Going back waits for nobody.

What was approved is recorded as a note of Git's on the commit that brought the release to main: to
add it to the change would make another commit, which nobody approved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..config.section import Section
from ..digits import moment
from ..errors import InputError, ProjectError, first_line
from ..files import parse_json
from ..git.revision import Revision, git
from ..github.api import Api, Refused
from ..github.reviews import APPROVED, Pull, Review, pull_request
from ..paths import STATEMENT
from ..statement import Role, parse_statement
from .commits import fork
from .evidence import Commit, Id, Name
from .history import stretches, ways_back
from .hop import Hop
from .journal import Landing, arrival
from .state import Release, environments, release_path

NOTES = "refs/notes/sign-off"
_FETCH = f"git fetch origin {NOTES}:{NOTES}"
_MANUAL = "mlops/docs/governance.md#sign-off"


@dataclass(frozen=True)
class Asked:
    """What a change of an environment takes.

    Attributes:
        environment: its name.
        release: the id of the one that is to come.
        approvers: the logins that may approve it, by role; none where model.yaml names nobody.
    """

    environment: str
    release: str
    approvers: dict[Role, list[str]]


class Approval(Section):
    """Somebody's for a role.

    Attributes:
        role: for which it counts.
        login: whose it is, on GitHub.
        when: it was given, in UTC.
        commit: that was approved.
    """

    role: Role
    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,39}$")]
    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC$")]
    commit: Commit

    def __str__(self) -> str:
        return f"@{self.login} on {self.when}, commit {self.commit[:12]}"


class Record(Section):
    """What a note says of a commit of main.

    Attributes:
        environment: what it changed.
        release: what came there.
        pull: the number of the pull request.
        head: the last commit of its branch.
        approvals: those that counted.
    """

    environment: Name
    release: Id
    pull: int
    head: Commit
    approvals: list[Approval]


def asked(base: Revision, head: Revision) -> list[Asked]:
    """What a change from `base` to `head` takes, for each environment that asks for approvals.

    Raises InputError where model.yaml cannot be read.
    """
    forked, found = fork(base, head), []
    for name, environment in environments(base).items():
        path, roles = release_path(name), environment.policy.approvals
        text = head.read_bytes(path)
        if not roles or text is None or text == forked.read_bytes(path):
            continue
        release = Release.parse(text.decode("utf-8", "backslashreplace"), path)
        if release not in ways_back(name, base):
            named = parse_statement(base.read(STATEMENT)).approvers or {}
            found.append(Asked(name, release.id, {each: named.get(each, []) for each in roles}))
    return found


def approvals(change: Asked, pull: Pull) -> list[Approval]:
    """Those that count, of the last commit: one a role, each of another person, none of an author.

    Where somebody may approve for several roles, it counts for the one that leaves fewest open.
    """
    given = {each.login.lower(): each for each in pull.reviews if _problem(each, pull) is None}
    named: list[list[Review | None]] = [
        [*(given[login] for each in logins if (login := each.lower()) in given), None]
        for logins in change.approvers.values()
    ]
    ways = [way for way in product(*named) if _are_others(way)]
    best = max(ways, key=lambda way: len(way) - way.count(None), default=())
    return [
        Approval(role=role, login=each.login, when=moment(each.when), commit=each.commit)
        for role, each in zip(change.approvers, best, strict=True)
        if each is not None
    ]


def unsigned(change: Asked, pull: Pull) -> str | None:
    """What is still to be approved, and which approvals do not count; None where nothing is."""
    signed = {each.role: each.login for each in approvals(change, pull)}
    lacking = {role: who for role, who in change.approvers.items() if role not in signed}
    if not lacking:
        return None
    if nobody := [role for role, logins in lacking.items() if not logins]:
        return (
            f"{change.environment}: {STATEMENT}: approvers: names nobody who signs for "
            f"{' and '.join(nobody)}: {_MANUAL}"
        )
    waits = " and ".join(f"{role} ({' or '.join(_at(who))})" for role, who in lacking.items())
    known = {each.lower() for logins in lacking.values() for each in logins}
    void = [
        f"@{each.login} {problem}"
        for each in pull.reviews
        if each.login.lower() in known and (problem := _problem(each, pull))
    ]
    void += [
        f"@{login} signed for {role}, and nobody signs for two"
        for role, login in signed.items()
        if login.lower() in known
    ]
    line = f"{change.environment}: {pull.head[:7]} waits for the approval of {waits}"
    return "; ".join([line, *void])


def record(base: Revision, api: Api) -> Iterator[str]:
    """Note on each commit of main that brought what was to be approved who did, where none is yet.

    Yields a line for each. Raises as Api does.
    """
    for name, environment in environments(base).items():
        if not environment.policy.approvals:
            continue
        for each in reversed(stretches(release_path(name), base)):
            before = next(iter(each.at.parents), None)
            if before is None or _noted(each.at) is not None:
                continue
            for change in asked(before, each.at):
                yield _recorded(change, each.at, arrival(each.at, base), api)


def _recorded(change: Asked, at: Revision, landed: Landing | None, api: Api) -> str:
    if landed is None or landed.pull is None:
        return f"{change.environment}: {str(at.commit)[:7]} names no pull request"
    pull = pull_request(landed.pull, api)
    told = Record(
        environment=change.environment,
        release=change.release,
        pull=pull.number,
        head=pull.head,
        approvals=approvals(change, pull),
    )
    text = told.model_dump_json(indent=2)
    git("notes", f"--ref={NOTES}", "add", "--file=-", str(at.commit), text=text)
    who = ", ".join(f"{each.role}: {each}" for each in told.approvals) or "nobody"
    return f"{change.environment} has {change.release}, signed by {who}"


def signed(environment: str, at: Revision, base: Revision, api: Api | None) -> Iterator[Hop]:
    """Who signed for what a commit of main brought to an environment: a step for each role.

    Args:
        environment: its name.
        at: the commit.
        base: the branch that environments follow.
        api: of GitHub, whose reviews prove it; None where it is not at hand.
    """
    before = next(iter(at.parents), None)
    try:
        changes = asked(before, at) if before else []
        noted = _noted(at)
    except InputError as error:
        yield Hop("signed", f"commit {str(at.commit)[:12]}", "wrong", str(error))
        return
    for change in changes:
        if change.environment == environment:
            yield from _signed(change, at, arrival(at, base), noted, api)


def _signed(
    change: Asked, at: Revision, landed: Landing | None, noted: Record | None, api: Api | None
) -> Iterator[Hop]:
    number = landed.pull if landed and landed.pull else noted.pull if noted else None
    pull, unasked = None, "GitHub is not asked from here"
    if number is None:
        unasked = "its commit names no pull request"
    elif api is not None:
        try:
            pull = pull_request(number, api)
        except (ProjectError, Refused) as error:
            unasked = f"GitHub was not asked: {first_line(error)}"
    said = {each.role: each for each in noted.approvals} if noted else {}
    proved = {each.role: each for each in approvals(change, pull)} if pull else {}
    odd = _of_another_change(change, at, noted, pull)
    for role, who in change.approvers.items():
        told, real = said.get(role), proved.get(role)
        what, value = f"signed for {role}", str(real or told or "nobody")
        if odd is not None:
            yield Hop(what, value, "wrong", odd, landed)
        elif pull is not None and real is None:
            why = f"pull request {number} has no approval of {' or '.join(_at(who)) or 'anybody'}"
            yield Hop(what, value, "wrong", f"{why} that counts", landed)
        elif pull is not None and told is not None and told != real:
            yield Hop(what, value, "wrong", f"the note of its commit says {told}", landed)
        elif pull is not None:
            yield Hop(what, value, "ok", landed=landed)
        elif told is not None and told.login.lower() not in map(str.lower, who):
            why = f"a note says so, and {STATEMENT} named {' or '.join(_at(who)) or 'nobody'}"
            yield Hop(what, value, "wrong", why, landed)
        elif told is not None:
            yield Hop(what, value, "not checked", f"a note of Git's says so; {unasked}", landed)
        else:
            why = f"no note of Git's says who, which may be to come: {_FETCH}; {unasked}"
            yield Hop(what, value if noted else "not known", "not checked", why, landed)


def _of_another_change(
    change: Asked, at: Revision, noted: Record | None, pull: Pull | None
) -> str | None:
    """Why a note, or a pull request, is not about what a commit brought; None where it is."""
    parents = at.parents
    # Of a squash nothing is left here.
    brought = str(parents[1].commit) if len(parents) == 2 else None
    if noted is not None and (noted.environment, noted.release) != (
        change.environment,
        change.release,
    ):
        return f"the note of its commit is of {noted.release} in {noted.environment}"
    for head, whose in ((pull and pull.head, "pull request"), (noted and noted.head, "note")):
        if head and brought and head != brought:
            return f"the {whose} is of {head[:12]}, and {brought[:12]} was merged"
    if noted and any(each.commit != noted.head for each in noted.approvals):
        return f"the note has approvals of other commits than {noted.head[:12]}"
    return None


def _noted(at: Revision) -> Record | None:
    """What a note says of a commit. Raises InputError where that is of another form."""
    commit = str(at.commit)
    if not git("notes", f"--ref={NOTES}", "list", commit, success=(0, 1)):
        return None
    text = git("notes", f"--ref={NOTES}", "show", commit)
    return parse_json(text, Record, Path(f"the note of {commit[:12]} in {NOTES}"))


def _are_others(way: Sequence[Review | None]) -> bool:
    people = [each.login.lower() for each in way if each is not None]
    return len(people) == len({*people})


def _problem(review: Review, pull: Pull) -> str | None:
    """Why an opinion is no approval that counts; None where it is one."""
    if review.state != APPROVED:
        return "wants changes" if review.state == "CHANGES_REQUESTED" else "no longer approves it"
    if review.login.lower() in pull.authors:
        return "is an author of it"
    if review.commit != pull.head:
        return f"approved {review.commit[:7]}, which is not its last commit"
    return None


def _at(logins: list[str]) -> list[str]:
    return [f"@{each}" for each in logins]
