"""A stand-in for the part of GitHub's API that sets a repository up, by plan of the account.

It follows what GitHub documents and what people report of plans: rulesets of private repositories
are refused with 403, protection of environments with 422, auto-merge is passed over in silence.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from workflows.github import Answer, Call, GitHub

ACTIONS = 15368
UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
PROTECTION = "Failed to create the environment protection rule. Please ensure the billing plan "
MISSING: Answer = (404, {"message": "Not Found"})
REVIEWS = {
    "required_approving_review_count",
    "require_code_owner_review",
    "require_last_push_approval",
    "dismiss_stale_reviews_on_push",
    "required_review_thread_resolution",
}


@dataclass
class Environment:
    """An environment of a repository."""

    body: dict[str, Any] = field(default_factory=dict)
    policies: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def custom(self) -> bool:
        """Whether it has branches of its own."""
        policy = self.body.get("deployment_branch_policy")
        return bool(policy and policy["custom_branch_policies"])


@dataclass
class Hub(GitHub):
    """A repository and its settings.

    Attributes:
        plan: of the account that has the repository.
        private: whether the repository is.
        admin: whether the login administrates it.
        owners: the identities of teams and users.
        people: the logins that may push to it.
        settings: switches of the repository.
        workflows: rights of workflows by default.
        secrets: names of those that were set, `NAME` or `environments/PLACE/NAME`.
        mistakes: what is wrong with CODEOWNERS; None where there is none.
        refusals: the answer to a method and path, instead of another.
    """

    plan: Literal["free", "team", "enterprise"] = "free"
    private: bool = False
    admin: bool = True
    owners: dict[str, int] = field(default_factory=lambda: {"example-org/ml-engineering": 7})
    people: list[str] = field(default_factory=lambda: ["ada", "grace"])
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "allow_auto_merge": False,
            "allow_rebase_merge": True,
            "delete_branch_on_merge": False,
        }
    )
    workflows: dict[str, Any] = field(
        default_factory=lambda: {
            "default_workflow_permissions": "write",
            "can_approve_pull_request_reviews": False,
        }
    )
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    environments: dict[str, Environment] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    mistakes: list[dict[str, Any]] | None = field(default_factory=list)
    refusals: dict[str, Answer] = field(default_factory=dict)

    @property
    def writes(self) -> list[str]:
        """The requests that would change something."""
        return [str(call) for call in self.calls if call.method != "GET"]

    def ruleset(self, name: str) -> dict[str, Any]:
        """Return a ruleset by its name."""
        (found,) = (each for each in self.rulesets if each["name"] == name)
        return found

    def rule(self, name: str, kind: str) -> dict[str, Any]:
        """Return the parameters of a ruleset's rule."""
        (found,) = (each for each in self.ruleset(name)["rules"] if each["type"] == kind)
        return dict(found.get("parameters", {}))

    def answer(self, call: Call) -> Answer:
        """Answer a request as GitHub does."""
        path = call.path.removeprefix(f"/repos/{self.repository}")
        if path == call.path and path.startswith("/repos/"):
            self.calls.append(call)
            return MISSING
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", "/(users)/(.+)", self._owner),
            ("GET", "/(orgs)/(.+)/teams/(.+)", self._owner),
            ("GET", "", self._get_settings),
            ("PATCH", "", self._patch_settings),
            ("GET", "/actions/permissions/workflow", lambda call: (200, self.workflows)),
            ("PUT", "/actions/permissions/workflow", self._put_workflows),
            ("GET", "/rulesets", self._rulesets),
            ("POST", "/rulesets", self._put_ruleset),
            ("GET", "/rulesets/([0-9]+)", self._get_ruleset),
            ("PUT", "/rulesets/([0-9]+)", self._put_ruleset),
            ("GET", "/environments", self._environments),
            ("PUT", "/environments/([^/]+)", self._put_environment),
            ("GET", "/environments/([^/]+)/deployment-branch-policies", self._policies),
            ("POST", "/environments/([^/]+)/deployment-branch-policies", self._post_policy),
            (
                "DELETE",
                "/environments/([^/]+)/deployment-branch-policies/(.+)",
                self._delete_policy,
            ),
            ("GET", "/labels", lambda call: (200, self.page(call))),
            ("POST", "/labels", self._post_label),
            ("PATCH", "/labels/(.+)", self._patch_label),
            ("GET", "/(actions|environments/[^/]+)/variables", self._get_variables),
            ("POST", "/(actions|environments/[^/]+)/variables", self._post_variable),
            ("PATCH", "/(actions|environments/[^/]+)/variables/(.+)", self._patch_variable),
            ("GET", "/(actions|environments/[^/]+)/secrets/public-key", self._public_key),
            ("PUT", "/(actions|environments/[^/]+)/secrets/([^/]+)", self._put_secret),
            ("GET", "/collaborators", lambda call: (200, [{"login": p} for p in self.people])),
            ("GET", "/codeowners/errors", self._code_owners),
        ]
        for method, pattern, handler in routes:
            if call.method == method and (match := re.fullmatch(pattern, path)):
                self.calls.append(call)
                return self.refusals.get(f"{method} {path}") or handler(call, *match.groups())
        return super().answer(call)

    def listed(self, path: str) -> list[Any]:
        """Return all that a list has, whose pages are asked for."""
        match path.removeprefix(f"/repos/{self.repository}").split("/")[1:]:
            case ["labels"]:
                return self.labels
            case ["actions", "variables"]:
                return _named(self.variables)
            case ["environments", name, "variables"]:
                return _named(self.environments[name].variables)
            case _:
                return super().listed(path)

    @property
    def _is_limited(self) -> bool:
        return self.private and self.plan == "free"

    def _owner(self, call: Call, kind: str, *names: str) -> Answer:
        name = "/".join(names)
        return (200, {"id": self.owners[name]}) if name in self.owners else MISSING

    def _get_settings(self, call: Call) -> Answer:
        about = {"full_name": self.repository, "private": self.private, "default_branch": "main"}
        return 200, about | {"permissions": {"admin": self.admin}} | self.settings

    def _patch_settings(self, call: Call) -> Answer:
        kept = dict(call.body)
        if self._is_limited:
            kept.pop("allow_auto_merge", None)
        self.settings |= kept
        return self._get_settings(call)

    def _put_workflows(self, call: Call) -> Answer:
        self.workflows |= call.body
        return 204, None

    def _rulesets(self, call: Call) -> Answer:
        if self._is_limited:
            return 403, {"message": UPGRADE}
        keys = ("id", "name", "source_type", "enforcement")
        return 200, [{key: each[key] for key in keys} for each in self.rulesets]

    def _get_ruleset(self, call: Call, identity: str) -> Answer:
        found = [each for each in self.rulesets if each["id"] == int(identity)]
        return (200, found[0]) if found else MISSING

    def _put_ruleset(self, call: Call, identity: str = "") -> Answer:
        if self._is_limited:
            return 403, {"message": UPGRADE}
        body = dict(call.body)
        for rule in body["rules"]:
            parameters = rule.get("parameters", {})
            if rule["type"] == "pull_request":
                if parameters.keys() < REVIEWS:
                    return 422, {"message": "Invalid request.", "errors": ["no parameters"]}
                rule["parameters"] = {
                    "allowed_merge_methods": ["merge", "squash", "rebase"]
                } | parameters
            if rule["type"] == "required_status_checks":
                rule["parameters"] = {"do_not_enforce_on_create": False} | parameters
        known = {each["id"]: each for each in self.rulesets}
        number = int(identity) if identity else 1 + max(known, default=0)
        new = {"id": number, "source_type": "Repository", "node_id": "x"} | body
        self.rulesets = [*(known | {number: new}).values()]
        return 200 if identity else 201, new

    def _environments(self, call: Call) -> Answer:
        found = [self._shown(name, each) for name, each in self.environments.items()]
        return 200, {"total_count": len(found), "environments": found}

    def _shown(self, name: str, each: Environment) -> dict[str, Any]:
        names = {number: name for name, number in self.owners.items()}
        rules: list[dict[str, Any]] = []
        if each.body.get("wait_timer"):
            rules.append({"type": "wait_timer", "wait_timer": each.body["wait_timer"]})
        if each.body.get("reviewers"):
            reviewers = [
                {"type": one["type"], "reviewer": {"id": one["id"], "slug": names.get(one["id"])}}
                for one in each.body["reviewers"]
            ]
            rules.append(
                {
                    "type": "required_reviewers",
                    "prevent_self_review": each.body.get("prevent_self_review", False),
                    "reviewers": reviewers,
                }
            )
        policy = each.body.get("deployment_branch_policy")
        if policy:
            rules.append({"type": "branch_policy"})
        return {
            "name": name,
            "can_admins_bypass": each.body.get("can_admins_bypass", True),
            "protection_rules": rules,
            "deployment_branch_policy": policy,
        }

    def _put_environment(self, call: Call, name: str) -> Answer:
        """Replace its protection as a whole. Without the plan for it, it exists all the same."""
        known = self.environments.setdefault(name, Environment())
        if self._is_limited and call.body:
            rule = "required reviewers" if call.body.get("reviewers") else "branch policy"
            return 422, {"message": f"{PROTECTION}supports the {rule} protection rule."}
        if self.private and self.plan != "enterprise" and call.body.get("reviewers"):
            said = f"{PROTECTION}supports the required reviewers protection rule."
            return 422, {"message": said}
        if call.body.get("prevent_self_review") and not call.body.get("reviewers"):
            return 422, {"message": "Required reviewers must have at least one reviewer"}
        known.body = dict(call.body)
        if not known.custom:
            known.policies = []
        return 200, self._shown(name, known)

    def _policies(self, call: Call, name: str) -> Answer:
        if name not in self.environments or not self.environments[name].custom:
            return MISSING
        found = self.environments[name].policies
        return 200, {"total_count": len(found), "branch_policies": found}

    def _post_policy(self, call: Call, name: str) -> Answer:
        if name not in self.environments or not self.environments[name].custom:
            return MISSING
        policies = self.environments[name].policies
        policies.append({"id": 1 + len(policies)} | call.body)
        return 200, policies[-1]

    def _delete_policy(self, call: Call, name: str, identity: str) -> Answer:
        there = self.environments[name]
        there.policies = [each for each in there.policies if each["id"] != int(identity)]
        return 204, None

    def _post_label(self, call: Call) -> Answer:
        if call.body["name"].lower() in {each["name"].lower() for each in self.labels}:
            errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
            return 422, {"message": "Validation Failed", "errors": errors}
        self.labels.append(dict(call.body))
        return 201, call.body

    def _patch_label(self, call: Call, name: str) -> Answer:
        for each in self.labels:
            if each["name"].lower() == unquote(name).lower():
                each |= call.body
                return 200, each
        return MISSING

    def _variables_of(self, place: str) -> dict[str, str] | None:
        if place == "actions":
            return self.variables
        found = self.environments.get(place.split("/")[1])
        return None if found is None else found.variables

    def _get_variables(self, call: Call, place: str) -> Answer:
        found = self._variables_of(place)
        if found is None:
            return MISSING
        return 200, {"total_count": len(found), "variables": self.page(call)}

    def _post_variable(self, call: Call, place: str) -> Answer:
        found = self._variables_of(place)
        if found is None:
            return MISSING
        if call.body["name"] in found:
            return 409, {"message": "Already exists - Variable already exists"}
        found[call.body["name"]] = call.body["value"]
        return 201, {}

    def _patch_variable(self, call: Call, place: str, name: str) -> Answer:
        found = self._variables_of(place)
        if found is None or name not in found:
            return MISSING
        found[name] = call.body["value"]
        return 204, None

    def _public_key(self, call: Call, place: str) -> Answer:
        """Tell what `gh` encrypts a secret with; environments of some plans have none."""
        if place != "actions" and (self._is_limited or self._variables_of(place) is None):
            return MISSING
        return 200, {"key_id": "1", "key": base64.b64encode(bytes(range(32))).decode()}

    def _put_secret(self, call: Call, place: str, name: str) -> Answer:
        self.secrets.add(name if place == "actions" else f"{place}/{name}")
        return 201, {}

    def _code_owners(self, call: Call) -> Answer:
        return MISSING if self.mistakes is None else (200, {"errors": self.mistakes})


def _named(variables: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]
