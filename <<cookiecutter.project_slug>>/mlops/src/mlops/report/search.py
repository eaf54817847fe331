"""What people see of a search: a table, what the winner is worth, and two pictures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vl_convert
from rich.console import Console
from rich.table import Column, Table

from ..digits import counted, digits, setting, signed
from ..experiments.search import SET, Advantage, Found, failures
from ..experiments.space import CURRENT
from ..experiments.trial import Trial
from ..learning import plots
from ..paths import PLOT_TEMPLATES, SEARCH
from ..printable import all_shown

# Trials in the table, beside the baselines.
BEST = 5
IMPORTANCE = plots.Plot(
    "bars", "importance", "column", "What matters", "share of variance", "choice"
)


def show(found: Found) -> None:
    """Print the baselines and the best trials, and what the winner is worth."""
    console = Console(markup=False, emoji=False)
    table = Table(Column("trial", no_wrap=True), "estimator", found.metric, "what it is")
    if found.naive is not None:
        name, score = found.naive
        table.add_row("–", "no model", digits(score), name)
    for each in _told(found):
        scored = "failed" if each.score is None else digits(each.score)
        style = "green" if each is found.winner else None
        name = f"{found.name}-{each.number}"
        table.add_row(name, each.configuration.estimator, scored, _what(each), style=style)
    console.print(table)
    if found.resumed:
        console.print(f"{counted(found.resumed, 'trial')} of them made before")
    for line in lines(found):
        console.print(line, soft_wrap=True)


def advice(found: Found) -> str:
    """What to do with what was found."""
    verdicts = {each.over: each.compared.verdict for each in found.advantages}
    behind = [over for over, verdict in verdicts.items() if verdict == "worse" and over != SET]
    if behind:
        names = " and ".join(behind)
        return (
            f"The validation rows contradict the folds: {names} is better there. Look at {names} "
            "first, or search on with more trials"
        )
    if found.winner.role == CURRENT:
        return "Nothing that was tried is better than what params.yaml says: keep it"
    if verdicts.get(SET, "better") == "better":
        return "Next: mlops search --apply, which writes the winner to params.yaml"
    return (
        "The winner is no better than what params.yaml says, as far as these rows tell: keep it, "
        "or search on with more trials"
    )


def _told(found: Found) -> list[Trial]:
    """The baselines, the best, and the winner among them; the best first."""
    done = [each for each in found.trials if each.score is not None]
    done.sort(key=lambda each: each.score or 0.0, reverse=found.better == "higher")
    chosen = [each for each in done if each.role or each in done[:BEST]]
    return chosen + [each for each in found.trials if each.role and each.score is None]


def _what(trial: Trial) -> str:
    if trial.error:
        return trial.error
    chosen = trial.configuration
    told = [f"{key} {setting(value)}" for key, value in chosen.hyperparameters.items()]
    told += [f"{name}: {how}" for name, how in chosen.encodings.items()]
    told += [f"without {name}" for name in chosen.without]
    roles = {"current": "as params.yaml has it", "linear": "the linear baseline"}
    return ", ".join(told) or roles.get(trial.role or "", "as it is set")


def lines(found: Found) -> list[str]:
    """What came of it, in sentences."""
    return [*_of_trials(found), *(advantage(found, each) for each in found.advantages)]


def _of_trials(found: Found) -> Iterator[str]:
    tried = counted(len(found.trials), "trial")
    ends = [
        f"{found.count('pruned'):,} given up early" if found.count("pruned") else "",
        f"{found.count('failed'):,} failed" if found.count("failed") else "",
    ]
    told = ", ".join(filter(None, ends))
    yield (
        f"{tried} in {found.seconds / 60:.1f} minutes{f' ({told})' if told else ''}, judged on "
        f"{counted(found.folds, 'fold')} of {found.rows:,} training rows"
    )
    for line, count in failures(found.trials).items():
        yield f"{counted(count, 'trial')} failed: {line}"
    for line in found.excluded:
        yield f"left out: {line}"
    if found.is_exhausted:
        yield "nothing else is left to try"


def advantage(found: Found, each: Advantage) -> str:
    """How much better the winner is than a baseline."""
    both = each.compared
    words = {
        "better": "better than",
        "same": "not told apart from",
        "worse": "worse than",
    }[both.verdict]
    return (
        f"{found.name}-{found.winner.number} is {words} {each.over}: {found.metric} "
        f"{signed(both.difference)} ({found.confidence:.0%}: {signed(both.low)} to "
        f"{signed(both.high)}) on {found.judged:,} validation rows"
    )


def draw(found: Found) -> list[Path]:
    """Draw the history, and the importance of choices where there are trials enough for it."""
    folder = SEARCH / found.name
    history, importance = folder / "history.png", folder / "importance.png"
    history.write_bytes(vl_convert.vegalite_to_png(json.dumps(_history(found)), scale=2))
    if not found.importance:
        importance.unlink(missing_ok=True)  # of a shorter search
        return [history]
    estimator = found.winner.configuration.estimator
    records = [
        {"rev": f"trials of {estimator}", "column": name, "importance": share}
        for name, share in found.importance.items()
    ]
    plots.draw(importance, "importance", IMPORTANCE, records)
    return [history, importance]


def _history(found: Found) -> dict[str, Any]:
    """Scores in the order of trials, by estimator, and the best so far."""
    values: list[dict[str, Any]] = [
        {"trial": each.number, "score": each.score, "estimator": each.configuration.estimator}
        for each in found.trials
        if each.score is not None
    ]
    choose = max if found.better == "higher" else min
    scores = [each["score"] for each in values]
    best = [
        {"trial": each["trial"], "score": choose(scores[: i + 1])} for i, each in enumerate(values)
    ]
    look = json.loads((PLOT_TEMPLATES / "scatter.json").read_text(encoding="utf-8"))["config"]
    x = {"field": "trial", "type": "quantitative", "title": "trial", "axis": {"tickMinStep": 1}}
    y = {"field": "score", "type": "quantitative", "title": found.metric, "scale": {"zero": False}}
    colour = {
        "field": "estimator",
        "type": "nominal",
        "title": None,
        "scale": {"scheme": "tableau10"},
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": best},
            "mark": {"type": "line", "interpolate": "step-after", "color": "#8c959f"},
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": values},
            "mark": {"type": "circle", "size": 45, "opacity": 0.85},
            "encoding": {"x": x, "y": y, "color": colour},
        },
    ]
    title: dict[str, Any] = {"text": "Trials, and the best so far"}
    if found.naive is not None:  # far below them all, mostly
        title["subtitle"] = f"no model: {digits(found.naive[1])}"
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": title,
        "padding": 16,
        "width": 460,
        "height": 280,
        "config": look,
        "layer": layers,
    }
    shown: dict[str, Any] = all_shown(spec)
    return shown
