"""What people are told of each problem, in an issue of its own, and why a retraining is started."""

from pathlib import Path

from ..config.retraining import Retraining
from ..files import write_text
from ..report.markdown import prose
from .report import markdown
from .result import Result

# Characters of an issue: GitHub takes 65,536, and the workflow adds a few.
LONGEST = 60_000


def write(result: Result, retraining: Retraining, folder: Path) -> None:
    """Write `problems/NAME` for each that was looked for, and `retrain` where that is due.

    A problem that is over is an empty file. There is none where nobody can tell: of few rows, say,
    which leave it as it was.
    """
    found = problems(result)
    for name, lines in found.items():
        write_text(folder / "problems" / name, _body(lines, result) if lines else "")
    due = [name for name in retraining.alarms if found.get(name)]
    if due and result.environment == retraining.environment:
        write_text(folder / "retrain", f"{', '.join(due)} in {result.environment}\n")


def problems(result: Result) -> dict[str, list[str]]:
    """The alarms by what they begin with: none where it was looked for, and is not there."""
    looked_for = {
        "drift": not result.last.too_few,
        "missing": not result.last.too_few,
        "performance": result.measured is not None,
        "contract": result.last.rows > 0,
        "log": True,
        "feedback": True,
    }
    found: dict[str, list[str]] = {name: [] for name, yes in looked_for.items() if yes}
    for line in result.alarms:
        found[line.partition(":")[0]].append(line)
    return found


def _body(lines: list[str], result: Result) -> str:
    """The problem, then the summary of all, cut between two lines where GitHub would refuse it."""
    text = "\n".join(f"- {prose(line)}" for line in lines) + f"\n\n{markdown(result)}"
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0] + "\n\n…\n"
