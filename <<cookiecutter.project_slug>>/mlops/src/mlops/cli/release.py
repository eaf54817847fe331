"""Releases, and what environments are to have: changes of files, proposed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CheckError, InputError
from ..paths import RELEASE
from .options import DryRun, Reason, Trunk, trunk

if TYPE_CHECKING:
    from ..git.revision import Revision
    from ..release.evidence import Evidence
    from ..release.proposal import Proposal
    from ..release.state import Environment

app = typer.Typer()

UnlessClosed = Annotated[
    bool,
    typer.Option("--unless-closed", help="Unless somebody closed its pull request unmerged."),
]


@app.command()
def build(
    registry: Annotated[
        str | None,
        typer.Option(help="The registry, as HOST/NAME. [default: from pyproject.toml]"),
    ] = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option("--build-arg", help="For both Dockerfiles, as NAME=value; repeatable."),
    ] = None,
    run_url: Annotated[
        str | None, typer.Option("--run", help="The URL of this CI run, kept as evidence.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The output folder.")] = RELEASE,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Build and push the images of this commit.

    The same commit always makes the same images, and an image in the registry is never replaced.
    Writes evidence.json for `mlops release`, a bill of materials for each image, and the files of
    export.targets.

    \b
    mlops build
    """
    from ..card import load_card
    from ..files import write_text
    from ..git.revision import WORKSPACE
    from ..release import artefact, bill, images
    from ..release.evidence import evidence_text, load_evidence
    from ..release.source import of_source, source

    at, arguments = trunk(base), build_arg or []
    names = images.declared_names(WORKSPACE, registry)
    with source() as found:
        if dry_run:
            for name in names.values():
                typer.echo(f"{name}:{found.id} would be built of {found.commit}")
            return
        evidence, card = load_evidence(found.id, at), load_card(found.at)
        if evidence is None:
            evidence = of_source(found, at, images.build(found, names, arguments), run_url)
        else:
            typer.echo(f"{found.id} is released already: nothing is built")
    bill.bills_of_materials(output, arguments, evidence, card)
    artefact.collect(evidence, output / "exports")
    write_text(output / "evidence.json", evidence_text(evidence))
    for image in (evidence.images.serving, evidence.images.training):
        typer.echo(image or "no image")
    typer.echo(f"{output}/evidence.json")


@app.command()
def release(
    evidence: Annotated[
        Path | None, typer.Option(help="evidence.json of `mlops build`; no image without it.")
    ] = None,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose this commit to the first environment.

    \b
    mlops release
    mlops release --evidence build/release/evidence.json
    """
    from ..git.lock import require_fresh
    from ..git.revision import Revision
    from ..release import changes
    from ..release.evidence import Images, load_evidence, read_evidence
    from ..release.history import route

    at = trunk(base)
    if evidence is not None:
        made = read_evidence(evidence)
        require_fresh(Revision(made.git_sha))
    else:
        from ..release.source import of_source, source  # takes seconds

        with source() as found:
            made = of_source(found, at, Images(serving="", training=""), None)
    if load_evidence(made.id, at) is not None:
        typer.echo(f"{made.id} is released already: nothing is proposed")
    else:
        proposal = changes.release(made, at)
        _propose(_with_notes(proposal, route(at)[0], made, at), at, dry_run)


@app.command()
def promote(
    environment: Annotated[str, typer.Argument(help="The target environment, such as prod.")],
    release: Annotated[
        str | None,
        typer.Option(help="The release id. [default: what the environment before it has]"),
    ] = None,
    unless_closed: UnlessClosed = False,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose a release to the next environment.

    The environment gets the release of the environment before it, or another one that it had:
    the way forth again after a wrong rollback.

    \b
    mlops promote staging
    mlops promote prod --release 20300107-1200-0123456
    """
    from ..release import changes, state
    from ..release.evidence import load_evidence

    at = trunk(base)
    proposal, target = changes.promote(environment, at, release), state.named(environment, at)
    release_id = proposal.trailers["Release-Id"]
    if (evidence := load_evidence(release_id, at)) is not None:  # the guard tells where it is not
        proposal = _with_notes(proposal, target, evidence, at)
    _propose(proposal, at, dry_run, unless_closed)


@app.command()
def rollback(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    to: Annotated[
        str | None, typer.Option(help="The release id. [default: the previous release]")
    ] = None,
    reason: Reason = "rolled back",
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to go back to an earlier release.

    The environment is held there until `mlops unhold`.

    \b
    mlops rollback prod --reason "answers are wrong since noon"
    """
    from ..release import changes

    at = trunk(base)
    _propose(changes.rollback(environment, at, to, reason), at, dry_run)


@app.command()
def hold(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    reason: Reason,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to stop promotions to an environment.

    Nothing is promoted to it until `mlops unhold`.
    """
    from ..release import changes

    at = trunk(base)
    _propose(changes.hold(environment, at, reason), at, dry_run)


@app.command()
def unhold(
    environment: Annotated[str, typer.Argument(help="The environment, such as prod.")],
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to allow promotions to it again."""
    from ..release import changes

    at = trunk(base)
    _propose(changes.hold(environment, at, None), at, dry_run)


@app.command()
def quarantine(
    release: Annotated[str, typer.Argument(help="The release id.")],
    reason: Reason,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to bar a release from all environments.

    It can be neither promoted nor rolled back to.
    """
    from ..release import changes

    at = trunk(base)
    _propose(changes.quarantine(release, at, reason), at, dry_run)


@app.command()
def propose(
    folder: Annotated[Path, typer.Argument(help="What `mlops update --output` wrote.")],
    under: Annotated[
        str, typer.Option(help="How the branch is named; older proposals of the kind are closed.")
    ] = "update/",
    unless_closed: UnlessClosed = False,
) -> None:
    """Propose what another job made.

    Pushes its branch and opens its pull request. What is proposed already stays as it is, and so
    does what somebody worked on.

    \b
    mlops propose build/update
    """
    from ..release.proposal import publish, unpack

    proposal, commit = unpack(folder, under)
    typer.echo(proposal.title)
    typer.echo(publish(proposal, commit, unless_closed))


@app.command()
def guard(base: Trunk = None) -> None:
    """Check changes of environments against the rules.

    Exit code 3 when one breaks a rule.
    """
    from datetime import UTC, datetime

    from ..git.revision import Revision, uncommitted
    from ..release import guard, proposal, state

    head, before = Revision.of("HEAD"), Revision.of(base or proposal.trunk())
    if head is None or before is None:
        typer.echo("there is nothing before this: no environment changes")
        return
    lines = guard.refusals(before, head, datetime.now(UTC), merged=proposal.is_trunk(head))
    for path in uncommitted(state.ENVIRONMENTS, state.RELEASES):
        lines.append(f"{path}: is not as it is committed, and commits are judged; commit it first")
    if lines:
        raise CheckError("\n".join(lines))
    typer.echo("environments change by the rules")


@app.command()
def sign_off(
    number: Annotated[
        int | None, typer.Argument(help="The number of the pull request.", min=1)
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Instead, note who approved what was merged.")
    ] = False,
    base: Trunk = None,
) -> None:
    """Check that a release has the approvals it needs.

    Reads the reviews of the pull request from GitHub. Exit code 3 while one is missing: for each
    role in `approvals` of policy.yaml, that of a person whom `approvers` in model.yaml names, of
    the last commit, and who wrote none of it. Going back to an earlier release needs none.

    \b
    mlops sign-off 12
    """
    import os

    from ..errors import ProjectError
    from ..git.revision import Revision
    from ..github.api import Api, Refused, repository
    from ..github.reviews import pull_request
    from ..release import sign_off

    if record == (number is not None):
        raise InputError("give the number of a pull request, or --record")
    at, head = trunk(base), Revision.of("HEAD")
    changes = sign_off.asked(at, head) if head and not record else []
    if not changes and not record:
        typer.echo("no environment that asks for approvals gets another release")
        return
    api = Api(repository(os.environ.get("GH_REPO")))
    try:
        if number is None:
            for line in sign_off.record(at, api):
                typer.echo(line)
            return
        pull = pull_request(number, api)
    except Refused as refused:
        which = "" if number is None else f"pull request {number}: "
        raise ProjectError(f"{which}{refused}") from None
    if waits := [*filter(None, (sign_off.unsigned(each, pull) for each in changes))]:
        raise CheckError("\n".join(waits))
    for change in changes:
        for approval in sign_off.approvals(change, pull):
            typer.echo(f"{change.environment}: {approval.role}: {approval}")


def _with_notes(
    proposal: "Proposal", target: "Environment", evidence: "Evidence", base: "Revision"
) -> "Proposal":
    """The same, with what it changes for the people who approve it."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from ..report.notes import notes

    return replace(proposal, body=notes(target, evidence, base, datetime.now(UTC)))


def _propose(
    proposal: "Proposal", base: "Revision", dry_run: bool, unless_closed: bool = False
) -> None:
    from datetime import UTC, datetime

    from ..git.revision import git
    from ..release.changes import propose
    from ..release.proposal import publish

    commit = propose(proposal, base, datetime.now(UTC))
    typer.echo(proposal.title)
    if dry_run:
        typer.echo(git("show", "--no-color", "--format=%B", commit))
        if proposal.body:
            typer.echo(proposal.body)
    else:
        typer.echo(publish(proposal, commit, unless_closed))
