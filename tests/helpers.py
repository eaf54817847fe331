"""What the template's tests share: its questions, its Jinja environment, and bakes of it."""

from __future__ import annotations

import configparser
import fnmatch
import importlib.util
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from cookiecutter.environment import StrictEnvironment
from cookiecutter.main import cookiecutter
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment

ROOT = Path(__file__).resolve().parent.parent
PROJECT = next(ROOT.glob("*cookiecutter.project_slug*"))
SETTINGS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS = {name: value for name, value in SETTINGS.items() if not name.startswith("_")}
CHOICES = {name: value for name, value in QUESTIONS.items() if isinstance(value, list)}

# Code of templates, by what it is made from.
COMPILED: dict[tuple[Any, ...], Any] = {}


def _compile(
    environment: Environment, source: Any, name: str | None = None, filename: str | None = None
) -> Any:
    """Compile a template as Jinja does, but once: in a bake that takes longer than all else."""
    rules = (environment.lexer, *environment.extensions)
    key = (rules, source, name, filename)
    if key not in COMPILED:
        COMPILED[key] = Environment.compile(environment, source, name, filename)
    return COMPILED[key]


StrictEnvironment.compile = _compile


def export(destination: Path) -> Path:
    """Copy the template as a clone would have it: no caches, nothing that Git ignores."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            target = destination / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


def user_config(folder: Path) -> Path:
    """Write a cookiecutter configuration that keeps its records in the folder."""
    config = folder / "cookiecutter.yaml"
    records = {"cookiecutters_dir": str(folder / "clones"), "replay_dir": str(folder / "replay")}
    config.write_text(json.dumps(records), encoding="utf-8")
    return config


def literal(answer: str) -> str:
    """Quote an answer for extra context, which cookiecutter renders, unlike what is typed."""
    return f"<<{json.dumps(answer, ensure_ascii=False)}>>"


def bake(template: Path, output: Path, **answers: str) -> Path:
    """Bake the template with these answers, taken literally, and return the project's folder."""
    output.mkdir(parents=True, exist_ok=True)
    records = output.parent / f"{output.name}-records"
    records.mkdir(exist_ok=True)
    project = cookiecutter(
        str(template),
        no_input=True,
        extra_context={
            name: answer if name in CHOICES else literal(answer) for name, answer in answers.items()
        },
        output_dir=str(output),
        config_file=str(user_config(records)),
    )
    return Path(project)


def environment() -> StrictEnvironment:
    """Return the Jinja environment that cookiecutter renders the template with."""
    return create_env_with_context({"cookiecutter": SETTINGS})


def load_hook(name: str, folder: Path, answers: dict[str, Any] | None = None) -> ModuleType:
    """Render a hook as cookiecutter does and import the result."""
    source = (ROOT / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    rendered = folder / f"{name}.py"
    text = environment().from_string(source).render(cookiecutter=answers or {})
    rendered.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, rendered)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_yaml(text: str | bytes) -> Any:
    """Return what YAML says, read by libyaml: ten times as fast as by Python."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that hold text, relative to the folder, with their text."""
    for path in files(folder):
        content = (folder / path).read_bytes()
        if b"\0" not in content:
            try:
                yield path, content.decode("utf-8")
            except UnicodeDecodeError:
                continue


@cache
def parse(path: Path, text: str) -> None:
    """Read a file in the format that its name says; other files are left alone.

    Most files are the same in every bake, and read once. Raises what the format's reader does.
    """
    if path.suffix in {".yaml", ".yml"} or path.name == "dvc.lock":
        list(yaml.safe_load_all(text))
    elif path.suffix == ".toml" or path.name == "uv.lock":
        tomllib.loads(text)
    elif path.suffix in {".json", ".ipynb"}:
        json.loads(text)
    elif path.suffix in {".ini", ".cfg"} or path.match(".dvc/config"):
        configparser.ConfigParser(interpolation=None).read_string(text)
    elif path.suffix == ".py":
        compile(text, str(path), "exec")


def is_copied(path: Path) -> bool:
    """Tell whether cookiecutter copies a project file, or a folder above it, unrendered."""
    names = [path, *path.parents]
    patterns = SETTINGS.get("_copy_without_render", [])
    return any(fnmatch.fnmatch(str(name), pattern) for name in names for pattern in patterns)


def single_choices() -> list[dict[str, str]]:
    """Return the default answers and every other choice on its own."""
    return [{}] + [{name: option} for name, options in CHOICES.items() for option in options[1:]]


def pairwise() -> list[dict[str, str]]:
    """Return few sets of answers in which every two choices of two questions meet.

    Greedy: each set starts from a pair still missing and takes, question by question, the
    option that completes most other missing pairs.
    """
    options = [(name, option) for name, values in CHOICES.items() for option in values]
    missing = {frozenset(pair) for pair in combinations(options, 2) if pair[0][0] != pair[1][0]}
    sets = []
    while missing:
        answers = dict(min(map(sorted, missing)))
        for name, values in CHOICES.items():
            if name not in answers:
                known = list(answers.items())
                gains = [
                    sum(frozenset([(name, option), other]) in missing for other in known)
                    for option in values
                ]
                answers[name] = values[gains.index(max(gains))]
        missing -= {frozenset(pair) for pair in combinations(answers.items(), 2)}
        sets.append({name: answers[name] for name in CHOICES})
    return sets


def named(answers: dict[str, str]) -> str:
    """Return a short name for a set of answers, for the names of tests."""
    return "-".join(answers.values()) or "default"
