"""Gates: what params.yaml demands of the model before it may replace the one in use."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..config.fairness import Parity
from ..config.terms import Terms
from ..errors import InputError
from ..learning.metrics import catalogue, names
from .comparison import Comparison
from .fairness import COMPOSITION, Groups
from .proportions import Disparity, Estimate
from .slices import Slices
from .worth import Worth


@dataclass(frozen=True)
class Breach:
    """A gate that is not kept.

    Attributes:
        metric: what it is on; None where nothing can be held against the champion.
        rule: what it demands.
        told: how that is not so.
        column, value: the slice that it is on; None for all rows.
        found: the metric's value there; None where it has none.
    """

    metric: str | None
    rule: Literal["bounds", "naive", "regression", "fairness", "evidence"]
    told: str
    column: str | None = None
    value: str | None = None
    found: float | None = None

    def __str__(self) -> str:
        return self.told


def broken(
    terms: Terms,
    metrics: dict[str, float],
    slices: Slices,
    against: Comparison | None = None,
    naive: dict[str, Worth] | None = None,
    groups: dict[str, Groups] | None = None,
) -> list[Breach]:
    """The gates that are not kept; a metric that is not there keeps none.

    Args:
        terms: hold the gates.
        metrics: of the test rows.
        slices: the same by column with role slice and value.
        against: the comparison with the champion, for gates on regression; None leaves those out.
        naive: that with naive answers, for gates on it; None leaves those out.
        groups: what the model does to them, for the bounds of `fairness`; None leaves those out.
    Raises:
        InputError: a gate is for no metric of the task, or for no column with role slice.
    """
    _check_names(terms, slices)
    found = [*_out_of_bounds(terms, metrics, slices)]
    if naive is not None:
        found += _not_beaten(terms, naive)
    if groups is not None:
        found += _unfair(terms, groups)
    if against is not None:
        found += _regressions(terms, against)
        found += _less_fair(terms, against)
    return found


def _out_of_bounds(terms: Terms, metrics: dict[str, float], slices: Slices) -> Iterator[Breach]:
    for name, gate in terms.gates.items():
        found = metrics.get(name)
        if told := gate.outside(name, found):
            yield Breach(name, "bounds", told, found=found)
        for column, bounds in (gate.slices or {}).items():
            for value, part in slices[column].items():
                found = part.get(name)
                if told := bounds.outside(f"{name} of {column} {value}", found):
                    yield Breach(name, "bounds", told, column, value, found)


def _check_names(terms: Terms, slices: Slices) -> None:
    value = terms.evaluate.value
    known, compared = names(terms.task, value), catalogue(terms.task, value)
    unknown = [name for name in terms.gates if name not in known]
    if unknown:
        raise InputError(
            f"params.yaml: gates: {', '.join(unknown)}: no metric of {terms.task}; "
            f"choose from {', '.join(known)}"
        )
    for name, gate in terms.gates.items():
        if gate.regression is not None and name not in compared:
            raise InputError(
                f"params.yaml: gates.{name}.regression: {name} takes refits and is not compared; "
                f"choose from {', '.join(compared)}"
            )
        if gate.naive is not None and (terms.task == "clustering" or name not in compared):
            raise InputError(
                f"params.yaml: gates.{name}.naive: no naive answer has a {name}; leave it out"
            )
        for column in gate.slices or {}:
            if column not in slices:
                raise InputError(
                    f"params.yaml: gates.{name}.slices.{column}: no column with role slice; "
                    f"contract.yaml has {', '.join(slices) or 'none'}"
                )


def _not_beaten(terms: Terms, naive: dict[str, Worth]) -> Iterator[Breach]:
    for name, least in ((name, gate.naive) for name, gate in terms.gates.items()):
        if least is None:
            continue
        found = naive.get(name)
        if found is None:
            yield Breach(name, "naive", f"{name}: has no value to compare with naive answers")
        elif not found.low > least:
            wanted = f", {least:g} more required" if least else ""
            told = (
                f"{name}: {found.model:.4g} is not significantly better than {found.naive:.4g}, "
                f"the best answer without a model ({found.answer}{wanted}): by {found.low:.4g} to "
                f"{found.high:.4g}"
            )
            yield Breach(name, "naive", told, found=found.model)


def _unfair(terms: Terms, groups: dict[str, Groups]) -> Iterator[Breach]:
    """Where groups are surely further apart than they may be; what is not sure, is told elsewhere.

    Raises InputError where there is no group, or a gate is for no metric of groups.
    """
    gates = terms.fairness
    if gates and not groups:
        raise InputError(
            "params.yaml: fairness: no column has role sensitive; give it to one in contract.yaml"
        )
    for label, found in groups.items():
        known = {name for group in found.groups.values() for name in group.counted}
        known |= {COMPOSITION} if terms.task == "clustering" else set()
        for name, parity in gates.items():
            if parity.regression is not None and terms.task == "clustering":
                raise InputError(
                    f"params.yaml: fairness.{name}.regression: clusters are numbered anew "
                    "each time, so there is nothing to compare; leave it out"
                )
            if name not in known:
                raise InputError(
                    f"params.yaml: fairness.{name}: no metric of groups here; choose from "
                    f"{', '.join(sorted(known))}"
                )
            yield from _unequal(name, label, parity, found, terms.evaluate.group_rows)


def _unequal(name: str, label: str, parity: Parity, found: Groups, rows: int) -> Iterator[Breach]:
    apart = found.disparities.get(name)
    if apart is None:
        if not found.combined and (parity.difference, parity.ratio) != (None, None):
            few = f"fewer than two groups have {rows:,} rows that count: nobody knows"
            told = f"{name} by {label}: {few}"
            yield Breach(name, "fairness", told, label)
        return
    for told, value in too_far(name, label, parity, apart):
        yield Breach(name, "fairness", told, label, found=value)


def too_far(name: str, label: str, parity: Parity, apart: Disparity) -> Iterator[tuple[str, float]]:
    """How groups are surely further apart than they may be, and the number that is."""
    both = f"{name} by {label}: {apart.lowest} {apart.low:.4g}, {apart.highest} {apart.high:.4g}"
    if parity.difference is not None and apart.difference.low > parity.difference:
        told = f"{both}: {_shown(apart.difference)} apart, {parity.difference:g} allowed"
        yield told, apart.difference.value
    if parity.ratio is not None and apart.ratio is not None and apart.ratio.high < parity.ratio:
        told = f"{both}: the ratio is {_shown(apart.ratio)}, at least {parity.ratio:g} required"
        yield told, apart.ratio.value


def _shown(each: Estimate) -> str:
    return f"{each.value:.3g} ({each.low:.3g} to {each.high:.3g})"


def _less_fair(terms: Terms, against: Comparison) -> Iterator[Breach]:
    """Where groups are further apart than by the champion; on the same rows."""
    allowed = {
        name: parity.regression
        for name, parity in terms.fairness.items()
        if parity.regression is not None
    }
    of_metrics = any(gate.regression is not None for gate in terms.gates.values())
    if allowed and against.undecided and not of_metrics:  # which tell it
        yield Breach(None, "fairness", f"champion: not comparable: {against.reason}")
    for label, metrics in against.fairness.items():
        for name, limit in allowed.items():
            found = metrics.get(name)
            if found is not None and found.low > limit:
                told = (
                    f"{name} by {label}: groups are {found.challenger:.4g} apart, with the "
                    f"champion {found.champion:.4g}: at least {found.low:.4g} more"
                )
                yield Breach(
                    name,
                    "fairness",
                    told + (f" ({limit:g} allowed)" if limit else ""),
                    label,
                    found=found.challenger,
                )


def _regressions(terms: Terms, against: Comparison) -> Iterator[Breach]:
    allowed = {
        name: gate.regression for name, gate in terms.gates.items() if gate.regression is not None
    }
    if allowed and against.undecided:
        yield Breach(None, "regression", f"champion: not comparable: {against.reason}")
    if against.rows is None:
        return
    metrics = catalogue(terms.task, terms.evaluate.value)
    for name, limit in allowed.items():
        found = against.metrics.get(name)
        if found is None:
            told = f"{name}: has no value to compare on the test rows"
            yield Breach(name, "regression", told)
            continue
        # At best so much worse, as far as chance allows: the far end of the interval.
        is_higher = metrics[name].better == "higher"
        loss = -found.high if is_higher else found.low
        if loss > limit:
            least = f" by at least {loss:.4g}" + (f" ({limit:g} allowed)" if limit else "")
            told = (
                f"{name}: {found.challenger:.4g} is worse than the champion's "
                f"{found.champion:.4g}{least}"
            )
            yield Breach(name, "regression", told, found=found.challenger)
