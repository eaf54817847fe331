"""What a search may choose: estimators, their hyperparameters, encodings of texts, features.

Nothing here knows an estimator by its name. What its hyperparameters may be stands beside them: see
section.Searched.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, get_args

import pandas as pd

from ..config.params import Params
from ..config.section import Domain, Range, Section, domains
from ..data.contract import Contract
from ..data.inputs import model_inputs, target_values
from ..errors import InputError
from ..files import load, significant
from ..learning.declared import Declared, Encoding, FeatureFile, How, Use
from ..learning.estimators import build, catalogue, check_target, features
from ..paths import FEATURES

# Texts with fewer categories than this are one-hot encoded at little cost, whatever is tried.
MANY = 8
# How choices are called that are of no hyperparameter.
ESTIMATOR, ENCODING, FEATURE = "estimator", "encoding of ", "feature "
# What a search always tries: what params.yaml says, and a linear model where the task has one.
CURRENT, LINEAR = "current", "linear"

Choices = dict[str, Any]


class Chooser(Protocol):
    """What chooses: a trial of Optuna's."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of some values."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number, both ends among them."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number, both ends among them."""


@dataclass(frozen=True)
class Configuration:
    """What a trial trains.

    Attributes:
        estimator: its name.
        hyperparameters: those that differ from what params.yaml sets.
        encodings: how texts are encoded, by column or feature; others as features.yaml says.
        without: the features that nothing is learned from.
    """

    estimator: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    encodings: dict[str, How] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)

    def features(self, file: FeatureFile) -> FeatureFile:
        """What features.yaml would say of it."""
        given = {name: Encoding(how=how) for name, how in self.encodings.items()}
        changed = {
            name: each.model_copy(
                update=({"encode": given[name]} if name in given else {})
                | ({"learn": False} if name in self.without else {})
            )
            for name, each in file.features.items()
        }
        columns = {
            name: file.columns.get(name, Use()).model_copy(update={"encode": encoding})
            for name, encoding in given.items()
            if name not in changed
        }
        update = {"features": changed, "columns": file.columns | columns}
        return file.model_copy(update=update)

    def declared(self, given: Declared) -> Declared:
        """The features to train on. Raises InputError where nothing can be learned that way."""
        if not self.encodings and not self.without:
            return given
        return given.using(self.features(given.file))


@dataclass(frozen=True)
class Space:
    """What a search may choose.

    Attributes:
        hyperparameters: by estimator, what each may be.
        encodings: of texts with many categories, by column or feature.
        features: those that may be left out.
        settings: of each estimator, what it takes and what is set of it: class and values.
        encoded: how those texts are encoded as features.yaml has it.
        excluded: why estimators of the catalogue have no part in it, a line each.
    """

    hyperparameters: dict[str, dict[str, Domain]]
    encodings: Mapping[str, Sequence[How]]
    features: list[str]
    settings: dict[str, tuple[type[Section], dict[str, Any]]]
    encoded: dict[str, Encoding] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)

    def of(self, name: str, changed: Mapping[str, Any]) -> Section:
        """The hyperparameters of an estimator, with changed ones in their place."""
        kind, given = self.settings[name]
        return kind.model_validate({**given, **changed})

    def choose(self, chooser: Chooser) -> Configuration:
        """Have a configuration chosen, one choice after another."""
        name = str(chooser.suggest_categorical(ESTIMATOR, [*self.hyperparameters]))
        chosen = {
            key: self._chosen(chooser, name, key, domain)
            for key, domain in self.hyperparameters[name].items()
        }
        encodings = {
            column: chooser.suggest_categorical(f"{ENCODING}{column}", hows)
            for column, hows in self.encodings.items()
        }
        without = [
            name
            for name in self.features
            if not chooser.suggest_categorical(f"{FEATURE}{name}", [True, False])
        ]
        return Configuration(name, chosen, encodings, without)

    def _chosen(self, chooser: Chooser, estimator: str, key: str, domain: Domain) -> Any:
        name = f"{estimator}.{key}"
        if not isinstance(domain, Range):
            # As text: Optuna knows no lists, such as the widths of layers.
            return json.loads(chooser.suggest_categorical(name, [*map(json.dumps, domain)]))
        if self.is_whole(estimator, key):
            return chooser.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
        value = chooser.suggest_float(name, domain.low, domain.high, log=domain.log)
        return min(max(significant(value, 4), domain.low), domain.high)  # as people write it

    def is_whole(self, estimator: str, key: str) -> bool:
        """Whether a hyperparameter takes whole numbers alone."""
        kinds = {*_plain(self.settings[estimator][0].model_fields[key].annotation)}
        return int in kinds and float not in kinds

    def choices(self, configuration: Configuration) -> Choices | None:
        """What has to be chosen for a configuration; None where it lies outside of this space.

        Of encodings and features it may say nothing, which leaves them as features.yaml has them.
        """
        name = configuration.estimator
        if name not in self.hyperparameters:
            return None
        found: Choices = {ESTIMATOR: name}
        settings = self.of(name, configuration.hyperparameters).model_dump(mode="json")
        for key, domain in self.hyperparameters[name].items():
            value = settings[key]
            if isinstance(domain, Range):
                if not isinstance(value, int | float) or not domain.low <= value <= domain.high:
                    return None
                found[f"{name}.{key}"] = value
            else:
                texts = [*map(json.dumps, domain)]
                if json.dumps(value) not in texts:
                    return None
                found[f"{name}.{key}"] = json.dumps(value)
        for column, hows in self.encodings.items():
            is_now = self.encoded.get(column, Encoding(how="one_hot"))
            how = configuration.encodings.get(column, is_now.how if is_now.size is None else "")
            if how not in hows:
                return None
            found[f"{ENCODING}{column}"] = how
        return found | {f"{FEATURE}{x}": x not in configuration.without for x in self.features}

    def beginnings(self, current: str) -> list[tuple[str | None, Configuration]]:
        """What is tried first, each with what it is to the search: both baselines, the others.

        Args:
            current: the estimator of params.yaml.
        """
        found: dict[str, str | None] = {current: CURRENT}
        if LINEAR in self.settings:
            found.setdefault(LINEAR, LINEAR)
        for name in self.hyperparameters:
            found.setdefault(name, None)
        return [(role, Configuration(name)) for name, role in found.items()]


def _plain(annotation: Any) -> Iterator[Any]:
    """The types that an annotation comes down to."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    elif hasattr(annotation, "__metadata__"):
        yield from _plain(inner[0])
    else:
        for each in inner:
            yield from _plain(each)


def space(params: Params, contract: Contract, given: Declared, rows: pd.DataFrame) -> Space:
    """What may be chosen for a project.

    Args:
        params: what is asked for, and what estimators are set to.
        contract: of the rows.
        given: features.yaml.
        rows: the training rows, by which texts with many categories are known.
    Raises:
        InputError: an estimator that is asked for cannot be tried.
    """
    asked, known = params.search.estimators, catalogue(params.task)
    settings = {
        name: (entry.hyperparameters, params.estimators.get(name, {}))
        for name, entry in known.items()
    }
    chosen, excluded = [], []
    for name in asked or known:
        kind, given_settings = settings[name]
        hyperparameters = kind.model_validate(given_settings)
        try:
            check_target(name, hyperparameters, target_values(rows, contract))
            build(params.task, name, hyperparameters, contract, params.train.seed, None, given)
        except InputError as error:  # its target, or a library that is not installed
            if asked:
                raise
            excluded.append(str(error))
        else:
            chosen.append(name)
    own = params.search.space
    return Space(
        {name: domains(settings[name][0]) | own.get(name, {}) for name in chosen},
        _encodings(params, contract, given, rows),
        _may_go(params, given),
        settings,
        given.learned.encodings,
        excluded,
    )


def _encodings(
    params: Params, contract: Contract, given: Declared, rows: pd.DataFrame
) -> dict[str, Sequence[How]]:
    """The encodings that are tried, by text. A cluster's space is what encodings make of it."""
    hows: list[How] = [*dict.fromkeys(params.search.encodings)]
    if len(hows) < 2 or params.task == "clustering":
        return {}
    made = given.columns_of(model_inputs(rows, contract))
    return {
        name: hows
        for name in given.learned.features
        if given.learned.columns[name].kind == "categorical"
        and made[name].nunique() >= MANY
        and (name in contract.columns or name in _written())
        and _matters(name, hows, contract, given)
    }


def _matters(name: str, hows: Sequence[How], contract: Contract, given: Declared) -> bool:
    """Whether what computes features, which may be the owner's, goes by a column's encoding."""
    ways = (Configuration("", encodings={name: how}).declared(given) for how in hows)
    steps = [features(contract, True, way)[-1] for way in ways]
    return len({repr(_settings(each)) for each in steps}) > 1


def _settings(step: Any) -> Any:
    """What an untrained step is set to, in full: its own text is cut short."""
    return step.get_params() if hasattr(step, "get_params") else step


def _written() -> set[str]:
    """The features that stand in features.yaml itself: what it includes is changed elsewhere."""
    return {*load(FEATURES, FeatureFile).features} if FEATURES.is_file() else set()


def _may_go(params: Params, given: Declared) -> list[str]:
    """The features of features.yaml without which something is left to learn from."""
    if not params.search.features or params.task == "clustering":
        return []
    return [
        name
        for name in given.terms()
        if name in _written() and _holds(partial(Configuration("", without=[name]).declared, given))
    ]


def _holds(check: Callable[[], object]) -> bool:
    try:
        check()
    except InputError:
        return False
    return True
