"""What is wrong in the owner's modules is told in a line: the file, what it is, what it must be."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from engine import made, served

from mlops.config.hyperparameters import own_estimators
from mlops.data.inputs import model_inputs
from mlops.errors import CheckError, InputError
from mlops.files import write_text
from mlops.learning.estimators import build
from mlops.learning.metrics import METRICS, Scored, score
from mlops.pipeline.train import train
from mlops.serving.model import Job, ServedModel
from mlops.serving.settings import Settings

Write = Callable[[str, str], None]

FEATURES = """
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops.learning.features import preprocessing as as_they_are
"""
ESTIMATORS = """
from sklearn.ensemble import ExtraTreesClassifier

from mlops.config.section import Count, Section
from mlops.learning.estimators import Entry


class Own(Section):
    n_estimators: Count = 3
"""
METRIC = """
from mlops.learning.metrics import Metric
"""
HOOKS = """
import numpy as np
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of the owner's package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    write_text(tmp_path / "pyproject.toml", '[tool.mlops]\npackage = "own_flights"\n')
    write_text(tmp_path / "src/own_flights/__init__.py", "")
    yield lambda name, code: write_text(tmp_path / f"src/own_flights/{name}.py", code)
    for name in [each for each in sys.modules if each.partition(".")[0] == "own_flights"]:
        del sys.modules[name]


def line(file: str, told: str) -> str:
    return f"^{re.escape(f'src/own_flights/{file}.py: ')}{told}"


def trained(what: str = "binary") -> None:
    """Run the stage on made rows, in this folder."""
    rows = made.rows(what, 120)
    for name in ("train", "validation"):
        Path("data/split").mkdir(parents=True, exist_ok=True)
        rows.to_parquet(f"data/split/{name}.parquet", index=False)
    estimator = "kmeans" if what == "clustering" else "linear"
    write_text(Path("contract.yaml"), made.contract(what).model_dump_json())
    write_text(Path("params.yaml"), made.params(what, estimator).model_dump_json())
    train()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("preprocessing = None", r"preprocessing: is None \(NoneType\); must be a function of"),
        (
            "def preprocessing(contract): ...",
            r"preprocessing: is a function of \(contract\); must be a function of "
            r"\(contract, scaled\)$",
        ),
        (
            "def preprocessing(contract, scaled): ...",
            r"preprocessing: returns None \(NoneType\); must return a transformer",
        ),
    ],
)
def test_preprocessing_that_is_none(write: Write, code: str, told: str) -> None:
    write("features", FEATURES + code)
    params = made.params("binary", "linear")
    with pytest.raises(InputError, match=line("features", told)):
        build(
            "classification", "linear", params.hyperparameters("linear"), made.contract("binary"), 1
        )


STEPS = {
    "nothing": ("lambda rows: None", "its steps (fail|make None)"),
    "fewer rows": ("lambda rows: rows[1:]", r"its steps make 119 rows of 120; must keep each row"),
    "missing": (
        "lambda rows: np.where(rows > 0, rows, np.nan)",
        r"its steps make missing numbers \(NaN\) in column \d+ of \d+; fill them",
    ),
    "texts": (
        "lambda rows: np.full(rows.shape, 'x', dtype=object)",
        "its steps make values of type object; must make numbers",
    ),
    "a line": ("lambda rows: rows[:, 0]", r"its steps make .* of the rows; must make a table"),
}


@pytest.mark.parametrize(("step", "told"), STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("what", ["binary", "clustering"])
def test_features_that_no_model_can_take(write: Write, step: str, told: str, what: str) -> None:
    returned = f"make_pipeline(as_they_are(contract, scaled), FunctionTransformer({step}))"
    code = f"def preprocessing(contract, scaled):\n    return {returned}\n"
    write("features", FEATURES + code)
    with pytest.raises(InputError, match=line("features", f"preprocessing: {told}")):
        trained(what)


def test_rows_dropped_from_some_columns_alone(write: Write) -> None:
    write(
        "features",
        FEATURES
        + """
def preprocessing(contract, scaled):
    drop = FunctionTransformer(lambda rows: rows.dropna())
    return ColumnTransformer(
        [("a", drop, ["size"]), ("b", "passthrough", ["rank", "noise"])]
    )
""",
    )
    with pytest.raises(InputError, match=line("features", "preprocessing: its steps fail: ")):
        trained()


def test_an_error_in_a_step_is_told_by_its_own_line(write: Write) -> None:
    write(
        "features",
        FEATURES
        + """
def log(rows):
    raise KeyError("wind")
def preprocessing(contract, scaled):
    return make_pipeline(as_they_are(contract, scaled), FunctionTransformer(log))
""",
    )
    with pytest.raises(KeyError, match="wind"):
        trained()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ESTIMATORS = []", r"ESTIMATORS: is \[\] \(list\); must be \{task: \{name: "),
        ("ESTIMATORS = {'clasification': {}}", "ESTIMATORS: there is no task 'clasification'"),
        (
            "ESTIMATORS = {'classification': {'trees': ExtraTreesClassifier}}",
            r"ESTIMATORS: trees: is <class .* \(ABCMeta\); must be an Entry of mlops\.learning\.",
        ),
        (
            "ESTIMATORS = {'classification': {'trees': Entry(ExtraTreesClassifier, False, {})}}",
            r"ESTIMATORS: trees: hyperparameters is \{\} \(dict\); must be a class on Section",
        ),
        (
            "ESTIMATORS = {'classification': {'linear': Entry(ExtraTreesClassifier, False, Own)}}",
            "ESTIMATORS: the engine has an estimator 'linear'; give yours another name",
        ),
    ],
)
def test_estimators_that_are_none(write: Write, code: str, told: str) -> None:
    write("estimators", ESTIMATORS + code)
    with pytest.raises(InputError, match=line("estimators", told)):
        own_estimators("classification")


@pytest.mark.parametrize(
    ("estimator", "told"),
    [
        ("lambda n_estimators: None", r"ESTIMATORS: own: cannot be made of its hyperparameters"),
        ("lambda **settings: None", r"ESTIMATORS: own: makes None \(NoneType\); must make"),
        ("7", r"ESTIMATORS: own: cannot be made of its hyperparameters .*not callable"),
    ],
)
def test_entries_that_make_no_estimator(write: Write, estimator: str, told: str) -> None:
    write(
        "estimators",
        f"{ESTIMATORS}\nOWN = Entry({estimator}, False, Own)\n"
        "ESTIMATORS = {'classification': {'own': OWN}}\n",
    )
    settings = own_estimators("classification")["own"].hyperparameters()
    with pytest.raises(InputError, match=line("estimators", told)):
        build("classification", "own", settings, made.contract("binary"), 1)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("max", r"METRICS: own: is <built-in .*; must be a Metric of mlops.learning.metrics"),
        ("Metric('upper', len)", "METRICS: own: better is 'upper'; must be higher or lower"),
        (
            "Metric('lower', lambda truth, said: 1.0)",
            r"METRICS: own: compute: is a function of \(truth, said\); must be",
        ),
        ("Metric('lower', 1.0)", r"METRICS: own: compute: is 1.0 \(float\); must be a function"),
        (
            "Metric('lower', lambda scored: 'high')",
            r"METRICS: own: compute returns 'high' \(str\); must return a number",
        ),
        ("Metric('lower', lambda scored: None)", "METRICS: own: compute returns None"),
        (
            "Metric('lower', lambda scored: scored.outputs['prediction'])",
            r"METRICS: own: compute returns array\(.*\(ndarray\); must return a number",
        ),
    ],
)
def test_metrics_that_are_none(write: Write, metric: str, told: str) -> None:
    write("metrics", f"{METRIC}\nMETRICS = {{'regression': {{'own': {metric}}}}}\n")
    outputs = made.trained("regression", "linear").predict(
        model_inputs(made.rows("regression", 10), made.contract("regression"))
    )
    truth = made.rows("regression", 10)["price"].to_numpy(dtype="float64")
    with pytest.raises(InputError, match=line("metrics", told)):
        score("regression", Scored(outputs, truth))


@pytest.mark.parametrize("value", ["1", "True", "np.float32(1)", "np.bool_(1)", "np.int64(1)"])
def test_every_kind_of_number_is_a_number(write: Write, value: str) -> None:
    own = (
        f"OWN = Metric('lower', lambda scored: {value})\nMETRICS = {{'clustering': {{'own': OWN}}}}"
    )
    write("metrics", f"import numpy as np\n{METRIC}\n{own}\n")
    space = np.array([[0.0], [1.0], [0.1], [1.1]])
    found = score("clustering", Scored({"prediction": np.array([0, 1, 0, 1])}, space=space))
    assert found.keys() == {*METRICS["clustering"], "own"}
    assert found["own"] == 1.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.write("binary", tmp_path_factory.mktemp("model") / "model.onnx")


HOOKED = [
    (
        "def before(a, b): ...",
        r"before: is a function of \(a, b\); must be a function of \(inputs\)",
    ),
    ("after = 'x'", r"after: is 'x' \(str\); must be a function of \(outputs\)"),
    ("def before(inputs): ...", r"before: returns None \(NoneType\); must return a dictionary"),
    ("def after(outputs): return outputs['probability']", "after: returns array.*a dictionary"),
    ("def before(inputs): return {'size': inputs['size']}", "before: returns no rank; must return"),
    ("def after(o): o.pop('prediction'); return o", "after: returns no prediction"),
    ("def before(i): return i | {'size': [1.0]}", r"before: returns \[1.0\] \(list\) for size"),
    (
        "def before(i): return i | {'size': i['size'].astype('float64')}",
        "before: returns size of type float64; must be float32",
    ),
    (
        "def before(i): return i | {'size': np.zeros(9, 'float32')}",
        r"before: returns size of shape \(9,\); must be \(1,\)",
    ),
    (
        "def after(o): return o | {'probability': o['probability'][:, 1]}",
        r"after: returns probability of shape \(1,\); must be \(1, 2\)",
    ),
    (
        "def after(o): return o | {'probability': o['probability'].astype(str)}",
        r"after: returns probability of type <U\d+; must be float32",
    ),
    ("def after(o): return o | {'band': np.zeros(7)}", r"after: returns band of shape \(7,\)"),
    (
        "def after(o): return o | {'band': np.zeros(1, 'complex64')}",
        "after: returns band of type complex64; the protocol has no such type",
    ),
]


@pytest.mark.parametrize(("code", "told"), HOOKED)
def test_hooks_that_the_server_cannot_use(write: Write, model: Path, code: str, told: str) -> None:
    write("hooks", HOOKS + code)
    with pytest.raises(InputError, match=line("hooks", told)):
        ServedModel(Settings(model=model))


def test_hooks_that_go_wrong_on_some_rows_alone(write: Write, model: Path) -> None:
    write("hooks", HOOKS + "def after(o): return o if len(o['prediction']) < 2 else None")
    found = ServedModel(Settings(model=model))
    job = found._example(1)
    two = Job("", 2, [each * 2 for each in job.columns])
    with pytest.raises(InputError, match=line("hooks", "after: returns None")):
        found.run([two])


def test_hooks_may_round_and_add(write: Write, model: Path) -> None:
    code = """
def after(outputs):
    probability = outputs["probability"] * np.ones((1, 1))
    return outputs | {"probability": probability, "sure": probability.max(axis=1)}
"""
    write("hooks", HOOKS + code)
    found = ServedModel(Settings(model=model))
    assert [each.datatype for each in found.outputs if each.name == "probability"] == ["FP64"]
    assert "sure" in [each.name for each in found.outputs]


def test_a_model_without_features_of_the_owners_is_not_blamed_on_them(write: Write) -> None:
    model = made.trained("binary", "linear")
    inputs = model_inputs(made.rows("binary", 10), made.contract("binary"))
    with pytest.raises(ValueError, match="columns are missing"):
        model.predict(inputs.drop(columns="size"))


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("FunctionTransformer(np.log1p)", r"logs \(FunctionTransformer\) cannot be converted to"),
        ("make_pipeline(SimpleImputer(), Doubled())", r"logs.doubled \(Doubled\) cannot be conver"),
    ],
)
def test_what_cannot_be_converted_is_told_before_it_is_trained(
    step: str, told: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("features", FEATURES + DOUBLED.format(step=step))
    monkeypatch.setattr("mlops.pipeline.train.choose", lambda *_: pytest.fail("it is trained"))
    with pytest.raises(CheckError, match=line("features", f"preprocessing: {told}")) as refused:
        trained()
    assert "Write it as an expression in features.yaml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


DOUBLED = """
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer


class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, inputs, target=None):
        self.factor_ = 2
        return self

    def transform(self, inputs):
        return np.asarray(inputs) * self.factor_


def preprocessing(contract, scaled):
    steps = as_they_are(contract, scaled).transformers
    return ColumnTransformer([*steps, ("logs", {step}, ["rank"])])
"""
