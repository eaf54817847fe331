"""Rules for workflows that no linter has: what looks right and cannot work, or does too much.

Each rule takes a file and yields what is wrong, a line each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import typer.main
import yaml
from helpers import load_yaml

from mlops.cli import app

ACTIONS = Path(__file__).with_name("actions")


@dataclass(frozen=True)
class File:
    """A workflow, and what it may refer to.

    Attributes:
        text: as written.
        documents: all that the project says about itself.
        commands: the options of each command that the project has.
        outputs: what each of its own actions puts out, by how a step calls it.
    """

    text: str
    documents: str = ""
    commands: dict[str, set[str]] = field(default_factory=dict)
    outputs: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def content(self) -> dict[str, Any]:
        """The workflow as data."""
        content = load_yaml(self.text)
        return {"on" if key is True else key: value for key, value in content.items()}

    @property
    def jobs(self) -> dict[str, Any]:
        """Its jobs by identity."""
        jobs: dict[str, Any] = self.content["jobs"]
        return jobs

    def steps(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Yield each step with its job and the job's identity."""
        for name, job in self.jobs.items():
            for step in job["steps"]:
                yield name, job, step


Rule = Callable[[File], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Have a rule checked."""
    RULES[function.__name__] = function
    return function


def lines(step: dict[str, Any]) -> list[str]:
    """Return a step's commands, one a line, without comments."""
    script = str(step.get("run", "")).replace("\\\n", " ")
    return [line for line in script.splitlines() if not line.lstrip().startswith("#")]


# What writes, and one of the permissions that it takes.
WRITES: list[tuple[str, set[str]]] = [
    (r"\bgit\b.*\spush\b", {"contents"}),
    (r"\bgh release (create|edit|delete|upload)\b", {"contents"}),
    (r"\bgh pr (create|comment|edit|close|reopen|ready|review|lock)\b", {"pull-requests"}),
    (r"\bgh pr merge\b", {"contents"}),
    (r"\bgh issue (create|comment|edit|close|reopen|delete|lock|pin)\b", {"issues"}),
    (r"\bgh (workflow run|run (rerun|cancel|delete))\b", {"actions"}),
    (r"\bcml comment (create|update)\b", {"pull-requests", "issues"}),
]
METHODS = r"(?:--method|-X)[ =]*(?:POST|PATCH|PUT|DELETE)"
PLACES: list[tuple[str, set[str]]] = [
    (r"/git/refs|/contents/|/releases", {"contents"}),
    (r"comments|/issues|/pulls", {"pull-requests", "issues"}),
    (r"/dispatches|/actions/", {"actions"}),
]


def _takes(line: str) -> Iterator[set[str]]:
    """Yield the permissions of which a command takes one, once for each thing that it writes."""
    for pattern, names in WRITES:
        if re.search(pattern, line):
            yield names
    if re.search(rf"\bgh api\b.*{METHODS}", line):
        yield next((names for place, names in PLACES if re.search(place, line)), set())


def _permissions(job: dict[str, Any]) -> dict[str, str]:
    found = job.get("permissions") or {}
    return found if isinstance(found, dict) else {"all": str(found)}


@rule
def what_writes_may_write(file: File) -> Iterator[str]:
    """A step that writes is in a job that has the permission."""
    for name, job, step in file.steps():
        has = {key for key, value in _permissions(job).items() if value == "write"}
        for line in lines(step):
            for names in _takes(line):
                if not names & has:
                    wanted = " or ".join(sorted(names)) or "a permission that no rule knows"
                    yield f"{name}: {line.strip()[:80]} takes {wanted}: write"


@rule
def who_writes_checks_nothing_out(file: File) -> Iterator[str]:
    """Code of a pull request meets no token that may write to the repository."""
    if not {"pull_request", "merge_group"} & set(file.content["on"]):
        return  # what is merged was looked at
    for name, job, step in file.steps():
        has = {key for key, value in _permissions(job).items() if value.startswith("write")}
        if has - {"id-token"} and "actions/checkout" in str(step.get("uses", "")):
            yield f"{name}: checks out and may write {', '.join(sorted(has))}"


@rule
def who_signs_checks_nothing_out(file: File) -> Iterator[str]:
    """None of the project's code can say where an image comes from: GitHub's own does."""
    for name, job, step in file.steps():
        signs = _permissions(job).get("attestations") == "write"
        if signs and "actions/checkout" in str(step.get("uses", "")):
            yield f"{name}: checks out and may sign"


def _outputs(file: File, step: dict[str, Any]) -> set[str]:
    """Return what a step puts out: its action says so, or its commands write it."""
    if step.get("uses") in file.outputs:
        return file.outputs[step["uses"]]
    if "uses" in step:
        _, *parts = str(step["uses"]).partition("@")[0].split("/")
        known = ACTIONS.joinpath(*parts, "action.yml")
        if known.is_file():
            return {*(load_yaml(known.read_text(encoding="utf-8")).get("outputs") or {})}
        return set()
    found = [line for line in lines(step) if "GITHUB_OUTPUT" in line]
    return set(re.findall(r"\b([\w-]+)=", "\n".join(found)))


@rule
def what_is_read_was_put_out(file: File) -> Iterator[str]:
    """Outputs and results belong to steps of the same job, or to jobs that it needs."""
    for name, job in file.jobs.items():
        needs = job.get("needs", [])
        needed = {needs} if isinstance(needs, str) else {*needs}
        known = {step["id"]: step for step in job["steps"] if "id" in step}
        text = yaml.safe_dump(job, width=10_000)
        for step, what in re.findall(
            r"\bsteps\.([\w-]+)\.(outcome|conclusion|outputs\.[\w-]+)", text
        ):
            if step not in known:
                yield f"{name}: there is no step {step}"
            elif "." in what and what.split(".")[1] not in _outputs(file, known[step]):
                yield f"{name}: step {step} does not set {what.split('.')[1]}"
        for other, what in re.findall(r"\bneeds\.([\w-]+)\.(result|outputs\.[\w-]+)", text):
            if other not in needed:
                yield f"{name}: does not need {other}"
            elif "." in what and what.split(".")[1] not in file.jobs[other].get("outputs", {}):
                yield f"{name}: job {other} does not put out {what.split('.')[1]}"


@rule
def needed_jobs_exist(file: File) -> Iterator[str]:
    """`needs` names jobs of the file."""
    for name, job in file.jobs.items():
        needs = job.get("needs", [])
        for other in [needs] if isinstance(needs, str) else needs:
            if other not in file.jobs:
                yield f"{name}: needs {other}, which is no job"


@rule
def what_must_be_set_is_documented(file: File) -> Iterator[str]:
    """A person can read which secrets and variables a repository takes."""
    for kind, name in sorted(set(re.findall(r"\b(secrets|vars)\.(\w+)", file.text))):
        if name != "GITHUB_TOKEN" and not re.search(rf"\b{name}\b", file.documents):
            yield f"{kind}.{name}: no document tells of it"


@rule
def commands_exist(file: File) -> Iterator[str]:
    """Every `mlops` command is one, with options that it has."""
    for name, _, step in file.steps():
        for line in lines(step):
            for words in re.findall(r"\bmlops ([^|&;<>()]*)", line):
                command, *rest = words.split()
                if rest and f"{command} {rest[0]}" in file.commands:
                    command, rest = f"{command} {rest[0]}", rest[1:]
                if command not in file.commands:
                    yield f"{name}: there is no command mlops {command}"
                    continue
                for word in rest:
                    option = word.partition("=")[0]
                    if option.startswith("-") and option not in file.commands[command]:
                        yield f"{name}: mlops {command} has no option {option}"


def commands() -> dict[str, set[str]]:
    """Return the commands of the engine, with their options; a group's are named after it."""
    top = typer.main.get_command(app)
    return {name: _options(top, command) for name, command in _leaves(top, [])}


def _leaves(command: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the commands that are no groups."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(names), command
        return
    for name, each in below.items():
        yield from _leaves(each, [*names, name])


def _options(top: Any, command: Any) -> set[str]:
    every = (opt for each in command.params for opt in (*each.opts, *each.secondary_opts))
    named = {opt for opt in every if opt.startswith("-")}
    return {*named, *top.context_settings["help_option_names"]}


@rule
def every_job_is_bounded_and_named(file: File) -> Iterator[str]:
    """Time, permissions and a name; none by default, and no two runs in each other's way."""
    if file.content.get("permissions") != {}:
        yield "permissions at the top are not {}"
    for key in ("name", "concurrency"):
        if key not in file.content:
            yield f"no {key}"
    for name, job in file.jobs.items():
        for key in ("name", "timeout-minutes", "permissions"):
            if key not in job:
                yield f"{name}: no {key}"
        if not isinstance(job.get("timeout-minutes", 1), int):
            yield f"{name}: timeout-minutes is no whole number"
        if not isinstance(job.get("permissions", {}), dict):
            yield f"{name}: permissions are not told one by one"


@rule
def runs_of_a_branch_do_not_displace_those_of_another(file: File) -> Iterator[str]:
    """GitHub cancels whoever waits in a group when another run comes: each branch has its own.

    A run of another branch than main does nothing in most workflows, and would displace one that
    does.
    """
    group = str(file.content.get("concurrency", {}).get("group", ""))
    of_one = {"github.ref", "github.run_id", "github.event.pull_request.number"}
    if "workflow_dispatch" in file.content["on"] and not any(
        re.search(rf"\$\{{\{{ {re.escape(each)} ", group) for each in of_one
    ):
        yield f"concurrency: {group} is that of every branch"


@rule
def no_code_of_others_gets_secrets(file: File) -> Iterator[str]:
    """No trigger that runs with the rights of the repository on what anyone proposes."""
    for name in ("pull_request_target", "workflow_run", "issue_comment"):
        if name in file.content["on"]:
            yield f"on: {name}"


@rule
def actions_are_pinned(file: File) -> Iterator[str]:
    """By the whole hash, and the version that people know it by."""
    for used in re.findall(r"^\s*-?\s*uses:\s*(.+)$", file.text, re.MULTILINE):
        if not used.startswith("./") and not re.fullmatch(
            r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", used.strip()
        ):
            yield f"uses: {used}"
