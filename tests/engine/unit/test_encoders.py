"""Encodings of categories are those of scikit-learn, or what is counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction import FeatureHasher
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder

from mlops.learning.declared import Encoding
from mlops.learning.encoders import CategoryEncoder, hashed

RNG = np.random.default_rng(0)
TEXTS = pd.DataFrame(
    {"dest": RNG.choice(["BOS", "LAX", "é", "", "rare"], 500, p=[0.4, 0.3, 0.2, 0.09, 0.01])}
)
UNSEEN = pd.DataFrame({"dest": ["BOS", "never seen", ""]})


def _encoder(how: str, size: float | None = None) -> CategoryEncoder:
    return CategoryEncoder(Encoding.model_validate({"how": how, "size": size}))


@pytest.mark.parametrize(
    ("target", "kind", "parts"),
    [
        (RNG.integers(0, 2, 500), "binary", StratifiedKFold),
        (np.array(["a", "b", "c"])[RNG.integers(0, 3, 500)], "multiclass", StratifiedKFold),
        (RNG.integers(0, 50, 500).astype("float64"), "continuous", KFold),
    ],
)
def test_the_mean_of_the_target_is_scikit_learns(target: np.ndarray, kind: Any, parts: Any) -> None:
    plain = TargetEncoder(target_type=kind, cv=parts(5, shuffle=True, random_state=0))
    crossed = plain.fit_transform(TEXTS[["dest"]].to_numpy(), target)
    ours = _encoder("target")
    np.testing.assert_allclose(ours.fit_transform(TEXTS, target), crossed, rtol=1e-6)
    np.testing.assert_allclose(
        ours.transform(UNSEEN), plain.transform(UNSEEN[["dest"]].to_numpy()), rtol=1e-6
    )


def test_a_row_learns_nothing_from_its_own_target() -> None:
    """A category that stands once would tell the target; cross-fitted, it tells the usual mean."""
    alone = pd.DataFrame({"id": [f"row {i}" for i in range(400)]})
    target = RNG.integers(0, 2, 400)
    crossed = _encoder("target").fit_transform(alone, target)
    assert abs(np.corrcoef(crossed[:, 0], target)[0, 1]) < 0.25
    uncrossed = _encoder("target").fit(alone, target).transform(alone)
    assert np.corrcoef(uncrossed[:, 0], target)[0, 1] > 0.9


def test_frequency_is_the_share_of_rows() -> None:
    shares = TEXTS["dest"].value_counts(normalize=True)
    found = _encoder("frequency").fit(TEXTS).transform(UNSEEN)
    np.testing.assert_allclose(found[:, 0], [shares["BOS"], 0, shares[""]], rtol=1e-6)


def test_what_is_rare_has_no_column() -> None:
    encoder = _encoder("rare", 0.05).fit(TEXTS)
    assert [*encoder.categories_] == ["", "BOS", "LAX", "é"]
    assert encoder.transform(UNSEEN).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert encoder.width(TEXTS["dest"]) == 4


@pytest.mark.parametrize("text", ["BOS", "é", "a longer text, of more than sixteen bytes"])
def test_a_text_is_hashed_as_scikit_learn_hashes_it(text: str) -> None:
    plain = FeatureHasher(2**16, input_type="string", alternate_sign=False)
    (place,) = plain.transform([[text]]).indices
    # FeatureHasher takes the magnitude of a signed hash, we the unsigned one: alike where positive.
    unsigned = hashed(text, 2**32)
    assert place == (unsigned if unsigned < 2**31 else 2**32 - unsigned) % 2**16
    assert _encoder("hash", 8).fit(TEXTS).transform(TEXTS).sum(axis=1).tolist() == [1] * 500
