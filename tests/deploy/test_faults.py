"""What goes wrong: after it, Git and what runs agree, or `status` says where they do not.

Commands are killed at each of their steps, see killing.py. `make test-long` kills two hundred at
random: 170 proposals, 20 applies of processes, 10 of containers.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from deploy.killing import Killer
from deploy.site import Site
from deploy.test_apply import answer
from images.engine import HAPROXY, PYTHON, Engine, free_port, wait_for
from pipeline.running import Run, one_line

PROPOSALS, PROCESSES, CONTAINERS = 85, 20, 10
FULL_DISK = """
set -e
folder=$1; shift
mkdir -p "$folder"
cp -a "$folder" ../kept
mount -t tmpfs -o size=$(($(du -sk ../kept | cut -f1) + 300))k tmpfs "$folder"
cp -a ../kept/. "$folder"
cat /dev/zero > "$folder/.filler" 2>/dev/null || true
code=0
"$@" || code=$?
rm "$folder/.filler"
git fsck --strict --no-dangling >&2
git for-each-ref --format='%(refname:short)' refs/heads
exit $code
"""


def released(site: Site, environment: str) -> str:
    """Return the release that answers for an environment, or why none does."""
    try:
        name = answer(site.ports[environment], "/v2")["name"]
        parameters = answer(site.ports[environment], f"/v2/models/{name}")["parameters"]
    except (OSError, HTTPException) as error:
        return repr(error)
    assert isinstance(parameters, dict)
    return str(parameters["release"])


def kill(site: Site, command: tuple[str, ...], longest: float, chance: random.Random) -> None:
    """Run a command, and kill it at a random moment of the time that it takes."""
    process = site.start(*command)
    time.sleep(chance.uniform(0, longest))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def took(run: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.monotonic()
    run()
    return time.monotonic() - started


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    """Who kills at each step."""
    return Killer.begin(tmp_path / "killer")


@dataclass
class Proposed:
    """A site about to propose something, and what must be so after each attempt.

    Attributes:
        branch: where it is to be.
        changed: the files that it is to change.
        main: what is merged; nothing of it may change.
        left: what attempts left.
    """

    site: Site
    command: tuple[str, str]
    branch: str
    changed: list[str]
    main: str
    left: set[str] = field(default_factory=set)

    @staticmethod
    def begin(site: Site, verb: str, origin: Path) -> Proposed:
        """Prepare the site."""
        git = site.project.git
        git("init", "--quiet", "--bare", str(origin))
        old = site.named("dev")
        site.promote("staging")
        site.change()
        new = site.release()
        if verb == "rollback":
            site.promote("staging")
        git("remote", "add", "origin", str(origin))
        git("push", "--quiet", "origin", "main")
        policy = [] if verb == "promote" else ["environments/staging/policy.yaml"]
        return Proposed(
            site,
            command=(verb, "staging"),
            branch=f"{verb}/staging/{new if verb == 'promote' else old}",
            changed=[*policy, "environments/staging/release.env"],
            main=git("rev-parse", "main"),
        )

    def forget(self) -> None:
        """Take away what was proposed."""
        for command in (["branch", "-D", self.branch], ["push", "origin", f":{self.branch}"]):
            folder = self.site.project.folder
            subprocess.run(["git", *command], cwd=folder, capture_output=True)

    def look(self) -> None:
        """Require a whole branch or none, and all else as it was."""
        git = self.site.project.git
        there = git(
            "for-each-ref", "--format=%(refname)", f"refs/heads/{self.branch}", "refs/remotes"
        )
        self.left.add(there)
        assert git("rev-parse", "main") == self.main
        assert git("status", "--porcelain", "--untracked-files=no") == ""
        if f"refs/heads/{self.branch}" in there:
            assert git("diff", "--name-only", "main", self.branch).split() == self.changed

    def end(self) -> None:
        """Require that it can still be proposed, by the rules."""
        assert len(self.left) > 1, "none was killed in the middle"
        git = self.site.project.git
        git("fsck", "--strict", "--no-dangling")
        done = self.site.mlops(*self.command)
        assert f"Pushed {self.branch}" in done.stdout
        git("checkout", "--quiet", self.branch)
        self.site.mlops("guard", "--base", "main")


each_verb = pytest.mark.parametrize("verb", ["promote", "rollback"])


@each_verb
def test_a_killed_proposal_leaves_a_whole_branch_or_none(
    processes: Site, killer: Killer, verb: str, tmp_path: Path
) -> None:
    proposed = Proposed.begin(processes, verb, tmp_path / "origin.git")
    steps = []
    for told in killer.each(processes, *proposed.command):
        steps.append(told or "end")
        proposed.look()
        proposed.forget()
    started = {" ".join(step.split()[:2]) for step in steps}
    assert {"git commit-tree", "git push", "git update-ref", "end"} <= started, steps
    proposed.end()


@pytest.mark.long
@each_verb
def test_proposals_killed_at_random(processes: Site, verb: str, tmp_path: Path) -> None:
    """In the middle of what Git does, too."""
    proposed, chance = Proposed.begin(processes, verb, tmp_path / "origin.git"), random.Random(verb)  # noqa: S311
    longest = took(lambda: processes.mlops(*proposed.command))
    for _ in range(PROPOSALS):
        proposed.forget()
        kill(processes, proposed.command, longest, chance)
        proposed.look()
    proposed.end()


@dataclass
class Applied:
    """A site whose dev serves one of two releases and is to serve the other, again and again.

    Attributes:
        ids: the releases; the second one is what dev is to have.
        files: release.env of each.
        seen: what `status` told of after attempts that were killed.
    """

    site: Site
    ids: list[str]
    files: list[str]
    seen: set[str] = field(default_factory=set)

    @staticmethod
    def begin(site: Site) -> Applied:
        """Prepare the site."""

        def file() -> str:
            return site.project.git("show", "main:environments/dev/release.env")

        ids, files = [site.named("dev")], [file()]
        site.mlops("apply", "dev")
        site.change(estimators__boosting__max_iter=22)
        return Applied(site, [*ids, site.release()], [*files, file()])

    def turn(self) -> None:
        """Let Git say the other one: what is applied does not ask by which way it came."""
        wanted = self.ids.index(self.site.named("dev")) ^ 1
        self.site.project.write("environments/dev/release.env", self.files[wanted])
        self.site.project.commit()

    def look(self) -> None:
        """Something always answers, and `status` tells of all that is not as Git says."""
        # In this order: an old server that was told to go may have gone in between.
        wanted, drift, answering = (
            self.site.named("dev"),
            self.site.drift(),
            released(self.site, "dev"),
        )
        assert answering in self.ids
        assert drift or answering == wanted
        self.seen.add(re.sub("[0-9]{8}-[0-9]{4}-[0-9a-f]{7}", "ID", " ".join(drift)))

    def mend(self) -> None:
        """Require that applying once more is all that it takes."""
        wait_for(lambda: applied(self.site), "the lock of the one that was killed")
        assert released(self.site, "dev") == self.site.named("dev")

    def end(self) -> None:
        """Require that nothing is left over of any attempt, and that it can be stopped."""
        assert len(self.seen) > 1, self.seen
        assert self.site.drift() == []
        self.site.mlops("stop", "dev")
        assert "refused" in released(self.site, "dev")


# What applying has to have been killed before, at least.
STEPS = {
    "processes": {"sh", "signal 15", "os.remove", "end"},
    "containers": {"run", "up", "exec", "connect", "down", "end"},
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_killed_apply_is_told_and_mended(
    kind: str, killer: Killer, request: pytest.FixtureRequest
) -> None:
    site = request.getfixturevalue(kind)
    assert isinstance(site, Site)
    found = Applied.begin(site)
    # This release is new here, which takes a step more: of processes, its model is fetched.
    steps = [str(killer.run(site, 1, "apply", "dev"))]
    found.look()
    found.mend()
    found.turn()
    for told in killer.each(site, "apply", "dev"):
        steps.append(told or "end")
        found.look()
        found.mend()
        found.turn()
    words = {word for step in steps for word in [*step.split(), " ".join(step.split()[:2])]}
    assert STEPS[kind] <= words, steps
    found.mend()
    found.end()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "times"), [("processes", PROCESSES), ("containers", CONTAINERS)])
def test_applies_killed_at_random(kind: str, times: int, request: pytest.FixtureRequest) -> None:
    """One after the other, not each of them mended, with releases that are gone back to."""
    site = request.getfixturevalue(kind)
    assert isinstance(site, Site)
    found = Applied.begin(site)
    longest, chance = took(lambda: site.mlops("apply", "dev")), random.Random(kind)  # noqa: S311
    for number in range(times):
        if number % 2 == 0:
            site.merge("rollback", "dev", "--to", found.ids[0])
        else:
            again(site, found.ids[1])
        kill(site, ("apply", "dev"), longest, chance)
        found.look()
        if number % 4 == 3:
            found.mend()
    wait_for(lambda: applied(site), "the lock of the one that was killed")
    found.end()


def again(site: Site, identity: str) -> None:
    """Let dev have a release that it was rolled back from: a person decides that."""
    site.merge("unhold", "dev")
    project = site.project
    evidence = json.loads(project.git("show", f"main:releases/{identity}.json"))
    names = {"RELEASE_ID": "id", "GIT_SHA": "git_sha"}
    text = "".join(f"{name}={evidence[key]}\n" for name, key in names.items())
    text += f"SERVING_IMAGE={evidence['images']['serving']}\nTRAINING_IMAGE=\n"
    text += f"MODEL_VERSION={evidence['model']['version']}\nMODEL_MD5={evidence['model']['md5']}\n"
    project.write("environments/dev/release.env", text)
    project.commit()
    project.run("mlops", "guard", "--base", "HEAD~1")


def applied(site: Site) -> bool:
    """Tell whether dev could be applied: the lock of a killed one ends with it, but not at once."""
    done = subprocess.run(
        ["mlops", "apply", "dev"],
        cwd=site.project.folder,
        env=site.project.environ() | site.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or "another apply is under way" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["processes", "containers"])
def test_two_who_apply_at_once(kind: str, request: pytest.FixtureRequest) -> None:
    site = request.getfixturevalue(kind)
    first, second = (site.start("apply", "dev") for _ in range(2))
    told = [each.communicate()[1] for each in (first, second)]
    assert sorted([first.returncode, second.returncode]) == [0, 3], told
    assert "another apply is under way" in "".join(told)
    assert released(site, "dev") == site.named("dev")
    assert site.drift() == []


def test_two_who_promote_at_once(processes: Site, tmp_path: Path) -> None:
    """Both propose the same; one branch is there, and one merge does it."""
    site = processes
    origin = tmp_path / "origin.git"
    site.project.git("clone", "--quiet", "--bare", ".", str(origin))
    site.project.git("remote", "add", "origin", str(origin))
    site.project.git("fetch", "--quiet", "origin")
    both = [site.start("promote", "staging") for _ in range(2)]
    for each in both:
        told = each.communicate()[1]
        # Git lets one at a time write a branch.
        assert each.returncode == 0 or "lock" in told, told
    assert 0 in [each.returncode for each in both]
    (branch,) = site.project.git("ls-remote", "--heads", "origin", "promote/*").splitlines()
    assert branch.endswith(f"promote/staging/{site.named('dev')}")


# --- what is applied is not what it should be


@pytest.fixture
def serving(containers: Site) -> Site:
    """A site whose dev serves a release, with time to wait for a bad one that is short."""
    containers.settings("dev", READY_SECONDS="15")
    containers.project.commit()
    containers.mlops("apply", "dev")
    return containers


def refused(site: Site, image: Callable[[str], str]) -> str:
    """Release an image that is bad, and return why applying fails: what served still does."""
    before = released(site, "dev")
    site.change()
    bad = site.release(image)
    done = site.mlops("apply", "dev", code=3)
    assert one_line(done).endswith(f"; {before} still serves")
    assert released(site, "dev") == before != bad
    assert site.drift() == [f"✗ dev: runs {before} → mlops apply dev"]
    site.mlops("apply", "dev", code=3)
    # The way back is quick, for what is gone back to never stopped.
    site.merge("rollback", "dev")
    site.mlops("apply", "dev")
    assert site.drift() == []
    return done.stderr


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("HEALTHCHECK --interval=1s --retries=2 --start-period=1s CMD false", "healthy"),
        ("ENV MLOPS_MODEL=/nowhere", "nowhere"),
        ("ENV MLOPS_RELEASE=another", "serves another, not "),
    ],
    ids=["never-healthy", "does-not-start", "another-release"],
)
def test_a_bad_image_never_serves(engine: Engine, serving: Site, lines: str, told: str) -> None:
    """It is good but for one thing, and the last one is even healthy."""

    def spoilt(identity: str) -> str:
        base, name = serving.build(identity), f"{serving.registry}/flights/serving"
        file = serving.project.folder.with_suffix(".bad")
        engine.docker(
            *("buildx", "build", "--provenance=false", f"--metadata-file={file}"),
            *(f"--output=type=image,name={name},push=true", "-"),
            stdin=f"FROM {base}\n{lines}\n".encode(),
        )
        return f"{name}@{json.loads(file.read_text())['containerimage.digest']}"

    assert told in refused(serving, spoilt)


def test_another_model_never_serves(serving: Site) -> None:
    """The image has a good model, which is not the one of the evidence."""
    model = serving.project.folder / "models" / "model.onnx"
    other = model.read_bytes()
    serving.change(estimators__boosting__max_iter=23)

    def mixed_up(identity: str) -> str:
        right = model.read_bytes()
        model.write_bytes(other)
        image = serving.build(identity)
        model.write_bytes(right)
        return image

    assert "its model has the SHA-256" in refused(serving, mixed_up)


def test_a_registry_that_is_down(serving: Site) -> None:
    """Nobody listens where the image is said to be."""
    down = f"127.0.0.1:{free_port()}/flights"
    serving.project.declare(down)
    name = f"{down}/serving@sha256:{'1' * 64}"
    assert "connection refused" in refused(serving, lambda _: name)


def test_a_tag_that_moved_changes_nothing(engine: Engine, serving: Site) -> None:
    """What is applied is named by its digest: who moves a tag in the registry has moved nothing."""
    served = serving.named("dev")
    name = f"{serving.registry}/flights/serving:{served}"
    engine.docker("tag", PYTHON, name)
    engine.docker("push", "--quiet", name)
    serving.mlops("stop", "dev")
    serving.mlops("apply", "dev")
    assert released(serving, "dev") == served
    assert serving.mlops("trace", "dev").returncode == 0


def test_changed_settings_reach_the_servers(engine: Engine, serving: Site) -> None:
    serving.settings("dev", REPLICAS="2", MLOPS_MAX_ROWS="1")
    serving.project.commit()
    assert serving.drift() == [
        f"✗ dev: runs {serving.named('dev')} with other settings → mlops apply dev"
    ]
    serving.mlops("apply", "dev")
    label = f"label=mlops.release={serving.named('dev')}"
    ids = engine.docker("ps", "--quiet", "--filter", label).split()
    assert len(ids) == 2
    for each in ids:
        told = engine.docker("inspect", "--format", "{{json .Config.Env}}", each)
        assert "MLOPS_MAX_ROWS=1" in json.loads(told)
    assert HAPROXY in engine.docker("ps", "--format", "{{.Image}}")


# --- Git is not what it should be


def test_tampered_evidence_is_not_applied(processes: Site) -> None:
    site = processes
    identity = site.named("dev")
    file = f"releases/{identity}.json"
    evidence: dict[str, Any] = site.project.read(file)
    site.project.write(file, json.dumps(evidence | {"metrics": {"roc_auc": 1.0}}))
    site.project.commit()
    assert "evidence is written once" in one_line(site.mlops("guard", "--base=HEAD~1", code=3))
    told = site.mlops("trace", "dev", code=3).stdout
    assert "was changed after it was written" in told
    assert "wrong  metrics.roc_auc: 1.0: it says 1.0, reports/metrics.json of " in told
    evidence["model"]["md5"] = "1" * 32
    site.project.write(file, json.dumps(evidence))
    site.project.commit()
    assert "nothing is applied" in one_line(site.mlops("apply", "dev", code=3))
    assert "nothing is applied" in site.mlops("status").stdout


def test_a_rewritten_history_is_told(processes: Site) -> None:
    """All files are as they were; what they tell of is gone."""
    site, git = processes, processes.project.git
    site.promote("staging")
    git("checkout", "--quiet", "--orphan", "fresh")
    git("commit", "--quiet", "--message", "One commit")
    git("branch", "--force", "main")
    git("checkout", "--quiet", "main")
    told = site.mlops("trace", "staging", code=3).stdout
    assert "wrong  commit: " in told
    assert "was rewritten" in told
    assert "no earlier release" in one_line(site.mlops("rollback", "staging", code=2))
    assert "✗ staging: nothing" not in site.mlops("status").stdout


def test_a_clock_that_is_wrong_lets_nothing_through_sooner(processes: Site) -> None:
    """A commit of tomorrow has not soaked at all; `status` does not stumble upon it."""
    site = processes
    site.project.set("environments/prod/policy.yaml", soak_minutes=60)
    site.project.commit()
    tomorrow = f"@{int(time.time()) + 86_400} +0000"
    done = site.mlops("promote", "staging")
    (branch,) = re.findall(r"--ff-only (\S+)", done.stdout)
    dates = {"GIT_COMMITTER_DATE": tomorrow, "GIT_AUTHOR_DATE": tomorrow}
    site.project.run("git", "merge", "--quiet", "--no-ff", "-m", "Merge", branch, env=dates)
    told = one_line(site.mlops("promote", "prod", code=3))
    assert "was live in staging for 0 minutes; prod wants 60" in told
    (row,) = re.findall("^staging  .+", site.mlops("status").stdout, re.MULTILINE)
    assert "-" not in re.split(" {2,}", row)[2]


@pytest.mark.parametrize(("verb", "code"), [("promote", 2), ("apply", 1)])
def test_a_full_disk(processes: Site, verb: str, code: int) -> None:
    """Git says it itself."""
    site = processes
    folder, name = (".git", "staging") if verb == "promote" else ("build/environments", "dev")
    inside = ("unshare", "--mount")
    done: Run = site.project.run(
        *inside, "sh", "-c", FULL_DISK, "sh", folder, "mlops", verb, name, code=code
    )
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "promote" not in done.stdout
    site.mlops(verb, name)
