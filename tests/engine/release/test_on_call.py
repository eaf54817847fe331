"""The page for who is on call, command by command as it stands there, from top to bottom: two
releases went to prod, and the newer one answers wrongly."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine.released import Released, Run
from helpers import PROJECT
from pages import Page

pytestmark = pytest.mark.slow

PAGE = PROJECT / "mlops" / "docs" / "on-call.md"
UNKNOWN = "20300101-0000-abcdef0"


@dataclass(frozen=True)
class Desk:
    """A clone at somebody's desk, from which prod is served.

    Attributes:
        origin: the remote.
        first, second: the releases that prod had, the second one now.
        port: at which prod answers.
    """

    site: Released
    origin: Path
    first: str
    second: str
    port: int

    def type(self, line: str, code: int = 0, **known: str) -> Run:
        """Run a line of the page, with these words in the place of the page's."""
        for word, value in {"127.0.0.1:8000": f"127.0.0.1:{self.port}", **known}.items():
            line = line.replace(word, value)
        words = shlex.split(line)
        if words[:3] == ["uv", "run", "mlops"]:
            return self.site.mlops(*words[3:], code=code)
        done = self.site.project.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def merge(self, told: Run) -> None:
        """Merge what a command pushed, as people do on GitHub."""
        (branch,) = (line.split()[1] for line in told.stdout.splitlines() if "Pushed " in line)
        self.site.git("fetch", "--quiet")
        self.site.git("merge", "--quiet", "--ff-only", f"origin/{branch.removesuffix('.')}")
        self.site.git("push", "--quiet", "origin", "main")

    @property
    def serves(self) -> str:
        """The release that prod answers with."""
        return self.site.mlops("apply", "prod", "--base", "main").stdout.split()[1]


@pytest.fixture
def desk(released: Released, tmp_path: Path) -> Iterator[Desk]:
    """Somebody's desk: see Desk."""
    folder, first = released.project.folder, released.evidence.stem
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    prod = folder / "environments/prod"
    prod.joinpath("config.env").write_text(
        f"LISTEN=127.0.0.1:{port}\nREPLICAS=1\nCPUS=1\nMEMORY=512M\nMLOPS_WORKERS=1\n"
        "MLOPS_LOG=/log\n"
    )
    (prod / "policy.yaml").write_text("requires: staging\nhold: null\n")
    # Evidence of a release that is to be barred: a file is enough.
    evidence = json.loads(released.evidence.read_text())
    unknown = folder / f"releases/{UNKNOWN}.json"
    unknown.write_text(json.dumps(evidence | {"id": UNKNOWN}))
    hand_on(released)
    told = released.mlops("release").stdout
    released.git("merge", "--quiet", "--ff-only", told.split()[-1])
    hand_on(released)
    second = told.split()[1]
    origin = tmp_path / "origin.git"
    released.git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    released.git("remote", "add", "origin", str(origin))
    released.git("push", "--quiet", "--set-upstream", "origin", "main")
    released.mlops("apply", "prod")
    yield Desk(released, origin, first, second, port)
    released.mlops("stop", "prod", "--base", "main")


def hand_on(site: Released) -> None:
    """Give staging and prod what dev has."""
    for name in ("staging", "prod"):
        environments = site.project.folder / "environments"
        shutil.copy(environments / "dev/release.env", environments / name)
        site.commit()


def test_who_is_on_call_follows_the_page(desk: Desk) -> None:
    page, site = Page.read(PAGE), desk.site
    assert desk.serves == desk.second
    before = site.git("rev-parse", "origin/main")

    go_back, at_once, alone = page.below("Production is wrong: go back")
    assert f"it had {desk.first}" in site.mlops("rollback", "prod", "--to", "x", code=2).stderr
    fetch, rollback = go_back
    desk.type(fetch)
    assert f"Pushed rollback/prod/{desk.first}." in desk.type(rollback).stdout
    # The branch itself, before anybody merges it.
    told = desk.type(alone[0], ID=desk.first).stdout
    assert f"stopped {desk.second} after draining its requests" in told
    for line in at_once:
        told = desk.type(line, ID=desk.first).stdout
    assert told == f"serving: {desk.first} at 127.0.0.1:{desk.port}\n"
    assert "prod is on hold: answers are wrong since noon" in (
        site.mlops("promote", "prod", code=3).stderr
    )

    # An old clone whose remote does not answer does not know of it, and does not go forward.
    url = site.git("remote", "get-url", "origin")
    site.git("update-ref", "refs/remotes/origin/main", before)
    site.git("remote", "set-url", "origin", "nowhere.git")
    done = site.mlops("apply", "prod", code=3)
    assert "warning: main may have moved on, the remote was not asked: git fetch: " in done.stderr
    assert f"prod runs {desk.first}, which is older than {desk.second}: it may have" in done.stderr
    # It is asked where it answers.
    site.git("remote", "set-url", "origin", url)
    assert f"serving: {desk.first} at" in site.mlops("apply", "prod").stdout

    quarantine, unhold, promote = page.below("The rollback was wrong")[0]
    desk.merge(desk.type(quarantine, BAD_ID=UNKNOWN))
    desk.merge(desk.type(unhold))
    desk.merge(desk.type(promote, GOOD_ID=desk.second))
    assert desk.serves == desk.second

    status, trace, smoke = page.below("What runs, and is it what Git says?")[0]
    assert desk.second in desk.type(status).stdout
    assert f"ok  server: {desk.second}" in desk.type(trace).stdout
    assert f"release {desk.second}" in desk.type(smoke).stdout

    hold, quarantine, unhold = page.below("Stop the line")[0]
    desk.merge(desk.type(hold))
    desk.merge(desk.type(quarantine, RELEASE_ID=desk.second))
    told = site.mlops("status", "--check", code=3).stdout
    assert f"prod: {desk.second} is in quarantine: predicts from the wrong column" in told
    assert "on hold: incident 42" in told
    desk.merge(desk.type(unhold))
    assert "on hold" not in site.mlops("status").stdout
    assert desk.serves == desk.second, "quarantine stops no server"

    (monitor,) = page.below("Is the model still right?")[0]
    assert "prod" in desk.type(monitor).stdout
    (trace,) = page.below("Who answered this request?")[0]
    assert "ok  source " in desk.type(trace, RELEASE_ID=desk.second).stdout.splitlines()[-1]
    assert page.left == []
