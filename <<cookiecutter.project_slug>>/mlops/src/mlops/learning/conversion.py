"""A trained pipeline as ONNX: raw columns in, and predictions out."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import FeatureUnion, Pipeline

from ..config.section import Task
from ..data.contract import Contract, Kind
from ..data.expressions import columns, parts
from ..errors import CheckError, own_code
from ..paths import FEATURES
from ..project import package
from .declared import Declared
from .encoders import CategoryEncoder
from .features import DeclaredFeatures
from .interval import Interval
from .mixture import Mixture
from .model import Model
from .network_nodes import register
from .nodes import Nodes
from .text_nodes import register as register_texts

# Old enough for the servers in use, new enough for every operator of the catalogue.
ML = "ai.onnx.ml"
OPSET = {"": 18, ML: 3}
# New enough for those on texts of `nodes`; and the version of ONNX's format that has them.
FEATURES_OPSET, FORMAT = 20, 9

# Names for the outputs that skl2onnx makes, in its order, by task.
OUTPUTS = {
    "classification": ("prediction", "probability"),
    "regression": ("prediction",),
    "clustering": ("space",),  # the features alone: see _add_clusters
}


def to_onnx(model: Model, contract: Contract) -> onnx.ModelProto:
    """The ONNX model: an input of shape (rows, 1) a feature, and the outputs of model.Outputs.

    Raises CheckError when a step of the pipeline cannot be converted.
    """
    pipeline, declared = model.pipeline, model.declared
    converted = _converted(model.task, pipeline, contract, "model/")
    if model.interval is not None and model.interval.lower is not None:
        for name in ("lower", "upper"):
            _join(converted, _of_quantile(getattr(model.interval, name), contract, name))
        _merge_alike(converted.graph)
    if declared:
        _add_features(converted, declared)
    if model.threshold is not None:
        _add_threshold(converted, model.threshold.at, pipeline.classes_)
    converted.opset_import.sort(key=lambda each: each.domain)  # else in the order of a set
    if model.task == "regression":
        if _predicts_logarithms(pipeline[-1]):
            _exponentiate(converted, "prediction")
        _flatten(converted, "prediction")
    if model.task == "clustering":
        if hasattr(pipeline[-1], "cluster_centers_"):
            _add_clusters(converted, pipeline[-1].cluster_centers_)
        else:
            _add_mixture(converted, pipeline[-1])
    if model.interval is not None:
        _add_interval(converted, model.interval)
    return converted


def _converted(task: Task, pipeline: Pipeline, contract: Contract, prefix: str) -> onnx.ModelProto:
    """What skl2onnx makes of a pipeline behind the nodes of features.yaml, which come later.

    Its inputs are the columns that are learned from; what is within has names with a prefix.
    """
    learned: Contract = contract
    if isinstance(pipeline[0], DeclaredFeatures):
        pipeline, learned = pipeline[1:], pipeline[0].declared.learned
    options = {id(pipeline): {"zipmap": False}} if task == "classification" else None
    try:
        converted = convert_sklearn(
            pipeline[:-1] if task == "clustering" else pipeline,
            "model",
            [(name, _type(learned.columns[name].kind)) for name in learned.features],
            final_types=[(name, None) for name in OUTPUTS[task]],
            options=options,
            target_opset=OPSET,
        )
    except Exception as error:  # whatever a converter makes of what it does not know
        if own_code(error):
            raise  # a converter of the owner's, whose line is told
        raise CheckError(_unconvertible(pipeline, error)) from error
    return _name_inputs(converted, learned.features, prefix)


def _of_quantile(pipeline: Pipeline, contract: Contract, name: str) -> onnx.ModelProto:
    """What predicts an end of an interval, of shape (rows, 1), at the edge `NAME/quantile`."""
    converted = _converted("regression", pipeline, contract, f"{name}/")
    _rename_output(converted.graph, "prediction", f"{name}/quantile")
    return converted


def _join(converted: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Add the nodes of another model of the same inputs."""
    converted.graph.node.extend(other.graph.node)
    converted.graph.initializer.extend(other.graph.initializer)
    known = {each.domain: each.version for each in converted.opset_import}
    for each in other.opset_import:
        known[each.domain] = max(each.version, known.get(each.domain, 0))
    del converted.opset_import[:]
    converted.opset_import.extend(helper.make_opsetid(*each) for each in known.items())
    converted.ir_version = max(converted.ir_version, other.ir_version)


def _merge_alike(graph: onnx.GraphProto) -> None:
    """Keep one of constants that are equal, and of nodes that compute the same.

    Models that learned from the same rows have the same steps before them.
    """
    edges: dict[str, str] = {}
    constants: dict[bytes, str] = {}
    computed: dict[bytes, onnx.NodeProto] = {}
    for constant in graph.initializer:
        nameless = onnx.TensorProto()
        nameless.CopyFrom(constant)
        nameless.ClearField("name")
        edges[constant.name] = constants.setdefault(nameless.SerializeToString(), constant.name)
    for node in graph.node:
        for i, edge in enumerate(node.input):
            node.input[i] = edges.get(edge, edge)
        nameless = onnx.NodeProto()
        nameless.CopyFrom(node)
        nameless.ClearField("name")
        del nameless.output[:]
        first = computed.setdefault(nameless.SerializeToString(), node)
        edges |= dict(zip(node.output, first.output, strict=True))
    kept = [each for each in graph.initializer if edges[each.name] == each.name]
    nodes = [*computed.values()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def _unconvertible(pipeline: Pipeline, error: Exception) -> str:
    """Which step cannot be converted, and what to do."""
    why = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
    for name, step in chain.from_iterable(_steps("", each) for _, each in pipeline.steps[:-1]):
        kind = type(step)
        if kind not in sklearn_operator_name_map or kind.__name__ in why:
            called = f"{name} ({kind.__name__})" if name else kind.__name__
            return (
                f"src/{package()}/features.py: preprocessing: {called} cannot be "
                f"converted to ONNX: {why}. Write it as an expression in {FEATURES}, or with steps "
                "that convert: mlops/docs/features.md#what-no-expression-says"
            )
    return (
        f"{type(pipeline[-1]).__name__} cannot be converted to ONNX: {why}. Choose another "
        "train.estimator in params.yaml: mlops/docs/train.md lists what converts"
    )


def _steps(name: str, step: Any) -> Iterator[tuple[str, Any]]:
    """The transformers that a step comes down to, each with its name."""
    within: list[tuple[str, Any]] = []
    if isinstance(step, Pipeline):
        within = step.steps
    elif isinstance(step, ColumnTransformer | FeatureUnion):
        fitted = getattr(step, "transformers_", None) or step.transformer_list
        within = [(each[0], each[1]) for each in fitted if not isinstance(each[1], str)]
    elif not isinstance(step, str):
        yield name, step
    for each, inner in within:
        yield from _steps(f"{name}.{each}" if name else each, inner)


def _type(kind: Kind) -> Any:
    is_text = kind in ("categorical", "text")
    return StringTensorType([None, 1]) if is_text else FloatTensorType([None, 1])


# What an input of the model is by the kind of its column: see inputs.model_inputs.
INPUTS: dict[Kind, int] = {
    "numeric": TensorProto.FLOAT,
    "boolean": TensorProto.FLOAT,
    "categorical": TensorProto.STRING,
    "text": TensorProto.STRING,
    "datetime": TensorProto.DOUBLE,
}


def _add_features(converted: onnx.ModelProto, declared: Declared) -> None:
    """Put the nodes of the features before those that take them, and the raw columns before."""
    graph, contract = converted.graph, declared.contract
    edges = {name: f"feature/{name}" for name in declared.terms()}
    nodes = nodes_of(declared, edges)
    for node in graph.node:
        for i, edge in enumerate(node.input):
            node.input[i] = edges.get(edge, edge)
    # What converts the other steps names no later operators than it needs itself.
    known = {each.domain: each.version for each in converted.opset_import}
    known |= {"": FEATURES_OPSET, ML: max(known.get(ML, 0), OPSET[ML])}
    del converted.opset_import[:]
    converted.opset_import.extend(helper.make_opsetid(*each) for each in known.items())
    converted.ir_version = max(converted.ir_version, FORMAT)
    taking = [*nodes.nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(taking)
    graph.initializer.extend(nodes.initializers)
    del graph.input[:]
    graph.input.extend(
        helper.make_tensor_value_info(name, INPUTS[contract.columns[name].kind], [None, 1])
        for name in contract.features
    )


def nodes_of(declared: Declared, edges: dict[str, str]) -> Nodes:
    """The nodes that compute features of the inputs, to edges of these names."""
    terms, kinds = declared.terms(), declared.contract.columns
    read = dict.fromkeys(name for term in terms.values() for name in columns(term))
    numbers = [name for name in read if kinds[name].kind == "numeric"]
    nodes = Nodes({name: name for name in declared.contract.features}, numbers)
    needed = {part for term in terms.values() for part in parts(term)}
    for expression in declared.expressions.values():
        if expression.term in needed:
            nodes.of(expression.term)  # before those that read it, so that none of them is deep
    nodes.outputs({edges[name]: term for name, term in terms.items()})
    return nodes


def _name_inputs(converted: onnx.ModelProto, names: list[str], prefix: str) -> onnx.ModelProto:
    """Name the inputs as the columns, which skl2onnx only does where these are identifiers."""
    # The prefix keeps a column's name from meeting that of an edge within.
    converted = add_prefix(converted, prefix, rename_outputs=False)
    renamed = {each.name: name for each, name in zip(converted.graph.input, names, strict=True)}
    for each in converted.graph.input:
        each.name = renamed[each.name]
    for node in converted.graph.node:
        for i, edge in enumerate(node.input):
            node.input[i] = renamed.get(edge, edge)
    return converted


def _flatten(converted: onnx.ModelProto, name: str) -> None:
    """Shape (rows, 1) to (rows,), as scikit-learn predicts."""
    graph = converted.graph
    _rename_output(graph, name)
    shape = helper.make_tensor("model/flat", TensorProto.INT64, [1], [-1])
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [f"model/{name}", "model/flat"], [name]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]))


def _predicts_logarithms(model: Any) -> bool:
    """Whether skl2onnx leaves out that what the trees add up is the logarithm."""
    log_link = getattr(model, "loss", None) in ("poisson", "gamma")
    return isinstance(model, HistGradientBoostingRegressor) and log_link


def _exponentiate(converted: onnx.ModelProto, name: str) -> None:
    """The exponential of an output, in its place."""
    _rename_output(converted.graph, name, "model/logarithm")
    converted.graph.node.append(helper.make_node("Exp", ["model/logarithm"], [name]))


def _add_mixture(converted: onnx.ModelProto, mixture: Mixture) -> None:
    """Distances and the likeliest cluster in float64, as mixture.Mixture has it."""
    graph, clusters = converted.graph, len(mixture.means_)
    _rename_output(graph, "space")

    def keep(name: str, value: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(value, f"model/{name}"))
        return f"model/{name}"

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    exact = add("Cast", ["model/space"], "model/x", to=TensorProto.DOUBLE)
    columns, sums = keep("columns", np.array([1])), []
    for i, (mean, whitening) in enumerate(zip(mixture.means_, mixture.whitening, strict=True)):
        centred = add(
            "Sub", [exact, keep(f"mean_{i}", mean.astype("float64"))], f"model/centred_{i}"
        )
        white = keep(f"whitening_{i}", np.ascontiguousarray(whitening))
        round_ = add("MatMul", [centred, white], f"model/round_{i}")
        squared = add("Mul", [round_, round_], f"model/squared_{i}")
        sums.append(add("ReduceSum", [squared, columns], f"model/sum_{i}", keepdims=1))
    whole = add("Concat", sums, "model/sums", axis=1)
    half = add("Mul", [whole, keep("half", np.array([0.5]))], "model/halves")
    found = add("Add", [half, keep("offsets", mixture.offsets)], "model/distances")
    add("ArgMin", [found], "prediction", axis=1, keepdims=0)
    add("Cast", [found], "distances", to=TensorProto.FLOAT)
    _set_clusters(graph, clusters)


def _set_clusters(graph: onnx.GraphProto, clusters: int) -> None:
    """The outputs of a clustering."""
    del graph.output[:]
    for name, kind, shape in (
        ("prediction", TensorProto.INT64, [None]),
        ("distances", TensorProto.FLOAT, [None, clusters]),
    ):
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _add_clusters(converted: onnx.ModelProto, centers: np.ndarray) -> None:
    """Distances and nearest centre, in float64 from |x|² - 2xc + |c|² as scikit-learn has it.

    skl2onnx does this in float32, which is not-a-number for a row that lies on a centre.
    """
    graph, exact = converted.graph, centers.astype("float64")
    _rename_output(graph, "space")
    constants = {
        "minus_2c": -2 * exact.T,
        "c2": (exact**2).sum(axis=1)[None, :],
        "zero": np.zeros(1),
        "by_feature": np.array([1]),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"model/{name}"))

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))

    add("Cast", ["model/space"], "model/x", to=TensorProto.DOUBLE)
    add("Mul", ["model/x", "model/x"], "model/xx")
    add("ReduceSum", ["model/xx", "model/by_feature"], "model/x2", keepdims=1)
    add("MatMul", ["model/x", "model/minus_2c"], "model/minus_2xc")
    add("Sum", ["model/x2", "model/minus_2xc", "model/c2"], "model/squared")
    add("ArgMin", ["model/squared"], "prediction", axis=1, keepdims=0)
    add("Max", ["model/squared", "model/zero"], "model/positive")
    add("Sqrt", ["model/positive"], "model/root")
    add("Cast", ["model/root"], "distances", to=TensorProto.FLOAT)
    _set_clusters(graph, len(centers))


def _rename_output(graph: onnx.GraphProto, name: str, within: str | None = None) -> None:
    """Give an output a name of an edge within, `model/` before its own where none is told."""
    for node in graph.node:
        for i, edge in enumerate(node.output):
            if edge == name:
                node.output[i] = within or f"model/{name}"


def _add_threshold(converted: onnx.ModelProto, threshold: float, classes: np.ndarray) -> None:
    """Predict the second of two classes where its probability is at least a threshold.

    The nodes that alone lead to the likelier class are taken out.
    """
    graph = converted.graph
    _rename_output(graph, "prediction")
    kept = classes.astype("int64") if classes.dtype.kind in "iub" else classes.astype(object)
    constants = {
        "second": np.array([1], dtype="int64"),
        "threshold": np.array([threshold], dtype="float32"),
        "each": np.array([-1], dtype="int64"),
        "classes": kept,
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"model/decision_{name}"))

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))

    add(
        "ArrayFeatureExtractor",
        ["probability", "model/decision_second"],
        "model/decision_likely",
        domain=ML,
    )
    add(
        "GreaterOrEqual",
        ["model/decision_likely", "model/decision_threshold"],
        "model/decision_is_second",
    )
    add("Cast", ["model/decision_is_second"], "model/decision_column", to=TensorProto.INT64)
    add("Reshape", ["model/decision_column", "model/decision_each"], "model/decision_place")
    add("Gather", ["model/decision_classes", "model/decision_place"], "prediction", axis=0)
    _keep_needed(graph)


def _keep_needed(graph: onnx.GraphProto) -> None:
    """Take out nodes and constants of which no output is made."""
    needed, kept = {each.name for each in graph.output}, []
    for node in reversed(graph.node):
        if needed & {*node.output}:
            needed |= {*node.input}
            kept.append(node)
    constants = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept[::-1])
    graph.initializer.extend(constants)


def _add_interval(converted: onnx.ModelProto, interval: Interval) -> None:
    """The ends around the prediction, or what quantiles say of them, moved: see interval."""
    graph = converted.graph
    graph.initializer.append(
        helper.make_tensor("model/margin", TensorProto.FLOAT, [1], [interval.margin])
    )

    def add(operator: str, inputs: list[str], output: str) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output]))
        return output

    for operator, farther, name in (("Sub", "Min", "lower"), ("Add", "Max", "upper")):
        if interval.lower is None:
            add(operator, ["prediction", "model/margin"], name)
        else:
            flat = add("Reshape", [f"{name}/quantile", "model/flat"], f"{name}/flat")
            moved = add(operator, [flat, "model/margin"], f"{name}/moved")
            add(farther, [moved, "prediction"], name)
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]))


def _encoded_type(operator: Any) -> None:
    width = operator.raw_operator.table_.shape[1]
    operator.outputs[0].type = FloatTensorType([None, width])


def _convert_encoder(scope: Any, operator: Any, container: Any) -> None:
    """A CategoryEncoder: where a text stands among the categories, and the row of the table."""
    encoder: CategoryEncoder = operator.raw_operator
    (text,) = operator.input_full_names

    def add(kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        made = output or scope.get_unique_variable_name(kind.lower())
        container.add_node(
            kind, inputs, made, name=scope.get_unique_operator_name(kind), **attributes
        )
        return made

    def constant(kind: int, shape: list[int], values: Any) -> str:
        made: str = scope.get_unique_variable_name("constant")
        container.add_initializer(made, kind, shape, values)
        return made

    count = len(encoder.table_)
    if encoder.encoding.how == "hash":
        code = add(
            "MurmurHash3", [text], op_domain="com.microsoft", op_version=1, positive=1, seed=0
        )
        whole = add("Cast", [code], op_version=13, to=TensorProto.INT64)
        columns = constant(TensorProto.INT64, [1], [count])
        place = add("Mod", [whole, columns], op_version=13)
    else:
        known = len(encoder.categories_)
        place = add(
            "LabelEncoder",
            [text],
            op_domain=ML,
            op_version=2,
            keys_strings=[str(each).encode() for each in encoder.categories_],
            values_int64s=[*range(known)],
            default_int64=known,
        )
    flat = constant(TensorProto.INT64, [1], [-1])
    rows = add("Reshape", [place, flat], op_version=14)
    table = constant(TensorProto.FLOAT, [*encoder.table_.shape], encoder.table_.ravel())
    add("Gather", [table, rows], operator.output_full_names[0], op_version=13, axis=0)


update_registered_converter(
    CategoryEncoder, "CategoryEncoder", _encoded_type, _convert_encoder, overwrite=True
)
register()
register_texts()
