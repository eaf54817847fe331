"""Explore the rows to learn from, as the pipeline reads them, and try settings before it does.

    make run
    uv run --group notebook marimo edit notebooks/explore.py

Plain Python: what a cell shows is never in the file, so that no rows get into Git.
"""

import marimo

app = marimo.App(width="medium")

with app.setup:
    import os

    import altair as alt
    import marimo as mo
    import pandas as pd

    from mlops.config.params import load_params
    from mlops.data.contract import load_contract
    from mlops.data.inputs import model_inputs
    from mlops.learning.declared import load_declared
    from mlops.learning.metrics import score
    from mlops.paths import PARTS
    from mlops.pipeline.train import decide, fit, scored_by
    from mlops.project import root

    os.chdir(root() or ".")  # paths begin at the project's root


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Explore

    The rows below are those to learn from, and those that settings are chosen by. **The test rows
    stay closed**: whoever looks at them chooses by them, and their metrics say less then.

    All columns at once, with suspected leaks and duplicates: `uv run mlops data show`.
    """)


@app.cell
def _():
    params, contract = load_params(), load_contract()
    train, validation = (pd.read_parquet(PARTS[part]) for part in ("train", "validation"))
    train.head(100)
    return contract, params, train, validation


@app.cell
def _(contract, train):
    described = pd.DataFrame(
        {"role": ", ".join(column.role), "kind": column.kind, "description": column.description}
        for column in contract.columns.values()
    )
    described.index = [*contract.columns]
    described.assign(missing=train.isna().mean().map("{:.1%}".format), distinct=train.nunique())
    return


@app.cell
def _(contract):
    chosen = mo.ui.dropdown([*contract.features], value=contract.features[0], label="column")
    chosen
    return (chosen,)


@app.cell
def _(chosen, contract, params, train):
    def parts_of(values: pd.Series) -> pd.Series:
        """The middle of twenty ranges of equal width; of categories, the twenty with most rows."""
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > 20:
            return pd.cut(values, 20).cat.rename_categories(lambda part: part.mid).astype(float)
        return values.astype("string").where(values.isin(values.value_counts().index[:20]))

    rows = pd.DataFrame({"part": parts_of(train[chosen.value])})
    axis = alt.X(f"part:{'N' if rows.part.dtype == 'string' else 'Q'}", title=chosen.value)
    if contract.target:
        rows["target"] = train[contract.target]
    by = ["part", "target"] if params.task == "classification" else ["part"]
    counted = rows.groupby(by).size().reset_index(name="rows")
    bars = alt.Chart(counted).mark_bar().encode(axis, y="rows:Q")
    if params.task == "classification":
        bars = bars.encode(color=alt.Color("target:N", title=contract.target))
    elif params.task == "regression":
        means = rows.groupby("part").target.mean().reset_index()
        scale = alt.Y("target:Q", title=f"mean {contract.target}", scale={"zero": False})
        bars |= alt.Chart(means).mark_line(point=True).encode(axis, scale)
    bars
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What an estimator learns from

    The columns of `contract.yaml` with those that `features.yaml` declares: save that file, and run
    this cell again.
    """)


@app.cell
def _(contract, train):
    load_declared(contract).columns_of(model_inputs(train.head(1000), contract))
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Try settings

    Each line is fitted on the training rows and measured on the validation rows. Put what is worth
    keeping into `params.yaml`, and what it taught into `uv run mlops experiments note`.
    """)


@app.cell
def _(contract, params, train, validation):
    # Such as "smaller": {"max_leaf_nodes": 15}
    settings = {"as params.yaml has it": {}}

    def measured(changes: dict) -> dict[str, float]:
        section = params.hyperparameters(params.train.estimator, changes)
        pipeline = fit(params, section, contract, train)
        decided = decide(params, contract, pipeline, validation)
        scored = scored_by(params.task, pipeline, None, contract, validation, decided)
        return score(params.task, scored, params.evaluate.value)

    pd.DataFrame({name: measured(changes) for name, changes in settings.items()}).T.round(4)
    return


if __name__ == "__main__":
    app.run()
