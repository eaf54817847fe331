"""The template, by its address: which versions it has, and projects baked from them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..git.revision import git

# cookiecutter 2.6 is the first that takes the template's delimiters.
COOKIECUTTER = "cookiecutter>=2.6,<3"
_OLDEST = (2, 6)
_NOT_THERE = 128


@dataclass(frozen=True)
class Template:
    """A clone of the template.

    Attributes:
        address: where it is from.
        clone: its folder.
    """

    address: str
    clone: Path

    def git(self, *arguments: str) -> str:
        """Run Git in the clone."""
        return git("-C", str(self.clone), *arguments)

    def versions(self) -> list[str]:
        """The names of its versions, newest first: tags like v0.2.0."""
        return self.git("tag", "--list", "v[0-9]*", "--sort=-version:refname").split()

    def commit(self, name: str) -> str:
        """The commit of a version (0.2.0 or v0.2.0), a branch or a commit.

        Raises InputError where the template has none of that name.
        """
        for each in (f"refs/tags/v{name}", f"refs/tags/{name}", f"refs/remotes/origin/{name}"):
            if found := self.git("for-each-ref", "--format=%(objectname)", each):
                return self.git("rev-parse", f"{found}^{{commit}}")
        if re.fullmatch("[0-9a-f]{4,64}", name):
            try:
                return self.git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
            except InputError:
                pass
        known = ", ".join(self.versions()) or "none; give a commit"
        raise InputError(
            f"{name}: the template at {self.address} has no such version or commit; "
            f"its versions: {known}"
        )

    def newest(self, old: str) -> str:
        """The commit of the newest version after `old`: `old` itself when there is none.

        A template that never gave a version a tag is taken as its main branch is.
        """
        if not self.versions():
            return self.git("rev-parse", "HEAD")
        later = ["--contains", old, "--list", "v[0-9]*", "--sort=-version:refname"]
        names = self.git("tag", *later).split()
        return self.commit(names[0]) if names else old

    def read(self, commit: str, name: str) -> str:
        """The text of a file at a commit; empty where there is none."""
        where = ["-C", str(self.clone), "show", f"{commit}:{name}"]
        return git(*where, success=(0, _NOT_THERE))

    def version(self, commit: str) -> str:
        """The version that a commit says it is."""
        return str(_questions(self, commit)["__template_version"])

    def bake(self, commit: str, answers: Mapping[str, Any], folder: Path) -> Path:
        """Bake a commit into `folder` with those of the answers that it asks for.

        What it asks beside them gets its default. Returns the project's folder. Raises InputError
        where an answer is no longer valid, or cookiecutter is neither here nor to be had.
        """
        questions = _questions(self, commit)
        given = _given(questions, answers)
        source, output = folder / "template", folder / "project"
        output.mkdir(parents=True)
        git("clone", "--quiet", "--shared", "--no-checkout", str(self.clone), str(source))
        git("-C", str(source), "checkout", "--quiet", "--detach", commit)
        told = render(source, output, given)
        made = [path for path in output.iterdir() if path.is_dir()]
        if len(made) != 1:
            raise InputError(
                f"version {self.version(commit)} ({commit[:7]}) cannot be made: "
                f"{_refused(told, questions)}"
            )
        return made[0]


def clone(address: str, folder: Path) -> Template:
    """Clone the template with its history. Raises InputError where it cannot be had."""
    source = Path(address).expanduser()
    local = "://" not in address and not re.match("[^/]+@[^/]+:", address)
    if local and not (source / ".git").exists():
        raise InputError(
            f"{address}: the template is to be there, and is no Git repository; "
            "give its address: mlops update --template ADDRESS"
        )
    where = str(source) if local else address
    try:
        git("clone", "--quiet", "--no-checkout", "--", where, str(folder))
    except InputError as error:
        raise InputError(
            f"{address}: the template cannot be fetched ({error}); "
            "give where it is now: mlops update --template ADDRESS"
        ) from None
    return Template(address, folder)


def render(template: Path, output: Path, given: list[str]) -> str:
    """Run cookiecutter, which makes a folder in `output`, or none; returns what it complains of.

    Args:
        template: its folder.
        output: an empty folder; what cookiecutter keeps for itself is beside it.
        given: the answers, as arguments.
    """
    config = output.with_name("cookiecutter.json")
    records = {name: str(output.with_name(name)) for name in ("cookiecutters_dir", "replay_dir")}
    config.write_text(json.dumps(records), encoding="utf-8")
    options = ["--no-input", "--output-dir", str(output), "--config-file", str(config)]
    done = subprocess.run(
        [*cookiecutter(), *options, str(template), *given],
        cwd=output,
        env=os.environ | {"PWD": str(output)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@cache
def cookiecutter() -> list[str]:
    """The command that runs cookiecutter: the one that is installed, else uv's.

    Raises InputError where there is neither.
    """
    beside = Path(sys.executable).with_name("cookiecutter")
    for found in (str(beside) if beside.is_file() else None, shutil.which("cookiecutter")):
        if found and _version(found) >= _OLDEST:
            return [found]
    uv = shutil.which("uv")
    if uv is None:
        raise InputError(
            "neither uv nor cookiecutter 2.6 or newer is here: https://docs.astral.sh/uv/"
        )
    return [uv, "tool", "run", "--quiet", "--from", COOKIECUTTER, "cookiecutter"]


@lru_cache(maxsize=8)
def _questions(template: Template, commit: str) -> dict[str, Any]:
    """What a commit's cookiecutter.json asks, with the choices or the default."""
    text = template.read(commit, "cookiecutter.json")
    questions: dict[str, Any] = json.loads(text) if text else {}
    if "__template_version" not in questions:
        raise InputError(f"{template.address}: commit {commit[:7]} is not of this template")
    return questions


def _version(command: str) -> tuple[int, ...]:
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def _literal(answer: object) -> str:
    """An answer as an expression of the template's, so that nothing in it is one.

    The delimiters are put together here: no file of the engine holds one.
    """
    return "<" * 2 + json.dumps(str(answer), ensure_ascii=False) + ">" * 2


def _given(questions: Mapping[str, Any], answers: Mapping[str, Any]) -> list[str]:
    """The answers as arguments of cookiecutter, which renders them, so in quotes.

    Raises InputError with a line for each that is no longer a choice.
    """
    given, refused = [], []
    for name, answer in answers.items():
        if name not in questions:
            continue
        choices = questions[name]
        if not isinstance(choices, list):
            given.append(f"{name}={_literal(answer)}")
        elif answer in choices:
            given.append(f"{name}={answer}")
        else:
            refused.append(
                f"{name}: {answer!r} is no longer a choice ({', '.join(choices)}); "
                "change it in .cookiecutter.json, and commit that"
            )
    if refused:
        raise InputError("\n".join(refused))
    return given


def _refused(errors: str, questions: Mapping[str, Any]) -> str:
    """What the template refuses, a line each, else cookiecutter's last line."""
    lines = errors.strip().splitlines()
    refused = [line for line in lines if line.partition(":")[0] in questions]
    return "\n".join(refused) or (lines or ["no reason given"])[-1]
