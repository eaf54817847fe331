"""What monitoring last said of a release, where it was run on this machine: see monitoring.run."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json
from ..paths import MONITOR

# Kinds of alarms that come with labels, and so of the newest window that has enough of them.
OF_LABELS = ("performance", "fairness")


@dataclass(frozen=True)
class Watched:
    """The last result of `mlops monitor` on an environment.

    Attributes:
        page: to look at.
        until: the day on which the judged window ends.
        measured: the day on which the newest window with enough labels ends; None without one.
        metrics: of the labelled rows of that window.
        alarms: what is wrong, as "kind name".
    """

    page: Path
    until: str
    measured: str | None
    metrics: dict[str, float]
    alarms: list[str]


def watched(environment: str, release: str) -> Watched | None:
    """What is known of a release in an environment; None where it was not monitored from here."""
    folder = MONITOR / environment
    with suppress(InputError, KeyError, TypeError, IndexError):  # of another engine, say
        found = read_json(folder / "result.json")
        if found["release"] != release:
            return None
        windows = found["windows"]
        last = windows[-1]
        measured = next((each for each in reversed(windows) if each["metrics"]), None)
        return Watched(
            page=folder / "report.html",
            until=last["end"][:10],
            measured=measured["end"][:10] if measured else None,
            metrics={
                name: float(each["live"]["value"])
                for name, each in (measured["metrics"] if measured else {}).items()
            },
            alarms=[*dict.fromkeys(_alarms(last, measured))],
        )
    return None


def alarms(environment: str, release: str, start: datetime, end: datetime) -> list[str] | None:
    """What monitoring raised of a release in windows that meet a time, as "kind name".

    None where no window of it does, in what was last found on this machine.
    """
    with suppress(InputError, KeyError, TypeError, ValueError):
        found = read_json(MONITOR / environment / "result.json")
        if found["release"] != release:
            return None
        meets = [
            each
            for each in found["windows"]
            if datetime.fromisoformat(each["start"]) < end
            and datetime.fromisoformat(each["end"]) > start
        ]
        told = [f"{a['kind']} {a['name']}" for each in meets for a in each["alarms"]]
        return [*dict.fromkeys(told)] if meets else None
    return None


def _alarms(last: Any, measured: Any) -> Iterator[str]:
    for each in last["alarms"]:
        yield f"{each['kind']} {each['name']}"
    for each in measured["alarms"] if measured else []:
        if each["kind"] in OF_LABELS:
            yield f"{each['kind']} {each['name']}"
