"""Champion against challenger on the same test rows: is a metric better, the same or worse?"""

import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from ..config.terms import Terms
from ..data.contract import Contract, load_contract
from ..data.inputs import columns, model_inputs
from ..data.membership import memberships
from ..errors import InputError
from ..git.revision import WORKSPACE, Output, Revision, is_clean
from ..inference import OnnxModel, Runnable
from ..learning.answers import answers
from ..learning.metrics import Scored
from ..learning.model import Model
from ..paths import CANDIDATE, CANDIDATE_ONNX, MODEL, ONNX, PARAMS, PARTS, SPLIT
from . import paired
from .bootstrap import errors, interval
from .fairness import Measure, measures, spread
from .paired import Compared, Verdict, judged

# Fewer rows that neither model saw leave no verdict.
JUDGES = 100


@dataclass(frozen=True)
class Side:
    """A model's answers for the test rows.

    Attributes:
        scored: the answers beside the truth.
        classes: names of the classes in the order of the probabilities; empty unless there are.
        latency: seconds to answer one row alone.
    """

    scored: Scored
    classes: list[str]
    latency: float


@dataclass(frozen=True)
class Answers:
    """What both models said of the same test rows."""

    champion: Side
    challenger: Side
    test: pd.DataFrame


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        verdict: of the gated metrics together: worse if one is worse, else better if one is better;
            None where nothing could be compared.
        reason: why there is no verdict, or none was needed.
        undecided: the models differ and could be compared, but not here: something is missing, and
            no gate may take that for good.
        metrics: by name, in the task's order.
        fairness: the largest difference between groups, by column with role sensitive and metric of
            groups; less is better.
        notes: what people should know of how they came about, a sentence each.
        rows: how many test rows they are of.
        answers: what is behind them.
    """

    verdict: Verdict | None
    reason: str | None = None
    undecided: bool = False
    metrics: dict[str, Compared] = field(default_factory=dict)
    fairness: dict[str, dict[str, Compared]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rows: int | None = None
    answers: Answers | None = field(default=None, repr=False)


def compare(
    terms: Terms,
    base: Revision | None,
    own: bool = True,
    *,
    names: Collection[str] | None = None,
) -> Comparison:
    """Compare the workspace's model with that of `base`. Fetches only what that needs.

    Args:
        terms: of the workspace.
        base: where the champion is; None where there is nothing to compare with.
        own: whether the workspace's own code may run. Where it may not, nothing of it is made
            again or unpickled, and clusters are judged by the champion's features.
        names: of the metrics to compare; None for all.
    """
    challenger = WORKSPACE.outputs.get(onnx_file(WORKSPACE))
    champion = base.outputs.get(onnx_file(base)) if base else None
    if challenger is None:
        return Comparison(None, "there is no model: run `uv run dvc repro`", undecided=True)
    if base is None or champion is None:
        return Comparison(None, "no champion yet: this is the first model")
    if champion.md5 == challenger.md5:
        return Comparison("same", "the model is the same file")
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = onnx_file(base), onnx_file(WORKSPACE)
            side = WORKSPACE if own else base
            space_of = [joblib_file(side)] if terms.task == "clustering" else []
            wanted = {base: [files[0]], WORKSPACE: [files[1], PARTS["test"]]}
            wanted[side] = wanted[side] + space_of
            before = obtain(base, wanted[base], Path(folder, "champion"), own)
            after = obtain(WORKSPACE, wanted[WORKSPACE], Path(folder, "challenger"), own)
            old, new = OnnxModel(before.files[files[0]]), OnnxModel(after.files[files[1]])
            contract = _contract(new, terms)
            test = pd.read_parquet(after.files[PARTS["test"]])
            if reason := _incomparable(old, new):
                return Comparison(None, reason)
            known = Contract.parse(old.metadata["contract"])
            learned = learned_from(base, test, known, contract, Path(folder, "learned"), own)
            test = test[~learned].reset_index(drop=True)
            space = None
            if space_of:
                features = (after if own else before).files[space_of[0]]
                space = space_by(features, contract if own else known, test)
        except InputError as error:
            return Comparison(None, str(error), undecided=True)
    notes = [
        f"The {who} was made again from its commit: this run reaches no store that has it."
        for who, each in (("champion", before), ("challenger", after))
        if each.remade
    ]
    if learned.any():
        told = f"the champion learned from {learned.sum():,} of the {len(learned):,} test rows"
        if len(test) < JUDGES:
            changed = _changed_split(base)
            return Comparison(
                None, f"{told}{changed}, too few are left to judge by", undecided=True
            )
        notes.append(
            f"{told[0].upper()}{told[1:]}: the {len(test):,} that neither model saw judge."
        )
    both = Answers(_side(old, contract, test, space), _side(new, contract, test, space), test)
    metrics = paired.judge(terms, both.champion.scored, both.challenger.scored, names=names)
    gated = [metrics[name].verdict for name in judged(terms) if name in metrics]
    return Comparison(
        _together(gated),
        None if gated else f"{', '.join(judged(terms))}: no value on these test rows",
        metrics=metrics,
        fairness=compare_groups(terms, both, load_contract().only({*test.columns})),
        notes=notes,
        rows=len(test),
        answers=both,
    )


def onnx_file(revision: Revision) -> Path:
    """The model that is judged: that of the training rows. Engines before 0.3 made no other."""
    return CANDIDATE_ONNX if CANDIDATE_ONNX in revision.outputs else ONNX


def joblib_file(revision: Revision) -> Path:
    """The same as scikit-learn has it."""
    return CANDIDATE if CANDIDATE in revision.outputs else MODEL


def refitted_from(revision: Revision) -> Output | None:
    """The candidate that was judged, where the model that is served was trained on all rows."""
    candidate, model = (revision.outputs.get(path) for path in (CANDIDATE_ONNX, ONNX))
    return candidate if candidate != model else None


def learned_from(
    base: Revision,
    test: pd.DataFrame,
    before: Contract,
    after: Contract,
    folder: Path,
    own: bool = True,
) -> np.ndarray:
    """Whether the model of `base` learned, or was chosen, by each test row, shape (rows,).

    A row is known by what it holds in the columns that are of the same kind on both sides. Where
    the test is the base's own, or all of it comes after the base's rows to learn from, nothing is
    fetched.

    Args:
        base: where the rows are that its model learned from.
        test: the rows that are to judge.
        before, after: the contracts of the base's rows and of the test's.
        folder: for what is fetched.
        own: as `compare`.
    Raises:
        InputError: the base's rows cannot be had.
    """
    if base.outputs.get(PARTS["test"]) == WORKSPACE.outputs.get(PARTS["test"]):
        return np.zeros(len(test), bool)
    ends = [
        part["time"][1]
        for name, part in (base.load(SPLIT) or {}).get("parts", {}).items()
        if name != "test" and "time" in part
    ]
    if after.time and ends and max(map(pd.Timestamp, ends)) < test[after.time].min():
        return np.zeros(len(test), bool)
    had = obtain(base, [PARTS["train"], PARTS["validation"]], folder, own)
    names = [
        name
        for name, column in after.columns.items()
        if name in before.columns and before.columns[name].kind == column.kind
    ]
    # A column of another type has other hashes, and would make every row one that nobody saw.
    types = test[names].dtypes.to_dict()
    parts = (pd.read_parquet(path)[names].astype(types) for path in had.files.values())
    known = np.concatenate([_hashes(part) for part in parts])
    return np.isin(_hashes(test[names]), known)


def _hashes(rows: pd.DataFrame) -> np.ndarray:
    return pd.util.hash_pandas_object(rows, index=False).to_numpy()


def _changed_split(base: Revision) -> str:
    """Which settings of the split are others than the base's, for people."""
    sides = ((side.load(PARAMS) or {}).get("split", {}) for side in (base, WORKSPACE))
    before, after = sides
    told = [f"{k} {before.get(k)} → {after[k]}" for k in after if before.get(k) != after[k]]
    return f" (split: {', '.join(told)})" if told else ""


def _together(verdicts: list[Verdict]) -> Verdict | None:
    order: tuple[Verdict, ...] = ("worse", "better", "same")
    return next((each for each in order if each in verdicts), None)


def compare_groups(
    terms: Terms, both: Answers, contract: Contract
) -> dict[str, dict[str, Compared]]:
    """How far groups are apart by either model: the largest difference, by column and metric.

    The bootstrap is paired, as in `judge`. Judged are the groups that are large enough, as in
    `fairness`, by the rows that count for both models.
    """
    found = {}
    if terms.task == "clustering":  # whose clusters are numbered anew each time
        return {}
    sides = [
        measures(terms.task, side.scored, terms.evaluate)
        for side in (both.champion, both.challenger)
    ]
    shared = [name for name in sides[1] if name in sides[0]]
    for label, _, membership in memberships(both.test, contract, terms.evaluate.group_columns):
        codes, _ = pd.factorize(membership)
        compared = {
            name: _compare_spread(terms, sides[0][name], sides[1][name], codes) for name in shared
        }
        found[label] = {name: each for name, each in compared.items() if each is not None}
    return found


def _compare_spread(
    terms: Terms, champion: Measure, challenger: Measure, codes: np.ndarray
) -> Compared | None:
    counts = np.bincount(codes[champion.among & challenger.among])
    judged = np.flatnonzero(counts >= terms.evaluate.group_rows)
    if len(judged) < 2:
        return None

    def apart(rows: np.ndarray) -> tuple[float, float]:
        one, other = (spread(each, codes, judged, rows) for each in (champion, challenger))
        return one, other

    def differences(rows: np.ndarray) -> dict[str, float]:
        one, other = apart(rows)
        return {} if np.isnan(one) or np.isnan(other) else {"": other - one}

    before, after = apart(np.arange(len(codes)))
    error = errors(differences, {}, len(codes), terms.compare)
    if not error:
        return None
    low, high = interval(after - before, error[""], terms.compare)
    return Compared(before, after, low, high, _lower(low, high))


def _lower(low: float, high: float) -> Verdict:
    return "better" if high < 0 else "worse" if low > 0 else "same"


@dataclass(frozen=True)
class Obtained:
    """Files of a revision by their path in the project, and whether they were made again."""

    files: dict[Path, Path]
    remade: bool


def obtain(revision: Revision, paths: list[Path], folder: Path, own: bool = True) -> Obtained:
    """Fetch outputs of stages by hash; where they are stored nowhere, make them again.

    Where the workspace's own code may not run, what it makes is taken if it has the hash that its
    lock names, and what others make again is not taken from where that code could have put it.

    Raises InputError where they cannot be had.
    """
    folder.mkdir()
    try:
        return Obtained({path: revision.fetch(path, folder) for path in paths}, remade=False)
    except InputError as error:
        commit = Revision.of("HEAD") if revision == WORKSPACE and is_clean() else revision
        if commit is None or commit.commit is None:
            raise
        if not own:
            if kept := commit.kept(paths):
                return Obtained(kept, remade=True)
            if revision == WORKSPACE:
                raise
        try:
            return Obtained(commit.remake(paths, anew=not own), remade=True)
        except InputError as failed:
            raise InputError(f"{error}; nor can it be made again: {failed}") from failed


def _contract(challenger: OnnxModel, terms: Terms) -> Contract:
    """What the challenger and the test rows were made by, which contract.yaml may be ahead of."""
    task = challenger.metadata["task"]
    if task != terms.task:
        raise InputError(
            f"the model is for {task}, and params.yaml for {terms.task}: run `uv run dvc repro`"
        )
    return Contract.parse(challenger.metadata["contract"])


def space_by(path: Path, contract: Contract, test: pd.DataFrame) -> np.ndarray:
    """Where clusters are judged: rows as the steps before a kept model make them.

    Args:
        path: the model's joblib file, whose code is run.
        contract: by which it was made.
        test: the rows.
    """
    pipeline = Model.load(path).pipeline
    return np.asarray(pipeline[:-1].transform(model_inputs(test, contract)))


def _incomparable(old: OnnxModel, new: OnnxModel) -> str | None:
    """Why the two models cannot be asked the same, if so."""
    before, after = (Contract.parse(each.metadata["contract"]) for each in (old, new))
    for what, one, other in (
        ("task", old.metadata["task"], new.metadata["task"]),
        ("target", before.target, after.target),
        ("classes", old.metadata.get("classes"), new.metadata.get("classes")),
    ):
        if one != other:
            return f"different {what}: the champion's is {_said(one)}, now it is {_said(other)}"
    for name in [*before.features, *filter(None, [before.target])]:
        if name not in after.columns:
            return f"different columns: the champion reads {name}, which is gone"
        if before.columns[name].kind != after.columns[name].kind:
            return (
                f"different columns: {name} was {before.columns[name].kind}, "
                f"now it is {after.columns[name].kind}"
            )
    return None


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "none")


def _side(
    model: OnnxModel, contract: Contract, test: pd.DataFrame, space: np.ndarray | None
) -> Side:
    scored = answers(model, contract, test, space)
    one = columns(model_inputs(test[:1], Contract.parse(model.metadata["contract"])))
    return Side(scored, model.metadata.get("classes") or [], latency(model, one))


def latency(model: Runnable, row: dict[str, np.ndarray], turns: int = 200) -> float:
    """Median seconds to answer one row."""
    taken = []
    for _ in range(turns):
        start = time.perf_counter()
        model.predict(row)
        taken.append(time.perf_counter() - start)
    return median(taken)
