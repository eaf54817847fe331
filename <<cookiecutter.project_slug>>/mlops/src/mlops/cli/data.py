"""Data of your own."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..config.section import Task

Order = Literal["day-first", "month-first"]
Target = Annotated[str | None, typer.Option(help="The column to predict; none to cluster.")]
Time = Annotated[str | None, typer.Option(help="The column that orders the rows in time.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite changes not yet committed.")]

app = typer.Typer()
data = typer.Typer(help="Bring data of your own.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")


@data.command("init")
def data_init(
    path: Annotated[
        str | None,
        typer.Argument(
            help="A .csv, .parquet, folder, URL, or .sql file; left out: the source of params.yaml."
        ),
    ] = None,
    target: Target = None,
    time: Time = None,
    task: Annotated[
        Task | None, typer.Option(help="The task of the model. [default: guessed]")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="For a .sql file: a SQLAlchemy URL, best as '$VARIABLE'.")
    ] = None,
    dates: Annotated[
        Order | None, typer.Option(help="Whether day or month comes first in an ambiguous date.")
    ] = None,
    force: Force = False,
) -> None:
    """Draft contract.yaml from a data set.

    Writes contract.yaml and the part of params.yaml that depends on it.

    \b
    mlops data init churn.csv --target churned
    mlops data init prices.parquet --target price --time sold_at
    mlops data init query.sql --database '$DATABASE_URL' --target churned
    mlops data init --target churned
    """
    from ..drafting import draft

    done = draft.init(path, target, time, task, database, force, dates)
    source, chosen = done.source, done.task
    used = [each for each in done.drafts if each.why_left_out is None]
    left_out = [each for each in done.drafts if each.why_left_out is not None]
    typer.echo(f"contract.yaml: {len(used)} columns, task {chosen}")
    for line in done.assumed:
        typer.echo(f"  assumed {line}")
    for each in left_out:
        typer.echo(f"  left out {each.name}: {each.why_left_out}")
    for caveat in done.caveats:
        typer.echo(f"  caveat: {caveat}")
    typer.echo(
        f"params.yaml: the source is set; the gate is that {done.gate} gets no worse; set bounds "
        "when you know the metrics"
    )
    if done.states_nothing:
        typer.echo("model.yaml: says nothing yet: `mlops status` tells where that matters")
    typer.echo("Next: read contract.yaml, then\n  uv run dvc repro")
    if kept := [each for each in source.files.values() if not each.endswith((".sql", ".url"))]:
        typer.echo(f"So that others get the data too:\n  uv run dvc add {' '.join(kept)}")


@data.command("export")
def data_export() -> None:
    """Print the contract in the Open Data Contract Standard.

    Prints version 3.1. Notes on standard error list what other tools cannot read.

    \b
    mlops data export > contract.odcs.yaml
    """
    from ..config.params import load_params
    from ..data.contract import load_contract
    from ..drafting.odcs.export import export
    from ..project import about

    made = export(load_contract(), load_params().source, about())
    typer.echo(made.text(), nl=False)
    for note in made.notes:
        typer.echo(note, err=True)


@data.command("import")
def data_import(
    path: Annotated[Path, typer.Argument(help="A contract of the Open Data Contract Standard 3.")],
    table: Annotated[
        str | None, typer.Option(help="The table, if the contract has several.")
    ] = None,
    target: Target = None,
    time: Time = None,
    force: Force = False,
) -> None:
    """Draft contract.yaml from an open data contract.

    Reads the Open Data Contract Standard 3, and lists each part that is not imported.

    \b
    mlops data import orders.odcs.yaml --target returned
    mlops data import shop.odcs.yaml --table orders --target price --time sold_at
    """
    from ..drafting.draft import check_committed
    from ..drafting.odcs import draft, standard
    from ..files import write_text
    from ..paths import CONTRACT

    if not force:
        check_committed(CONTRACT)
    drafted = draft.draft(standard.read(path), path, table, target, time)
    write_text(CONTRACT, drafted.text)
    typer.echo(f"contract.yaml: from {path}")
    if drafted.notes:
        typer.echo("not taken over:")
    for note in drafted.notes:
        typer.echo(f"  {note}")
    typer.echo("Next: read contract.yaml; set task and source in params.yaml, then")
    typer.echo("  uv run dvc repro")
