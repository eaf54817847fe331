"""What is tried, and what is learned of it."""

from contextlib import suppress
from typing import Annotated

import typer

from .options import Json, print_json

# Trials of searches in the list, unless all are asked for.
FEW = 5

app = typer.Typer()
experiments = typer.Typer(
    help="List experiments; keep what they taught.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(experiments, name="experiments")


@app.command()
def search(
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="What all trials may take. [default: that of params.yaml]"),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="How many there may be. [default: that of params.yaml]"),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the winner to params.yaml and features.yaml.")
    ] = False,
    json: Json = False,
) -> None:
    """Search across estimators, encodings and features.

    Each trial is judged on folds of the training rows; the validation rows tell how much better the
    winner is than the baselines. A search that was stopped goes on where it was. Needs the
    dependency group `search`.

    \b
    mlops search
    mlops search --minutes 30 --trials 200
    mlops search --apply
    """
    from ..pipeline import kernels

    kernels.pin()  # before NumPy is imported, as for the stage that trains
    from ..experiments import record
    from ..experiments import search as searching
    from ..report import experiments as page
    from ..report import search as face

    found = searching.search(minutes, trials)
    drawn = face.draw(found)
    if json:
        print_json(found)
    else:
        face.show(found)
        for path in drawn:
            typer.echo(path)
    if not apply:
        if not json:
            typer.echo(face.advice(found))
        return
    kept = record.take(found, face.lines(found))
    page.write()
    if not json:
        typer.echo(f"params.yaml is {kept.name}, which {kept.path} keeps. Next: uv run dvc repro")


@experiments.callback()
def list_experiments(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Also the trials of searches beyond the best.")
    ] = False,
    json: Json = False,
) -> None:
    """List experiments; keep what they taught.

    Those of `dvc exp`, trials of searches, and what is noted of others. The one that the workspace
    is set to is green.

    \b
    mlops experiments
    mlops experiments --all --json
    mlops experiments note leaves --hypothesis "larger trees find routes"
    """
    if context.invoked_subcommand is not None:
        return
    from ..experiments import record
    from ..report import experiments as face

    found = record.experiments()
    shown = found if every else record.foremost(found, FEW)
    if json:
        print_json(shown)
        return
    if not found:
        typer.echo("there are none yet: mlops/docs/experiments.md says how to make one")
        return
    face.show(shown)
    if more := len(found) - len(shown):
        typer.echo(f"{more:,} more trials of searches: --all")


@experiments.command()
def note(
    name: Annotated[str, typer.Argument(help="As `mlops experiments` lists it, or to be made.")],
    hypothesis: Annotated[
        str | None, typer.Option("--hypothesis", help="What is expected, and why.")
    ] = None,
    conclusion: Annotated[
        str | None, typer.Option("--conclusion", "-m", help="What was learned.")
    ] = None,
) -> None:
    """Keep a hypothesis or a conclusion in Git.

    With the experiment's settings and metrics, also of one that is thrown away; and the page of all
    of them, docs/experiments/README.md.

    \b
    mlops experiments note leaves --hypothesis "larger trees find routes"
    mlops experiments note leaves -m "they do not: 0.687 and 0.684"
    """
    from ..experiments import record
    from ..report import experiments as face

    typer.echo(record.note(name, hypothesis, conclusion).path)
    typer.echo(face.write())


@experiments.command()
def page() -> None:
    """Write the page of what is noted, as after a merge.

    \b
    mlops experiments page
    """
    from ..report import experiments as face

    typer.echo(face.write())


@experiments.command()
def track() -> None:
    """Tell your MLflow server of the model in the workspace.

    Its parameters, metrics, learning curves, commit and releases. The same facts make one run,
    however often they are told. A server that is down is a warning, and the exit code is 0.

    \b
    MLFLOW_TRACKING_URI=https://mlflow.example.com mlops experiments track
    """
    from ..errors import InputError
    from ..experiments import tracking
    from ..git.revision import Revision, is_clean
    from ..release.state import environments

    head = None
    if is_clean():
        with suppress(InputError):  # nothing is committed yet
            head = Revision.of("HEAD")
    releases: list[str] = []
    if head is not None:
        there = [each.release for each in environments(head).values() if each.release]
        releases = sorted({each.id for each in there if each.git_sha == head.commit})
    try:
        typer.echo(tracking.track(tracking.run_of(head.commit if head else None, releases)))
    except tracking.Unreachable as error:
        typer.echo(f"warning: not tracked: {error}", err=True)
