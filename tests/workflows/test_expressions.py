"""When workflows, jobs and steps run, and against what they compare, event by event.

Expressions are evaluated by GitHub's own library, filters of `on:` by a few lines of Python: act
leaves out the latter, and is no authority on the former.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest
from workflows import events
from workflows.act import BUILD, Workflow, from_npm
from workflows.events import ZEROS, Event

LIBRARY = "@actions/expressions"
VERSION = "0.3.61"
STATUS = ("success", "failure", "cancelled", "always")
SHA = "ab" * 20
REMOTES = helpers.CHOICES["data_remote"]

Evaluate = Callable[..., Any]

needs_npm = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="not installed: node and npm"
)

SAME = events.pull_request(sha=SHA)
FORK = events.pull_request(sha=SHA, head="grace/flight-delays")
FORKED = events.pull_request(sha=SHA, forked=True)
GONE = events.pull_request(sha=SHA, head=None)
BOT = events.pull_request(sha=SHA, author="dependabot[bot]")
QUEUE = events.merge_group(sha=SHA, base="cd" * 20)
PUSH = events.push(sha=SHA, before="ef" * 20)
FIRST = events.push(sha=SHA)
BUTTON = events.dispatch(sha=SHA)
CLOCK = events.schedule(sha=SHA)
ELSEWHERE = events.dispatch(sha=SHA, branch="topic")


def library() -> Path:
    """Return the folder of GitHub's library, fetched once."""
    folder = BUILD / f"expressions-{VERSION}"
    return from_npm(f"{LIBRARY}@{VERSION}", "", folder) / LIBRARY


@pytest.fixture(scope="session")
def evaluate() -> Iterator[Evaluate]:
    """Evaluate an expression for an event, with results of needed jobs, variables and so on."""
    with subprocess.Popen(
        ["node", str(Path(__file__).with_name("expressions.mjs")), str(library())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stdin is not None
        assert node.stdout is not None

        def ask(text: str, event: Event, *, cancelled: bool = False, **contexts: Any) -> Any:
            known = {"github": github(event), "vars": {}, "secrets": {}, "needs": {}}
            known |= {"inputs": event.payload.get("inputs") or {}, **contexts}
            results = [each["result"] for each in known["needs"].values()]
            functions = {
                "success": all(each == "success" for each in results) and not cancelled,
                "failure": "failure" in results,
                "cancelled": cancelled,
                "always": True,
            }
            question = {"text": text, "contexts": known, "functions": functions}
            print(json.dumps(question), file=node.stdin, flush=True)
            answer = node.stdout.readline() if node.stdout else ""
            assert answer, text
            return json.loads(answer)

        yield ask
        node.stdin.close()


def github(event: Event) -> dict[str, Any]:
    """Return the context of the same name."""
    request = event.payload.get("pull_request", {})
    return {
        "event_name": event.name,
        "event": event.payload,
        "repository": event.repository,
        "ref": event.ref,
        "sha": event.sha,
        "base_ref": request.get("base", {}).get("ref", ""),
        "head_ref": request.get("head", {}).get("ref", ""),
    }


def bare(expression: str) -> str:
    """Return what stands between the braces, if there are any."""
    return re.sub(r"^\$\{\{(.*)\}\}$", r"\1", expression.strip()).strip()


def condition(expression: str) -> str:
    """Return an `if:` as GitHub reads it: on success only, unless it asks for the status itself."""
    text = bare(expression)
    asks = re.search(rf"\b({'|'.join(STATUS)})\s*\(", text)
    return text if asks else f"success() && ({text})"


def conditions(content: Any) -> Iterator[str]:
    """Yield every `if:` within a workflow or an action."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "if":
                yield bare(str(value))
            else:
                yield from conditions(value)
    elif isinstance(content, list):
        for value in content:
            yield from conditions(value)


def said(result: str, code: str = "true", **outputs: str) -> dict[str, Any]:
    """Return a needed job's result and whether it found code that differs."""
    return {"result": result, "outputs": {"code": code, **outputs}}


# What decides on a job: (event, jobs that it needs, whether the run was cancelled, does it run?)
Row = tuple[Event, dict[str, Any], bool, bool]
CHECKED: list[Row] = [
    (SAME, {"changes": said("success")}, False, True),
    (FORK, {"changes": said("success")}, False, True),
    (BOT, {"changes": said("success")}, False, True),
    (QUEUE, {"changes": said("success")}, False, True),
    (PUSH, {"changes": said("success")}, False, True),
    (FIRST, {"changes": said("success")}, False, True),
    (BUTTON, {"changes": said("success")}, False, True),
    (SAME, {"changes": said("success", "false")}, False, False),
    (SAME, {"changes": said("failure", "")}, False, False),
    (SAME, {"changes": said("success")}, True, False),
]
# Only what is on main is released and deployed.
ON_MAIN: list[Row] = [
    (PUSH, {}, False, True),
    (BUTTON, {}, False, True),
    (ELSEWHERE, {}, False, False),
]
TO_ATTEST, NOT_TO_ATTEST = said("success", attest="true"), said("success", attest="false")
JOBS: dict[tuple[str, str], list[Row]] = {
    ("cd", "plan"): ON_MAIN,
    ("cd", "build"): [
        (PUSH, {"plan": said("success", release="true")}, False, True),
        (PUSH, {"plan": said("success", release="false")}, False, False),
        (ELSEWHERE, {"plan": said("skipped")}, False, False),
    ],
    ("cd", "attest"): [
        (PUSH, {"plan": TO_ATTEST, "build": said("success")}, False, True),
        (PUSH, {"plan": NOT_TO_ATTEST, "build": said("success")}, False, False),
        (PUSH, {"plan": TO_ATTEST, "build": said("failure")}, False, False),
    ],
    ("cd", "exports"): [
        (PUSH, {"plan": TO_ATTEST, "build": said(build, exports=exports)}, False, runs)
        for build, exports, runs in [
            ("success", "true", True),
            ("success", "false", False),
            ("failure", "", False),
        ]
    ],
    ("cd", "propose"): [
        (
            PUSH,
            {
                "plan": plan,
                "build": said(build, exports="false" if exports == "skipped" else "true"),
                "attest": said(attest),
                "exports": said(exports),
            },
            cancelled,
            runs,
        )
        for plan, build, attest, exports, cancelled, runs in [
            (TO_ATTEST, "success", "success", "success", False, True),
            (TO_ATTEST, "success", "success", "skipped", False, True),
            (TO_ATTEST, "success", "success", "failure", False, False),
            (TO_ATTEST, "success", "success", "cancelled", False, False),
            (TO_ATTEST, "success", "success", "success", True, False),
            (TO_ATTEST, "success", "failure", "success", False, False),
            (TO_ATTEST, "success", "cancelled", "success", False, False),
            (TO_ATTEST, "success", "skipped", "skipped", False, False),
            (TO_ATTEST, "failure", "skipped", "skipped", False, False),
            (TO_ATTEST, "skipped", "skipped", "skipped", False, False),
            (NOT_TO_ATTEST, "success", "skipped", "skipped", False, True),
            (NOT_TO_ATTEST, "success", "skipped", "success", False, True),
            (NOT_TO_ATTEST, "success", "skipped", "failure", False, False),
            (NOT_TO_ATTEST, "failure", "skipped", "skipped", False, False),
            (NOT_TO_ATTEST, "skipped", "skipped", "skipped", False, False),
        ]
    ],
    ("deploy", "plan"): [
        *ON_MAIN,
        (CLOCK, {}, False, True),
        (events.schedule(SHA, "23 * * * *"), {}, False, False),
    ],
    ("deploy", "apply"): [
        (PUSH, {"plan": said("success", environments='["dev"]')}, False, True),
        (PUSH, {"plan": said("success", environments="[]")}, False, False),
        (PUSH, {"plan": said("failure")}, False, False),
    ],
    ("deploy", "report"): [
        (PUSH, {"plan": said("success"), "apply": said(apply)}, cancelled, runs)
        for apply, cancelled, runs in [
            ("success", False, True),
            ("failure", False, True),
            ("skipped", False, False),
            ("failure", True, False),
        ]
    ],
    ("deploy", "propose"): [
        (PUSH, {"plan": said(plan), "report": said(report)}, cancelled, runs)
        for plan, report, cancelled, runs in [
            ("success", "success", False, True),
            ("success", "skipped", False, True),
            ("success", "failure", False, False),
            ("success", "success", True, False),
            ("failure", "skipped", False, False),
            ("skipped", "skipped", False, False),
        ]
    ],
    ("monitor", "plan"): [*ON_MAIN, (CLOCK, {}, False, True)],
    ("monitor", "watch"): [
        (CLOCK, {"plan": said("success", environments='["prod"]')}, False, True),
        (CLOCK, {"plan": said("success", environments="[]")}, False, False),
        (CLOCK, {"plan": said("failure")}, False, False),
    ],
    ("monitor", "tell"): [
        (CLOCK, {"plan": said("success"), "watch": said(watch)}, cancelled, runs)
        for watch, cancelled, runs in [
            ("success", False, True),
            ("failure", False, True),
            ("skipped", False, False),
            ("failure", True, False),
        ]
    ],
    ("monitor", "retrain"): [
        (CLOCK, {"tell": said(tell, retrain=retrain)}, cancelled, runs)
        for tell, retrain, cancelled, runs in [
            ("success", "drift in prod", False, True),
            ("success", "", False, False),
            ("success", "drift in prod", True, False),
            ("failure", "", False, False),
            ("skipped", "", False, False),
        ]
    ],
    ("retrain", "plan"): [*ON_MAIN, (CLOCK, {}, False, True)],
    ("retrain", "retrain"): [
        (CLOCK, {"plan": said("success", start="true")}, False, True),
        (CLOCK, {"plan": said("success", start="false")}, False, False),
        (CLOCK, {"plan": said("failure")}, False, False),
    ],
    ("retrain", "propose"): [
        (CLOCK, {"retrain": said("success", branch="retrain/x")}, False, True),
        (CLOCK, {"retrain": said("success", branch="")}, False, False),
        (CLOCK, {"retrain": said("failure")}, False, False),
        (CLOCK, {"retrain": said("skipped")}, False, False),
    ],
    ("retrain", "tell"): [
        (event, {"plan": said("success"), "retrain": said(retrain)}, cancelled, runs)
        for event, retrain, cancelled, runs in [
            (events.dispatch(sha=SHA, issues="1 2"), "success", False, True),
            (events.dispatch(sha=SHA, issues="1 2"), "failure", False, True),
            (events.dispatch(sha=SHA, issues="1 2"), "skipped", False, True),
            (events.dispatch(sha=SHA, issues="1 2"), "failure", True, False),
            (BUTTON, "success", False, False),
            (CLOCK, "success", False, False),
        ]
    ],
    ("template-update", "update"): [row for row in ON_MAIN if row[0] is not PUSH],
    ("template-update", "propose"): [
        (CLOCK, {"update": said("success", branch="update/0.3.0")}, False, True),
        (CLOCK, {"update": said("success", branch="")}, False, False),
        (CLOCK, {"update": said("failure", branch="update/0.3.0")}, False, False),
        (CLOCK, {"update": said("skipped")}, False, False),
    ],
    ("batch", "score"): [row for row in ON_MAIN if row[0] is not PUSH],
    ("promote", "promote"): [row for row in ON_MAIN if row[0] is not PUSH],
    ("rollback", "rollback"): [row for row in ON_MAIN if row[0] is not PUSH],
    ("ci", "lint"): CHECKED,
    ("ci", "test"): CHECKED,
    ("ci", "pipeline"): CHECKED,
    # It judges also what does not pass the pipeline, and what skips it.
    ("ci", "judge"): [
        (SAME, {"changes": said("success", code, judged=judged), "pipeline": said(of)}, gone, runs)
        for code, judged, of, gone, runs in [
            ("true", "true", "success", False, True),
            ("true", "true", "failure", False, True),
            ("false", "true", "skipped", False, True),
            ("false", "false", "skipped", False, False),
            ("true", "true", "success", True, False),
        ]
    ],
    ("ci", "sign-off"): [
        (event, {"changes": said("success", released=released)}, gone, runs)
        for event in (SAME, FORK, QUEUE)
        for released, gone, runs in [
            ("true", False, True),
            ("false", False, False),
            ("true", True, False),
        ]
    ],
    ("sign-off", "again"): [
        (events.review(), {}, False, True),
        (events.review("changes_requested"), {}, False, True),
        (events.review("dismissed", action="dismissed"), {}, False, True),
        (events.review("commented"), {}, False, False),
        (events.review(head="grace/flight-delays"), {}, False, False),
        (PUSH, {}, False, False),
    ],
    ("sign-off", "record"): [(PUSH, {}, False, True), (events.review(), {}, False, False)],
    ("ci", "comment"): [
        (event, {"pictures": said(result)}, cancelled, result == "success" and not cancelled)
        for event in (SAME, FORK, PUSH)
        for result in ("success", "failure", "skipped")
        for cancelled in (False, True)
    ],
    ("ci", "pictures"): [
        (SAME, {"pipeline": said("success")}, False, True),
        (SAME, {"pipeline": said("failure")}, False, True),
        (SAME, {"pipeline": said("skipped")}, False, False),
        (SAME, {"pipeline": said("success")}, True, False),
        (FORKED, {"pipeline": said("success")}, False, True),
        (FORK, {"pipeline": said("success")}, False, False),
        (GONE, {"pipeline": said("success")}, False, False),
        (BOT, {"pipeline": said("success")}, False, False),
        (QUEUE, {"pipeline": said("success")}, False, False),
        (PUSH, {"pipeline": said("success")}, False, False),
        (FIRST, {"pipeline": said("success")}, False, False),
        (BUTTON, {"pipeline": said("success")}, False, False),
    ],
    ("ci", "gate"): [
        (event, {"pipeline": said(result)}, cancelled, True)
        for event in (SAME, FORK, BOT, QUEUE, PUSH, FIRST, BUTTON)
        for result in ("success", "failure", "cancelled", "skipped")
        for cancelled in (False, True)
    ],
    ("docs", "publish"): [
        *[(event, {"build": said("success")}, gone, runs) for event, _, gone, runs in ON_MAIN],
        (SAME, {"build": said("success")}, False, False),
        (FORK, {"build": said("success")}, False, False),
        (PUSH, {"build": said("failure")}, False, False),
        (PUSH, {"build": said("success")}, True, False),
    ],
    ("report-cleanup", "remove"): [
        (replace(SAME, payload={**SAME.payload, "action": "closed"}), {}, False, True),
        (FORK, {}, False, False),
    ],
}
# The variables that the owner has set where a job runs.
VARIABLES = {("docs", "publish"): {"DOCS_PAGES": "true"}}
# The steps with a condition, by what it is: when the job fails before it, and when it is cancelled.
MADE = {"made": {"outputs": {"save": "true"}}}
STEPS = {
    "!cancelled()": (True, False),
    "!cancelled() && steps.made.outputs.save == 'true'": (True, False),
}
# Those that look at what was found out, with what lets the step run and what does not.
WANTED = "steps.wanted.outputs"
REACHED = "steps.log.outputs.reached"


def log(reached: str) -> dict[str, Any]:
    """Return the steps of a job that looked whether a log can be reached."""
    return {"log": {"outputs": {"reached": reached}}}


DECIDED: dict[str, list[tuple[Event, dict[str, Any], bool]]] = {
    f"{WANTED}.image != ''": [
        (PUSH, {"steps": {"wanted": {"outputs": {"image": image}}}}, bool(image))
        for image in ("i", "")
    ],
    f"{WANTED}.image != '' && {WANTED}.apply == 'true'": [
        (PUSH, {"steps": {"wanted": {"outputs": {"image": image, "apply": apply}}}}, runs)
        for image, apply, runs in [("i", "true", True), ("", "true", False), ("i", "false", False)]
    ],
    f"{WANTED}.apply == 'true'": [
        (PUSH, {"steps": {"wanted": {"outputs": {"apply": apply}}}}, apply == "true")
        for apply in ("true", "false")
    ],
    f"github.event_name == 'schedule' && {WANTED}.apply == 'true'": [
        (event, {"steps": {"wanted": {"outputs": {"apply": "true"}}}}, event is CLOCK)
        for event in (CLOCK, PUSH, BUTTON)
    ],
    f"{WANTED}.url != ''": [
        (PUSH, {"steps": {"wanted": {"outputs": {"url": url}}}}, bool(url)) for url in ("u", "")
    ],
    f"!cancelled() && (failure() || {WANTED}.apply == 'true' || {WANTED}.url != '')": [
        (
            PUSH,
            {"steps": {"wanted": {"outputs": {"apply": apply, "url": url}}}, "needs": needs},
            runs,
        )
        for apply, url, needs, runs in [
            ("true", "", {}, True),
            ("false", "u", {}, True),
            ("false", "", {}, False),
            ("false", "", {"before": said("failure")}, True),
        ]
    ],
    f"{REACHED} == 'true'": [
        (CLOCK, {"steps": log(reached)}, reached == "true") for reached in ("true", "false")
    ],
    f"failure() && {REACHED} == 'true'": [
        (CLOCK, {"steps": log(reached), "needs": {"before": said(before)}}, runs)
        for reached, before, runs in [
            ("true", "failure", True),
            ("true", "success", False),
            ("false", "failure", False),
        ]
    ],
    f"!cancelled() && {REACHED} == 'true'": [
        (CLOCK, {"steps": log(reached), "needs": {"before": said(before)}}, reached == "true")
        for reached in ("true", "false")
        for before in ("success", "failure")
    ],
    "steps.train.outputs.branch != ''": [
        (CLOCK, {"steps": {"train": {"outputs": {"branch": branch}}}}, bool(branch))
        for branch in ("retrain/x", "")
    ],
    **{
        f"steps.train.outputs.branch != '' && vars.{name} != ''": [
            (
                CLOCK,
                {"steps": {"train": {"outputs": {"branch": branch}}}, "vars": {name: value}},
                bool(branch and value),
            )
            for branch in ("retrain/x", "")
            for value in ("known", "")
        ]
        for name in ("AWS_ROLE", "GCP_PROVIDER", "AZURE_CLIENT_ID")
    },
    "steps.merge.outputs.branch != ''": [
        (CLOCK, {"steps": {"merge": {"outputs": {"branch": branch}}}}, bool(branch))
        for branch in ("update/0.3.0", "")
    ],
    "needs.plan.outputs.attest == 'true'": [
        (PUSH, {"needs": {"plan": said("success", attest=attest)}}, attest == "true")
        for attest in ("true", "false")
    ],
    "github.event_name == 'push' && needs.report.outputs.failed != ''": [
        (event, {"needs": {"report": said("success", failed=failed)}}, runs)
        for event, failed, runs in [(PUSH, "dev", True), (PUSH, "", False), (CLOCK, "dev", False)]
    ],
    "vars.APP_ID != '' && steps.propose.outputs.url != ''": [
        (PUSH, {"vars": known, "steps": {"propose": {"outputs": {"url": url}}}}, runs)
        for known, url, runs in [
            ({"APP_ID": "1"}, "u", True),
            ({}, "u", False),
            ({"APP_ID": "1"}, "", False),
        ]
    ],
}
# Those of the project's own actions: a context that lets the step run, and one that does not.
INPUTS = {
    "inputs.data == 'true'": ({"data": "true"}, {"data": "false"}),
    "inputs.role != ''": ({"role": "r"}, {"role": ""}),
    "inputs.provider != ''": ({"provider": "p"}, {"provider": ""}),
    "inputs.client-id != ''": ({"client-id": "c"}, {"client-id": ""}),
    "inputs.key != ''": ({"key": "k"}, {"key": ""}),
    "startsWith(inputs.address, 'ssh://')": (
        {"address": "ssh://me@there"},
        {"address": "unix:///run/docker.sock"},
    ),
    "inputs.app != ''": ({"app": "a"}, {"app": ""}),
    "inputs.app == ''": ({"app": ""}, {"app": "a"}),
}


@needs_npm
@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_runs_when_it_should(
    baked: Callable[..., Path], evaluate: Evaluate, workflow: str, job: str
) -> None:
    jobs = Workflow.read(baked() / ".github" / "workflows" / f"{workflow}.yml").jobs
    for event, needs, cancelled, runs in JOBS[workflow, job]:
        needed = jobs[job].get("needs", [])
        assert set(needs) <= {*([needed] if isinstance(needed, str) else needed)}
        text = condition(str(jobs[job]["if"]))
        known = VARIABLES.get((workflow, job), {})
        answer = evaluate(text, event, cancelled=cancelled, needs=needs, vars=known)
        assert answer == runs, (event.name, needs, cancelled)


@needs_npm
@pytest.mark.parametrize(("value", "runs"), [("true", True), ("false", False), ("", False)])
def test_each_hour_costs_minutes_only_where_that_is_wanted(
    baked: Callable[..., Path], evaluate: Evaluate, value: str, runs: bool
) -> None:
    workflow = Workflow.read(baked() / ".github" / "workflows" / "deploy.yml")
    crons = [each["cron"] for each in workflow.content["on"]["schedule"]]
    assert crons == [CLOCK.payload["schedule"], "23 * * * *"]
    hourly = events.schedule(SHA, crons[1])
    text = condition(workflow.jobs["plan"]["if"])
    assert evaluate(text, hourly, vars={"HOURLY": value}) is runs
    assert evaluate(text, CLOCK, vars={"HOURLY": value}) is True


@needs_npm
@pytest.mark.parametrize("value", [None, "", "false"])
def test_pages_are_published_only_where_the_owner_says_so(
    baked: Callable[..., Path], evaluate: Evaluate, value: str | None
) -> None:
    known = {} if value is None else {"DOCS_PAGES": value}
    for root in (baked(), helpers.ROOT):
        jobs = Workflow.read(root / ".github" / "workflows" / "docs.yml").jobs
        text = condition(str(jobs["publish"]["if"]))
        assert not evaluate(text, PUSH, needs={"build": said("success")}, vars=known)


@needs_npm
@pytest.mark.parametrize("text", STEPS)
def test_a_step_runs_when_it_should(evaluate: Evaluate, text: str) -> None:
    failed, cancelled = STEPS[text]
    before = {"before": said("failure")}
    assert evaluate(condition(text), SAME, needs=before, steps=MADE) == failed
    assert evaluate(condition(text), SAME, cancelled=True, steps=MADE) == cancelled
    if "made" in text:
        assert not evaluate(condition(text), SAME, steps={})


@needs_npm
@pytest.mark.parametrize("text", DECIDED)
def test_a_step_runs_by_what_was_found_out(evaluate: Evaluate, text: str) -> None:
    for event, contexts, runs in DECIDED[text]:
        assert evaluate(condition(text), event, **contexts) == runs, (event.name, contexts)


@needs_npm
@pytest.mark.parametrize("text", INPUTS)
def test_a_step_of_the_action_runs_when_it_should(evaluate: Evaluate, text: str) -> None:
    for inputs, runs in zip(INPUTS[text], (True, False), strict=True):
        assert evaluate(condition(text), SAME, inputs=inputs) == runs


@pytest.mark.parametrize("remote", REMOTES)
def test_every_condition_has_its_table(baked: Callable[..., Path], remote: str) -> None:
    folder = baked(data_remote=remote) / ".github"
    for path in folder.glob("workflows/*.yml"):
        for job, content in Workflow.read(path).jobs.items():
            assert "if" not in content or (path.stem, job) in JOBS
            assert set(conditions(content.get("steps"))) <= {*STEPS, *DECIDED}
    for path in folder.glob("actions/*/action.yml"):
        assert set(conditions(helpers.load_yaml(path.read_text(encoding="utf-8")))) <= set(INPUTS)


@needs_npm
@pytest.mark.parametrize(
    ("event", "base"),
    [
        (SAME, "refs/remotes/origin/main"),
        (FORK, "refs/remotes/origin/main"),
        (BOT, "refs/remotes/origin/main"),
        (events.pull_request(base="release"), "refs/remotes/origin/release"),
        (QUEUE, "cd" * 20),
        (PUSH, "ef" * 20),
        (FIRST, ZEROS),
        (BUTTON, "refs/remotes/origin/main"),
        (events.dispatch(branch="topic"), "refs/remotes/origin/main"),
    ],
)
def test_the_champion_is_what_would_be_replaced(
    baked_ci: Workflow, evaluate: Evaluate, event: Event, base: str
) -> None:
    assert evaluate(bare(baked_ci.content["env"]["BASE"]), event) == base


@needs_npm
@pytest.mark.parametrize(
    ("event", "allowed"),
    [
        (SAME, True),
        (FORKED, True),
        (FORK, False),
        (GONE, False),
        (QUEUE, True),
        (PUSH, True),
        (FIRST, True),
        (BUTTON, True),
    ],
)
@pytest.mark.parametrize(
    ("remote", "key"), [("s3", "role"), ("gs", "provider"), ("azure", "client-id")]
)
def test_a_run_of_a_fork_does_not_ask_for_the_data(
    baked: Callable[..., Path],
    evaluate: Evaluate,
    event: Event,
    allowed: bool,
    remote: str,
    key: str,
) -> None:
    path = baked(data_remote=remote) / ".github" / "workflows" / "ci.yml"
    found = [
        bare(step["with"][key])
        for job in Workflow.read(path).jobs.values()
        for step in job["steps"]
        if key in step.get("with", {})
    ]
    assert found
    for text in found:
        (name,) = re.findall(r"vars\.(\w+)", text)
        assert evaluate(text, event, vars={name: "who"}) == ("who" if allowed else "")
        assert evaluate(text, event, vars={}) == ""


# Filters of `on:`.


def starts(on: Any, event: Event, file: str = "src/x.py") -> bool:
    """Tell whether an event, which changed a file, starts a workflow with these triggers."""
    triggers = {on: None} if isinstance(on, str) else on
    triggers = dict.fromkeys(on) if isinstance(on, list) else triggers
    if event.name not in triggers:
        return False
    filters = triggers[event.name] or {}
    if event.name in ("schedule", "workflow_dispatch"):
        return True
    known = {"branches", "paths", "paths-ignore", "tags", "types"}
    assert set(filters) <= known, f"no test knows {filters}"
    if not _touches(filters.get("paths", ["**"]), file):
        return False
    if _touches(filters.get("paths-ignore", []), file):
        return False
    if event.name == "pull_request_review":
        return event.payload["action"] in filters["types"]
    if event.name == "pull_request":
        types = filters.get("types", ["opened", "synchronize", "reopened"])
        branch = event.payload["pull_request"]["base"]["ref"]
        return event.payload["action"] in types and _fits(filters.get("branches", ["**"]), branch)
    if event.name == "push" and ("branches" in filters or "tags" in filters):
        kind, _, name = event.ref.removeprefix("refs/").partition("/")
        return _fits(filters.get({"heads": "branches", "tags": "tags"}[kind], []), name)
    return True


def _touches(patterns: list[str], file: str) -> bool:
    """Tell whether a pattern fits a path: two stars are for any text, one stops at a slash."""
    return any(
        re.fullmatch(re.escape(each).replace(r"\*\*", ".*").replace(r"\*", "[^/]*"), file)
        for each in patterns
    )


def _fits(patterns: list[str], name: str) -> bool:
    """Tell whether a pattern fits; a single star stops at a slash."""
    slashes = name.count("/")
    return any(
        fnmatch.fnmatchcase(name, pattern) and ("**" in pattern or pattern.count("/") == slashes)
        for pattern in patterns
    )


TAG = replace(FIRST, ref="refs/tags/v0.2.0")


@pytest.mark.parametrize(
    ("workflow", "event", "started"),
    [
        *[
            ("ci", events.pull_request(action=a), True)
            for a in ("opened", "synchronize", "reopened", "edited", "ready_for_review")
        ],
        *[("ci", events.pull_request(action=a), False) for a in ("closed", "labeled")],
        # A green check for another base counts for nothing; `edited` starts it when that changes.
        ("ci", events.pull_request(base="release"), False),
        ("ci", FORK, True),
        ("ci", QUEUE, True),
        ("ci", PUSH, True),
        ("ci", FIRST, True),
        ("ci", BUTTON, True),
        ("ci", events.push(branch="topic"), False),
        # Else pictures would be tested, and what tests them would push pictures.
        ("ci", events.push(branch="report-pictures/1"), False),
        ("ci", TAG, False),
        ("report-cleanup", events.pull_request(action="closed"), True),
        ("report-cleanup", events.pull_request(action="synchronize"), False),
        ("report-cleanup", PUSH, False),
        ("sign-off", events.review(), True),
        ("sign-off", events.review("dismissed", action="dismissed"), True),
        ("sign-off", events.review(action="edited"), False),
        ("sign-off", SAME, False),
        ("sign-off", PUSH, False),  # no environment changed
        ("docs", SAME, False),  # no page changed
        ("docs", BUTTON, True),
    ],
)
def test_an_event_starts_a_workflow(
    baked: Callable[..., Path], workflow: str, event: Event, started: bool
) -> None:
    path = baked() / ".github" / "workflows" / f"{workflow}.yml"
    assert starts(Workflow.read(path).content["on"], event) == started


BUILDS, DEPLOYS, NEITHER = (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("file", "started"),
    [
        ("src/x/features.py", BUILDS),
        ("mlops/src/mlops/data/contract.py", BUILDS),
        ("dvc.lock", BUILDS),
        ("params.yaml", BUILDS),
        ("uv.lock", BUILDS),
        ("packages.txt", BUILDS),
        ("data/raw/provenance.json", BUILDS),
        ("deploy/images/serving.Dockerfile", (True, True)),
        ("deploy/compose.server.yaml", DEPLOYS),
        ("deploy/k8s/base/service.yaml", DEPLOYS),
        ("environments/prod/release.env", DEPLOYS),
        ("environments/prod/config.env", DEPLOYS),
        ("releases/r1.json", NEITHER),
        ("docs/decisions.md", NEITHER),
        ("mlops/docs/cd.md", NEITHER),
        ("README.md", NEITHER),
        ("tests/unit/test_x.py", NEITHER),
        (".github/workflows/ci.yml", NEITHER),
    ],
)
def test_a_file_that_was_merged_starts_what_it_matters_to(
    baked: Callable[..., Path], file: str, started: tuple[bool, bool]
) -> None:
    folder = baked() / ".github" / "workflows"
    cd, deploy = (Workflow.read(folder / f"{each}.yml").content["on"] for each in ("cd", "deploy"))
    assert (starts(cd, PUSH, file), starts(deploy, PUSH, file)) == started
    docs = Workflow.read(folder / "docs.yml").content["on"]
    for event in (SAME, PUSH):
        assert starts(docs, event, file) == file.endswith(".md")
    noted = Workflow.read(folder / "sign-off.yml").content["on"]
    assert starts(noted, PUSH, file) == (file == "environments/prod/release.env")
    assert not starts(cd, SAME, file)
    assert not starts(deploy, SAME, file)


@pytest.mark.parametrize(
    ("workflow", "started"),
    [
        ("cd", (True, False)),
        ("deploy", (True, True)),
        ("promote", (True, False)),
        ("rollback", (True, False)),
    ],
)
def test_a_person_or_the_clock_starts_a_workflow(
    baked: Callable[..., Path], workflow: str, started: tuple[bool, bool]
) -> None:
    on = Workflow.read(baked() / ".github" / "workflows" / f"{workflow}.yml").content["on"]
    assert (starts(on, BUTTON), starts(on, CLOCK)) == started


@pytest.mark.parametrize(
    ("workflow", "event", "started"),
    [
        ("ci", SAME, True),
        ("ci", PUSH, True),
        ("ci", TAG, False),
        ("release", TAG, True),
        ("release", PUSH, False),
    ],
)
def test_an_event_starts_a_workflow_of_the_template(
    workflow: str, event: Event, started: bool
) -> None:
    path = helpers.ROOT / ".github" / "workflows" / f"{workflow}.yml"
    assert starts(Workflow.read(path).content["on"], event) == started
