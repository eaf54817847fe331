"""Production traffic, and the true outcomes of its predictions."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckError
from .options import Json, Log, Trunk, print_json, trunk

app = typer.Typer()
feedback = typer.Typer(
    help="Import the true outcomes of predictions.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(feedback, name="feedback")


@app.command()
def monitor(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    start: Annotated[
        datetime | None, typer.Option("--from", help="In UTC. [default: eight windows back]")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", help="In UTC, not included. [default: now]")
    ] = None,
    log: Log = None,
    release: Annotated[
        str | None, typer.Option(help="The release id. [default: the environment's release]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The output folder. [default: build/monitor/ENV]")
    ] = None,
    base: Trunk = None,
    json: Json = False,
) -> None:
    """Compare production traffic with the training data.

    Looks for drift in inputs and predictions and, once true outcomes are imported, for worse
    metrics. The last window decides; an alarm ends with exit code 3. Writes report.html, report.md
    and result.json.

    \b
    mlops monitor prod
    mlops monitor prod --from 2030-01-01 --to 2030-02-01
    """
    from ..config.params import load_params
    from ..files import replacing
    from ..monitoring import run
    from ..paths import MONITOR
    from ..report import monitoring, problems
    from ..report.folder import check_replaceable

    folder = output or MONITOR / environment
    check_replaceable(folder, "result.json")
    found = run.run(environment, trunk(base), start, end, log, release)
    with replacing(folder) as temporary:
        temporary.mkdir()
        monitoring.write(found, temporary)
        problems.write(found, load_params().retraining, temporary)
        undrawn = monitoring.draw(found, temporary / "report.html")
    if json:
        print_json(found)
    else:
        for line in monitoring.summary(found):
            typer.echo(line)
        typer.echo(undrawn or f"{folder}/report.html")
    if found.alarms:
        raise CheckError("\n".join(map(str, found.alarms)))


@feedback.command("import")
def feedback_import(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: request, row (0 if not there), the target.")
    ],
    log: Log = None,
    base: Trunk = None,
) -> None:
    """Import the true outcomes of predictions.

    Import as often and as late as you like: the label imported last counts.

    \b
    mlops feedback import prod arrived.csv
    """
    from ..monitoring import run

    done = run.import_feedback(environment, trunk(base), file, log)
    typer.echo(f"{file}: {done.labels:,} labels" + ("" if done.name else ", known already"))
    if done.repeated or done.contradicting:
        typer.echo(
            f"{done.repeated:,} lines repeat another; {done.contradicting:,} contradict one, and "
            "the last one counts"
        )
    if done.incomplete:
        typer.echo(f"{done.incomplete:,} lines without a label or without a key were skipped")
