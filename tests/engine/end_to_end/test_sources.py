"""The page on several sources, word by word: its files and commands as they stand there, from four
CSV files to a verified model; and what it says of a query that knows the future."""

import re
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pytest
from engine.workspace import Workspace
from helpers import PROJECT
from ruamel.yaml import YAML

from mlops.files import read_json
from mlops.paths import PARITY, PROVENANCE

PAGE = (PROJECT / "mlops" / "docs" / "sources.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _section(heading: str) -> str:
    (found,) = (each for each in PAGE.split("\n## ") if each.startswith(f"{heading}\n"))
    return found


def _written(workspace: Workspace, language: str, text: str) -> None:
    """Put what the page shows where its first line says; of params.yaml it is a part."""
    name = text.split()[1]
    path = workspace.folder / name
    if language == "yaml":
        yaml, stream = YAML(), StringIO()
        content = yaml.load(path.read_text(encoding="utf-8"))
        content.update(yaml.load(text))
        yaml.dump(content, stream)
        text = stream.getvalue()
    path.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_the_page_leads_from_files_to_a_model(tmp_path: Path) -> None:
    workspace = Workspace.make(tmp_path / "project", pa.table({"x": [1]}))
    walk, said = BLOCK.findall(_section("A walk")), ""
    for language, text in walk:
        if language in ("python", "sql", "yaml"):
            _written(workspace, language, text)
        elif language == "bash":
            for command in text.splitlines():
                done = workspace.run(*command.removeprefix("uv run ").split())
                assert done.returncode == 0, done.stdout + done.stderr
                said += done.stdout
    shown = [line for kind, text in walk if kind == "text" for line in text.splitlines()]
    assert shown
    assert [line for line in shown if line not in said.splitlines()] == []
    assert (workspace.folder / PARITY).exists()
    tables = workspace.load("params.yaml")["source"]["tables"]
    origins = read_json(workspace.folder / PROVENANCE)["origins"]
    assert [each["table"] for each in origins] == [*tables]
    _knows_the_future(workspace)


def _knows_the_future(workspace: Workspace) -> None:
    """The mistake that the page shows, and what it shows of it."""
    section = _section("As of")
    right, wrong = re.findall(r"`(weather\.measured [<>]= [^`]*)`", section)
    query = workspace.folder / "data" / "several.sql"
    text = query.read_text(encoding="utf-8")
    assert right in text
    query.write_text(text.replace(right, wrong), encoding="utf-8")
    stages, done = workspace.repro("ingest")
    assert stages == ["ingest"]
    assert done.returncode != 0
    shown = [line for kind, text in BLOCK.findall(section) if kind == "text" for line in [text]]
    assert shown[0] in done.stdout + done.stderr
