"""The text of each problem's issue, and why a retraining starts."""

from pathlib import Path

from ..config.retraining import Retraining
from ..files import write_text
from ..monitoring.problems import problems, reasons
from ..monitoring.result import Alarm, Result
from .advice import advice
from .markdown import prose
from .monitoring import markdown

# Characters of an issue: GitHub takes 65,536, and the workflow adds a few.
LONGEST = 60_000


def write(result: Result, retraining: Retraining, folder: Path) -> None:
    """Write `problems/KIND` for each that was looked for, and `retrain` where that is due.

    A problem that is over is an empty file. There is none where nobody can tell, which leaves it as
    it was.
    """
    for kind, alarms in problems(result).items():
        write_text(folder / "problems" / kind, _body(alarms, result) if alarms else "")
    if due := reasons(result, retraining):
        write_text(folder / "retrain", f"{', '.join(due)} in {result.environment}\n")


def _body(alarms: list[Alarm], result: Result) -> str:
    """The problem, then the summary of all, cut between two lines where GitHub would refuse it."""
    told = (f"- {prose(f'{each} → {advice(each, result.environment).look}')}" for each in alarms)
    text = "\n".join(told) + f"\n\n{markdown(result)}"
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0] + "\n\n…\n"
