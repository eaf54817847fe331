"""Execute a workflow with `act`, on this machine and in a clean environment.

act ignores permissions: each job begins by writing its own to a file, where the stand-ins look
(permissions.py). act also ignores concurrency, filters of `on:` and time limits: other tests look
at those. Actions are stand-ins: folders below `actions/`, one for each `uses:` of the workflow.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import load_yaml
from workflows.events import Event
from workflows.github import TOKEN

ACTIONS = Path(__file__).with_name("actions")
SHELL = Path(__file__).with_name("shell")
BUILD = Path(__file__).parents[2] / "build"
TOOLS = ("act", "gh", "jq", "node", "openssl", "uv")
LIMIT = 900

# Messages of act that stand for a defect although it goes on.
DEFECTS = ("Unable to interpolate expression", "LocalRepositoryCache not matched")


def tools_path(path: str) -> str:
    """Return the path with what `.ci/run` installs."""
    return os.pathsep.join([str(BUILD / "tools"), path])


def from_npm(package: str, path: str, place: Path) -> Path:
    """Return a place that has what npm puts at a path of `node_modules`, fetched once."""
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", temporary]
            subprocess.run([*command, package], check=True, capture_output=True)
            with suppress(OSError):  # another worker was first
                Path(temporary, "node_modules", path).rename(place)
    return place


def missing_tools() -> list[str]:
    """Return the tools that running workflows takes and this machine lacks."""
    path = tools_path(os.environ["PATH"])
    return [tool for tool in TOOLS if not shutil.which(tool, path=path)]


needs_act = pytest.mark.skipif(
    bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}"
)


@dataclass(frozen=True)
class Workflow:
    """A workflow file as data."""

    content: dict[str, Any]

    @staticmethod
    def read(path: Path) -> Workflow:
        """Read a file."""
        content = load_yaml(path.read_text(encoding="utf-8"))
        # To YAML 1.1 the key `on` is true.
        return Workflow({"on" if key is True else key: value for key, value in content.items()})

    def write(self, path: Path) -> Path:
        """Write a file that act reads."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(
            self.content, Dumper=yaml.CSafeDumper, sort_keys=False, width=10_000, allow_unicode=True
        )
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def jobs(self) -> dict[str, Any]:
        """The jobs by their identity."""
        jobs: dict[str, Any] = self.content["jobs"]
        return jobs

    def step(self, job: str, name: str) -> dict[str, Any]:
        """Return a step by its name."""
        (found,) = (step for step in self.jobs[job]["steps"] if step.get("name") == name)
        return dict(found)

    def replacing(self, job: str, name: str, run: str) -> Workflow:
        """Return the workflow with other commands in a step."""
        self.step(job, name)
        steps = [
            step if step.get("name") != name else {"name": name, "run": run}
            for step in self.jobs[job]["steps"]
        ]
        return self.with_jobs({**self.jobs, job: {**self.jobs[job], "steps": steps}})

    def changing(self, job: str, name: str, old: str, new: str) -> Workflow:
        """Return the workflow with something else in the commands of a step, where it stands."""
        steps = [dict(step) for step in self.jobs[job]["steps"]]
        (step,) = (each for each in steps if each.get("name") == name)
        assert step["run"].count(old) == 1
        step["run"] = step["run"].replace(old, new)
        return self.with_jobs({**self.jobs, job: {**self.jobs[job], "steps": steps}})

    def with_jobs(self, jobs: dict[str, Any]) -> Workflow:
        """Return the workflow with other jobs."""
        return Workflow({**self.content, "jobs": jobs})

    def one_by_one(self) -> Workflow:
        """Return the workflow with no two jobs of a matrix at once: they share one environment."""
        jobs = {
            name: {**job, "strategy": {**job["strategy"], "max-parallel": 1}}
            if "strategy" in job
            else job
            for name, job in self.jobs.items()
        }
        return self.with_jobs(jobs)

    def permissions(self, job: str, event: Event) -> dict[str, str]:
        """Return what the token of a job may do in a run for an event.

        Runs for a fork or for Dependabot only read, whatever the workflow says.
        """
        told = self.jobs[job].get("permissions", self.content.get("permissions"))
        assert isinstance(told, dict), f"{job}: permissions are not told one by one"
        if event.is_of_strangers:
            return dict.fromkeys(told, "read")
        return told

    def without(self, job: str, permission: str) -> Workflow:
        """Return the workflow with a job that lacks a permission."""
        kept = dict(self.jobs[job]["permissions"])
        kept.pop(permission)
        return self.with_jobs({**self.jobs, job: {**self.jobs[job], "permissions": kept}})

    def announced(self, event: Event) -> Workflow:
        """Return the workflow with jobs that begin by saying who they are and what they may."""
        jobs = {}
        for name, job in self.jobs.items():
            about = {
                "name": f"{self.content['name']}/{name}",
                "permissions": self.permissions(name, event),
            }
            run = f"cat > \"$STANDIN_JOB\" <<'END'\n{json.dumps(about)}\nEND"
            first = {"name": "Announce", "shell": "bash", "run": run}
            jobs[name] = {**job, "steps": [first, *job["steps"]]}
        return self.with_jobs(jobs)

    def only(self, job: str, result: str = "success") -> Workflow:
        """Return the workflow with one job as it is; those that it needs just have a result."""
        needs = self.jobs[job].get("needs", [])
        done = {
            "runs-on": "ubuntu-latest",
            "permissions": {},
            "steps": [{"run": f"[ {result} = success ]"}],
        }
        names = [needs] if isinstance(needs, str) else needs
        return self.with_jobs({**dict.fromkeys(names, done), job: self.jobs[job]})


def uses(content: Any) -> Iterator[str]:
    """Yield what `uses:` says, wherever it stands."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "uses":
                yield value
            else:
                yield from uses(value)
    elif isinstance(content, list):
        for value in content:
            yield from uses(value)


def stand_ins(workflow: Workflow, checkout: Path) -> dict[str, Path]:
    """Return a folder for each repository whose actions the workflow, or one of its own, uses."""
    wanted = set(uses(workflow.content))
    for own in (checkout / ".github" / "actions").glob("*/action.yml"):
        wanted |= set(uses(load_yaml(own.read_text(encoding="utf-8"))))
    found: dict[str, Path] = {}
    for name in wanted:
        if not name.startswith("./"):
            action, _, version = name.partition("@")
            owner, repository, *path = action.split("/")
            folder = ACTIONS / repository
            file = folder.joinpath(*path, "action.yml")
            assert file.is_file(), f"{name}: no stand-in, which would be {file}"
            found[f"{owner}/{repository}@{version}"] = folder
    return found


@dataclass
class Outcome:
    """What happened.

    Attributes:
        jobs: the result of each job.
        steps: what came of each step that ran or was skipped, before continue-on-error, by job and
            name.
        outputs: what steps put out, by job and identity of the step.
        summaries: what each job wrote to its summary.
        logs: what each step printed, by job and name.
        told: the ends of everything, for a person.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    outputs: dict[tuple[str, str], dict[str, str]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    summaries: dict[str, str] = field(default_factory=lambda: defaultdict(str))
    logs: dict[tuple[str, str], str] = field(default_factory=lambda: defaultdict(str))
    told: str = ""

    def log(self, job: str, step: str | None = None) -> str:
        """Return what a job, or one of its steps, printed."""
        return "".join(
            text for (one, name), text in self.logs.items() if one == job and step in (None, name)
        )


def run(
    workflow: Workflow,
    event: Event,
    folder: Path,
    checkout: Path,
    environ: Mapping[str, str],
    server: str,
    variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Outcome:
    """Run all jobs of a workflow for an event.

    Args:
        folder: for act and the jobs to work in.
        checkout: where the workflow's own actions are looked for, and a Git repository.
        environ: all that the steps see of this machine.
        server: the address of GitHub.
        variables: of the repository and its environments.
        secrets: theirs, beside the job's token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workflow = workflow.one_by_one().announced(event)
    path = workflow.write(folder / "workflow.yml")
    payload = folder / "event.json"
    payload.write_text(json.dumps(event.payload), encoding="utf-8")
    labels = {job["runs-on"] for job in workflow.jobs.values()}
    command = ["act", event.name, "-C", str(checkout), "-W", str(path), "-e", str(payload)]
    command += ["--json", "--verbose", "--rm", "--pull=false", "--concurrent-jobs=1"]
    command += ["--no-skip-checkout", "--no-cache-server", "--artifact-server-addr=127.0.0.1"]
    command += [f"--{name}-file=" for name in ("env", "secret", "var", "input")]
    command += [
        f"--action-cache-path={folder / 'cache'}",
        "--actor=ada",
        f"--secret=GITHUB_TOKEN={TOKEN}",
    ]
    command += [f"--platform={label}=-self-hosted" for label in labels]
    command += [
        f"--local-repository={name}={where}"
        for name, where in stand_ins(workflow, checkout).items()
    ]
    settings = {
        "GITHUB_REPOSITORY": event.repository,
        "GITHUB_REF": event.ref,
        "SHA_REF": event.sha,
        "GITHUB_SERVER_URL": server,
        "GITHUB_API_URL": f"{server}/api/v3",
    }
    command += [f"--env={name}={value}" for name, value in settings.items()]
    command += [f"--var={name}={value}" for name, value in (variables or {}).items()]
    command += [f"--secret={name}={value}" for name, value in (secrets or {}).items()]
    with subprocess.Popen(
        command,
        env={**environ, "PATH": os.pathsep.join([str(SHELL), tools_path(environ["PATH"])])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=LIMIT)
        finally:
            # Whatever a step left running: the session is its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    (folder / "act.log").write_text(printed, encoding="utf-8")
    outcome = read(printed, workflow)
    lacking = set(workflow.jobs) - set(outcome.jobs)
    assert not lacking, f"no result of {', '.join(sorted(lacking))}:\n{outcome.told}"
    for defect in DEFECTS:
        assert defect not in printed, outcome.told
    return outcome


def read(printed: str, workflow: Workflow) -> Outcome:
    """Make sense of what `act --json` printed."""
    outcome = Outcome()
    lines: list[tuple[str, str]] = []
    for line in printed.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            lines.append(("", line))
            continue
        job, level = entry.get("jobID", ""), entry.get("level", "")
        identity = entry.get("stepID") or []
        step = _name(workflow, job, identity)
        message = str(entry.get("msg", "")).rstrip("\n")
        if level != "debug" or entry.get("jobResult") or entry.get("stepResult"):
            lines.append((f"[{job}] [{step}] ", message))
        if "jobResult" in entry and outcome.jobs.get(job) != "failure":  # of any in a matrix
            outcome.jobs[job] = entry["jobResult"]
        if "stepResult" in entry and len(identity) == 1 and entry.get("stage") == "Main":
            outcome.steps[job][step] = entry["stepResult"]
        if entry.get("command") == "set-output":
            outcome.outputs[job, identity[0]][entry["name"]] = entry["arg"]
        elif entry.get("command") == "summary":
            outcome.summaries[job] += entry["content"]
        elif level != "debug":
            outcome.logs[job, step] += f"{message}\n"
    for place, group in itertools.groupby(lines, key=lambda line: line[0]):
        outcome.told += "".join(f"{place}{message}\n" for _, message in [*group][-40:])
    return outcome


def _name(workflow: Workflow, job: str, identity: list[str]) -> str:
    """Return the name of a step of the job, also for what happens within its action."""
    if not identity or job not in workflow.jobs:
        return ""
    for number, step in enumerate(workflow.jobs[job]["steps"]):
        if identity[0] in (step.get("id"), str(number)):
            return str(step.get("name", number))
    return re.sub("^--", "", identity[0])
