"""The project at a commit or in the workspace: files from Git, outputs of stages from DVC."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ..errors import InputError, first_line
from ..files import replacing, strict_json, write_text
from ..paths import CACHE, LOCK


@dataclass(frozen=True)
class Output:
    """What dvc.lock says of a stage's output."""

    md5: str
    size: int


# Of a commit, whatever else may be called so.
_HASH = re.compile(r"[0-9a-f]{40}")
# The mode of a file that is no link, and nobody may execute.
PLAIN = "100644"


@dataclass(frozen=True)
class Entry:
    """What Git keeps at a path: its mode, and the name of its content."""

    mode: str
    content: str


@dataclass(frozen=True)
class Revision:
    """The project as it is at a commit.

    Attributes:
        commit: the full hash; None for the workspace.
    """

    commit: str | None

    @staticmethod
    def of(name: str) -> "Revision | None":
        """The revision that Git calls `name`; None for all zeros, Git's name for "nothing yet".

        Raises InputError where Git knows no such revision, or several: a tag goes before a branch.
        """
        if set(name) == {"0"}:
            return None
        done = _git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
        if done.returncode:
            raise InputError(f"{name}: Git knows no such revision; fetch it, or give another")
        if len(called := _called(name)) > 1:
            raise InputError(f"{name}: Git has several: give one of {', '.join(called)}")
        return Revision(done.stdout.decode().strip())

    @property
    def parents(self) -> "list[Revision]":
        """The commits that a commit was made on; of a merge, the branch merged into first."""
        line = git("rev-list", "--parents", "--max-count=1", str(self.commit))
        return [Revision(commit) for commit in line.split()[1:]]

    def read(self, path: Path) -> str | None:
        """The text of a file that Git keeps; None where there is none.

        Raises InputError where it is not UTF-8.
        """
        content = self.read_bytes(path)
        try:
            return None if content is None else content.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None

    def read_bytes(self, path: Path) -> bytes | None:
        """The content of a file that Git keeps; None where there is none."""
        if self.commit is None:
            return path.read_bytes() if path.is_file() else None
        here = Path.cwd()
        if len(path.parts) == 1:
            return _content(here, f"{self.commit}:./{path}")
        # Who reads one file of a folder reads others, and at other commits most are the same.
        try:
            kept = _entries(here, str(self.commit), path.parts[0]).get(path)
        except InputError:  # the commit is not there, or not yet
            return None
        return _content(here, kept.content) if kept else None

    def folders(self, path: Path) -> list[str]:
        """The names of the folders in a folder, sorted; none where there is no such folder."""
        if self.commit is None:
            return sorted(each.name for each in path.iterdir() if each.is_dir())
        return self._names(path, "-d")

    def files(self, folder: Path, suffix: str) -> list[str]:
        """The names of a folder's files that end in `suffix`, sorted."""
        return [each for each in self._names(folder) if each.endswith(suffix)]

    def entries(self, *paths: Path) -> dict[Path, Entry]:
        """What a commit has at these paths and below them: files, and links where there are any."""
        names = [each.as_posix() for each in paths]
        return dict(_entries(Path.cwd(), str(self.commit), *names))

    def _names(self, folder: Path, *options: str) -> list[str]:
        """The names in a folder, sorted; a commit that is not there is an error, not a folder."""
        where = f"{folder.as_posix()}/"
        told = of_commits("ls-tree", *options, "-z", "--name-only", str(self.commit), "--", where)
        return sorted(Path(each).name for each in told.split("\0")[:-1])

    def load(self, path: Path) -> Any:
        """The content of a YAML or JSON file; None where there is none.

        Raises InputError where it is not what its name says.
        """
        text = self.read(path)
        return None if text is None else _parsed(text, path)

    @property
    def outputs(self) -> dict[Path, Output]:
        """What dvc.lock says of each output; empty without one."""
        return _locked(self.read(LOCK) or "", "outs")

    @property
    def inputs(self) -> dict[Path, Output]:
        """What dvc.lock says of each file that a stage read; empty without one."""
        return _locked(self.read(LOCK) or "", "deps")

    def tracked(self, path: Path) -> Output | None:
        """What the .dvc file of a file, or of a folder that it is in, says; None without one."""
        for each in (path, *path.parents[:-1]):
            pointer = each.with_name(f"{each.name}.dvc")
            if found := self.load(pointer):
                outs = found.get("outs") if isinstance(found, dict) else None
                if not outs or not isinstance(outs[0], dict) or "md5" not in outs[0]:
                    raise InputError(f"{pointer}: not as DVC writes it")
                return Output(str(outs[0]["md5"]), outs[0].get("size", 0))
        return None

    def fetch(self, path: Path, folder: Path) -> Path:
        """Copy an output from the workspace, DVC's cache or the remote into `folder`.

        Raises InputError where it is in none of them, or is not what dvc.lock says.
        """
        known, where = self.outputs.get(path), self.commit or "the workspace"
        if known is None and not set(self.outputs) & set(path.parents):
            raise InputError(f"{path}: no output in {LOCK} of {where}")
        copy = self.copy(path, folder)
        if known is None:  # a file within a folder: DVC checked it
            return copy
        if _md5(copy) != known.md5:
            raise InputError(f"{path} of {where} is not the file that {LOCK} names: {known.md5}")
        return copy

    def copy(self, path: Path, folder: Path) -> Path:
        """The same of all that DVC keeps, whatever its content is."""
        copy, where = folder / path.name, self.commit or "the workspace"
        try:
            filesystem = _filesystem(Path.cwd(), self.commit, self.read(LOCK))
            filesystem.get_file(path.as_posix(), str(copy))
        except Exception as error:  # every store has exceptions of its own
            raise InputError(
                f"{path} of {where} is neither in DVC's cache nor on the remote "
                f"({first_line(error)}); whoever made it runs `uv run dvc push`"
            ) from error
        return copy

    def kept(self, paths: list[Path]) -> dict[Path, Path] | None:
        """What `remake` keeps of outputs, where all of them are the very files of this lock."""
        found = {path: self._remade / path for path in paths}
        for path, file in found.items():
            known = self.outputs.get(path)
            if known is None or not file.is_file() or _md5(file) != known.md5:
                return None
        return found

    @property
    def _remade(self) -> Path:
        """Where what is made again is kept. Commits that share a lock make the same."""
        inputs = self.read(LOCK) or str(self.commit)
        return CACHE / "remade" / hashlib.sha256(inputs.encode()).hexdigest()[:32]

    def remake(self, paths: list[Path], anew: bool = False) -> dict[Path, Path]:
        """Run this commit's own pipeline in a clone, and return where its outputs `paths` are kept.

        For outputs that are stored nowhere: with a folder for a remote, that is so on every machine
        but one. They stay beside DVC's cache, so that it happens once. Python's packages are those
        installed here. Raises InputError where the pipeline does not run, or makes no such output.

        Args:
            paths: of the outputs.
            anew: also where they are kept.
        """
        assert self.commit
        kept = self._remade
        if anew or not all((kept / path).exists() for path in paths):
            with replacing(kept) as temporary:
                self._run_again(temporary.parent / "clone")
                for path in paths:
                    made = temporary.parent / "clone" / root() / path
                    if not made.is_file():
                        raise InputError(f"the pipeline of {self.commit[:7]} makes no {path}")
                    (temporary / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(made, temporary / path)
        return {path: kept / path for path in paths}

    def clone(self, folder: Path) -> Path:
        """Check the commit out in a clone, without what DVC keeps, and say where the project is.

        Raises InputError where Git does not have the commit.
        """
        commit = str(self.commit)
        for arguments in (
            ["clone", "--quiet", "--shared", "--no-checkout", top(), str(folder)],
            ["-C", str(folder), "checkout", "--quiet", "--detach", commit],
        ):
            done = _git(*arguments)
            if done.returncode:
                raise InputError(f"{commit[:7]} cannot be cloned: {_last_line(done.stderr)}")
        return folder / root()

    def _run_again(self, clone: Path) -> None:
        from dvc.repo import Repo

        commit = str(self.commit)
        print(f"making the model of {commit[:7]} again", file=sys.stderr)
        project = self.clone(clone)
        with Repo(os.curdir) as repo:
            cache = repo.cache.local_cache_dir
        write_text(project / ".dvc/config.local", f"[cache]\n    dir = {cache}\n")
        # Data that `dvc add` put into the cache; what else is there need not be made.
        _dvc(project, "checkout", "--allow-missing")
        done = _dvc(project, "repro")
        if done.returncode:
            raise InputError(f"the pipeline of {commit[:7]} fails: {_last_line(done.stderr)}")


WORKSPACE = Revision(None)

# What somebody's configuration would add to, or change in, what Git prints and is told here.
_AS_IS = (
    *("-c", "log.showSignature=false"),
    *("-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "i18n.commitEncoding=UTF-8"),
)


def root() -> str:
    """The project's root from the top of its repository, as `models/flights/`; empty at the top.

    The commands run at the project's root, and Git's paths start at the top.
    """
    return git("rev-parse", "--show-prefix")


def top() -> str:
    """The folder of the repository that the project is in."""
    return git("rev-parse", "--show-toplevel")


def uncommitted(*paths: Path) -> list[Path]:
    """What differs at these paths, or below them, between the workspace and what is committed."""
    names = [each.as_posix() for each in paths]
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    within = root()
    told = git("status", *options, "--", *names).split("\0")[:-1]
    return [Path(each[3:].removeprefix(within)) for each in told]


def is_clean() -> bool:
    """Whether the workspace is what is committed, as far as Git knows its files."""
    done = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return done.returncode == 0 and not done.stdout


def _md5(file: Path) -> str:
    """A file's hash as DVC's locks have it."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return found.hexdigest()


def is_shallow() -> bool:
    """Whether this clone has not the whole history: `git fetch --unshallow` brings it."""
    return git("rev-parse", "--is-shallow-repository") == "true"


def _content(folder: Path, name: str) -> bytes | None:
    """The content of an object; None where there is none, or not yet: it may be fetched.

    Args:
        folder: where we are.
        name: from there, as Git has it; `./` is the project's root, wherever in a repository.
    """
    try:
        return _known_content(folder, name)
    except KeyError:
        return None


@lru_cache(maxsize=256)
def _known_content(folder: Path, name: str) -> bytes:
    """The content of an object at a commit, which never changes, so that it is asked for once."""
    done = _git("cat-file", "blob", name)
    if done.returncode:
        raise KeyError(name)
    return done.stdout


@lru_cache(maxsize=256)
def _entries(folder: Path, commit: str, *names: str) -> dict[Path, Entry]:
    """What a commit has at these paths and below them, asked for once. Raises InputError."""
    found = {}
    for line in git("ls-tree", "-r", "-z", commit, "--", *names).split("\0")[:-1]:
        about, _, name = line.partition("\t")
        mode, _, content = about.split()
        found[Path(name)] = Entry(mode, content)
    return found


def of_commits(*arguments: str) -> str:
    """What Git says of commits by their full hashes, which never changes: it is asked for once.

    Raises InputError in Git's words.
    """
    return _of_commits(Path.cwd(), *arguments)


@lru_cache(maxsize=256)
def _of_commits(folder: Path, *arguments: str) -> str:
    return git(*arguments)


@lru_cache(maxsize=4)
def _filesystem(folder: Path, commit: str | None, lock: str | None) -> Any:
    """The files of a revision as DVC has them, whose index takes longer to read than most files.

    Args:
        folder: where we are.
        commit: the revision's; None for the workspace.
        lock: the text of its dvc.lock, which tells one workspace from a later one.
    """
    from dvc.api import DVCFileSystem

    return DVCFileSystem(os.curdir, rev=commit)


@lru_cache(maxsize=16)
def _locked(lock: str, kind: Literal["outs", "deps"]) -> dict[Path, Output]:
    """Files in the text of a dvc.lock, which takes long to read and is asked for often."""
    found = {}
    try:
        for stage in ((_parsed(lock, LOCK) or {}).get("stages") or {}).values():
            for each in stage.get(kind, []):
                if "md5" in each:  # what is afar has none
                    found[Path(each["path"])] = Output(each["md5"], each.get("size", 0))
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{LOCK}: not as DVC writes it") from None
    return found


def _parsed(text: str, path: Path) -> Any:
    try:
        # JSON is YAML but for some characters and long keys, and is read much faster as what it is.
        if path.suffix == ".json":
            return strict_json(text, path)
        return YAML(typ="safe", pure=True).load(text)
    except (ValueError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def git(
    *arguments: str,
    text: str = "",
    env: dict[str, str] | None = None,
    success: tuple[int, ...] = (0,),
    seconds: float | None = None,
) -> str:
    """Run Git with `text` as its input, and return what it prints, without the last line's end.

    `env` are further variables of its environment, `success` the exit codes that are none of an
    error, `seconds` how long it may take. Raises InputError in Git's words.
    """
    try:
        done = _git(*arguments, text=text, env=env, seconds=seconds)
    except subprocess.TimeoutExpired:
        raise InputError(f"git {arguments[0]}: no answer within {seconds:g} seconds") from None
    if done.returncode not in success:
        raise InputError(f"git {arguments[0]}: {_reason(done.stderr)}")
    # Names of files, and words of commits, may be in any encoding.
    return done.stdout.decode("utf-8", "backslashreplace").rstrip("\n")


def contents(names: Iterable[str]) -> list[bytes]:
    """The contents of objects of Git's. Raises InputError where there is none of a name."""
    asked = [*names]
    told = _git("cat-file", "--batch", text="".join(f"{name}\n" for name in asked)).stdout
    found = []
    for name in asked:
        head, _, told = told.partition(b"\n")
        size = head.split()[-1].decode()
        if not size.isdigit():
            raise InputError(f"git cat-file: {name}: {size}")
        found.append(told[: int(size)])
        told = told[int(size) + 1 :]
    return found


def commit(base: Revision, message: str, change: Callable[[dict[str, str]], object]) -> str:
    """Commit a change of `base` without touching the workspace; no branch names it yet.

    Args:
        base: what is changed.
        message: the commit's.
        change: as `changed_tree` takes it.
    Raises:
        InputError: Git refuses.
    """
    tree = changed_tree(base, change)
    return git("commit-tree", tree, "-p", str(base.commit), text=message)


def changed_tree(base: Revision, change: Callable[[dict[str, str]], object]) -> str:
    """Write the tree of a changed `base`, and return its name.

    Args:
        base: what is changed.
        change: makes the change in an index of its own, by Git commands with these variables.
    Raises:
        InputError: Git refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", str(base.commit), env=index)
        change(index)
        return git("write-tree", env=index)


def with_python(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which DVC's stages find this Python.

    They call `python`, which without an active environment is another one, or none.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"
    return {**environ, "PATH": path}


def sources(folder: Path) -> str:
    """What PYTHONPATH is for the code of a checkout: the owner's package and the engine."""
    return os.pathsep.join([str(folder / "src"), str(folder / "mlops" / "src")])


def _git(
    *arguments: str,
    text: str = "",
    env: dict[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise InputError("git: not found; install it")
    command, known = [program, *_AS_IS, *arguments], _environment() | (env or {})
    if seconds is None:
        return subprocess.run(
            command, env=known, input=text.encode(), capture_output=True, check=False
        )
    with subprocess.Popen(
        command,
        env=known,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            printed, why = process.communicate(text.encode(), timeout=seconds)
        except BaseException:  # its time is over, or somebody interrupts
            # Whatever it started, such as ssh, ends with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, why)


def _dvc(clone: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run DVC in a clone, whose stages find this Python and the clone's own code."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=clone,
        env=with_python(_environment()) | {"PYTHONPATH": sources(clone.resolve())},
        capture_output=True,
        check=False,
    )


def _called(name: str) -> list[str]:
    """The whole names of what a short one may stand for; Git takes the first, a tag of all.

    What stands behind it, as in main~1 or main^2, is about the one that Git takes.
    """
    name = re.split(r"[~^:]|@\{", name)[0]
    if name in ("", "HEAD") or _HASH.fullmatch(name):
        return []
    asked = [f"refs/{kind}/{name}" for kind in ("tags", "heads", "remotes")]
    asked.append(f"refs/remotes/{name}/HEAD")  # of a remote, its default branch
    return [
        each for each in git("for-each-ref", "--format=%(refname)", *asked).split() if each in asked
    ]


def _environment() -> dict[str, str]:
    """The environment without what Git tells its hooks, which in a clone is of another one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def _reason(output: bytes) -> str:
    """Why Git ended: what the remote says and which branches it refuses, else the last line."""
    lines = output.decode(errors="replace").splitlines()
    told = [line.removeprefix("remote:") for line in lines if line.startswith(("remote:", " ! ["))]
    return "; ".join(filter(None, (" ".join(line.split()) for line in told))) or _last_line(output)


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
