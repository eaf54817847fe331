"""What people are to know of a window, of the log and of the feedback."""

from collections.abc import Iterator, Mapping
from datetime import date

from .feedback import Labels
from .log import Account
from .result import Alarm, Kind, Shift, WindowResult

# Rows that are left out before it is told, and their share.
UNCOUNTED, UNCOUNTED_SHARE = 100, 0.2


def of_window(window: WindowResult) -> Iterator[Alarm]:
    """What is wrong with a window's rows."""
    for name, each in window.columns.items():
        what = "said before" if each.is_output else "trained on"
        if each.values and each.values.alarm:
            yield Alarm(Kind.DRIFT, name, _told(each.values, what))
        if each.missing and each.missing.alarm:
            yield Alarm(
                Kind.MISSING,
                name,
                f"{each.missing_now:.1%} of the rows, and {each.missing_before:.1%} of those "
                f"{what}",
            )
    for name, metric in window.metrics.items():
        if metric.alarm and metric.test:
            yield Alarm(
                Kind.PERFORMANCE,
                name,
                f"{metric.live.value:.4g} ({metric.live.low:.4g} to {metric.live.high:.4g}), and "
                f"{metric.test.value:.4g} on the test rows",
            )
    yield from window.unfair
    for name, rules in window.violations.items():
        for rule, rows in rules.items():
            yield Alarm(Kind.CONTRACT, name, f"{rule}: {rows:,} of {window.rows:,} rows")


def of_log(account: Account, labels: Labels) -> Iterator[Alarm]:
    """What could not be read."""
    for broken in account.broken:
        yield Alarm(Kind.LOG, broken.name, f"{broken.rows:,} rows read, then {broken.why}")
    for rows, what in (
        (account.duplicates, "bear an id that was used before: give each request one of its own"),
        (account.examples, "are the model's example, as smoke and load tests ask for it"),
    ):
        if rows >= UNCOUNTED and rows > UNCOUNTED_SHARE * account.rows:
            told = f"{rows:,} of {account.rows:,} rows are not counted, since they {what}"
            yield Alarm(Kind.LOG, "rows", told)
    for name, why in labels.broken:
        yield Alarm(Kind.FEEDBACK, name, why)


def of_reviews(due: Mapping[str, date]) -> Iterator[Alarm]:
    """Risks that somebody has to look at again."""
    for name, day in due.items():
        yield Alarm(
            Kind.REVIEW,
            name,
            f"its review is due on {day}: look at what happened since the last one, and say what "
            "you found in a pull request that sets the next date in model.yaml",
        )


def _told(shift: Shift, what: str) -> str:
    new = ", ".join(f"{name} {share:.1%}" for name, share in [*shift.new.items()][:3])
    gone = ", ".join([*shift.vanished][:3])
    more = (f"; new: {new}" if new else "") + (f"; gone: {gone}" if gone else "")
    return f"distance {shift.distance:.2f} from what was {what} (p {shift.p:.1g}{more})"
