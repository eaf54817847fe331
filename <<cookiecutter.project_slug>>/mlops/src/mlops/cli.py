"""`mlops`: a thin face on the modules beside it. Each command imports what it needs."""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .config.section import Task
from .errors import DEBUG_VARIABLE, CheckError, InputError, run
from .paths import RELEASE, REPORT, RETRAIN

if TYPE_CHECKING:
    from .comparison import Comparison
    from .release.proposal import Proposal
    from .revision import Revision

app = typer.Typer(
    help="From raw data to a verified model. The pipeline itself is `dvc repro`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
data = typer.Typer(help="Bring data of your own.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
feedback = typer.Typer(
    help="Tell what turned out to be true.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(feedback, name="feedback")


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
    from .metrics import METRICS

    source, chosen, drafts = init(path, target, time, task, database, force)
    used = [each for each in drafts if each.why_left_out is None]
    left_out = [each for each in drafts if each.why_left_out is not None]
    typer.echo(f"contract.yaml: {len(used)} columns, task {chosen}")
    for each in left_out:
        typer.echo(f"  left out {each.name}: {each.why_left_out}")
    typer.echo(
        f"params.yaml: the source is set; the gate is that {next(iter(METRICS[chosen]))} gets no "
        "worse; set bounds when you know the metrics"
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


Base = Annotated[str, typer.Option(help="The champion's branch, tag or commit.")]


@app.command()
def compare(base: Base = "HEAD") -> None:
    """Compare the model with that of another revision, on the same test rows.

    \b
    mlops compare                     what I have against my last commit
    mlops compare --base origin/main
    """
    from .report import terminal

    terminal.show(_compared(base))


@app.command()
def gate(
    base: Annotated[str | None, typer.Option(help="The champion's branch, tag or commit.")] = None,
) -> None:
    """Check the metrics against the gates of params.yaml; exit code 3 when one is broken.

    Gates on regression take part with --base.

    \b
    mlops gate
    mlops gate --base origin/main
    """
    from .config.params import load_params
    from .files import read_json
    from .gate import broken
    from .paths import METRICS, SLICES

    params = load_params()
    against = None if base is None else _compared(base)
    lines = broken(params, read_json(METRICS), read_json(SLICES), against)
    if lines:
        raise CheckError("\n".join(lines))
    typer.echo(f"gates kept: {', '.join(params.gates) or 'there are none'}")
    if base is None and any(each.regression is not None for each in params.gates.values()):
        typer.echo("(with --base, regression is checked too)")


@app.command()
def lock() -> None:
    """Check that dvc.lock fits its inputs and that the remote has what it names.

    Exit code 3 when a stage would run again or something was not pushed. Nothing is run or fetched.
    """
    from .lock import check

    state = check()
    if problems := state.problems():
        raise CheckError("\n".join(problems))
    if not state.exists:
        typer.echo("there is no dvc.lock yet: `uv run dvc repro` makes it")
    elif state.unreachable:
        typer.echo(f"dvc.lock fits its inputs; the remote was not asked: {state.unreachable}")
    else:
        typer.echo("dvc.lock fits its inputs, and the remote has what it names")


@app.command()
def report(
    base: Base = "HEAD",
    output: Annotated[Path, typer.Option(help="The folder to write.")] = REPORT,
    log: Annotated[
        Path | None, typer.Option(help="What `dvc repro` printed, to tell what ran.")
    ] = None,
) -> None:
    """Write report.md with its pictures: the verdict, and what changed since another revision.

    \b
    mlops report --base origin/main
    """
    from .report.report import report as write

    typer.echo(write(base, output, log))
    typer.echo(f"{output}/report.md")


@app.command()
def serve(
    model: Annotated[Path | None, typer.Option(help="The ONNX model.")] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; 0 for any free port.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; 0 for one a processor.")] = None,
    log: Annotated[
        str | None, typer.Option(help="The prediction log: a folder, or a URL like s3://…")
    ] = None,
) -> None:
    """Serve the model: the Open Inference Protocol over HTTP, and /predict for people.

    Every setting is a variable of the environment, too, MLOPS_PORT for --port:
    see mlops/docs/serve.md.

    \b
    mlops serve
    mlops serve --port 9000 --log build/predictions
    """
    from .serving.server import serve as run_server
    from .serving.settings import load_settings

    given = {"model": model, "host": host, "port": port, "workers": workers, "log": log}
    run_server(load_settings({k: str(v) for k, v in given.items() if v is not None}))


@app.command()
def smoke(
    url: Annotated[str, typer.Argument(help="Where the server is: http://HOST:PORT.")],
    release: Annotated[str | None, typer.Option(help="The release it must answer with.")] = None,
    within: Annotated[
        float, typer.Option(help="Milliseconds that a request may take, at the median.")
    ] = 250,
    wait: Annotated[float, typer.Option(help="Seconds to ask again until all holds.")] = 0,
) -> None:
    """Check a running server: health, release, one known prediction, latency.

    \b
    mlops smoke http://localhost:8080
    """
    from .serving.smoke import smoke as checks

    for line in checks(url, release, within, wait=wait):
        typer.echo(line)


@app.command()
def load(
    url: Annotated[str, typer.Argument(help="Where the server is: http://HOST:PORT.")],
    connections: Annotated[int, typer.Option(min=1, help="Open at once.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 10,
    rows: Annotated[int, typer.Option(min=1, help="Rows a request.")] = 1,
) -> None:
    """Put a server under load, and tell how quickly it answered.

    \b
    mlops load http://localhost:8080 --connections 64
    """
    from .report import terminal
    from .serving.load import load as put_under_load

    with terminal.watching(seconds) as watch:
        found = put_under_load(url, connections, seconds, rows, watch)
    terminal.show_load(found, rows)
    if not found.statuses[200]:
        raise CheckError(f"{url}: nothing was answered with 200")


Trunk = Annotated[
    str | None, typer.Option(help="What environments follow. [default: origin/main, or main]")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for those who read it later.")]


@app.command()
def batch(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="A .csv or .parquet file, or a folder of them."),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The folder to write, for this alone.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="The ONNX model. [default: models/model.onnx]")
    ] = None,
    environment: Annotated[
        str | None, typer.Option(help="Take the model that an environment runs: prod.")
    ] = None,
    partition_rows: Annotated[
        int, typer.Option(min=1, help="Rows of a file that are written together.")
    ] = 1_000_000,
    base: Trunk = None,
) -> None:
    """Score many rows in partitions; when it was stopped, run it again, and it goes on.

    What is there already stays if its file and the model are the same. Exit code 2 when a file
    cannot be scored; the others are.

    \b
    mlops batch data/new data/scored
    mlops batch data/new data/scored --environment prod
    """
    from .batch import batch as scored
    from .paths import ONNX

    if environment is None:
        done = scored(source, target, model or ONNX, None, partition_rows)
    elif model is not None:
        raise InputError("--model or --environment: give one of them")
    else:
        from .release.process import model_of
        from .release.target import target as wanted

        of = wanted(environment, _trunk(base))
        done = scored(source, target, model_of(of), of.release.id, partition_rows)
    typer.echo(
        f"{target}: {done.rows:,} predictions, {done.scored:,} of {done.partitions:,} "
        "partitions made now"
    )


@app.command()
def build(
    registry: Annotated[str, typer.Option(help="Where to, as HOST/NAME.")],
    build_arg: Annotated[
        list[str] | None,
        typer.Option("--build-arg", help="For both Dockerfiles, as NAME=value; repeatable."),
    ] = None,
    run_url: Annotated[
        str | None, typer.Option("--run", help="Where this runs, to be looked up later.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The folder to write.")] = RELEASE,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Build and push the images of the commit that is checked out, and write its evidence.

    The same commit makes the same images; one that a registry has is never replaced. The folder
    gets evidence.json, for `mlops release`, and each image's bill of materials.

    \b
    mlops build --registry registry.example.com/team/flights
    """
    from .files import write_text
    from .release.evidence import evidence_text, load_evidence, of_source, source
    from .release.images import bills_of_materials, image_names
    from .release.images import build as built

    at, arguments, names = _trunk(base), build_arg or [], image_names(registry)
    with source() as found:
        if dry_run:
            for name in names.values():
                typer.echo(f"{name}:{found.id} would be built of {found.commit}")
            return
        evidence = load_evidence(found.id, at)
        if evidence is None:
            evidence = of_source(found, at, built(found, registry, arguments), run_url)
        else:
            typer.echo(f"{found.id} is released already: nothing is built")
    bills_of_materials(output, arguments)
    write_text(output / "evidence.json", evidence_text(evidence))
    for image in (evidence.images.serving, evidence.images.training):
        typer.echo(image or "no image")
    typer.echo(f"{output}/evidence.json")


@app.command()
def release(
    evidence: Annotated[
        Path | None, typer.Option(help="What `mlops build` wrote; without it, there is no image.")
    ] = None,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Make a release of the commit that is checked out, and propose it to the first environment.

    \b
    mlops release
    mlops release --evidence build/release/evidence.json
    """
    from .files import load
    from .release.changes import release as proposed
    from .release.evidence import Evidence, Images, load_evidence, of_source, source

    at = _trunk(base)
    if evidence is not None:
        made = load(evidence, Evidence)
    else:
        with source() as found:
            made = of_source(found, at, Images(serving="", training=""), None)
    if load_evidence(made.id, at) is not None:
        typer.echo(f"{made.id} is released already: nothing is proposed")
    else:
        _propose(proposed(made, at), at, dry_run)


@app.command()
def promote(
    environment: Annotated[str, typer.Argument(help="Where to: staging, prod.")],
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose that an environment gets the release of the one before it.

    \b
    mlops promote staging
    """
    from .release.changes import promote as proposed

    at = _trunk(base)
    _propose(proposed(environment, at), at, dry_run)


@app.command()
def rollback(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    to: Annotated[
        str | None, typer.Option(help="The release; the one before if not given.")
    ] = None,
    reason: Reason = "rolled back",
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose to go back to an earlier release, and hold the environment there.

    \b
    mlops rollback prod --reason "answers are wrong since noon"
    """
    from .release.changes import rollback as proposed

    at = _trunk(base)
    _propose(proposed(environment, at, to, reason), at, dry_run)


@app.command()
def hold(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    reason: Reason,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose that nothing is promoted to an environment, until `mlops unhold`."""
    from .release.changes import hold as proposed

    at = _trunk(base)
    _propose(proposed(environment, at, reason), at, dry_run)


@app.command()
def unhold(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose that releases may be promoted to an environment again."""
    from .release.changes import hold as proposed

    at = _trunk(base)
    _propose(proposed(environment, at, None), at, dry_run)


@app.command()
def quarantine(
    release: Annotated[str, typer.Argument(help="The release's id.")],
    reason: Reason,
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Propose that a release is never promoted, nor gone back to, again."""
    from .release.changes import quarantine as proposed

    at = _trunk(base)
    _propose(proposed(release, at, reason), at, dry_run)


@app.command()
def guard(base: Trunk = None) -> None:
    """Check that what is checked out changes environments by the rules; exit code 3 when not."""
    from datetime import UTC, datetime

    from .release.guard import refusals
    from .release.proposal import trunk
    from .revision import Revision

    head, before = Revision.of("HEAD"), Revision.of(base or trunk())
    if head is None or before is None:
        typer.echo("there is nothing before this: no environment changes")
        return
    if lines := refusals(before, head, datetime.now(UTC)):
        raise CheckError("\n".join(lines))
    typer.echo("environments change by the rules")


@app.command()
def status(base: Trunk = None) -> None:
    """Show what each environment has, since when, how good it is, and what waits for it."""
    from datetime import UTC, datetime

    from .release.status import status as found
    from .report import terminal

    terminal.show_status(found(_trunk(base), datetime.now(UTC)))


@app.command()
def apply(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    base: Trunk = None,
    dry_run: DryRun = False,
) -> None:
    """Have an environment run what Git says, without losing a request.

    On the Docker Engine that `docker` takes (this machine's, or DOCKER_HOST=ssh://...), behind a
    proxy; a release without an image runs as a process on this machine. What fails leaves in place
    what served before, with exit code 3.

    \b
    mlops apply prod
    DOCKER_HOST=ssh://me@server mlops apply prod
    """
    from .release.apply import apply as steps
    from .release.apply import drift
    from .release.target import target

    at = _trunk(base)
    if dry_run:
        wanted = target(environment, at)
        typer.echo(f"{environment} is to run {wanted.release.id} at {wanted.settings.listen}")
        for line in drift(wanted):
            typer.echo(f"{environment}: {line}")
        return
    for line in steps(environment, at):
        typer.echo(line)


@app.command()
def stop(
    environment: Annotated[str, typer.Argument(help="Which one: dev.")],
    base: Trunk = None,
) -> None:
    """Stop what `mlops apply` started of an environment; its prediction log stays."""
    from .release.apply import stop as stopped

    done = stopped(environment, _trunk(base))
    typer.echo(f"{environment}: {'stopped' if done else 'nothing runs'}")


@app.command()
def trace(
    what: Annotated[str, typer.Argument(help="An environment, a release's id, or a URL.")],
    base: Trunk = None,
) -> None:
    """Go from what runs back to the raw data, checking each step; exit code 3 on a mismatch.

    \b
    mlops trace prod
    mlops trace http://localhost:8080
    """
    from .release.trace import trace as hops
    from .report import terminal

    if broken := terminal.show_hops(hops(what, _trunk(base))):
        raise CheckError(f"{what}: {broken} of its steps do not fit")


Log = Annotated[
    str | None,
    typer.Option(help="A folder, file or URL. [default: the environment's prediction log]"),
]


@app.command()
def monitor(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    start: Annotated[
        datetime | None, typer.Option("--from", help="In UTC. [default: eight windows back]")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", help="In UTC, not included. [default: now]")
    ] = None,
    log: Log = None,
    release: Annotated[
        str | None, typer.Option(help="Its id. [default: what the environment is to run]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder to write. [default: build/monitor/ENV]")
    ] = None,
    base: Trunk = None,
) -> None:
    """Hold what an environment saw against what its release was made of; exit code 3 on an alarm.

    The last window decides. Writes report.html, report.md and result.json.

    \b
    mlops monitor prod
    mlops monitor prod --from 2030-01-01 --to 2030-02-01
    """
    from .monitoring.run import run as watch
    from .paths import MONITOR

    folder = output or MONITOR / environment
    found = watch(environment, _trunk(base), start, end, log, release, folder)
    for line in found.summary():
        typer.echo(line)
    typer.echo(f"{folder}/report.html")
    if found.alarms:
        raise CheckError("\n".join(found.alarms))


@feedback.command("import")
def feedback_import(
    environment: Annotated[str, typer.Argument(help="Which one: prod.")],
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet: request, row (0 if not there), the target.")
    ],
    log: Log = None,
    base: Trunk = None,
) -> None:
    """Tell what turned out to be true of predictions, as often and as late as it is known.

    \b
    mlops feedback import prod arrived.csv
    """
    from .monitoring.run import import_feedback

    done = import_feedback(environment, _trunk(base), file, log)
    typer.echo(f"{file}: {done.labels:,} labels" + ("" if done.name else ", known already"))
    if done.repeated or done.contradicting:
        typer.echo(
            f"{done.repeated:,} lines repeat another; {done.contradicting:,} contradict one, and "
            "the last counts"
        )
    if done.incomplete:
        typer.echo(f"{done.incomplete:,} lines have no label, or nothing that it is of: left out")


@app.command()
def retrain(
    reason: Reason = "asked for by hand",
    check: Annotated[
        bool, typer.Option("--check", help="Only ask GitHub whether one may start now.")
    ] = False,
    output: Annotated[Path, typer.Option(help="The folder of the report.")] = RETRAIN,
) -> None:
    """Train on fresh data, and commit what is better on a branch; exit code 3 when nothing is.

    The source is read again, the pipeline run, and the model held against that of the last commit
    on the newest rows. What is checked out stays as it is.

    \b
    mlops retrain --reason "drift in prod"
    """
    if check:
        _may_start()
        return
    from .monitoring.retrain import retrain as retrained
    from .revision import git

    done = retrained(reason, output)
    typer.echo(done.headline)
    typer.echo(f"{output}/report/report.md")
    if "origin" in git("remote").split():
        typer.echo(f"Next: git push origin {done.branch}, and have it reviewed and merged")
    else:
        typer.echo(f"Next: git merge --ff-only {done.branch}")


def _may_start() -> None:
    from datetime import UTC

    from .config.params import load_params
    from .github.api import Api, repository
    from .monitoring.storm import past, refusal

    how, now = load_params().retraining, datetime.now(UTC)
    api = Api(repository(os.environ.get("GH_REPO")))
    if why := refusal(past(api, how, now), how, now):
        raise CheckError(why)
    typer.echo("a retraining may start")


@app.command()
def github(
    repo: Annotated[
        str | None, typer.Option(help="OWNER/NAME. [default: that of the remote origin]")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Set up GitHub as .github/settings.yaml says: rules, environments, labels, variables.

    Exit code 3 when something is not enforced, which is listed with what to do instead.

    \b
    mlops github --dry-run
    mlops github
    """
    from .github.api import Api, repository
    from .github.apply import advice, settle
    from .github.settings import load_settings

    settings = load_settings()
    if problems := settle(settings, Api(repository(repo)), dry_run, typer.echo):
        raise CheckError(advice(problems))


def _trunk(name: str | None) -> "Revision":
    from .release.proposal import trunk
    from .revision import Revision

    found = Revision.of(name or trunk())
    if found is None:
        raise InputError(f"{name}: no commit")
    return found


def _propose(proposal: "Proposal", base: "Revision", dry_run: bool) -> None:
    from datetime import UTC, datetime

    from .release.changes import propose
    from .release.proposal import publish
    from .revision import git

    commit = propose(proposal, base, datetime.now(UTC))
    typer.echo(proposal.title)
    if dry_run:
        typer.echo(git("show", "--no-color", "--format=%B", commit))
    else:
        typer.echo(publish(proposal, commit))


def _compared(base: str) -> "Comparison":
    from .comparison import compare
    from .config.params import load_params
    from .revision import Revision

    return compare(load_params(), Revision.of(base))


def main() -> None:
    """The `mlops` command."""
    run(app)
