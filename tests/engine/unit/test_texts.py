"""Texts: their words count as scikit-learn counts them, and as the model in ONNX does, whatever is
written in them; nothing that a project keeps or commits quotes one."""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils import murmurhash3_32

from mlops.data.contract import Contract, conform
from mlops.data.inputs import columns, model_inputs, seen_categories
from mlops.data.profile import profile
from mlops.errors import InputError
from mlops.export.c import write
from mlops.inference import TEXT_ROWS, OnnxModel
from mlops.learning.background import background
from mlops.learning.declared import Encoding, FeatureFile, declared
from mlops.learning.estimators import build, finish
from mlops.learning.model import Model
from mlops.learning.texts import TextEncoder, folded_word, ways
from mlops.pipeline.train import described
from mlops.pipeline.verify import compare, edge_cases

COMPLAINTS = {
    True: [
        "The BAGGAGE is lost",
        "Gepäck verloren!",
        "lost, my luggage…",
        "Багаж потерян",
        "行李 lost",
    ],
    False: [
        "thank you",
        "Großartig, DANKE",
        "great crew & food",
        "Спасибо большое",
        "ありがとう 2 times",
    ],
}
CONTRACT = made.contract_of(
    {
        "said": {"kind": "text", "role": "feature", "nullable": True},
        "size": made.COLUMNS["size"],
        **made.TARGETS["binary"][1],
    }
)
AWKWARD = [
    *(
        "",
        " ",
        "…",
        "Lost",
        "LOST lost",
        "lost-lost_lost",
        "GEPÄCK gepäck Gepäck GePäCk",
        "БАГАЖ багаж Багаж",
    ),
    *(
        "a\x00lost",
        "lost\u00a0lost",
        "İstanbul ΣΊΣΥΦΟΣ ſ µ",
        "e\u0301 é",
        "🛫lost🛫",
        "१२ lost",
        "行李，lost",
    ),
    *("x" * 19_000, "lost " * 4000, "ǅ ß ẞ STRASSE", "\ufeff\u200blost", "<script>lost</script>"),
]


@cache
def _rows(count: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = made.rows("binary", count, seed)[["size", "large"]].copy()
    choice = rng.integers(5, size=count)
    said = [
        f"{COMPLAINTS[bool(large)][i]} {name} {rng.integers(99)}"
        for large, i, name in zip(data["large"], choice, _names(rng, count), strict=True)
    ]
    data["said"] = pd.Series(said, dtype=object).where(rng.random(count) > 0.1, None)
    return conform(data, CONTRACT)


def _names(rng: np.random.Generator, count: int) -> list[str]:
    return [f"Passenger{rng.integers(10**6)}" for _ in range(count)]


def _model(estimator: str, encode: Any, contract: Contract = CONTRACT) -> Model:
    file = FeatureFile.model_validate({"columns": {"said": {"encode": encode}}} if encode else {})
    params, rows = made.params("binary", estimator), _rows()
    pipeline = build(
        "classification",
        estimator,
        params.hyperparameters(estimator),
        contract,
        1,
        declared=declared(file, contract),
    )
    pipeline.fit(model_inputs(rows, contract), rows["large"].astype("int64").to_numpy())
    finish("classification", estimator, pipeline)
    return described(pipeline, params, contract, rows, rows)


def _encoder(how: str, size: int | None, texts: list[str]) -> TextEncoder:
    encoding = Encoding.model_validate({"how": how, "size": size and float(size)})
    return TextEncoder(encoding).fit(pd.DataFrame({"said": texts}))


def test_tfidf_is_scikit_learns() -> None:
    texts = _rows()["said"].fillna("").tolist()
    plain = TfidfVectorizer(token_pattern=r"[^\W_]+", min_df=5, max_features=30)  # noqa: S106
    expected = plain.fit_transform(texts).toarray()
    ours = _encoder("tfidf", 30, texts)
    assert [*ours.words_] == [*plain.get_feature_names_out()]
    np.testing.assert_allclose(ours.transform(pd.DataFrame({"said": texts})), expected, atol=1e-6)
    assert not any("passenger" in word for word in ours.words_), "a name that one row has"


def test_hashed_words_are_counted_by_hand() -> None:
    ours = _encoder("hash_words", 8, [""])
    counts = np.zeros(8)
    for word in ("lost", "lost", "gepäck"):
        counts[murmurhash3_32(word, seed=0, positive=True) % 8] += 1
    found = ours.transform(pd.DataFrame({"said": ["LOST, lost: gepäck", ""]}))
    np.testing.assert_allclose(found, normalize([counts, np.zeros(8)]), atol=1e-7)


@pytest.mark.parametrize(
    ("estimator", "encode"),
    [
        *(("linear", None), ("linear", {"tfidf": 20}), ("linear", {"hash_words": 64})),
        *(("boosting", {"tfidf": 20}), ("forest", {"hash_words": 64}), ("network", "hash_words")),
    ],
)
def test_onnx_says_the_same_of_any_text(estimator: str, encode: Any, tmp_path: Path) -> None:
    model = _model(estimator, encode)
    proto = made.export(model, CONTRACT, tmp_path / "model.onnx")
    converted = OnnxModel(tmp_path / "model.onnx")
    test = model_inputs(_rows(200, 3), CONTRACT)
    groups = edge_cases(test, model, proto, CONTRACT, 200).groups
    assert "texts" in groups
    groups["awkward"] = test.head(len(AWKWARD)).assign(said=AWKWARD)
    groups["without words"] = test.head(1).assign(said="")
    for group, rows in {"test": test, **groups}.items():
        parity = compare(model.predict(rows), converted.predict(columns(rows)), model.scales, 1e-4)
        assert parity.worst == [], f"{group}: {parity}"
    told = model.predict(test)["prediction"]
    assert (told == _rows(200, 3)["large"]).mean() > 0.8


def test_a_word_in_capitals_of_any_alphabet_is_the_same_word() -> None:
    found = {word: folded_word(word) for word in ("GEPäCK", "Äpfel", "ÄPFEL", "БАГАЖ", "Багаж")}
    assert [*found.values()] == ["GEPäCK", "äpfel", "ÄPFEL", "багаж", "багаж"]
    assert folded_word("gepÄck") == "gepäck", "as A to Z come small"
    assert ways("äpfel") == ["äpfel", "Äpfel"]
    assert ways("ärär") == ["ärär", "ÄrÄr", "Ärär"]
    assert ways("straße") == ["straße"]
    for word in ("İ", "µ", "μ", "ſ", "ǆ", "ß"):
        assert all(folded_word(way) == word for way in ways(word) if way.lower() == word)


def test_no_text_is_kept_or_committed() -> None:
    rows, model = _rows(), _model("linear", None)
    kept: dict[str, Any] = {
        "categories": seen_categories(rows, CONTRACT),
        "background": background(model_inputs(rows, CONTRACT), CONTRACT),
        "profile": profile(rows, CONTRACT),
        "model": [model.categories, model.background],
    }
    assert "Passenger" not in json.dumps(kept)
    assert "said" not in kept["categories"]
    assert set(kept["background"]["said"]) == {""}


def test_mistakes_are_one_line() -> None:
    def line(columns: dict[str, Any], contract: Contract = CONTRACT) -> str:
        with pytest.raises(InputError) as raised:
            declared(FeatureFile.model_validate({"columns": columns}), contract)
        return str(raised.value)

    assert "target is for categories, and contract.yaml calls this a text" in line(
        {"said": {"encode": "target"}}
    )
    assert "encode: is for texts, and this is a number" in line({"size": {"encode": "tfidf"}})
    with pytest.raises(ValueError, match="whole number from 2 to 10000"):
        FeatureFile.model_validate({"columns": {"said": {"encode": {"tfidf": 20_000}}}})
    with pytest.raises(ValueError, match="a text has role feature or rule"):
        made.contract_of({"said": {"kind": "text", "role": "target"}})
    with pytest.raises(InputError, match="no word is in 5 of 3 rows; take hash_words"):
        _encoder("tfidf", None, ["a b", "c d", "e f"])


def test_what_cannot_have_words_says_so(tmp_path: Path) -> None:
    for encode in ({"tfidf": 20}, {"hash_words": 8}):
        proto = made.export(_model("linear", encode), CONTRACT, tmp_path / "model.onnx")
        with pytest.raises(
            InputError, match=r"^export.targets: the words of a text .*runtime; take"
        ):
            write(proto, "model", "a note")


def test_a_feature_made_of_a_text_has_words_too(tmp_path: Path) -> None:
    file = {
        "features": {"first": {"expr": "part(said, ' ', 0)", "encode": {"tfidf": 10}}},
        "columns": {"said": {"learn": False}},
    }
    made_of = declared(FeatureFile.model_validate(file), CONTRACT)
    params, rows = made.params("binary", "linear"), _rows()
    settings = params.hyperparameters("linear")
    pipeline = build("classification", "linear", settings, CONTRACT, 1, declared=made_of)
    inputs = model_inputs(rows, CONTRACT)
    pipeline.fit(inputs, rows["large"].astype("int64").to_numpy())
    model = described(pipeline, params, CONTRACT, rows, rows)
    made.export(model, CONTRACT, tmp_path / "model.onnx")
    said = OnnxModel(tmp_path / "model.onnx").predict(columns(inputs))
    np.testing.assert_allclose(said["probability"], model.predict(inputs)["probability"], atol=1e-6)


def test_a_long_text_takes_no_memory_for_each_of_many_rows(tmp_path: Path) -> None:
    """The runtime makes all rows as wide as the one with most words: so they come a few at a time,
    and say the same."""
    made.export(_model("linear", {"hash_words": 64}), CONTRACT, tmp_path / "model.onnx")
    model, rows = OnnxModel(tmp_path / "model.onnx"), model_inputs(_rows(200, 3), CONTRACT)
    rows.loc[0, "said"] = "a " * 10_000
    asked: list[int] = []
    session = model._session
    model._session = SimpleNamespace(
        run=lambda names, feeds: asked.append(len(feeds["said"])) or session.run(names, feeds)  # type: ignore[func-returns-value]
    )
    together = model.predict(columns(rows))
    assert asked == [TEXT_ROWS] * 3 + [200 - 3 * TEXT_ROWS]
    for row in (0, 1, 199):
        alone = model.predict(columns(rows.iloc[[row]]))
        for name, values in together.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(values[[row]], alone[name], rtol=1e-5)
