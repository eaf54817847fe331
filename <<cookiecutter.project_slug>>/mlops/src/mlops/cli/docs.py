"""The documentation site."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def docs(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write, for this alone.")
    ] = Path("build/docs"),
) -> None:
    """Build the documentation site.

    Exit code 3 when a link leads nowhere, or a page is in no navigation.

    \b
    uv run --group docs mlops docs
    """
    from ..project import about
    from ..site.build import build, load_site

    count = build(load_site(about().repository), output)
    typer.echo(f"{output}/index.html: {count} pages")
