"""The baked `ci` and `report-cleanup` workflows, executed: what people read, and what is stopped.

All jobs run in each scenario; only the first one lints and tests the project, the others have that
done in no time.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from helpers import load_yaml
from pipeline.running import STAGES
from workflows import events
from workflows.act import Outcome, Workflow, needs_act
from workflows.world import World, git

pytestmark = needs_act

MARKER = "<!-- mlops report -->"
REPRODUCE = "Reproduce what is out of date"
LOCK = "Does dvc.lock fit, and is all that it names stored?"
CHECK = "Let only a short text and small pictures through"
JUDGE = "Judge"
SIGN_OFF = "ci/sign-off: "
COMMENT = "Comment, or update the comment"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]


def quick(world: World, *others: str) -> Workflow:
    """Return ci without what linting and testing the project takes, nor what other jobs do."""
    workflow = world.workflow()
    names = ("lint", "test", *others)
    idle = {job: workflow.jobs[job] | {"steps": [{"run": "true"}]} for job in names}
    return workflow.with_jobs(workflow.jobs | idle)


def results(done: Outcome) -> str:
    """Return the results of all jobs in one line."""
    return " ".join(f"{job}={done.jobs[job]}" for job in sorted(done.jobs))


def all_of(result: str, **others: str) -> str:
    """Return what `results` says where all jobs but the others have a result."""
    jobs = dict.fromkeys(
        ("changes", "comment", "gate", "judge", "lint", "pictures", "pipeline", "test"), result
    )
    jobs["sign-off"] = "skipped"  # where no environment gets another release
    return " ".join(f"{job}={result}" for job, result in sorted({**jobs, **others}.items()))


def ran(done: Outcome) -> list[str]:
    """Return the stages that DVC ran."""
    return re.findall(r"^Running stage '(\w+)':", done.log("pipeline", REPRODUCE), re.MULTILINE)


def comment(world: World, number: int = 1) -> str:
    """Return the only report among the comments."""
    (found,) = (body for body in world.github.bodies(number) if MARKER in body)
    return str(found)


def hashes(world: World, branch: str) -> dict[str, str]:
    """Return the hash of each output in a branch's dvc.lock."""
    lock = load_yaml(world.show(branch, "dvc.lock"))
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def cached(world: World) -> set[str]:
    """Return the hashes of the objects that runs saved for later ones."""
    found = world.caches.glob("*/.dvc/cache/files/md5/??/*")
    return {f"{path.parent.name}{path.name}" for path in found}


def test_a_better_model_is_reported_with_pictures_and_may_be_merged(world: World) -> None:
    world.start("worse")
    done = world.run(world.pull_request("better"))
    assert results(done) == all_of("success"), done.told
    assert re.search(r"\d+ passed", done.log("test", "Test"))
    assert ran(done) == []

    body = comment(world)
    assert "### ✅ Better: <code>roc&#95;auc</code> rose " in body
    assert "CML watermark report" in body
    pictures = git(world.origin, "ls-tree", "--name-only", "report-pictures/1").split()
    assert "roc.png" in pictures
    commit = world.commit("report-pictures/1")
    for name in pictures:
        assert world.show("report-pictures/1", name).startswith(b"\x89PNG\r\n\x1a\n")
        address = f"{world.github.url}/{events.REPOSITORY}/blob/{commit}/{name}?raw=true"
        tag = 'source media="(prefers-color-scheme: dark)" srcset' if "-dark" in name else "img src"
        assert f'<{tag}="{address}"' in body
    assert 2 * body.count("<img") == 2 * body.count("<source") == len(pictures)
    assert "✅ Better: " in done.summaries["pipeline"]
    assert "<img" not in done.summaries["pipeline"]

    # Somebody pushes again: the same comment, and the pictures of this time only.
    again = world.run(world.pull_request("better"), quick(world))
    assert results(again) == all_of("success"), again.told
    assert "✅ Better: " in comment(world)
    assert len(world.github.bodies(1)) == 1
    assert git(world.origin, "rev-list", "--count", "report-pictures/1") == "1"
    assert [each for each in world.unneeded("ci") if not each.startswith(SIGN_OFF)] == []


def test_a_worse_model_cannot_be_merged(world: World) -> None:
    done = world.run(world.pull_request("worse"), quick(world))
    assert results(done) == all_of("success", judge="failure", gate="failure"), done.told
    assert done.steps["judge"][JUDGE] == "failure"
    assert "roc_auc: " in done.log("judge", JUDGE)
    assert "is worse than the champion's" in done.log("judge", JUDGE)
    assert "\n- roc_auc: " in comment(world)
    assert "### ❌ Do not merge: <code>roc&#95;auc</code> fell " in comment(world)
    assert "Before it can be merged:" in comment(world)
    assert comment(world).count("<img") > 3


def test_a_change_that_does_not_matter_to_the_model_runs_and_fetches_nothing(world: World) -> None:
    done = world.run(world.pull_request("tests"), quick(world))
    assert results(done) == all_of("success"), done.told
    assert ran(done) == []
    log = done.log("pipeline", REPRODUCE)
    assert [f"Stage '{stage}' didn't change, skipping" in log for stage in STAGES] == [True] * 7
    assert not cached(world) & set(hashes(world, "main").values())
    assert "No difference: the model is the same file" in comment(world)
    assert "could not be published" not in done.log("pictures"), "there are no pictures"
    assert "report-pictures/1" not in world.branches()


def test_an_environment_edited_by_hand_cannot_be_merged(world: World) -> None:
    """What is about environments alone is judged and nothing else: a rollback must not wait."""
    done = world.run(world.pull_request("edited"))
    red = dict.fromkeys(("judge", "sign-off", "gate"), "failure")
    assert results(done) == all_of("skipped", changes="success", **red), done.told
    assert "there is no releases/by-hand.json" in done.log("judge", JUDGE)
    assert "there is no releases/by-hand.json" in done.summaries["judge"]
    assert done.outputs["changes", "differ"] == {
        "code": "false",
        "judged": "true",
        "released": "true",
    }
    assert [each for each in world.unneeded("ci") if each.startswith(SIGN_OFF)] == []


def test_documentation_alone_is_not_tested(world: World) -> None:
    done = world.run(world.pull_request("docs"))
    skipped = dict.fromkeys(("lint", "test", "pipeline", "judge", "pictures", "comment"), "skipped")
    assert results(done) == all_of("success", **skipped), done.told
    assert done.outputs["changes", "differ"] == {
        "code": "false",
        "judged": "false",
        "released": "false",
    }
    assert world.github.calls == []


def test_a_stale_lock_is_told_with_the_command_that_mends_it(world: World) -> None:
    done = world.run(world.pull_request("stale"), quick(world))
    assert results(done) == all_of(
        "success", pipeline="failure", judge="failure", gate="failure"
    ), done.told
    assert done.steps["pipeline"][LOCK] == "failure"
    assert ran(done) == []
    for said in (done.log("pipeline", LOCK), comment(world)):
        assert "dvc.lock is stale: train (estimators.boosting" in said
        assert "uv run dvc repro" in said
    assert "Before it can be merged:" in comment(world)


def test_a_forgotten_push_is_told_with_what_is_missing(world: World) -> None:
    onnx = hashes(world, "worse")["models/model.onnx"]
    (world.store / "files" / "md5" / onnx[:2] / onnx[2:]).unlink()
    done = world.run(world.pull_request("worse"), quick(world))
    assert results(done) == all_of(
        "success", pipeline="failure", judge="failure", gate="failure"
    ), done.told
    for said in (done.log("pipeline", LOCK), comment(world)):
        assert "not in the remote: models/model.onnx." in said
        assert "uv run dvc push" in said


def test_a_fork_gets_its_report_without_a_token_that_writes(world: World) -> None:
    before = world.branches()
    done = world.run(world.pull_request("tests", head="grace/flight-delays"), quick(world))
    assert results(done) == all_of("success", comment="skipped", pictures="skipped"), done.told
    assert world.github.calls == []
    assert world.branches() == before
    assert "No difference: the model is the same file" in done.summaries["pipeline"]
    kept = (world.artifacts / "report" / "report.md").read_text(encoding="utf-8")
    assert "No difference: the model is the same file" in kept


def test_the_first_push_makes_everything_and_says_what_to_commit(world: World) -> None:
    world.start("first")
    world.disconnect()
    done = world.run(events.push(world.commit("main")), quick(world))
    assert results(done) == all_of("success", comment="skipped", pictures="skipped"), done.told
    assert ran(done) == STAGES
    assert cached(world), "what pull requests start from"
    summary = done.summaries["pipeline"]
    assert "no champion yet: this is the first model" in summary
    assert "There is no dvc.lock in Git yet" in summary
    assert "git add dvc.lock reports" in summary


def test_models_are_made_again_where_the_remote_is_out_of_reach(world: World) -> None:
    world.disconnect()
    event = world.pull_request("worse")
    done = world.run(event, quick(world))
    assert results(done) == all_of("success", judge="failure", gate="failure"), done.told
    assert ran(done) == []
    assert "the remote was not asked: " in done.log("pipeline", LOCK)
    assert "### ❌ Do not merge: <code>roc&#95;auc</code> fell " in comment(world)
    for who in ("champion", "challenger"):
        assert f"The {who} was made again from its commit" in comment(world)
    assert "making the model of" in done.log("pipeline", "Report")
    assert "making the model of" not in done.log("judge")
    assert "is worse than the champion's" in done.log("judge", JUDGE)

    # The next run finds them in the cache, under the very key: the key is of nothing but the data.
    again = world.run(event, quick(world))
    assert results(again) == results(done), again.told
    assert again.outputs["pipeline", "setup"]["cache-hit"] == "true"
    assert len([*world.caches.iterdir()]) == 1
    assert "making the model of" not in again.log("pipeline", "Report")


# What judges is never what is judged.

SOURCES = "mlops/src/mlops"
# What a change does to the engine so that it may pass: where it begins, file, old and new text.
LOOSENED = {
    "gates": (
        "worse",
        "judging/gate.py",
        "    found = [*_out_of_bounds(",
        "    return []\n    found = [*_out_of_bounds(",
    ),
    "bounds": (
        "main",
        "config/gates.py",
        "        if self.min is None and self.max is None:",
        "        if True:",
    ),
    "reading": (
        "edited",
        "git/revision.py",
        "        content = self.read_bytes(path)",
        "        content = self.read_bytes(path) if path.name != 'release.env' else None",
    ),
}


# What the judge says of a change that begins there, and also demands of roc_auc what none reaches.
REFUSED = {
    "worse": "is worse than the champion's",
    "edited": "there is no releases/by-hand.json",
    "main": "is below 0.999",
}


def judging(world: World) -> Workflow:
    """Return ci with nothing but what the judge needs."""
    workflow = world.workflow()
    jobs = workflow.only("judge").jobs
    return workflow.with_jobs(jobs | {"changes": workflow.jobs["changes"]})


def propose(
    world: World, name: str, start: str, file: str, old: str, new: str, **params: float
) -> None:
    """Push a branch that begins at another one, and changes a file of the engine and params."""
    project = world.project
    project.git("fetch", "--quiet", "origin")
    project.git("checkout", "--quiet", "--force", "-B", name, f"origin/{start}")
    path = project.folder / SOURCES / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    project.set("params.yaml", **params)
    project.commit()
    project.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")


@pytest.mark.parametrize("what", LOOSENED)
def test_a_change_is_not_judged_by_its_own_engine(world: World, what: str) -> None:
    start, file, old, new = LOOSENED[what]
    demanded = {"gates__roc_auc__min": 0.999} if start == "main" else {}
    propose(world, "loosened", start, file, old, new, **demanded)
    done = world.run(world.pull_request("loosened"), judging(world))
    assert done.jobs["judge"] == "failure", done.told
    told = done.log("judge", JUDGE)
    assert f"judged by the engine of {world.commit('main')[:7]}" in told
    assert f"which differs in {SOURCES}/{file}, had no say" in told
    assert REFUSED[start] in told
    # That it would have passed: the change's own engine judges where it is what is beside it.
    own = judging(world)
    own = own.changing(
        "judge", "Check the base out beside it", "then commit=$BASE", "then commit=HEAD"
    )
    done = world.run(world.pull_request("loosened"), own)
    assert done.jobs["judge"] == "success", done.told


def test_where_the_base_cannot_read_a_change_its_own_engine_judges_and_says_so(
    world: World,
) -> None:
    old = "    max: Finite | None = None\n"
    new = f"{old}    goal: float | None = None\n"
    propose(world, "newer", "main", "config/gates.py", old, new, gates__roc_auc__goal=0.9)
    done = world.run(world.pull_request("newer"), judging(world))
    assert done.jobs["judge"] == "success", done.told
    told = done.log("judge", JUDGE)
    assert "params.yaml: gates.roc_auc.goal: unknown" in told
    assert "the engine of the base cannot read this change; the change's own judges" in told
    assert "whoever owns it has to approve" in told


# The last two jobs alone, with reports that never saw the pipeline, folded as comment.md does.
REPORT = b"""# Well done

<details><summary><b>Plots</b></summary>

<picture><source srcset="roc-dark.png"><img src="roc.png" alt=""></picture>

</details>

The end.
"""


def brought(world: World, artifact: str, **files: bytes) -> None:
    """Put files into an artifact; two underscores in a name stand for a dot."""
    folder = world.artifacts / artifact
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)


def pictures_job(world: World, workflow: Workflow | None = None) -> Outcome:
    """Run what checks the report and publishes its pictures."""
    brought(world, "report", report__md=REPORT, roc__png=PNG)
    return world.run_on(events.pull_request(), (workflow or world.workflow()).only("pictures"))


def comment_job(
    world: World, cml: str = "works", workflow: Workflow | None = None, text: bytes = REPORT
) -> Outcome:
    """Run what comments."""
    brought(world, "comment", report__md=text)
    jobs = workflow or world.workflow()
    return world.run_on(events.pull_request(), jobs.only("comment"), cml)


def test_a_comment_that_is_cmls_stays_cmls(world: World) -> None:
    for _ in range(2):
        assert comment_job(world).jobs["comment"] == "success"
    agents = {call.agent for call in world.github.calls if call.method in ("POST", "PATCH")}
    assert {"octokit" in agent for agent in agents} == {True}
    assert [call.method for call in world.github.calls if call.body] == ["POST", "PATCH"]
    assert "Well done" in comment(world)


@pytest.mark.parametrize("others", [28, 29, 30, 40, 250])
def test_among_many_comments_there_is_one_report(world: World, others: int) -> None:
    world.github.add_comments(1, *["me too"] * others)
    for text in (b"first", b"second", b"third"):
        assert comment_job(world, text=text).jobs["comment"] == "success"
    assert "third" in comment(world)
    assert len(world.github.bodies(1)) == others + 1


def test_cml_may_come_late(world: World) -> None:
    world.github.add_comments(1, *["me too"] * 20)
    for cml in ("missing", "works", "fails"):
        assert comment_job(world, cml).jobs["comment"] == "success"
    assert "Well done" in comment(world)


def test_a_report_that_somebody_else_quotes_is_left_alone(world: World) -> None:
    world.github.add_comments(1, f"look at this: {MARKER}")
    assert comment_job(world, "missing").jobs["comment"] == "success"
    quoted, ours = world.github.bodies(1)
    assert quoted.startswith("look at this")
    assert "Well done" in ours


@pytest.mark.parametrize("cml", ["missing", "fails"])
def test_gh_comments_where_cml_does_not(world: World, cml: str) -> None:
    done = comment_job(world, cml, text=b"first")
    assert done.jobs["comment"] == "success", done.told
    assert done.steps["comment"]["Set up CML"] == ("failure" if cml == "missing" else "success")
    assert ("CML failed; commenting with gh" in done.log("comment", COMMENT)) == (cml == "fails")
    assert comment_job(world, cml, text=b"second").jobs["comment"] == "success"
    assert "second" in comment(world)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("status", "said"), [(403, "Resource not accessible by integration"), (500, "Server Error")]
)
def test_a_comment_that_cannot_be_posted_is_a_failure_that_says_why(
    world: World, method: str, status: int, said: str
) -> None:
    world.github.faults[method] = status
    done = comment_job(world)
    assert done.jobs["comment"] == "failure"
    assert f"{said} (HTTP {status})" in done.log("comment", COMMENT)
    assert world.github.bodies(1) == []


def test_a_pull_request_whose_pipeline_fails_gets_its_comment(world: World) -> None:
    brought(world, "report", report__md=b"cannot be merged")
    ci = world.workflow()
    failed = ci.only("pictures", result="failure")
    workflow = ci.with_jobs({**failed.jobs, "comment": ci.jobs["comment"]})
    done = world.run_on(events.pull_request(), workflow)
    well = {"pictures": "success", "comment": "success"}
    assert done.jobs == {"pipeline": "failure", "judge": "failure", **well}, done.told
    assert "cannot be merged" in comment(world)


def test_without_a_report_there_is_nothing_to_say(world: World) -> None:
    done = world.run(events.pull_request(), world.workflow().only("pictures"))
    assert done.jobs["pictures"] == "failure"
    assert "Artifact not found for name: report" in done.log("pictures")
    assert world.github.calls == []


HOSTILE: dict[str, tuple[str, bytes | Path | None, str]] = {
    "a picture that is none": ("roc.png", b"<svg onload=alert(1)>", "roc.png is no PNG"),
    "a page": ("index.html", b"<script>", "not part of a report: ./index.html"),
    "a hidden file": (".bashrc", b"rm -rf /", "not part of a report: ./.bashrc"),
    "Git's settings": (".git/config", b"[core]", "not part of a report: ./.git"),
    "a large picture": ("big.png", PNG + b"\0" * 2**21, "not part of a report: ./big.png"),
    "a long text": ("report.md", b"a" * 65_001, "too long"),
    "a link": ("more.png", Path("/etc/passwd"), "not part of a report: ./more.png"),
    "a link for the judge": ("judge.md", Path("/etc/passwd"), "not part of a report: ./judge.md"),
    "a link for a report": ("report.md", Path("/etc/passwd"), "not part of a report: ./report.md"),
    "no report": ("report.md", None, "no report"),
}


def plant(world: World, name: str, content: bytes | Path | None) -> None:
    """Put something beside a report, or in its place."""
    folder = world.artifacts / "report"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text("# Well done\n", encoding="utf-8")
    (folder / "roc.png").write_bytes(PNG)
    path = folder / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, Path):
        path.symlink_to(content)
    elif content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_report_gets_nowhere(world: World, what: str) -> None:
    name, content, said = HOSTILE[what]
    plant(world, name, content)
    before = world.branches()
    done = world.run_on(events.pull_request(), world.workflow().only("pictures"))
    assert done.jobs["pictures"] == "failure", done.told
    assert done.steps["pictures"][CHECK] == "failure"
    assert said in done.log("pictures", CHECK)
    assert not (world.artifacts / "comment").exists()
    assert world.branches() == before


def test_a_job_that_may_not_comment_fails_and_says_so(world: World) -> None:
    done = comment_job(world, workflow=world.workflow().without("comment", "pull-requests"))
    assert done.jobs["comment"] == "failure"
    assert "Resource not accessible by integration (HTTP 403)" in done.log("comment", COMMENT)
    assert world.github.bodies(1) == []


def test_pictures_that_are_refused_are_left_out(world: World) -> None:
    done = pictures_job(world, world.workflow().without("pictures", "contents"))
    assert done.jobs["pictures"] == "success", done.told
    assert "Permission to the repository denied" in done.log("pictures")
    assert "the pictures could not be published" in done.log("pictures")
    text = (world.artifacts / "comment" / "report.md").read_text(encoding="utf-8")
    assert "Well done" in text
    assert "The end." in text
    assert "Plots" not in text
    assert "<img" not in text


# What each gate is good for: without it, what is bad passes.


@pytest.mark.parametrize("branch", ["worse", "edited"])
def test_without_the_judge_it_would_pass(world: World, branch: str) -> None:
    """The pipeline is idle: that it passes for the worse model is seen where the judge refuses."""
    workflow = quick(world, "pipeline", "sign-off").replacing("judge", JUDGE, "true")
    done = world.run(world.pull_request(branch), workflow)
    assert done.jobs["gate"] == "success", done.told


def test_without_the_lock_gate_a_stale_lock_would_pass(world: World) -> None:
    workflow = quick(world).replacing("pipeline", LOCK, "true").replacing("judge", JUDGE, "true")
    done = world.run(world.pull_request("stale"), workflow)
    assert results(done) == all_of("success"), done.told
    assert ran(done) == STAGES[3:]


def test_without_the_check_anything_would_be_published(world: World) -> None:
    plant(world, "roc.png", b"<svg onload=alert(1)>")
    workflow = world.workflow().replacing("pictures", CHECK, "true").only("pictures")
    done = world.run_on(events.pull_request(), workflow)
    assert done.jobs["pictures"] == "success", done.told
    assert "report-pictures/1" in world.branches()


DIFFERS = ("true", "false", "")


@pytest.mark.parametrize(
    ("code", "judged", "released"),
    [(DIFFERS[i], DIFFERS[j], DIFFERS[(i + j) % 3]) for i in range(3) for j in range(3)],
)
def test_the_last_gate_lets_only_success_through(
    baked_ci: Workflow, code: str, judged: str, released: str
) -> None:
    """Each result of each job; `skipped` passes only where nothing differs that it looks at."""
    script = baked_ci.step("gate", "Did everything pass?")["run"]
    jobs = baked_ci.jobs["gate"]["needs"]
    assert jobs == ["changes", "lint", "test", "pipeline", "judge", "sign-off"]
    own = {"judge": judged, "sign-off": released}
    may_skip = {job for job in jobs if own.get(job, code) == "false"}
    results = ("success", "failure", "cancelled", "skipped")
    one_odd = [{job: result} for job in jobs for result in results]
    for chosen in [*one_odd, dict.fromkeys(jobs, "skipped"), dict.fromkeys(may_skip, "skipped")]:
        of = {job: chosen.get(job, "success") for job in jobs}
        needs = {job: {"result": of[job], "outputs": {}} for job in jobs}
        environ = {"RESULTS": json.dumps(needs), "CODE": code, "JUDGED": judged}
        environ["RELEASED"] = released
        environ["PATH"] = "/usr/bin:/bin"
        done = subprocess.run([*SHELL, "-c", script], env=environ, capture_output=True, check=False)
        good = all(v == "success" or (v == "skipped" and k in may_skip) for k, v in of.items())
        assert (done.returncode == 0) == good, of


# When a pull request closes.


def test_the_pictures_go_when_the_pull_request_closes(world: World) -> None:
    git(world.origin, "branch", "report-pictures/1", "main")
    git(world.origin, "branch", "report-pictures/11", "main")
    for _ in range(2):
        done = world.run(events.pull_request(action="closed"), world.workflow("report-cleanup"))
        assert done.jobs == {"remove": "success"}, done.told
        assert "report-pictures/1" not in world.branches()
    assert "report-pictures/11" in world.branches()
    assert [call.method for call in world.github.calls] == ["GET", "DELETE", "GET"]
    assert world.unneeded("report-cleanup") == []


def test_pictures_that_cannot_be_removed_are_a_failure(world: World) -> None:
    world.github.faults["GET"] = 500
    done = world.run(events.pull_request(action="closed"), world.workflow("report-cleanup"))
    assert done.jobs == {"remove": "failure"}
    assert "Server Error (HTTP 500)" in done.log("remove")


def test_nothing_is_removed_for_a_fork(world: World) -> None:
    event = events.pull_request(action="closed", head="grace/flight-delays")
    done = world.run(event, world.workflow("report-cleanup"))
    assert done.jobs == {"remove": "skipped"}
    assert world.github.calls == []
