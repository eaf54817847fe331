"""Measure speed and memory of the template and of a bake, and write docs/bench.md.

Two things are always measured in turns (A, B, A, B, ...) in the same run, so that what else the
machine does meets both; what is reported is the median of the turns' ratios. Run it by
`make bench`, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import NoReturn, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import helpers  # noqa: E402

REPORT = helpers.ROOT / "docs" / "bench.md"
WORKER = Path(__file__).with_name("worker.py")
STAGES = ("ingest", "validate", "split", "train", "evaluate", "convert", "verify")
DEFAULT_FAMILY = "boosting"
FAMILIES = ("linear", DEFAULT_FAMILY)  # the last one is what the stages are measured with
EXAMPLE = "data/example/flights.parquet"
Name = TypeVar("Name")
Result = TypeVar("Result")
STARTED = time.monotonic()


@dataclass(frozen=True)
class Sizes:
    """How much is measured: turns of each pair, rows to predict, rows to watch memory on."""

    turns: int
    long_turns: int
    rows: int
    memory_rows: tuple[int, ...]


FULL = Sizes(turns=7, long_turns=3, rows=1_000_000, memory_rows=(100_000, 1_000_000, 10_000_000))
QUICK = Sizes(turns=1, long_turns=1, rows=20_000, memory_rows=(10_000, 20_000, 40_000))


@dataclass(frozen=True)
class Done:
    """A process that ended well: how long it took, its peak memory in bytes, what it printed."""

    seconds: float
    peak: int
    output: str


@dataclass(frozen=True)
class Pair:
    """A measure, and what it is held against: the seconds of each turn of both.

    `shown` writes seconds in the unit that readers want.
    """

    what: str
    against: str
    ours: Sequence[float]
    theirs: Sequence[float]
    shown: Callable[[float], str]

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs, turn by turn."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]


@dataclass(frozen=True)
class Stage:
    """The seconds of one stage, turn by turn: the whole process, and importing its module only."""

    name: str
    whole: Sequence[float]
    start: Sequence[float]


@dataclass(frozen=True)
class Memory:
    """`mlops predict` on so many rows, turn by turn: peak memory in bytes, and seconds."""

    rows: int
    peak: Sequence[float]
    seconds: Sequence[float]


@dataclass(frozen=True)
class Results:
    """Everything that the report tells."""

    facts: str
    turns: tuple[int, int]
    pairs: Sequence[Pair]
    stages: Sequence[Stage]
    memory: Sequence[Memory]


# Running things


def say(what: str) -> None:
    """Tell on standard error what is running, and since when."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {what}", file=sys.stderr, flush=True)


def run(*command: str | Path, cwd: Path | None = None) -> Done:
    """Run a command to its end and measure that process. A failure ends the benchmark."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=_environment(cwd), stdout=out, stderr=err)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            _fail(command, process.returncode, out.read() + err.read())
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return Done(seconds, usage.ru_maxrss * unit, out.read())


def _environment(cwd: Path | None) -> dict[str, str]:
    """Ours, with the programs of the project in `cwd` first, and without DVC's usage reports."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = [str(cwd / ".venv" / "bin")] if cwd else []
    return kept | {"PATH": os.pathsep.join([*path, kept["PATH"]]), "DVC_NO_ANALYTICS": "1"}


def _fail(command: Sequence[str | Path], code: int, output: str) -> NoReturn:
    last = "\n".join(output.splitlines()[-20:])
    raise SystemExit(f"{' '.join(map(str, command))} ended with exit code {code}\n{last}")


def in_turns(
    turns: int, measures: Mapping[Name, Callable[[], Result]], warm: bool = True
) -> dict[Name, list[Result]]:
    """Measure one after the other, again and again; a first round only warms the caches."""
    found: dict[Name, list[Result]] = {name: [] for name in measures}
    for turn in range(-1 if warm else 0, turns):
        for name, measure in measures.items():
            result = measure()
            if turn >= 0:
                found[name].append(result)
    return found


# What is measured


def measure_bake(template: Path, folder: Path, turns: int) -> Pair:
    """A bake against importing cookiecutter."""
    outputs = (folder / f"bake{i}" for i in count())
    found = in_turns(
        turns,
        {
            "bake": lambda: bake(template, next(outputs)).seconds,
            "import": lambda: run(sys.executable, "-c", "import cookiecutter.main").seconds,
        },
    )
    return Pair(
        "`cookiecutter` with the default answers",
        "`python -c 'import cookiecutter.main'`",
        found["bake"],
        found["import"],
        seconds,
    )


def bake(template: Path, output: Path) -> Done:
    """Bake the template with its default answers into a folder, as a user would."""
    program = Path(sys.executable).with_name("cookiecutter")
    output.mkdir(parents=True)
    config = helpers.user_config(output.parent)
    return run(program, "--no-input", "--config-file", config, "--output-dir", output, template)


def measure_nothing_to_do(project: Path, turns: int) -> Pair:
    """`dvc repro` where nothing has changed against `dvc status`."""
    found = in_turns(turns, {name: _dvc(project, name) for name in ("repro", "status")})
    return Pair(
        "`dvc repro` with nothing to do", "`dvc status`", found["repro"], found["status"], seconds
    )


def _dvc(project: Path, command: str) -> Callable[[], float]:
    def measure() -> float:
        done = run(_program(project, "dvc"), command, cwd=project)
        if "up to date" not in done.output:
            raise SystemExit(f"dvc {command} was to have nothing to do, but said: {done.output}")
        return done.seconds

    return measure


def measure_stages(project: Path, turns: int) -> list[Stage]:
    """Each stage as a process of its own, against one that only imports the stage's module."""
    package = _package(project)
    python = _program(project, "python")

    def measure(stage: str) -> Callable[[], tuple[float, float]]:
        module = f"{package}.pipeline.{stage}"
        return lambda: (
            run(python, "-m", module, cwd=project).seconds,
            run(python, "-c", f"import {module}", cwd=project).seconds,
        )

    found = in_turns(turns, {stage: measure(stage) for stage in STAGES})
    return [
        Stage(stage, [whole for whole, _ in both], [start for _, start in both])
        for stage, both in found.items()
    ]


def measure_start(project: Path, folder: Path, turns: int) -> Pair:
    """`mlops predict` for one row against importing the libraries that it needs."""
    one = make_rows(project, folder / "one.parquet", 1)
    imports = "import numpy, onnxruntime, pandas, pyarrow.parquet"
    found = in_turns(
        turns,
        {
            "predict": lambda: predict(project, folder, one, DEFAULT_FAMILY).seconds,
            "import": lambda: run(_program(project, "python"), "-c", imports, cwd=project).seconds,
        },
    )
    return Pair(
        "`mlops predict` for 1 row",
        f"`python -c '{imports}'`",
        found["predict"],
        found["import"],
        seconds,
    )


def measure_rows(project: Path, folder: Path, family: str, suffix: str, sizes: Sizes) -> Pair:
    """`mlops predict` against onnxruntime alone, on the same rows already in memory."""
    memory = make_rows(project, folder / f"{sizes.rows}.parquet", sizes.rows)
    source = make_rows(project, folder / f"{sizes.rows}{suffix}", sizes.rows)
    found = in_turns(
        sizes.long_turns,
        {
            "predict": lambda: predict(project, folder, source, family).seconds,
            "onnxruntime": lambda: _onnxruntime(project, folder, memory, family),
        },
    )
    kind = {".parquet": "Parquet", ".csv": "CSV"}[suffix]
    return Pair(
        f"`mlops predict`, {family}, {kind} to {kind}",
        "onnxruntime alone, on arrays in memory",
        found["predict"],
        found["onnxruntime"],
        lambda taken: f"{sizes.rows / taken:,.0f} rows/s",
    )


def _onnxruntime(project: Path, folder: Path, file: Path, family: str) -> float:
    text = (project / "src" / _package(project) / "predict.py").read_text(encoding="utf-8")
    batch = re.search(r"^BATCH_ROWS = ([\d_]+)", text, re.MULTILINE)
    if batch is None:
        raise SystemExit("predict.py no longer says BATCH_ROWS")
    return float(worker(project, "floor", _model(folder, family), file, batch[1]))


def measure_memory(project: Path, folder: Path, turns: int, counts: Sequence[int]) -> list[Memory]:
    """The peak memory of `mlops predict`, a fresh process each, on files of so many rows."""

    def measure(rows: int) -> Callable[[], Done]:
        file = make_rows(project, folder / f"{rows}.parquet", rows)
        return lambda: predict(project, folder, file, DEFAULT_FAMILY)

    found = in_turns(turns, {rows: measure(rows) for rows in counts}, warm=False)
    return [
        Memory(rows, [each.peak for each in done], [each.seconds for each in done])
        for rows, done in found.items()
    ]


# The project that is measured


def prepare(template: Path, folder: Path) -> Path:
    """Bake, install, and run the pipeline for each family of models; keep each model."""
    bake(template, folder / "baked")
    project = next((folder / "baked").iterdir())
    say("installing the bake's dependencies")
    run("git", "init", "--quiet", cwd=project)
    run("uv", "sync", "--quiet", "--locked", "--no-dev", cwd=project)
    for family in FAMILIES:
        say(f"running the pipeline, {family}")
        choose(project, family)
        run(_program(project, "dvc"), "repro", cwd=project)
        shutil.copy2(project / "models" / "model.onnx", _model(folder, family))
    return project


def choose(project: Path, family: str) -> None:
    """Set the estimator in params.yaml."""
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    text, times = re.subn(r"(?m)^(  estimator: )\w+", rf"\g<1>{family}", text)
    if times != 1:
        raise SystemExit("params.yaml no longer has its estimator where it was")
    params.write_text(text, encoding="utf-8")


def make_rows(project: Path, target: Path, rows: int) -> Path:
    """A file of so many rows of the bundled data, made at most once."""
    if not target.exists():
        say(f"writing {rows:,} rows, {target.suffix}")
        worker(project, "rows", project / EXAMPLE, target, str(rows))
    return target


def predict(project: Path, folder: Path, source: Path, family: str) -> Done:
    """Run `mlops predict`, output in the format of its input."""
    target = folder / f"predictions{source.suffix}"
    model = _model(folder, family)
    program = _program(project, "mlops")
    return run(program, "predict", source, "--output", target, "--model", model, cwd=project)


def worker(project: Path, *arguments: str | Path) -> str:
    """Run `worker.py` with the bake's Python and return what it prints."""
    return run(_program(project, "python"), WORKER, *arguments, cwd=project).output.strip()


def _model(folder: Path, family: str) -> Path:
    return folder / f"{family}.onnx"


def _program(project: Path, name: str) -> Path:
    return project / ".venv" / "bin" / name


def _package(project: Path) -> str:
    return next((project / "src").glob("*/predict.py")).parent.name


def facts(project: Path) -> str:
    """What the numbers depend on, in one line."""
    baked = run(_program(project, "python"), "-V", cwd=project).output.strip()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}; "
        f"template: Python {platform.python_version()}, cookiecutter {version('cookiecutter')}; "
        f"bake: {baked}, {worker(project, 'facts')}"
    )


def measure_all(folder: Path, sizes: Sizes) -> Results:
    """Take every measure in `folder`, which is left full of files."""
    say("baking")
    template = helpers.export(folder / "template")
    pairs = [measure_bake(template, folder / "bakes", sizes.turns)]
    project = prepare(template, folder)
    say("dvc repro and dvc status")
    pairs.append(measure_nothing_to_do(project, sizes.turns))
    say("the seven stages")
    stages = measure_stages(project, sizes.long_turns)
    say("mlops predict, 1 row")
    pairs.append(measure_start(project, folder, sizes.turns))
    for family in FAMILIES:
        for suffix in (".parquet", ".csv"):
            say(f"mlops predict, {sizes.rows:,} rows, {family}, {suffix}")
            pairs.append(measure_rows(project, folder, family, suffix, sizes))
    say(f"peak memory, up to {max(sizes.memory_rows):,} rows")
    memory = measure_memory(project, folder, sizes.long_turns, sizes.memory_rows)
    turns = (sizes.turns, sizes.long_turns)
    return Results(facts(project), turns, pairs, stages, memory)


# The report


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


def start_to_work(stages: Sequence[Stage]) -> Pair:
    """The start-up of all stages together against their work, which is what remains."""
    whole = [sum(turn) for turn in zip(*(each.whole for each in stages), strict=True)]
    start = [sum(turn) for turn in zip(*(each.start for each in stages), strict=True)]
    work = [a - b for a, b in zip(whole, start, strict=True)]
    return Pair("start-up of the seven stages", "their work", start, work, seconds)


def growth(memory: Sequence[Memory]) -> list[float]:
    """The peak memory on the most rows against that on the second most, turn by turn."""
    fewer, most = sorted(memory, key=lambda each: each.rows)[-2:]
    return [a / b for a, b in zip(most.peak, fewer.peak, strict=True)]


def summary_table(results: Results) -> str:
    """Every ratio."""
    lines = [
        [pair.what, each_median(pair, pair.ours), pair.against, each_median(pair, pair.theirs)]
        + [ratio(pair.ratios)]
        for pair in [*results.pairs[:2], start_to_work(results.stages), *results.pairs[2:]]
    ]
    fewer, most = sorted(results.memory, key=lambda each: each.rows)[-2:]
    lines.append(
        [
            f"peak memory of `mlops predict`, {most.rows:,} rows",
            megabytes(median(most.peak)),
            f"the same, {fewer.rows:,} rows",
            megabytes(median(fewer.peak)),
            ratio(growth(results.memory)),
        ]
    )
    return table(["what", "", "against", "", "ratio"], lines)


def each_median(pair: Pair, values: Sequence[float]) -> str:
    """The median of one side of a pair in its unit."""
    return pair.shown(median(values))


def stage_table(stages: Sequence[Stage]) -> str:
    """Start-up and work by stage."""
    lines = []
    for each in stages:
        whole, start = median(each.whole), median(each.start)
        lines.append([each.name, *map(seconds, (whole, start, whole - start))])
    both = start_to_work(stages)
    total = [median(a + b for a, b in zip(both.ours, both.theirs, strict=True))]
    total += [median(both.ours), median(both.theirs)]
    lines.append(["**all**", *map(seconds, total)])
    return table(["stage", "whole process", "start-up", "work"], lines)


def memory_table(memory: Sequence[Memory]) -> str:
    """Peak memory and speed by number of rows."""
    lines = [
        [
            f"{each.rows:,}",
            megabytes(median(each.peak)),
            seconds(median(each.seconds)),
            f"{each.rows / median(each.seconds):,.0f}",
        ]
        for each in memory
    ]
    return table(["rows", "peak memory", "time", "rows/s"], lines)


def report(results: Results) -> str:
    """The whole of docs/bench.md."""
    short, long = results.turns
    return f"""\
# How fast it is

Written by `make bench` (tests/bench/bench.py), not by hand: the next run replaces it.

{results.facts}

{summary_table(results)}

A ratio is of times (in the last line of memory), the left to the right; for `mlops predict`, 1.00
would mean that all beside onnxruntime costs nothing. Both sides are measured in turns within one
run; the ratio is the median of the turns' ratios, in brackets the lowest and the highest. Turns:
{short}, but {long} for stages, for many rows and for memory, after a round that only warms the
caches. The numbers beside the ratios are medians, too, and are those of one machine. Every time is
that of a whole process, start-up included, except onnxruntime's, which has its arrays ready and
takes them in batches of the same size.

## The stages

Start-up is a process that imports the stage's module and ends; work is what the whole takes beyond
it. On the bundled data, estimator `{DEFAULT_FAMILY}`, each run without DVC.

{stage_table(results.stages)}

## Memory

Peak resident memory of `mlops predict`, {DEFAULT_FAMILY}, Parquet to Parquet, row groups of up to
a million rows.

{memory_table(results.memory)}
"""


def replace(path: Path, text: str) -> None:
    """Write a file in one move."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="Measure speed and memory, write docs/bench.md.")
    parser.add_argument(
        "--quick", action="store_true", help="few rows and turns; print the report, write nothing"
    )
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        text = report(measure_all(Path(folder).resolve(), QUICK if quick else FULL))
    if quick:
        print(text)
    else:
        replace(REPORT, text)
        say(f"written: {REPORT.relative_to(helpers.ROOT)}")


if __name__ == "__main__":
    main()
