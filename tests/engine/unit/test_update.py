"""Parts of an update that need no bake: keys of params.yaml, the changelog, whose a file is."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mlops.data.dialect import Dialect
from mlops.errors import InputError
from mlops.update import changelog
from mlops.update.merge import category
from mlops.update.migrations import between, v0_2_0
from mlops.update.params import with_new_keys

BASE = """\
# What is trained.
task: regression

split: # shares
  test: 0.2
  seed: 42

gates:
  rmse: {max: 1}
"""


def added(ours: str, theirs: str, base: str = BASE) -> tuple[str, list[str]]:
    return with_new_keys(base, ours, theirs)


def test_nothing_new_changes_nothing() -> None:
    assert added(BASE + "mine: 1\n", BASE) == (BASE + "mine: 1\n", [])


def test_a_section_comes_with_its_comments_after_the_one_before_it() -> None:
    section = "\n# About it.\nverify: # how exactly\n  tolerance: 1.0e-4 # relative\n\n"
    theirs = BASE.replace("\ngates:", f"{section}gates:")
    ours = BASE.replace("test: 0.2", "test: 0.30   # more")
    assert added(ours, theirs) == (theirs.replace("test: 0.2", "test: 0.30   # more"), ["verify"])


def test_a_key_comes_into_its_section() -> None:
    theirs = BASE.replace("  seed: 42\n", "  validation: 0.1 # also\n  seed: 42\n")
    ours = BASE.replace("seed: 42", "seed: 7").replace("  test: 0.2\n", "  test: 0.2\n  # Mine.\n")
    text, keys = added(ours, theirs)
    assert keys == ["split.validation"]
    assert "  test: 0.2\n  validation: 0.1 # also\n  # Mine.\n  seed: 7\n" in text


def test_a_key_takes_the_indentation_of_its_section() -> None:
    theirs = BASE.replace("  seed: 42\n", "  seed: 42\n  by:\n    day: 1\n")
    ours = BASE.replace("  test", "    test").replace("  seed", "    seed")
    assert "    seed: 42\n    by:\n      day: 1\n" in added(ours, theirs)[0]


def test_what_the_owner_removed_stays_removed() -> None:
    theirs = BASE.replace("  seed: 42\n", "  seed: 42\n  validation: 0.1\n")
    without = BASE.replace("split: # shares\n  test: 0.2\n  seed: 42\n\n", "")
    assert added(without, theirs) == (without, [])
    assert added(BASE.replace("  seed: 42\n", ""), BASE) == (BASE.replace("  seed: 42\n", ""), [])


def test_what_the_owner_has_already_stays() -> None:
    theirs = BASE + "notices: {channel: none}\n"
    ours = BASE + "notices: {channel: mail}\n"
    assert added(ours, theirs) == (ours, [])


def test_a_section_in_braces_is_written_anew() -> None:
    theirs = BASE.replace("{max: 1}", "{max: 1, regression: 0}")
    text, keys = added(BASE, theirs)
    assert keys == ["gates.rmse.regression"]
    assert "  rmse: {max: 1, regression: 0}\n" in text
    assert text.startswith("# What is trained.\n")


def test_the_first_section_comes_first() -> None:
    base, theirs = "b: 1\n", "a: 0\nb: 1\n"
    assert added("b: 2\n", theirs, base) == ("a: 0\nb: 2\n", ["a"])


def test_a_file_without_a_last_newline() -> None:
    assert added("a: 1", "a: 1\nb: 2\n", "a: 1\n") == ("a: 1\nb: 2\n", ["b"])


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(InputError, match=r"params\.yaml: not valid YAML"):
        added("a: [", BASE + "new: 1\n")


def test_the_changelog_is_what_is_new() -> None:
    old = "# Changelog\n\n## Unreleased\n\n### Added\n\n- One.\n"
    new = """\
# Changelog

## 0.3.0

### Fixed

- Three.

## 0.2.0

### Added

- Two.
- One.

### Changed

- Also.

## 0.1.0

### Added

- One.
"""
    assert changelog.since(old, new) == (
        "## 0.3.0\n\n### Fixed\n\n- Three.\n\n"
        "## 0.2.0\n\n### Added\n\n- Two.\n\n### Changed\n\n- Also."
    )
    assert changelog.since(new, new) == ""
    assert changelog.since("", "") == ""


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("mlops/src/mlops/cli.py", "engine"),
        ("src/flights/features.py", "yours"),
        ("tests/test_model.py", "yours"),
        ("params.yaml", "yours"),
        ("contract.yaml", "yours"),
        ("model.yaml", "yours"),
        ("environments/prod/policy.yaml", "yours"),
        ("dvc.yaml", "platform"),
        (".github/workflows/ci.yml", "platform"),
        ("docs/index.md", "platform"),
        ("uv.lock", "platform"),
        ("packages.txt", "platform"),
    ],
)
def test_whose_a_file_is(path: str, whose: str) -> None:
    assert category(path) == whose


def test_migrations_are_those_between_two_versions() -> None:
    declared = ["v0_10_0", "v0_2_0", "v0_9_1", "v1_0_0", "__init__", "v0_1_0"]
    assert between("0.1.0", "0.10.0", declared) == ["v0_2_0", "v0_9_1", "v0_10_0"]
    assert between("0.2.0", "0.2.0", declared) == []


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        ("data/example/flights.parquet # a file", True),
        ('"data/example/flights.parquet"', True),
        ("data/example/flights.parquet.csv", False),
        ("data/churn.csv", False),
    ],
)
def test_what_is_said_of_the_example_comes_to_no_other_data(
    tmp_path: Path, path: str, stays: bool
) -> None:
    (tmp_path / "params.yaml").write_text(f"source:\n  path: {path}\n  database: null\n")
    (tmp_path / "model.yaml").write_text("owner: Ada\n")
    v0_2_0._statement(tmp_path)
    assert (tmp_path / "model.yaml").exists() == stays


@pytest.mark.parametrize(
    "text", ["# Mine.\ncolumns:\n  x: {}\n", "dialect: {}\ncolumns:\n  x: {}\n"]
)
def test_a_contract_of_before_says_how_the_source_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    for _ in range(2):
        v0_2_0._dialect(path)
    told = path.read_text()
    assert told.replace(v0_2_0.DIALECT, "") == text
    assert (told == text) == text.startswith("dialect")
    if told != text:
        dialect = YAML(typ="safe").load(told)["dialect"]
        assert Dialect.model_validate(dialect) == Dialect()
        assert {*dialect} == {"encoding", "delimiter", "header"}
