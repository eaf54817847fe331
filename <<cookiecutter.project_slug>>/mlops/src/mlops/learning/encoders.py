"""Categories as few numbers, however many there are: what `encode` in features.yaml asks for."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import murmurhash3_32

from .declared import Encoding

# Parts of the rows; what a row is told of the target comes from the others.
FOLDS = 5


class CategoryEncoder(TransformerMixin, BaseEstimator):
    """One column of texts as numbers, which a table has for each category and for all others.

    Attributes:
        categories_: those that have numbers of their own.
        table_: shape (categories + 1, columns), float32; the last row is that of all others. Of
            `hash`, a row for each of its columns.
    """

    def __init__(self, encoding: Encoding, seed: int = 0) -> None:
        """See declared.Encoding; `seed` draws the parts of cross-fitting."""
        self.encoding = encoding
        self.seed = seed

    def fit(self, inputs: pd.DataFrame, target: np.ndarray | None = None) -> Self:
        """Learn the table from one column of texts, shape (rows, 1)."""
        self.fit_transform(inputs, target)
        return self

    def fit_transform(
        self, inputs: pd.DataFrame, target: np.ndarray | None = None, **_: Any
    ) -> np.ndarray:
        """Learn the table, and what each row is told: of the target, only from other rows.

        Raises ValueError where there is no target to encode by.
        """
        texts = _texts(inputs)
        if self.encoding.how == "target":
            return self._fit_target(texts, target)
        self._fit_table(texts)
        return self.transform(inputs)

    def transform(self, inputs: pd.DataFrame) -> np.ndarray:
        """The numbers of each row, shape (rows, columns), float32."""
        texts = _texts(inputs)
        if self.encoding.how == "hash":
            codes, distinct = pd.factorize(texts)
            place = np.array([hashed(each, len(self.table_)) for each in distinct], dtype=int)[
                codes
            ]
        else:
            place = pd.Index(self.categories_).get_indexer(pd.Index(texts))
        found: np.ndarray = self.table_[place]
        return found

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        """The column's name where one comes of it, else with numbers after it."""
        (name,) = ["category"] if names is None else names
        width = self.table_.shape[1]
        return np.array([name] if width == 1 else [f"{name}_{i}" for i in range(width)], object)

    def width(self, texts: pd.Series) -> int:
        """How many columns come of a column of texts; of the mean of a target, at least one."""
        if self.encoding.how == "hash":
            return int(self.encoding.columns)
        if self.encoding.how == "rare":
            return int((texts.value_counts(normalize=True) >= self.encoding.share).sum())
        return 1

    def _fit_target(self, texts: np.ndarray, target: np.ndarray | None) -> np.ndarray:
        """Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes",
        2001; cross-fitted as scikit-learn does it."""
        if target is None:
            raise ValueError("encode: target needs a target, which clustering has not")
        discrete = target.dtype.kind != "f"
        folds = StratifiedKFold if discrete else KFold
        few = int(np.unique(target, return_counts=True)[1].min()) if discrete else len(target)
        parts = folds(max(min(FOLDS, few), 2), shuffle=True, random_state=self.seed)
        # A price in whole dollars is no class.
        known = len(np.unique(target)) if discrete else 0
        kind_of_target = "continuous" if not discrete else "binary" if known <= 2 else "multiclass"
        encoder = TargetEncoder(target_type=kind_of_target, cv=parts)
        crossed = encoder.fit_transform(texts.reshape(-1, 1), target).astype("float32")
        self.categories_ = encoder.categories_[0]
        usual = np.atleast_1d(encoder.target_mean_)
        table = np.stack(encoder.encodings_, axis=1)
        self.table_ = np.vstack([table, usual]).astype("float32")
        made: np.ndarray = crossed
        return made

    def _fit_table(self, texts: np.ndarray) -> None:
        names, counts = np.unique(texts.astype(str), return_counts=True)
        names, share = names.astype(object), counts / len(texts)
        match self.encoding.how:
            case "hash":
                self.categories_ = np.array([], dtype=object)
                self.table_ = np.eye(int(self.encoding.columns), dtype="float32")
            case "rare":
                self.categories_ = names[share >= self.encoding.share]
                known = len(self.categories_)
                self.table_ = np.eye(known + 1, max(known, 1), dtype="float32")
            case _:
                self.categories_ = names
                self.table_ = np.append(share, 0).reshape(-1, 1).astype("float32")


class Places(TransformerMixin, BaseEstimator):
    """One column of texts as the place of each among those that training saw; for an embedding.

    Attributes:
        categories_: those that training saw; any other has their number as its place.
    """

    def fit(self, inputs: pd.DataFrame, target: Any = None) -> Self:
        """Learn the categories of one column of texts, shape (rows, 1)."""
        self.categories_ = np.unique(_texts(inputs).astype(str)).astype(object)
        return self

    def transform(self, inputs: pd.DataFrame) -> np.ndarray:
        """The place of each row's text, shape (rows, 1), float32."""
        found = pd.Index(self.categories_).get_indexer(pd.Index(_texts(inputs)))
        return np.where(found < 0, len(self.categories_), found).astype("float32").reshape(-1, 1)

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        """The column's name."""
        return np.asarray(["category"] if names is None else names, dtype=object)


def hashed(text: str, columns: int) -> int:
    """In which of so many columns a text is: MurmurHash3 of its UTF-8, 32 bits, seed 0."""
    return int(murmurhash3_32(text, seed=0, positive=True)) % columns


def _texts(inputs: pd.DataFrame) -> np.ndarray:
    values: np.ndarray = np.asarray(inputs, dtype=object).reshape(-1)
    return values
