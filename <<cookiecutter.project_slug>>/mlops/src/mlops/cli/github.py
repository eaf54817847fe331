"""GitHub, as the project declares it."""

from typing import Annotated

import typer

from ..errors import CheckError
from .options import DryRun

app = typer.Typer()


@app.command()
def github(
    repo: Annotated[
        str | None, typer.Option(help="OWNER/NAME. [default: that of the remote origin]")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Set up the repository on GitHub.

    Rules, environments, labels and variables, as .github/settings.yaml declares them. Exit code 3
    when a rule cannot be enforced; each is listed with an alternative.

    \b
    mlops github --dry-run
    mlops github
    """
    from ..github.api import Api, repository
    from ..github.apply import advice, settle
    from ..github.settings import load_settings

    settings = load_settings()
    if problems := settle(settings, Api(repository(repo)), dry_run, typer.echo):
        raise CheckError(advice(problems))
