"""The engine and the template that it is from."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import CheckError
from .options import DryRun, Trunk, trunk

app = typer.Typer()


@app.command()
def engine(
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 3 when a file differs.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(help="Exit code 3 when the manifest is not that of this branch or commit."),
    ] = None,
) -> None:
    """Show the engine's version and its changed files.

    \b
    mlops engine
    mlops engine --check
    """
    from ..git import engine
    from ..git.engine import MANIFEST, is_rewritten
    from ..git.revision import Revision

    found = engine.engine()
    for line in found.summary():
        typer.echo(line)
    before = Revision.of(base) if base else None
    if before is not None and is_rewritten(before):
        raise CheckError(
            f"{MANIFEST}: differs from that of {base} without an update; it tells your changes "
            f"from the engine's: git checkout {base} -- {MANIFEST}"
        )
    if check and (count := len(found.differences.lines())):
        files = "1 file differs" if count == 1 else f"{count} files differ"
        raise CheckError(f"{files} from version {found.version}")


@app.command()
def update(
    to: Annotated[
        str | None,
        typer.Option(help="A version, branch or commit. [default: the newest version]"),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="The template's address. [default: the recorded one]")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from", help="The commit that the project was made from. [default: the recorded one]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write it to this folder for `mlops propose`, and push nothing."),
    ] = None,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Update to a newer version of the template.

    Merged on a branch of its own, and proposed. Your files stay, the engine is replaced, what both
    changed is merged by Git. Workspace and index stay as they are.

    \b
    mlops update
    mlops update --to 0.2.0 --dry-run
    """
    from ..release.proposal import pack, publish, work_at_remote
    from ..update import update

    done = update.update(trunk(base), to, template, since)
    typer.echo(done.said)
    if done.commit is None:
        return
    for path in done.conflicts:
        typer.echo(f"conflict: {path}")
    if dry_run:
        typer.echo(done.proposal.body)
    elif output is not None and (work := work_at_remote(done.proposal, done.commit)):
        typer.echo(f"{done.proposal.branch}: left as it is: somebody worked on it ({work})")
    elif output is not None:
        pack(done.proposal, done.commit, output)
        typer.echo(f"{output}/body.md")
    else:
        typer.echo(publish(done.proposal, done.commit))
