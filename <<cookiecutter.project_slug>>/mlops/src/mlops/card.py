"""The facts of the model card: what a model is for, how good it is, and what it is made from.

All of them are committed: the same commit tells the same, whenever and wherever it is asked.
Nothing is fetched or computed, and no time is told but those that files say.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .config.gates import Gate
from .config.network import Network
from .config.section import Task
from .config.terms import parse_terms
from .data.contract import Contract
from .errors import InputError
from .files import parse
from .git.revision import WORKSPACE, Revision
from .paths import (
    CANDIDATE_ONNX,
    CAVEATS,
    CHOSEN,
    CONTRACT,
    DEPENDENCE,
    FAIRNESS,
    IMPORTANCE,
    INTERVALS,
    LOCK,
    METRICS,
    NAIVE,
    ONNX,
    OUTCOMES,
    PARAMS,
    PARITY,
    PROVENANCE,
    SLICES,
    SPLIT,
    STATEMENT,
    VALIDATION,
)
from .project import PYPROJECT, parsed, table
from .statement import Statement, parse_statement


@dataclass(frozen=True)
class Measured:
    """A number of the test rows, and where it lies; None where that is not known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """An input of the model, or what it predicts."""

    name: str
    kind: str
    description: str | None


@dataclass(frozen=True)
class Source:
    """What the snapshot was taken of, and on which terms, where model.yaml says so."""

    name: str
    rows: int | None
    sha256: str | None
    licence: str | None
    personal_data: str | None


@dataclass(frozen=True)
class Part:
    """The rows for training, validation or test; `time` is their first and last moment, if any."""

    rows: int
    time: list[str]


@dataclass(frozen=True)
class Lineage:
    """What the model is made from, and what it is, by hashes; None where nothing tells it.

    Attributes:
        lock_sha256: of dvc.lock, which names all inputs; the evidence of a release has it, too.
        snapshot_sha256: of the data.
        retrieved_at: when that was taken.
        model_sha256, model_md5, model_bytes: of the model that is served.
        judged_sha256: of the candidate that the test rows judged; the same file unless the model
            was then trained on all rows.
    """

    lock_sha256: str | None
    snapshot_sha256: str | None
    retrieved_at: str | None
    model_sha256: str | None
    model_md5: str | None
    model_bytes: int | None
    judged_sha256: str | None


@dataclass(frozen=True)
class Card:
    """What is to be known of a model before it is used.

    Attributes:
        name, version, description, licence, repository: of the project; None where it says none.
        task, estimator: what it does, and the kind of model.
        network: the layers of a declared one, as training logged what it chose; None for others.
        said: what the owner says of it: model.yaml.
        target: what it predicts; None for clusters.
        inputs: what it looks at, in order.
        sensitive: columns whose groups are watched.
        sources, rows, parts: the data.
        confidence: of the intervals of metrics.
        metrics: of the test rows.
        naive: the same of what takes no model, by naive answer.
        gates: what the metrics must keep.
        threshold: from which probability the second of two classes is predicted; None for the
            likelier class.
        decided_by: the metric that chose it; None where params.yaml gives the number.
        outcomes: how many answers are right, or how far off they are: see learning.outcomes.
        slices: metrics by column with role slice and value.
        fairness: what it does to groups: see judging.fairness.
        importance: how much worse it gets without each column, the most important first.
        dependence: what it answers on average by the value of its strongest inputs: see
            learning.dependence.
        caveats: what makes numbers doubtful, a line each.
        parity: the largest difference between what was trained and what is served, as a share of
            an output's spread; None where it was not verified.
        lineage: what it is made from.
    """

    name: str
    version: str | None
    description: str | None
    licence: str | None
    repository: str | None
    task: Task
    estimator: str
    network: Network | None
    said: Statement
    target: Column | None
    inputs: list[Column]
    sensitive: list[str]
    sources: list[Source]
    rows: int | None
    parts: dict[str, Part]
    confidence: float
    metrics: dict[str, Measured]
    naive: dict[str, dict[str, float]]
    gates: dict[str, Gate]
    threshold: float | None
    decided_by: str | None
    outcomes: list[dict[str, Any]]
    slices: dict[str, dict[str, dict[str, float]]]
    fairness: dict[str, dict[str, Any]]
    importance: list[dict[str, Any]]
    dependence: list[dict[str, Any]]
    caveats: list[str]
    parity: float | None
    lineage: Lineage

    @property
    def is_refitted(self) -> bool:
        """Whether what is served was trained on all rows once its candidate was judged."""
        return self.lineage.judged_sha256 not in (None, self.lineage.model_sha256)


def load_card(at: Revision = WORKSPACE) -> Card:
    """The facts of a revision. Raises InputError where it has no model, or a file is broken."""
    terms, contract = parse_terms(_text(at, PARAMS)), parse(_text(at, CONTRACT), Contract, CONTRACT)
    said, metrics = parse_statement(at.read(STATEMENT)), at.load(METRICS)
    if not metrics:
        raise InputError("there is no model to tell of yet: `uv run dvc repro` makes one")
    try:
        return _card(at, terms.task, contract, said, metrics, terms.compare.confidence, terms.gates)
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        raise InputError(
            "a file of reports/, or of data/raw/, is not as the pipeline writes it "
            f"({type(error).__name__}: {error}); run `uv run dvc repro`"
        ) from None


def decided_at(at: Revision) -> float | None:
    """From which probability the second class is predicted, as training logged what it chose."""
    found: float | None = (at.load(CHOSEN) or {}).get("threshold")
    return found


def network_at(at: Revision) -> Network | None:
    """The declared network that was trained, as training logged what it chose; None for none."""
    chosen = at.load(CHOSEN) or {}
    if chosen.get("estimator") != "network":
        return None
    return Network.model_validate({name: chosen[name] for name in Network.model_fields})


def _card(
    at: Revision,
    task: Task,
    contract: Contract,
    said: Statement,
    metrics: dict[str, float],
    confidence: float,
    gates: dict[str, Gate],
) -> Card:
    declared = parsed(at.read(PYPROJECT) or "")
    about = table(declared, "project") or {}
    provenance, intervals = at.load(PROVENANCE) or {}, at.load(INTERVALS) or {}
    train = at.load(PARAMS).get("train") or {}
    decided_by = train.get("threshold")
    return Card(
        name=str(about.get("name") or "model"),
        version=about.get("version"),
        description=about.get("description") or None,
        licence=about.get("license"),
        repository=(table(declared, "project", "urls") or {}).get("Repository"),
        task=task,
        estimator=str(train.get("estimator", "unknown")),
        network=network_at(at),
        said=said,
        target=_column(contract, contract.target) if contract.target else None,
        inputs=[_column(contract, name) for name in contract.features],
        sensitive=contract.with_role("sensitive"),
        sources=[*_sources(provenance, said)],
        rows=provenance.get("rows"),
        parts={
            name: Part(part["rows"], part.get("time", []))
            for name, part in (at.load(SPLIT) or {}).get("parts", {}).items()
        },
        confidence=confidence,
        metrics={
            name: Measured(value, **intervals.get(name, {})) for name, value in metrics.items()
        },
        naive=at.load(NAIVE) or {},
        gates=gates,
        threshold=None if decided_by is None else decided_at(at),
        decided_by=decided_by if isinstance(decided_by, str) else None,
        outcomes=at.load(OUTCOMES) or [],
        slices=at.load(SLICES) or {},
        fairness=at.load(FAIRNESS) or {},
        importance=at.load(IMPORTANCE) or [],
        dependence=at.load(DEPENDENCE) or [],
        caveats=[*_caveats(at)],
        parity=_parity(at),
        lineage=_lineage(at, provenance),
    )


def _text(at: Revision, path: Path) -> str:
    text = at.read(path)
    if text is None:
        raise InputError(f"{path}: no such file; run this at the root of the project")
    return text


def _column(contract: Contract, name: str) -> Column:
    column = contract.columns[name]
    return Column(name, column.kind, column.description)


def _sources(provenance: dict[str, Any], said: Statement) -> Iterator[Source]:
    terms = said.sources or {}
    origins = {each["name"]: each for each in provenance.get("origins", [])}
    for name in dict.fromkeys([*origins, *terms]):
        origin, term = origins.get(name, {}), terms.get(name)
        yield Source(
            name,
            origin.get("rows"),
            origin.get("sha256"),
            term.licence if term else None,
            term.personal_data if term else None,
        )


def _caveats(at: Revision) -> Iterator[str]:
    of_data = (at.load(VALIDATION) or {}).get("caveats", [])
    for each in [*of_data, *(at.load(CAVEATS) or [])]:
        yield f"{each['column']}: {each['evidence']}" if each["column"] else each["evidence"]


def _parity(at: Revision) -> float | None:
    groups = (at.load(PARITY) or {}).get("groups", {})
    return max((each["difference"] for each in groups.values()), default=None)


def _lineage(at: Revision, provenance: dict[str, Any]) -> Lineage:
    lock, hashes = at.read_bytes(LOCK), (at.load(PARITY) or {}).get("sha256", {})
    model = at.outputs.get(ONNX)
    return Lineage(
        lock_sha256=None if lock is None else hashlib.sha256(lock).hexdigest(),
        snapshot_sha256=provenance.get("snapshot_sha256"),
        retrieved_at=provenance.get("retrieved_at"),
        model_sha256=hashes.get(ONNX.as_posix()),
        model_md5=model.md5 if model else None,
        model_bytes=model.size if model else None,
        judged_sha256=hashes.get(CANDIDATE_ONNX.as_posix()),
    )
