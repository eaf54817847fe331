"""Technical documentation in the order of Annex IV of the EU's AI Act (2024/1689), from facts.

Each point says what committed files say of it, and which of it nobody has said yet: a gap. Whether
a point is met is for lawyers to judge, and not for a program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..card import Card, Measured, load_card
from ..digits import digits
from ..errors import InputError
from ..git.revision import WORKSPACE, Revision
from ..paths import LOCK
from ..release.evidence import load_evidence
from ..release.settings import load
from ..release.state import ENVIRONMENTS, RELEASES
from .layout import layout
from .markdown import tidy

MANUAL = "mlops/docs"
# Releases that are listed, the newest first.
RELEASES_SHOWN = 20


@dataclass(frozen=True)
class Point:
    """A point of the annex.

    Attributes:
        number, title: as the annex has them, the title in short.
        told: what the files say of it, a line each.
        gaps: what of it nobody has said, a line each.
    """

    number: str
    title: str
    told: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


def annex(at: Revision = WORKSPACE) -> list[Point]:
    """The points in the annex's order. Raises InputError where there is no model to tell of."""
    card = load_card(at)
    return [Point(number, title, *_split(write(card, at))) for number, title, write in _POINTS]


def markdown(points: list[Point], name: str) -> str:
    """The document, for people who complete it."""
    return tidy(layout("annex.md").render(points=points, name=name))


@dataclass(frozen=True)
class _Gap:
    """What nobody has said, and where to say it."""

    what: str


Lines = Iterator[str | _Gap]


def _split(lines: Lines) -> tuple[list[str], list[str]]:
    known = [*lines]
    told = [line for line in known if isinstance(line, str)]
    return told, [line.what for line in known if isinstance(line, _Gap)]


def _of(what: str, value: object, key: str) -> Lines:
    """What model.yaml says under a key, or that it does not."""
    if not value:
        yield _Gap(f"{what}: `{key}` in `model.yaml`")
    else:
        yield f"{what}: {'; '.join(value) if isinstance(value, list) else value}"


def _purpose(card: Card, at: Revision) -> Lines:
    yield from _of("Problem", card.said.problem, "problem")
    yield from _of("Purpose", card.said.goal, "goal")
    yield from _of("Intended uses", card.said.intended, "intended")
    yield from _of("Uses that are out of scope", card.said.out_of_scope, "out_of_scope")
    yield from _of("Accountable", card.said.owner, "owner")
    yield from _of("Class in the AI Act", card.said.regulation, "regulation")
    yield f"Name and version: {card.name} {card.version or ''}".rstrip()
    yield from _releases(at)
    yield _Gap("Name and address of the provider, as the Act understands it")


def _releases(at: Revision) -> Lines:
    names = [] if at.commit is None else at.files(RELEASES, ".json")
    for name in names[::-1][:RELEASES_SHOWN]:
        try:
            evidence = load_evidence(name.removesuffix(".json"), at)
        except InputError as error:
            yield _Gap(f"Release {name}: {error}")
            continue
        if evidence is not None:
            champion = evidence.champion or "none"
            yield (
                f"Release {evidence.id}: {evidence.model.version}, model {evidence.model.sha256}, "
                f"of commit {evidence.git_sha}, made {evidence.created}; before it: {champion}"
            )
    if len(names) > RELEASES_SHOWN:
        yield f"{len(names) - RELEASES_SHOWN} releases before these are in `{RELEASES}`"
    if not names:
        yield _Gap("Versions: nothing has been released, or this was not asked of a commit")


def _interaction(card: Card, _at: Revision) -> Lines:
    yield f"It answers over HTTP, by the Open Inference Protocol 2 and as JSON: `{MANUAL}/serve.md`"
    yield f"Rows in files are scored in batches: `{MANUAL}/batch.md`"
    if card.said.teams:
        yield f"Answers go to: {'; '.join(card.said.teams.use)}"
    else:
        yield _Gap("Who uses the answers: `teams` in `model.yaml`")
    for name, use in (card.said.callers or {}).items():
        yield f"{name} asks it, for: {use}"
    if not card.said.callers:
        yield _Gap("The systems that ask it: `callers` in `model.yaml`")


def _versions(_card: Card, at: Revision) -> Lines:
    lock = at.read_bytes(Path("uv.lock"))
    if lock is None:
        yield _Gap("Versions of software: there is no `uv.lock`")
    else:
        yield "Versions of all software, with hashes: `uv.lock`; bills of materials of the images"
    yield f"How updates are brought in: `{MANUAL}/update.md`, `{MANUAL}/cd.md`"


def _forms(card: Card, _at: Revision) -> Lines:
    size = f", {card.lineage.model_bytes:,} bytes" if card.lineage.model_bytes else ""
    yield f"An ONNX model{size}, a container image that serves it, and a command line"


def _hardware(_card: Card, at: Revision) -> Lines:
    names = at.folders(ENVIRONMENTS)
    for name in names:
        try:
            settings = load(name, at)
        except InputError as error:
            yield _Gap(f"{name}: {error}")
        else:
            yield f"{name}: {settings.memory} MB of memory, at {settings.listen}"
    if not names:
        yield _Gap("Hardware: there is no environment")


def _product(_card: Card, _at: Revision) -> Lines:
    yield _Gap("Pictures of the product that it is a part of, if it is a part of one")


def _interface(card: Card, _at: Revision) -> Lines:
    yield f"A page with a form at `/`, and a description in OpenAPI: `{MANUAL}/serve.md`"
    yield f"{len(card.inputs)} inputs are listed under 3"


def _instructions(card: Card, _at: Revision) -> Lines:
    yield "A page for people who do not program: `reports/model-card.html`"
    yield from _of("Where answers are poor", card.said.limits, "limits")
    yield from _of("What to do when it goes wrong", card.said.runbook, "runbook")


def _methods(card: Card, _at: Revision) -> Lines:
    yield f"Steps: `dvc.yaml`, with the proof of what came out in `{LOCK}` ({_hash(card)})"
    yield f"Estimator: {card.estimator}, converted to ONNX: `{MANUAL}/train.md`"
    if card.parity is not None:
        yield f"Furthest from what was trained: {digits(card.parity)} of an output's spread"
    yield _Gap("Pre-trained systems or tools of third parties, if the own code brings any in")


def _hash(card: Card) -> str:
    return f"SHA-256 {card.lineage.lock_sha256}" if card.lineage.lock_sha256 else "not there"


def _design(card: Card, _at: Revision) -> Lines:
    what = f"says {card.target.name}" if card.target else "sorts rows into clusters"
    yield f"It {what} ({card.task}); parameters are in `params.yaml`"
    for name, gate in card.gates.items():
        bounds = [f"at least {gate.min:g}"] if gate.min is not None else []
        bounds += [f"at most {gate.max:g}"] if gate.max is not None else []
        yield f"It must keep {name}: {' and '.join(bounds) or 'no worse than before'}"
    yield from _of("Whom its answers touch", card.said.affected, "affected")
    for each in card.importance[:5]:
        yield f"It goes by {each['column']}: {digits(each['importance'])} worse without it"
    yield _Gap("Why it was designed so, with assumptions and trade-offs: `docs/` is the place")


def _architecture(_card: Card, _at: Revision) -> Lines:
    yield f"Pipeline, releases and environments: `README.md`, `{MANUAL}/environments.md`"
    yield _Gap("Computing power and energy that development took: nothing measures it")


def _data(card: Card, _at: Revision) -> Lines:
    for each in card.sources:
        rows = "" if each.rows is None else f", {each.rows:,} rows"
        yield f"Source {each.name}{rows}, SHA-256 {each.sha256 or 'not told'}"
        for what, value in (("licence", each.licence), ("personal data", each.personal_data)):
            if value:
                yield f"{each.name}: {what}: {value}"
            else:
                yield _Gap(f"{each.name}: {what}: `sources` in `model.yaml`")
    taken = f", taken {card.lineage.retrieved_at}" if card.lineage.retrieved_at else ""
    yield f"Snapshot: SHA-256 {card.lineage.snapshot_sha256 or 'not told'}{taken}"
    for name, part in card.parts.items():
        time = f", {part.time[0]} to {part.time[1]}" if part.time else ""
        yield f"Rows for {name}: {part.rows:,}{time}"
    yield f"Columns, rules and cleaning: `contract.yaml`, `{MANUAL}/contract.md`"
    yield from (f"Doubt: {line}" for line in card.caveats)
    if card.said.teams:
        yield f"Handed in by: {'; '.join(card.said.teams.supply)}"
    else:
        yield _Gap("Who hands data in: `teams` in `model.yaml`")
    yield from _of("Retention", card.said.retention, "retention")
    yield _Gap("How the data was selected, and how labels came about")


def _oversight(_card: Card, _at: Revision) -> Lines:
    yield f"The strongest reasons for each answer can be asked for: `{MANUAL}/explain.md`"
    yield f"Releases can be held, rolled back and barred: `{MANUAL}/environments.md`"
    yield _Gap("Who looks at answers before they count, and who may overrule them (article 14)")


def _planned(_card: Card, _at: Revision) -> Lines:
    yield (
        "It is trained again on new data by the same steps; a model that is worse by more than "
        f"chance is not merged: `{MANUAL}/retrain.md`, `{MANUAL}/gates.md`"
    )


def _validation(card: Card, _at: Revision) -> Lines:
    yield from _measured(card)
    for answer, metrics in card.naive.items():
        yield f"Without a model, {answer}: {_numbers(metrics)}"
    yield from _groups(card)
    yield "Reports: `reports/`, recomputed by the judge of each pull request"
    yield _Gap("Test reports, dated and signed by those who are responsible")


def _measured(card: Card) -> Lines:
    for name, each in card.metrics.items():
        yield f"{name} of the test rows: {_with_interval(each, card.confidence)}"


def _with_interval(each: Measured, confidence: float) -> str:
    if each.low is None or each.high is None:
        return digits(each.value)
    return f"{digits(each.value)} ({confidence:.0%}: {digits(each.low)} to {digits(each.high)})"


def _numbers(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {digits(value)}" for name, value in metrics.items())


def _groups(card: Card) -> Lines:
    for column, found in card.fairness.items():
        for metric, each in found["disparities"].items():
            low, high = (f"{each[k]} {digits(each[v])}" for k, v in _SIDES)
            yield f"{metric} by {column}: {low}, {high}"
    if not card.fairness:
        yield _Gap(
            "What it does to groups of people: no column of `contract.yaml` has role `sensitive`, "
            "or too few rows"
        )


_SIDES = (("lowest", "low"), ("highest", "high"))


def _security(_card: Card, _at: Revision) -> Lines:
    yield f"Tokens, bounds of memory and time, and what is not protected: `{MANUAL}/serve.md`"
    yield "Images are built from pinned sources and attested; actions are pinned by hash"
    yield _Gap("Attacks on the training data, and by chosen inputs: nobody has looked")


def _functioning(card: Card, _at: Revision) -> Lines:
    yield from _measured(card)
    yield from _of("Limits", card.said.limits, "limits")
    yield from _groups(card)
    for column, slices in card.slices.items():
        for value, metrics in slices.items():
            yield f"For {column} {value}: {_numbers(metrics)}"
    for each in card.inputs:
        described = f": {each.description}" if each.description else ""
        yield f"Input {each.name}, {each.kind}{described}"
    yield _Gap("Unintended outcomes, and risks to health, safety and fundamental rights")


def _appropriateness(card: Card, _at: Revision) -> Lines:
    if card.said.success:
        success = card.said.success
        yield (
            f"The business counts {success.measure}: {digits(success.baseline)} without it, "
            f"{digits(success.target)} wanted ({success.unit})"
        )
    else:
        yield _Gap("What the business counts: `success` in `model.yaml`")
    yield f"It is judged by {', '.join(card.gates) or 'no gate'}"
    yield _Gap("Why these metrics are right for this purpose")


def _risks(card: Card, _at: Revision) -> Lines:
    for name, risk in dict(card.said.risks or {}).items():
        yield (
            f"{name.replace('_', ' ')}: likelihood {risk.likelihood}, impact {risk.impact} of 5; "
            f"{risk.mitigation}; {risk.owner} looks again by {risk.review}"
        )
    if not card.said.risks:
        yield _Gap("Risks: `risks` in `model.yaml`")
    yield f"An overdue review stops releases, where policies ask: `{MANUAL}/governance.md`"


def _changes(_card: Card, at: Revision) -> Lines:
    yield from _releases(at)
    yield "Git has every change of code, data, parameters and environments: `mlops audit`"


def _standards(_card: Card, _at: Revision) -> Lines:
    yield _Gap("Harmonised standards that were applied, or what was done in their place")


def _declaration(_card: Card, _at: Revision) -> Lines:
    yield _Gap("The EU declaration of conformity (article 47)")


def _post_market(card: Card, _at: Revision) -> Lines:
    yield f"Drift, live metrics, groups and callers are watched: `{MANUAL}/monitor.md`"
    yield from _of("Who is told", card.said.technical_contact, "technical_contact")
    yield _Gap("The plan of article 72(3)")


_POINTS: list[tuple[str, str, Callable[[Card, Revision], Lines]]] = [
    ("1(a)", "Purpose, provider, version", _purpose),
    ("1(b)", "Interaction with other hardware and software", _interaction),
    ("1(c)", "Versions of software, and updates", _versions),
    ("1(d)", "Forms in which it is put into service", _forms),
    ("1(e)", "Hardware that it runs on", _hardware),
    ("1(f)", "The product that it is a part of", _product),
    ("1(g)", "User interface", _interface),
    ("1(h)", "Instructions for use", _instructions),
    ("2(a)", "Methods and steps of development", _methods),
    ("2(b)", "Design: logic, choices, what it optimises", _design),
    ("2(c)", "Architecture and computing resources", _architecture),
    ("2(d)", "Data: provenance, scope, labelling, cleaning", _data),
    ("2(e)", "Human oversight", _oversight),
    ("2(f)", "Changes that are determined beforehand", _planned),
    ("2(g)", "Validation and testing", _validation),
    ("2(h)", "Cybersecurity", _security),
    ("3", "Monitoring, functioning and control", _functioning),
    ("4", "Whether the metrics are the right ones", _appropriateness),
    ("5", "Risk management", _risks),
    ("6", "Changes through the lifecycle", _changes),
    ("7", "Standards", _standards),
    ("8", "EU declaration of conformity", _declaration),
    ("9", "Monitoring after it is put into service", _post_market),
]
