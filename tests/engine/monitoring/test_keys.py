"""Numbers for texts, and which came before."""

import numpy as np
import pyarrow as pa
import pytest

from mlops.monitoring.keys import Seen, keys

TEXTS = ["", "a", "b", "ab", "abcdefgh", "abcdefghi", "abcdefgh\0", "ä", "x" * 100, "x" * 101]


def test_equal_texts_alone_have_equal_numbers() -> None:
    found = keys(pa.array([*TEXTS, *TEXTS]))
    assert len(set(found.tolist())) == len(TEXTS)
    assert (found[: len(TEXTS)] == found[len(TEXTS) :]).all()


def test_neither_slices_nor_neighbours_matter() -> None:
    whole = pa.array(TEXTS)
    for i in range(len(TEXTS)):
        assert keys(whole[i : i + 1]) == keys(whole)[i]
        assert keys(pa.array(["other", TEXTS[i]], pa.large_string()))[1] == keys(whole)[i]


def test_columns_are_not_confused() -> None:
    first, second = pa.array(["ab", "a"]), pa.array(["c", "bc"])
    assert len({*keys(first, second).tolist(), *keys(second, first).tolist()}) == 4
    rows = pa.array([0, 1], pa.int64())
    assert len({*keys(pa.array(["a", "a"]), rows).tolist()}) == 2


def test_a_missing_text_is_an_empty_one_and_no_rows_are_none() -> None:
    assert keys(pa.array(["", None], pa.string())).tolist() == [keys(pa.array([""]))[0]] * 2
    assert len(keys(pa.array([], pa.string()))) == 0


@pytest.mark.slow
def test_no_two_of_a_million_are_alike() -> None:
    texts = pa.array([f"0b6c3f0a9d1e-{i:x}" for i in range(1_000_000)])
    found = keys(texts)
    assert len(np.unique(found)) == len(texts)
    # As good as drawn at random: so samples are taken by them.
    assert np.mean(found < 2**63) == pytest.approx(0.5, abs=0.005)


def test_each_number_is_new_once() -> None:
    rng, seen, known = np.random.default_rng(0), Seen(), set()
    for size in [10, 1, 0, 200, 5, 5, 1000, 3, 50]:
        numbers = rng.integers(0, 700, size).astype("uint64")
        expected = []
        for number in numbers.tolist():
            expected.append(number not in known)
            known.add(number)
        assert seen.first(numbers).tolist() == expected
