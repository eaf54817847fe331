"""Environments as they are: what they have, what runs, and where that comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CheckError, InputError
from .options import DryRun, Json, Log, Trunk, print_json, trunk

if TYPE_CHECKING:
    from ..release.hop import Hop

app = typer.Typer()


@app.command()
def status(
    base: Trunk = None,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 3 when something is wrong.")
    ] = False,
) -> None:
    """Show what is wrong and what each environment runs.

    What is wrong comes first: a release in quarantine, files that cannot be read, servers that
    differ from Git, alarms of the last `mlops monitor`, holds, gaps in model.yaml. With --check,
    any of these ends with exit code 3.

    \b
    mlops status --check
    """
    from datetime import UTC, datetime

    from ..release import status
    from ..report import terminal

    found = status.status(trunk(base), datetime.now(UTC))
    if json:
        print_json(found)
    else:
        terminal.show_status(found)
    if check and (names := [each.environment.name for each in found if each.needs_somebody]):
        raise CheckError(f"something is wrong in {', '.join(names)}")


@app.command()
def apply(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Make an environment run what Git declares.

    Deploys without losing a request, behind a proxy, on the Docker Engine that `docker` uses: this
    machine's, or DOCKER_HOST=ssh://... A release without an image runs as a process on this
    machine. If the new servers fail, the old ones keep serving and the exit code is 3.

    Without --base, the remote is asked first what main is. If it does not answer, what was fetched
    last is applied, unless an older release runs: it may have been rolled back.

    \b
    mlops apply prod
    DOCKER_HOST=ssh://me@server mlops apply prod
    """
    from ..release import apply
    from ..release.proposal import refresh
    from ..release.target import target

    why = refresh() if base is None else None
    at = trunk(base)
    if why:
        typer.echo(f"warning: main may have moved on, the remote was not asked: {why}", err=True)
        apply.require_not_back(environment, at)
    if dry_run:
        wanted = target(environment, at)
        typer.echo(f"{environment} is to run {wanted.release.id} at {wanted.settings.listen}")
        for line in apply.drift(wanted):
            typer.echo(f"{environment}: {line}")
        return
    for line in apply.apply(environment, at):
        typer.echo(line)


@app.command()
def stop(
    environment: Annotated[str, typer.Argument(help="The environment, such as dev.")],
    base: Trunk = None,
) -> None:
    """Stop the servers of an environment.

    Stops what `mlops apply` started. The prediction log stays.
    """
    from ..release import apply

    done = apply.stop(environment, trunk(base))
    typer.echo(f"{environment}: {'stopped' if done else 'nothing runs'}")


@app.command()
def agent(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    target: Annotated[
        str | None, typer.Option(help="Of export.targets, for a device that runs no server.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the target's files are found: a link.")
    ] = None,
    command: Annotated[
        str, typer.Option("--run", help="What to run with them, such as `make flash`.")
    ] = "",
    every: Annotated[float, typer.Option(min=1, help="Seconds between two rounds.")] = 60,
    once: Annotated[bool, typer.Option("--once", help="One round, and end.")] = False,
) -> None:
    """Keep this device at what Git declares.

    For a machine that nobody reaches. Takes the newest commit of origin's main if a key that Git
    trusts here signed it, and it descends from the one before, and applies it. Offline, or where
    any of that fails, the release before keeps running, from the files that are here.

    \b
    mlops agent prod
    mlops agent prod --target c --out /srv/model --run "make flash"
    """
    import shlex

    from ..release.agent import Agent, Servers
    from ..release.swap import Swap

    if bool(target) != bool(out) or (command and not target):
        raise InputError("--target and --out: give both, and --run with them alone")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--run: {command}: {error}") from None
    duty = Swap(environment, target, out, (*words,)) if target and out else Servers(environment)
    found = Agent(environment, duty)
    for line in found.once() if once else found.run(every):
        typer.echo(line)


@app.command()
def fetch(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    target: Annotated[str, typer.Option(help="One of export.targets: c, tflite, ...")],
    out: Annotated[
        Path | None, typer.Option(help="The output folder. [default: build/fetch/ENV/TARGET]")
    ] = None,
    base: Trunk = None,
) -> None:
    """Get the exported model that an environment runs.

    Files come from DVC's cache or its remote, and have the hashes of the release's evidence, or
    nothing is written: exit code 3 where one has another.

    \b
    mlops fetch prod --target c
    mlops fetch prod --target tflite --out app/src/main/assets/model
    """
    from ..paths import FETCHED
    from ..release import artefact

    folder = out or FETCHED / environment / target
    for path in artefact.fetch(environment, target, folder, trunk(base)):
        typer.echo(path)


@app.command()
def trace(
    what: Annotated[str, typer.Argument(help="An environment, a release's id, or a URL.")],
    base: Trunk = None,
    json: Json = False,
    html: Annotated[
        bool, typer.Option("--html", help="Print the evidence sheet as a page.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--md", help="Print the evidence sheet in Markdown.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 also when a step was not checked.")
    ] = False,
) -> None:
    """Trace what runs back to the raw data.

    Exit code 3 when a step is wrong. The model, the snapshot and DVC's copy of the raw data are
    fetched and hashed. A step whose file cannot be fetched is not checked, and says why. The
    evidence sheet has, of each step, who brought it when and by which pull request, as Git tells.

    \b
    mlops trace prod
    mlops trace prod --html > evidence.html
    mlops trace http://localhost:8080
    """
    from datetime import UTC, datetime

    from ..release import trace
    from ..report import evidence, terminal

    if json + html + markdown > 1:
        raise InputError("--json, --html or --md: give one of them")
    at = trunk(base)
    hops = trace.trace(what, at)
    if json or html or markdown:
        found = [*hops]
        sheet = evidence.sheet(what, found, at, datetime.now(UTC))
        if json:
            print_json(found)
        else:
            typer.echo(evidence.page(sheet) if html else evidence.markdown(sheet), nl=False)
    else:
        found = terminal.show_hops(hops)
    _require_right(what, found, strict)


@app.command()
def audit(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    when: Annotated[
        str, typer.Option("--at", help="A day or a moment: 2027-03-01, 2027-03-01T12:00 (UTC).")
    ],
    log: Log = None,
    base: Trunk = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--md", help="Print a sheet in Markdown.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 3 also when a step was not checked.")
    ] = False,
) -> None:
    """Show which model answered at a time, and on whose word.

    Of each release that the environment had then: from when to when, who approved it, its metrics
    with intervals, what went wrong, and the way back to its data as `mlops trace` goes it. The
    prediction log, where it is at hand, says which release really answered, and who asked. Exit
    code 3 when a step is wrong.

    \b
    mlops audit prod --at 2027-03-01
    mlops audit prod --at 2027-03-01T12:30+01:00 --md > audit.md
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from ..monitoring.answered import answered
    from ..release import audit
    from ..report import audit as face
    from ..report import terminal

    if json and markdown:
        raise InputError("--json or --md: give one of them")
    at, now = trunk(base), datetime.now(UTC)
    asked = audit.period(when, now)
    found = audit.audit(environment, asked, at, now)
    found = replace(found, log=answered(environment, asked.start, asked.end, at, log))
    if json:
        print_json(found)
    elif markdown:
        typer.echo(face.markdown(found, str(asked), at, now), nl=False)
    else:
        terminal.show_audit(found)
    _require_right(f"{environment} on {asked}", found.hops, strict)


def _require_right(what: str, hops: "list[Hop]", strict: bool) -> None:
    """Raise CheckError where a step is wrong or, if `strict`, was not checked."""
    states = [each.state for each in hops]
    wrong, unchecked = states.count("wrong"), states.count("not checked")
    if wrong or (strict and unchecked):
        raise CheckError(f"{what}: of {len(hops)} steps, {wrong} wrong and {unchecked} not checked")
