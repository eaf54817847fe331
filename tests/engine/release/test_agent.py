"""A device that asks Git itself: it takes what a key vouches for, and keeps what it has otherwise.

Rounds are killed before each change that they make outside of themselves: in a process apart, by a
hook of Python's, and without any clean-up.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engine import rounds
from engine.released import Released
from engine.rounds import KILLED, Round
from engine.traced import EXPORTED, Shipped, sha256
from engine.workspace import root
from typer.testing import CliRunner

from mlops import paths
from mlops.cli import environment
from mlops.errors import CheckError, InputError, ProjectError
from mlops.release.agent import Agent
from mlops.release.evidence import Evidence, evidence_path
from mlops.release.state import release_path
from mlops.release.swap import Swap

NEW = {"model.c": "other code\n", "model.h": "the other header\n"}


def signing(git: Callable[..., object], folder: Path, name: str = "key") -> Path:
    """Have a repository sign with a key of its own, and return the file that vouches for it."""
    key, signers = folder / name, folder / f"{name}.signers"
    if not key.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(command, check=True)
        signers.write_text(f"ada@example.com {Path(f'{key}.pub').read_text()}")
    git("config", "gpg.format", "ssh")
    git("config", "user.signingKey", str(key))
    git("config", "commit.gpgSign", "true")
    return signers


@dataclass
class Device:
    """A clone on a device, with the model at a place of its own, and where it came from.

    Attributes:
        shipped: the project at its origin, with what dev runs.
        folder: the clone, in which this process is.
        place: where the model is.
        command: what is run with it.
    """

    shipped: Shipped
    folder: Path
    place: Path
    command: tuple[str, ...] = ()
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self.agent = Agent("dev", Swap("dev", "c", self.place, self.command))

    def git(self, *arguments: str) -> str:
        """Run Git on the device."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    @property
    def last(self) -> str:
        """The commit that was brought about last."""
        return self.git("for-each-ref", "--format=%(objectname)", self.agent.ref)

    @property
    def files(self) -> dict[str, str]:
        """What is at the place."""
        return {path.name: path.read_text() for path in sorted(self.place.iterdir())}

    def look(self) -> list[str]:
        """One round."""
        return [*self.agent.once()]

    def online(self, yes: bool = True) -> None:
        """Have a network, or none."""
        origin = self.shipped.traced.stored.folder
        self.git("remote", "set-url", "origin", str(origin if yes else "/nowhere"))
        config = self.folder / ".dvc/config.local"
        config.write_text("" if yes else "['remote \"storage\"']\n    url = /nowhere\n")

    def change(self, files: dict[str, str] = NEW) -> str:
        """Release another model to dev at the origin, and return the commit that does."""
        traced = self.shipped.traced
        here = Path.cwd()
        os.chdir(traced.stored.folder)
        try:
            return _released(self.shipped, files)
        finally:
            os.chdir(here)

    def origin(self, *arguments: str) -> str:
        """Run Git at the origin."""
        done = subprocess.run(
            ["git", "-C", str(self.shipped.traced.stored.folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def _released(shipped: Shipped, files: dict[str, str]) -> str:
    traced = shipped.traced
    for name, text in files.items():
        (paths.EXPORT / "c" / name).unlink(missing_ok=True)
        (paths.EXPORT / "c" / name).write_text(text)
    told = {"files": {name: {"sha256": sha256(text)} for name, text in files.items()}}
    (paths.EXPORT_REPORTS / "c.json").write_text(json.dumps(told))
    traced.made()
    traced.stored.push()
    traced.release()
    content = Evidence.model_validate_json(evidence_path(traced.id).read_text())
    release_path("dev").write_text(content.release.text())
    return traced.stored.commit()


@pytest.fixture
def device(shipped: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device that trusts the key with which the origin's commits are signed."""
    signers = signing(shipped.traced.git, tmp_path)
    shipped.traced.stored.commit()
    shipped.traced.stored.push()
    folder = tmp_path / "device"
    subprocess.run(
        ["git", "clone", "--quiet", str(shipped.traced.stored.folder), str(folder)], check=True
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "sync", lambda: None)  # of all that this machine does
    found = Device(shipped, folder, tmp_path / "place" / "model")
    found.git("config", "core.fsync", "none")
    found.git("config", "gpg.ssh.allowedSignersFile", str(signers))
    return found


@pytest.fixture
def apart(device: Device) -> Iterator[Callable[..., int]]:
    """Run a round in a process apart, as `rounds.Round` says; its exit code, 1 for an error."""
    process = subprocess.Popen(
        [sys.executable, rounds.__file__],
        cwd=device.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    asked, told = process.stdin, process.stdout
    assert asked is not None
    assert told is not None

    def run(**how: Any) -> int:
        asked.write(rounds.line(Round(str(device.place), **how)))
        asked.flush()
        return int(told.readline())

    with process:
        yield run
        asked.close()


def test_a_device_has_what_git_says_and_follows_it(device: Device) -> None:
    first = device.git("rev-parse", "origin/main")
    (swapped, done) = device.look()
    assert swapped.startswith(f"{device.place}: c of ")
    assert done == f"dev: as {first[:7]} says"
    assert (device.files, device.last) == (EXPORTED, first)
    assert device.look() == []
    second = device.change()
    assert device.look()[-1] == f"dev: as {second[:7]} says"
    assert (device.files, device.last) == (NEW, second)
    # A commit that changes nothing here is taken, and nothing is swapped.
    third = device.origin("commit", "--allow-empty", "--message=x") and device.origin(
        "rev-parse", "HEAD"
    )
    assert device.look() == [f"dev: as {third[:7]} says"]


def test_a_rollback_needs_nothing_but_git(device: Device) -> None:
    device.look()
    device.change()
    device.look()
    device.origin("revert", "--no-edit", "HEAD")
    shutil.rmtree(device.shipped.traced.stored.remote)
    shutil.rmtree(device.folder / ".dvc/cache", ignore_errors=True)
    device.look()
    assert device.files == EXPORTED


def test_without_a_network_it_goes_on_and_mends_what_is_broken(device: Device) -> None:
    device.look()
    device.online(False)
    (line,) = device.look()
    assert line.startswith("origin is out of reach")
    device.place.unlink()  # as after a bad shutdown
    lines = device.look()
    assert len(lines) == 2
    assert device.files == EXPORTED
    device.online()
    second = device.change()
    device.look()
    assert device.last == second


def test_a_network_that_comes_and_goes_leaves_the_old_until_all_is_there(device: Device) -> None:
    """Git answers, and the store of models does not."""
    device.look()
    second = device.change()
    shutil.move(device.shipped.traced.stored.remote, device.folder.parent / "lost")
    with pytest.raises(InputError, match="nor on the remote"):
        device.look()
    assert device.files == EXPORTED
    shutil.move(device.folder.parent / "lost", device.shipped.traced.stored.remote)
    assert device.look() == []  # it rests for a round
    device.look()
    assert (device.files, device.last) == (NEW, second)


def test_a_device_that_begins_without_a_network_says_so(device: Device) -> None:
    device.online(False)
    with pytest.raises(CheckError, match="nothing was brought about yet, and origin is out of"):
        device.look()


def test_no_branch_main_is_said(device: Device) -> None:
    device.origin("branch", "--move", "other")
    with pytest.raises(InputError, match="^origin has no branch main$"):
        device.look()


def _unsigned(device: Device) -> None:
    device.origin("config", "commit.gpgSign", "false")
    device.change()


def _strange(device: Device) -> None:
    signing(device.origin, device.folder.parent, "another")
    device.change()


def _forged(device: Device) -> None:
    """A good signature of something else."""
    device.change()
    content = device.origin("cat-file", "commit", "HEAD").replace("author A ", "author E ")
    path = device.folder.parent / "forged"
    path.write_text(f"{content}\n")
    forged = device.origin("hash-object", "-t", "commit", "-w", str(path))
    device.origin("reset", "--quiet", "--soft", forged)


def _rewound(device: Device) -> None:
    """What was signed once, and is no more: whoever has the remote may still offer it."""
    device.change()
    device.look()
    device.origin("reset", "--quiet", "--soft", "HEAD~1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_unsigned, "not signed"),
        (_strange, "a key that nobody here vouches for"),
        (_forged, "its signature is of something else"),
        (_rewound, "it does not stand on"),
    ],
)
def test_what_no_key_vouches_for_is_not_taken(
    device: Device, change: Callable[[Device], None], why: str
) -> None:
    device.look()
    change(device)
    last, files = device.last, device.files
    for _ in range(2):
        with pytest.raises(
            CheckError, match=f"^main is at [0-9a-f]{{7}}, which is not taken: .*{why}"
        ):
            device.look()
    assert (device.last, device.files) == (last, files)
    # What is there is mended all the same.
    device.place.unlink()
    with pytest.raises(CheckError):
        device.look()
    assert device.files == files


def test_a_device_that_knows_no_key_takes_nothing(device: Device) -> None:
    device.git("config", "--unset", "gpg.ssh.allowedSignersFile")
    with pytest.raises(CheckError, match="which is not taken"):
        device.look()
    assert not device.place.exists()


def test_files_of_other_hashes_are_not_taken(device: Device) -> None:
    device.look()
    device.change()
    for path in (device.shipped.traced.stored.remote / "files").rglob("*"):
        if path.is_file() and path.read_text() == NEW["model.c"]:
            path.chmod(0o644)
            path.write_text("a virus\n")
    with pytest.raises(ProjectError):
        device.look()
    assert device.files == EXPORTED


def test_a_round_that_is_killed_anywhere_is_done_by_the_next(
    device: Device, apart: Callable[..., int]
) -> None:
    """At each step: what is at the place is one model or the other, whole."""
    device.look()
    device.change()
    device.look()
    number, killed = 0, True
    while killed:
        number += 1
        device.origin("revert", "--no-edit", "HEAD")
        code = apart(step=number)
        assert code in (0, KILLED)
        killed = code == KILLED
        assert device.files in (EXPORTED, NEW), number
        device.look()
        assert device.files == (EXPORTED if number % 2 else NEW), number
    assert number > 8
    assert sorted(each.name for each in device.place.parent.iterdir()) == [".model", "model"]
    assert len([*(device.place.parent / ".model").iterdir()]) == 2


def test_what_git_left_when_it_was_killed_is_no_hindrance(device: Device) -> None:
    device.look()
    second = device.change()
    lock = Path(device.git("rev-parse", "--git-path", f"{device.agent.ref}.lock"))
    lock.touch()
    device.look()
    assert device.last == second


def test_a_full_disk_leaves_what_was(device: Device, apart: Callable[..., int]) -> None:
    """No file may have more than so many bytes: none at all, a commit's, all but the model's."""
    device.look()
    first = device.last
    second = device.change({"model.c": "x" * 50_000, "model.h": "y\n"})
    for size in (0, 300, 20_000):
        assert apart(most=size) in (0, 1)  # Git may be unable to fetch, as without a network
        assert (device.files, device.last) == (EXPORTED, first)
    device.look()
    assert (device.files["model.h"], device.last) == ("y\n", second)


def _script(folder: Path, text: str) -> Path:
    path = folder / "flash.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_command_that_fails_brings_back_what_was_before(device: Device, tmp_path: Path) -> None:
    flash = _script(
        tmp_path,
        f'cat "$MLOPS_MODEL/model.c" >> {tmp_path}/flashed\n'
        'grep -q code "$MLOPS_MODEL/model.c" || { echo no code; exit 5; }',
    )
    device = Device(device.shipped, device.folder, device.place, (str(flash), "a b"))
    device.look()
    bad = device.change({"model.c": "bad\n", "model.h": "bad\n"})
    with pytest.raises(
        CheckError, match=r"ends with 5 \(no code\); what was before is there again$"
    ):
        device.look()
    assert device.files == EXPORTED
    assert (tmp_path / "flashed").read_text() == "the code\nbad\nthe code\n"
    # It is tried again after 1, 2, 4 rounds, and never mends what is well.
    tried = []
    for _ in range(8):
        try:
            device.look()
            tried.append(False)
        except CheckError:
            tried.append(True)
    assert tried == [False, True, False, False, True, False, False, False]
    assert device.last != bad
    # What comes after it is tried at once.
    good = device.change()
    device.look()
    assert (device.files, device.last) == (NEW, good)


def test_the_first_command_that_fails_leaves_nothing(device: Device, tmp_path: Path) -> None:
    device = Device(
        device.shipped, device.folder, device.place, (str(_script(tmp_path, "exit 1")),)
    )
    with pytest.raises(CheckError, match="ends with 1; nothing is there now"):
        device.look()
    assert not device.place.is_symlink()


@pytest.mark.parametrize("command", ["/nowhere/flash", "/"])
def test_a_command_that_is_none_is_said(device: Device, command: str) -> None:
    device = Device(device.shipped, device.folder, device.place, (command,))
    with pytest.raises(CheckError, match=f"^dev: {command}: "):
        device.look()


def test_a_command_that_was_killed_is_run_again(
    device: Device, tmp_path: Path, apart: Callable[..., int]
) -> None:
    flash = _script(tmp_path, f"echo once >> {tmp_path}/flashed")
    device = Device(device.shipped, device.folder, device.place, (str(flash),))
    assert apart(command=(str(flash),), program=str(flash)) == KILLED
    assert device.files == EXPORTED
    device.look()
    device.look()
    assert (tmp_path / "flashed").read_text() == "once\n"


def test_what_is_not_the_agents_is_not_replaced(device: Device) -> None:
    device.place.mkdir(parents=True)
    (device.place / "mine").write_text("mine")
    with pytest.raises(InputError, match="is no link of the agent's"):
        device.look()
    assert device.files == {"mine": "mine"}


def test_old_files_go_but_for_those_before(device: Device) -> None:
    for number in range(4):
        device.change({"model.c": f"{number}\n", "model.h": "h\n"})
        device.look()
    kept = device.place.with_name(".model").iterdir()
    assert sorted((path / "model.c").read_text() for path in kept) == ["2\n", "3\n"]


def test_two_agents_do_not_do_the_same(device: Device) -> None:
    agent = Agent(device.agent.environment, device.agent.duty)
    first = agent.run(60)
    next(first)
    with pytest.raises(CheckError, match="another agent is at work here"):
        device.look()
    del first
    device.look()


@pytest.mark.slow
def test_servers_are_swapped_as_git_says_and_go_on_without_it(
    released: Released, tmp_path: Path
) -> None:
    """A server that dies offline, settings that change, and some with which none starts."""
    origin, port = tmp_path / "origin.git", f"127.0.0.1:{released.port}"
    released.git("config", "gpg.ssh.allowedSignersFile", str(signing(released.git, tmp_path)))
    released.git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    released.git("remote", "add", "origin", str(origin))

    def change(*settings: str) -> None:
        released.settings("MLOPS_WORKERS=1", *settings)
        released.commit()
        released.git("push", "--quiet", "origin", "main")

    def serves() -> None:
        released.mlops("smoke", port, "--release", released.evidence.stem)

    change("MLOPS_MAX_ROWS=7")
    told = released.mlops("agent", "dev", "--once").stdout
    assert f"serving: {released.evidence.stem} at {port}\ndev: as " in told
    try:
        assert released.mlops("agent", "dev", "--once").stdout == ""
        change("MLOPS_LOG=nothing://here")
        failed = released.mlops("agent", "dev", "--once", code=3).stderr
        assert failed.endswith(f"; {released.evidence.stem} still serves\n")
        serves()
        origin.rename(tmp_path / "lost")
        released.mlops("stop", "dev", "--base", "HEAD~1")
        told = released.mlops("agent", "dev", "--once").stdout
        assert "origin is out of reach" in told
        assert f"serving: {released.evidence.stem}" in told
        serves()
    finally:
        released.mlops("stop", "dev")


@pytest.mark.parametrize(
    "options",
    [
        ["--target", "c"],
        ["--out", "model"],
        ["--run", "make"],
        ["--target", "c", "--out", "model", "--run", "'"],
    ],
)
def test_options_that_do_not_go_together_are_one_line(options: list[str]) -> None:
    done = CliRunner().invoke(environment.app, ["agent", "dev", *options])
    assert isinstance(done.exception, InputError)
    assert "\n" not in str(done.exception)


def test_the_unit_for_systemd_is_one_it_takes(tmp_path: Path) -> None:
    """And it leaves servers that are processes alone when the agent starts anew."""
    unit = root() / "deploy/mlops-agent@.service"
    text = unit.read_text()
    assert "\nKillMode=process\n" in text
    if verify := shutil.which("systemd-analyze"):
        program = tmp_path / "uv"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        copy = tmp_path / "mlops-agent@prod.service"
        copy.write_text(text.replace("/usr/local/bin/uv", str(program)))
        done = subprocess.run([verify, "verify", str(copy)], capture_output=True, text=True)
        assert done.stdout + done.stderr == ""
