"""Answers come through as data, whatever they hold, and are recorded for later updates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import UndefinedVariableInTemplate
from cookiecutter.main import cookiecutter
from helpers import QUESTIONS, SETTINGS, files, parse, texts, user_config
from jinja2 import TemplateError

Bake = Callable[..., Path]

HOSTILE = {
    "quotes": """it's "quoted" and '''tripled''' and \"\"\"so\"\"\" `too`""",
    "backslashes": r"C:\new\table \\server\ \u0041 \" ends in \\",
    "delimiters": "<<cookiecutter.task>> << 1 >> # <% if x %> # <# note #> {{ x }} {% raw %}",
    "workflow": "${{ secrets.TOKEN }} ${HOME} $HOME %(home)s",
    "shell": "$(touch pwned) `touch pwned`; touch pwned & touch pwned | cat > pwned #",
    "markup": "<script>alert(1)</script> & [link](javascript:x) <!-- --> ]]>",
    "yaml": "- key: value # comment, {a: [b]} !tag &anchor *alias | > %",
    "unicode": "Données, 数据, данные, داده‌ها, 👩‍🔬 \u00a0 \U0001f680",
    "numbers": "0x10",
    "null": "null",
}
FREE_TEXT = ("project_name", "description", "author")
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def recorded(project: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((project / ".cookiecutter.json").read_text("utf-8"))
    return record


@pytest.fixture
def hostile_project(baked: Bake, text: str) -> Path:
    return baked(project_slug="sound", package_name="sound", **dict.fromkeys(FREE_TEXT, text))


@hostile
def test_hostile_text_comes_through(hostile_project: Path, text: str) -> None:
    project = tomllib.loads((hostile_project / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == text
    assert project["authors"][0]["name"] == text
    assert {recorded(hostile_project)["answers"][question] for question in FREE_TEXT} == {text}
    assert text in (hostile_project / "LICENSE").read_text("utf-8")


@hostile
def test_hostile_text_breaks_no_file(hostile_project: Path) -> None:
    for path, content in texts(hostile_project):
        parse(path, content)
    assert list(hostile_project.parents[1].rglob("pwned")) == []


def test_answers_are_recorded(bake: Bake) -> None:
    record = recorded(bake(author="Ada", license="Apache-2.0"))
    assert record.keys() == {"template", "commit", "version", "answers"}
    assert record["version"] == SETTINGS["__template_version"]
    assert record["answers"].keys() == {*QUESTIONS, "__year", "__date", "__review"}
    assert record["answers"]["author"] == "Ada"
    assert record["answers"]["license"] == "Apache-2.0"


def test_record_names_the_template(bake: Bake, template: Path, tmp_path: Path) -> None:
    project = bake()
    assert recorded(project)["template"] == str(template)
    assert recorded(project)["commit"] is None  # it is no checkout
    assert str(tmp_path) not in (project / ".cookiecutter.json").read_text("utf-8")


def test_recorded_answers_bake_the_same_project(bake: Bake) -> None:
    first = bake(
        "first",
        author=" ".join(HOSTILE.values())[:200],
        project_name="A << B",
        project_slug="a-b",
        license="BSD-3-Clause",
        __year="1999",
        __date="1999-12-31",
    )
    second = bake("second", **recorded(first)["answers"])
    assert files(first) == files(second)
    assert [p for p in files(first) if (first / p).read_bytes() != (second / p).read_bytes()] == []


@pytest.mark.parametrize(
    ("name", "heading", "notice"),
    [
        ("MIT", "MIT License", "Copyright (c) 2031 Ada & Co"),
        ("Apache-2.0", "Apache License", "Copyright 2031 Ada & Co"),
        ("BSD-3-Clause", "BSD 3-Clause License", "Copyright (c) 2031, Ada & Co"),
        ("proprietary", "proprietary", "Copyright (c) 2031 Ada & Co. All rights reserved."),
    ],
)
def test_license_names_its_holder(bake: Bake, name: str, heading: str, notice: str) -> None:
    project = bake(license=name, author="Ada & Co", __year="2031")
    text = (project / "LICENSE").read_text("utf-8")
    assert heading in text
    assert notice in [line.strip() for line in text.splitlines()]


def test_typed_answers_are_taken_literally(template: Path, tmp_path: Path) -> None:
    typed = dict.fromkeys(QUESTIONS, "") | {
        "project_name": "A << B ${{ c }}",
        "project_slug": "a-b",
        "author": '"Ada" \\ # <% x',
        "license": "9\n3",  # no choice, so it is asked again
    }
    run = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "-o", str(tmp_path)]
        + ["--config-file", str(user_config(tmp_path))],
        input="".join(f"{answer}\n" for answer in typed.values()),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    answers = recorded(tmp_path / "a-b")["answers"]
    assert answers["project_name"] == typed["project_name"]
    assert answers["author"] == typed["author"]
    assert answers["license"] == "BSD-3-Clause"
    assert run.stdout.endswith(
        "a-b is ready. Next:\n"
        "  cd a-b\n"
        "  make run     from the data to a verified model\n"
        "  make test    test it\n"
    )


@pytest.mark.parametrize("text", ["A << B", "<<undefined.name>>", "# <% if"])
def test_delimiters_in_extra_context_are_rendered_or_refused(
    template: Path, tmp_path: Path, text: str
) -> None:
    output = tmp_path / "output"
    with pytest.raises((TemplateError, UndefinedVariableInTemplate)):
        cookiecutter(
            str(template),
            no_input=True,
            extra_context={"author": text},
            output_dir=str(output),
            config_file=str(user_config(tmp_path)),
        )
    assert not output.exists()
