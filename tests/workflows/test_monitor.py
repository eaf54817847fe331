"""The baked `monitor` workflow, executed: what a real server logged, and what people are told.

Git, DVC, the server, its log and `gh` are real; GitHub's API is a stand-in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from serving.running import wait_for
from workflows import events
from workflows.act import Outcome, Workflow, needs_act
from workflows.events import REPOSITORY
from workflows.github import serve
from workflows.hosting import Hosting
from workflows.releases import Releases, settle
from workflows.world import World

REACHED = "Can its log be reached?"
TELL = "Have one open issue for each problem, and none for those that are over"
# Rows that the model was trained on, in the form of a request.
ROWS = """
import json, sys, pandas as pd
from mlops.data.contract import load_contract
rows = pd.read_parquet("data/split/train.parquet").sample(int(sys.argv[1]), random_state=0)
rows = rows.drop(columns=load_contract().target)
print(rows.to_json(orient="records", date_format="iso"))
"""
COUNT = """
import sys, pathlib, pyarrow.parquet as pq
# A file whose name begins with a dot is not whole yet, and is about to get another name.
paths = pathlib.Path(sys.argv[1]).rglob("[!.]*.parquet")
print(sum(pq.read_metadata(path).num_rows for path in paths))
"""
QUIET, WINDY = 400, 300


class Watched(Releases):
    """A repository whose dev and prod run a model. Workflows can read what prod has logged."""

    github: Hosting

    @property
    def log(self) -> Path:
        """Where prod logs; a store, as it is told."""
        return self.folder / "log"

    def begin(self) -> None:
        """Release the model of main to dev and prod, and start the server of prod."""
        project = self.project
        project.run("mlops", "release")
        (branch,) = (each for each in self.branches() if each.startswith("release/"))
        project.git("fetch", "--quiet", "origin")
        project.git("merge", "--quiet", f"origin/{branch}")
        text = (project.folder / "environments/dev/release.env").read_text(encoding="utf-8")
        project.write("environments/prod/release.env", text)
        settle(project)
        config = (project.folder / "environments/prod/config.env").read_text(encoding="utf-8")
        store = f"MLOPS_LOG=file://{self.log}\nMLOPS_LOG_SECONDS=0.5"
        project.write("environments/prod/config.env", config.replace("MLOPS_LOG=/log", store))
        # The training rows are asked, whose predictions are not quite the test rows'.
        project.set("params.yaml", monitoring__minimum_effect=0.2, compare__resamples=20)
        project.commit()
        project.git("push", "--quiet", "origin", "HEAD:main")
        project.run("mlops", "apply", "prod")

    def ask(self, count: int, **changes: float) -> None:
        """Ask prod for training rows to which something is added, and wait for the log."""
        before = self.logged
        rows = self.project.python(ROWS, str(count))
        for row in rows:
            row.update({name: (row[name] or 0) + value for name, value in changes.items()})
        url = f"http://{self.facts('prod', 'config')['LISTEN']}/predict"
        with urlopen(Request(url, json.dumps(rows).encode())) as answer:  # noqa: S310
            assert len(json.load(answer)["predictions"]) == count
        wait_for(lambda: self.logged == before + count, "the log")

    @property
    def logged(self) -> int:
        """How many rows the log has."""
        return int(self.project.python(COUNT, str(self.log)))

    def watch(self, environment: str = "prod", workflow: Workflow | None = None) -> Outcome:
        """Monitor an environment, or all, as somebody who presses the button."""
        event = events.dispatch(self.commit("main"), environment=environment)
        return self.go("monitor", event, workflow)

    def issue(self, title: str) -> dict[str, Any]:
        """Return the one issue with this title."""
        (found,) = (each for each in self.github.issues if each["title"] == title)
        return found


@pytest.fixture
def watched(world: World) -> Iterator[Watched]:
    """A repository whose prod is served by a process, and has answered usual rows."""
    github = Hosting(REPOSITORY, world.origin, world.folder / "hub-api")
    found = Watched(world.folder, world.project, github, world.store)
    with serve(github):
        found.begin()
        found.ask(QUIET)
        yield found
        found.stop()


@needs_act
def test_people_are_told_once_of_each_problem_and_when_it_is_over(watched: Watched) -> None:
    """One story, for each step stands on those before."""
    github, usual = watched.github, watched.folder / "usual"
    shutil.copytree(watched.log, usual)

    quiet = {"plan": "success", "watch": "success", "tell": "success", "retrain": "skipped"}
    done = watched.watch("dev")
    assert done.jobs == quiet, done.told
    assert "the log of dev cannot be reached from here" in done.log("watch", REACHED)
    assert not watched.artifacts.exists()
    done = watched.go("monitor", events.schedule(watched.commit("main")))
    assert done.jobs == quiet, done.told
    assert done.outputs["plan", "look"]["environments"] == '["dev","prod"]'
    assert {each.name for each in watched.artifacts.iterdir()} == {"monitor-prod"}
    assert "No alarms in prod" in done.summaries["watch"]
    assert github.issues == []

    watched.ask(WINDY, wind_speed=30)
    done = watched.watch()
    assert set(done.jobs.values()) == {"success"}, done.told
    assert github.open_issues() == ["drift in prod"]
    drift = watched.issue("drift in prod")
    assert drift["labels"] == ["monitoring"]
    assert "- drift: wind_speed: distance 0." in drift["body"]
    assert f"{QUIET + WINDY:,} rows" in drift["body"]
    assert f"Found by {github.url}/{REPOSITORY}/actions/runs/" in drift["body"]
    inputs = {"reason": "drift in prod", "issues": str(drift["number"])}
    assert github.dispatches == [("retrain.yml", inputs)]
    page = watched.artifacts / "monitor-prod/prod/report.html"
    assert "wind_speed" in page.read_text(encoding="utf-8")

    # Again: the same issue, and what it says is new.
    watched.ask(WINDY, wind_speed=30)
    done = watched.watch()
    assert github.open_issues() == ["drift in prod"]
    assert f"{QUIET + 2 * WINDY:,} rows" in drift["body"]
    assert github.comments == {}
    # What that rests on: where nobody looks whether there is one, there is a second.
    told, event = drift["body"], events.dispatch(watched.commit("main"))
    tell = watched.workflow("monitor").only("tell")
    watched.run_on(event, tell.changing("tell", TELL, "select(.title == env.TITLE)", "empty"))
    assert github.open_issues() == ["drift in prod"] * 2
    # If there are two all the same, both are kept up to date.
    for each in github.issues:
        each["body"] = "old"
    done = watched.run_on(event, tell)
    assert [each["body"] for each in github.issues] == [told, told]
    assert done.outputs["tell", "issues"] == {"retrain": "drift in prod", "issues": "1 2"}
    github.issues.pop()

    # While the store is away nobody knows more of drift than was known.
    watched.log.rename(watched.folder / "away")
    done = watched.watch()
    assert {name: done.jobs[name] for name in ("watch", "tell")} == {
        "watch": "failure",
        "tell": "success",
    }
    assert github.open_issues() == ["drift in prod", "monitoring in prod"]
    assert "    error: file://" in watched.issue("monitoring in prod")["body"]
    assert "there is no prediction log" in watched.issue("monitoring in prod")["body"]
    assert drift["body"] == told
    assert len(github.dispatches) == 2

    # It is back, and the rows that were drifted are no longer of the last week.
    shutil.copytree(usual, watched.log)
    done = watched.watch()
    assert done.jobs["retrain"] == "skipped"
    assert github.open_issues() == []
    assert {each["state"] for each in github.issues} == {"closed"}
    assert len(github.dispatches) == 2
    assert watched.unneeded("monitor") == []


def test_who_may_write_runs_no_code_of_the_project(baked: Callable[..., Path]) -> None:
    jobs = Workflow.read(baked() / ".github/workflows/monitor.yml").jobs
    writes = {
        name: job["permissions"]
        for name, job in jobs.items()
        if "write" in job["permissions"].values()
    }
    assert writes == {"tell": {"issues": "write"}, "retrain": {"actions": "write"}}
    for name in writes:
        assert not any("checkout" in str(step.get("uses")) for step in jobs[name]["steps"])


def test_no_two_runs_look_for_an_issue_at_once(baked: Callable[..., Path]) -> None:
    workflow = Workflow.read(baked() / ".github/workflows/monitor.yml")
    group = "monitor-${{ github.ref }}"
    assert workflow.content["concurrency"] == {"group": group, "cancel-in-progress": False}


@pytest.mark.parametrize(
    ("log", "host", "image", "reached"),
    [
        ("s3://bucket/log", "", "", True),
        ("s3://bucket/log", "ssh://me@there", "image@sha256:0", True),
        ("/log", "ssh://me@there", "image@sha256:0", True),
        ("/log", "ssh://me@there", "", False),  # a process, whose log is a folder there
        ("/log", "", "image@sha256:0", False),
        ("", "ssh://me@there", "image@sha256:0", False),
        ("", "", "", False),
    ],
)
def test_the_log_is_read_where_it_can_be_reached(
    baked: Callable[..., Path], tmp_path: Path, log: str, host: str, image: str, reached: bool
) -> None:
    workflow = Workflow.read(baked() / ".github/workflows/monitor.yml")
    folder, output = tmp_path / "environments/prod", tmp_path / "output"
    folder.mkdir(parents=True)
    (folder / "config.env").write_text(f"LISTEN=0.0.0.0:80\n{log and 'MLOPS_LOG='}{log}\n")
    (folder / "release.env").write_text(f"RELEASE_ID=r1\nSERVING_IMAGE={image}\n")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", workflow.step("watch", REACHED)["run"]],
        cwd=tmp_path,
        env=os.environ | {"ENVIRONMENT": "prod", "HOST": host, "GITHUB_OUTPUT": str(output)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert output.read_text() == f"reached={'true' if reached else 'false'}\n"
    assert ("::notice title=Not monitored::" in done.stdout) == (not reached)
