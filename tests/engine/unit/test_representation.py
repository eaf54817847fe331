"""What the data says of groups, by plain pandas; what is surely far apart is a caveat."""

import numpy as np
import pandas as pd
import pytest
from engine import loans, made

from mlops.data.contract import Contract, conform
from mlops.judging.representation import as_file, caveats_of_groups, representation


def lacking(share: float, rows: int = 1000) -> tuple[pd.DataFrame, Contract]:
    """Loans in which merit is unknown for a share of group B."""
    columns = loans.COLUMNS | {"merit": loans.COLUMNS["merit"] | {"nullable": True}}
    data, rng = loans.rows(rows, seed=1), np.random.default_rng(0)
    gone = (data["group"] == "B") & (rng.random(rows) < share)
    contract = made.contract_of(columns)
    return conform(data.assign(merit=data["merit"].mask(gone)), contract), contract


def test_groups_are_counted_as_pandas_counts_them() -> None:
    data, contract = lacking(0.3)
    found = as_file(representation(data, contract))["group"]
    of_b = data[data["group"] == "B"]
    assert found["B"]["rows"] == len(of_b)
    assert found["B"]["share"] == pytest.approx(len(of_b) / 1000)
    assert found["B"]["missing"] == {"merit": pytest.approx(of_b["merit"].isna().mean(), rel=1e-5)}
    assert found["A"]["missing"] == {}
    granted = float(of_b["granted"].mean())
    assert found["B"]["target"]["true"] == pytest.approx(granted, rel=1e-5)
    assert found["B"]["target"]["false"] == pytest.approx(1 - granted, rel=1e-5)


def test_a_number_has_its_mean_and_clusters_have_no_target() -> None:
    columns = made.COLUMNS | {"colour": made.COLUMNS["colour"] | {"role": "sensitive"}}
    data = made.rows("regression")
    found = representation(data, made.contract_of(columns | made.TARGETS["regression"][1]))
    red = data[data["colour"] == "red"]
    assert found["colour"]["red"].target == {"mean": pytest.approx(red["price"].mean(), rel=1e-5)}
    assert "(missing)" in found["colour"]
    assert representation(data, made.contract_of(columns))["colour"]["red"].target == {}


def test_labels_and_gaps_that_differ_are_told_with_both_numbers() -> None:
    data, contract = lacking(0.3)
    gaps, labels = map(str, caveats_of_groups(data, contract))
    of = data.groupby("group")
    gone, granted = of["merit"].apply(lambda each: each.isna().mean()), of["granted"].mean()
    assert gaps == f"group: merit is missing in {gone['B']:.1%} of B and 0.0% of A"
    assert labels.startswith(
        f"group: granted is true for {granted['A']:.1%} of A and {granted['B']:.1%} of B: a model"
    )


def test_what_may_be_chance_or_is_small_is_not_told() -> None:
    assert len([*caveats_of_groups(*lacking(0.1))]) == 1  # labels alone
    assert [*caveats_of_groups(*lacking(0.3, rows=60))] == []
    fair = loans.rows(2000, seed=4)
    fair["granted"] = (fair["merit"] > 0).astype("boolean")
    assert [*caveats_of_groups(fair, loans.contract())] == []
    alone = loans.rows(500, seed=4, share=0.0)
    assert [*caveats_of_groups(alone, loans.contract())] == []


def test_without_a_sensitive_column_there_is_nothing() -> None:
    data, contract = made.rows("binary"), made.contract("binary")
    assert representation(data, contract) == {}
    assert [*caveats_of_groups(data, contract)] == []
