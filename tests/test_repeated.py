"""What `make test` leaves to `make test-long` is repeated there alone: a case of each stays."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest
from conftest import REPEATED
from helpers import ROOT


@cache
def collected(marks: str) -> list[str]:
    """The tests that these marks choose, of the files that REPEATED names."""
    files = sorted({f"tests/{name.partition('::')[0]}" for name in REPEATED})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", marks, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line.removeprefix("tests/") for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize(("test", "kept"), REPEATED.items(), ids=REPEATED)
def test_a_case_of_each_stays(test: str, kept: tuple[str, ...]) -> None:
    every = [name for name in collected("") if name.startswith(test)]
    stays = [name for name in collected("not long") if name.startswith(test)]
    assert stays, f"{test}: nothing is left of it in make test"
    assert len(stays) < len(every), f"{test}: nothing of it is left to make test-long"
    for part in kept:
        assert [name for name in stays if part in name], f"{test}: {part} keeps nothing"
