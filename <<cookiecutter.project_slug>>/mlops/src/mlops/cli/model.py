"""A model: what it says, how good it is, and whether it may be merged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CheckError, InputError, RowsError
from ..paths import REPORT
from .options import Base, Json, Trunk, print_json, trunk

if TYPE_CHECKING:
    from ..inference import Runnable
    from ..judging.comparison import Comparison
    from ..scoring.predict import Tally

app = typer.Typer()

Lenient = Annotated[
    bool,
    typer.Option("--lenient", help="Count rows that break the contract, instead of refusing them."),
]
Explain = Annotated[
    int, typer.Option(min=0, help="How many reasons to give for each prediction; takes longer.")
]
DecimalMark = Annotated[
    str | None, typer.Option("--decimal", help="Of this file, when not the contract's: , or .")
]
ThousandsMark = Annotated[
    str | None, typer.Option("--thousands", help="Of this file, when not the contract's.")
]


@app.command()
def features(
    base: Annotated[
        str | None, typer.Option(help="Where environments are read. [default: the workspace]")
    ] = None,
    json: Json = False,
) -> None:
    """List features and the releases that use them.

    Exit code 2 where one of them makes no sense.

    \b
    mlops features
    mlops features --json
    """
    from ..git.revision import WORKSPACE
    from ..report import inventory, terminal

    found = inventory.inventory(trunk(base) if base else WORKSPACE)
    if json:
        print_json(found)
    elif found:
        terminal.show_features(found)
    else:
        typer.echo("features.yaml declares none: the model learns from contract.yaml's columns")


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file with the model's columns.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .csv or .parquet file. [default: FILE.predictions.csv]"
        ),
    ] = None,
    model: Annotated[
        Path, typer.Option(help="The model: .onnx, or what `export` made (.c, .tflite, .mlmodel).")
    ] = Path("models/model.onnx"),
    with_inputs: Annotated[
        bool, typer.Option("--with-inputs", help="Copy the file's columns, too.")
    ] = False,
    lenient: Lenient = False,
    decimal: DecimalMark = None,
    thousands: ThousandsMark = None,
    explain: Explain = 0,
) -> None:
    """Score a file with the model.

    Memory does not grow with the file. Exit code 2 when a row breaks the contract; with --lenient
    the row is scored and counted, and the exit code is 4.

    \b
    mlops predict new.csv
    mlops predict new.parquet -o scored.parquet --with-inputs
    mlops predict from-excel.csv --decimal , --lenient
    mlops predict new.csv --explain 3
    mlops predict new.csv --model models/export/c/model.c
    """
    from ..scoring import predict

    target = output or file.with_name(f"{file.name.split('.')[0]}.predictions.csv")
    written = _written(decimal, thousands)
    tally = predict.predict(file, target, _opened(model), with_inputs, lenient, written, explain)
    typer.echo(f"{target}: {tally.rows:,} predictions")
    _tell(tally, lenient)


@app.command()
def batch(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="A .csv or .parquet file, or a folder of them."),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The folder to write, for this alone.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="The ONNX model. [default: models/model.onnx]")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Take the model that an environment runs: prod.")
    ] = None,
    partition_rows: Annotated[
        int, typer.Option(min=1, help="Rows of a file that are written together.")
    ] = 1_000_000,
    lenient: Lenient = False,
    decimal: DecimalMark = None,
    thousands: ThousandsMark = None,
    explain: Explain = 0,
    base: Trunk = None,
) -> None:
    """Score many rows in partitions; resumes when rerun.

    Existing partitions stay if their file and the model are the same. Exit code 2 when a file
    cannot be scored; the others are. With --lenient, rows that break the contract are scored and
    counted, and the exit code is 4.

    \b
    mlops batch data/new data/scored
    mlops batch data/new data/scored --environment prod
    mlops batch data/new data/scored --explain 3
    """
    from ..paths import ONNX
    from ..scoring import batch

    written = _written(decimal, thousands)
    if environment is None:
        model_file, release = model or ONNX, None
    elif model is not None:
        raise InputError("--model or --environment: give one of them")
    else:
        from ..release import process, target

        of = target.target(environment, trunk(base))
        model_file, release = process.model_of(of), of.release.id
    done = batch.batch(
        source, output, model_file, release, partition_rows, lenient, written, explain
    )
    typer.echo(
        f"{output}: {done.rows:,} predictions, {done.scored:,} of {done.partitions:,} "
        "partitions made now"
    )
    _tell(done.tally, lenient)


@app.command()
def compare(base: Base = "HEAD", json: Json = False) -> None:
    """Compare the model with that of another revision.

    Both answer the same test rows.

    \b
    mlops compare                     what I have against my last commit
    mlops compare --base origin/main
    """
    found = _compared(base)
    if json:
        print_json(found)
    if found.undecided:
        raise InputError(str(found.reason))
    if json:
        return
    from ..report import terminal

    terminal.show(found)


@app.command()
def summary() -> None:
    """Show how good the model is, and what comes next."""
    from ..config.params import load_params
    from ..git.revision import git
    from ..judging.recount import judged_by
    from ..paths import LOCK
    from ..report.summary import Summary

    params = load_params()
    found = judged_by(params, None)
    broken = found.breaches(params, None)
    is_committed = not git("status", "--porcelain", "--", str(LOCK))
    for line in Summary(found.metrics, [*params.gates], broken, is_committed).lines():
        typer.echo(line)


@app.command()
def gate(
    base: Annotated[str | None, typer.Option(help="The champion's branch, tag or commit.")] = None,
    json: Json = False,
) -> None:
    """Check the model against the gates of params.yaml.

    Exit code 3 when a gate is broken. Gates on regression take part with --base.

    \b
    mlops gate
    mlops gate --base origin/main
    """
    from ..config.params import load_params
    from ..git.revision import Revision
    from ..judging.recount import judged_by

    params = load_params()
    against = None if base is None else _compared(base)
    found = judged_by(params, None if base is None else Revision.of(base))
    lines = found.breaches(params, against)
    if json:
        print_json({"gates": params.gates, "broken": lines, "comparison": against})
    if lines:
        raise CheckError("\n".join(map(str, lines)))
    if json:
        return
    of_groups = [f"{name} of groups" for name in params.fairness]
    typer.echo(f"gates kept: {', '.join([*params.gates, *of_groups]) or 'there are none'}")
    limits = [each.regression for each in params.gates.values()]
    limits += [each.regression for each in params.fairness.values()]
    if base is None and any(each is not None for each in limits):
        typer.echo("(with --base, regression is checked too)")


@app.command()
def judge(
    base: Base = "HEAD",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it as Markdown, too.")
    ] = None,
) -> None:
    """Judge a change: lock, gates, card, environments.

    Exit code 3 when it objects. CI runs it with the engine of the base: what judges is never what
    is judged. Exit code 2 where all there is against it is that this engine
    cannot read the files.

    \b
    mlops judge --base origin/main
    """
    from datetime import UTC, datetime

    from .. import judge
    from ..files import write_text
    from ..report import card

    found = judge.judge(base, datetime.now(UTC), card.stale)
    if output is not None:
        write_text(output, found.markdown())
    for line in found.lines():
        typer.echo(line)
    if lines := [line for lines in found.refusals.values() for line in lines]:
        raise (InputError if found.is_unread else CheckError)("\n".join(lines))
    typer.echo("no objection")


@app.command()
def packages() -> None:
    """Write packages.txt from uv.lock.

    Stages depend on it: on the packages that can change a model, and on no linter. The hook of
    pre-commit does this when uv.lock changes.

    \b
    uv add lifelines
    mlops packages
    """
    from .. import packages

    changed = packages.write()
    said = "written anew; `uv run dvc repro` next" if changed else f"fits {packages.UV_LOCK}"
    typer.echo(f"{packages.PACKAGES}: {said}")


@app.command()
def lock() -> None:
    """Check that dvc.lock is current and all is pushed.

    Exit code 3 when a stage would run again, something was not pushed, or packages.txt does not fit
    uv.lock. Nothing is run or fetched.
    """
    from ..git import lock

    state = lock.check()
    if problems := state.problems():
        raise CheckError("\n".join(problems))
    if not state.exists:
        typer.echo("there is no dvc.lock yet: `uv run dvc repro` makes it")
    elif state.unreachable:
        typer.echo(f"dvc.lock fits its inputs; the remote was not asked: {state.unreachable}")
    else:
        typer.echo("dvc.lock fits its inputs, and the remote has what it names")


@app.command()
def report(
    base: Base = "HEAD",
    output: Annotated[Path, typer.Option(help="The folder to write.")] = REPORT,
    log: Annotated[
        Path | None, typer.Option(help="What `dvc repro` printed, to tell what ran.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the report of a change, with its pictures.

    The verdict on the model, and what changed since another revision.

    \b
    mlops report --base origin/main
    """
    from ..report import report
    from ..report.headline import headline

    found = report.report(base, output, log)
    if json:
        print_json(found)
        return
    typer.echo(headline(found).plain())
    typer.echo(f"{output}/report.md")


@app.command()
def card(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 3 where it is stale.")
    ] = False,
    annex: Annotated[
        bool, typer.Option("--annex", help="Print what Annex IV of the EU's AI Act asks for.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the model card, as Markdown and as a page.

    For people: what the model does, how often it is wrong and for whom, what it must not be used
    for, its data and code. Written from committed files alone, so that the same commit makes the
    same card; `mlops judge` refuses a stale one. With --json, its facts are printed and nothing is
    written; with --annex, the technical documentation of the last commit, which is no legal advice.

    \b
    mlops card
    mlops card --check
    mlops card --annex > annex.md
    """
    from ..card import load_card
    from ..report import card as face

    if check and annex:
        raise InputError("--check or --annex: give one of them")
    if annex:
        _annex(json)
        return
    if check and (lines := face.stale()):
        raise CheckError("\n".join(lines))
    if json:
        print_json(load_card())
    elif check:
        typer.echo("the model card says what the files say")
    else:
        for path in face.write():
            typer.echo(path)


def _opened(model: Path) -> "Runnable":
    """The model in a file of any form; ONNX, the usual one, without what others import."""
    from ..inference import OnnxModel

    if model.suffix == ".onnx":
        return OnnxModel(model)
    from ..export.targets import opened

    return opened(model)


def _annex(json: bool) -> None:
    """Print the technical documentation of the last commit."""
    from ..card import load_card
    from ..git.revision import Revision
    from ..report import annex

    at = Revision.of("HEAD")
    if at is None:
        raise InputError("nothing is committed")
    points = annex.annex(at)
    if json:
        print_json(points)
    else:
        typer.echo(annex.markdown(points, load_card(at).name), nl=False)


def _written(decimal: str | None, thousands: str | None) -> dict[str, str]:
    """What is otherwise in a file than the contract says."""
    given = {"decimal": decimal, "thousands": thousands}
    return {key: mark for key, mark in given.items() if mark is not None}


def _tell(tally: "Tally", lenient: bool) -> None:
    """Say what is not as it must be. Raises RowsError, for the exit code, where that was asked."""
    lines = tally.lines()
    if lines and lenient:
        raise RowsError("\n".join(lines))
    for line in lines:
        typer.echo(line)


def _compared(base: str) -> "Comparison":
    from ..config.params import load_params
    from ..git.revision import Revision
    from ..judging import comparison

    return comparison.compare(load_params(), Revision.of(base))
