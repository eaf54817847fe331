"""Measure what monitoring a large log costs, against reading it alone.

Run it by `make bench`, on a machine that does nothing else: see bench.bench for how it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.measuring import Done, in_turns, megabytes, program_of, ratio, run, seconds, table
from helpers import ROOT

SIMULATED = ROOT / "tests" / "monitoring" / "simulated.py"
# Nothing but pyarrow, in batches of what monitoring takes.
READ = """
import sys
from pathlib import Path
from pyarrow import parquet
paths = Path(sys.argv[1]).rglob("*.parquet")
files = (parquet.ParquetFile(path, pre_buffer=False) for path in paths)
print(sum(batch.num_rows for file in files for batch in file.iter_batches(131_072)))
"""


@dataclass(frozen=True)
class Cost:
    """Monitoring a log of so many rows and reading it, a process each, turn by turn."""

    rows: int
    monitor: Sequence[Done]
    read: Sequence[Done]


def measure(project: Path, folder: Path, turns: int, counts: Sequence[int]) -> list[Cost]:
    """Write logs of 20 columns, and monitor and read them in turns."""

    python = program_of(project, "python")

    def turn(rows: int, *command: str | Path) -> Callable[[], Done]:
        def measured() -> Done:
            done = run(python, *command, cwd=project)
            assert int(done.output) == rows
            return done

        return measured

    found = []
    for rows in counts:
        log = folder / f"log-{rows}"
        run(python, SIMULATED, "write", log, str(rows), cwd=project)
        done = in_turns(
            turns,
            {
                "monitor": turn(rows, SIMULATED, "monitor", log),
                "read": turn(rows, "-c", READ, log),
            },
        )
        found.append(Cost(rows, done["monitor"], done["read"]))
    return found


def report(costs: Sequence[Cost]) -> str:
    """What was found, as a table."""
    head = ("rows × 20 columns", "monitoring", "peak memory", "reading alone", "ratio")
    lines = []
    for cost in costs:
        ours, theirs = ([each.seconds for each in side] for side in (cost.monitor, cost.read))
        lines.append(
            (
                f"{cost.rows:,}",
                seconds(median(ours)),
                megabytes(median(each.peak for each in cost.monitor)),
                seconds(median(theirs)),
                ratio([a / b for a, b in zip(ours, theirs, strict=True)]),
            )
        )
    return table(head, lines)
