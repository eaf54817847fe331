"""What benchmarks share: running commands in turns, a baked project, and tables of a report."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NoReturn, TypeVar

import helpers

WORKER = Path(__file__).with_name("worker.py")
# Linux counts what a process held before it called exec as its own, and a fork holds what its
# parent does: a small process between this one and the command keeps our memory out of its peak.
BETWEEN = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as report:
    cpu = usage.ru_utime + usage.ru_stime
    print(time.perf_counter() - start, cpu, usage.ru_maxrss, file=report)
sys.exit(os.waitstatus_to_exitcode(status))
"""
Name = TypeVar("Name")
Result = TypeVar("Result")
STARTED = time.monotonic()


@dataclass(frozen=True)
class Done:
    """A process that ended well, with those that it waited for.

    Attributes:
        seconds: how long it took.
        cpu: the seconds of processor time of all of them.
        peak: resident bytes of the one that held most.
        output: what was printed.
    """

    seconds: float
    cpu: float
    peak: int
    output: str


# Running things


def say(what: str) -> None:
    """Tell on standard error what is running, and since when."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {what}", file=sys.stderr, flush=True)


def run(*command: str | Path, cwd: Path | None = None) -> Done:
    """Run a command to its end and measure that process. A failure ends the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        between = [sys.executable, "-I", "-S", "-c", BETWEEN, str(report)]
        done = subprocess.run(
            [*between, *command], cwd=cwd, env=_environment(cwd), capture_output=True, text=True
        )
        if done.returncode:
            _fail(command, done.returncode, done.stdout + done.stderr)
        seconds, cpu, peak = report.read_text().split()
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Done(float(seconds), float(cpu), int(peak) * unit, done.stdout)


def _environment(cwd: Path | None) -> dict[str, str]:
    """Ours, with the programs of the project in `cwd` first, and without DVC's usage reports.

    DVC's site cache is in the project, as in its CI: a fresh clone has none, and none outlives us.
    Python keeps its bytecode, as it does unless told otherwise.
    """
    ours = {"VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    kept["DVC_NO_ANALYTICS"] = "1"
    if cwd:
        kept["PATH"] = os.pathsep.join([str(cwd / ".venv" / "bin"), kept["PATH"]])
        kept["DVC_SITE_CACHE_DIR"] = str(cwd / ".dvc" / "tmp" / "site")
    return kept


def _fail(command: Sequence[str | Path], code: int, output: str) -> NoReturn:
    last = "\n".join(output.splitlines()[-20:])
    raise SystemExit(f"{' '.join(map(str, command))} ended with exit code {code}\n{last}")


def in_turns(
    turns: int, measures: Mapping[Name, Callable[[], Result]], warm: bool = True
) -> dict[Name, list[Result]]:
    """Measure one after the other, again and again; a first round only warms the caches.

    Where there is one turn, it tries whether all runs: there is no such round.
    """
    found: dict[Name, list[Result]] = {name: [] for name in measures}
    for turn in range(-1 if warm and turns > 1 else 0, turns):
        for name, measure in measures.items():
            result = measure()
            if turn >= 0:
                found[name].append(result)
    return found


# A baked project


def bake(template: Path, output: Path) -> Done:
    """Bake the template with its default answers into a folder, as a user would."""
    program = Path(sys.executable).with_name("cookiecutter")
    output.mkdir(parents=True)
    config = helpers.user_config(output.parent)
    return run(program, "--no-input", "--config-file", config, "--output-dir", output, template)


def install(project: Path) -> None:
    """Give the project what it needs to run."""
    run("uv", "sync", "--quiet", "--locked", "--no-dev", cwd=project)


def worker(project: Path, *arguments: str | Path) -> str:
    """Run `worker.py` with the bake's Python and return what it prints."""
    return run(program_of(project, "python"), WORKER, *arguments, cwd=project).output.strip()


def program_of(project: Path, name: str) -> Path:
    """A program that the project has installed."""
    return project / ".venv" / "bin" / name


# The report


def wants_quick(description: str | None, arguments: Sequence[str] | None) -> bool:
    """Read the command line of a benchmark: whether it is only to be tried."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="try it on little, within two minutes: print the report, write nothing",
    )
    return bool(parser.parse_args(arguments).quick)


def deliver(report: Path, text: str, quick: bool) -> None:
    """Print what was only tried; else write it."""
    if quick:
        print(text)
    else:
        replace(report, text)
        say(f"written: {report.relative_to(helpers.ROOT)}")


def seconds(value: float) -> str:
    """Seconds to the hundredth."""
    return f"{value:.2f} s"


def megabytes(value: float) -> str:
    """Bytes in MB of a million."""
    return f"{value / 1e6:,.0f} MB"


def ratio(values: Sequence[float]) -> str:
    """The median of the turns and, where there are several, the lowest and the highest."""
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"**{median(values):.2f}**{spread}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


LIGHT = {
    "text": "#1f2328",
    "faint": "#59636e",
    "grid": "#d1d9e0",
    "bar": "#afb8c1",
    "us": "#0969da",
}
DARK = {"text": "#f0f6fc", "faint": "#9198a1", "grid": "#3d444d", "bar": "#656c76", "us": "#4493f8"}


def draw(
    project: Path, picture: Callable[[Mapping[str, str]], Mapping[str, object]], report: Path
) -> None:
    """Draw a Vega-Lite specification beside the report, in colours for light and dark pages."""
    for name, colours in {"light": LIGHT, "dark": DARK}.items():
        target = report.with_name(f"{report.stem}-{name}.svg")
        with tempfile.TemporaryDirectory() as folder:
            spec = Path(folder) / "spec.json"
            spec.write_text(json.dumps(picture(colours)), encoding="utf-8")
            worker(project, "draw", spec, target)


def replace(path: Path, text: str) -> None:
    """Write a file in one move."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
