"""`mlops`: a thin face on the modules beside it. Each command imports what it needs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .config import Task
from .errors import DEBUG_VARIABLE, CheckError, run

app = typer.Typer(
    help="From raw data to a verified model. The pipeline itself is `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
data = typer.Typer(help="Bring data of your own.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the stack trace of an error.")
    ] = False,
) -> None:
    """From raw data to a verified model. The pipeline itself is `dvc repro`.

    Exit codes: 0 all is well, 1 a defect or the machine, 2 bad input, 3 a check failed.
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


@data.command("init")
def data_init(
    path: Annotated[str, typer.Argument(help="A .csv, .parquet, folder, URL, or .sql file.")],
    target: Annotated[
        str | None, typer.Option(help="The column to predict; none to cluster.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="The column that orders the rows in time.")
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="What the model does; guessed if not given.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="For a .sql file: a SQLAlchemy URL, best as '$VARIABLE'.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite changes not yet committed.")
    ] = False,
) -> None:
    """Look at a data set and write contract.yaml and its part of params.yaml.

    \b
    mlops data init churn.csv --target churned
    mlops data init prices.parquet --target price --time sold_at
    mlops data init query.sql --database '$DATABASE_URL' --target churned
    """
    from .draft import init

    source, chosen, drafts = init(path, target, time, task, database, force)
    used = [each for each in drafts if each.why_left_out is None]
    left_out = [each for each in drafts if each.why_left_out is not None]
    typer.echo(f"contract.yaml: {len(used)} columns, task {chosen}")
    for each in left_out:
        typer.echo(f"  left out {each.name}: {each.why_left_out}")
    typer.echo(
        "params.yaml: the source is set; gates are empty, set yours when you know the metrics"
    )
    typer.echo("Next: read contract.yaml, then\n  uv run dvc repro")
    typer.echo(f"So that others get the data too:\n  uv run dvc add {source.path}")


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file with the model's columns.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .csv or .parquet file. [default: FILE.predictions.csv]"
        ),
    ] = None,
    model: Annotated[Path, typer.Option(help="The ONNX model.")] = Path("models/model.onnx"),
    with_inputs: Annotated[
        bool, typer.Option("--with-inputs", help="Copy the file's columns, too.")
    ] = False,
) -> None:
    """Score a file with the ONNX model; memory does not grow with the file.

    \b
    mlops predict new.csv
    mlops predict new.parquet -o scored.parquet --with-inputs
    """
    from .inference import OnnxModel
    from .predict import predict as score

    target = output or file.with_name(f"{file.name.split('.')[0]}.predictions.csv")
    rows = score(file, target, OnnxModel(model), with_inputs)
    typer.echo(f"{target}: {rows:,} predictions")


@app.command()
def gate() -> None:
    """Check the metrics against the gates of params.yaml; exit code 3 when one is broken."""
    from .config import load_params
    from .files import read_json
    from .gate import broken
    from .paths import METRICS

    params = load_params()
    lines = broken(params, read_json(METRICS))
    if lines:
        raise CheckError("\n".join(lines))
    typer.echo(f"{len(params.gates)} gates kept")


def main() -> None:
    """The `mlops` command."""
    run(app)
