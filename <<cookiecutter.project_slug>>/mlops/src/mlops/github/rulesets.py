"""Rules for branches, compared as wholes: GitHub takes and gives a ruleset in one piece."""

from collections.abc import Mapping
from typing import Any

from .api import Api
from .changes import Change, Found, differing
from .settings import Ruleset, Settings

# Who reports the checks of workflows. Anyone who may push can report one of the same name.
GITHUB_ACTIONS = 15368


def rulesets(settings: Settings, api: Api) -> Found:
    """https://docs.github.com/rest/repos/rules"""
    if not settings.rulesets:
        return
    # Without those of the organisation, which are not this repository's to change.
    listed = [each for each in api.all("rulesets") if each.get("source_type") == "Repository"]
    there = {each["name"]: each["id"] for each in listed}
    for name, ruleset in settings.rulesets.items():
        of = f"ruleset {name}"
        if name not in there:
            yield Change(of, [f"+ {of}"], "POST", "rulesets", _ruleset(name, ruleset, {}))
            continue
        path = f"rulesets/{there[name]}"
        now = api.get(path)
        wanted = _ruleset(name, ruleset, now)
        if lines := differing(of, _told(wanted), _told(now)):
            yield Change(of, lines, "PUT", path, wanted)


def _ruleset(name: str, ruleset: Ruleset, now: Mapping[str, Any]) -> dict[str, Any]:
    """A ruleset as it is sent: what is declared, and the rules that it has besides."""
    rules = {each["type"]: each.get("parameters", {}) for each in now.get("rules", [])}
    for kind, parameters in _rules(ruleset).items():
        rules[kind] = rules.get(kind, {}) | parameters
    return {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ruleset.branches, "exclude": []}},
        "bypass_actors": [each.model_dump() for each in ruleset.bypass_actors],
        "rules": [
            {"type": kind} | ({"parameters": parameters} if parameters else {})
            for kind, parameters in rules.items()
        ],
    }


def _rules(ruleset: Ruleset) -> dict[str, dict[str, Any]]:
    """The rules that are declared, with their parameters."""
    rules: dict[str, dict[str, Any]] = {kind: {} for kind in ruleset.forbid}
    if ruleset.pull_request is not None:
        rules["pull_request"] = ruleset.pull_request.model_dump()
    if (checks := ruleset.required_status_checks) is not None:
        rules["required_status_checks"] = checks.model_dump() | {
            "required_status_checks": [
                {"context": each, "integration_id": GITHUB_ACTIONS}
                for each in checks.required_status_checks
            ]
        }
    return rules


def _told(ruleset: Mapping[str, Any]) -> dict[str, Any]:
    """A ruleset's values, each by the name that people know it by."""
    condition = (ruleset.get("conditions") or {}).get("ref_name", {})
    told: dict[str, Any] = {
        "enforcement": ruleset["enforcement"],
        "branches": sorted(condition.get("include", [])),
        "excepted branches": condition.get("exclude", []),
        "bypass_actors": sorted(map(_actor, ruleset.get("bypass_actors") or [])),
    }
    for rule in ruleset.get("rules", []):
        told[rule["type"]] = "set"
        told |= {f"{rule['type']}.{k}": v for k, v in rule.get("parameters", {}).items()}
    checks = "required_status_checks.required_status_checks"
    if checks in told:
        told[checks] = sorted(
            each["context"] + ("" if each.get("integration_id") == GITHUB_ACTIONS else " of others")
            for each in told[checks]
        )
    return told


def _actor(bypass: Mapping[str, Any]) -> str:
    kind, mode = bypass["actor_type"], bypass["bypass_mode"]
    # These have no identity: GitHub gives another one than it was given.
    which = "" if kind in ("OrganizationAdmin", "DeployKey") else f" {bypass['actor_id']}"
    return f"{kind}{which} {mode}"
