"""Environments of workflows: from which branches, approved by whom, with which variables."""

from collections.abc import Mapping
from typing import Any

from .api import Api, Refused
from .changes import Change, Found, Problem, shown
from .settings import Environment, Settings
from .variables import variables

_NAMED_BRANCHES = {"protected_branches": False, "custom_branch_policies": True}


def environments(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/deployments/environments"""
    if not settings.environments:
        return
    there = {each["name"]: each for each in api.all("environments", "environments")}
    for name, declared in settings.environments.items():
        yield from _environment(name, declared, there.get(name), api)


def _environment(
    name: str, declared: Environment, now: Mapping[str, Any] | None, api: Api
) -> Found:
    of, path = f"environment {name}", f"environments/{name}"
    if now is None:
        # Alone: every plan has environments, and not every one has their protection.
        yield Change(of, [f"+ {of}"], "PUT", path, {})
    protection = _protection(now or {})
    if declared.branches is not None:
        before = protection.get("deployment_branch_policy")
        if before != _NAMED_BRANCHES:
            protection["deployment_branch_policy"] = _NAMED_BRANCHES
            line = f"~ {of}: branches: {'protected' if before else 'any'} -> named ones"
            yield Change(of, [line] if now else [], "PUT", path, dict(protection))
        named = before == _NAMED_BRANCHES
        yield from _branches(of, path, declared.branches, api if named else None)
    yield from variables(of, f"{path}/", declared.variables, api if now else None)
    if declared.reviewers is not None:
        there = _reviewers(now or {})
        try:
            wanted = {each: _reviewer(each, api) for each in declared.reviewers}
        except Refused as refused:
            yield Problem(f"{of}: reviewers {shown(declared.reviewers)}", str(refused))
            return
        if sorted(wanted.values(), key=str) != sorted(there.values(), key=str):
            line = f"~ {of}: reviewers: {shown([*there])} -> {shown(declared.reviewers)}"
            protection["reviewers"] = [*wanted.values()]
            if not wanted:  # GitHub refuses this where nobody reviews
                protection.pop("prevent_self_review", None)
            yield Change(of, [line], "PUT", path, protection)


def _protection(now: Mapping[str, Any]) -> dict[str, Any]:
    """How an environment is protected, as it is sent: what is left out would be taken away."""
    rules = {each["type"]: each for each in now.get("protection_rules", [])}
    sent = {
        "wait_timer": rules.get("wait_timer", {}).get("wait_timer"),
        "prevent_self_review": rules.get("required_reviewers", {}).get("prevent_self_review"),
        "reviewers": [*_reviewers(now).values()],
        "deployment_branch_policy": now.get("deployment_branch_policy"),
    }
    kept = {key: value for key, value in sent.items() if value}
    if now.get("can_admins_bypass") is False:
        kept["can_admins_bypass"] = False
    return kept


def _reviewers(now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Who approves, by the name that GitHub shows: a team's is without its organisation."""
    asked = [
        (each["type"], each["reviewer"])
        for rule in now.get("protection_rules", [])
        for each in rule.get("reviewers", [])
    ]
    return {who.get("slug") or who["login"]: {"type": kind, "id": who["id"]} for kind, who in asked}


def _reviewer(name: str, api: Api) -> dict[str, Any]:
    organisation, _, team = name.partition("/")
    if team:
        return {"type": "Team", "id": api.get(f"/orgs/{organisation}/teams/{team}")["id"]}
    return {"type": "User", "id": api.get(f"/users/{name}")["id"]}


def _branches(of: str, path: str, declared: list[str], api: Api | None) -> Found:
    """https://docs.github.com/rest/deployments/branch-policies

    Without the API, none are there yet.
    """
    policies = f"{path}/deployment-branch-policies"
    there = api.all(policies, "branch_policies") if api else []
    known = {each["name"]: each["id"] for each in there if each.get("type") != "tag"}
    for branch in declared:
        if branch not in known:
            body = {"name": branch, "type": "branch"}
            yield Change(of, [f"+ {of}: branch {branch}"], "POST", policies, body)
    for each in there:
        if each["name"] not in declared or each.get("type") == "tag":
            kind = each.get("type", "branch")
            line = f"- {of}: {kind} {each['name']}"
            yield Change(of, [line], "DELETE", f"{policies}/{each['id']}")
