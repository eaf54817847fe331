"""The template's own workflows, as three linters see them: they report nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def output_of(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_actionlint_reports_nothing() -> None:
    assert output_of("actionlint", *map(str, WORKFLOWS)) == ""


def test_zizmor_reports_nothing() -> None:
    zizmor = str(Path(sys.executable).with_name("zizmor"))
    assert output_of(zizmor, "--offline", "--persona", "auditor", "--quiet", ".github") == ""


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_reports_nothing() -> None:
    assert output_of("shellcheck", ".ci/run") == ""


def test_there_are_workflows_to_lint() -> None:
    assert WORKFLOWS


@pytest.mark.parametrize("mistake", ["uses: actions/checkout@v7", "permissions: write-all"])
def test_zizmor_would_report_a_mistake(tmp_path: Path, mistake: str) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    text = WORKFLOWS[0].read_text()
    for line in text.splitlines():
        if line.strip().startswith(mistake.split(":")[0]):
            text = text.replace(line.strip(), mistake, 1)
            break
    (folder / "ci.yml").write_text(text)
    zizmor = str(Path(sys.executable).with_name("zizmor"))
    found = subprocess.run(
        [zizmor, "--offline", "--persona", "auditor", "--quiet", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
