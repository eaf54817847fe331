"""Caveats of a model, by its answers for rows that it has not seen: classes, constants."""

from collections.abc import Iterator

from ..metrics import Scored, errors
from .caveat import Caveat


def caveats_of_answers(scored: Scored) -> list[Caveat]:
    """The caveats of a model, by its answers for rows that it has not seen."""
    if scored.truth is None:
        return []
    return [*_unpredicted(scored), *_no_better(scored)]


def _unpredicted(scored: Scored) -> Iterator[Caveat]:
    if scored.classes is None:
        return
    for known in scored.classes:
        rows = int((scored.truth == known).sum())
        if rows and not (scored.outputs["prediction"] == known).any():
            name = str(known) if scored.classes.dtype.kind != "i" else ("false", "true")[known]
            yield Caveat("unpredicted", None, f"no row is predicted to be {name}; {rows:,} are")


def _no_better(scored: Scored) -> Iterator[Caveat]:
    """Whether one answer for all rows would do: the classes' shares, or the mean."""
    of_model, of_constant = errors(scored)
    what, constant = "Brier score", "the shares of the classes"
    if scored.classes is None:
        what, constant = "rmse", "their mean"
    if of_model >= of_constant:
        yield Caveat(
            "constant",
            None,
            f"no better than a constant: the {what} of the test rows is {of_model:.4g}, that of "
            f"{constant} {of_constant:.4g}",
        )
