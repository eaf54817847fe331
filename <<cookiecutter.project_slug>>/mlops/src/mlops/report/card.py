"""The model card: Markdown for whoever looks at the files, and a page for everybody else.

Both come from the card's facts and from nothing else. Pictures are drawn here and not by Vega,
which measures text by the fonts of a machine: the same commit makes the same bytes anywhere.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..card import Card, Measured, load_card
from ..errors import InputError
from ..files import read_text, write_text
from ..judging.proportions import share
from ..paths import CARD, CARD_PAGE
from ..printable import printable
from . import architecture
from .layout import layout
from .markdown import tidy

# How licences of Python projects are called by https://huggingface.co/docs/hub/repositories-licenses
LICENCES = {
    "Apache-2.0": "apache-2.0",
    "BSD-2-Clause": "bsd-2-clause",
    "BSD-3-Clause": "bsd-3-clause",
    "GPL-3.0-only": "gpl-3.0",
    "GPL-3.0-or-later": "gpl-3.0",
    "MIT": "mit",
    "MPL-2.0": "mpl-2.0",
}
# What the Hugging Face hub has a kind of task for.
TASKS = {"classification": "tabular-classification", "regression": "tabular-regression"}
# By what the plain page tells how good a model is, and whether less of it is better.
PLAIN = {"classification": ("accuracy", False), "regression": ("mae", True)}
# Inputs, groups and classes that a picture shows.
BARS = 8


def write() -> list[Path]:
    """Write the card in both forms, and say where. Raises InputError where there is no model."""
    made = documents(load_card())
    for path, text in made.items():
        write_text(path, text)
    return [*made]


def stale() -> list[str]:
    """What is not as the facts say: a line, or none. Raises InputError where there is no model."""
    made = documents(load_card())
    gone = [path for path in made if not path.is_file()]
    old = [path for path in made if path not in gone and _differs(path, made[path])]
    if not gone and not old:
        return []
    told = [f"{_named(old)} not what the files of this commit say"] if old else []
    told += [f"{_named(gone)} missing"] if gone else []
    return [f"{', and '.join(told)}: run `uv run mlops card`, and commit"]


def documents(card: Card) -> dict[Path, str]:
    """What the files say of these facts."""
    return {CARD: markdown(card), CARD_PAGE: page(card)}


def _differs(path: Path, text: str) -> bool:
    try:
        return read_text(path) != text
    except InputError:  # no UTF-8: somebody else's
        return True


def _trimmed(text: str) -> str:
    """Without blanks at the ends of lines, which `make lint` would take away."""
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _named(paths: list[Path]) -> str:
    return f"{' and '.join(map(str, paths))} {'is' if len(paths) == 1 else 'are'}"


# In Markdown


def markdown(card: Card) -> str:
    """The card as Hugging Face has it: https://huggingface.co/docs/hub/model-cards."""
    text = layout("card.md", layers=architecture.words).render(
        card=card, metadata=_metadata(card), risks=_risks(card), test=card.parts.get("test")
    )
    return tidy(_trimmed(text))


def _metadata(card: Card) -> str:
    """The front matter, in YAML."""
    licence = LICENCES.get(card.licence or "", "other")
    found: dict[str, Any] = {"license": licence}
    if licence == "other":
        found["license_name"] = printable(card.licence or "proprietary").lower()
    found |= {
        "library_name": "onnx",
        "tags": [*filter(None, (TASKS.get(card.task), card.task, "tabular", card.estimator))],
    }
    if card.task in TASKS:
        found["pipeline_tag"] = TASKS[card.task]
    found["metrics"] = [*card.metrics]
    found["model-index"] = [{"name": printable(card.name), "results": [_result(card)]}]
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 10**6, False  # type: ignore[assignment]
    yaml.dump(found, stream)
    return stream.getvalue().rstrip("\n")


def _result(card: Card) -> dict[str, Any]:
    name = ", ".join(source.name for source in card.sources) or "unknown"
    dataset: dict[str, Any] = {
        "name": printable(name),
        "type": "tabular",
        "split": "test",
    }
    if card.lineage.snapshot_sha256:
        dataset["revision"] = card.lineage.snapshot_sha256
    return {
        "task": {"type": TASKS.get(card.task, card.task), "name": card.task},
        "dataset": dataset,
        "metrics": [
            {"type": name, "name": name, "value": each.value} for name, each in card.metrics.items()
        ],
    }


def _risks(card: Card) -> list[tuple[str, Any]]:
    """The heaviest first."""
    return sorted(dict(card.said.risks or {}).items(), key=lambda each: -each[1].weight)


# As a page


@dataclass(frozen=True)
class Bar:
    """A line of a picture.

    Attributes:
        name: what it is of.
        size: of the whole width, from 0 to 1; ends: of its interval, likewise.
        told: the number, in words.
        is_marked: whether it stands out.
    """

    name: str
    size: float
    told: str
    ends: tuple[float, float] | None = None
    is_marked: bool = False


@dataclass(frozen=True)
class Move:
    """How the answer goes with an input, on average.

    Attributes:
        name: the input, in words; of: what is answered.
        ends: its first and last value.
        low, high: the least and the largest answer, in words.
        points: of a line from left to right, each from 0 to 1; empty for what has no order.
        bars: the same of what has none.
    """

    name: str
    of: str
    ends: tuple[str, str]
    low: str
    high: str
    points: list[tuple[float, float]]
    bars: list[Bar]


@dataclass(frozen=True)
class Share:
    """Some of a hundred cases, for a picture of a hundred dots."""

    what: str
    dots: int
    kind: str


def page(card: Card) -> str:
    """One page that needs nothing else: styles and pictures are in it."""
    text = layout("card.html").render(
        card=card,
        train=card.parts.get("train"),
        test=card.parts.get("test"),
        title=card.name.replace("-", " ").replace("_", " "),
        right=_right(card),
        shares=_shares(card),
        classes=_classes(card),
        sizes=_sizes(card),
        errors=_errors(card),
        pairs=_hundred(card.metrics["roc_auc"])
        if _is_binary(card) and "roc_auc" in card.metrics
        else None,
        naive=_naive(card),
        is_better=_is_better(card),
        slices={column: bars for column in card.slices if (bars := _slices(card, column))},
        metric=PLAIN.get(card.task, (None,))[0],
        groups=[*_groups(card)],
        movers=_movers(card),
        moves=[*_moves(card)],
        risks=_risks(card),
        learned=_learned(card),
        architecture=architecture.picture(card.network, card.task) if card.network else None,
        unit=card.target.name.replace("_", " ") if card.target else "",
    )
    return "\n".join(filter(None, _trimmed(text).split("\n"))) + "\n"


def _learned(card: Card) -> int | None:
    """The rows that what is served has learned from."""
    train = card.parts.get("train")
    return card.rows if card.is_refitted else train.rows if train else None


def _is_binary(card: Card) -> bool:
    return card.task == "classification" and len(card.outcomes) == 2


def _hundred(each: Measured) -> dict[str, int | None]:
    """A share as so many of a hundred."""
    ends = {"low": each.low, "high": each.high}
    found = {name: None if end is None else _whole(end) for name, end in ends.items()}
    return {"value": _whole(each.value), **found}


def _whole(share: float) -> int:
    return round(100 * min(1.0, max(0.0, share)))


def _right(card: Card) -> dict[str, int | None] | None:
    """Right answers of a hundred."""
    found = card.metrics.get("accuracy")
    return _hundred(found) if card.task == "classification" and found else None


def words(card: Card, value: str) -> str:
    """A class as people call it: `late` and `not late` of what is true or false."""
    if card.target is None or card.target.kind != "boolean":
        return value
    name = card.target.name.replace("_", " ")
    return name if value == "true" else f"not {name}"


def _shares(card: Card) -> list[Share]:
    """What becomes of a hundred cases; nothing unless there are classes."""
    total = sum(each["rows"] for each in card.outcomes if "class" in each)
    if not total:
        return []
    if not _is_binary(card):
        right = sum(each["right"] for each in card.outcomes)
        parts = [("right answers", right, "good"), ("wrong answers", total - right, "bad")]
    else:
        no, yes = card.outcomes
        hit, miss = words(card, yes["class"]), words(card, no["class"])
        parts = [
            (f"are “{hit}”, and it says so", yes["right"], "good"),
            (f"are “{miss}”, and it says so", no["right"], "calm"),
            (f"are “{hit}”, and it says “{miss}”", yes["rows"] - yes["right"], "bad"),
            (f"are “{miss}”, and it says “{hit}”", no["rows"] - no["right"], "warn"),
        ]
    dots = _apportioned([rows for _, rows, _ in parts])
    return [Share(what, n, kind) for (what, _, kind), n in zip(parts, dots, strict=True)]


def _apportioned(counts: list[int], dots: int = 100) -> list[int]:
    """So many dots for counts: the largest remainders are rounded up (Hamilton's method)."""
    total = sum(counts)
    exact = [dots * each / total for each in counts]
    found = [int(each) for each in exact]
    order = sorted(range(len(counts)), key=lambda i: (found[i] - exact[i], i))
    for i in order[: dots - sum(found)]:
        found[i] += 1
    return found


def _classes(card: Card) -> list[dict[str, Any]]:
    """Of each class: how many are found, and how many of those that are named so are right."""
    if card.task != "classification":
        return []
    told = card.outcomes[1:] if _is_binary(card) else card.outcomes
    largest = sorted(told, key=lambda each: -each["rows"])[:BARS]
    return [
        {
            "name": words(card, each["class"]),
            "found": _whole(each["right"] / each["rows"]) if each["rows"] else None,
            "right": _whole(each["right"] / each["predicted"]) if each["predicted"] else None,
        }
        for each in largest
    ]


def _sizes(card: Card) -> list[Bar]:
    """The rows of each cluster."""
    rows = {each["cluster"]: each["rows"] for each in card.outcomes if "cluster" in each}
    total, most = sum(rows.values()), max(rows.values(), default=0)
    return [
        Bar(f"group {name}", count / most, f"{_whole(count / total)} of 100")
        for name, count in sorted(rows.items(), key=lambda each: -each[1])[:BARS]
    ]


def _errors(card: Card) -> list[Bar]:
    """How far off the answers are."""
    off = [each for each in card.outcomes if "off" in each]
    most = max((each["off"] for each in off), default=0) or 1
    return [
        Bar(
            f"{each['share']:.0%} of answers", each["off"] / most, f"at most {each['off']:,.4g} off"
        )
        for each in off
    ]


def _best(card: Card) -> tuple[str, float] | None:
    """The best that takes no model, by what the plain page tells."""
    name, is_less = PLAIN.get(card.task, ("", False))
    known = {answer: each[name] for answer, each in card.naive.items() if name in each}
    if name not in card.metrics or not known:
        return None
    answer = (min if is_less else max)(known, key=lambda each: known[each])
    return answer, known[answer]


def _naive(card: Card) -> list[Bar]:
    """The model beside the best that takes no model."""
    best = _best(card)
    if best is None:
        return []
    values = {
        "the program": card.metrics[PLAIN[card.task][0]],
        f"without it: {_plain_answer(card, best[0])}": Measured(best[1]),
    }
    return [*_bars(values, card.task, marked="the program")]


def _is_better(card: Card) -> bool | None:
    """Whether it is better than that by more than chance; None where nothing tells."""
    best, (name, is_less) = _best(card), PLAIN.get(card.task, ("", False))
    if best is None or (found := card.metrics[name]).low is None or found.high is None:
        return None
    return found.high < best[1] if is_less else found.low > best[1]


def _plain_answer(card: Card, name: str) -> str:
    if name.startswith("always "):
        return f"always “{words(card, name.removeprefix('always '))}”"
    return {
        "constant": "the most frequent answer",
        "mean": "always the average",
        "median": "always the middle value",
        "last": "what was true the time before",
        "rule": "the rule that people go by",
    }.get(name, name)


def _bars(values: dict[str, Measured], task: str, marked: str | None = None) -> Iterator[Bar]:
    """Shares of a hundred that are wrong, or errors: longer is worse."""

    def wrong(value: float) -> float:
        return 1 - value if task == "classification" else value

    ends = [
        wrong(v)
        for each in values.values()
        for v in (each.value, each.low, each.high)
        if v is not None
    ]
    most = max([*ends, 1e-12])
    for name, each in values.items():
        size = wrong(each.value)
        told = f"{_whole(size)} of 100 wrong" if task == "classification" else f"{size:,.4g} off"
        sides = None
        if each.low is not None and each.high is not None:
            low, high = sorted((wrong(each.low), wrong(each.high)))
            sides = max(0.0, low / most), min(1.0, high / most)
        yield Bar(name, max(0.0, size / most), told, sides, name == marked)


def _slices(card: Card, column: str) -> list[Bar]:
    """The values of a column for which it is most often wrong, and one line for all."""
    name, is_less = PLAIN.get(card.task, ("", False))
    if name not in card.metrics:
        return []
    known = {value: each for value, each in card.slices[column].items() if name in each}
    worst = sorted(known, key=lambda each: -known[each][name] if is_less else known[each][name])
    values = {"all cases": card.metrics[name]}
    values |= {value: _of_slice(card, known[value], name) for value in worst[:BARS]}
    return [*_bars(values, card.task, marked="all cases")] if known else []


def _of_slice(card: Card, known: dict[str, float], name: str) -> Measured:
    """A metric of some rows; a share of them with its interval."""
    if card.task != "classification":
        return Measured(known[name])
    rows = int(known["rows"])
    found = share(round(known[name] * rows), rows, card.confidence)
    return Measured(known[name], found.low, found.high)


@dataclass(frozen=True)
class Apart:
    """Groups of people in a metric: how far they are apart, and whether that is sure."""

    column: str
    metric: str
    lowest: str
    low: float
    highest: str
    high: float
    is_sure: bool


def _groups(card: Card) -> Iterator[Apart]:
    for column, found in card.fairness.items():
        for metric, each in found["disparities"].items():
            low = each["difference"]["low"]
            yield Apart(
                column,
                metric,
                each["lowest"],
                each["low"],
                each["highest"],
                each["high"],
                low is not None and low > 0,
            )


def _movers(card: Card) -> list[Bar]:
    """What the model goes by, the strongest first."""
    described = {each.name: each.description for each in card.inputs}
    told = [each for each in card.importance if each["importance"] > 0]
    ends = [each["importance"] + each["spread"] for each in told]
    most = max(ends, default=0) or 1
    return [
        Bar(
            described.get(each["column"]) or each["column"].replace("_", " "),
            each["importance"] / most,
            f"{each['importance'] / told[0]['importance']:.0%}",
            (
                max(0.0, (each["importance"] - each["spread"]) / most),
                (each["importance"] + each["spread"]) / most,
            ),
        )
        for each in told[:BARS]
    ]


def _moves(card: Card) -> Iterator[Move]:
    """How the strongest inputs move the answer; of several classes the one that moves most."""
    for column in dict.fromkeys(each["column"] for each in card.dependence):
        known: dict[str, dict[str, float]] = {}
        for each in card.dependence:
            if each["column"] == column:
                known.setdefault(each["class"], {})[each["value"]] = each["answer"]
        of, answers = max(known.items(), key=lambda each: _reach(each[1]))
        if len(answers) > 1:
            yield _move(card, column, of, answers)


def _reach(answers: dict[str, float]) -> float:
    return max(answers.values()) - min(answers.values())


def _move(card: Card, column: str, of: str, answers: dict[str, float]) -> Move:
    inputs = {each.name: each for each in card.inputs}
    kind, description = inputs[column].kind, inputs[column].description
    least, reach, is_share = min(answers.values()), _reach(answers) or 1, card.task != "regression"

    def told(answer: float) -> str:
        return f"{_whole(answer)} of 100" if is_share else f"{answer:,.4g}"

    places = [*_places([*answers], kind)]
    most = max(map(abs, answers.values())) or 1
    return Move(
        name=description or column.replace("_", " "),
        of=words(card, of) if is_share else of.replace("_", " "),
        ends=(next(iter(answers)), [*answers][-1]),
        low=told(least),
        high=told(max(answers.values())),
        points=[(x, (y - least) / reach) for x, y in zip(places, answers.values(), strict=False)],
        bars=[]
        if places
        else [Bar(name, abs(y) / most, told(y)) for name, y in answers.items()][:BARS],
    )


def _places(values: list[str], kind: str) -> Iterator[float]:
    """Where values stand on a line from 0 to 1; nowhere what has no order."""
    if kind == "numeric":
        numbers = [*map(float, values)]
    elif kind == "datetime":
        numbers = [*map(float, range(len(values)))]  # evenly, as they were chosen
    else:
        return
    low, reach = min(numbers), (max(numbers) - min(numbers)) or 1
    yield from ((each - low) / reach for each in numbers)
