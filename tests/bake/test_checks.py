"""Every bake passes its own lint, format and lock check as it comes, for every pair of answers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest

RUFF = str(Path(sys.executable).with_name("ruff"))
CHECKS = {
    "lint": [RUFF, "check", "--no-cache", "."],
    "format": [RUFF, "format", "--no-cache", "--check", "."],
    "lock": ["uv", "lock", "--check"],
}
# All that a check reads of a project, where several bakes have the same: they pass together.
READ_BY = {"lock": ("pyproject.toml", "mlops/pyproject.toml", "uv.lock")}
ANSWERS = [
    *helpers.single_choices(),
    *(pytest.param(answers, marks=pytest.mark.slow) for answers in helpers.pairwise()),
    {"package_name": "a" + "b" * 39},
]


@pytest.fixture(scope="module")
def passed() -> set[tuple[bytes, ...]]:
    """What was read by checks that passed."""
    return set()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answers", ANSWERS, ids=helpers.named)
def test_check_passes(
    baked: Callable[..., Path],
    answers: dict[str, str],
    check: str,
    passed: set[tuple[bytes, ...]],
) -> None:
    project = baked(**answers)
    content = tuple((project / name).read_bytes() for name in READ_BY.get(check, ()))
    if content in passed:
        return
    done = subprocess.run(CHECKS[check], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if content:
        passed.add(content)
