"""The metrics that decide, counted again: from the model and the test rows, these from the data.

What a file of metrics says is not believed where it can be computed. Nothing is fetched where
everything is as it was at the base, which was judged then.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ..config.terms import Terms
from ..data.clean import clean
from ..data.columns import frame
from ..data.contract import Contract, load_contract
from ..data.parts import divide
from ..errors import InputError
from ..files import flat, read_json
from ..git.revision import WORKSPACE, Revision
from ..inference import OnnxModel
from ..learning.answers import answers
from ..learning.dependence import Records, dependence, strongest
from ..learning.metrics import STABILITY, Scored, catalogue, errors, rounded, score
from ..learning.naive import NaiveScores, naive_answers, naive_scores
from ..learning.outcomes import Outcomes, outcomes
from ..paths import (
    DEPENDENCE,
    FAIRNESS,
    IMPORTANCE,
    INTERVALS,
    METRICS,
    NAIVE,
    ONNX,
    OUTCOMES,
    PARAMS,
    PARTS,
    SLICES,
    SNAPSHOT,
)
from .bootstrap import intervals
from .comparison import Comparison, joblib_file, obtain, onnx_file, refitted_from, space_by
from .fairness import FairnessFile, Groups, as_file, fairness
from .gate import Breach, broken
from .slices import Slices, slices
from .worth import Worth, worth

# Metrics are written with six digits, and a machine may add up in another order.
TOLERANCE = 1e-4
# By how much the error of the model that is served may be above its candidate's, on rows that it
# has even learned from: shares of what the candidate is better than a constant, and of the
# constant's error. What loses more is another model.
LOSS, CHANCE = 0.1, 0.01


@dataclass(frozen=True)
class Details:
    """What the report and the card show beside the metrics.

    Attributes:
        intervals: where each metric lies.
        outcomes: how many answers are right, or how far off they are.
        importance: of inputs. It takes the model that was trained, which is code: it is believed,
            but for which inputs there are.
        dependence: what is answered on average by the value of the strongest of them.
    """

    intervals: dict[str, dict[str, float]]
    outcomes: Outcomes
    importance: Records
    dependence: Records

    @staticmethod
    def read() -> "Details":
        """What the files say; nothing where there is none. Raises InputError for another form."""
        found = Details(
            WORKSPACE.load(INTERVALS) or {},
            WORKSPACE.load(OUTCOMES) or [],
            WORKSPACE.load(IMPORTANCE) or [],
            WORKSPACE.load(DEPENDENCE) or [],
        )
        try:
            found.numbers()
            strongest(found.importance)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{INTERVALS}, {IMPORTANCE}, {OUTCOMES} or {DEPENDENCE}: not as the pipeline "
                f"writes it ({type(error).__name__}: {error}); run `uv run dvc repro`"
            ) from None
        return found

    def numbers(self) -> dict[Path, dict[str, float]]:
        """Each number of outcomes and dependence by what it is of, and ends of intervals."""
        return {
            INTERVALS: {
                f"{end} of {metric}": float(value)
                for metric, ends in self.intervals.items()
                for end, value in ends.items()
            },
            OUTCOMES: {
                f"{name} of {kind} {each[kind]}": float(value)
                for each in self.outcomes
                for kind in ("class", "cluster", "share")
                if kind in each
                for name, value in each.items()
                if name != kind
            },
            DEPENDENCE: {
                f"mean {each['class']} where {each['column']} is {each['value']}": float(
                    each["answer"]
                )
                for each in self.dependence
            },
        }


@dataclass(frozen=True)
class Recount:
    """What the model that is judged says of the test rows.

    Attributes:
        metrics, slices: as `evaluate` writes them; stability, which takes refits, is left out.
            None where they cannot be counted without the workspace's own code.
        naive: the metrics of naive answers; worth: how the model compares with the best of them.
        fairness: of groups, as `evaluate` has it.
        details: intervals, outcomes and effects of the inputs that the file of their importance
            calls the strongest.
        ranked: how many of the model's inputs that file has, and how many `evaluate` ranks.
        strangers: test rows that the split of the snapshot does not put there; None where both are
            the base's.
        lost: how far the model that is served falls behind its candidate, where it was then trained
            on all rows, and how far it may.
    """

    metrics: dict[str, float] | None
    slices: Slices | None
    naive: NaiveScores | None = None
    worth: dict[str, Worth] | None = None
    fairness: dict[str, Groups] | None = None
    details: Details | None = None
    ranked: tuple[int, int] = (0, 0)
    strangers: int | None = None
    lost: tuple[float, float] | None = None


@dataclass(frozen=True)
class Judged:
    """What gates are held against.

    Attributes:
        metrics, slices: counted again; where all is the base's, as the files have them.
        worth: how the model compares with naive answers; None where that was judged at the base.
        fairness: what it does to groups; None likewise.
        contradictions: where the files say otherwise.
    """

    metrics: dict[str, float]
    slices: Slices
    contradictions: list[Breach]
    worth: dict[str, Worth] | None = None
    fairness: dict[str, Groups] | None = None

    def breaches(self, terms: Terms, against: Comparison | None) -> list[Breach]:
        """All that the gates object to; without a comparison, none of those on regression does."""
        return [
            *self.contradictions,
            *broken(terms, self.metrics, self.slices, against, self.worth, self.fairness),
        ]


def judged_by(
    terms: Terms, base: Revision | None, own: bool = True, left_out: frozenset[str] = frozenset()
) -> Judged:
    """What the gates of params.yaml are held against.

    Args:
        terms: of the workspace.
        base: what was judged before; None for nothing.
        own: as in `comparison.compare`.
        left_out: metrics that nobody here can count.
    Raises:
        InputError: the model or the rows cannot be had.
    """
    said, parts = read_json(METRICS), read_json(SLICES)
    found = recount(terms, base, own)
    if found is None:
        return Judged(said, parts, [])
    told = [
        each
        for each in contradictions(
            found,
            said,
            parts,
            WORKSPACE.load(NAIVE) or {},
            WORKSPACE.load(FAIRNESS) or {},
            Details.read(),
        )
        if each.metric not in left_out
    ]
    if found.metrics is None or found.slices is None:
        return Judged(said, parts, told, fairness=found.fairness)
    taken = {name: said[name] for name in {STABILITY} | left_out if name in said}
    return Judged(found.metrics | taken, found.slices, told, found.worth, found.fairness)


def recount(terms: Terms, base: Revision | None, own: bool = True) -> Recount | None:
    """Count again what decides; None where all of it is the base's.

    Raises InputError where the model or the rows cannot be had.
    """
    model = onnx_file(WORKSPACE)
    if base is not None and _is_known(terms, base, model):
        return None
    with tempfile.TemporaryDirectory() as folder:
        space_of = [joblib_file(WORKSPACE)] if terms.task == "clustering" and own else []
        final = [ONNX] if refitted_from(WORKSPACE) else []
        wanted = [model, PARTS["test"], *space_of, *final]
        files = obtain(WORKSPACE, wanted, Path(folder, "judged"), own).files
        candidate, test = OnnxModel(files[model]), pd.read_parquet(files[PARTS["test"]])
        odd = strangers(terms, base, test, Path(folder, "data"), own)
        contract = Contract.parse(candidate.metadata["contract"])
        space = space_by(files[space_of[0]], contract, test) if space_of else None
        scored = answers(candidate, contract, test, space)
        # Who is protected is the file's word, which people review, and not the model's.
        protected = load_contract().only({*test.columns})
        groups = fairness(terms.task, scored, test, protected, terms.evaluate)
        if terms.task == "clustering" and not own:
            # Its space is what the workspace's own steps make; groups need none.
            return Recount(None, None, fairness=groups, strangers=odd)
        found = score(terms.task, scored, terms.evaluate.value)
        lost = None
        if final:
            lost = loss(scored, answers(OnnxModel(files[ONNX]), contract, test, space))
        naive = naive_answers(scored, test, contract, terms.evaluate.naive)
        said = Details.read()
        ranked = {each["column"] for each in said.importance} & {*contract.features}
        return Recount(
            metrics=rounded(found),
            slices=slices(terms.task, scored, test, contract, terms.evaluate),
            naive=naive_scores(terms.task, naive, terms.evaluate.value),
            worth=worth(terms, scored, naive),
            fairness=groups,
            details=_details(terms, said, scored, candidate, contract, test),
            ranked=(len(ranked), min(len(contract.features), terms.evaluate.importance_columns)),
            strangers=odd,
            lost=lost,
        )


def _details(
    terms: Terms,
    said: Details,
    scored: Scored,
    candidate: OnnxModel,
    contract: Contract,
    test: pd.DataFrame,
) -> Details:
    """What `evaluate` writes beside the metrics; importance is as the file has it."""
    names = [name for name in strongest(said.importance) if name in contract.features]
    return Details(
        intervals(catalogue(terms.task, terms.evaluate.value), scored, terms.compare),
        outcomes(terms.task, scored, candidate.metadata.get("classes") or []),
        said.importance,
        dependence(candidate, contract, test, names, terms.evaluate),
    )


def loss(candidate: Scored, served: Scored) -> tuple[float, float]:
    """How far the model that is served falls behind its candidate, and how far it may."""
    if candidate.truth is None:
        clear = next(iter(catalogue("clustering")))
        # One cluster for all rows has no value, and is no number that could be near another.
        one, other = (
            score("clustering", each).get(clear, math.nan) for each in (candidate, served)
        )
        return one - other, LOSS * abs(one) + CHANCE  # of how clear clusters are, up to 1
    (one, constant), (other, _) = errors(candidate), errors(served)
    return other - one, LOSS * max(0.0, constant - one) + CHANCE * constant


def _is_known(terms: Terms, base: Revision, model: Path) -> bool:
    same = (
        base.outputs.get(path) == WORKSPACE.outputs.get(path) for path in (model, ONNX, *_rows())
    )
    files = [METRICS, SLICES, NAIVE, FAIRNESS, INTERVALS, OUTCOMES, IMPORTANCE, DEPENDENCE]
    # What is not taken from a file was judged then only if it was asked for then.
    if terms.fairness or any(gate.naive is not None for gate in terms.gates.values()):
        files.append(PARAMS)
    return all(same) and all(base.read(path) == WORKSPACE.read(path) for path in files)


def _rows() -> tuple[Path, ...]:
    return SNAPSHOT, PARTS["test"]


def strangers(
    terms: Terms, base: Revision | None, test: pd.DataFrame, folder: Path, own: bool = True
) -> int | None:
    """How many test rows are not those that the split makes of the snapshot.

    None where snapshot and test are the base's. Raises InputError where the snapshot cannot be had.
    """
    if base is not None and all(
        base.outputs.get(path) == WORKSPACE.outputs.get(path) for path in _rows()
    ):
        return None
    contract = load_contract()
    file = obtain(WORKSPACE, [SNAPSHOT], folder, own).files[SNAPSHOT]
    data = clean(frame(pq.read_table(file)), contract).typed
    expected = divide(data, contract, terms.task, terms.split)["test"]
    both = [pd.util.hash_pandas_object(each[[*expected]], index=False) for each in (expected, test)]
    counts = [each.value_counts() for each in both]
    return int(counts[1].sub(counts[0], fill_value=0).abs().sum())


def contradictions(
    found: Recount,
    metrics: dict[str, float],
    parts: Slices,
    naive: NaiveScores,
    groups: FairnessFile,
    details: Details | None = None,
) -> Iterator[Breach]:
    """Where the files say otherwise than what was counted, with both numbers."""
    if found.strangers:
        odd = (
            f"{PARTS['test']}: {found.strangers:,} rows differ from those that split makes of "
            f"{SNAPSHOT}: run `uv run dvc repro`"
        )
        yield Breach(None, "evidence", odd)
    # An error that is no number is within no bound.
    if found.lost is not None and not found.lost[0] <= found.lost[1]:
        lost, may = found.lost
        worse = (
            f"{ONNX}, which is served, is not its candidate trained on all rows: its error on the "
            f"test rows is {lost:.4g} larger, {may:.4g} may be; run `uv run dvc repro`"
        )
        yield Breach(None, "evidence", worse)
    if found.fairness is not None:
        sides = (flat(each) for each in (groups, as_file(found.fairness)))
        yield from _apart(FAIRNESS, "", *map(_numbers, sides))
    if found.metrics is None or found.slices is None:
        return
    yield from _apart(METRICS, "", metrics, found.metrics)
    ranked, every = found.ranked
    if ranked < every:
        few = f"{IMPORTANCE} ranks {ranked} of the model's inputs, evaluate ranks {every}"
        yield Breach(None, "evidence", f"{few}: run `uv run dvc repro`")
    if details is not None and found.details is not None:
        counted_details = found.details.numbers()
        for file, numbers in details.numbers().items():
            yield from _apart(file, "", numbers, counted_details[file])
    counted = found.naive or {}
    for answer in dict.fromkeys([*naive, *counted]):
        two = (each.get(answer, {}) for each in (naive, counted))
        yield from _apart(NAIVE, f" of {answer}", *two)
    for column in dict.fromkeys([*parts, *found.slices]):
        said, true = (each.get(column, {}) for each in (parts, found.slices))
        for value in dict.fromkeys([*said, *true]):
            where = f" of {column} {value}"
            yield from _apart(SLICES, where, said.get(value, {}), true.get(value, {}))


def _apart(
    file: Path, where: str, said: dict[str, float], true: dict[str, float]
) -> Iterator[Breach]:
    for name in dict.fromkeys([*said, *true]):
        one, other = said.get(name), true.get(name)
        if name == STABILITY or (one is not None and other is not None and _is_close(one, other)):
            continue
        shown = ["nothing" if each is None else f"{each:.6g}" for each in (one, other)]
        who = "a naive answer" if file == NAIVE else "the model"
        told = f"{name}{where}: {file} says {shown[0]}, {who} says {shown[1]} of the test rows"
        metric = name.rpartition(" of ")[2] if file == INTERVALS else name
        yield Breach(metric, "evidence", told, found=other)


def _numbers(leaves: dict[str, Any]) -> dict[str, float]:
    """Without the names of groups, which two of the same number may change."""
    return {name: value for name, value in leaves.items() if isinstance(value, int | float)}


def _is_close(one: float, other: float) -> bool:
    return bool(abs(one - other) <= TOLERANCE * max(abs(one), abs(other)) + 1e-9)
