"""Evaluate: how good is the model on the test rows, overall and slice by slice?"""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from .. import plots
from ..config.params import load_params
from ..contract import Contract, load_contract
from ..files import replacing, write_json
from ..importance import importance
from ..inputs import model_inputs, target_values
from ..metrics import STABILITY, Scored, rounded, score
from ..model import Model, Outputs
from ..paths import METRICS, PARTS, PLOTS, PREDICTIONS, SLICES
from ..slices import slices
from . import stage


def evaluate() -> None:
    """Write the metrics, the slices, the plots and the predictions of the test rows."""
    params, contract, model = load_params(), load_contract(), Model.load()
    test = pd.read_parquet(PARTS["test"])
    inputs, truth = model_inputs(test, contract), target_values(test, contract)
    outputs = model.predict(inputs)
    scored = Scored(
        outputs,
        truth,
        getattr(model.pipeline, "classes_", None),
        model.pipeline[:-1].transform(inputs) if params.task == "clustering" else None,
    )
    found = score(params.task, scored, params.evaluate.value)
    if params.task == "clustering":
        fitted_on = model_inputs(pd.read_parquet(PARTS["train"]), contract)
        found[STABILITY] = stability(model, fitted_on, inputs, params.train.seed)
    write_json(METRICS, rounded(found))
    write_json(SLICES, slices(params.task, scored, test, contract, params.evaluate))
    with replacing(PREDICTIONS) as temporary:
        predictions(test, contract, model, outputs).to_parquet(temporary, index=False)
    with replacing(PLOTS) as folder:
        for name, plot in plots.PLOTS[params.task].items():
            if name == "importance":
                truth_or_cluster = outputs["prediction"] if truth is None else truth
                data = importance(params.task, model, inputs, truth_or_cluster, params.evaluate)
            else:
                data = plots.records(name, scored, model.classes or [])
            plots.write(folder, name, plot, data)
    print("  ".join(f"{name} {value:.4g}" for name, value in found.items()))


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
