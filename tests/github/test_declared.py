"""What workflows and forms name is declared for GitHub, and who must approve what, by answer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest
from workflows.rules import File

Bake = Callable[..., Path]

REMOTES = helpers.CHOICES["data_remote"]
REVIEWS = helpers.CHOICES["review"]
SCIENCE, ENGINEERING = "@example-org/data-science", "@example-org/ml-engineering"
# GitHub makes the environment when Pages is switched on: a site is none of the project's stages.
GITHUBS = "github-pages"
KINDS = ("variables", "labels", "environments")
each_remote = pytest.mark.parametrize("remote", REMOTES)


def read(path: Path) -> Any:
    return helpers.load_yaml(path.read_text(encoding="utf-8"))


def settings(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = read(root / ".github" / "settings.yaml")
    return content


def named(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what is named: where, of which kind, and the name."""
    for path in sorted(root.glob(".github/**/*.yml")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\bvars\.(\w+)", text):
            yield path.name, "variables", name
        for name in re.findall(r"(?:--(?:add-)?label[ =]|\blabels(?:\[\])?=)['\"]?([\w-]+)", text):
            yield path.name, "labels", name
    for path in sorted(root.glob(".github/ISSUE_TEMPLATE/*.yml")):
        for name in read(path).get("labels", []):
            yield path.name, "labels", name
    for path in sorted(root.glob(".github/workflows/*.yml")):
        for job in File(path.read_text(encoding="utf-8")).jobs.values():
            place = job.get("environment", "")
            name = place["name"] if isinstance(place, dict) else place
            if name and "${{" not in name and name != GITHUBS:
                yield path.name, "environments", name
    for path in sorted(root.glob("environments/*/")):
        yield "environments", "environments", path.name


def undeclared(root: Path) -> list[str]:
    """Return what is named and not declared."""
    declared = settings(root)
    known: dict[str, set[str]] = {
        kind: {*declared[kind]} for kind in ("variables", "labels", "environments")
    }
    for environment in declared["environments"].values():
        known["variables"] |= {*environment.get("variables", {})}
    return [
        f"{where}: {kind} {name}" for where, kind, name in named(root) if name not in known[kind]
    ]


def required_checks_that_never_come(root: Path) -> list[str]:
    """Return required checks that are no job, or a job that a pull request or a queue lacks."""
    names = set()
    for path in root.glob(".github/workflows/*.yml"):
        file = File(path.read_text(encoding="utf-8"))
        if {"pull_request", "merge_group"} <= set(file.content["on"]):
            filters = file.content["on"]["pull_request"] or {}
            if not {"paths", "paths-ignore"} & set(filters):
                names |= {job["name"] for job in file.jobs.values()}
    rules = settings(root)["rulesets"]["main"]["required_status_checks"]
    return [name for name in rules["required_status_checks"] if name not in names]


def owners(root: Path, path: str) -> list[str]:
    """Return who owns a path: the last line that matches decides."""
    found: list[str] = []
    for line in (root / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, *names = line.split()
            folder = pattern.endswith("/") and path.startswith(pattern[1:])
            if pattern == "*" or folder or path == pattern[1:]:
                found = names
    return found


@pytest.fixture
def broken(baked: Bake, tmp_path: Path) -> Path:
    """A copy of a bake, to be broken."""
    root = tmp_path / "bake"
    shutil.copytree(baked(), root)
    return root


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@each_remote
def test_all_that_is_named_is_declared(baked: Bake, remote: str) -> None:
    root = baked(data_remote=remote)
    assert {kind for _, kind, _ in named(root)} == {*KINDS}
    assert undeclared(root) == []


@each_remote
def test_all_that_is_declared_is_named(baked: Bake, remote: str) -> None:
    root = baked(data_remote=remote)
    names = {kind: {name for _, of, name in named(root) if of == kind} for kind in KINDS}
    declared = settings(root)
    found = {kind: {*declared[kind]} for kind in KINDS}
    for environment in declared["environments"].values():
        found["variables"] |= {*environment.get("variables", {})}
    assert found == names


def test_what_is_not_declared_is_found(broken: Path) -> None:
    ci = broken / ".github" / "workflows" / "ci.yml"
    replace(ci, "    timeout-minutes: 5\n", "    timeout-minutes: ${{ vars.LIMIT }}\n")
    replace(ci, "    name: lint\n", "    name: lint\n    environment: hidden\n")
    replace(broken / ".github" / "ISSUE_TEMPLATE" / "bug.yml", "[bug]", "[defect]")
    (broken / "environments" / "qa").mkdir()
    assert undeclared(broken) == [
        "ci.yml: variables LIMIT",
        "bug.yml: labels defect",
        "ci.yml: environments hidden",
        "environments: environments qa",
    ]


@each_remote
def test_the_required_check_is_a_job(baked: Bake, remote: str) -> None:
    assert required_checks_that_never_come(baked(data_remote=remote)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    name: gate\n", "    name: gates\n"),
        ("  merge_group:\n", ""),
        ("  pull_request:\n", "  pull_request:\n    paths: [src/**]\n"),
    ],
)
def test_a_required_check_that_never_comes_is_found(broken: Path, old: str, new: str) -> None:
    replace(broken / ".github" / "workflows" / "ci.yml", old, new)
    assert required_checks_that_never_come(broken) == ["gate"]


@pytest.mark.parametrize("review", REVIEWS)
def test_every_review_keeps_the_gate_and_what_engineers_own(baked: Bake, review: str) -> None:
    root = baked(review=review)
    main = settings(root)["rulesets"]["main"]
    assert settings(root)["repository"]["allow_rebase_merge"] is False
    assert main["bypass_actors"] == []
    assert {*main["forbid"]} == {"deletion", "non_fast_forward"}
    assert main["pull_request"]["require_code_owner_review"] is True
    assert main["pull_request"]["dismiss_stale_reviews_on_push"] is True
    assert main["required_status_checks"] == {
        "strict_required_status_checks_policy": True,
        "required_status_checks": ["gate"],
    }
    for name in ("dev", "staging", "prod"):
        assert owners(root, f"environments/{name}/release.env") == [ENGINEERING]
        assert owners(root, f"environments/{name}/policy.yaml") == [ENGINEERING]
    for path in (
        ".github/settings.yaml",
        ".github/CODEOWNERS",
        "deploy/compose.server.yaml",
        "releases/quarantine.txt",
        "releases/r1.json",
        "mlops/src/mlops/release/guard.py",
        "mlops/manifest",
        "mlops/src/mlops/judging/gate.py",
    ):
        assert owners(root, path) == [ENGINEERING]


def test_strict_review(baked: Bake) -> None:
    root = baked(review="strict")
    reviews = settings(root)["rulesets"]["main"]["pull_request"]
    assert reviews["required_approving_review_count"] == 1
    assert reviews["require_last_push_approval"] is True
    for path in ("contract.yaml", "params.yaml", "src/flight_delays/features.py"):
        assert owners(root, path) == [SCIENCE]


def test_fast_review(baked: Bake) -> None:
    root = baked(review="fast")
    reviews = settings(root)["rulesets"]["main"]["pull_request"]
    assert reviews["required_approving_review_count"] == 0
    assert reviews["require_last_push_approval"] is False
    for path in ("contract.yaml", "params.yaml", "src/flight_delays/features.py"):
        assert owners(root, path) == []


def test_no_deployment_waits_for_a_person(baked: Bake) -> None:
    """It would keep the hourly run waiting: code owners approve the pull request."""
    for review in REVIEWS:
        for environment in settings(baked(review=review))["environments"].values():
            assert not environment.get("reviewers")


@each_remote
def test_pull_requests_reach_the_key_to_the_data(baked: Bake, remote: str) -> None:
    """Branches of an environment would keep them out: theirs is refs/pull/NUMBER/merge."""
    environments = settings(baked(data_remote=remote))["environments"]
    assert ("data" in environments) == (remote == "ssh")
    assert "branches" not in environments.get("data", {})
    assert environments["bot"]["branches"] == ["main"]
