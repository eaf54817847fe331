"""What monitoring found: the content of result.json, from which the reports are made."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..judging.proportions import Disparity
from .account import Account


class Kind(StrEnum):
    """What can be wrong."""

    DRIFT = "drift"
    MISSING = "missing"
    PERFORMANCE = "performance"
    FAIRNESS = "fairness"
    CONTRACT = "contract"
    LOG = "log"
    FEEDBACK = "feedback"
    REVIEW = "review"
    CALLER = "caller"


@dataclass(frozen=True)
class Alarm:
    """What people are to know.

    Attributes:
        kind: what is wrong.
        name: with what: a column, a metric, a file.
        told: how.
    """

    kind: Kind
    name: str
    told: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}: {self.told}"


@dataclass(frozen=True)
class Measured:
    """A metric, its standard error, and the interval at the confidence asked for."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Shift:
    """How something of a column differs from the reference; see drift.Difference.

    Attributes:
        needed: the distance that matters: monitoring.minimum_effect, or the usual one.
        alarm: whether it is large, and no chance.
    """

    p: float
    distance: float
    needed: float
    test: str
    sizes: dict[str, float]
    new: dict[str, float]
    vanished: dict[str, float]
    alarm: bool = False

    @property
    def share(self) -> float:
        """The distance as a share of what matters."""
        return self.distance / self.needed if self.needed else float(self.distance > 0)


@dataclass(frozen=True)
class Histogram:
    """Shares for a picture: by category, or between edges, of which there is one more."""

    labels: list[str]
    edges: list[float]
    before: list[float]
    now: list[float]


@dataclass(frozen=True)
class ColumnResult:
    """A column in a window.

    Attributes:
        kind: what it holds.
        is_output: whether the model says it.
        ignored: whether it raises no alarm by params.yaml.
        rows: values that are there.
        values, missing: how both differ; None where that cannot be told.
        missing_before, missing_now: the shares.
        histogram: both distributions; in the last window only.
    """

    kind: str
    is_output: bool
    ignored: bool
    rows: int
    values: Shift | None
    missing: Shift | None
    missing_before: float
    missing_now: float
    histogram: Histogram | None = None


@dataclass(frozen=True)
class MetricResult:
    """A metric of labelled rows: live, on the test rows, and whether it is worse by no chance."""

    live: Measured
    test: Measured | None
    p: float | None = None
    alarm: bool = False


@dataclass(frozen=True)
class WindowResult:
    """A window.

    Attributes:
        start, end: in UTC; the end is not part of it.
        rows: rows of the release.
        labelled: those whose truth is known; metrics are of at most compare.rows of them.
        too_few: whether there are too few rows to judge the columns.
        columns: by name; empty where there are too few.
        violations: rows that break the contract, by column and rule.
        unknown: rows with a category that training never saw, by column.
        metrics: of labelled rows.
        estimates: metrics that are to be expected, for want of labels.
        slices: the first metric by column and value; in the last window with labels only.
        fairness: how far groups of people are apart, by column and metric; of labelled rows.
        unfair: where that is surely more than params.yaml allows.
        alarms: what people are to know.
    """

    start: str
    end: str
    rows: int
    labelled: int
    too_few: bool
    columns: dict[str, ColumnResult] = field(default_factory=dict)
    violations: dict[str, dict[str, int]] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, MetricResult] = field(default_factory=dict)
    estimates: dict[str, Measured] = field(default_factory=dict)
    slices: dict[str, dict[str, MetricResult]] = field(default_factory=dict)
    fairness: dict[str, dict[str, Disparity]] = field(default_factory=dict)
    unfair: list[Alarm] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


@dataclass(frozen=True)
class Feedback:
    """Labels: how many are known, matched in the period, changed by a later import, unmatched."""

    labels: int
    matched: int
    changed: int
    unmatched: int
    broken: list[tuple[str, str]]


@dataclass(frozen=True)
class Result:
    """All of it; `windows` follow one another.

    The last one is judged, and the last one that has labels: they come later than their rows. Of
    the metrics in `lower` a lower value is better, and slices are of the metric `sliced`.
    """

    environment: str
    release: str
    model: str
    commit: str
    made: str
    log: str
    reference_rows: tuple[int, int]
    settings: dict[str, object]
    account: Account
    feedback: Feedback
    windows: list[WindowResult]
    notes: list[str]
    lower: list[str] = field(default_factory=list)
    sliced: str | None = None

    @property
    def last(self) -> WindowResult:
        """The window that is judged."""
        return self.windows[-1]

    @property
    def measured(self) -> WindowResult | None:
        """The newest window with enough labels for metrics."""
        return next((each for each in reversed(self.windows) if each.metrics), None)

    @property
    def alarms(self) -> list[Alarm]:
        """What people are to know: of the last window, and of the metrics of the newest labels."""
        found, measured = [*self.last.alarms], self.measured
        if measured is not None and measured is not self.last:
            when = f"labels of {measured.start:.10} to {measured.end:.10}"
            found += [
                replace(each, told=f"{each.told}; {when}")
                for each in measured.alarms
                if each.kind in (Kind.PERFORMANCE, Kind.FAIRNESS)
            ]
        return found
