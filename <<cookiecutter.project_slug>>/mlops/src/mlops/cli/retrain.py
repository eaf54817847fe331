"""Training on fresh data."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckError
from ..paths import RETRAIN
from .options import Reason

app = typer.Typer()


@app.command()
def retrain(
    reason: Reason = "asked for by hand",
    check: Annotated[
        bool, typer.Option("--check", help="Only check on GitHub whether one may start now.")
    ] = False,
    output: Annotated[Path, typer.Option(help="The folder of the report.")] = RETRAIN,
    push: Annotated[
        bool, typer.Option("--push/--no-push", help="Push the data to DVC's remote, or leave it.")
    ] = True,
) -> None:
    """Retrain on fresh data; keep a better model.

    A better model is committed on a branch. Exit code 3 when it is no better. The source is read
    again, the pipeline run, and the model compared with that of the last commit on the newest rows.
    The checkout stays as it is. With --no-push the data stays in DVC's cache: training may last
    longer than the login.

    \b
    mlops retrain --reason "drift in prod"
    """
    if check:
        _may_start()
        return
    from ..git.revision import git
    from ..report import card, report
    from ..report.headline import headline
    from ..retrain.fresh import fresh

    with fresh(output / "repro.log", push) as found:
        change = report.report(
            str(found.head.commit), output / "report", found.log, found.comparison, push
        )
        verdict = headline(change).plain()
        card.write()
        branch = found.commit(reason, verdict)
    typer.echo(verdict)
    typer.echo(f"{output}/report/report.md")
    if not push:
        typer.echo(f"First: git switch {branch}, and dvc push")
    if "origin" in git("remote").split():
        typer.echo(f"Next: git push origin {branch}, and have it reviewed and merged")
    else:
        typer.echo(f"Next: git merge --ff-only {branch}")


def _may_start() -> None:
    from datetime import UTC, datetime

    from ..config.params import load_params
    from ..github.api import Api, repository
    from ..retrain import storm

    how, now = load_params().retraining, datetime.now(UTC)
    api = Api(repository(os.environ.get("GH_REPO")))
    if why := storm.refusal(storm.past(api, how, now), how, now):
        raise CheckError(why)
    typer.echo("a retraining may start")
