"""Every choice, and every pair of choices, bakes a complete and readable project."""

from __future__ import annotations

import configparser
import json
import posixpath
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import tree
import yaml
from helpers import CHOICES, files, named, pairwise, parse, single_choices, texts

Bake = Callable[..., Path]

ANSWERS = [
    *single_choices(),
    *(pytest.param(answers, marks=pytest.mark.slow) for answers in pairwise()),
]
every_option = pytest.mark.parametrize("answers", ANSWERS, ids=named)

LEFT_OVER = re.compile(r"<<[^<>\n]*cookiecutter|# <[%#]|[%#]>")


def test_answers_meet_in_pairs() -> None:
    options = [(name, option) for name, values in CHOICES.items() for option in values]
    wanted = {frozenset(pair) for pair in combinations(options, 2) if pair[0][0] != pair[1][0]}
    met = {frozenset(pair) for answers in pairwise() for pair in combinations(answers.items(), 2)}
    assert met == wanted
    assert all(answers.keys() == CHOICES.keys() for answers in pairwise())


@every_option
def test_tree_is_exact(baked: Bake, answers: dict[str, str]) -> None:
    assert tree.found(baked(**answers)) == tree.expected(answers)


@every_option
def test_no_delimiter_is_left(baked: Bake, answers: dict[str, str]) -> None:
    project = baked(**answers)
    paths = [str(path) for path in project.rglob("*") if re.search("[<>]", path.name)]
    assert paths == []
    assert [str(path) for path, text in texts(project) if LEFT_OVER.search(text)] == []


@every_option
def test_no_folder_is_left_over(baked: Bake, answers: dict[str, str]) -> None:
    project = baked(**answers)
    folders = [path for path in project.rglob("*") if path.is_dir()]
    assert [str(folder) for folder in folders if not any(folder.iterdir())] == []
    assert [str(folder) for folder in folders if folder.name == ".dropped"] == []


@every_option
def test_every_file_parses(baked: Bake, answers: dict[str, str]) -> None:
    broken = []
    for path, text in texts(baked(**answers)):
        try:
            parse(path, text)
        except (ValueError, SyntaxError, yaml.YAMLError, configparser.Error) as error:
            broken.append(f"{path}: {error}")
    assert broken == []


@pytest.mark.parametrize("remote", CHOICES["data_remote"])
def test_remote_is_where_the_answer_says(baked: Bake, remote: str) -> None:
    project = baked(data_remote=remote)
    config = configparser.ConfigParser(interpolation=None)
    config.read_string((project / ".dvc" / "config").read_text(encoding="utf-8"))
    urls = [section["url"].strip('"') for section in config.values() if "url" in section]
    recorded = json.loads((project / ".cookiecutter.json").read_text(encoding="utf-8"))
    answer = recorded["answers"]["data_remote_url"]
    if remote == "local":  # DVC reads a relative address from the folder of its configuration
        urls = [posixpath.normpath(posixpath.join(".dvc", url)) for url in urls]
    assert urls == [answer]


def test_every_format_is_among_the_files(baked: Bake) -> None:
    names = {path.suffix or path.name for path in files(baked())}
    assert {".yaml", ".toml", ".json", ".py", "config"} <= names
