"""`mlops status` in a terminal: what is wrong leads, and what can be copied is never cut."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mlops.paths import MONITOR
from mlops.release.state import Environment, Policy, Release
from mlops.release.status import Status
from mlops.release.watched import Watched, watched
from mlops.report import terminal

ID = "20300107-1200-0123456"
RELEASE = Release(ID, "0" * 40, "", "", "flights@v1.0.0", "0" * 32)


def _status(name: str = "prod", hold: str | None = None, **changed: Any) -> Status:
    policy = Policy.model_validate({"requires": None, "hold": hold})
    facts: dict[str, Any] = {
        "environment": Environment(name, policy, RELEASE),
        "age": timedelta(days=3),
        "metrics": {"roc_auc": 0.68712, "f1": 0.5},
        **dict.fromkeys(("waiting", "quarantined")),
        **{each: [] for each in ("reasons", "unsaid", "drift")},
    }
    return Status(**(facts | changed))


def _shown(monkeypatch: pytest.MonkeyPatch, found: list[Status], width: int | None) -> list[str]:
    """The lines for a terminal of so many columns, or for a pipe."""
    console = Console(
        width=width or 80,
        force_terminal=width is not None,
        color_system=None,
        markup=False,
        soft_wrap=True,
    )
    monkeypatch.setattr(terminal, "Console", lambda **_: console)
    with console.capture() as capture:
        terminal.show_status(found)
    return capture.get().splitlines()


WRONG: dict[str, Any] = {
    "hold": "incident 7",
    "quarantined": "it leaks",
    "drift": ["runs r0"],
    "live": Watched(Path("page"), "2030-01-07", "2030-01-01", {"roc_auc": 0.6}, ["drift carrier"]),
    "unsaid": ["model.yaml: owner: has no answer yet"],
}


def test_what_is_wrong_leads_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _shown(monkeypatch, [_status("dev"), _status(**WRONG)], None)
    assert lines[:6] == [
        f"✗ prod: {ID} is in quarantine: it leaks → mlops rollback prod",
        "✗ prod: runs r0 → mlops apply prod",
        "✗ prod: alarms until 2030-01-07: drift carrier → look at page",
        "✗ prod: on hold: incident 7 → mlops unhold prod",
        "✗ prod: model.yaml: owner: has no answer yet",
        "",
    ]
    heading, dev, prod = lines[6:]
    assert re.split(" {2,}", heading) == [
        *("environment", "release", "live for", "test roc_auc", "live roc_auc (when)", "state")
    ]
    states = "quarantined, differs from Git, alarms, on hold, model.yaml incomplete"
    assert re.split(" {2,}", dev) == ["dev", ID, "3 days", "0.687", "–", "ok"]
    assert re.split(" {2,}", prod) == [
        *("prod", ID, "3 days", "0.687", "0.600 (2030-01-01)", states)
    ]


@pytest.mark.parametrize("width", [None, 20, 40, 80, 200])
def test_ids_are_never_cut(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    lines = _shown(monkeypatch, [_status(), _status("dev", waiting=ID)], width)
    assert sum(ID in line for line in lines) == 3
    assert not any("…" in line for line in lines)
    assert f"dev: {ID} can be promoted → mlops promote dev" in lines
    is_narrow = width is not None and width < 100
    assert (f"  release: {ID}" in lines) == is_narrow


def test_an_environment_without_a_release_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = Environment("prod", Policy.model_validate({"requires": None}), None)
    told = _status(environment=empty, age=None, metrics={}, unsaid=["model.yaml: owner: nothing"])
    lines = _shown(monkeypatch, [told], None)
    assert lines[1].split() == ["prod", "–", "–", "–", "–", "no", "release", "yet"]
    assert lines[-1] == "prod: accepts no release yet: model.yaml: owner: nothing"
    assert not told.needs_somebody


def test_the_last_result_of_monitoring_counts_for_its_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert watched("prod", ID) is None
    file = MONITOR / "prod" / "result.json"
    file.parent.mkdir(parents=True)
    alarm = {"kind": "performance", "name": "roc_auc"}
    older = {
        "end": "2030-01-01T00:00:00Z",
        "metrics": {"roc_auc": {"live": {"value": 0.6}}},
        "alarms": [alarm, {"kind": "drift", "name": "old"}],
    }
    newest = {
        "end": "2030-01-08T00:00:00Z",
        "metrics": {},
        "alarms": [{"kind": "drift", "name": "carrier"}],
    }
    file.write_text(json.dumps({"release": ID, "windows": [older, newest]}))
    found = watched("prod", ID)
    assert found is not None
    assert found.alarms == ["drift carrier", "performance roc_auc"]
    assert (found.until, found.measured) == ("2030-01-08", "2030-01-01")
    assert found.metrics == {"roc_auc": 0.6}
    assert watched("prod", "another") is None
    for broken in ("{", "[]", json.dumps({"release": ID, "windows": []})):
        file.write_text(broken)
        assert watched("prod", ID) is None
