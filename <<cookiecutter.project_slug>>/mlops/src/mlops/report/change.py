"""The facts of a change: whether the model is better, and what differs from another revision."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import pyarrow.parquet as pq

from ..card import decided_at
from ..config.fairness import Parity
from ..config.params import Params, load_params
from ..data.clean import Step
from ..data.contract import Contract, conform, load_contract
from ..data.inputs import columns, model_inputs
from ..data.profile import Change as ColumnChange
from ..data.profile import changes
from ..errors import InputError, ProjectError
from ..experiments.record import Record, fingerprint, noted
from ..export.specification import Specification
from ..export.targets import TARGETS, opened
from ..files import digest
from ..git import lock
from ..git.engine import MANIFEST, engine
from ..git.revision import WORKSPACE, Revision, git, uncommitted
from ..judging.comparison import Comparison, compare, latency, refitted_from
from ..judging.fairness import FairnessFile
from ..judging.gate import Breach, broken
from ..judging.paired import Compared, judged
from ..judging.recount import judged_by
from ..judging.slices import Slices, slices
from ..learning.caveats.caveat import Caveat
from ..learning.metrics import catalogue
from ..learning.naive import NaiveScores
from ..paths import (
    CANDIDATE_ONNX,
    CAVEATS,
    CHOSEN,
    CONTRACT,
    EXPORT,
    EXPORT_REPORTS,
    FAIRNESS,
    FEATURES,
    FOLDS,
    LOCK,
    METRICS,
    NAIVE,
    ONNX,
    PARAMS,
    PARITY,
    PARTS,
    PROFILE,
    PROVENANCE,
    SLICES,
    SNAPSHOT,
    SPLIT,
    VALIDATION,
)
from ..pipeline import TOOK

# Uncommitted files that are named; more are counted.
NAMED = 3


@dataclass(frozen=True)
class Numbers:
    """A number of both revisions; None where one has none."""

    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """After minus before."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before


@dataclass(frozen=True)
class Texts:
    """A hash or a setting of both revisions; None where it is not there."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Data:
    """What the snapshots look like, by their profiles.

    Attributes:
        before: rows of the base's; None where it has no profile.
        after, columns: rows and columns of this one's.
        changes: the columns that differ.
        unchanged: whether both profiles are the same.
    """

    before: int | None
    after: int
    columns: int
    changes: list[ColumnChange]
    unchanged: bool


@dataclass(frozen=True)
class Slice:
    """The metric that decides, on the rows with a value."""

    value: str
    rows: int
    metric: Numbers


@dataclass(frozen=True)
class Apart:
    """The groups of a column, as `evaluate` found them.

    Attributes:
        metrics: those that are told, in the order of the table.
        groups: by value: rows, and each metric with its interval; as fairness.Group.
        lines: how far they are apart, a metric a line, and what is not sure.
    """

    metrics: list[str]
    groups: dict[str, Any]
    lines: list[str]


@dataclass(frozen=True)
class Model:
    """The ONNX model.

    Attributes:
        size: in bytes.
        parity: the largest difference from scikit-learn.
        tolerance: how large that may be.
        latency: seconds to answer one row; None where the models were not compared.
    """

    size: Numbers
    parity: Numbers
    tolerance: float
    latency: Numbers | None


@dataclass(frozen=True)
class Exported:
    """The model for another machine than a server.

    Attributes:
        target: its name in params.yaml.
        size: of its files together, in bytes.
        difference: the largest from scikit-learn, as Model.parity.
        costs: by metric its value, and the low and the high end of what it loses against ONNX.
        latency: the median of seconds to answer a row here; None where its runtime is not.
        footprint: what it takes of a microcontroller, in bytes, by `flash` and `ram`; None where
            nothing bounds it.
    """

    target: str
    size: Numbers
    difference: float
    costs: dict[str, tuple[float, float, float]]
    latency: float | None
    footprint: dict[str, int] | None


@dataclass(frozen=True)
class Part:
    """A part of the rows, as `split` describes it.

    Attributes:
        name: train, validation or test.
        rows: how many there are.
        distinct: how many of them are distinct in their features.
        shares: of each class; empty unless the target has classes.
        quantiles: of a number: its lowest, three quarters and its highest; empty unless it is one.
        time: its first and its last moment; empty without a time.
    """

    name: str
    rows: int
    distinct: int
    shares: dict[str, float] = field(default_factory=dict)
    quantiles: list[float] = field(default_factory=list)
    time: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """What became of a stage in a run, and how many seconds it took."""

    name: str
    outcome: Literal["ran", "up to date", "taken from the cache"]
    seconds: float | None = None


@dataclass(frozen=True)
class Experiments:
    """What is noted of experiments.

    Attributes:
        led: those whose settings these are.
        others: those that were noted since the base, and were not taken.
    """

    led: list[Record]
    others: list[Record]


@dataclass(frozen=True)
class Change:
    """The workspace against a base.

    Attributes:
        base: what the base is called; "nothing" where there is none.
        base_commit: its commit.
        commit: the one that is checked out; None where nothing is committed.
        has_lock: whether Git has a dvc.lock there.
        comparison: of both models.
        decide: the metrics that decide.
        confidence: of the intervals.
        currency: what predictions are worth is counted in it.
        lock, broken: what must be mended.
        engine: its files that are not what its version shipped, a line each.
        metrics: each on its own test rows.
        naive: of each metric that decides, the best naive answer and its value.
        better: which values of the first metric that decides.
        lower: the metrics of which a lower value is better.
        files: those that differ from the base, with those that Git does not know.
        uncommitted: those that differ from the commit, so that the commit makes another model.
        refit: whether what is served was trained on all rows, and the verdict is on how it is made.
        threshold: from which probability the second class is predicted; None for the likelier.
        caveats: what makes the numbers doubtful.
        cleaned: what was done to rows before anything learned from them.
        folds: the mean and the standard deviation of each metric over the folds, and their number;
            empty where there are none.
        parts: what the rows for training, validation and test look like.
        slices: that metric by column and value.
        fairness: what it does to groups, by column with role sensitive.
        parameters: those that differ; None where there is no base.
        exports: the model for other machines than a server.
        experiments: those that led to it, and those that were thrown away.
        stages: of the run that made this; empty where its log is not at hand.
        params: of the workspace.
    """

    base: str
    base_commit: str | None
    commit: str | None
    has_lock: bool
    comparison: Comparison
    decide: list[str]
    confidence: float
    currency: str | None
    lock: lock.LockState
    broken: list[Breach]
    engine: list[str]
    metrics: dict[str, Numbers]
    naive: dict[str, tuple[str, float]]
    better: Literal["higher", "lower"]
    lower: list[str]
    files: list[str]
    uncommitted: list[str]
    refit: bool
    threshold: float | None
    caveats: list[Caveat]
    cleaned: list[Step]
    folds: dict[str, tuple[float, float, int]]
    parts: list[Part]
    slices: dict[str, list[Slice]]
    fairness: dict[str, Apart]
    parameters: list[Texts] | None
    data: Data | None
    model: Model | None
    exports: list[Exported]
    experiments: Experiments
    stages: list[Stage]
    lineage: list[Texts]
    params: Params = field(repr=False)

    @property
    def gated(self) -> list[str]:
        """The metrics that gates are on, and those that decide."""
        return [*dict.fromkeys([*self.decide, *self.params.gates])]

    @property
    def failed(self) -> set[str]:
        """The metrics of which a gate is broken."""
        return {each.metric for each in self.broken if each.metric is not None}

    @property
    def only_documentation(self) -> bool:
        """Whether something differs from the base, and nothing of that makes a model."""
        return bool(self.files) and all(map(_is_documentation, self.files))

    @property
    def sources(self) -> list[str]:
        """What is not committed and may make another model than the commit: no output of it."""
        made = (str(LOCK), "reports/", ".dvc/")
        return [
            each
            for each in self.uncommitted
            if not each.startswith(made) and not _is_documentation(each)
        ]

    @property
    def this(self) -> str | None:
        """What the model was made from, in words; None where nothing is committed."""
        if self.commit is None:
            return None
        shown = self.sources[:NAMED]
        if more := len(self.sources) - len(shown):
            shown.append(f"{more} more")
        return self.commit[:7] + (f" + uncommitted {', '.join(shown)}" if shown else "")

    @property
    def base_has_metrics(self) -> bool:
        """Whether there is something to look at beside this one's metrics."""
        return any(each.before is not None for each in self.metrics.values())

    @property
    def stop(self) -> list[str]:
        """What must be mended before a merge, a line each."""
        return [*self.lock.problems(), *map(str, self.broken)]


def change(
    name: str, log: Path | None, comparison: Comparison | None = None, pushed: bool = True
) -> Change:
    """Hold the workspace against a base.

    Args:
        name: the base revision, as Git knows it; all zeros for none.
        log: what `dvc repro` printed, to tell which stages ran; None leaves that out.
        comparison: with the base, where it was made already.
        pushed: whether the remote is to have the data by now.
    """
    params, base = load_params(), Revision.of(name)
    found = comparison or compare(params, base)
    metrics = WORKSPACE.load(METRICS) or {}
    decide, head = judged(params), _head()
    known = catalogue(params.task, params.evaluate.value)
    return Change(
        base=_short(name) if base else "nothing",
        base_commit=base.commit if base else None,
        commit=head.commit if head else None,
        has_lock=head is not None and head.read(LOCK) is not None,
        comparison=found,
        decide=decide,
        confidence=params.compare.confidence,
        currency=params.evaluate.value.currency if params.evaluate.value else None,
        lock=lock.check(remote=pushed),
        broken=_broken(params, base, found),
        engine=changed_engine(),
        metrics=_numbers(_loaded(base, METRICS) or {}, metrics),
        naive=_naive(params),
        better=known[decide[0]].better,
        lower=[name for name, metric in known.items() if metric.better == "lower"],
        files=_files(base),
        uncommitted=[*map(str, uncommitted(Path()))] if head else [],
        refit=refitted_from(WORKSPACE) is not None,
        threshold=None if params.train.threshold is None else decided_at(WORKSPACE),
        caveats=[*_caveats()],
        cleaned=[Step(**each) for each in (WORKSPACE.load(VALIDATION) or {}).get("clean", [])],
        folds=_folds(),
        parts=[
            Part(name, **each)
            for name, each in (WORKSPACE.load(SPLIT) or {}).get("parts", {}).items()
        ],
        slices=_slices(params, base, found),
        fairness=_fairness(params, found),
        parameters=None if base is None else [*_parameters(params, base)],
        data=_data(base),
        model=_model(base, found),
        exports=_exports(base, params),
        experiments=_experiments(base),
        stages=_stages(log),
        lineage=[*_lineage(base, head)],
        params=params,
    )


def _broken(params: Params, base: Revision | None, found: Comparison) -> list[Breach]:
    """The gates that are not kept, by what is counted again; nothing without metrics."""
    if WORKSPACE.load(METRICS) is None:
        return broken(params, {}, {}, found)
    try:
        judged = judged_by(params, base)
    except InputError as error:
        return [Breach(None, "evidence", str(error))]
    return judged.breaches(params, found)


def _head() -> Revision | None:
    try:
        return Revision.of("HEAD")
    except InputError:  # nothing is committed
        return None


def _files(base: Revision | None) -> list[str]:
    """The files of the workspace that are not as at the base, below the project's root."""
    if base is None:
        return []
    options = ("--name-only", "--relative", "--no-renames", "-z")
    known = git("diff", *options, str(base.commit), "--", ".").split("\0")[:-1]
    return [*dict.fromkeys([*known, *map(str, uncommitted(Path()))])]


def _is_documentation(file: str) -> bool:
    """As CI knows it, which does not run for such a change: see ci.yml."""
    return file.startswith("docs/") or file.endswith(".md")


def _short(name: str) -> str:
    if re.fullmatch("[0-9a-f]{40}", name):
        return name[:7]
    return name.removeprefix("refs/remotes/").removeprefix("origin/")


def changed_engine() -> list[str]:
    """What differs from the engine that was shipped; nothing where none is here."""
    return engine().differences.lines() if MANIFEST.is_file() else []


def _folds() -> dict[str, tuple[float, float, int]]:
    found: dict[str, list[float]] = {}
    for fold in WORKSPACE.load(FOLDS) or []:
        for name, value in fold["metrics"].items():
            found.setdefault(name, []).append(value)
    return {
        name: (mean(values), stdev(values), len(values))
        for name, values in found.items()
        if len(values) > 1
    }


def _caveats() -> Iterator[Caveat]:
    of_data = (WORKSPACE.load(VALIDATION) or {}).get("caveats", [])
    for each in [*of_data, *(WORKSPACE.load(CAVEATS) or [])]:
        yield Caveat(**each)


def _experiments(base: Revision | None) -> Experiments:
    """Of settings that are the base's, what is noted since: nothing else led here from there."""
    before, own = fingerprint(base) if base else None, fingerprint(WORKSPACE)
    known = {each.name: each for each in noted(base)} if base else {}
    new = [each for each in noted(WORKSPACE) if known.get(each.name) != each]
    led = [
        each
        for each in (noted(WORKSPACE) if before != own else new)
        if each.fingerprint is not None and each.fingerprint == own
    ]
    return Experiments(led, [each for each in new if each not in led])


def _loaded(revision: Revision | None, path: Path) -> Any:
    return revision.load(path) if revision else None


def _numbers(before: dict[str, float], after: dict[str, float]) -> dict[str, Numbers]:
    names = dict.fromkeys([*after, *before])
    return {name: Numbers(before.get(name), after.get(name)) for name in names}


def _naive(params: Params) -> dict[str, tuple[str, float]]:
    scores: NaiveScores = WORKSPACE.load(NAIVE) or {}
    known, best = catalogue(params.task, params.evaluate.value), {}
    for name in judged(params):
        said = {answer: each[name] for answer, each in scores.items() if name in each}
        if said:
            choose = max if known[name].better == "higher" else min
            answer = choose(said, key=lambda each: said[each])
            best[name] = answer, said[answer]
    return best


def _slices(params: Params, base: Revision | None, found: Comparison) -> dict[str, list[Slice]]:
    """On the same test rows where both models answered them, else each on its own."""
    before: Slices = _loaded(base, SLICES) or {}
    after: Slices = WORKSPACE.load(SLICES) or {}
    if found.answers:
        both, test = found.answers, found.answers.test
        contract = load_contract().only({*test.columns})  # contract.yaml may be ahead of the rows
        before, after = (
            slices(params.task, side.scored, test, contract, params.evaluate)
            for side in (both.champion, both.challenger)
        )
    name = judged(params)[0]
    told = {}
    for column, values in after.items():
        was = before.get(column, {})
        told[column] = [
            Slice(value, int(now["rows"]), Numbers(was.get(value, {}).get(name), now.get(name)))
            for value, now in values.items()
        ]
    return {column: rows for column, rows in told.items() if rows}


def _fairness(params: Params, found: Comparison) -> dict[str, Apart]:
    said: FairnessFile = WORKSPACE.load(FAIRNESS) or {}
    told = {}
    for label, each in said.items():
        metrics = [*dict.fromkeys(m for group in each["groups"].values() for m in group["metrics"])]
        compared = found.fairness.get(label, {})
        lines = [
            _line(name, apart, params.fairness.get(name), compared.get(name))
            for name, apart in each["disparities"].items()
        ]
        told[label] = Apart(metrics, each["groups"], lines)
    return told


def _line(name: str, apart: Any, parity: Parity | None, compared: Compared | None) -> str:
    """How far groups are apart in a metric, and whether that is sure and more than it was."""
    by, ratio = apart["difference"], apart["ratio"]
    line = f"`{name}`: {by['value']:.3g} apart ({_range(by)})"
    line += f", ratio {ratio['value']:.3g} ({_range(ratio)})" if ratio else ""
    if compared is not None and compared.verdict != "same":
        more = "further apart" if compared.verdict == "worse" else "closer"
        line += f"; {more} than by the champion, {compared.champion:.3g}"
    if parity is not None and _is_doubtful(parity, by, ratio):
        line += "; may be more than is allowed, which so few rows do not tell"
    return line


def _range(each: Any) -> str:
    return " to ".join("?" if each[end] is None else f"{each[end]:.3g}" for end in ("low", "high"))


def _is_doubtful(parity: Parity, by: Any, ratio: Any) -> bool:
    """Whether the number itself is out of bounds, which its interval does not settle."""
    far = parity.difference is not None and by["value"] > parity.difference >= (by["low"] or 0)
    few = ratio is not None and parity.ratio is not None and ratio["value"] < parity.ratio
    return far or (few and (ratio["high"] is None or ratio["high"] >= parity.ratio))


def _parameters(params: Params, base: Revision) -> Iterator[Texts]:
    # What training used is what params.yaml says, unless it chose.
    is_chosen = params.train.search.trials or isinstance(params.train.threshold, str)
    searched = [CHOSEN] if is_chosen else []
    for path in (PARAMS, CONTRACT, FEATURES, *searched):
        before, after = (_flat(side.load(path) or {}) for side in (base, WORKSPACE))
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                where = {PARAMS: key, CHOSEN: f"chosen {key}"}.get(path, f"{path.name}: {key}")
                pair = (str(each[key]) if key in each else None for each in (before, after))
                yield Texts(where, *pair)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value} if prefix else {}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found


def _data(base: Revision | None) -> Data | None:
    before, after = _loaded(base, PROFILE), WORKSPACE.load(PROFILE)
    if after is None:
        return None
    return Data(
        before=before["rows"] if before else None,
        after=after["rows"],
        columns=len(after["columns"]),
        changes=changes(before, after) if before else [],
        unchanged=before == after,
    )


def _model(base: Revision | None, found: Comparison) -> Model | None:
    parity = WORKSPACE.load(PARITY)
    if parity is None:
        return None
    both = found.answers
    return Model(
        size=Numbers(_size(base), _size(WORKSPACE)),
        parity=Numbers(_worst(_loaded(base, PARITY)), _worst(parity)),
        tolerance=parity["tolerance"],
        latency=Numbers(both.champion.latency, both.challenger.latency) if both else None,
    )


def _exports(base: Revision | None, params: Params) -> list[Exported]:
    found = []
    for target in params.export.targets.wanted:
        path = EXPORT_REPORTS / f"{target}.json"
        told = WORKSPACE.load(path)
        if told is not None:
            costs = {
                metric: (cost["target"], cost["low"], cost["high"])
                for metric, cost in told["metrics"].items()
            }
            size = Numbers(_bytes(_loaded(base, path)), _bytes(told))
            worst, taken = _worst(told) or 0.0, told.get("footprint")
            found.append(Exported(target, size, worst, costs, _seconds(target), taken))
    return found


def _seconds(target: str) -> float | None:
    """How long an exported model takes for a test row; None where one of both is not here."""
    file, rows = EXPORT / target / TARGETS[target].file, PARTS["test"]
    if not file.is_file() or not rows.is_file():
        return None
    try:
        model = opened(file)
    except ProjectError:  # no runtime, or no compiler
        return None
    if isinstance(model, Specification):  # it is read, not run
        return None
    contract = Contract.parse(model.metadata["contract"])
    row = next(pq.ParquetFile(rows).iter_batches(batch_size=1)).to_pandas()
    known = columns(model_inputs(conform(row, contract.only(contract.features)), contract))
    return latency(model, known)


def _bytes(told: Any) -> int | None:
    return sum(file["bytes"] for file in told["files"].values()) if told else None


def _size(revision: Revision | None) -> int | None:
    known = revision.outputs.get(ONNX) if revision else None
    return known.size if known else None


def _worst(parity: Any) -> float | None:
    return max(group["difference"] for group in parity["groups"].values()) if parity else None


RAN = re.compile(r"^Running stage '(.+)':$")
REUSED = re.compile(r"^Stage '(.+)' (didn't change, skipping|is cached - skipping run.*)$")
SECONDS = re.compile("^" + re.escape(TOOK).replace(re.escape("{:.1f}"), r"([\d.]+)") + "$")


def _stages(log: Path | None) -> list[Stage]:
    if log is None or not log.is_file():
        return []
    found: list[Stage] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if ran := RAN.match(line):
            found.append(Stage(ran[1], "ran"))
        elif reused := REUSED.match(line):
            cached = reused[2].startswith("is cached")
            found.append(Stage(reused[1], "taken from the cache" if cached else "up to date"))
        elif (took := SECONDS.match(line)) and found:
            found[-1] = Stage(found[-1].name, found[-1].outcome, float(took[1]))
    return found


def _lineage(base: Revision | None, head: Revision | None) -> Iterator[Texts]:
    yield Texts("commit", *((each.commit or "")[:12] if each else None for each in (base, head)))
    sides = (base, WORKSPACE)
    for path in (SNAPSHOT, *PARTS.values(), CANDIDATE_ONNX, ONNX):
        outputs = [each.outputs if each else {} for each in sides]
        hashes = (each[path].md5 if path in each else None for each in outputs)
        yield Texts(f"{path} (MD5)", *hashes)
    contracts = [_loaded(each, CONTRACT) for each in sides]
    yield Texts(CONTRACT.name, *(digest(each)[:12] if each else None for each in contracts))
    origins = [_loaded(each, PROVENANCE) for each in sides]
    snapshots = (each["snapshot_sha256"][:12] if each else None for each in origins)
    yield Texts(f"{SNAPSHOT} (SHA-256)", *snapshots)
