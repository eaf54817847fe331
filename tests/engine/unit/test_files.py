"""A file is whole or not there: nothing half-written is left by an error or a killed process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from mlops import files
from mlops.errors import InputError


class Example(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    count: int
    names: list[str] = []


def _fail(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [*path.parent.iterdir()] == [path]


def test_after_an_error_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        _fail(path)
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "plots"
    path.mkdir()
    (path / "old.json").touch()
    with files.replacing(path) as temporary:
        files.write_text(temporary / "new.json", "{}")
    assert [each.name for each in path.iterdir()] == ["new.json"]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    script = (
        "import os, sys, pathlib, importlib\n"
        "files = importlib.import_module(sys.argv[1])\n"
        "with files.replacing(pathlib.Path(sys.argv[2])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, files.__name__, os.fspath(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"Ærø": [1, 0.1, None, True], "text": 'a "quoted" line\n'}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == value


def test_json_has_no_word_for_not_a_number(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, float("nan"))
    assert files.read_json(path) == 1


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.json: no such file"):
        files.read_json(tmp_path / "x.json")


def test_a_file_that_is_not_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{half")
    with pytest.raises(InputError, match=r"x\.json"):
        files.read_json(tmp_path / "x.json")


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("count: 1\nnmes: [a]", ["nmes: unknown key; check its spelling"]),
        ("names: [a]", ["count: this key is missing"]),
        ("count: '1'", ["count: input should be a valid integer, not '1'"]),
        ("count: a\nnames: [1]", ["count: ", "names.0: "]),
        ("", ["count: this key is missing"]),
        ("- 1", ["input should be a valid dictionary"]),
    ],
)
def test_each_mistake_is_a_line_with_file_and_key(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        files.load(path, Example)
    found = str(refused.value).splitlines()
    assert len(found) == len(lines)
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(f"{path}: {wanted}")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"count: 1\nnames: [a", "line 2: not valid YAML"),
        (b"count: 1\ncount: 2", "line 2: not valid YAML"),
        (b"count:\n\tnames: 1", "line 2: not valid YAML"),
        (b"count: \x00", "not valid YAML"),
        (b"count: \xff", "not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_yaml_is_told(tmp_path: Path, content: bytes, where: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=where):
        files.load(path, Example)


def test_a_mistake_of_a_few_lines_that_stand_for_millions_is_a_short_line() -> None:
    """Aliases of aliases in YAML: nine in each of seven lines."""
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    with pytest.raises(InputError) as error:
        files.parse(f"{text}count: *h\n", Example, Path("a.yaml"))
    assert "a.yaml: count: " in str(error.value)
    assert max(map(len, str(error.value).splitlines())) < 5_000
