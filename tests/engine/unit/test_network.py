"""Declared networks: what they compute, how they learn, and what a declaration may not say.

Numbers are held against other computations: formulas written out, linear models of scikit-learn
that a network without layers comes to, losses of scikit-learn, and its own neural network.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from engine import made
from pydantic import ValidationError
from scipy.special import erf, expit
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from mlops.config.export import C, Tflite
from mlops.config.hyperparameters import NetworkClassifierParams, NetworkRegressorParams
from mlops.config.network import Network
from mlops.config.params import Params
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.export.targets import TARGETS
from mlops.files import explain
from mlops.inference import OnnxModel
from mlops.learning import descent, network
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build
from mlops.learning.layers import ACTIVATIONS, EPSILON, Activated, Embedded, Layer, Normalised, run
from mlops.learning.model import Model
from mlops.learning.network import NetworkClassifier, NetworkRegressor
from mlops.pipeline.verify import compare, edge_cases

# All kinds of layers.
DEEP: list[dict[str, Any]] = [
    {"dense": 8, "activation": "gelu"},
    {"normalisation": "batch"},
    {
        "residual": [
            {"normalisation": "layer"},
            {"dense": 8, "activation": "silu"},
            {"dropout": 0.2},
        ]
    },
    {"activation": "elu"},
    {"dense": 8, "activation": "leaky_relu"},
    {"dense": 8, "activation": "tanh"},
    {"dense": 8, "activation": "sigmoid"},
    {"normalisation": "layer"},
]

SHALLOW = [{"dense": 8, "activation": "relu"}, {"normalisation": "batch"}, {"dropout": 0.2}]


def classifier(**settings: Any) -> NetworkClassifier:
    return NetworkClassifier(**NetworkClassifierParams(**settings).model_dump(), random_state=1)


def regressor(**settings: Any) -> NetworkRegressor:
    return NetworkRegressor(**NetworkRegressorParams(**settings).model_dump(), random_state=1)


@cache
def deep() -> Model:
    """A model with every kind of layer, on few rows."""
    params, contract = made.params("binary", "network"), made.contract("binary")
    rows = made.rows("binary")
    settings = {"layers": DEEP, "embeddings": {"colour": 3}, "epochs": 12, "learning_rate": 0.02}
    estimators = params.estimators | {"network": settings}
    params = Params.model_validate(params.model_dump() | {"estimators": estimators})
    return made.fit(params, contract, rows, rows)


# What they compute


def test_every_layer_is_what_it_is_called() -> None:
    model = deep()
    inputs = model_inputs(made.rows("binary", 50, seed=6), made.contract("binary"))
    x = model.pipeline[:-1].transform(inputs).astype("float64")
    embedded, *layers = model.pipeline[-1].layers_
    table = embedded.tables[0].astype("float64")
    x = np.hstack([x[:, :-1], table[x[:, -1].astype(int)]])

    def dense(layer: Any, x: np.ndarray) -> np.ndarray:
        return np.einsum("ri,io->ro", x, layer.weights.astype("float64")) + layer.bias

    def normal(layer: Any, x: np.ndarray) -> np.ndarray:
        return (x - x.mean(1)[:, None]) / np.sqrt(x.var(1)[:, None] + EPSILON) * layer.scale + (
            layer.shift
        )

    x = dense(layers[0], x)
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    x = x * layers[2].scale + layers[2].shift
    inner, first, _ = layers[3].layers
    branch = dense(first, normal(inner, x))
    x = x + branch * expit(branch)
    x = np.where(x > 0, x, np.expm1(x))
    x = dense(layers[5], x)
    x = np.where(x > 0, x, 0.01 * x)
    x = np.tanh(dense(layers[7], x))
    x = expit(dense(layers[9], x))
    scores = dense(layers[12], normal(layers[11], x))
    odds = np.exp(scores)
    said = model.predict(inputs)["probability"]
    np.testing.assert_allclose(said, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)


def test_gelu_is_near_its_exact_form() -> None:
    x = np.linspace(-6, 6, 1001)
    np.testing.assert_allclose(ACTIVATIONS["gelu"](x), x * (1 + erf(x / np.sqrt(2))) / 2, atol=1e-3)


def test_every_layer_survives_export(tmp_path: Path) -> None:
    model, contract = deep(), made.contract("binary")
    proto = to_onnx(model, contract)
    onnx.save(proto, tmp_path / "model.onnx")
    converted = OnnxModel(tmp_path / "model.onnx")
    TARGETS["tflite"].make(proto, "made", tmp_path, Tflite())
    TARGETS["c"].make(proto, "made", tmp_path, C())
    others = [TARGETS[name].run(tmp_path) for name in ("tflite", "c")]
    test = model_inputs(made.rows("binary", 100, seed=3), contract)
    groups = {"test": test, **edge_cases(test, model, proto, contract, 100).groups}
    for group, rows in groups.items():
        for made_of in (converted, *others):
            said = made_of.predict(columns(rows))
            parity = compare(model.predict(rows), said, model.scales, 1e-4)
            assert parity.worst == [], f"{group}: {parity}"


def test_a_category_that_training_never_saw_is_the_mean_of_its_rows() -> None:
    table = np.arange(6, dtype="float32").reshape(3, 2)
    x = np.array([[7, 0], [8, 2]], dtype="float32")
    np.testing.assert_array_equal(Embedded([table], 1).apply(x), [[7, 0, 1], [8, 4, 5]])
    places = np.array([0, 0, 0, 1] * 10)
    found = regressor(embeddings={"a": 2}, layers=[], epochs=2, early_stopping=None)
    found.fit(np.c_[np.zeros(40), places], places * 3.0)
    embedded = found.layers_[0]
    assert isinstance(embedded, Embedded)
    (learned,) = embedded.tables
    np.testing.assert_allclose(learned[2], 0.75 * learned[0] + 0.25 * learned[1], atol=1e-6)


# How they learn

DESCENT: dict[str, Any] = {
    "layers": [],
    "batch_size": 1000,
    "epochs": 400,
    "early_stopping": None,
    "weight_decay": 0.0,
}


def test_one_step_follows_the_slope() -> None:
    """Of the log loss of two classes by hand, from the weights that the seed draws."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(64, 3)).astype("float32")
    y = (x[:, 0] + draw.normal(size=64) > 0).astype(int)
    settings = DESCENT | {"epochs": 1, "optimiser": "sgd", "schedule": "constant"}
    found: Any = classifier(**settings, learning_rate=0.1).fit(x, y).layers_[-1]
    start, _ = descent._begun(Network(layers=[]), 3, [], 2, np.random.default_rng(1))
    weights, bias = start["end"]["weights"], start["end"]["bias"]
    odds = np.exp(x @ weights + bias)
    off = odds / odds.sum(axis=1, keepdims=True) - np.eye(2)[y]
    step = 0.1 * (1 + descent.MOMENTUM)  # Nesterov's first
    np.testing.assert_allclose(found.weights, weights - step * x.T @ off / 64, atol=1e-6)
    np.testing.assert_allclose(found.bias, bias - step * off.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "poisson"])
def test_without_layers_it_is_the_linear_model_of_its_loss(loss: str) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3)).astype("float32")
    signal = x @ [0.8, -0.5, 0.0]
    if loss == "cross_entropy":
        y = (signal + draw.logistic(size=400) > 0).astype(int)
        linear = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y)
        found = classifier(**DESCENT, learning_rate=0.05).fit(x, y)
        np.testing.assert_allclose(found.predict_proba(x), linear.predict_proba(x), atol=2e-3)
    elif loss == "poisson":
        counts = draw.poisson(7 * np.exp(signal)).astype("float64")
        found = regressor(**DESCENT, loss=loss, learning_rate=0.05).fit(x, counts)
        linear = PoissonRegressor(alpha=0, tol=1e-8, max_iter=1000).fit(x, counts)
        np.testing.assert_allclose(found.predict(x), linear.predict(x), rtol=1e-2)
    else:
        prices = 1000 + 300 * signal + draw.normal(0, 50, 400)
        found = regressor(**DESCENT, loss=loss, learning_rate=0.05).fit(x, prices)
        best, *_ = np.linalg.lstsq(np.c_[x, np.ones(400)], prices)
        np.testing.assert_allclose(found.predict(x), np.c_[x, np.ones(400)] @ best, atol=3)


def test_what_is_logged_is_what_scikit_learn_measures() -> None:
    """The loss of the epoch that is kept, of the rows that were held back, by NumPy's layers."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 4)).astype("float32")
    y = draw.integers(0, 3, 300)
    y[x[:, 0] > 0.5] = 2
    found = classifier(layers=SHALLOW, epochs=15, early_stopping=4, batch_size=64).fit(x, y)
    _, held = found._parted(y.astype("int32"))
    losses = found.validation_loss_curve_
    assert losses[found.epoch_ - 1] == min(losses)
    measured = log_loss(y[held], found.predict_proba(x[held]), labels=[0, 1, 2])
    assert losses[found.epoch_ - 1] == pytest.approx(measured, abs=1e-5)
    assert len(losses) == len(found.loss_curve_) <= 15


def test_it_stops_once_it_gets_no_better() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(100, 2)), draw.normal(size=100)
    found = regressor(epochs=200, early_stopping=3, learning_rate=0.05).fit(x, y)
    assert len(found.loss_curve_) == found.epoch_ + 3 < 200
    _, held = found._parted(y)
    loss = mean_squared_error(y[held], found.predict(x[held])) / y.var()
    assert min(found.validation_loss_curve_) == pytest.approx(loss, rel=1e-4)


def test_it_learns_as_well_as_scikit_learns_network() -> None:
    x, y = make_moons(3000, noise=0.25, random_state=0)
    learn, judge, classes, truth = train_test_split(x, y, train_size=1000, random_state=0)
    ours = classifier(learning_rate=0.01, batch_size=64).fit(learn, classes).score(judge, truth)
    theirs = MLPClassifier((64, 32), max_iter=500, random_state=0).fit(learn, classes)
    share = theirs.score(judge, truth)
    # Three standard errors of a difference of two shares of these rows.
    assert abs(ours - share) < 3 * np.sqrt(2 * share * (1 - share) / len(truth))


def test_rows_count_as_much_as_they_weigh() -> None:
    """A row of weight 3 is three rows; balanced classes are weights."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 2)).astype("float32")
    y = np.repeat([0, 1], [80, 10])
    settings = DESCENT | {"epochs": 60, "learning_rate": 0.05}
    weighted = classifier(**settings).fit(x, y, np.where(y == 1, 8.0, 1.0))
    balanced = classifier(**settings, class_weight="balanced").fit(x, y)
    np.testing.assert_allclose(weighted.predict_proba(x), balanced.predict_proba(x), atol=1e-4)
    assert balanced.predict_proba(x)[:, 1].mean() > 0.3


def test_the_same_seed_makes_the_same_bytes() -> None:
    params, contract = made.params("binary", "network"), made.contract("binary")
    rows, models = made.rows("binary", 100), []
    for _ in range(2):
        descent._compiled.cache_clear()
        model = made.fit(params, contract, rows, rows)
        models.append(to_onnx(model, contract).SerializeToString())
    assert models[0] == models[1]


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        ("cosine", 0.0, [1, 0.853553, 0.5, 0.146447]),
        ("linear", 0.5, [1 / 3, 2 / 3, 1, 0.5]),
    ],
)
def test_the_learning_rate_follows_its_schedule(
    schedule: Any, warmup: float, rates: list[float]
) -> None:
    how = descent.rate(Network(schedule=schedule, warmup=warmup, learning_rate=2.0), 4)
    assert [float(how(step)) for step in range(4)] == pytest.approx(
        [2 * r for r in rates], abs=1e-5
    )


# What a declaration may not say


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"layers": [{"dens": 8}]}, "layers.0: a layer is one of dense, dropout, normalisation"),
        ({"layers": ["dense"]}, "layers.0: a layer is one of dense, dropout, normalisation"),
        ({"layers": [{"dense": 0}]}, "layers.0.dense.dense: input should be greater than or equal"),
        ({"layers": [{"dense": 4, "activation": "x"}]}, "layers.0.dense.activation: input should"),
        ({"layers": [{"dense": 4, "dropout": 0.1}]}, "layers.0.dense.dropout: unknown key"),
        ({"layers": [{"dropout": 1.5}]}, "layers.0.dropout.dropout: input should be less than 1"),
        (
            {"layers": [{"residual": [{"dense": 4}]}]},
            "layers: a residual block needs a dense layer",
        ),
        (
            {"layers": [{"dense": 4}, {"residual": [{"dense": 3}]}]},
            "layers: a residual block ends with 3 units and begins with 4; its last dense layer",
        ),
        (
            {"layers": [{"dense": 4}, {"residual": [{"dropout": 0.1}]}]},
            "layers: a residual block needs a dense layer in it",
        ),
        ({"embeddings": {"colour": 0}}, "embeddings.colour: input should be greater than"),
        ({"optimiser": "adam"}, "optimiser: input should be 'adamw' or 'sgd'"),
        ({"warmup": 1.0}, "warmup: input should be less than 1"),
    ],
)
def test_a_wrong_declaration_is_one_line(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError) as error:
        NetworkClassifierParams.model_validate(settings)
    (told,) = explain(error.value)
    assert told.startswith(line)


def test_a_search_leaves_embeddings_alone() -> None:
    space = {"network": {"embeddings": [{"colour": 2}], "epochs": [1, 2]}}
    with pytest.raises(ValidationError) as error:
        made.params("binary", "network", search={"trials": 2, "space": space})
    (told,) = explain(error.value)
    assert told == "train.search.space.network.embeddings: it decides what columns there are"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("size", r"^params\.yaml: .*embeddings\.size: no category .*; choose from colour$"),
        ("tail", r"^params\.yaml: .*embeddings\.tail: no category .*; choose from colour$"),
    ],
)
def test_only_categories_have_embeddings(name: str, line: str) -> None:
    settings = NetworkClassifierParams(embeddings={name: 2})
    with pytest.raises(InputError, match=line):
        build("classification", "network", settings, made.contract("binary"), 1)


def test_without_its_group_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^train\.estimator network needs .*uv sync --group net"):
        build("classification", "network", NetworkClassifierParams(), made.contract("binary"), 1)


def test_what_diverges_is_told() -> None:
    x = np.random.default_rng(0).normal(size=(64, 2))
    settings = {"optimiser": "sgd", "learning_rate": 1e6, "schedule": "constant"}
    with pytest.raises(InputError, match=r"its loss is no number after epoch \d+; lower learning"):
        regressor(**settings).fit(x, x[:, 0] * 5)


def test_layers_are_applied_in_their_order() -> None:
    layers: list[Layer] = [
        Activated("relu"),
        Normalised(np.ones(2, "float32"), np.zeros(2, "float32")),
    ]
    np.testing.assert_allclose(run(layers, np.array([[-3.0, 1.0]])), [[-1, 1]], atol=1e-4)
