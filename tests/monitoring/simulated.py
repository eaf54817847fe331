"""Simulated weeks, monitored as an environment is; runs in a bake's Python, not in the tests'.

    python simulated.py < [{"weeks": …, "rows": …, "drift": …, "size": …, "effect": …}, …] > shares
    python simulated.py write FOLDER ROWS     write a log of 20 columns, without labels
    python simulated.py monitor FOLDER        monitor it, and print how many rows it counted

The first prints for each of them the share of weeks with an alarm, and that of weeks with one that
names what drifted. Rows are drawn independently of one another; the log is real files, which are
really read. The model is a stand-in that predicts the column `x0`; what it predicts is `x0` and an
error.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from mlops.config.params import load_params
from mlops.inference import OnnxModel
from mlops.monitoring.feedback import FOLDER
from mlops.monitoring.log import Period
from mlops.monitoring.monitor import Monitor
from mlops.monitoring.reference import describe
from mlops.monitoring.storage import Storage
from mlops.release.state import Release

START = datetime(2030, 1, 7, tzinfo=UTC)
REFERENCE = 10_000
GROUP = 1_000_000
# Weeks that are held against one reference; then another one is drawn.
TOGETHER = 50
NUMBERS = [f"x{i}" for i in range(12)]
NAMES = {"c0": 3, "c1": 8, "c2": 60, "c3": 12}
FLAGS = ["b0", "b1", "b2", "b3"]
NULLABLE = {"x1", "x2", "c1", "b1"}
# What drifts, and the column that must be named.
NAMED = {"mean": "x3", "spread": "x3", "share": "c1", "missing": "x1", "flag": "b0", "error": "mae"}


@dataclass(frozen=True)
class Asked:
    """What is simulated: `size` of a drift, and the least distance that matters."""

    weeks: int
    rows: int
    drift: str | None = None
    size: float = 0.0
    effect: float = 0.1


class StandIn:
    """Predicts `x0`."""

    def __init__(self) -> None:
        columns = {
            name: {"kind": kind, "role": "feature", "nullable": name in NULLABLE}
            for kind, names in (("numeric", NUMBERS), ("categorical", NAMES), ("boolean", FLAGS))
            for name in names
        }
        target = {"y": {"kind": "numeric", "role": "target"}}
        self.metadata = {"contract": {"columns": columns | target}, "task": "regression"}

    def predict(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {"prediction": columns["x0"]}


def draw(rng: Any, rows: int, drift: str | None = None, size: float = 0.0) -> Any:
    """Return rows, in one column of which something is planted."""
    made: dict[str, Any] = {}
    for i, name in enumerate(NUMBERS):
        kinds = (rng.normal(size=rows), rng.exponential(size=rows), rng.integers(0, 7, rows))
        made[name] = kinds[0 if name in ("x0", "x3") else i % 3].astype(float)
    for name, count in NAMES.items():
        weights = 1 / np.arange(1, count + 1)
        made[name] = rng.choice(count, rows, p=weights / weights.sum()).astype(str).astype(object)
    for name in FLAGS:
        made[name] = pd.array(rng.random(rows) < 0.3, "boolean")
    error = rng.normal(size=rows)
    match drift:
        case "mean":
            made["x3"] = made["x3"] + size
        case "spread":
            made["x3"] = made["x3"] * (1 + size)
        case "share":
            made["c1"] = np.where(rng.random(rows) < size, "7", made["c1"])
        case "flag":
            made["b0"] = pd.array(rng.random(rows) < 0.3 + size, "boolean")
        case "error":
            error = error * (1 + size)
    made["y"] = made["x0"] + error
    data = pd.DataFrame(made)
    for name in NULLABLE:
        share = 0.1 + (size if drift == "missing" and name == NAMED["missing"] else 0)
        data.loc[rng.random(rows) < share, name] = pd.NA
    return data


def monitor(rng: Any, effect: float) -> Any:
    """Return what holds a log against rows that are drawn for it."""
    params = load_params()
    params = params.model_copy(
        update={
            "task": "regression",
            "gates": {},
            "compare": params.compare.model_copy(update={"resamples": 50, "rows": 5000}),
            "monitoring": params.monitoring.model_copy(update={"minimum_effect": effect}),
        }
    )
    release = Release("r", "0" * 40, "", "", "made@v1.0.0", "0" * 32)
    train, test = draw(rng, REFERENCE), draw(rng, REFERENCE // 4)
    return Monitor(describe(release, params, cast(OnnxModel, StandIn()), train, test), params)


def simulate(asked: Asked, seed: int) -> dict[str, float]:
    """Return the shares of weeks with an alarm, and of those with the right one."""
    rng = np.random.default_rng(seed)
    alarmed = named = 0
    for begin in range(0, asked.weeks, TOGETHER):
        weeks = min(TOGETHER, asked.weeks - begin)
        known = monitor(rng, asked.effect)
        with tempfile.TemporaryDirectory() as folder:
            for week in range(weeks):
                log(Path(folder), week, draw(rng, asked.rows, asked.drift, asked.size))
            end = START + timedelta(days=7 * weeks)
            result = known.run("prod", Storage(folder), Period.of(START, end, 7))
        assert result.account.counted == [asked.rows] * weeks
        assert all(each.labelled == asked.rows for each in result.windows)
        for window in result.windows:
            alarmed += bool(window.alarms)
            named += any(each.name == NAMED.get(str(asked.drift)) for each in window.alarms)
    return {"alarmed": alarmed / asked.weeks, "named": named / asked.weeks}


def log(folder: Path, week: int, data: Any, labelled: bool = True) -> None:
    """Write a week of the log, and its labels."""
    moment = START + timedelta(days=7 * week, hours=1)
    about = pd.DataFrame(
        {
            "_time": pd.Series([moment] * len(data)).astype("datetime64[us, UTC]"),
            "_request": [f"0b6c3f0a9d1e-{week}-{i}" for i in range(len(data))],
            "_row": 0,
            "_release": "r",
        }
    )
    path = folder / f"{moment:%Y-%m-%d}" / f"{moment:%H%M%S}-00000000-000000.parquet"
    path.parent.mkdir(parents=True)
    told = data.drop(columns="y").assign(prediction=data["x0"])
    told = told.astype(dict.fromkeys([*NUMBERS, "prediction"], "float32"))
    pd.concat([about, told], axis=1).to_parquet(path, index=False)
    if labelled:
        labels = folder / FOLDER / f"{week + 1:06d}-x.parquet"
        labels.parent.mkdir(exist_ok=True)
        about[["_request", "_row"]].assign(y=data["y"]).to_parquet(labels, index=False)


def write(folder: Path, rows: int) -> None:
    """Write a log of so many rows, a million in a file."""
    once = draw(np.random.default_rng(0), min(rows, GROUP))
    for number, start in enumerate(range(0, rows, GROUP)):
        log(folder, number, once[: rows - start], labelled=False)


def watch(folder: Path) -> int:
    """Monitor a log in a single window, and return how many rows were counted."""
    known = monitor(np.random.default_rng(1), 0.1)
    result = known.run("prod", Storage(str(folder)), Period([START, START + timedelta(days=999)]))
    return int(result.last.rows)


def main() -> None:
    """Do what the command line asks for."""
    match sys.argv[1:]:
        case []:
            asked = [Asked(**each) for each in json.load(sys.stdin)]
            print(json.dumps([simulate(each, seed) for seed, each in enumerate(asked)]))
        case ["write", folder, rows]:
            write(Path(folder), int(rows))
        case ["monitor", folder]:
            print(watch(Path(folder)))


if __name__ == "__main__":
    main()
