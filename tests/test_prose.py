"""The prose linter: each rule finds its examples, and leaves plain English alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import helpers
import pytest
import reading
from workflows.act import tools_path

PATH = tools_path(os.environ["PATH"])
VALE = shutil.which("vale", path=PATH)
RULES = sorted(path.stem for path in (helpers.ROOT / ".vale" / "House").glob("*.yml"))

needs_vale = pytest.mark.skipif(VALE is None, reason="vale is not installed")

# Sentences that a rule refuses.
WRONG = {
    "Relatives": [
        "The release differs from what ran before.",
        "Nobody knows what it was made of.",
        "The log has all that was answered.",
        "It keeps what is there.",
    ],
    "Subject": [
        "What cannot be judged is not merged.",
        "Whoever pushes must wait.",
        "That it exists is checked.",
    ],
    "Passive": [
        "The owner is told of it.",
        "No token is to be had here.",
        "Servers were asked first.",
        "The whole file is looked at.",
    ],
    "Idiom": [
        "Wait, lest it fail.",
        "It works as it should.",
        "The key stands in `params.yaml`.",
        "Data lies in a folder.",
        "Hold what it saw against the training data.",
        "It says otherwise than the model.",
        "A release is stopped for good.",
    ],
    "Capital": ["```bash\nmake run\n```\n\nbuilds the model.", "```\nx\n```\n\nand go on."],
}
# Close to them, and right.
RIGHT = [
    "What changed? What each key means: [contract](contract.md). What if it fails, it says.",
    "See what happened, and tell the owner. It told us what to do.",
    "The contract names each column. Compare production traffic with the training data.",
    "Nobody stands still.",
    "```bash\nlest it be had\n```\n\nThis runs `lest` and `for good`.",
    "- a list\n- whose items begin in lower case\n\n`code` begins a sentence.",
]


def found(folder: Path, text: str) -> list[str]:
    """Return the rules that a page breaks."""
    page = folder / "page.md"
    page.write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    config = f"--config={helpers.ROOT / '.vale.ini'}"
    done = subprocess.run(
        [str(VALE), config, "--no-exit", "--output=JSON", str(page)],
        capture_output=True,
        text=True,
        check=True,
    )
    alerts = [alert for each in json.loads(done.stdout).values() for alert in each]
    return [alert["Check"].removeprefix("House.") for alert in alerts]


def test_each_rule_has_examples() -> None:
    assert sorted(WRONG) == RULES


@needs_vale
@pytest.mark.parametrize(("rule", "text"), [(r, text) for r in WRONG for text in WRONG[r]])
def test_a_rule_finds_its_example(tmp_path: Path, rule: str, text: str) -> None:
    assert found(tmp_path, text) == [rule]


@needs_vale
@pytest.mark.parametrize("text", RIGHT)
def test_plain_english_is_left_alone(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


@needs_vale
def test_the_pages_keep_the_rules() -> None:
    done = subprocess.run(
        ["bash", ".ci/prose"],
        cwd=helpers.ROOT,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    assert done.returncode == 0


# Years of school: the READMEs are for everybody, the manual for those who look something up.
GRADES = {"README.md": 8.0, helpers.PROJECT.name + "/README.md": 8.0}
MANUAL = 9.0


def test_pages_are_easy_to_read() -> None:
    found = {name: reading.grade((helpers.ROOT / name).read_text("utf-8")) for name in GRADES}
    assert {name: grade for name, grade in found.items() if grade > GRADES[name]} == {}
    manual = {
        path.name: path.read_text("utf-8") for path in helpers.PROJECT.glob("mlops/docs/*.md")
    }
    hard = {name: reading.grade(text) for name, text in manual.items() if reading.sentences(text)}
    assert {name: grade for name, grade in hard.items() if grade > MANUAL} == {}


def test_grades_are_those_of_the_formula() -> None:
    """By hand: 9 words in 2 sentences, 10 syllables."""
    text = "# No\n\nThe model is made. We run `code` on it.\n\n| no |\n\n```bash\nno\n```\n"
    assert [len(words) for words in reading.sentences(text)] == [4, 5]
    assert reading.grade(text) == pytest.approx(0.39 * 9 / 2 + 11.8 * 10 / 9 - 15.59)
    told = {"made": 1, "table": 2, "stages": 2, "changes": 2, "trained": 1, "released": 2}
    assert {word: reading.syllables(word) for word in told} == told
