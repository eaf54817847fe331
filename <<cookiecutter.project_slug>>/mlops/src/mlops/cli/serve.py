"""A server, and checks of one from outside."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckError

app = typer.Typer()


@app.command()
def serve(
    model: Annotated[Path | None, typer.Option(help="The ONNX model.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 for any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; 0 for one per processor.")] = None,
    log: Annotated[
        str | None, typer.Option(help="The prediction log: a folder, or a URL like s3://…")
    ] = None,
) -> None:
    """Serve the model over HTTP.

    The Open Inference Protocol for programs, /predict for people. Every setting is a variable of
    the environment, too, MLOPS_PORT for --port: see mlops/docs/serve.md.

    \b
    mlops serve
    mlops serve --port 9000 --log build/predictions
    """
    from ..serving import server
    from ..serving.settings import load_settings

    given = {"model": model, "host": host, "port": port, "workers": workers, "log": log}
    server.serve(load_settings({k: str(v) for k, v in given.items() if v is not None}))


@app.command()
def smoke(
    url: Annotated[str, typer.Argument(help="The server: http://HOST:PORT.")],
    release: Annotated[str | None, typer.Option(help="The release it must answer with.")] = None,
    within: Annotated[
        float, typer.Option(help="The longest median latency, in milliseconds.")
    ] = 250,
    wait: Annotated[float, typer.Option(help="Seconds to retry until every check passes.")] = 0,
) -> None:
    """Check a running server.

    Checks health, release, a known prediction and its latency.

    \b
    mlops smoke http://localhost:8080
    """
    from ..serving import smoke

    for line in smoke.smoke(url, release, within, wait=wait):
        typer.echo(line)


@app.command()
def load(
    url: Annotated[str, typer.Argument(help="The server: http://HOST:PORT.")],
    connections: Annotated[int, typer.Option(min=1, help="Parallel connections.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration in seconds.")] = 10,
    rows: Annotated[int, typer.Option(min=1, help="Rows per request.")] = 1,
) -> None:
    """Measure a server's latency under load.

    \b
    mlops load http://localhost:8080 --connections 64
    """
    from ..report import terminal
    from ..serving import load

    with terminal.watching(seconds) as watch:
        found = load.load(url, connections, seconds, rows, watch)
    terminal.show_load(found, rows)
    if not found.statuses[200]:
        raise CheckError(f"{url}: nothing was answered with 200")
