"""The workflows of every bake, and the template's own, keep rules that no linter has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import helpers
import pytest
from workflows.rules import RULES, File, actions_are_pinned, commands

REMOTES = helpers.CHOICES["data_remote"]


@cache
def workflows(root: Path) -> dict[str, File]:
    """Return the workflows of a repository, which nobody changes."""
    documents = "\n".join(
        path.read_text(encoding="utf-8")
        for pattern in ("*.md", "docs/*.md", "mlops/docs/*.md")
        for path in root.glob(pattern)
    )
    outputs = {
        f"./{path.parent.relative_to(root)}": {
            *(helpers.load_yaml(path.read_text(encoding="utf-8")).get("outputs") or {})
        }
        for path in root.glob(".github/actions/*/action.yml")
    }
    return {
        path.name: File(path.read_text(encoding="utf-8"), documents, commands(), outputs)
        for path in sorted((root / ".github" / "workflows").glob("*.yml"))
    }


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("remote", REMOTES)
def test_a_bake_keeps_the_rule(baked: Callable[..., Path], remote: str, name: str) -> None:
    found = workflows(baked(data_remote=remote))
    known = {"cd", "ci", "deploy", "promote", "report-cleanup", "rollback", "sign-off"}
    assert {f"{each}.yml" for each in known} <= set(found)
    assert {file: [*RULES[name](text)] for file, text in found.items()} == dict.fromkeys(found, [])


@pytest.mark.parametrize("name", RULES)
def test_the_template_keeps_the_rule(name: str) -> None:
    found = workflows(helpers.ROOT)
    assert "ci.yml" in found
    assert {file: [*RULES[name](text)] for file, text in found.items()} == dict.fromkeys(found, [])


@pytest.mark.parametrize("remote", REMOTES)
def test_actions_of_the_bake_pin_theirs(baked: Callable[..., Path], remote: str) -> None:
    paths = [*baked(data_remote=remote).glob(".github/actions/*/action.yml")]
    assert paths
    for path in paths:
        assert [*actions_are_pinned(File(path.read_text(encoding="utf-8")))] == []


def test_uv_is_of_one_version_wherever_it_is_fetched(baked: Callable[..., Path]) -> None:
    root = baked()
    action = helpers.load_yaml((root / ".github/actions/setup/action.yml").read_text("utf-8"))
    (version,) = (
        step["with"]["version"]
        for step in action["runs"]["steps"]
        if step.get("uses", "").startswith("astral-sh/setup-uv@")
    )
    images = [*(root / "deploy" / "images").glob("*.Dockerfile")]
    assert len(images) == 2
    for image in images:
        assert f"/uv:{version}@sha256:" in image.read_text(encoding="utf-8")


@pytest.mark.parametrize("remote", REMOTES)
def test_an_action_is_given_the_inputs_that_it_has(baked: Callable[..., Path], remote: str) -> None:
    root = baked(data_remote=remote)
    for file in workflows(root).values():
        for job, _, step in file.steps():
            if str(step.get("uses", "")).startswith("./"):
                action = helpers.load_yaml((root / step["uses"] / "action.yml").read_text("utf-8"))
                assert set(step.get("with", {})) <= set(action.get("inputs") or {}), job


SOUND = """
name: sound
on:
  pull_request:
  workflow_dispatch:
permissions: {}
concurrency:
  group: sound-${{ github.ref }}
jobs:
  first:
    name: first
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      contents: read
    outputs:
      code: ${{ steps.look.outputs.code }}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - id: look
        run: echo "code=true" | tee -a "$GITHUB_OUTPUT"
      - run: uv run mlops gate --base "$BASE" | tee log
  second:
    name: second
    needs: first
    if: needs.first.outputs.code == 'true' && needs.first.result == 'success'
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      contents: write
      pull-requests: write
    steps:
      - run: |
          # gh issue create is only mentioned
          git -c user.name=x push origin
          gh pr comment --body hello
          gh api --method PATCH repos/o/r/issues/comments/1
        env:
          GH_TOKEN: ${{ secrets.TOKEN }}
"""
KNOWN = {"gate": {"--base"}, "data init": {"--force"}}
MISTAKES = [
    ("what_writes_may_write", "pull-requests: write", "pull-requests: read"),
    ("what_writes_may_write", "contents: write", "contents: read"),
    ("what_writes_may_write", "# gh issue create is", "gh issue create --title"),
    ("what_writes_may_write", "issues/comments/1", "somewhere"),
    ("what_writes_may_write", "gh pr comment", "gh workflow run"),
    ("who_writes_checks_nothing_out", "contents: read", "packages: write"),
    ("who_writes_checks_nothing_out", "\n      contents: read", " write-all"),
    ("who_signs_checks_nothing_out", "contents: read", "attestations: write"),
    ("what_is_read_was_put_out", "id: look", "id: see"),
    ("what_is_read_was_put_out", '"code=true"', '"kode=true"'),
    ("what_is_read_was_put_out", "code: ${{", "kode: ${{"),
    ("what_is_read_was_put_out", "    needs: first\n", ""),
    ("needed_jobs_exist", "needs: first", "needs: [first, third]"),
    ("what_must_be_set_is_documented", "secrets.TOKEN", "secrets.OTHER"),
    ("what_must_be_set_is_documented", "secrets.TOKEN", "vars.TOKE"),
    ("commands_exist", "mlops gate", "mlops gates"),
    ("commands_exist", "--base", "--against"),
    ("commands_exist", "mlops gate --base", "mlops data init --base"),
    ("every_job_is_bounded_and_named", "permissions: {}", "permissions: read-all"),
    ("every_job_is_bounded_and_named", "concurrency:\n  group: sound-${{ github.ref }}\n", ""),
    ("every_job_is_bounded_and_named", "    timeout-minutes: 5\n", ""),
    ("every_job_is_bounded_and_named", "timeout-minutes: 5", "timeout-minutes: 0.5"),
    ("every_job_is_bounded_and_named", "    name: first\n", ""),
    ("every_job_is_bounded_and_named", "    permissions:\n      contents: read\n", ""),
    ("runs_of_a_branch_do_not_displace_those_of_another", "sound-${{ github.ref }}", "sound"),
    ("runs_of_a_branch_do_not_displace_those_of_another", "github.ref }", "github.actor }"),
    ("no_code_of_others_gets_secrets", "pull_request:", "pull_request_target:"),
    ("actions_are_pinned", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7"),
    ("actions_are_pinned", " # v7.0.1", ""),
    ("actions_are_pinned", "90b1 # v7.0.1", "90b # v7.0.1"),
]


@pytest.mark.parametrize("name", RULES)
def test_a_sound_workflow_keeps_every_rule(name: str) -> None:
    assert [*RULES[name](File(SOUND, "Set TOKEN.", KNOWN))] == []


@pytest.mark.parametrize(("name", "sound", "mistake"), MISTAKES)
def test_a_mistake_is_found_by_its_rule(name: str, sound: str, mistake: str) -> None:
    assert sound in SOUND
    assert [*RULES[name](File(SOUND.replace(sound, mistake, 1), "Set TOKEN.", KNOWN))]


def test_every_rule_has_a_mistake_that_it_finds() -> None:
    assert {name for name, _, _ in MISTAKES} == set(RULES)


def test_commands_are_those_of_the_engine() -> None:
    found = commands()
    assert {"gate", "lock", "report", "data init", "feedback import"} <= set(found)
    assert {"--base", "--output", "--log"} <= found["report"]
    assert {"-o", "--with-inputs"} <= found["predict"]
    assert found["lock"] == {"--help", "-h"}
