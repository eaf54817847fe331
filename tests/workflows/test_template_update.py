"""The baked `template-update` workflow, executed: a newer template becomes one pull request, in the
place of that of an older one; what somebody closed or worked on stays so; nothing newer is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from pipeline.running import Reproduced
from update.worlds import Versions, git, replace
from workflows import events
from workflows.act import Outcome, needs_act
from workflows.events import REPOSITORY
from workflows.github import APP, PERSON, Call, serve
from workflows.hosting import Hosting
from workflows.releases import Releases
from workflows.world import hub

from mlops.git.revision import Revision
from mlops.release.proposal import Proposal, write

pytestmark = needs_act

OLDER, BRANCH = "update/8.0.0", "update/9.0.0"


@pytest.fixture
def versions(template: Path, tmp_path: Path) -> Versions:
    """The template with two versions, the newest of which is on its main branch."""
    made = Versions.make(template, tmp_path / "mlops-template")
    git(made.folder, "switch", "--quiet", "main")
    return made


@pytest.fixture
def world(started: Reproduced, versions: Versions, tmp_path: Path) -> Iterator[Releases]:
    """A project of the older version on GitHub."""
    project = started("classification").copy(tmp_path / "project")
    project.git("checkout", "--quiet", "-B", "main")
    record = json.loads((project.folder / ".cookiecutter.json").read_text(encoding="utf-8"))
    at = {"template": str(versions.folder), "commit": versions.old}
    project.write(".cookiecutter.json", json.dumps(record | at, indent=2) + "\n")
    project.commit()
    origin = hub(tmp_path)
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "origin", "main")
    github = Hosting(REPOSITORY, origin, tmp_path / "api")
    with serve(github):
        yield Releases(tmp_path, project, github, tmp_path / "store")


def propose_older(world: Releases) -> None:
    """Let an older version's proposal wait, which nobody worked on."""
    proposal = Proposal(OLDER, "Update to 8.0.0", {Path("note.txt"): "8\n"})
    with chdir(world.project.folder):
        made = write(proposal, Revision(world.commit("main")))
    world.project.git("push", "--quiet", "origin", f"{made}:refs/heads/{OLDER}")
    about = {"head": OLDER, "base": "main", "title": proposal.title, "body": ""}
    world.github.answer(Call("POST", f"/repos/{REPOSITORY}/pulls", {}, about, "", PERSON))


def asked(world: Releases, app: bool = True, **inputs: str) -> Outcome:
    """Run the workflow as a person starts it."""
    return world.go("template-update", events.dispatch(world.commit("main"), **inputs), app=app)


def test_newer_template_is_proposed_once(world: Releases, versions: Versions) -> None:
    # It changes a workflow, which the token of a job may never do.
    done = asked(world, to=versions.new, app=False)
    assert done.jobs == {"update": "success", "propose": "failure"}, done.told
    for told in (done.log("propose"), done.summaries["propose"]):
        assert "create or update workflow `.github/workflows/ci.yml`" in told
        assert "takes an app with the permission Workflows: write" in told
    assert world.branches() == {"main"}

    propose_older(world)
    done = asked(world, to=versions.new)
    assert done.jobs == {"update": "success", "propose": "success"}, done.told
    assert [*world.github.open_pulls()] == [BRANCH], done.summaries["propose"]
    branch, pull = BRANCH, world.github.open_pulls()[BRANCH]
    assert pull["user"]["login"] == APP
    assert "9.0.0" in pull["title"]
    assert "Regions." in pull["body"]  # the changelog between the two
    assert world.commit(f"{branch}^") == world.commit("main")
    assert b"NEWER = True" in world.show(branch, "mlops/src/mlops/judging/gate.py")
    assert pull["html_url"] in done.summaries["propose"]
    assert "is closed, which this replaces: Update to 8.0.0" in done.summaries["propose"]
    assert world.github.bodies(1) == [f"{pull['html_url']} replaces this."]

    # Somebody closes it: the clock does not bring it back.
    proposed = world.commit(branch)
    pull["state"] = "closed"
    git(versions.folder, "tag", "v9.0.0", versions.new)
    done = world.go("template-update", events.schedule(world.commit("main")), app=True)
    assert done.jobs == {"update": "success", "propose": "success"}, done.told
    assert f"{BRANCH}: somebody closed it" in done.summaries["propose"]
    assert (world.commit(branch), world.github.open_pulls()) == (proposed, {})
    pull["state"] = "open"

    world.project.git("fetch", "--quiet", "origin", branch)
    world.project.git("checkout", "--quiet", "-B", "settled", "FETCH_HEAD")
    world.project.write("note.txt", "settled\n")
    world.project.commit()
    world.project.git("push", "--quiet", "origin", f"HEAD:{branch}")
    world.project.git("checkout", "--quiet", "main")
    settled = world.commit(branch)
    done = asked(world, to=versions.new)
    assert done.jobs == {"update": "success", "propose": "skipped"}, done.told
    assert f"{BRANCH}: left as it is: somebody worked on it (x)" in done.summaries["update"]
    assert world.commit(branch) == settled

    world.merge(branch)
    done = asked(world, to=versions.new)
    assert done.jobs == {"update": "success", "propose": "skipped"}, done.told
    assert "up to date: 9.0.0" in done.summaries["update"]
    assert world.unneeded("template-update") == []


def test_template_that_is_not_there_fails(world: Releases, versions: Versions) -> None:
    replace(world.project.folder / ".cookiecutter.json", str(versions.folder), "/no/such")
    world.project.commit()
    world.project.git("push", "--quiet", "origin", "main")
    done = asked(world)
    assert done.jobs == {"update": "failure", "propose": "skipped"}
    assert "/no/such" in done.summaries["update"]
    assert world.github.open_pulls() == {}
