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
ANSWERS = [*helpers.single_choices(), *helpers.pairwise(), {"package_name": "a" + "b" * 39}]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("answers", ANSWERS, ids=helpers.named)
def test_check_passes(baked: Callable[..., Path], answers: dict[str, str], check: str) -> None:
    done = subprocess.run(
        CHECKS[check], cwd=baked(**answers), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
