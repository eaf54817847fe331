"""Taking an experiment: its configuration written to params.yaml and features.yaml.

What else stands there stays as it is written, comments among it. Both files are checked before
either is written.
"""

import io
from collections.abc import Callable, Mapping
from copy import deepcopy
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
class Settings:
    """What params.yaml and features.yaml say, as far as it makes a model.

    Attributes:
        params, features: the content of both; empty where there is none.
    """

    params: dict[str, Any]
    features: dict[str, Any]

    def fingerprint(self) -> str:
        """What tells whether others train the same: of the chosen estimator alone."""
        train = self.params.get("train", {})
        told = {
            "task": self.params.get("task"),
            "train": train,
            "estimator": self.params.get("estimators", {}).get(train.get("estimator")),
            "features": self.features,
        }
        return digest(_alike(told))[:DIGITS]

    def changed(self, configuration: Configuration) -> tuple["Settings", Changes]:
        """The settings of a configuration, and what differs."""
        found, changes = deepcopy(self), Changes()
        more = Changes()
        _set_params(found.params, changes, configuration)
        _set_features(found.features, more, configuration)
        return found, changes | _named(more)


@dataclass(frozen=True)
class Texts:
    """The same as it is written.

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

    def settings(self) -> Settings:
        """What they say. Raises InputError where one of them is not valid YAML."""
        both = ((self.params, PARAMS), (self.features, FEATURES))
        return Settings(*(yaml_content(text, path) or {} for text, path in both))


@dataclass(frozen=True)
class Adopted:
    """What the files say of a configuration.

    Attributes:
        texts: of both.
        changes: what differs.
    """

    texts: Texts
    changes: Changes

    def write(self) -> None:
        """Write what differs from what is there."""
        here = Texts.here()
        if self.texts.params != here.params:
            write_text(PARAMS, self.texts.params)
        if self.texts.features != here.features:
            write_text(FEATURES, self.texts.features)


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
    return Adopted(Texts(params, features), changes | _named(more))


def _named(changes: Changes) -> Changes:
    """Changes of features.yaml, as they stand beside those of params.yaml."""
    return {f"{FEATURES}: {key}": each for key, each in changes.items()}


def _set_params(content: dict[str, Any], changes: Changes, configuration: Configuration) -> None:
    name = configuration.estimator
    _set(content, ("train", "estimator"), name, changes)
    if content["train"]["search"]["trials"]:  # it would choose other hyperparameters
        _set(content, ("train", "search", "trials"), 0, changes)
    if name not in content["estimators"]:
        if isinstance(content["estimators"], CommentedMap):
            # In the first place: what stands below the last one is its comment.
            content["estimators"].insert(0, name, CommentedMap())
        content["estimators"].setdefault(name, {})
    for key, value in configuration.hyperparameters.items():
        _set(content, ("estimators", name, key), value, changes)


def _set_features(content: dict[str, Any], changes: Changes, configuration: Configuration) -> None:
    features = content.get("features") or {}
    for name, how in configuration.encodings.items():
        where = "features" if name in features else "columns"
        entry = (content.get(where) or {}).get(name)
        if how != "one_hot" or (entry or {}).get("encode") is not None:
            _set(content, (where, name, "encode"), how, changes)
    for name in configuration.without:
        _set(content, ("features", name, "learn"), False, changes)


def _set(content: dict[str, Any], key: tuple[str, ...], value: Any, changes: Changes) -> None:
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
