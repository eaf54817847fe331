"""Measure how often monitoring is wrong, and what it finds: docs/monitoring.md.

    PYTHONPATH=tests uv run python -m monitoring.power

Weeks are simulated, see simulated.py; monitoring them is what `mlops monitor` does.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import monitoring as cost
from bench.measuring import bake, deliver, install, program_of, say, table, wants_quick
from helpers import ROOT

SIMULATED = Path(__file__).with_name("simulated.py")
REPORT = ROOT / "docs" / "monitoring.md"


@dataclass(frozen=True)
class Sizes:
    """How much is simulated.

    Attributes:
        quiet, weeks: in which nothing drifts; in which something does.
        rows: a week.
        log, turns: rows of the logs whose cost is measured, and how often.
    """

    quiet: int
    weeks: int
    rows: tuple[int, ...]
    log: tuple[int, ...]
    turns: int


FULL = Sizes(1000, 100, rows=(200, 1000, 5000), log=(1_000_000, 10_000_000), turns=3)
QUICK = Sizes(4, 2, rows=(300,), log=(20_000,), turns=1)
# What is planted, by how it is told, and the sizes.
PLANTED = {
    "mean": ("a number moves by {:g} standard deviations", (0.1, 0.25, 0.5)),
    "spread": ("a number spreads {:.0%} wider", (0.25, 0.5, 1)),
    "share": ("a rare category takes {:.0%} of the rows", (0.05, 0.1, 0.2)),
    "flag": ("a boolean is true in {:.0%} more of the rows", (0.05, 0.15, 0.3)),
    "missing": ("{:.0%} more of a column's values are missing", (0.05, 0.15, 0.3)),
    "error": ("the model's error grows by {:.0%}", (0.1, 0.2, 0.4)),
}
TEXT = """# How often monitoring is wrong, and what it finds

```bash
PYTHONPATH=tests uv run python -m monitoring.power
```

writes this page, in about {minutes:.0f} minutes. Each week is a log in files of its own, with
labels, compared with {reference} by the very code of `mlops monitor`: 20 columns and the
prediction, the missing values of four of them, and the metric: 26 tests in all. The settings are
those of a fresh project: `false_alarms: 0.05`, `minimum_effect: 0.1`, `regression: 0.1`.

## Quiet weeks

Rows are drawn from what the reference was drawn from. An alarm is false, and at most 5 % of the
weeks may have one. For the second column the least distance is set to 0, so that nothing but the
tests keeps alarms away.

{quiet}

## Planted drifts

The share of {weeks} weeks with an alarm that names what drifted.

{power}

- What stays below `minimum_effect` is not to be found, however many rows there are: a number that
  moves by 0.1 standard deviations is 0.04 off; one that moves by 0.25 is 0.1 off, just what
  matters by the settings, and so it is found in some weeks and not in others. Lower
  `minimum_effect` to hear of it.
- The error has to grow by more than `regression`, 10 %.
- Real rows are not as independent as these. Weeks differ, by weather, holidays and campaigns; so
  with a time column, what a week of the training rows was off from the rest is what matters from,
  see the project's `mlops/docs/monitor.md`.
- A year of real rows, month by month, with retraining and without: [year.md](year.md).

## Cost

`mlops monitor` without labels, but for fetching the reference, against pyarrow reading the same
files in the same batches.

{cost}
"""


@dataclass(frozen=True)
class Asked:
    """What simulated.py simulates."""

    weeks: int
    rows: int
    drift: str | None = None
    size: float = 0.0
    effect: float = 0.1


def simulate(
    python: Path | str, project: Path, asked: Sequence[Asked], env: Mapping[str, str] | None = None
) -> list[dict[str, float]]:
    """Return the shares of weeks that are alarmed, and of those with the right alarm."""
    done = subprocess.run(
        [python, SIMULATED],
        cwd=project,
        env=env,
        input=json.dumps([asdict(each) for each in asked]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Bake a project, simulate, and write the page."""
    quick = wants_quick(__doc__, arguments)
    sizes = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        bake(ROOT, Path(folder, "baked"))
        project = next(Path(folder, "baked").iterdir())
        install(project)
        python = program_of(project, "python")
        say("quiet weeks")
        asked = [Asked(sizes.quiet, rows, effect=e) for rows in sizes.rows for e in (0.1, 0.0)]
        quiet = simulate(python, project, asked)
        say("planted drifts")
        planted = [
            Asked(sizes.weeks, rows, drift, size)
            for drift, (_, amounts) in PLANTED.items()
            for size in amounts
            for rows in sizes.rows
        ]
        power = simulate(python, project, planted)
        say("cost")
        costs = cost.measure(project, Path(folder), sizes.turns, sizes.log)
    deliver(REPORT, page(sizes, quiet, power, cost.report(costs)), quick)


def page(
    sizes: Sizes,
    quiet: Sequence[Mapping[str, float]],
    power: Sequence[Mapping[str, float]],
    costs: str,
) -> str:
    """Return the page."""
    shares = [f"{each['alarmed']:.1%}" for each in quiet]
    of_quiet = [(f"{rows:,}", *shares[2 * i : 2 * i + 2]) for i, rows in enumerate(sizes.rows)]
    named = iter(f"{each['named']:.0%}" for each in power)
    of_power = [
        (told.format(amount), *(next(named) for _ in sizes.rows))
        for told, amounts in PLANTED.values()
        for amount in amounts
    ]
    return TEXT.format(
        minutes=30,
        reference="10,000 training and 2,500 test rows",
        weeks=sizes.weeks,
        quiet=table(("rows a week", "weeks with an alarm", "tests alone"), of_quiet),
        power=table(("drift", *(f"{rows:,} rows" for rows in sizes.rows)), of_power),
        cost=costs,
    )


if __name__ == "__main__":
    main()
