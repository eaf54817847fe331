"""The baked `retrain` workflow, executed: fresh data, the verdict, and the storm guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pipeline.fresh import Warehouse
from pipeline.running import Reproduced
from workflows import events
from workflows.act import Outcome, needs_act
from workflows.events import REPOSITORY
from workflows.github import BOT, serve
from workflows.hosting import Hosting
from workflows.releases import Releases
from workflows.world import hub

pytestmark = needs_act

LOOK = "May one start?"
TRAIN = "Train on fresh data, and judge"
LOGIN, PUSH = "Log in again", "Push the data"
TITLE = "Retrain on the data of "


@pytest.fixture(scope="module")
def importing(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A project whose source is a copy of a warehouse, which has the first rows. Copy it."""
    folder = tmp_path_factory.mktemp("importing")
    project = started("classification").copy(folder / "project")
    project.git("checkout", "--quiet", "-B", "main")
    warehouse = Warehouse(folder / "warehouse", project)
    warehouse.begin(folder / "store")
    return warehouse


# What a repository says of its store, by where that is.
STORES = {
    "gs": {"GCP_PROVIDER": "projects/1/providers/github", "GCP_SERVICE_ACCOUNT": "me@example.com"},
    "s3": {"AWS_ROLE": "arn:aws:iam::1:role/write", "AWS_REGION": "eu-central-1"},
}


@pytest.fixture
def world(
    importing: Warehouse,
    baked: Callable[..., Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Releases]:
    """It on GitHub, with the workflows of a project whose store is a cloud's.

    The store itself is a folder: what the logins leave in the job is as in the real ones.
    """
    project = importing.copy(tmp_path)
    origin = hub(tmp_path)
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "origin", "main")
    github = Hosting(REPOSITORY, origin, tmp_path / "api")
    github.issues.append({"number": 1, "title": "drift in prod", "state": "open", "labels": []})
    with serve(github):
        world = Releases(tmp_path, project, github, tmp_path / "store")
        world.adopt(baked(data_remote=request.param))
        yield world


@pytest.fixture
def warehouse(world: Releases, tmp_path: Path) -> Warehouse:
    """Where the project's rows come from."""
    return Warehouse(tmp_path / "warehouse", world.project)


def retrained(world: Releases, **inputs: str) -> Outcome:
    """Run the workflow as monitor starts it, and let GitHub remember the run."""
    asked = {"reason": "drift in prod", "issues": "1"} | inputs
    every = {name: value for store in STORES.values() for name, value in store.items()}
    done = world.go("retrain", events.dispatch(world.commit("main"), **asked), variables=every)
    world.github.add_run("retrain.yml", done.jobs, datetime.now(UTC))
    return done


def told(world: Releases) -> str:
    """Return what the issue was told last."""
    return world.github.bodies(1)[-1].splitlines()[0]


@pytest.mark.parametrize("world", ["gs"], indirect=True)
def test_better_model_is_proposed_once_and_passes_ci(world: Releases, warehouse: Warehouse) -> None:
    warehouse.add(taught=True)
    reason = 'drift in prod: "$(touch /tmp/oh)" `id`'
    done = retrained(world, reason=reason)
    every = dict.fromkeys(("plan", "propose", "retrain", "tell"), "success")
    assert done.jobs == every, done.told
    steps = [*done.steps["retrain"]]
    assert steps.index(TRAIN) < steps.index(LOGIN) < steps.index(PUSH)
    assert {done.steps["retrain"][name] for name in (TRAIN, LOGIN, PUSH)} == {"success"}
    ((branch, pull),) = world.github.open_pulls().items()
    assert branch.startswith("retrain/")
    assert pull["title"] == TITLE + branch[len("retrain/") :][:10]
    assert pull["user"]["login"] == BOT
    assert pull["body"].startswith(f"Why: {reason}. Made by https://")
    assert "### ✅ Better: " in pull["body"]
    assert "<img" not in pull["body"]
    assert told(world) == f"A better model is proposed: {pull['html_url']}"
    assert world.commit(f"{branch}^") == world.commit("main")

    # It is judged like any change: nothing runs again, and its report says why it is better.
    request = world.pull_request(branch, pull["number"])
    ci = world.workflow()
    both = {name: ci.jobs[name] for name in ("changes", "pipeline")}
    pipeline = world.run(request, ci.with_jobs(both))
    assert pipeline.jobs["pipeline"] == "success", pipeline.told
    assert "Running stage" not in pipeline.log("pipeline", "Reproduce what is out of date")
    assert "### ✅ Better: " in pipeline.summaries["pipeline"]

    # Alarms go on, and one is open; then it is merged, and the last one was just now.
    done = retrained(world)
    assert done.jobs == {"plan": "success", "retrain": "skipped", "propose": "skipped"} | {
        "tell": "success"
    }
    assert told(world) == (
        f"Not started: a retraining waits to be merged or closed: {pull['html_url']}"
    )
    world.merge(branch)
    done = retrained(world)
    assert done.jobs["retrain"] == "skipped"
    assert told(world).startswith("Not started: the last one started at ")
    # Without the guard it would.
    storm = world.workflow("retrain").changing("plan", LOOK, "start=false", "start=true")
    done = world.go("retrain", workflow=storm, event=events.schedule(world.commit("main")))
    assert done.jobs["retrain"] == "success"
    assert "no fresh data" in done.log("retrain", TRAIN)
    assert world.unneeded("retrain") == []


@pytest.mark.parametrize("world", ["s3"], indirect=True)
def test_nothing_is_proposed_that_is_not_better(world: Releases, warehouse: Warehouse) -> None:
    done = retrained(world)
    assert done.jobs == {"plan": "success", "retrain": "success", "propose": "skipped"} | {
        "tell": "success"
    }, done.told
    assert told(world).startswith("Not proposed: no fresh data: data/flights has the rows")
    assert done.steps["retrain"][PUSH] == "skipped"

    # Those of last week do not count; one that was not started never does.
    world.github.runs.clear()
    world.github.add_run("retrain.yml", {"retrain": "success"}, weeks_ago(1))
    world.github.add_run("retrain.yml", {"retrain": "skipped"}, datetime.now(UTC))
    warehouse.add(taught=False)
    done = retrained(world)
    assert done.jobs["retrain"] == "success", done.told
    assert told(world).startswith(
        "Not proposed: the model of the fresh data is not better: roc_auc"
    )
    assert world.github.open_pulls() == {}
    assert world.branches() == {"main"}

    # What breaks the contract is a failure, and told as one.
    world.github.runs.clear()
    warehouse.add(taught=True, rename="temp")
    done = retrained(world)
    assert done.jobs["retrain"] == "failure"
    assert told(world) == "The retraining failed."
    assert BOT not in {each["user"]["login"] for each in world.github.pulls}


def weeks_ago(count: int) -> datetime:
    """Return when that was, and a little more."""
    return datetime.now(UTC) - timedelta(weeks=count, minutes=1)
