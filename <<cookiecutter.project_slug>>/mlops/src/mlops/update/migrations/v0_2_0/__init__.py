"""0.2.0: the engine leaves the owner's package for `mlops/`.

Until then a project held all of it in `src/<package>/`, beside what its owner wrote. What is as it
was baked goes. What the owner wrote stays, with its imports turned to the engine; what the owner
changed in the engine is carried to where that now is, or kept as a patch for a person to read.
"""

import difflib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .. import Folders
from .definitions import Extension, Module, added
from .imports import Modules, turned
from .stages import with_own_stages

PATCH = Path("docs/update-0.2.0.patch")
# Modules of the old package whose name changed, or is that of several now.
RENAMED = {
    "lock.py": "git/lock.py",
    "metrics.py": "learning/metrics.py",
    "model.py": "learning/model.py",
    "reporting/compare.py": "judging/comparison.py",
    "reporting/markdown.py": "report/markdown.py",
    "reporting/plots.py": "learning/plots.py",
    "reporting/report.py": "report/report.py",
    "reporting/terminal.py": "report/terminal.py",
}
# What the owner extends, where it was and where it is in the package.
HOOKS = {"serving/hooks.py": "hooks.py", "features.py": "features.py"}
# What every project begins with.
EXAMPLE = "data/example/flights.parquet"
# What `ingest` did before it could be told.
DIALECT = "dialect: {encoding: auto, delimiter: auto, header: true} # how the source is written\n"


@dataclass
class _Work:
    """A migration under way: where it works, and what it could not carry."""

    folders: Folders
    package: str
    modules: Modules
    by_hand: list[str] = field(default_factory=list)
    patch: list[str] = field(default_factory=list)
    carried: set[Path] = field(default_factory=set)

    def of_package(self, folder: Path) -> Path:
        return folder / "src" / self.package

    def keep(self, path: Path) -> None:
        """Keep the owner's change of a file as a patch."""
        old, mine = (
            (folder / path).read_text(encoding="utf-8").splitlines(keepends=True)
            for folder in (self.folders.old, self.folders.project)
        )
        self.patch += difflib.unified_diff(old, mine, f"a/{path}", f"b/{path}")
        self.by_hand.append(f"your change of `{path}` has no place of its own any more: `{PATCH}`")

    def turn(self, path: Path) -> None:
        """Turn the imports of the owner's module to the engine."""
        text, unknown = turned(path.read_text(encoding="utf-8"), self._inside(path), self.modules)
        path.write_text(text, encoding="utf-8")
        where = path.relative_to(self.folders.project)
        self.by_hand += [f"`{where}` imports {each}, which is no more" for each in unknown]

    def _inside(self, path: Path) -> tuple[str, ...]:
        """The package that a module is in, for its relative imports; empty outside of it."""
        package = self.of_package(self.folders.project)
        if not path.is_relative_to(package):
            return ()
        return (self.package, *path.relative_to(package).parts[:-1])


def is_due(folders: Folders) -> bool:
    """Whether the project is one of the old layout."""
    return not (folders.old / "mlops").is_dir() and (folders.new / "mlops").is_dir()


def run(folders: Folders) -> list[str]:
    """Carry over what the owner wrote; returns what is left to do by hand."""
    package = next(path.name for path in (folders.old / "src").iterdir() if path.is_dir())
    modules = Modules.of(folders.old / "src" / package, folders.new / "mlops/src/mlops", RENAMED)
    work = _Work(folders, package, modules)
    own = [*_own(folders, "src"), *_own(folders, "tests")]
    _extensions(work)
    for path in _files(folders.old, "src", "tests"):
        _leave(work, path)
    for path in own:
        if path.suffix == ".py":
            work.turn(folders.project / path)
    _stages(work)
    _dialect(folders.project / "contract.yaml")
    _statement(folders.project)
    _dependencies(work)
    _remove_empty(folders.project / "src")
    _remove_empty(folders.project / "tests")
    if work.patch:
        (folders.project / PATCH).parent.mkdir(exist_ok=True)
        (folders.project / PATCH).write_text("".join(work.patch), encoding="utf-8")
    return [
        *work.by_hand,
        "`uv sync`, then `make lint`, which sorts the imports that were turned",
        "`uv run dvc repro`, and commit `dvc.lock`: the stages are the engine's now",
    ]


def _dialect(contract: Path) -> None:
    """Have the contract say how the source is written, for `ingest` to depend on."""
    text = contract.read_text(encoding="utf-8")
    if not re.search(r"^dialect:", text, re.MULTILINE):
        text = re.sub(r"^columns:", f"{DIALECT}columns:", text, count=1, flags=re.MULTILINE)
        contract.write_text(text, encoding="utf-8")


def _statement(project: Path) -> None:
    """Take away a model.yaml that speaks of the example, where the project has other data."""
    statement, params = project / "model.yaml", project / "params.yaml"
    source = rf"^  path: [\"']?{re.escape(EXAMPLE)}[\"']?\s*(#|$)"
    is_example = re.search(source, params.read_text(encoding="utf-8"), re.MULTILINE)
    if statement.exists() and not is_example:
        statement.unlink()


def _files(folder: Path, *names: str) -> Iterator[Path]:
    for name in names:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(folder)


def _own(folders: Folders, name: str) -> list[Path]:
    """What the owner added: neither of the old template nor of the new one."""
    shipped = (folders.old, folders.new)
    return [
        path
        for path in _files(folders.project, name)
        if not any((folder / path).exists() for folder in shipped)
    ]


def _is_same(one: Path, other: Path) -> bool:
    return one.read_bytes().replace(b"\r\n", b"\n") == other.read_bytes().replace(b"\r\n", b"\n")


def _leave(work: _Work, path: Path) -> None:
    """Take what the template shipped out of the owner's folders, or put its successor there."""
    mine, new = work.folders.project / path, work.folders.new / path
    if not mine.exists() or _is_handled(work, path):
        return
    if not _is_same(mine, work.folders.old / path) and not _is_carried(work, path):
        work.keep(path)
    if new.exists():
        shutil.copyfile(new, mine)
    else:
        mine.unlink()


def _is_handled(work: _Work, path: Path) -> bool:
    """Whether a file is one of the extensions, which are in place already."""
    known = {work.of_package(Path()) / name for name in (*HOOKS.values(), *EXTENSIONS)}
    return path in known


def _is_carried(work: _Work, path: Path) -> bool:
    """Whether the owner's change of a module of the engine could be made where it is now."""
    package = work.of_package(Path())
    if not path.is_relative_to(package):
        return False
    name = path.relative_to(package).as_posix()
    if name in HOOKS or path in work.carried:
        return True
    home = work.modules.paths.get(name)
    if home is None:
        return False
    target = work.folders.project / home
    command = ["git", "merge-file", "--stdout", "--quiet"]
    paths = [target, work.folders.old / path, work.folders.project / path]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, check=False)
    if done.returncode:
        return False
    target.write_bytes(done.stdout)
    work.by_hand.append(
        f"your change of `{path}` is one of the engine now, `{home}`: move it to an extension, "
        "see mlops/docs/extend.md"
    )
    return True


def _extensions(work: _Work) -> None:
    """Carry what the owner wrote into the modules that are still the owner's."""
    old, project, new = map(
        work.of_package, (work.folders.old, work.folders.project, work.folders.new)
    )
    for before, after in HOOKS.items():
        mine = project / before
        if not mine.exists() or _is_same(mine, old / before):
            shutil.copyfile(new / after, project / after)
        else:
            text = mine.read_text(encoding="utf-8")
            (project / after).write_text(text, encoding="utf-8")
            work.turn(project / after)
    for name, extension in EXTENSIONS.items():
        mine = project / name
        if mine.exists() and not _is_same(mine, old / name):
            _extend(work, name, extension)
        else:
            shutil.copyfile(new / name, mine)


def _extend(work: _Work, name: str, extension: Extension) -> None:
    """Carry definitions and entries of a catalogue that the owner added."""
    old, project, new = map(
        work.of_package, (work.folders.old, work.folders.project, work.folders.new)
    )
    mine = _module(project / name)
    configs = (_module(old / "config.py"), _module(project / "config.py"))
    found = added(_module(old / name), mine, extension, *configs)
    if not found.is_all:
        work.keep(work.of_package(Path()) / name)
    if found.is_all_of_config:
        work.carried.add(work.of_package(Path()) / "config.py")
    target = project / name
    shutil.copyfile(new / name, target)
    if found.text:
        template = _text(target)
        last = max(template.rfind("\nfrom "), template.rfind("\nimport ")) + 1
        end = template.index("\n", last) + 1
        imports = "".join(f"{line}\n" for line in found.imports)
        text = f"{template[:end]}{imports}{template[end:]}\n\n{found.text}"
        target.write_text(text, encoding="utf-8")
        work.turn(target)


def _module(path: Path) -> Module:
    return Module(_text(path))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


EXTENSIONS = {
    "estimators.py": Extension("estimators", "CATALOGUE", "ESTIMATORS", "HYPERPARAMETERS"),
    "metrics.py": Extension("metrics", "METRICS", "METRICS", None),
}


def _stages(work: _Work) -> None:
    """The new dvc.yaml, with the owner's plots and stages."""
    name = "dvc.yaml"
    old, project, new = (
        folder / name for folder in (work.folders.old, work.folders.project, work.folders.new)
    )
    mine = work.folders.mine / name
    if not mine.is_file() or _is_same(mine, old):
        return
    before, own, after = (path.read_text(encoding="utf-8") for path in (old, mine, new))
    text, is_all = with_own_stages(before, own, after, work.modules.path_of)
    project.write_text(text, encoding="utf-8")
    if not is_all:
        work.by_hand.append(
            f"your change of a stage in `{name}` is not in the new one: compare them"
        )


def _dependencies(work: _Work) -> None:
    """The new pyproject.toml with the packages that the owner added, where that is all."""
    name = "pyproject.toml"
    old, mine, new = (
        _text(folder / name) for folder in (work.folders.old, work.folders.mine, work.folders.new)
    )
    if mine == old:
        return
    text = _with_packages(old, mine, new)
    if text is not None:
        (work.folders.project / name).write_text(text, encoding="utf-8")


def _with_packages(old: str, mine: str, new: str) -> str | None:
    """`new` with the dependencies that `mine` has beyond `old`; None where more differs."""
    before, after = tomllib.loads(old), tomllib.loads(mine)
    text = new
    for table, name in (("project", "dependencies"), ("dependency-groups", "dev")):
        was, now = before[table][name], after[table][name]
        if [each for each in now if each in was] != was:
            return None
        text = _inserted(text, name, [json.dumps(each) for each in now if each not in was])
        after[table][name] = was
    return text if before == after else None


def _inserted(text: str, name: str, items: list[str]) -> str:
    """A list of a TOML file with more items."""
    line = re.search(rf"^{name} = \[.*\](?=[^\]\n]*$)", text, re.MULTILINE)
    lines = re.search(rf"^{name} = \[\n(?:.*\n)*?\]", text, re.MULTILINE)
    if line:
        at, more = line.end() - 1, "".join(f", {each}" for each in items)
    elif lines:
        at, more = lines.end() - 1, "".join(f"    {each},\n" for each in items)
    else:
        return text
    return text[:at] + more + text[at:]


def _remove_empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
