"""`mlops`: a face on the modules beside it, one module a group of commands.

Each command imports what it needs, so that the help is there at once.
"""

import os
import sys
from typing import Annotated

import typer

from .. import project
from ..errors import DEBUG_VARIABLE, run
from . import data, environment, github, model, monitor, release, retrain, serve, update

app = typer.Typer(
    help="From raw data to a verified model. The pipeline itself is `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
for group in (data, model, serve, release, environment, monitor, retrain, github, update):
    app.add_typer(group.app)


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the stack trace of an error.")
    ] = False,
) -> None:
    """From raw data to a verified model. The pipeline itself is `dvc repro`.

    Exit codes: 0 all is well, 1 a defect or the machine, 2 bad input, 3 a check failed.
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if not _runs_anywhere(str(context.invoked_subcommand), sys.argv):
        project.require_root()


def _runs_anywhere(command: str, arguments: list[str]) -> bool:
    """Whether a command takes no project: all that it needs is told by its arguments."""
    if not {"-h", "--help"}.isdisjoint(arguments) or command in ("load", "smoke", "update"):
        return True
    return command in ("batch", "predict", "serve") and "--model" in arguments


def main() -> None:
    """The `mlops` command."""
    run(app)
