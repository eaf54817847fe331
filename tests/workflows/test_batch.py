"""The baked `batch` workflow, executed: it scores what it is given with the model of a release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from workflows import events
from workflows.act import Outcome, needs_act
from workflows.world import World, git

pytestmark = needs_act

SCORE = "Score"
FETCH = "Fetch the input, where DVC keeps it"
ROWS = """
import json, pathlib, sys
import pyarrow.parquet as pq
paths = sorted(p for p in pathlib.Path(sys.argv[1]).rglob("*.parquet") if p.is_file())
columns = [pq.ParquetFile(path).read().to_pydict() for path in paths]
print(json.dumps([row for c in columns for row in zip(c["flight_id"], c["prediction"])]))
"""


STORE = {f"AZURE_{each}_ID": "made-up" for each in ("CLIENT", "TENANT", "SUBSCRIPTION")}


@pytest.fixture
def released(world: World, baked: Callable[..., Path]) -> World:
    """A repository whose prod runs its first model, while main has a worse one, and new rows.

    Its workflows log in to Azure as they do where that has the data, which here is a folder.
    """
    project = world.project
    project.run("mlops", "release", "--base", "main")
    (branch,) = world.branches() - {each for each in world.branches() if "release" not in each}
    project.git("fetch", "--quiet", "origin")
    project.git("merge", "--quiet", f"origin/{branch}")
    text = (project.folder / "environments/dev/release.env").read_text(encoding="utf-8")
    project.write("environments/prod/release.env", text)
    (project.folder / "data/new").mkdir()
    project.sample("data/new/some.parquet", 50)
    project.sample("data/new/others.parquet", 70)
    project.run("dvc", "add", "data/new")
    project.run("dvc", "push", "data/new")
    project.commit()
    project.git("merge", "--quiet", "--message", "Merge", "origin/worse")
    world.adopt(baked(data_remote="azure"))
    return world


def scored(world: World, **inputs: str) -> Outcome:
    """Run the workflow as somebody who presses the button."""
    event = events.dispatch(world.commit("main"), **inputs)
    return world.run(event, world.workflow("batch"), variables=STORE)


def test_what_dvc_keeps_is_scored_with_the_model_of_the_environment(released: World) -> None:
    done = scored(released, input="data/new", environment="prod")
    assert done.jobs == {"score": "success"}, done.told
    assert "2 files added" in done.log("score", FETCH)
    found = released.artifacts / "predictions-prod"
    manifest = json.loads((found / "_manifest.json").read_text(encoding="utf-8"))
    (path,) = (released.project.folder / "releases").glob("*.json")
    evidence = json.loads(path.read_text(encoding="utf-8"))
    assert manifest["release"] == evidence["id"]
    assert manifest["model_sha256"] == evidence["model"]["sha256"]
    assert {each["name"]: each["rows"] for each in manifest["inputs"]} == {
        "others.parquet": 286,
        "some.parquet": 400,
    }
    assert "686 predictions, 2 of 2 partitions made now" in done.summaries["score"]
    assert released.unneeded("batch") == []

    # The very rows of `mlops predict`, with the release's model and not that of main.
    project = released.project
    project.git("checkout", "--quiet", "--detach", evidence["git_sha"])
    project.run("dvc", "checkout", "models/model.onnx")
    for name in ("others", "some"):
        project.run(
            "mlops", "predict", f"data/new/{name}.parquet", "-o", f"build/whole/{name}.parquet"
        )
    expected = project.python(ROWS, str(project.folder / "build/whole"))
    assert project.python(ROWS, str(found)) == expected


def test_what_cannot_be_scored_fails_with_a_line_and_keeps_nothing(released: World) -> None:
    done = scored(released, input="README.md", environment="prod")
    assert done.jobs == {"score": "failure"}
    assert "README.md: cannot read this kind of file" in done.summaries["score"]
    nothing = scored(released, input="data/new", environment="staging")
    assert nothing.jobs == {"score": "failure"}
    assert "staging has no release yet" in nothing.summaries["score"]
    assert not (released.artifacts / "predictions-staging").exists()
    assert git(released.origin, "rev-parse", "main") == released.commit("main")
