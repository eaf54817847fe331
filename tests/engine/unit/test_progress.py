"""Progress: what is long tells how far it is, on standard error; a terminal gets a bar."""

import re
import sys
from io import StringIO
from threading import Event

import pytest

from mlops import progress as module
from mlops.progress import progress, waiting


class Lines(StringIO):
    """Standard error that says when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Event()

    def write(self, text: str) -> int:
        done = super().write(text)
        self.told.set()
        return done


class Terminal(StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_what_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as told, waiting("fitting"):
        told(10, 0.5)
    assert capsys.readouterr() == ("", "")


def test_lines_say_how_many_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0)
    with progress("trials") as told:
        told(1500, 0.25)
    assert capsys.readouterr() == ("", "1,500 trials, 25%\n")


def test_who_waits_is_told_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", lines)
    with waiting("fitting boosting"):
        assert lines.told.wait(60)
    assert lines.getvalue().startswith("fitting boosting: 0 s")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "QUICK", 0)
    with progress("shuffles") as told:
        told(7, 0.7)
    assert "7 shuffles" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    terminal.truncate(0)
    monkeypatch.setattr(module, "QUICK", 60)
    with progress("shuffles") as told:
        told(7, 0.7)
    assert "shuffles" not in terminal.getvalue()  # a bar that flashes up tells nobody anything
