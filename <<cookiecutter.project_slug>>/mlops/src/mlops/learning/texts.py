"""Texts as the words in them: what `encode: tfidf` and `hash_words` in features.yaml ask for.

A word is a run of letters, marks and digits of any script, as RE2 knows them, which Arrow has for
training and ONNX's runtime for serving. A to Z count as a to z in all of them. Words of a
vocabulary may be written in capitals, or with a first one, in other alphabets, too.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer

from ..errors import InputError
from ..paths import FEATURES
from .declared import Encoding
from .encoders import hashed

LETTERS = r"\p{L}\p{M}\p{N}"
WORD, BETWEEN = f"[{LETTERS}]+", f"[^{LETTERS}]+"
# A word that fewer rows have says little, and may tell of somebody.
FEWEST = 5
# A row has no word that is known where its numbers are smaller.
NOTHING = 1e-12


class TextEncoder(TransformerMixin, BaseEstimator):
    """One column of texts as the words in each, its numbers of length 1; zeros where none is known.

    Attributes:
        words_: those of the vocabulary, in alphabetical order; none of `hash_words`.
        weights_: what a word in a text counts, by column; shape (columns,). Of `tfidf` the inverse
            document frequency: Salton and Buckley, "Term-weighting approaches in automatic text
            retrieval", 1988; smoothed as scikit-learn does it.
    """

    def __init__(self, encoding: Encoding) -> None:
        """See declared.Encoding."""
        self.encoding = encoding

    def fit(self, inputs: pd.DataFrame, target: Any = None) -> Self:
        """Learn the vocabulary from one column of texts, shape (rows, 1).

        Raises InputError where it has none.
        """
        if self.encoding.how == "hash_words":
            self.words_ = np.array([], dtype=object)
            self.weights_ = np.ones(int(self.encoding.columns))
            return self
        words, rows = _words(inputs)
        folded = np.array([folded_word(each) for each in words.dictionary.to_pylist()], object)
        texts: list[list[str]] = [[] for _ in range(len(inputs))]
        for row, code in zip(rows.tolist(), words.indices.to_pylist(), strict=True):
            texts[row].append(folded[code])
        vectorizer = TfidfVectorizer(
            analyzer=_as_it_is, min_df=FEWEST, max_features=int(self.encoding.columns)
        )
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            name = next(iter(getattr(inputs, "columns", [])), "text")
            raise InputError(
                f"{FEATURES}: {name}: encode: tfidf: no word is in {FEWEST} of {len(texts):,} "
                "rows; take hash_words, or leave the text out"
            ) from error
        self.words_ = vectorizer.get_feature_names_out()
        self.weights_ = vectorizer.idf_.astype("float64")
        return self

    def transform(self, inputs: pd.DataFrame) -> np.ndarray:
        """The numbers of each row, shape (rows, columns), float32."""
        words, rows = _words(inputs)
        distinct = words.dictionary.to_pylist()
        if self.encoding.how == "hash_words":
            places = [hashed(each, len(self.weights_)) for each in distinct]
        else:
            known = {written: place for place, written in self.written()}
            places = [known.get(each, -1) for each in distinct]
        place = np.array(places, dtype=int)[words.indices.to_numpy(zero_copy_only=False)]
        made = np.zeros((len(inputs), len(self.weights_)))
        np.add.at(made, (rows[place >= 0], place[place >= 0]), 1)
        made *= self.weights_
        length = np.sqrt((made * made).sum(axis=1, keepdims=True))
        found: np.ndarray = (made / np.maximum(length, NOTHING)).astype("float32")
        return found

    def written(self) -> Iterator[tuple[int, str]]:
        """The place of each word of the vocabulary, and the ways in which it may be written."""
        for place, word in enumerate(self.words_):
            for way in ways(str(word)):
                yield place, way

    def width(self, texts: pd.Series) -> int:
        """How many columns come of a column of texts, at most."""
        return int(self.encoding.columns)

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        """The column's name with the word after it, or with a number."""
        (name,) = ["text"] if names is None else names
        after = self.words_ if len(self.words_) else range(len(self.weights_))
        return np.array([f"{name}_{each}" for each in after], dtype=object)


def ways(word: str) -> list[str]:
    """How a word of a vocabulary may be written, behind A to Z as a to z: also in capitals."""
    capital = "".join(map(_capital, word))
    found = [word, capital, word[:1].translate({ord(word[0]): _capital(word[0])}) + word[1:]]
    return [*dict.fromkeys(each for each in found if each == word or each.lower() == word)]


def folded_word(word: str) -> str:
    """The word of a vocabulary that a written one is, if that has it."""
    small = word.lower()
    return small if word in ways(small) else word


def _capital(letter: str) -> str:
    """A letter as a capital one, but A to Z, of which there are none."""
    large = letter.upper()
    return large if len(large) == 1 and not letter.isascii() else letter


def _words(inputs: pd.DataFrame) -> tuple[pa.DictionaryArray, np.ndarray]:
    """All words of a column of texts in their order, and the row of each."""
    texts = pa.array(np.asarray(inputs, dtype=object).reshape(-1), pa.large_string())
    parts = pc.split_pattern_regex(pc.ascii_lower(texts), BETWEEN)
    words, rows = pc.list_flatten(parts), pc.list_parent_indices(parts)
    some = pc.not_equal(words, "")
    words = words.filter(some).dictionary_encode()
    if isinstance(words, pa.ChunkedArray):
        words = words.combine_chunks()
    return words, rows.filter(some).to_numpy(zero_copy_only=False)


def _as_it_is(words: list[str]) -> list[str]:
    return words
