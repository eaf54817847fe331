"""What people are to know of a window, of the log and of the feedback."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date

from ..digits import P_SMALLEST, digits, p_value
from .account import Account
from .feedback import Labels
from .result import Alarm, Kind, Shift, WindowResult

# Categories that are named.
SHOWN = 3
# Rows that are left out before it is told, and their share.
UNCOUNTED, UNCOUNTED_SHARE = 100, 0.2


def of_window(window: WindowResult) -> Iterator[Alarm]:
    """What is wrong with a window's rows."""
    for name, each in window.columns.items():
        what = "the test rows" if each.is_output else "the training rows"
        if each.values and each.values.alarm:
            yield Alarm(Kind.DRIFT, name, _told(each.values, what))
        if each.missing and each.missing.alarm:
            yield Alarm(
                Kind.MISSING,
                name,
                f"no value in {each.missing_now:.1%} of the rows; in {what} it was "
                f"{each.missing_before:.1%}",
            )
    for name, metric in window.metrics.items():
        if metric.alarm and metric.test:
            yield Alarm(
                Kind.PERFORMANCE,
                name,
                f"{digits(metric.live.value)} live ({digits(metric.live.low)} to "
                f"{digits(metric.live.high)}), and {digits(metric.test.value)} on the test rows",
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
        (account.duplicates, "repeat a request id: clients must give each request its own"),
        (account.examples, "hold the model's example, which smoke and load tests send"),
    ):
        if rows >= UNCOUNTED and rows > UNCOUNTED_SHARE * account.rows:
            told = f"{rows:,} of {account.rows:,} rows are not counted, because they {what}"
            yield Alarm(Kind.LOG, "rows", told)
    for name, why in labels.broken:
        yield Alarm(Kind.FEEDBACK, name, why)


def of_reviews(due: Mapping[str, date]) -> Iterator[Alarm]:
    """Risks that somebody has to look at again."""
    for name, day in due.items():
        yield Alarm(
            Kind.REVIEW,
            name,
            f"its review is due on {day}: look at what happened since the last one, and report "
            "what you found in a pull request that sets the next date in model.yaml",
        )


def of_callers(asked: Mapping[str, int], declared: Collection[str]) -> Iterator[Alarm]:
    """Who asked, by the server's log, and is not among those that model.yaml declares."""
    for name, rows in asked.items():
        if name not in declared:
            yield Alarm(
                Kind.CALLER,
                name,
                f"asked for {rows:,} rows, and `callers` in model.yaml names no such caller: find "
                "out for which use",
            )


def _told(shift: Shift, what: str) -> str:
    """Categories that came or went, which people know, before the numbers."""
    found = [
        f"{share:.1%} of the rows hold {name}, never seen in {what}"
        for name, share in [*shift.new.items()][:SHOWN]
    ]
    if gone := [*shift.vanished][:SHOWN]:
        found.append(f"no row holds {' or '.join(gone)} any more")
    p = p_value(shift.p) if shift.p < P_SMALLEST else f"= {p_value(shift.p)}"
    found.append(f"distance {shift.distance:.2f} from {what} (p {p})")
    return "; ".join(found)
