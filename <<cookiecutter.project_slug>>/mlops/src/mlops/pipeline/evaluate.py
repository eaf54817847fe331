"""Evaluate: how good is the model on the test rows, overall and slice by slice?

Judged is the candidate as ONNX, which is how it is served; scikit-learn's tells which columns
matter.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from ..config.params import load_params
from ..data.contract import Contract, load_contract
from ..data.inputs import model_inputs
from ..files import replacing, write_json
from ..inference import OnnxModel
from ..judging.bootstrap import intervals
from ..judging.coverage import caveats_of_interval
from ..judging.fairness import as_file, fairness
from ..judging.slices import slices
from ..learning import plots
from ..learning.answers import answers
from ..learning.caveats.answers import caveats_of_answers
from ..learning.dependence import dependence, strongest
from ..learning.importance import importance
from ..learning.metrics import STABILITY, catalogue, rounded, score
from ..learning.model import Model, Outputs
from ..learning.naive import naive_answers, naive_scores
from ..learning.outcomes import outcomes
from ..learning.threshold import check_worth
from ..paths import (
    CANDIDATE,
    CANDIDATE_ONNX,
    CAVEATS,
    DEPENDENCE,
    FAIRNESS,
    IMPORTANCE,
    INTERVALS,
    METRICS,
    NAIVE,
    OUTCOMES,
    PARTS,
    PLOTS,
    PREDICTIONS,
    SLICES,
)
from . import stage


def evaluate() -> None:
    """Write the metrics, the slices, the plots and the predictions of the test rows."""
    params, contract, model = load_params(), load_contract(), Model.load(CANDIDATE)
    check_worth(model.threshold, params.evaluate.value)
    test = pd.read_parquet(PARTS["test"])
    inputs = model_inputs(test, contract)
    space = model.pipeline[:-1].transform(inputs) if params.task == "clustering" else None
    candidate = OnnxModel(CANDIDATE_ONNX)
    scored = answers(candidate, contract, test, space)
    found = score(params.task, scored, params.evaluate.value)
    if params.task == "clustering":
        fitted_on = model_inputs(pd.read_parquet(PARTS["train"]), contract)
        found[STABILITY] = stability(model, fitted_on, inputs, params.train.seed)
    write_json(METRICS, rounded(found))
    known = catalogue(params.task, params.evaluate.value)
    write_json(INTERVALS, intervals(known, scored, params.compare))
    write_json(OUTCOMES, outcomes(params.task, scored, model.classes or []))
    caveats = [
        *caveats_of_answers(scored),
        *caveats_of_interval(scored, model.interval, params.compare.confidence),
    ]
    write_json(CAVEATS, [asdict(each) for each in caveats])
    naive = naive_answers(scored, test, contract, params.evaluate.naive)
    write_json(NAIVE, naive_scores(params.task, naive, params.evaluate.value))
    write_json(SLICES, slices(params.task, scored, test, contract, params.evaluate))
    groups = fairness(params.task, scored, test, contract, params.evaluate)
    write_json(FAIRNESS, as_file(groups))
    with replacing(PREDICTIONS) as temporary:
        predictions(test, contract, model, scored.outputs).to_parquet(temporary, index=False)
    truth = model.pipeline.predict(inputs) if scored.truth is None else scored.truth
    weights = importance(params.task, model, inputs, truth, params.evaluate)
    moved = dependence(candidate, contract, test, strongest(weights), params.evaluate)
    measured = {"importance": weights, "dependence": moved}
    write_json(IMPORTANCE, weights)
    write_json(DEPENDENCE, moved)
    with replacing(PLOTS) as folder:
        for name, plot in plots.PLOTS[params.task].items():
            data = (
                measured[name]
                if name in plots.MEASURED
                else plots.records(name, scored, model.classes or [])
            )
            plots.write(folder, name, plot, data)
    print("  ".join(f"{name} {value:.4g}" for name, value in found.items()))
    for each in caveats:
        print(f"caveat: {each}")


def stability(model: Model, fitted_on: pd.DataFrame, inputs: pd.DataFrame, seed: int) -> float:
    """How alike the clusters of `inputs` are when the model is fitted on other draws of the rows.

    Mean adjusted Rand index between the model's clusters and those of five bootstrap refits
    (Hennig, "Cluster-wise assessment of cluster stability", 2007); 1 is the same clusters.
    """
    rng = np.random.default_rng(seed)
    clusters = model.pipeline.predict(inputs)
    alike = []
    for _ in range(5):
        drawn = fitted_on.iloc[rng.integers(len(fitted_on), size=len(fitted_on))]
        refitted = clone(model.pipeline).fit(drawn)
        alike.append(adjusted_rand_score(clusters, refitted.predict(inputs)))
    return float(np.mean(alike))


def predictions(
    test: pd.DataFrame, contract: Contract, model: Model, outputs: Outputs
) -> pd.DataFrame:
    """The test rows' ids, time and truth beside what the model said, in the test's order."""
    told = {"id", "time", "target"}
    kept = test[[name for name, c in contract.columns.items() if told & set(c.role)]].copy()
    kept["prediction"] = outputs["prediction"]
    for name, column in zip(
        model.classes or [], outputs.get("probability", np.empty((0, 0))).T, strict=True
    ):
        kept[f"probability_{name}"] = column
    for name in ("lower", "upper"):
        if name in outputs:
            kept[name] = outputs[name]
    return kept


if __name__ == "__main__":
    stage(evaluate)
