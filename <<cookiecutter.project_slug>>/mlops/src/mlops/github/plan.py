"""What GitHub has against what the file declares.

Values that the file names are set, lists as wholes. All else stays: what has another name, rules
that a ruleset has besides, and variables without a value in the file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from .api import Api, Refused
from .changes import Change, Found, Problem, differing
from .environments import environments
from .rulesets import rulesets
from .settings import Settings
from .variables import values, variables

_CODE_OWNERS = ".github/CODEOWNERS"


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what cannot be.

    Attributes:
        unset: commands for the variables that the file leaves to people, and that nobody set.
    """

    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)


def plan(settings: Settings, api: Api) -> Plan:
    """Compare GitHub with the file. Only reads."""
    made = Plan()
    for of, compare in _PARTS.items():
        try:
            for each in compare(settings, api):
                if isinstance(each, Change):
                    made.changes.append(each)
                else:
                    made.problems.append(each)
        except Refused as refused:
            made.problems.append(Problem(of, str(refused)))
    made.unset.extend(_unset(settings, api))
    return made


def _repository(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/repos/repos#update-a-repository"""
    declared = settings.repository.model_dump(exclude_unset=True)
    if lines := differing("repository", declared, api.get("")):
        yield Change("repository", lines, "PATCH", "", declared)


def _workflows(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/actions/permissions"""
    if settings.workflows is None:
        return
    declared, path = settings.workflows.model_dump(), "actions/permissions/workflow"
    if lines := differing("workflows", declared, api.get(path)):
        yield Change("workflows", lines, "PUT", path, declared)


def _labels(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/issues/labels"""
    if not settings.labels:
        return
    there = {each["name"].lower(): each for each in api.all("labels")}
    for name, label in settings.labels.items():
        of, declared = f"label {name}", label.model_dump()
        if name.lower() not in there:
            yield Change(of, [f"+ {of}"], "POST", "labels", {"name": name} | declared)
        elif lines := differing(of, declared, there[name.lower()]):
            yield Change(of, lines, "PATCH", f"labels/{quote(name, safe='')}", declared)


def _variables(settings: Settings, api: Api) -> Found:
    yield from variables("", "actions/", settings.variables, api)


def _unset(settings: Settings, api: Api) -> Iterator[str]:
    places = {"": ("actions/", settings.variables)} | {
        f" --env {name}": (f"environments/{name}/", each.variables)
        for name, each in settings.environments.items()
    }
    for option, (path, declared) in places.items():
        names = [name for name, value in declared.items() if value is None]
        try:
            there = values(path, api) if names else {}
        except Refused:  # told already, or there is no such environment yet
            there = {}
        yield from (f"gh variable set {name}{option}" for name in names if name not in there)


def _code_owners(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/repos/repos#list-codeowners-errors

    An owner who may not review is passed over in silence: the rule then asks nobody.
    """
    asked = [each.pull_request for each in settings.rulesets.values() if each.pull_request]
    if not any(each.require_code_owner_review for each in asked):
        return
    try:
        errors = api.get("codeowners/errors")["errors"]
    except Refused as refused:
        if refused.status != 404:
            raise
        yield Problem(_CODE_OWNERS, "it is not on GitHub yet: push main")
        return
    for error in errors:
        said = (error.get("message") or error["kind"]).splitlines()[0]
        yield Problem(f"{_CODE_OWNERS} line {error['line']}", said)


_PARTS: dict[str, Callable[[Settings, Api], Found]] = {
    "repository": _repository,
    "workflows": _workflows,
    "rulesets": rulesets,
    "environments": environments,
    "labels": _labels,
    "variables": _variables,
    _CODE_OWNERS: _code_owners,
}
