"""Options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError

if TYPE_CHECKING:
    from ..git.revision import Revision

Base = Annotated[str, typer.Option(help="The champion's branch, tag or commit.")]
Trunk = Annotated[
    str | None,
    typer.Option(help="The branch that environments follow. [default: origin/main, or main]"),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
]
Reason = Annotated[str, typer.Option("--reason", "-m", help="The reason, kept in Git.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Log = Annotated[
    str | None,
    typer.Option(help="A folder, file or URL. [default: the environment's prediction log]"),
]


def trunk(name: str | None) -> "Revision":
    """The commit that `--base` names, or that environments follow."""
    from ..git.revision import Revision
    from ..release import proposal

    found = Revision.of(name or proposal.trunk())
    if found is None:
        raise InputError(f"{name}: no commit")
    return found


def print_json(found: object) -> None:
    """What `--json` prints: the facts, and nothing else."""
    from ..facts import as_json

    typer.echo(as_json(found), nl=False)
