"""`mlops github` against a stand-in for GitHub's API.

The `gh` is real. With `terminal` so is the command, as somebody starts it; with `desk` it runs in
this process.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from github.conftest import SETTINGS, Desk
from github.hub import ACTIONS, Environment
from helpers import PROJECT
from pages import Page
from pipeline.running import one_line

AS_DECLARED = "example-org/flight-delays is as .github/settings.yaml says"
ENVIRONMENTS = {"dev", "staging", "prod", "bot", "retrain"}
ENGINEERING, TEAM = "example-org/ml-engineering", {"type": "Team", "id": 7}
# Lines of the page that are not typed here, each with why.
NOT_TYPED = {
    "gh auth login": "it asks a person, in a browser",
    "gh variable set APP_ID": "gh has it since 2.31, and Debian's gh is 2.23",
}
MAIN = {"protected_branches": False, "custom_branch_policies": True}


def test_everything_is_created(terminal: Desk) -> None:
    hub = terminal.hub
    out = terminal.mlops().stdout
    assert AS_DECLARED in out
    assert "  gh variable set REGISTRY\n" in out
    assert hub.settings["allow_auto_merge"] is True
    assert hub.settings["allow_rebase_merge"] is False
    assert hub.settings["delete_branch_on_merge"] is True
    assert hub.workflows == {
        "default_workflow_permissions": "read",
        "can_approve_pull_request_reviews": True,
    }
    main = hub.ruleset("main")
    assert main["enforcement"] == "active"
    assert main["conditions"]["ref_name"] == {"include": ["refs/heads/main"], "exclude": []}
    assert main["bypass_actors"] == []
    assert {"deletion", "non_fast_forward"} < {each["type"] for each in main["rules"]}
    reviews = hub.rule("main", "pull_request")
    assert reviews["required_approving_review_count"] == 1
    assert reviews["require_code_owner_review"] is True
    assert reviews["require_last_push_approval"] is True
    assert reviews["dismiss_stale_reviews_on_push"] is True
    checks = hub.rule("main", "required_status_checks")
    assert checks["required_status_checks"] == [{"context": "gate", "integration_id": ACTIONS}]
    assert checks["strict_required_status_checks_policy"] is True
    assert set(hub.environments) == ENVIRONMENTS
    for each in hub.environments.values():
        assert [(one["type"], one["name"]) for one in each.policies] == [("branch", "main")]
        assert each.body["deployment_branch_policy"] == MAIN
    assert {each["name"] for each in hub.labels} >= {"bug", "data", "model", "deploy"}
    assert hub.variables == {}


def test_a_second_run_writes_nothing(desk: Desk) -> None:
    desk.mlops()
    assert desk.hub.writes
    out = desk.mlops().stdout
    assert desk.hub.writes == []
    assert out.startswith(f"nothing to change\n{AS_DECLARED}\n")


def test_a_dry_run_writes_nothing_and_says_what_a_run_does(desk: Desk) -> None:
    announced = desk.differences("--dry-run")
    assert desk.hub.writes == []
    assert desk.hub.environments == {}
    assert announced
    assert desk.differences() == announced
    assert "nothing to change" in desk.mlops("--dry-run").stdout


def test_reviewers_of_an_environment_are_set(desk: Desk) -> None:
    desk.review(ENGINEERING, "ada")
    desk.hub.owners["ada"] = 8
    desk.mlops()
    ada = {"type": "User", "id": 8}
    prod = desk.hub.environments["prod"].body
    assert prod == {"deployment_branch_policy": MAIN, "reviewers": [TEAM, ada]}
    assert "reviewers" not in desk.hub.environments["staging"].body
    prod["reviewers"].reverse()
    assert desk.differences() == []
    prod["prevent_self_review"] = True
    desk.review()
    assert desk.differences() == [
        "~ environment prod: reviewers: ada, example-org/ml-engineering -> none"
    ]
    assert desk.hub.environments["prod"].body["reviewers"] == []


def test_drift_is_shown_and_mended(desk: Desk) -> None:
    desk.review(ENGINEERING)
    desk.mlops()
    hub = desk.hub
    main = hub.ruleset("main")
    main["enforcement"] = "disabled"
    main["conditions"]["ref_name"]["exclude"] = ["refs/heads/main"]
    main["bypass_actors"] = [
        {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    ]
    main["rules"] = [each for each in main["rules"] if each["type"] != "deletion"]
    for rule in main["rules"]:
        if rule["type"] == "pull_request":
            rule["parameters"]["require_code_owner_review"] = False
        if rule["type"] == "required_status_checks":
            rule["parameters"]["required_status_checks"] = [{"context": "gate"}]
    hub.workflows["default_workflow_permissions"] = "write"
    hub.environments["prod"].policies.append({"id": 9, "name": "release/*", "type": "branch"})
    hub.environments["prod"].body["reviewers"] = [TEAM, {"type": "User", "id": 8}]
    hub.owners["mallory"] = 8
    hub.environments["dev"].body = {}
    hub.environments["dev"].policies = []
    hub.labels[0]["color"] = "000000"
    shown = desk.differences("--dry-run")
    checks = "required_status_checks.required_status_checks"
    assert shown == [
        "~ workflows: default_workflow_permissions: write -> read",
        "~ ruleset main: enforcement: disabled -> active",
        "~ ruleset main: excepted branches: refs/heads/main -> none",
        "~ ruleset main: bypass_actors: RepositoryRole 5 always -> none",
        "~ ruleset main: pull_request.require_code_owner_review: false -> true",
        f"~ ruleset main: {checks}: gate of others -> gate",
        "~ ruleset main: deletion: none -> set",
        "~ environment dev: branches: any -> named ones",
        "+ environment dev: branch main",
        "- environment prod: branch release/*",
        "~ environment prod: reviewers: example-org/ml-engineering, mallory"
        " -> example-org/ml-engineering",
        "~ label bug: color: 000000 -> d73a4a",
    ]
    assert desk.differences() == shown
    assert desk.mlops().stdout.startswith("nothing to change\n")
    assert hub.ruleset("main")["bypass_actors"] == []
    assert hub.environments["prod"].body["reviewers"] == [TEAM]
    assert [each["name"] for each in hub.environments["prod"].policies] == ["main"]


def test_what_is_not_declared_stays(desk: Desk) -> None:
    hub = desk.hub
    desk.mlops()
    hub.ruleset("main")["rules"].append({"type": "required_linear_history"})
    hub.ruleset("main")["enforcement"] = "evaluate"
    parameters = {"allowed_merge_methods": ["squash"]}
    for rule in hub.ruleset("main")["rules"]:
        if rule["type"] == "pull_request":
            rule["parameters"] |= parameters
    hub.rulesets.append(
        {"id": 77, "name": "tags", "source_type": "Repository", "enforcement": "active"}
    )
    hub.rulesets.append(
        {"id": 78, "name": "main", "source_type": "Organization", "enforcement": "active"}
    )
    hub.environments["qa"] = Environment({"wait_timer": 5})
    kept = {"wait_timer": 30, "prevent_self_review": True, "can_admins_bypass": False}
    hub.environments["prod"].body = kept | {"reviewers": [TEAM]}
    hub.labels.append({"name": "urgent", "color": "ffffff", "description": ""})
    hub.variables |= {"REGISTRY": "registry.example.com", "OTHER": "1"}
    hub.settings["has_wiki"] = False
    hub.environments["dev"].variables["DOCKER_HOST"] = "ssh://host"
    out = desk.mlops().stdout
    assert AS_DECLARED in out
    assert "REGISTRY" not in out
    assert "DOCKER_HOST --env dev" not in out
    assert "DOCKER_HOST --env prod" in out
    assert "required_linear_history" in {each["type"] for each in hub.rulesets[0]["rules"]}
    assert hub.rulesets[0]["enforcement"] == "active"
    (reviews,) = (one for one in hub.rulesets[0]["rules"] if one["type"] == "pull_request")
    assert reviews["parameters"]["allowed_merge_methods"] == ["squash"]
    assert [each["id"] for each in hub.rulesets[1:]] == [77, 78]
    assert hub.environments["qa"] == Environment({"wait_timer": 5})
    prod = hub.environments["prod"].body
    assert {key: prod[key] for key in kept} == kept
    assert prod["deployment_branch_policy"] == MAIN
    assert "urgent" in {each["name"] for each in hub.labels}
    assert hub.variables == {"REGISTRY": "registry.example.com", "OTHER": "1"}
    assert hub.environments["dev"].variables == {"DOCKER_HOST": "ssh://host"}
    assert hub.settings["has_wiki"] is False
    assert not [call for call in hub.calls if call.method == "DELETE"]


def test_variables_with_a_value_are_set(desk: Desk) -> None:
    desk.project.set(
        SETTINGS,
        variables={"REGISTRY": "registry.example.com", "APP_ID": "1"},
        environments={"dev": {"variables": {"DOCKER_HOST": "ssh://new"}}},
    )
    desk.hub.variables["APP_ID"] = "2"
    lines = desk.differences()
    assert "+ environment dev: variable DOCKER_HOST" in lines
    assert "~ variable APP_ID: value: 2 -> 1" in lines
    assert desk.hub.variables == {"REGISTRY": "registry.example.com", "APP_ID": "1"}
    assert desk.hub.environments["dev"].variables == {"DOCKER_HOST": "ssh://new"}
    assert desk.hub.environments["dev"].body == {}
    assert desk.differences() == []


def test_lists_of_many_pages_are_read_to_the_end(terminal: Desk) -> None:
    others = [
        {"name": f"other-{number}", "color": "ffffff", "description": ""} for number in range(40)
    ]
    terminal.mlops()
    terminal.hub.labels[:] = others + terminal.hub.labels
    terminal.hub.variables |= {f"OTHER_{number}": "1" for number in range(40)} | {"APP_ID": "7"}
    out = terminal.mlops().stdout
    assert terminal.hub.writes == []
    assert "APP_ID" not in out


def test_fast_review_asks_for_no_approval_of_what_nobody_owns(desk: Desk) -> None:
    desk.mlops()
    fast = {"required_approving_review_count": 0, "require_last_push_approval": False}
    where = "rulesets__main__pull_request__"
    desk.project.set(SETTINGS, **{f"{where}{key}": value for key, value in fast.items()})
    assert desk.differences() == [
        "~ ruleset main: pull_request.required_approving_review_count: 1 -> 0",
        "~ ruleset main: pull_request.require_last_push_approval: true -> false",
    ]
    assert fast.items() <= desk.hub.rule("main", "pull_request").items()


def test_a_private_repository_of_a_free_account(terminal: Desk) -> None:
    terminal.hub.private = True
    for _ in range(2):
        run = terminal.mlops(code=3)
        error = " ".join(run.stderr.split())
        assert "not enforced: rulesets: Upgrade to GitHub Pro or make" in error
        assert "instead: make the repository public" in error
        assert "not enforced: repository: GitHub did not keep allow_auto_merge: false" in error
        names = ", ".join(
            f"environment {name}" for name in ("dev", "staging", "prod", "bot", "retrain")
        )
        assert f"not enforced: {names}: Failed to create the environment protection" in error
        assert "private repository: images are attested" in run.stdout
        assert AS_DECLARED not in run.stdout
    assert terminal.hub.settings["delete_branch_on_merge"] is True
    assert terminal.hub.workflows["default_workflow_permissions"] == "read"
    assert set(terminal.hub.environments) == ENVIRONMENTS
    assert {each["name"] for each in terminal.hub.labels} >= {"bug", "deploy"}
    assert not [call for call in terminal.hub.writes if "labels" in call]


def test_a_dry_run_tells_of_rules_that_the_plan_lacks(desk: Desk) -> None:
    desk.hub.private = True
    assert "not enforced: rulesets: Upgrade" in desk.mlops("--dry-run", code=3).stderr
    assert desk.hub.writes == []


def test_a_private_repository_of_a_team_lacks_reviewers_only(desk: Desk) -> None:
    desk.review(ENGINEERING)
    desk.hub.private, desk.hub.plan = True, "team"
    error = desk.mlops(code=3).stderr
    assert error.count("not enforced") == 1
    assert "environment prod: Failed to create" in error
    assert "required reviewers" in error
    assert desk.hub.environments["prod"].policies
    assert desk.hub.ruleset("main")


def test_an_enterprise_lacks_nothing(desk: Desk) -> None:
    desk.review(ENGINEERING)
    desk.hub.private, desk.hub.plan = True, "enterprise"
    assert AS_DECLARED in desk.mlops().stdout


def test_what_an_organisation_forbids_is_told(desk: Desk) -> None:
    path = "PUT /actions/permissions/workflow"
    desk.hub.refusals[path] = (
        409,
        {"message": "Conflict", "errors": ["the organisation forbids"]},
    )
    error = one_line(desk.mlops(code=3))
    expected = "not enforced: workflows: Conflict: the organisation forbids (HTTP 409)"
    assert error == f"error: {expected}"
    assert desk.hub.ruleset("main")


def test_code_owners_that_github_passes_over_are_told(desk: Desk) -> None:
    said = "Unknown owner on line 2: make sure the team exists\n\n  * @a/b\n    ^"
    mistake = {"line": 2, "kind": "Unknown owner", "path": ".github/CODEOWNERS", "message": said}
    desk.hub.mistakes = [mistake]
    assert one_line(desk.mlops(code=3)) == (
        "error: not enforced: .github/CODEOWNERS line 2: "
        "Unknown owner on line 2: make sure the team exists"
    )
    desk.hub.mistakes = None
    assert one_line(desk.mlops(code=3)).endswith("it is not on GitHub yet: push main")
    desk.hub.mistakes = []
    assert AS_DECLARED in desk.mlops().stdout


def test_a_team_that_does_not_exist_is_told(desk: Desk) -> None:
    desk.review(ENGINEERING)
    desk.hub.owners.clear()
    error = one_line(desk.mlops(code=3))
    assert "environment prod: reviewers example-org/ml-engineering: Not Found" in error
    assert desk.hub.environments["prod"].policies
    assert desk.hub.labels


def test_what_was_broken_off_is_done_by_the_next_run(desk: Desk) -> None:
    desk.hub.refusals["POST /labels"] = 502, {"message": "Server Error"}
    error = one_line(desk.mlops(code=1))
    assert "HTTP 502" in error
    assert "run it again" in error
    assert desk.hub.environments
    desk.hub.refusals.clear()
    assert AS_DECLARED in desk.mlops().stdout
    assert {call.split()[0] for call in desk.hub.writes} == {"POST"}
    assert all(call.endswith("/labels") for call in desk.hub.writes)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("repository__allow_automerge", True, "repository.allow_automerge: unknown key"),
        ("workflows__default_workflow_permissions", "all", "default_workflow_permissions: input"),
        ("rulesets__main__forbid", ["deletions"], "rulesets.main.forbid.0: input should be"),
        (
            "rulesets__main__pull_request",
            {"required_approving_review_count": 1},
            "rulesets.main.pull_request.require_code_owner_review: this key is missing",
        ),
        ("labels__bug__color", 5.319e13, "labels.bug.color: input should be a valid string"),
        ("variables__registry", "x", "variables.registry"),
        ("variables__APP_ID", "", "variables.APP_ID: string should have at least 1 character"),
        ("environments", {"a b": {}}, "environments.a b"),
        ("environments__prod__branches", [], "environments.prod.branches: list should have"),
    ],
)
def test_a_mistake_in_the_file_is_told_before_anything(
    desk: Desk, place: str, value: object, told: str
) -> None:
    desk.project.set(SETTINGS, **{place: value})
    error = desk.mlops(code=2).stderr
    assert error.startswith(f"error: {SETTINGS}: ")
    assert told in error
    assert desk.hub.calls == []


def test_a_file_that_is_no_yaml_or_is_missing(desk: Desk) -> None:
    desk.project.write(SETTINGS, "labels: [\n")
    assert f"{SETTINGS} line 2: not valid YAML" in one_line(desk.mlops(code=2))
    (desk.project.folder / SETTINGS).unlink()
    assert f"{SETTINGS}: no such file" in one_line(desk.mlops(code=2))


def test_without_gh(terminal: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(str(shutil.which("git")))
    path = f"{terminal.project.venv / 'bin'}:{folder}"
    assert "gh: not found; install it" in one_line(terminal.mlops(code=2, PATH=path))


def test_without_a_login(terminal: Desk) -> None:
    for token in ("", "another"):
        error = one_line(terminal.mlops(code=2, GH_TOKEN=token))
        assert error == "error: gh: not logged in to GitHub; run `gh auth login`"


def test_without_a_remote_on_github(desk: Desk) -> None:
    desk.project.git("remote", "set-url", "origin", "/srv/hub/flight-delays.git")
    assert "origin is no repository on GitHub; give --repo" in one_line(desk.mlops(code=2))
    desk.project.git("remote", "remove", "origin")
    assert "there is no remote" in one_line(desk.mlops(code=2))
    assert "--repo nobody: not OWNER/NAME" in one_line(desk.mlops("--repo", "nobody", code=2))
    assert desk.hub.calls == []
    assert AS_DECLARED in desk.mlops("--repo", desk.hub.repository).stdout


def test_who_may_not_change_it_is_told(terminal: Desk) -> None:
    error = one_line(terminal.mlops("--repo", "example-org/other", code=2))
    assert "example-org/other: no such repository on GitHub" in error
    terminal.hub.admin = False
    assert "only its administrators can do this" in one_line(terminal.mlops(code=2))
    assert terminal.hub.writes == []


def test_a_default_branch_that_no_workflow_follows_is_told(desk: Desk) -> None:
    desk.hub.settings["default_branch"] = "master"
    error = one_line(desk.mlops(code=2))
    assert "its default branch is master" in error
    assert "git branch -m master main && git push -u origin main && gh repo edit" in error
    assert desk.hub.writes == []


def test_github_out_of_reach(terminal: Desk) -> None:
    terminal.hub.socket.unlink()
    assert "run it again" in one_line(terminal.mlops(code=1))


def test_the_page_from_top_to_bottom(terminal: Desk) -> None:
    page, hub = Page.read(PROJECT / "mlops" / "docs" / "github.md"), terminal.hub
    ((login, look, settle),) = page.below("")
    assert login in NOT_TYPED
    assert look.endswith("mlops github --dry-run")
    assert hub.environments == {}
    assert "nothing was changed" in terminal.mlops("--dry-run").stdout
    assert settle.endswith("mlops github")
    assert AS_DECLARED in terminal.mlops().stdout

    (variable, *secrets), (of_data,) = page.below("Secrets")
    assert variable in NOT_TYPED
    for line in secrets:
        terminal.type(f"echo made-up | {line}")
    assert hub.secrets == {
        "environments/bot/APP_PRIVATE_KEY",
        "environments/prod/DEPLOY_SSH_KEY",
    }
    hub.environments["data"] = Environment()  # where data are reached by SSH
    terminal.type(f"echo made-up | {of_data}")
    assert "environments/data/DATA_SSH_KEY" in hub.secrets
    assert page.left == []

    # What a private repository of a free account has in their place.
    hub.private = True
    for line in (*secrets, of_data):
        terminal.project.run("bash", "-ec", f"echo x | {line}", env=terminal.environ(), code=1)
        terminal.type(f"echo x | {line.partition(' --env ')[0]}")
    assert {"APP_PRIVATE_KEY", "DEPLOY_SSH_KEY", "DATA_SSH_KEY"} <= hub.secrets


def test_who_is_alone_is_told_that_nobody_can_approve(desk: Desk) -> None:
    """One person with strict review; then with somebody else, and with a way round."""
    told = "ada alone may write here, and nobody approves a pull request of their own"
    desk.hub.people = ["ada"]
    out = desk.mlops().stdout
    assert f"{told}: invite somebody, or see Alone? in mlops/docs/github.md" in out
    assert AS_DECLARED in out
    assert told in desk.mlops("--dry-run").stdout
    desk.hub.people.append("grace")
    assert told not in desk.mlops().stdout
    desk.hub.people.pop()
    actor = {"actor_type": "RepositoryRole", "actor_id": 5, "bypass_mode": "pull_request"}
    desk.project.set(SETTINGS, rulesets__main__bypass_actors=[actor])
    assert told not in desk.mlops().stdout
    # Where the plan has no rules, nobody has to approve.
    desk.project.set(SETTINGS, rulesets__main__bypass_actors=[])
    desk.hub.private = True
    assert told not in desk.mlops(code=3).stdout
