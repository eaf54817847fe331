"""Live a year: docs/year.md, with a picture.

    PYTHONPATH=tests uv run python -m monitoring.year

Months of the example's flights are asked of the server of an environment, day by day, with its
clock in that year; what `mlops monitor` tells is what `mlops retrain` is run for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any
from urllib.request import Request, urlopen

from bench.measuring import bake, deliver, draw, install, say, table, wants_quick
from deploy.site import ENVIRONMENTS, Site
from helpers import ROOT
from images.engine import free_port
from monitoring.logged import UNDRAWN
from pipeline.running import EXAMPLE, Project, Run
from scipy import stats
from serving.running import wait_for

REPORT = ROOT / "docs" / "year.md"
SOURCE = "data/flights"
LEARNED = ("2013-01", "2013-02", "2013-03")
LIVED = tuple(f"2013-{month:02}" for month in range(4, 13))
METRIC = "roc_auc"
# Training saw few months of them, and windows are months.
SETTINGS = {"monitoring__ignore": ["month"], "monitoring__window_days": 31}
# Less to examine, where nothing rests on how closely.
LESS = {"compare__resamples": 40, "evaluate__importance_rows": 50, "verify__edge_rows": 300}
# What starts a retraining, as `retraining.alarms` of params.yaml has it.
STARTS = ("drift:", "performance:")
# A file for each request: it is named after the day of its first row, and may have no other's.
LOGGING = {"MLOPS_LOG_SECONDS": "0.01", "MLOPS_LOG_ROWS": "1", "MLOPS_DRAIN_SECONDS": "0"}

# The example, a file a month.
MONTHS = """
import json, sys
from pathlib import Path
import pandas as pd
data = pd.read_parquet(sys.argv[1])
for month, rows in data.groupby(data["time_hour"].dt.strftime("%Y-%m")):
    rows.to_parquet(Path(sys.argv[2], f"{month}.parquet"), index=False)
print("null")
"""
# A month's rows as clients send them, day by day, and what turned out to be true.
DAYS = """
import json, sys
import pandas as pd
from mlops.data.contract import load_contract
contract = load_contract()
data = pd.read_parquet(sys.argv[1])
sent = [name for name in contract.columns if name != contract.target]
found = []
for day, rows in data.groupby(data[contract.time].dt.strftime("%Y-%m-%d")):
    text = rows[sent].to_json(orient="records", date_format="iso", double_precision=15)
    found.append({"day": day, "rows": json.loads(text), "truth": rows[contract.target].tolist()})
print(json.dumps(found))
"""
# How good what a model said of a file's rows is, month by month.
SCORES = """
import json, sys
import pandas as pd
from sklearn.metrics import roc_auc_score
data = pd.read_parquet(sys.argv[1])
months = data.groupby(data["time_hour"].dt.strftime("%Y-%m"))
print(json.dumps({m: roc_auc_score(d["late"], d["probability_true"]) for m, d in months}))
"""
# What `site` has every Python do that finds it: its wall clock is some nanoseconds off. A stand-in
# for libfaketime, whose version 0.9.10 breaks `time.sleep` and waiting for the interpreter's lock.
OFF = """
import time
from pathlib import Path
offset, real = Path(__file__).with_name("offset"), time.time_ns
time.time_ns = lambda: real() + int(offset.read_text())
time.time = lambda: time.time_ns() / 1e9
"""


@dataclass(frozen=True)
class Sizes:
    """The months that are lived, and changes to the parameters."""

    names: Sequence[str] = LIVED
    params: Mapping[str, Any] = field(default_factory=dict)


FULL = Sizes()
# Of the retrainings in these months one is not better, and one is.
QUICK = Sizes(("2013-05", "2013-06", "2013-07"), LESS)


@dataclass(frozen=True)
class Clock:
    """The wall clock of servers, in a folder of its own."""

    folder: Path

    @staticmethod
    def begin(folder: Path) -> Clock:
        """Make one, to be set."""
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(OFF, encoding="utf-8")
        return Clock(folder)

    def set(self, moment: datetime) -> None:
        """Put it to a moment, from which it goes on."""
        off = (moment - datetime.now(UTC)) // timedelta(microseconds=1)
        fresh = self.folder / "fresh"
        fresh.write_text(f"{off}000", encoding="ascii")
        fresh.replace(self.folder / "offset")

    def environ(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return what has a command follow it, and the servers that it starts."""
        path = [str(self.folder), *filter(None, [known.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(path)}


@dataclass(frozen=True)
class Retraining:
    """What `mlops retrain` said: how much better, or why there is none; and whether it is."""

    said: str
    better: bool


@dataclass(frozen=True)
class Month:
    """A month that was lived.

    Attributes:
        name: as 2013-04.
        release: what Git said that prod is to run.
        answered: what answered.
        rows: how many were asked.
        result: what `mlops monitor` found.
        retraining: what came of its alarms; None where none was started.
    """

    name: str
    release: str
    answered: set[str]
    rows: int
    result: Any
    retraining: Retraining | None = None

    @property
    def window(self) -> Any:
        """What was found of it, of which it is the only window."""
        (found,) = self.result["windows"]
        return found

    @property
    def alarms(self) -> list[str]:
        """The lines."""
        return ["{kind}: {name}: {told}".format(**each) for each in self.window["alarms"]]

    @property
    def live(self) -> Any:
        """The metric, and its interval."""
        return self.window["metrics"][METRIC]["live"]

    @property
    def better(self) -> bool:
        """Whether a new model came of it."""
        return self.retraining is not None and self.retraining.better


@dataclass(frozen=True)
class Help:
    """What retraining brought, month by month: the metric with it, and without."""

    with_it: Sequence[float]
    without: Sequence[float]

    @property
    def differences(self) -> list[float]:
        """By how much each month is better."""
        return [new - old for new, old in zip(self.with_it, self.without, strict=True)]

    @property
    def better(self) -> int:
        """In how many months retraining helped."""
        return sum(each > 0 for each in self.differences)

    def gain(self) -> str:
        """The mean of the differences, with Student's 95 % interval over months."""
        found = self.differences
        if len(found) < 2:
            return f"{mean(found):+.3f}; one month has no interval"
        low, high = stats.ttest_1samp(found, 0).confidence_interval()
        return f"{mean(found):+.3f}, with a 95 % interval over months of {low:+.3f} to {high:+.3f}"

    def share(self) -> str:
        """In how many months retraining helped, with Wilson's 95 % interval."""
        months = len(self.differences)
        low, high = stats.binomtest(self.better, months).proportion_ci(method="wilson")
        return f"{self.better} of {months} months ({low:.0%} to {high:.0%})"


@dataclass
class Year:
    """A project whose source grows, and whose prod serves.

    Attributes:
        names: the months that are to be lived.
        months: a file each, outside.
        warehouse: the folder of which the project has a copy, by `dvc import-url`.
        lived: what came of each month until now.
    """

    site: Site
    clock: Clock
    names: Sequence[str]
    months: Path
    warehouse: Path
    lived: list[Month] = field(default_factory=list)

    @staticmethod
    def begin(project: Project, folder: Path, names: Sequence[str] = LIVED, **params: Any) -> Year:
        """Make a model of the first months, and have prod serve it.

        Args:
            project: a bake, to be changed.
            folder: where all else is put.
            names: the months to be lived; of those before them the data has come meanwhile.
            params: changes to the parameters.
        """
        clock = Clock.begin(folder / "clock")
        clock.set(first_of(names[0]))
        year = Year(Site(project), clock, names, folder / "months", folder / "warehouse")
        for each in (year.months, year.warehouse):
            each.mkdir()
        project.python(MONTHS, EXAMPLE, str(year.months))
        for name in LEARNED:
            year.deliver(name)
        project.run("dvc", "import-url", str(year.warehouse), SOURCE)
        project.learn_from(SOURCE)
        project.set("params.yaml", **SETTINGS, **params)
        for environment in ENVIRONMENTS:
            project.set(f"environments/{environment}/policy.yaml", soak_minutes=0)
            year.site.ports[environment] = free_port()
            year.site.settings(environment, **LOGGING)
        project.git("checkout", "--quiet", "-B", "main")
        project.run("dvc", "repro")
        project.run("dvc", "push")
        project.commit()
        shutil.copyfile(project.folder / "models/model.onnx", year.first)
        year.release()
        for name in LIVED[: LIVED.index(names[0])]:
            year.deliver(name)
        return year

    @property
    def project(self) -> Project:
        """The project."""
        return self.site.project

    @property
    def first(self) -> Path:
        """The first model."""
        return self.months / "first.onnx"

    def deliver(self, name: str) -> None:
        """Put a month into the warehouse, with what turned out to be true."""
        shutil.copy(self.months / f"{name}.parquet", self.warehouse)

    def release(self) -> None:
        """Release what is committed, promote it to prod, and apply it."""
        self.site.release()
        self.site.promote("staging", "prod")
        clock = self.clock.environ(self.project.environ())
        self.project.run("mlops", "apply", "prod", env=clock)

    def live(self, name: str) -> None:
        """Ask a month's rows, monitor it, and retrain when that is called for."""
        release = self.site.named("prod")
        answered, labels = self.ask(name)
        file = self.months / f"{name}.csv"
        file.write_text("\n".join(["request,row,late", *labels]) + "\n", encoding="utf-8")
        self.site.mlops("feedback", "import", "prod", str(file))
        period = (f"--from={first_of(name):%Y-%m-%d}", f"--to={first_of(name, 1):%Y-%m-%d}")
        self.attempt("python", "-c", UNDRAWN, "monitor", "prod", *period)
        result = self.project.read("build/monitor/prod/result.json")
        self.deliver(name)
        month = Month(name, release, answered, len(labels), result)
        reasons = [each for each in month.alarms if each.startswith(STARTS)]
        if reasons and self.may_retrain(name):
            month = replace(month, retraining=self.retrain("; ".join(reasons)))
        self.lived.append(month)

    def ask(self, name: str) -> tuple[set[str], list[str]]:
        """Ask each day's rows at its end; what answered, and the lines of labels to import."""
        url = f"http://127.0.0.1:{self.site.ports['prod']}"
        before, answered, labels = logged(url), set(), []
        for day in self.project.python(DAYS, str(self.months / f"{name}.parquet")):
            self.clock.set(datetime.fromisoformat(f"{day['day']}T23:30+00:00"))
            body = json.dumps(day["rows"]).encode()
            with urlopen(Request(f"{url}/predict", body)) as answer:  # noqa: S310
                said = json.load(answer)
            answered.add(said["model_version"])
            labels += [f"{said['id']},{row},{late}" for row, late in enumerate(day["truth"])]
            wait_for(partial(has_logged, url, before + len(labels)), "logged")
        return answered, labels

    def attempt(self, *command: str) -> Run:
        """Run a command, which may have to tell something: exit code 3."""
        done = subprocess.run(
            command,
            cwd=self.project.folder,
            env=self.project.environ(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode in (0, 3), f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def may_retrain(self, name: str) -> bool:
        """Whether the last retraining is long enough ago, and a month comes that is served."""
        rest = timedelta(days=self.project.read("params.yaml")["retraining"]["cool_down_days"])
        started = [first_of(each.name, 1) for each in self.lived if each.retraining]
        now = first_of(name, 1)
        return name != self.names[-1] and all(now - each >= rest for each in started)

    def retrain(self, reason: str) -> Retraining:
        """Retrain, and have prod run what is better."""
        done = self.attempt("mlops", "retrain", f"--reason={reason}")
        if done.returncode:
            return Retraining(done.stderr.strip().removeprefix("error: "), better=False)
        *_, headline, _, last = done.stdout.splitlines()
        self.project.git("merge", "--quiet", "--ff-only", last.split()[-1])
        self.release()
        return Retraining(headline, better=True)

    def without(self) -> dict[str, float]:
        """How good the first model is month by month; `mlops predict` asks it."""
        said = self.months / "said.parquet"
        told = ("--output", str(said), "--model", str(self.first), "--with-inputs")
        self.project.run("mlops", "predict", EXAMPLE, *told)
        found: dict[str, float] = self.project.python(SCORES, str(said))
        return {name: found[name] for name in self.names}

    def help(self, without: Mapping[str, float]) -> Help:
        """What retraining brought in the months that a later model served.

        Args:
            without: the first model's metric in each month.
        """
        later = [each for each in self.lived if each.release != self.lived[0].release]
        return Help([each.live["value"] for each in later], [without[each.name] for each in later])


def first_of(name: str, later: int = 0) -> datetime:
    """The first moment of a month, or of one that many months later."""
    year, month = map(int, name.split("-"))
    years, months = divmod(month - 1 + later, 12)
    return datetime(year + years, months + 1, 1, tzinfo=UTC)


def has_logged(url: str, rows: float) -> bool:
    """Whether a server has logged that many rows."""
    return logged(url) == rows


def logged(url: str) -> float:
    """How many rows a server has logged."""
    with urlopen(f"{url}/metrics") as answer:  # noqa: S310
        text = answer.read().decode()
    found = re.search(r"^mlops_log_rows_total (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


# The page

WITH, WITHOUT = "with retraining, and its interval", "without retraining"
TEXT = """# A year in production

```bash
PYTHONPATH=tests uv run python -m monitoring.year
```

writes this page, in about {minutes:.0f} minutes. It takes neither Docker nor an account.
`tests/monitoring/test_year.py` lives three months of it, and in `make test-long` the same year with
fewer retrainings, and asserts what is said here.

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="year-dark.svg">
  <img alt="{metric} of each month, with retraining and without" src="year-light.svg">
</picture>

From the first new model on, the mean {metric} is **{with_it:.3f}** with retraining, and
**{without:.3f}** without: {gain}.
Retraining helped in {share}.

{months}

- **With** is what `mlops monitor` measured of what prod answered, with its 95 % interval.
  **Without** is the first model, which `mlops predict` asked about the same rows.
- **Alarms** are those of `mlops monitor`: any of drift or performance starts a retraining.
- **Released** is the month at whose end the model was that served.

What `mlops retrain` said, holding the new model against the one that served, on the newest fifth
of all rows:

{verdicts}

## What was done

1. A folder outside of the project is the warehouse, a file a month; the project's source is a
   `dvc import-url` of it. At first it holds January to March, of which the pipeline makes the first
   model: released to dev, promoted to staging and prod, and applied, as a process.
2. From April on the flights of each day are asked of prod's server, whose clock is in the evening
   of that day. When the month is over, `mlops feedback import prod` brings what was true,
   `mlops monitor prod` looks at the month, and the month's file is put into the warehouse.
3. Was there an alarm of drift or performance, `mlops retrain` reads the warehouse and trains. What
   is better, by more than chance, and breaks no gate, is merged, released, promoted to prod and
   applied before the next month begins. Else all stays as it is. After December nothing is
   retrained: no month follows.

The settings are those of a fresh project, but for `monitoring.window_days: 31` and
`monitoring.ignore: [month]`, since training sees but some months, and `soak_minutes: 0`.

All {rows:,} rows were counted once, in their month, and labelled. All were answered by the release
that Git named for prod.

## What it does not show

- It is one year of one data set, with some {per_month:,} rows a month: the interval of a month is
  wide.
- Nobody reviews here: what is better is merged. On GitHub `monitor.yml` and `retrain.yml` take the
  same steps, and people merge.
- Labels are there when the month is over. Where they come later, so does the retraining.
- Drift is no loss by itself. Training saw no such weather, so that months drift; performance itself
  raised {performance} alarms, for which it has to fall by more than 10 %, and by more than chance.
  {better} of {tried} retrainings were better: what decides is the comparison.
- The verdict is on a model of the oldest 65 % of the rows, since the newest have to test it. What
  is released was made in the same way from all rows (`train.refit`): the verdict stands for the
  procedure, and only the months that follow tell of that model itself.
"""


def page(year: Year, without: Mapping[str, float], minutes: float) -> str:
    """Return the page."""
    brought = year.help(without)
    rows = sum(month.rows for month in year.lived)
    head = ("month", "rows", "with", "without", "released", "alarms", "retraining")
    lines = [
        (
            month.name,
            f"{month.rows:,}",
            f"**{month.live['value']:.3f}** ({month.live['low']:.2f} to {month.live['high']:.2f})",
            f"{without[month.name]:.3f}",
            released(year, month),
            alarmed(month),
            outcome(month),
        )
        for month in year.lived
    ]
    said = [f"- {each.name}: {each.retraining.said}" for each in year.lived if each.retraining]
    return TEXT.format(
        minutes=minutes,
        metric=METRIC,
        with_it=mean(brought.with_it),
        without=mean(brought.without),
        gain=brought.gain(),
        share=brought.share(),
        months=table(head, lines),
        verdicts="\n".join(said),
        rows=rows,
        performance=sum("performance:" in line for each in year.lived for line in each.alarms),
        better=sum(each.better for each in year.lived),
        tried=len(said),
        per_month=round(rows / len(year.lived) / 100) * 100,
    )


def released(year: Year, month: Month) -> str:
    """At the end of which month the model was, that served."""
    same = [each.name for each in year.lived if each.release == month.release]
    return f"{first_of(min(same), -1):%Y-%m}"


def alarmed(month: Month) -> str:
    """What was alarmed, by kind."""
    found: dict[str, list[str]] = {}
    for line in month.alarms:
        kind, name, _ = line.split(":", 2)
        found.setdefault(kind, []).append(name.strip())
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in found.items()) or "none"


def outcome(month: Month) -> str:
    """What came of a retraining, in two words."""
    if month.retraining is None:
        return ""
    if month.better:
        return "**better**"
    return "not better" if "not better" in month.retraining.said else "breaks a gate"


def picture(year: Year, without: Mapping[str, float], colours: Mapping[str, str]) -> dict[str, Any]:
    """A Vega-Lite specification: the metric month by month, with retraining and without."""
    middle = {month.name: f"{month.name}-15" for month in year.lived}
    points = [
        {"at": middle[month.name], "who": who, "value": value, **interval}
        for month in year.lived
        for who, value, interval in (
            (WITHOUT, without[month.name], {}),
            (WITH, month.live["value"], month.live),
        )
    ]
    pairs = zip(year.lived, year.lived[1:], strict=False)
    new = [{"at": f"{after.name}-01"} for before, after in pairs if before.better]
    axis = {
        "title": None,
        "titleColor": colours["faint"],
        "titleFontWeight": "normal",
        "titlePadding": 12,
        "ticks": False,
        "domain": False,
        "labelColor": colours["faint"],
        "labelFontSize": 12,
        "gridColor": colours["grid"],
    }
    months = {"grid": False, "format": "%b", "values": [*middle.values()], "labelPadding": 8}
    x = {
        "field": "at",
        "type": "temporal",
        "scale": {"type": "utc", "domain": [f"{year.names[0]}-01", f"{year.names[-1]}-31"]},
        "axis": axis | months,
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": axis | {"title": METRIC, "tickCount": 6, "format": ".2f"},
    }
    who = {
        "field": "who",
        "scale": {"domain": [WITH, WITHOUT], "range": [colours["us"], colours["faint"]]},
        "legend": {
            "title": None,
            "orient": "top",
            "labelLimit": 0,
            "labelColor": colours["text"],
            "labelFontSize": 12,
            "symbolOpacity": 1,
        },
    }
    both = {"x": x, "y": y, "color": who}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "width": 560,
        "height": 240,
        "padding": 4,
        "config": {"view": {"stroke": None}, "font": "sans-serif"},
        "data": {"values": points},
        "layer": [
            {
                "data": {"values": new},
                "mark": {"type": "rule", "color": colours["faint"], "strokeDash": [3, 3]},
                "encoding": {"x": x},
            },
            {
                "data": {"values": new},
                "mark": {
                    "type": "text",
                    "text": "new model",
                    "align": "left",
                    "baseline": "top",
                    "dx": 4,
                    "color": colours["faint"],
                },
                "encoding": {"x": x, "y": {"value": 0}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "opacity": 0.35, "strokeWidth": 5},
                "encoding": both | {"y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": both},
            {"mark": {"type": "point", "filled": True, "size": 50, "opacity": 1}, "encoding": both},
        ],
    }


@contextmanager
def lived(project: Project, folder: Path, sizes: Sizes) -> Iterator[Year]:
    """Live the months of a bake, which is changed; prod serves until this is left."""
    year = Year.begin(project, folder, sizes.names, **sizes.params)
    try:
        for name in year.names:
            say(name)
            year.live(name)
        yield year
    finally:
        year.site.mlops("stop", "prod")


def main(arguments: Sequence[str] | None = None) -> None:
    """Bake a project, live a year, and write the page."""
    quick = wants_quick(__doc__, arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        bake(ROOT, folder / "baked")
        baked = next((folder / "baked").iterdir())
        project = Project(baked, baked / ".venv")
        project.init()
        install(baked)
        with lived(project, folder, QUICK if quick else FULL) as year:
            without = year.without()
            target = folder / REPORT.name if quick else REPORT
            draw(baked, partial(picture, year, without), target)
            text = page(year, without, (time.monotonic() - began) / 60)
    deliver(REPORT, text, quick)


if __name__ == "__main__":
    main()
