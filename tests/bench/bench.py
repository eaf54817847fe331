"""Measure speed and memory of the template and of a bake, and write docs/bench.md.

Two things are always measured in turns (A, B, A, B, ...) in the same run, so that what else the
machine does meets both; what is reported is the median of the turns' ratios. Run it by
`make bench`, on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

import helpers
from bench.measuring import (
    WORKER,
    Done,
    bake,
    deliver,
    in_turns,
    install,
    megabytes,
    program_of,
    ratio,
    run,
    say,
    seconds,
    table,
    wants_quick,
    worker,
)

REPORT = helpers.ROOT / "docs" / "bench.md"
STAGES = ("ingest", "validate", "split", "train", "convert", "evaluate", "verify")
DEFAULT_FAMILY = "boosting"
SUFFIXES = (".parquet", ".csv")
CHANGED = STAGES[3:]  # what a hyperparameter decides
EXAMPLE = "data/example/flights.parquet"
BASE = "origin/HEAD"  # in a clone: what its pull request would be merged into


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        turns, long_turns: of each pair; of those that take long.
        example: rows of the bundled data to begin with; 0 for all.
        families: what predicts; the last one is what the stages are measured with.
        stages: of the pipeline, which are measured alone.
        rows: to predict.
        memory_rows: to watch memory on.
        table_rows: of the table that a model is made of from nothing.
        params: lines of params.yaml, and what they are to say.
    """

    turns: int
    long_turns: int
    example: int
    families: tuple[str, ...]
    stages: tuple[str, ...]
    rows: int
    memory_rows: tuple[int, ...]
    table_rows: int
    params: Mapping[str, str] = field(default_factory=dict)


FULL = Sizes(
    turns=7,
    long_turns=3,
    example=0,
    families=("linear", DEFAULT_FAMILY),
    stages=STAGES,
    rows=1_000_000,
    memory_rows=(100_000, 1_000_000, 10_000_000),
    table_rows=2_000_000,
)
QUICK = Sizes(
    turns=1,
    long_turns=1,
    example=2_000,
    families=(DEFAULT_FAMILY,),
    stages=("ingest", "verify"),
    rows=20_000,
    memory_rows=(10_000, 20_000),
    table_rows=20_000,
    params={"importance_rows": "50", "edge_rows": "300", "resamples": "20"},
)


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
class Parts:
    """What something measured is made of: the seconds of each part, turn by turn."""

    what: str
    parts: Mapping[str, Sequence[float]]

    @staticmethod
    def of(what: str, turns: Sequence[Mapping[str, float]]) -> Parts:
        """From the parts of each turn."""
        return Parts(what, {name: [turn[name] for turn in turns] for name in turns[0]})

    @property
    def whole(self) -> list[float]:
        """All parts together, turn by turn."""
        return [sum(turn) for turn in zip(*self.parts.values(), strict=True)]


@dataclass(frozen=True)
class FromNothing:
    """A verified model of a table of so many rows, turn by turn: what makes it, a process each.

    `plain` is pandas and scikit-learn, without this project.
    """

    rows: int
    init: Sequence[Done]
    repro: Sequence[Done]
    plain: Sequence[Done]


@dataclass(frozen=True)
class Results:
    """Everything that the report tells."""

    facts: str
    turns: tuple[int, int]
    pairs: Sequence[Pair]
    stages: Sequence[Stage]
    parts: Sequence[Parts]
    memory: Sequence[Memory]
    table: FromNothing


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


def measure_nothing_to_do(project: Path, turns: int) -> Pair:
    """`dvc repro` where nothing has changed against `dvc status`."""
    found = in_turns(turns, {name: _dvc(project, name) for name in ("repro", "status")})
    return Pair(
        "`dvc repro` with nothing to do", "`dvc status`", found["repro"], found["status"], seconds
    )


def _dvc(project: Path, command: str) -> Callable[[], float]:
    def measure() -> float:
        done = run(program_of(project, "dvc"), command, cwd=project)
        if "up to date" not in done.output:
            raise SystemExit(f"dvc {command} was to have nothing to do, but said: {done.output}")
        return done.seconds

    return measure


def measure_no_change(author: Path, runner: Path, turns: int) -> tuple[Pair, Parts]:
    """What CI runs for a pull request that changes no input, data nowhere, against `dvc status`."""
    comment(runner)
    status = _dvc(author, "status")
    found = in_turns(turns, {"ci": lambda: _ci(runner), "status": lambda: {"status": status()}})
    parts = Parts.of("CI of a pull request that changes no input", found["ci"])
    theirs = Parts.of("`dvc status`", found["status"])
    return Pair(parts.what, theirs.what, parts.whole, theirs.whole, seconds), parts


def _ci(runner: Path) -> dict[str, float]:
    """The seconds of each command of the job `pipeline`, in a clone as fresh as on GitHub."""
    refresh(runner)
    log = Path("build", "repro.log")
    lock = run(program_of(runner, "mlops"), "lock", cwd=runner)
    repro = run(program_of(runner, "dvc"), "repro", "--pull", "--allow-missing", cwd=runner)
    require_ran(repro, ())
    (runner / log).parent.mkdir()
    (runner / log).write_text(repro.output, encoding="utf-8")
    return {
        "`mlops lock`": lock.seconds,
        "`dvc repro --pull --allow-missing`": repro.seconds,
        "`mlops report`": report_change(runner, "--log", log).seconds,
        "`mlops gate`": run(
            program_of(runner, "mlops"), "gate", "--base", BASE, cwd=runner
        ).seconds,
    }


def require_ran(repro: Done, stages: Sequence[str]) -> None:
    """End the benchmark if `dvc repro` ran others than these stages."""
    ran = re.findall(r"^Running stage '(\w+)':", repro.output, re.MULTILINE)
    if ran != list(stages):
        raise SystemExit(f"dvc repro was to run {list(stages)}, but ran {ran}")


def measure_change(author: Path, turns: int) -> Pair:
    """`dvc repro` of a changed hyperparameter against the processes of the stages that it runs."""
    python = program_of(author, "python")

    def alone() -> float:
        modules = [f"mlops.pipeline.{stage}" for stage in CHANGED]
        return sum(run(python, "-m", module, cwd=author).seconds for module in modules)

    found = in_turns(turns, {"repro": lambda: reproduce_change(author).seconds, "alone": alone})
    return Pair(
        "`dvc repro` of a changed hyperparameter",
        f"its stages alone, {CHANGED[0]} to {CHANGED[-1]}",
        found["repro"],
        found["alone"],
        seconds,
    )


def measure_report(author: Path, turns: int) -> tuple[Pair, Parts, Parts]:
    """`mlops report` of what `measure_change` left against the DVC commands that it stands for."""
    commands = [f"dvc {what} diff {BASE}" for what in ("metrics", "params", "plots")]
    commands.append("dvc data status")

    def drawn() -> float:
        done = report_change(author)
        if not any((author / "build" / "report").glob("*.png")):
            raise SystemExit(f"mlops report was to compare two models, but said: {done.output}")
        return done.seconds

    def dvc(command: str) -> float:
        return run(program_of(author, "dvc"), *command.split()[1:], cwd=author).seconds

    found = in_turns(
        turns,
        {
            "report": lambda: {"report": drawn()},
            "dvc": lambda: {f"`{command}`": dvc(command) for command in commands},
            "parts": lambda: _report_parts(author),
        },
    )
    ours = Parts.of("`mlops report` of a changed model", found["report"])
    parts = Parts.of(ours.what, found["parts"])
    theirs = Parts.of("four commands of DVC", found["dvc"])
    return Pair(ours.what, theirs.what, ours.whole, theirs.whole, seconds), parts, theirs


def _report_parts(author: Path) -> dict[str, float]:
    said = worker(author, "report", BASE).splitlines()[-1]
    return dict(json.loads(said))


def measure_stages(project: Path, stages: Sequence[str], turns: int) -> list[Stage]:
    """Each stage as a process of its own, against one that only imports the stage's module."""
    python = program_of(project, "python")

    def measure(stage: str) -> Callable[[], tuple[float, float]]:
        module = f"mlops.pipeline.{stage}"
        return lambda: (
            run(python, "-m", module, cwd=project).seconds,
            run(python, "-c", f"import {module}", cwd=project).seconds,
        )

    found = in_turns(turns, {stage: measure(stage) for stage in stages})
    return [
        Stage(stage, [whole for whole, _ in both], [start for _, start in both])
        for stage, both in found.items()
    ]


def measure_start(project: Path, folder: Path, turns: int) -> Pair:
    """`mlops predict` for one row against importing the libraries that it needs."""
    one = make_rows(project, folder / "one.parquet", 1)
    imports = "import numpy, onnxruntime, pandas, pyarrow.parquet"
    python = program_of(project, "python")
    found = in_turns(
        turns,
        {
            "predict": lambda: predict(project, folder, one, DEFAULT_FAMILY).seconds,
            "import": lambda: run(python, "-c", imports, cwd=project).seconds,
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
    text = (project / "mlops/src/mlops/scoring/predict.py").read_text(encoding="utf-8")
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


def measure_table(project: Path, folder: Path, rows: int, turns: int) -> FromNothing:
    """From a table that the project never saw to a verified model, in a fresh clone each time."""
    file = folder / "table.csv"
    target = worker(project, "table", file, str(rows))
    mlops, dvc, python = (program_of(project, name) for name in ("mlops", "dvc", "python"))

    def ours() -> tuple[Done, Done]:
        refresh(project)
        init = run(mlops, "data", "init", file, "--target", target, cwd=project)
        repro = run(dvc, "repro", cwd=project)
        require_ran(repro, STAGES)
        return init, repro

    def plain() -> Done:
        return run(python, WORKER, "plain", file, target, folder / "plain", cwd=project)

    found = in_turns(turns, {"ours": ours, "plain": lambda: (plain(),)}, warm=False)
    init, repro = zip(*found["ours"], strict=True)
    return FromNothing(rows, init, repro, [done for (done,) in found["plain"]])


# The project that is measured


def prepare(template: Path, folder: Path, sizes: Sizes) -> Path:
    """Bake, install, and run the pipeline for each family of models; keep each model."""
    bake(template, folder / "baked")
    project = next((folder / "baked").iterdir())
    say("installing the bake's dependencies")
    run("git", "init", "--quiet", cwd=project)
    install(project)
    if sizes.example:
        few = make_rows(project, folder / "few.parquet", sizes.example)
        few.replace(project / EXAMPLE)
    for name, value in sizes.params.items():
        _set_param(project, name, value)
    for family in sizes.families:
        say(f"running the pipeline, {family}")
        choose(project, family)
        run(program_of(project, "dvc"), "repro", cwd=project)
        shutil.copy2(project / "models" / "model.onnx", _model(folder, family))
    return project


def publish(project: Path, store: Path) -> None:
    """Commit the project, and push its data and models to a folder."""
    dvc = program_of(project, "dvc")
    run(dvc, "remote", "modify", "storage", "url", store, cwd=project)
    commit(project)
    run(dvc, "push", cwd=project)


def commit(project: Path) -> None:
    """Commit all that Git does not ignore."""
    author = ("-c", "user.name=Bench", "-c", "user.email=bench@example.com")
    run("git", "add", "--all", cwd=project)
    run("git", *author, "commit", "--quiet", "--message", "Bench", cwd=project)


def comment(project: Path) -> None:
    """Commit a comment in a file that no stage depends on, and that is no documentation."""
    with (project / "pyproject.toml").open("a", encoding="utf-8") as out:
        out.write("# A comment.\n")
    commit(project)


def refresh(project: Path) -> None:
    """Make it what a fresh clone is: no data, no model, no cache, no edits."""
    run("git", "reset", "--quiet", "--hard", cwd=project)
    run("git", "clean", "--quiet", "-ffdx", "--exclude", ".venv", cwd=project)


def clone(project: Path, target: Path) -> Path:
    """Clone the project and install it, without data and models."""
    run("git", "clone", "--quiet", project, target)
    install(target)
    return target


def choose(project: Path, family: str) -> None:
    """Set the estimator in params.yaml."""
    _edit_params(project, r"  estimator: (\w+)", lambda _: family)


def _set_param(project: Path, name: str, value: str) -> None:
    _edit_params(project, rf"  +{name}: (\d+)", lambda _: value)


def tune(project: Path) -> None:
    """Set a learning rate in params.yaml that was never there, so that DVC knows no run of it."""
    _edit_params(project, r"    learning_rate: ([\d.]+)", lambda old: f"{float(old) + 0.0001:.4f}")


def _edit_params(project: Path, line: str, change: Callable[[str], str]) -> None:
    params = project / "params.yaml"
    found = list(re.finditer(f"(?m)^{line}", text := params.read_text(encoding="utf-8")))
    if len(found) != 1:
        raise SystemExit(f"params.yaml no longer has one line like {line}")
    start, end = found[0].span(1)
    params.write_text(text[:start] + change(found[0][1]) + text[end:], encoding="utf-8")


def reproduce_change(author: Path) -> Done:
    """Change a hyperparameter and run what depends on it."""
    tune(author)
    done = run(program_of(author, "dvc"), "repro", cwd=author)
    require_ran(done, CHANGED)
    return done


def report_change(project: Path, *options: str | Path) -> Done:
    """Run `mlops report` as a pull request does."""
    return run(program_of(project, "mlops"), "report", "--base", BASE, *options, cwd=project)


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
    program = program_of(project, "mlops")
    return run(program, "predict", source, "--output", target, "--model", model, cwd=project)


def _model(folder: Path, family: str) -> Path:
    return folder / f"{family}.onnx"


def facts(project: Path) -> str:
    """What the numbers depend on, in one line."""
    baked = run(program_of(project, "python"), "-V", cwd=project).output.strip()
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
    project = prepare(template, folder, sizes)
    say("dvc repro and dvc status")
    pairs.append(measure_nothing_to_do(project, sizes.turns))
    found, parts = measure_pull_requests(project, folder, sizes.long_turns)
    pairs += found
    say("the seven stages")
    stages = measure_stages(project, sizes.stages, sizes.long_turns)
    say("mlops predict, 1 row")
    pairs.append(measure_start(project, folder, sizes.turns))
    for family in sizes.families:
        for suffix in SUFFIXES:
            say(f"mlops predict, {sizes.rows:,} rows, {family}, {suffix}")
            pairs.append(measure_rows(project, folder, family, suffix, sizes))
    say(f"peak memory, up to {max(sizes.memory_rows):,} rows")
    memory = measure_memory(project, folder, sizes.long_turns, sizes.memory_rows)
    say(f"from nothing to verified, {sizes.table_rows:,} rows")
    made = measure_table(folder / "author", folder, sizes.table_rows, sizes.long_turns)
    turns = (sizes.turns, sizes.long_turns)
    return Results(facts(project), turns, pairs, stages, parts, memory, made)


def measure_pull_requests(
    project: Path, folder: Path, turns: int
) -> tuple[list[Pair], list[Parts]]:
    """Take the measures of pull requests, each in a clone of the project as it was reproduced."""
    say("cloning the project for an author, and for CI")
    publish(project, folder / "store")
    author, runner = (clone(project, folder / name) for name in ("author", "runner"))
    run(program_of(author, "dvc"), "pull", cwd=author)
    say("CI of a pull request that changes no input")
    no_change, ci = measure_no_change(author, runner, turns)
    say("dvc repro of a changed hyperparameter")
    change = measure_change(author, turns)
    say("mlops report of a changed model")
    report, *parts = measure_report(author, turns)
    return [no_change, change, report], [ci, *parts]


# The report


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


def parts_table(each: Parts) -> str:
    """Something's parts by name, and all of it."""
    lines = [[name, seconds(median(values))] for name, values in each.parts.items()]
    return table([each.what, "time"], [*lines, ["**all**", seconds(median(each.whole))]])


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


@dataclass(frozen=True)
class Bar:
    """A bound that the median of the turns is not to pass."""

    what: str
    most: float
    shown: Callable[[float], str]
    values: Sequence[float]

    @property
    def line(self) -> list[str]:
        """As a line of a table."""
        held = "holds" if median(self.values) <= self.most else "**does not hold**"
        between = f" ({self.shown(min(self.values))} to {self.shown(max(self.values))})"
        found = f"{self.shown(median(self.values))}{between if len(self.values) > 1 else ''}"
        return [self.what, f"at most {self.shown(self.most)}", found, held]


def bars(made: FromNothing) -> list[Bar]:
    """What making a model from nothing must keep."""
    both = list(zip(made.init, made.repro, strict=True))
    ours = [init.cpu + repro.cpu for init, repro in both]
    shares = [our / plain.cpu for our, plain in zip(ours, made.plain, strict=True)]
    return [
        Bar("processor time, to plain's", 1.3, lambda value: f"{value:.2f}", shares),
        Bar("peak memory", 3e9, megabytes, [max(a.peak, b.peak) for a, b in both]),
        Bar("`mlops data init`", 5, seconds, [init.seconds for init in made.init]),
    ]


def made_table(made: FromNothing) -> str:
    """Time and memory of each step, and of plain pandas and scikit-learn."""
    steps = {"`mlops data init`": made.init, "`dvc repro`": made.repro, "plain": made.plain}
    lines = [
        [
            what,
            seconds(median(each.seconds for each in done)),
            seconds(median(each.cpu for each in done)),
            megabytes(median(each.peak for each in done)),
        ]
        for what, done in steps.items()
    ]
    return table(["", "time", "processor time", "peak memory"], lines)


def report(results: Results) -> str:
    """The whole of docs/bench.md."""
    short, long = results.turns
    tables = "\n\n".join(map(parts_table, results.parts))
    return f"""\
# How fast it is

Written by `make bench` (tests/bench/bench.py), not by hand: the next run replaces it.

{results.facts}

{summary_table(results)}

A ratio is of times (in the last line of memory), the left to the right; for `mlops predict`, 1.00
would mean that all beside onnxruntime costs nothing. Both sides are measured in turns within one
run; the ratio is the median of the turns' ratios, in brackets the lowest and the highest. Turns:
{short}, but {long} for pull requests, for stages, for many rows and for memory, after a round that
only warms the caches. The numbers beside the ratios are medians, too, and are those of one machine.
Every time is that of whole processes, start-up included, except onnxruntime's, which has its arrays
ready and takes them in batches of the same size.

## Pull requests

Without a changed input: the commands of CI's job `pipeline`, one after the other, in a fresh clone
that has no data, with a remote folder that has everything; `dvc status` is in a clone that has all.
With a changed hyperparameter: what the author waits for; beyond 1.00 is what DVC takes to find out
what to run, and to keep what came out. The report, with both models compared and the pictures
drawn, is one process; DVC tells less of it in four. The parts of the report are those of another
process of it.

{tables}

## The stages

Start-up is a process that imports the stage's module and ends; work is what the whole takes beyond
it. On the bundled data, estimator `{DEFAULT_FAMILY}`, each run without DVC.

{stage_table(results.stages)}

## From nothing to verified

A table of {results.table.rows:,} rows × 15 columns as CSV (eight numbers, four categories, two
booleans, a target of two classes; some values missing), of which the project has never heard:
`mlops data init`, then `dvc repro`, in a fresh clone each turn, without a round that warms. The
bars are for 2,000,000 rows.

{table(["", "bar", "measured", ""], [bar.line for bar in bars(results.table)])}

{made_table(results.table)}

Plain is one process of pandas and scikit-learn ([worker.py](../tests/bench/worker.py)): reads the
same file, splits it in the same shares, trains the same estimator with the same hyperparameters,
scores validation and test rows, shuffles as many columns on as many rows, converts with skl2onnx
and compares the answers for the test rows. It checks nothing, and keeps no copy of the rows. Peak
memory is that of the process that held most.

## Memory

Peak resident memory of `mlops predict`, {DEFAULT_FAMILY}, Parquet to Parquet, row groups of up to
a million rows.

{memory_table(results.memory)}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    quick = wants_quick(__doc__, arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        text = report(measure_all(Path(folder).resolve(), QUICK if quick else FULL))
    deliver(REPORT, text, quick)


if __name__ == "__main__":
    main()
