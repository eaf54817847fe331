"""The baked workflows that release, executed: `cd`, `deploy`, `promote` and `rollback`.

Git, Docker, Compose, BuildKit, the registry, the proxy and `gh` are real; GitHub's API, who attests
and who verifies that are stand-ins, and so are the base images.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import helpers
import pytest
from github.conftest import Desk
from images.engine import Builder, Engine
from pages import Page
from pipeline.running import QUICK, STAGES, Project, one_line
from workflows import events
from workflows.act import Outcome, needs_act
from workflows.events import REPOSITORY
from workflows.fresh import Fresh
from workflows.github import APP, BOT, serve
from workflows.hosting import Hosting
from workflows.releases import Machines, Releases, settle
from workflows.world import git, hub

pytestmark = needs_act

VERIFY = "Was the image built by cd, from the commit that Git says?"
APPLY = "Apply"
GO_ON = "Propose what may come next"
GO_BACK = "Propose to go back where it failed"
PROPOSE = "Propose it to the first environment"
# What is started in the place of the server, and never serves.
BROKEN = "import time\n\ntime.sleep(10_000)\n"
# The real one is built where `mlops build` is tested; it takes a minute.
TRAINING = 'ARG BASE=python\nARG UV=astral\nFROM ${BASE}\nCOPY params.yaml /\nCMD ["true"]\n'

Begin = Callable[[Machines | None], Releases]


@pytest.fixture(scope="module")
def begun(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    """A project with a model, and where DVC stores it. It is called as no other test's is."""
    folder = tmp_path_factory.mktemp("story")
    names = {"project_slug": "flight-story", "package_name": "flight_delays"}
    baked = helpers.bake(template, folder / "bake", **names)
    project = Project(baked, Path(sys.prefix))
    project.init()
    project.git("checkout", "--quiet", "-B", "main")
    project.sample("data/small.parquet", 10)
    project.run("dvc", "remote", "modify", "storage", "url", str(folder / "store"))
    project.learn_from("data/small.parquet")
    project.set(
        "params.yaml",
        estimators__boosting__max_iter=20,
        gates={"roc_auc": {"min": 0.4}},
        export={"targets": {"c": {}}},
        **QUICK,
    )
    project.write("deploy/images/training.Dockerfile", TRAINING)
    settle(project)
    project.commit()
    ran, _ = project.repro()
    assert sorted(ran) == sorted([*STAGES, "export@c"])
    project.run("dvc", "push")
    project.commit()
    return project, folder / "store"


@pytest.fixture
def begin(begun: tuple[Project, Path], tmp_path: Path) -> Iterator[Begin]:
    """Put the project on GitHub, with machines or without."""
    started: list[Releases] = []
    project, store = begun
    origin = hub(tmp_path)
    clone = project.copy(tmp_path / "project")
    clone.git("remote", "add", "origin", str(origin))
    clone.git("push", "--quiet", "origin", "main")
    github = Hosting(REPOSITORY, origin, tmp_path / "api")

    def start(machines: Machines | None) -> Releases:
        if machines is not None:
            clone.declare(f"{machines.registry}/{REPOSITORY.lower()}")
            clone.git("push", "--quiet", "origin", "main")
        started.append(Releases(tmp_path, clone, github, store, machines))
        return started[0]

    with serve(github):
        yield start
        for each in started:
            each.stop()


@pytest.fixture
def world(begin: Begin, engine: Engine, registry: str, builder: Builder) -> Releases:
    """The project on GitHub, with a registry and a Docker Engine."""
    return begin(Machines(engine, registry, builder))


@pytest.fixture
def bare(begin: Begin) -> Releases:
    """The project on GitHub, without images: what it releases runs as a process."""
    return begin(None)


def results(done: Outcome) -> dict[str, str]:
    """Return the result of each job."""
    return dict(sorted(done.jobs.items()))


def all_well(done: Outcome) -> None:
    """Require that every job succeeded or had nothing to do."""
    assert set(done.jobs.values()) <= {"success", "skipped"}, done.told


def test_from_a_merge_to_prod_and_back(world: Releases) -> None:
    """One long story, for each step stands on those before."""
    pushed = world.pushed()
    done = world.go("cd", pushed)
    every = ("attest", "build", "exports", "plan", "propose")
    assert results(done) == dict.fromkeys(every, "success"), done.told
    (branch,) = world.github.open_pulls()
    first = branch.removeprefix("release/")
    pull = world.github.open_pulls()[branch]
    assert pull["user"]["login"] == BOT
    assert pull["auto_merge"] is None
    assert "There is no app" in done.log("propose")
    facts = world.facts("dev", ref=branch)
    assert facts["RELEASE_ID"] == first
    assert facts["GIT_SHA"] == world.commit("main")
    kept = [json.loads(each.read_text()) for each in world.attestations.iterdir()]
    images = {facts["SERVING_IMAGE"], facts["TRAINING_IMAGE"]}
    evidence = json.loads(world.show(branch, f"releases/{first}.json"))
    files = {f"{k}@sha256:{v}" for k, v in evidence["exports"]["c"]["files"].items()}
    assert {f"{each['name']}@{each['digest']}" for each in kept} == images | files
    assert len({(each["name"], each["type"]) for each in kept}) == len(kept) == 4 + len(files)

    # What is attached are the files of the evidence, at the commit, and for GitHub not the latest.
    (page,) = world.github.releases
    assert (page["tag_name"], page["target_commitish"]) == (first, facts["GIT_SHA"])
    assert (page["draft"], page["prerelease"]) == (False, True)
    attached = {name: hashlib.sha256(each).hexdigest() for name, each in page["assets"].items()}
    assert attached == {f"c-{k}": v for k, v in evidence["exports"]["c"]["files"].items()}

    # Again: the same images, the same files, and the same pull request.
    again = world.go("cd")
    all_well(again)
    assert "is never changed" in again.log("exports")
    assert world.github.releases == [page]
    assert world.facts("dev", ref=branch) == facts
    assert [*world.github.open_pulls().values()] == [pull]

    merged = world.merge(branch)
    again = world.go("cd", pushed)
    all_well(again)
    assert f"{first} is released already" in again.log("propose", PROPOSE)
    assert world.github.open_pulls() == {}

    done = world.go("deploy", merged, app=True)
    all_well(done)
    assert done.outputs["plan", "look"]["environments"] == '["dev"]'
    assert done.steps["apply"][VERIFY] == "success"
    assert "There is no host" in done.summaries["apply"]
    assert world.answers("dev") == first
    branch = f"promote/staging/{first}"
    assert world.github.open_pulls()[branch]["user"]["login"] == APP

    # Somebody asks for what is proposed already.
    done = world.go("promote", events.dispatch(world.commit("main"), environment="staging"))
    all_well(done)
    assert [*world.github.open_pulls()] == [branch]
    assert world.github.open_pulls()[branch]["html_url"] in done.summaries["promote"]

    done = world.go("deploy", world.merge(branch))
    all_well(done)
    assert done.outputs["plan", "look"]["environments"] == '["staging"]'
    assert (world.answers("staging"), world.answers("prod")) == (first, None)
    assert "prod wants 60" in done.summaries["propose"]
    assert world.github.open_pulls() == {}

    # It has soaked: the clock proposes it, and touches nothing where no host is known.
    policy = world.show("main", "environments/prod/policy.yaml").decode()
    soaked = policy.replace("soak_minutes: 60", "soak_minutes: 0")
    world.change({"environments/prod/policy.yaml": soaked})
    done = world.go("deploy", events.schedule(world.commit("main")))
    all_well(done)
    assert done.steps["apply"][APPLY] == "skipped"
    done = world.go("deploy", world.merge(f"promote/prod/{first}"))
    all_well(done)
    assert world.answers("prod") == first

    # Where a host is known, the clock mends what drifted.
    settings = world.show("main", "environments/dev/config.env").decode()
    world.change({"environments/dev/config.env": settings.replace("512M", "640M")})
    assert world.machines is not None
    host = {"DOCKER_HOST": world.machines.engine.host or "unix:///var/run/docker.sock"}
    world.project.run("mlops", "stop", "prod", env=world.docker())
    done = world.go("deploy", events.schedule(world.commit("main")), variables=host)
    all_well(done)
    assert f"dev: runs {first} with other settings" in done.log("apply", "Did it drift?")
    assert "There is no host" not in done.summaries["apply"]
    assert [world.answers(each) for each in ("dev", "staging", "prod")] == [first] * 3

    # What they log is in volumes there, which are read by way of that host.
    done = world.go("monitor", events.dispatch(world.commit("main")), variables=host)
    all_well(done)
    assert "Not monitored" not in done.log("watch")
    for each in ("dev", "staging", "prod"):
        assert f"Too few rows to judge {each}" in done.summaries["watch"]
    assert world.github.open_issues() == []
    assert world.unneeded("cd") == []


def test_what_must_not_be_served_is_not(world: Releases, tmp_path: Path) -> None:
    """An image that nobody vouches for, and one that never serves; what is good still does."""
    all_well(world.go("cd", app=True))
    (branch,) = world.github.open_pulls()
    assert world.github.open_pulls()[branch]["auto_merge"] == {"by": APP}
    first = branch.removeprefix("release/")
    merged = world.merge(branch)
    vouched = world.attestations.rename(tmp_path / "vouched")

    world.attestations.mkdir()
    done = world.go("deploy", merged)
    assert results(done) == {
        "apply": "failure",
        "plan": "success",
        "propose": "success",
        "report": "success",
    }, done.told
    assert done.steps["apply"][VERIFY] == "failure"
    assert APPLY not in done.steps["apply"] or done.steps["apply"][APPLY] == "skipped"
    assert "no attestations found for subject sha256:" in done.log("apply", VERIFY)
    assert world.answers("dev") is None
    assert world.github.open_issues() == ["dev does not run what Git says"]
    assert "cd did not build its image" in world.github.issues[0]["body"]
    assert "no earlier release to go back to" in done.summaries["propose"]
    assert world.github.open_pulls() == {}

    # Nor is it where GitHub does not say who may read the repository, which decides on that.
    world.github.faults["GET"] = 500
    done = world.go("deploy", merged)
    assert done.steps["apply"][VERIFY] == "failure"
    assert world.answers("dev") is None
    world.github.faults.clear()

    # What the step is good for: without it, the image is served.
    unverified = world.workflow("deploy").replacing("apply", VERIFY, "true")
    all_well(world.go("deploy", merged, unverified))
    assert world.answers("dev") == first
    assert world.github.open_issues() == []
    assert [*world.github.open_pulls()] == [f"promote/staging/{first}"]
    world.attestations.rmdir()
    vouched.rename(world.attestations)

    main = "mlops/src/mlops/serving/__main__.py"
    sound = world.show("main", main).decode()
    world.change({main: BROKEN})
    world.github.merges_alone = False
    done = world.go("cd", app=True)
    all_well(done)
    assert "cannot merge itself: allow auto-merge" in done.log("propose")
    (branch,) = (each for each in world.github.open_pulls() if each.startswith("release/"))
    done = world.go("deploy", world.merge(branch))
    assert results(done)["apply"] == "failure", done.told
    assert done.steps["apply"][VERIFY] == "success"
    assert done.steps["apply"][APPLY] == "failure"
    assert world.answers("dev") == first
    assert world.github.open_issues() == ["dev does not run what Git says"]
    assert f"{first} still serves" in world.github.issues[-1]["body"]
    assert "Nothing is promoted while there is" in done.summaries["propose"]
    back = f"rollback/dev/{first}"
    assert {*world.github.open_pulls()} == {f"promote/staging/{first}", back}

    done = world.go("deploy", world.merge(back))
    all_well(done)
    assert world.answers("dev") == first
    assert world.github.open_issues() == []

    # Mended, and yet nothing comes to dev by itself.
    world.change({main: sound})
    done = world.go("cd")
    all_well(done)
    assert "dev is on hold: it could not be deployed: https://" in done.summaries["propose"]
    assert {*world.github.open_pulls()} == {f"promote/staging/{first}"}
    assert world.unneeded("deploy") == []


def image_less(world: Releases) -> str:
    """Release what is on main without images, and return the release."""
    world.update()
    world.project.run("mlops", "release")
    (branch,) = (each for each in world.branches() if each.startswith("release/"))
    git(world.origin, "update-ref", "refs/heads/main", f"refs/heads/{branch}")
    git(world.origin, "branch", "--quiet", "-D", branch)
    return branch.removeprefix("release/")


def test_what_cannot_be_attested_or_released_is_told(bare: Releases) -> None:
    plan = bare.workflow("cd").only("plan")
    told = bare.go("cd", workflow=plan).outputs["plan", "look"]
    assert told == {"release": "true", "attest": "true"}
    bare.github.visibility = "private"
    done = bare.go("cd", workflow=plan)
    assert done.outputs["plan", "look"] == {"release": "true", "attest": "false"}
    assert "a private repository has attestations with GitHub Enterprise Cloud" in done.log("plan")
    told = bare.go("cd", workflow=plan, variables={"ATTESTATIONS": "true"}).outputs["plan", "look"]
    assert told["attest"] == "true"
    bare.change({"dvc.lock": None})
    done = bare.go("cd", workflow=plan)
    assert done.outputs["plan", "look"]["release"] == "false"
    assert "there is no dvc.lock yet" in done.log("plan")


def test_a_refused_pull_request_is_a_failure_that_says_why(bare: Releases) -> None:
    first = image_less(bare)
    bare.github.faults["POST"] = 403
    done = bare.go("promote", events.dispatch(bare.commit("main"), environment="staging"))
    assert done.jobs == {"promote": "failure"}
    told = f"promote/staging/{first} is pushed, and has no pull request yet"
    assert told in done.log("promote")
    assert "Resource not accessible by integration" in done.log("promote")


PROPOSING = " --evidence build/release/evidence.json"


@pytest.fixture
def beginner(begun: tuple[Project, Path], tmp_path: Path) -> Iterator[tuple[Releases, Desk]]:
    """Somebody with a first model, who has nothing on GitHub yet, and what is to become of it."""
    project, store = begun
    github = Fresh(REPOSITORY, hub(tmp_path), tmp_path / "api")
    clone = project.copy(tmp_path / "project")
    config = tmp_path / "gitconfig"
    there = f'[url "file://{github.origin.parents[1]}/"]\n\tinsteadOf = https://github.com/\n'
    config.write_text(there, encoding="utf-8")
    with serve(github):
        world = Releases(tmp_path, clone, github, store)
        yield world, Desk(clone, github, {"GIT_CONFIG_GLOBAL": str(config)})
        if clone.git("remote"):
            clone.git("remote", "set-url", "origin", str(github.origin))
            world.stop()


def in_place(world: Releases, workflow: str, job: str, step: str, **environ: str) -> str:
    """Run the commands of a step in the clone, and return what they tell: log and summary."""
    summary = world.folder / "summary.md"
    summary.unlink(missing_ok=True)
    uv = {"UV_NO_SYNC": "1", "UV_PROJECT_ENVIRONMENT": str(world.project.venv)}
    known = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": os.devnull} | uv | environ
    shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c"]
    run = world.workflow(workflow).step(job, step)["run"]
    told = world.project.run(*shell, run, env=known).stdout
    return told + (summary.read_text(encoding="utf-8") if summary.exists() else "")


def proposed(world: Releases) -> Outcome:
    """Run cd's job that proposes a release: all of it but the images, which are built before."""
    workflow = world.workflow("cd").changing("propose", PROPOSE, PROPOSING, "")
    (world.artifacts / "release").mkdir(parents=True, exist_ok=True)
    (world.artifacts / "release" / "note.txt").touch()
    return world.run_on(world.pushed(), workflow.only("propose"))


def test_new_user_of_a_private_repository_goes_to_a_rollback(
    beginner: tuple[Releases, Desk],
) -> None:
    """The commands of the README, and on, with what GitHub Free gives a private repository.

    At each stop, what people are told. What is built is built elsewhere: a process serves.
    """
    world, desk = beginner
    (block,) = Page.read(world.project.folder / "README.md").sections["On GitHub"]
    *_, create, settle_it = block
    assert create == "gh repo create flight-story --private --source . --push"
    assert settle_it == "uv run mlops github"
    assert "there is no remote" in one_line(desk.mlops(code=2))
    assert REPOSITORY in desk.type(create.replace("flight-story", REPOSITORY))
    assert world.commit("main") == world.project.git("rev-parse", "HEAD").strip()

    # The first push: nothing was there before, and all of it is looked at.
    first_push = {"BASE": events.ZEROS, "GITHUB_EVENT_NAME": "push"}
    told = in_place(world, "ci", "changes", "What differs?", **first_push)
    assert told.splitlines() == ["code=true", "judged=true", "released=false"]
    told = in_place(world, "ci", "judge", "Judge", PROJECT=".", **first_push)
    assert "judged by the change's own engine, with nothing before it" in told
    assert "no objection" in told

    # Nothing is set up yet: no workflow may open a pull request.
    done = proposed(world)
    assert done.jobs["propose"] == "failure"
    for told in (done.log("propose", PROPOSE), done.summaries["propose"]):
        assert "is pushed, and has no pull request yet: GitHub Actions is not permitted" in told
        assert "an administrator runs `uv run mlops github`" in told

    # It does what this plan has, and says what it does not have, with what to do instead.
    settled = desk.mlops(code=3)
    assert "~ workflows: can_approve_pull_request_reviews: false -> true" in settled.stdout
    assert "gh variable set APP_ID" in settled.stdout
    assert "images are attested with GitHub Enterprise Cloud only" in settled.stdout
    assert "not enforced: rulesets: Upgrade to GitHub Pro" in settled.stderr
    assert "instead: make the repository public or take GitHub Pro" in settled.stderr

    done = proposed(world)
    all_well(done)
    ((branch, pull),) = world.github.open_pulls().items()
    assert pull["user"]["login"] == BOT
    assert pull["html_url"] in done.summaries["propose"]
    assert "waits until somebody with write access lets it start" in done.log("propose")
    world.project.git("remote", "set-url", "origin", str(world.origin))
    merged, first = world.merge(branch), branch.removeprefix("release/")
    assert world.facts("dev")["RELEASE_ID"] == first

    done = world.go("deploy", merged)
    all_well(done)
    assert done.steps["apply"][VERIFY] == "skipped"
    assert "There is no host: this runner pulled the release" in done.summaries["apply"]
    assert f"{first} to staging" in done.summaries["propose"]
    assert world.answers("dev") == first
    pull = world.github.open_pulls()[f"promote/staging/{first}"]
    assert pull["html_url"] in done.summaries["propose"]

    # Somebody closes it: the next run does not bring it back, and a person may.
    pull["state"] = "closed"
    done = world.go("deploy", events.schedule(world.commit("main")))
    all_well(done)
    assert world.github.open_pulls() == {}
    assert "somebody closed it, so that it is not proposed again" in done.summaries["propose"]
    assert f"reopen {pull['html_url']}" in done.summaries["propose"]
    pull["state"] = "open"
    world.merge(pull["head"]["ref"])

    world.change({"note.txt": "another commit\n"})
    second = image_less(world)
    done = world.go("promote", events.dispatch(world.commit("main"), environment="staging"))
    all_well(done)
    assert world.github.open_pulls()[f"promote/staging/{second}"]["user"]["login"] == BOT
    world.merge(f"promote/staging/{second}")

    # The reason is a person's, and is not run.
    asked = {"environment": "staging", "release": "", "reason": '$(touch /tmp/oh) `id`; "wrong"'}
    done = world.go("rollback", events.dispatch(world.commit("main"), **asked))
    all_well(done)
    back = world.github.open_pulls()[f"rollback/staging/{first}"]
    assert back["user"]["login"] == BOT
    assert f"Reason: {asked['reason']}" in back["body"]
    world.merge(f"rollback/staging/{first}")
    done = world.go("promote", events.dispatch(world.commit("main"), environment="staging"))
    assert done.jobs == {"promote": "failure"}
    assert "staging is on hold: $(touch /tmp/oh) `id`" in done.log("promote")

    done = world.go("rollback", events.dispatch(world.commit("main"), **asked), app=True)
    assert done.jobs == {"rollback": "failure"}
    assert "no earlier release to go back to" in done.log("rollback")
    assert world.unneeded("promote") == world.unneeded("rollback") == []


def test_repository_of_one_person_born_as_master_is_told_what_to_do(
    beginner: tuple[Releases, Desk],
) -> None:
    world, desk = beginner
    desk.type("git branch -m main master")
    desk.type(f"gh repo create {REPOSITORY} --public --source . --push")
    told, _, commands = one_line(desk.mlops(code=2)).partition(" follow main: ")
    assert "its default branch is master" in told
    desk.type(commands)
    assert world.commit("main") == world.commit("master")
    desk.hub.people = ["ada"]
    settled = desk.mlops().stdout
    assert f"{REPOSITORY} is as .github/settings.yaml says" in settled
    # Strict, and one person: they learn now that nobody will approve what they push.
    assert "ada alone may write here, and nobody approves a pull request of their own" in settled
