"""Make GitHub what the file declares, and tell what it does not grant."""

import re
from collections.abc import Callable

from ..errors import InputError
from .api import Api, Refused
from .changes import Problem
from .plan import Plan, plan
from .settings import SETTINGS, Settings

# What to do where a plan lacks something, by what the name of the problem begins with.
_INSTEAD = {
    "ruleset": "make the repository public or take GitHub Pro, Team or Enterprise; until then "
    "nothing but custom keeps a change from main",
    "environment": "make the repository public, or take GitHub Pro or Team for branches and "
    "Enterprise for reviewers; until then who merges to main decides what is deployed",
    "repository": "make the repository public or take GitHub Pro, Team or Enterprise; until then "
    "a person merges",
}
# What the workflows start on, by name.
TRUNK = "main"
_OF_THE_PLAN = re.compile(
    r"upgrade|billing plan|make this repository public|did not keep", re.IGNORECASE
)


def settle(
    settings: Settings, api: Api, dry_run: bool, tell: Callable[[str], None]
) -> list[Problem]:
    """Do what is missing, line by line, and return what is not as declared afterwards.

    Raises InputError where the login may not change the repository, or its default branch is none
    that workflows follow.
    """
    private = _administered(api)
    wanted = plan(settings, api)
    if dry_run:
        for change in wanted.changes:
            for line in change.lines:
                tell(line)
        left = wanted
    else:
        left = _done(settings, api, wanted, tell)
    if not wanted.changes:
        tell("nothing to change")
    elif dry_run:
        tell("nothing was changed; without --dry-run it will be")
    if not (left.changes or left.problems):
        tell(f"{api.repository} is as {SETTINGS} says")
    if left.unset:
        tell("for people to set, where they want them:")
        for command in left.unset:
            tell(f"  {command}")
    if (login := _alone(settings, api, left)) is not None:
        tell(
            f"{login} alone may write here, and nobody approves a pull request of their own: "
            "invite somebody, or see Alone? in mlops/docs/github.md"
        )
    if private:
        tell(
            "private repository: images are attested with GitHub Enterprise Cloud only; "
            "where you have it: gh variable set ATTESTATIONS --body true"
        )
    return left.problems


def advice(problems: list[Problem]) -> str:
    """What is not enforced and why, and what to do instead; together what has the same reason."""
    of: dict[str, list[str]] = {}
    for each in problems:
        of.setdefault(each.why, []).append(each.of)
    return "\n".join(
        f"not enforced: {', '.join(things)}: {why}{_instead(things[0], why)}"
        for why, things in of.items()
    )


def _instead(of: str, why: str) -> str:
    found = [what for begin, what in _INSTEAD.items() if of.startswith(begin)]
    return f"\n  instead: {found[0]}" if found and _OF_THE_PLAN.search(why) else ""


def _administered(api: Api) -> bool:
    """Whether the repository is private."""
    try:
        found = api.get("")
    except Refused as refused:
        if refused.status != 404:
            raise InputError(f"{api.repository}: {refused}") from None
        raise InputError(
            f"{api.repository}: no such repository on GitHub, or your login does not see it"
        ) from None
    if not found.get("permissions", {}).get("admin"):
        raise InputError(f"{api.repository}: only its administrators can do this; ask one of them")
    if (default := found["default_branch"]) != TRUNK:
        raise InputError(
            f"{api.repository}: its default branch is {default}, and workflows, rules and "
            f"environments follow {TRUNK}: git branch -m {default} {TRUNK} && git push -u origin "
            f"{TRUNK} && gh repo edit {api.repository} --default-branch {TRUNK}"
        )
    return bool(found["private"])


def _alone(settings: Settings, api: Api, left: Plan) -> str | None:
    """The login of the one person who may push, where rules ask for somebody else's approval."""
    asked = [r.pull_request for r in settings.rulesets.values() if not r.bypass_actors]
    approved = any(
        each and (each.required_approving_review_count or each.require_code_owner_review)
        for each in asked
    )
    if not approved or any(each.of.startswith("ruleset") for each in left.problems):
        return None
    try:
        people = api.get("collaborators?permission=push&per_page=2")
    except Refused:  # nobody is told what GitHub does not tell
        return None
    return str(people[0]["login"]) if len(people) == 1 else None


def _done(settings: Settings, api: Api, wanted: Plan, tell: Callable[[str], None]) -> Plan:
    """Do it, and look again: GitHub also passes over in silence what the plan does not have."""
    refused: dict[str, str] = {}
    for change in wanted.changes:
        if change.of in refused:
            continue
        try:
            api.send(change.method, change.path, change.body)
        except Refused as error:
            refused[change.of] = str(error)
            continue
        for line in change.lines:
            tell(line)
    if not wanted.changes:
        return wanted
    after = plan(settings, api)
    for of, lines in _by_thing(after).items():
        lost = "; ".join(line.removeprefix(f"~ {of}: ") for line in lines)
        why = refused.get(of) or f"GitHub did not keep {lost}"
        after.problems.append(Problem(of, why))
    return after


def _by_thing(left: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in left.changes:
        found.setdefault(change.of, []).extend(change.lines)
    return found
