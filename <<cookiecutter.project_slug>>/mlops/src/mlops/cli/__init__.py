"""`mlops`: a face on the modules beside it, one module a group of commands.

Each command imports what it needs, so that the help is there at once.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import project
from ..errors import DEBUG_VARIABLE, run
from . import (
    data,
    docs,
    environment,
    experiments,
    github,
    model,
    monitor,
    release,
    retrain,
    serve,
    update,
)

# The commands by what somebody is about to do; the help lists them so.
SECTIONS = {
    "Model": "data features summary compare gate report card predict batch",
    "Experiments": "search experiments",
    "Serve": "serve smoke load",
    "Release": "build release promote rollback hold unhold quarantine",
    "Production": "status apply stop agent trace fetch audit monitor feedback retrain",
    "Checks in CI": "lock packages guard judge sign-off",
    "Set up": "github docs engine update propose",
}


class Sections(TyperGroup):
    """Commands listed in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each section's commands and what they do. Typer does not name the types."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            commands = [self.commands[name] for name in names.split()]
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{each.name:{width}}", each.get_short_help_str(80)) for each in commands]
                )


app = typer.Typer(
    cls=Sections,
    help="From raw data to a verified model. The pipeline itself is `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
GROUPS = (
    data,
    model,
    experiments,
    serve,
    release,
    environment,
    monitor,
    retrain,
    github,
    docs,
    update,
)
for group in GROUPS:
    app.add_typer(group.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlops {version('mlops-template-engine')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the stack trace of an error.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
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
