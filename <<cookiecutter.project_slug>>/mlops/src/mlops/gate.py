"""Gates: what params.yaml demands of the model before it may replace the one in use."""

from collections.abc import Iterator

from .comparison import Comparison
from .config.params import Params
from .errors import InputError
from .metrics import catalogue, names
from .slices import Slices


def broken(
    params: Params, metrics: dict[str, float], slices: Slices, against: Comparison | None = None
) -> list[str]:
    """One line for each gate that is not kept; a metric that is not there keeps none.

    Args:
        params: holds the gates.
        metrics: of the test rows.
        slices: the same by column with role slice and value.
        against: the comparison with the champion, for gates on regression; None leaves those out.
    Raises:
        InputError: a gate is for no metric of the task, or for no column with role slice.
    """
    _check_names(params, slices)
    lines: list[str] = []
    for name, gate in params.gates.items():
        told = [gate.outside(name, metrics.get(name))]
        for column, bounds in (gate.slices or {}).items():
            for value, found in slices[column].items():
                told.append(bounds.outside(f"{name} of {column} {value}", found.get(name)))
        lines += [line for line in told if line]
    if against is not None:
        lines += _regressions(params, against)
    return lines


def _check_names(params: Params, slices: Slices) -> None:
    value = params.evaluate.value
    known, compared = names(params.task, value), catalogue(params.task, value)
    unknown = [name for name in params.gates if name not in known]
    if unknown:
        raise InputError(
            f"params.yaml: gates: {', '.join(unknown)}: no metric of {params.task}; "
            f"choose from {', '.join(known)}"
        )
    for name, gate in params.gates.items():
        if gate.regression is not None and name not in compared:
            raise InputError(
                f"params.yaml: gates.{name}.regression: {name} takes refits and is not compared; "
                f"choose from {', '.join(compared)}"
            )
        for column in gate.slices or {}:
            if column not in slices:
                raise InputError(
                    f"params.yaml: gates.{name}.slices.{column}: no column with role slice; "
                    f"contract.yaml has {', '.join(slices) or 'none'}"
                )


def _regressions(params: Params, against: Comparison) -> Iterator[str]:
    allowed = {
        name: gate.regression for name, gate in params.gates.items() if gate.regression is not None
    }
    if allowed and against.undecided:
        yield f"champion: not comparable: {against.reason}"
    if not against.metrics:
        return
    metrics = catalogue(params.task, params.evaluate.value)
    for name, limit in allowed.items():
        found = against.metrics.get(name)
        if found is None:
            yield f"{name}: has no value to compare on the test rows"
            continue
        # At best so much worse, as far as chance allows: the far end of the interval.
        is_higher = metrics[name].better == "higher"
        loss = -found.high if is_higher else found.low
        if loss > limit:
            least = f", at best by {loss:.4g}" + (f" ({limit:g} is allowed)" if limit else "")
            yield (
                f"{name}: {found.challenger:.4g} is worse than the champion's "
                f"{found.champion:.4g}{least}"
            )
