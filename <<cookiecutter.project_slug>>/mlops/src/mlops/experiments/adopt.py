"""Taking an experiment: its configuration written to params.yaml and features.yaml.

What else stands there stays as it is written, comments among it. Both files are checked before
either is written.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ..config.params import Params
from ..files import digest, parse, read_text, write_text, yaml_content
from ..learning.declared import FeatureFile
from ..paths import FEATURES, PARAMS
from .space import Configuration

# By dotted key: what was there, and what is.
Changes = dict[str, tuple[Any, Any]]
# Of a fingerprint.
DIGITS = 12


@dataclass(frozen=True)
class Adopted:
    """What the files say of a configuration.

    Attributes:
        texts: of both.
        changes: what differs, a key each: what it was and what it is.
    """

    texts: "Texts"
    changes: Changes

    def write(self) -> None:
        """Write what differs from what is there."""
        here = Texts.here()
        if self.texts.params != here.params:
            write_text(PARAMS, self.texts.params)
        if self.texts.features != here.features:
            write_text(FEATURES, self.texts.features)


@dataclass(frozen=True)
class Texts:
    """What makes a model beside data and code.

    Attributes:
        params: the text of params.yaml.
        features: that of features.yaml; empty where there is none.
    """

    params: str
    features: str

    @staticmethod
    def here() -> "Texts":
        """Those of the workspace."""
        return Texts(read_text(PARAMS), read_text(FEATURES) if FEATURES.is_file() else "")

    def fingerprint(self) -> str:
        """What tells whether others would train the same: of the chosen estimator alone.

        Raises InputError where one of them is not valid YAML.
        """
        params, features = (
            yaml_content(text, path) or {}
            for text, path in ((self.params, PARAMS), (self.features, FEATURES))
        )
        train = params.get("train", {})
        name = train.get("estimator")
        told = {
            "task": params.get("task"),
            "train": train,
            "estimator": params.get("estimators", {}).get(name),
            "features": features,
        }
        return digest(_alike(told))[:DIGITS]


def _alike(value: Any) -> Any:
    """Numbers as numbers: 1 and 1.0 are the same setting."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return float(value)
        case Mapping():
            return {str(key): _alike(each) for key, each in value.items()}
        case list():
            return [_alike(each) for each in value]
    return str(value)


def adopted(configuration: Configuration, given: Texts) -> Adopted:
    """Put a configuration into the texts of params.yaml and features.yaml.

    Raises InputError where one of them would make no sense then.
    """
    params, changes = _edited(given.params, partial(_set_params, configuration=configuration))
    features, more = _edited(given.features, partial(_set_features, configuration=configuration))
    parse(params, Params, PARAMS)
    parse(features, FeatureFile, FEATURES)
    changes |= {f"{FEATURES}: {key}": each for key, each in more.items()}
    return Adopted(Texts(params, features), changes)


def _set_params(content: CommentedMap, changes: Changes, configuration: Configuration) -> None:
    name = configuration.estimator
    _set(content, ("train", "estimator"), name, changes)
    if content["train"]["search"]["trials"]:  # it would choose other hyperparameters
        _set(content, ("train", "search", "trials"), 0, changes)
    if name not in content["estimators"]:
        # In the first place: what stands below the last one is its comment.
        content["estimators"].insert(0, name, CommentedMap())
    for key, value in configuration.hyperparameters.items():
        _set(content, ("estimators", name, key), value, changes)


def _set_features(content: CommentedMap, changes: Changes, configuration: Configuration) -> None:
    features = content.get("features") or {}
    for name, how in configuration.encodings.items():
        where = "features" if name in features else "columns"
        entry = (content.get(where) or {}).get(name)
        if how != "one_hot" or (entry or {}).get("encode") is not None:
            _set(content, (where, name, "encode"), how, changes)
    for name in configuration.without:
        _set(content, ("features", name, "learn"), False, changes)


def _set(content: CommentedMap, key: tuple[str, ...], value: Any, changes: Changes) -> None:
    """Set what is at a key, if it is something else, and take note of it."""
    at = content
    for part in key[:-1]:
        if at.get(part) is None:
            at[part] = CommentedMap()
        at = at[part]
    if key[-1] not in at or at[key[-1]] != value:
        changes[".".join(key)] = (at.get(key[-1]), value)
        at[key[-1]] = _in_a_line(value) if isinstance(value, list) else value


def _in_a_line(values: list[Any]) -> CommentedSeq:
    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found


def _edited(text: str, change: Callable[[CommentedMap, Changes], None]) -> tuple[str, Changes]:
    """The text of a YAML file after a change of its content, and what that changed."""
    yaml, changes = _yaml(), Changes()
    content = yaml.load(text)
    is_empty = content is None  # or comments alone, which are no document
    content = CommentedMap() if is_empty else content
    change(content, changes)
    if not changes:
        return text, changes
    made = _dumped(yaml, content)
    return (f"{text.rstrip()}\n\n{made}".lstrip() if is_empty else made), changes


def _dumped(yaml: YAML, content: CommentedMap) -> str:
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    """YAML that stays as it was written."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.representer.add_representer(
        type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
