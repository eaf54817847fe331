"""Compare the log of an environment with the data of its release, window by window."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from ..config.params import Params
from ..data.contract import as_kind
from ..data.inputs import target_values
from ..data.membership import named, places
from ..digits import digits
from ..errors import InputError
from ..judging.fairness import Groups, fairness
from ..judging.gate import too_far
from ..judging.paired import judged
from ..learning.metrics import Metric, Scored, catalogue
from . import drift
from .account import Account
from .alarms import of_log, of_window
from .drift import Difference, holm
from .feedback import Labels
from .log import Log, Part, Period
from .performance import Sample, expected, measure, trusted, worse
from .picture import histogram
from .reference import Reference, scored
from .result import (
    Alarm,
    ColumnResult,
    Feedback,
    Kind,
    Measured,
    MetricResult,
    Result,
    Shift,
    WindowResult,
)
from .sketch import Names, Sketch
from .storage import Storage


@dataclass
class Gathered:
    """What is kept of the rows of a window: no more of many than of few.

    Attributes:
        sketches: of each watched column.
        rows: how many there are.
        labelled: some whose truth is known, with it in the column `truth`.
        said: what the model said of some.
    """

    sketches: dict[str, Sketch]
    labelled: Sample
    said: Sample
    rows: int = 0


class Monitor:
    """Monitoring of a release."""

    def __init__(self, reference: Reference, params: Params) -> None:
        """Raises InputError where params.yaml ignores a column that there is not."""
        self._reference, self._params, self._how = reference, params, params.monitoring
        self._metrics_known = catalogue(reference.task, params.evaluate.value)
        self._judged = {
            name: self._metrics_known[name]
            for name in judged(params)
            if name in self._metrics_known and reference.test is not None
        }
        unknown = set(self._how.ignore) - set(reference.contract.columns) - set(reference.watched)
        if unknown:
            raise InputError(
                f"params.yaml: monitoring.ignore: there is no column {', '.join(sorted(unknown))}"
            )
        self._test = self._measured_test()

    def run(self, environment: str, log: Storage, period: Period) -> Result:
        """Read the log and judge each window. Raises InputError where it cannot be read."""
        labels = Labels(log, self._reference.contract)
        account = Account([0] * period.windows)
        windows = [self._nothing() for _ in range(period.windows)]
        source = Log(log, self._known())
        for part in source.read(period, self._reference.release.id, self._wanted(), account):
            self._gather(windows[part.window], part, labels)
        trust, notes = self._trust()
        labelled = [i for i, each in enumerate(windows) if self._is_labelled(each)]
        results = []
        for i, gathered in enumerate(windows):
            bounds = period.edges[i], period.edges[i + 1]
            last, measured = i == period.windows - 1, i == max(labelled, default=None)
            results.append(self._judge(gathered, bounds, trust, last, measured))
        results[-1] = replace(results[-1], alarms=[*results[-1].alarms, *of_log(account, labels)])
        matched = sum(each.labelled.seen for each in windows)
        release = self._reference.release
        return Result(
            environment=environment,
            release=release.id,
            model=release.model_version,
            commit=release.git_sha,
            made=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            log=log.address,
            reference_rows=self._reference.rows,
            settings=self._how.model_dump(),
            account=account,
            feedback=Feedback(labels.count, matched, labels.changed, labels.unknown, labels.broken),
            windows=results,
            notes=notes,
            lower=[n for n, each in self._metrics_known.items() if each.better == "lower"],
            sliced=next(iter(self._judged), None),
        )

    def _known(self) -> set[str]:
        return {*self._reference.contract.columns, *self._wanted()}

    def _wanted(self) -> list[str]:
        """The columns of the log that are read."""
        contract = self._reference.contract
        others = [*self._reference.slices, *contract.with_role("id")]
        return list(dict.fromkeys([*self._reference.watched, *self._reference.said, *others]))

    def _nothing(self) -> Gathered:
        most = self._params.compare.rows
        sketches = {name: each.sketch.empty() for name, each in self._reference.watched.items()}
        return Gathered(sketches, Sample(most), Sample(most))

    def _gather(self, window: Gathered, part: Part, labels: Labels) -> None:
        window.rows += len(part.keys)
        for name, each in window.sketches.items():
            if name in part.columns:
                each.add(part.columns[name])
        said = self._of_the_model(part)
        if said is None:
            return
        if self._reference.classes:
            window.said.add(part.keys, said)
        labelled, truth = labels.of(part.columns)
        if labelled.any():
            rows = pa.array(np.flatnonzero(labelled))
            kept = {
                name: _cast(part.columns.get(name), before.type, len(part.keys))
                for name, before in self._reference.slices.items()
            }
            some = {name: values.take(rows) for name, values in (said | kept).items()}
            contract = self._reference.contract
            column = contract.columns[contract.target or ""]
            typed = as_kind(pd.Series(truth), column).to_frame(contract.target)
            values = target_values(typed, contract)
            window.labelled.add(part.keys[labelled], {**some, "truth": pa.array(values)})

    def _of_the_model(self, part: Part) -> dict[str, pa.Array] | None:
        """What the model said, in its types; None where something of that is not in the log."""
        found = {
            name: _cast(part.columns.get(name), kind, len(part.keys))
            for name, kind in self._reference.said.items()
        }
        return found if found and not any(each.null_count for each in found.values()) else None

    def _scored(self, columns: dict[str, pa.Array], truth: np.ndarray) -> Scored:
        return scored(columns, truth, self._reference.contract, self._reference.classes)

    def _measured_test(self) -> dict[str, Measured]:
        test = self._reference.test
        if test is None:
            return {}
        return measure(self._metrics_known, test, self._params.compare)

    def _trust(self) -> tuple[dict[str, Metric], list[str]]:
        """The metrics that may be estimated, and what people should know of that."""
        test = self._reference.test
        if test is None or test.classes is None:
            return {}, []
        found = expected(self._judged, test, self._params.compare)
        trust = trusted(found, self._test, self._how.regression)
        notes = [
            f"{name} is not estimated without labels: on the test rows the estimate would be "
            f"{digits(found[name].value)}, and the metric is {digits(self._test[name].value)}"
            for name, good in trust.items()
            if not good
        ]
        return {name: self._judged[name] for name, good in trust.items() if good}, notes

    def _judge(
        self,
        window: Gathered,
        bounds: tuple[datetime, datetime],
        trust: dict[str, Metric],
        last: bool,
        measured: bool,
    ) -> WindowResult:
        few = window.rows < self._how.minimum_rows
        columns = {} if few else dict(self._columns(window, last))
        metrics, slices = self._metrics(window, measured)
        columns, metrics = self._alarmed(columns, metrics)
        violations = {} if not window.rows else dict(self._violations(window))
        estimates = {}
        if trust and window.said.seen and not few:
            kept = window.said.columns()
            nothing = np.zeros(len(kept["prediction"]), int)
            estimates = expected(trust, self._scored(kept, nothing), self._params.compare)
        groups = self._groups(window)
        result = WindowResult(
            start=_written(bounds[0]),
            end=_written(bounds[1]),
            rows=window.rows,
            labelled=window.labelled.seen,
            too_few=few,
            columns=columns,
            violations=violations,
            unknown=dict(self._unknown(window)),
            metrics=metrics,
            estimates=estimates,
            slices=slices,
            fairness={label: each.disparities for label, each in groups.items()},
            unfair=[*self._unfair(groups)],
        )
        return replace(result, alarms=[*of_window(result)])

    def _columns(self, window: Gathered, last: bool) -> Iterator[tuple[str, ColumnResult]]:
        for name, watched in self._reference.watched.items():
            live, before = window.sketches[name], watched.sketch
            if live.total + live.missing == 0:
                continue
            values = drift.of_values(before, live)
            yield (
                name,
                ColumnResult(
                    kind=watched.column.kind,
                    is_output=watched.is_output,
                    ignored=name in self._how.ignore,
                    rows=live.total,
                    values=self._shift(values, watched.usual) if values else None,
                    missing=self._shift(drift.of_missing(before, live), watched.usual_missing)
                    if watched.column.nullable
                    else None,  # the contract has none: that is no matter of chance
                    missing_before=_share(before),
                    missing_now=_share(live),
                    histogram=histogram(before, live) if last and live.total else None,
                ),
            )

    def _shift(self, found: Difference, usual: float) -> Shift:
        needed = max(self._how.minimum_effect, usual)
        return Shift(needed=needed, **asdict(found))

    def _metrics(
        self, window: Gathered, closely: bool
    ) -> tuple[dict[str, MetricResult], dict[str, dict[str, MetricResult]]]:
        """The metrics that decide, or all of them and by slice, where it is to be looked at."""
        if not self._is_labelled(window):
            return {}, {}
        rows = window.labelled.columns()
        truth = rows.pop("truth").to_numpy(zero_copy_only=False)
        live = self._scored(rows, truth)
        metrics = self._metrics_known if closely else self._judged
        found = {}
        for name, each in measure(metrics, live, self._params.compare).items():
            test = self._test.get(name)
            p = None
            if name in self._judged and test is not None:
                p = worse(metrics[name], each, test, self._how.regression)
            found[name] = MetricResult(each, test, p)
        return found, self._slices(live, rows) if closely else {}

    def _is_labelled(self, window: Gathered) -> bool:
        return window.labelled.seen >= self._how.minimum_rows

    def _slices(
        self, live: Scored, rows: dict[str, pa.Array]
    ) -> dict[str, dict[str, MetricResult]]:
        """The first judged metric by slice, where both sides have enough rows."""
        found: dict[str, dict[str, MetricResult]] = {}
        test, name = self._reference.test, next(iter(self._judged), None)
        if test is None or name is None:
            return {}
        chosen = {name: self._judged[name]}
        for column, before in self._reference.slices.items():
            if column not in rows:
                continue
            reference = before.to_pandas()
            was, now = (
                places(named(each, reference)) for each in (reference, rows[column].to_pandas())
            )
            for value in [each for each in was if each in now]:
                if min(len(was[value]), len(now[value])) >= self._params.evaluate.slice_rows:
                    both = [
                        measure(chosen, side.rows(rows_of), self._params.compare)
                        for side, rows_of in ((live, now[value]), (test, was[value]))
                    ]
                    if name in both[0]:
                        found.setdefault(column, {})[value] = MetricResult(
                            both[0][name], both[1].get(name)
                        )
        return found

    def _groups(self, window: Gathered) -> dict[str, Groups]:
        """What the model did to groups of people, where the log and labels tell."""
        if not self._is_labelled(window):
            return {}
        rows, contract = window.labelled.columns(), self._reference.contract
        truth = rows.pop("truth").to_numpy(zero_copy_only=False)
        logged = [
            name
            for name in contract.with_role("sensitive")
            if name in rows and rows[name].null_count < len(rows[name])
        ]
        if not logged:
            return {}
        only = contract.only({*logged, *contract.features})
        data = pd.DataFrame({name: rows[name].to_pandas() for name in logged})
        live, task = self._scored(rows, truth), self._reference.task
        return fairness(task, live, data, only, self._params.evaluate)

    def _unfair(self, groups: dict[str, Groups]) -> Iterator[Alarm]:
        for label, found in groups.items():
            for name, parity in self._params.fairness.items():
                if apart := found.disparities.get(name):
                    for told, _ in too_far(name, label, parity, apart):
                        yield Alarm(Kind.FAIRNESS, label, told)

    def _alarmed(
        self, columns: dict[str, ColumnResult], metrics: dict[str, MetricResult]
    ) -> tuple[dict[str, ColumnResult], dict[str, MetricResult]]:
        """The same with alarms, so that all together are false in the share that is declared."""
        tests = {
            (name, what): shift.p
            for name, each in columns.items()
            for what, shift in (("values", each.values), ("missing", each.missing))
            if shift is not None and not each.ignored
        }
        tests |= {(name, ""): each.p for name, each in metrics.items() if each.p is not None}
        rejected = holm(list(tests.values()), self._how.false_alarms)
        certain = {test for test, no_chance in zip(tests, rejected, strict=True) if no_chance}

        def marked(name: str, what: str, shift: Shift | None) -> Shift | None:
            if shift is None:
                return None
            return replace(shift, alarm=(name, what) in certain and shift.distance > shift.needed)

        return {
            name: replace(
                each,
                values=marked(name, "values", each.values),
                missing=marked(name, "missing", each.missing),
            )
            for name, each in columns.items()
        }, {name: replace(each, alarm=(name, "") in certain) for name, each in metrics.items()}

    def _unknown(self, window: Gathered) -> Iterator[tuple[str, int]]:
        """Rows with a category that training never saw, which the model takes for none."""
        for name, live in window.sketches.items():
            watched = self._reference.watched[name]
            if watched.is_output or not isinstance(live, Names):
                continue
            assert isinstance(watched.sketch, Names)
            rows = live.unknown_to(watched.sketch)
            if rows and watched.column.kind == "categorical":
                yield name, rows

    def _violations(self, window: Gathered) -> Iterator[tuple[str, dict[str, int]]]:
        """Rows that break the contract: no matter of chance, and counted apart from drift."""
        for name, sketch in window.sketches.items():
            column = self._reference.watched[name].column
            there = sketch.total + sketch.missing
            found = {
                "not in the log": window.rows - there,
                f"not {column.kind}": sketch.unreadable,
                "not in `range`": sketch.outside if column.range else 0,
                "not among `allowed`": sketch.outside if column.allowed else 0,
                "missing, and not nullable": (
                    sketch.missing - sketch.unreadable if not column.nullable else 0
                ),
            }
            if broken := {rule: rows for rule, rows in found.items() if rows}:
                yield name, broken


def _cast(values: pa.Array | None, kind: pa.DataType, rows: int) -> pa.Array:
    """Values in a type, so that those of all files fit together; missing where they cannot be."""
    try:
        return pa.nulls(rows, kind) if values is None else values.cast(kind)
    except pa.ArrowException:
        return pa.nulls(rows, kind)


def _share(sketch: Sketch) -> float:
    return sketch.missing / max(sketch.missing + sketch.total, 1)


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
