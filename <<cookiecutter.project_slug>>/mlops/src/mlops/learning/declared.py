"""`features.yaml`: what a model learns from beside the contract's columns, and how it takes them.

A feature is an expression over columns that callers send: see `expressions`. Each is computed by
Arrow for training, and is part of the ONNX model, where `nodes` computes it.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from ..config.section import Section, Task
from ..data.checks import LARGEST
from ..data.contract import Column, Contract, Kind
from ..data.expressions import NAMES, Evaluation, Expression, Term, column, columns, parts, read
from ..data.inputs import NO_CATEGORY
from ..errors import InputError
from ..files import digest, load
from ..paths import CONTRACT, FEATURES

How = Literal["one_hot", "target", "frequency", "hash", "rare", "tfidf", "hash_words"]
# Those that look at the words of a text.
OF_TEXTS: tuple[How, ...] = ("tfidf", "hash_words")
# What encodings do where nothing else is said: into how many columns, and below which share.
COLUMNS, RARE = {"hash": 32, "tfidf": 200, "hash_words": 256}, 0.01
# Operations that rules know and models do not.
UNSERVABLE = {
    "length": "length(…) is for rules: ONNX does not count characters; use matches(…)",
    "lower": "lower(…) is for rules: ONNX knows A to Z alone; use ascii_lower(…)",
}
ORDERS = {"<", "<=", ">", ">="}
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Encoding(Section):
    """How a text becomes numbers: `target`, or `{rare: 0.05}`.

    Attributes:
        how: `one_hot`: a column for each category; `target`: the mean of what is predicted, fitted
            on other rows than those that learn from it; `frequency`: its share of the rows;
            `hash`: one of so many columns; `rare`: as one_hot, of those that are not rare; `tfidf`:
            how often each of the most frequent words is in the text, the rarer the more it counts;
            `hash_words`: each word in one of so many columns.
        size: of `hash`, `tfidf` and `hash_words`, how many columns; of `rare`, the share of rows
            below which a category is.
    """

    how: How
    size: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _size_fits(self) -> Self:
        most = 65_536 if self.how == "hash" else 10_000
        if self.how in COLUMNS and not (self.columns.is_integer() and 2 <= self.columns <= most):
            raise ValueError(f"the columns of `{self.how}` are a whole number from 2 to {most}")
        if self.how == "rare" and self.share >= 1:
            raise ValueError("below which share a category is `rare` is a number below 1")
        if self.how not in ("rare", *COLUMNS) and self.size is not None:
            raise ValueError(f"`{self.how}` takes no number")
        return self

    @property
    def columns(self) -> float:
        """How many columns it makes at most, where that does not depend on the rows."""
        return float(self.size or COLUMNS[self.how])

    @property
    def share(self) -> float:
        """Below which share of the rows a category is rare."""
        return self.size or RARE


# Of a column of texts, unless features.yaml says otherwise.
WORDS = Encoding(how="tfidf")


def _encoding(value: Any) -> Any:
    if isinstance(value, str):
        return {"how": value}
    if isinstance(value, dict) and len(value) == 1 and "how" not in value:
        ((how, size),) = value.items()
        return {"how": how, "size": float(size) if isinstance(size, int) else size}
    return value


Encoded = Annotated[Encoding | None, BeforeValidator(_encoding)]


class Use(Section):
    """How the model takes a column of the contract.

    Attributes:
        encode: where it is text.
        learn: whether it learns from the column itself; else only features read it.
    """

    encode: Encoded = None
    learn: bool = True


class Feature(Use):
    """A feature.

    Attributes:
        expr: what it is, in the language of `expressions`.
        description, owner: for people.
        version: goes up when its meaning changes.
    """

    expr: Annotated[str, Field(min_length=1, max_length=10_000)]
    description: str | None = None
    owner: str | None = None
    version: Annotated[int, Field(ge=1)] = 1


def _numbers_alike(table: Any) -> Any:
    if isinstance(table, dict) and all(type(each) in (int, float) for each in table.values()):
        return {str(key): float(each) for key, each in table.items()}
    return table


Lookup = Annotated[
    dict[str, float] | dict[str, Annotated[str, Field(min_length=1)]],
    BeforeValidator(_numbers_alike),
    Field(min_length=1),
]


class FeatureFile(Section):
    """The whole of features.yaml.

    Attributes:
        features: by name.
        columns: how the contract's columns are taken that are not taken as they are.
        tables: what lookup(…) may name: for each text a number, or for each another text.
        include: files like this one, and which of their features are taken; None for all.
    """

    include: dict[str, list[str] | None] = {}

    features: dict[Name, Feature] = {}
    columns: dict[str, Use] = {}
    tables: dict[str, Lookup] = {}


class Learned(Contract):
    """The columns that an estimator learns from: those of the contract and the features.

    Attributes:
        encodings: of the texts that are not one-hot encoded.
        embedded: the texts of which a network learns an embedding.
    """

    encodings: dict[str, Encoding] = {}
    embedded: list[str] = []


@dataclass(frozen=True)
class Declared:
    """What features.yaml says, compiled for the columns of a contract.

    Attributes:
        file: as it was written.
        contract: whose columns callers send.
        expressions: of the features by name, each after those that it reads.
    """

    file: FeatureFile
    contract: Contract
    expressions: dict[str, Expression]

    @cached_property
    def learned(self) -> Learned:
        """The columns that an estimator learns from, in the order of the file."""
        made = {
            name: Column(kind=_kind(self.expressions[name].kind), role=["feature"], nullable=True)
            for name, feature in self.file.features.items()
            if feature.learn
        }
        used = {name: self.file.columns.get(name, Use()) for name in self.contract.features}
        own = {
            name: self.contract.columns[name]
            for name, use in used.items()
            if use.learn and self.contract.columns[name].kind != "datetime"
        }
        ways: dict[str, Use] = used | self.file.features
        encodings = {
            name: way.encode
            for name, way in ways.items()
            if way.learn and way.encode and way.encode.how != "one_hot"
        }
        others = {
            name: column
            for name, column in self.contract.columns.items()
            if "target" in column.role
        }
        return Learned(
            dialect=self.contract.dialect, columns=own | made | others, encodings=encodings
        )

    @property
    def is_empty(self) -> bool:
        """Whether a model learns from the contract's columns as they are."""
        return not self.file.features and not self.file.columns

    def check_task(self, task: Task) -> None:
        """Raise InputError where an encoding asks for a target that the task has not."""
        for name, encoding in self.learned.encodings.items():
            if task == "clustering" and encoding.how == "target":
                where = "features" if name in self.file.features else "columns"
                raise InputError(
                    f"{FEATURES}: {where}.{name}.encode: target needs a target, and clustering has "
                    "none; choose frequency, hash or rare"
                )

    def terms(self) -> dict[str, Term]:
        """What is computed of each feature that is learned from."""
        return {n: e.term for n, e in self.expressions.items() if self.file.features[n].learn}

    def columns_of(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """What an estimator learns from, of rows as inputs.model_inputs makes them."""
        said = Evaluation(inputs)
        # Each of them, so that none is deep when it comes to it.
        made = {name: said.array(each.term) for name, each in self.expressions.items()}
        return pd.DataFrame(
            {
                name: _as_input(made[name]) if name in made else inputs[name].to_numpy()
                for name in self.learned.features
            },
            index=inputs.index,
        )

    def using(self, file: FeatureFile, path: Path = FEATURES) -> "Declared":
        """The same features, learned from and encoded otherwise.

        Args:
            file: differs in `learn` and `encode` alone.
            path: of the file, for errors.
        Raises:
            InputError: it makes no sense, one line a mistake.
        """
        mistakes = _mistakes_of_use(self.expressions, file, self.contract)
        if lines := [f"{path}: {each}" for each in mistakes]:
            raise InputError("\n".join(lines))
        return Declared(file, self.contract, self.expressions)

    def described(self) -> dict[str, dict[str, Any]]:
        """Each feature for people, and the digest of its meaning: what a model carries of it."""
        said: dict[Term, str] = {}
        for each in self.expressions.values():
            _say(each.term, said)
        return {
            name: feature.model_dump(mode="json", exclude_none=True)
            | {
                "kind": self.expressions[name].kind,
                "columns": self.expressions[name].columns,
                "sha256": said[self.expressions[name].term],
            }
            for name, feature in self.file.features.items()
        }


def load_declared(contract: Contract, path: Path = FEATURES) -> Declared:
    """Read and check features.yaml for a contract; where there is none, nothing is declared.

    Raises InputError, one line a mistake.
    """
    if not path.is_file():
        return declared(FeatureFile(), contract)
    file = load(path, FeatureFile)
    others = {name: load(Path(name), FeatureFile) for name in file.include}
    return declared(file, contract, path, others)


def declared(
    file: FeatureFile,
    contract: Contract,
    path: Path = FEATURES,
    others: Mapping[str, FeatureFile] | None = None,
) -> Declared:
    """Compile what a file declares.

    Args:
        file: as it was written.
        contract: whose columns callers send.
        path: of the file, for errors.
        others: the files that it includes, by the path that it gives.

    Raises:
        InputError: it makes no sense, one line a mistake.
    """
    mistakes: list[str] = []
    private: dict[str, Expression] = {}
    taken: dict[str, Expression] = {}
    included: dict[str, Feature] = {}
    for name, other in (others or {}).items():
        asked = file.include[name]
        wanted = [*other.features] if asked is None else asked
        mistakes += [f"{path}: include: {each}" for each in _mistakes_of_include(name, file, other)]
        there = _Names(other, contract)  # in which its names mean what they mean to it
        found = there.compile(each for each in wanted if each in other.features)
        mistakes += [f"{name}: {each}" for each in there.mistakes()]
        private |= {f"{name}: {key}": each for key, each in there.done.items() if key not in found}
        if twice := found.keys() & (file.features.keys() | taken.keys()):
            told = f"{path}: include: {min(twice)} of {name} is declared twice; rename one"
            mistakes.append(told)
        taken |= found
        included |= {key: other.features[key] for key in found}
    names = _Names(file, contract, taken)
    names.compile(file.features)
    mistakes += [f"{path}: {each}" for each in names.mistakes()]
    whole = file.model_copy(update={"features": included | file.features})
    expressions = private | taken | names.done
    mistakes += [f"{path}: {each}" for each in _mistakes_of_columns(whole, contract)]
    if not mistakes:
        mistakes += [f"{path}: {each}" for each in _mistakes_of_use(expressions, whole, contract)]
    if mistakes:
        raise InputError("\n".join(mistakes))
    return Declared(whole, contract, expressions)


class _Elsewhere(InputError):
    """What is read has a mistake of its own."""


class _Names(Mapping[str, Term]):
    """What a name stands for in an expression: a column that callers send, or another feature.

    Attributes:
        done: expressions of features, each after those that it reads.
    """

    def __init__(
        self,
        file: FeatureFile,
        contract: Contract,
        taken: Mapping[str, Expression] | None = None,
    ) -> None:
        """Read the features of a file, and those that were taken from others."""
        self._file = file
        self._taken = taken or {}
        self._columns = {
            name: column(name, contract.columns[name].kind) for name in contract.features
        }
        self._contract = contract
        self._doing: list[str] = []
        self._failed: dict[str, InputError] = {}
        self.done: dict[str, Expression] = {}

    def compile(self, names: Iterable[str]) -> dict[str, Expression]:
        """The expressions of features; what is wrong with others, `mistakes` tells."""
        found = {}
        for name in names:
            with suppress(InputError):
                found[name] = self.compiled(name)
        return found

    def mistakes(self) -> list[str]:
        """What is wrong with features, each told once, where it is."""
        failed = self._failed.items()
        return [f"features.{n}: {e}" for n, e in failed if not isinstance(e, _Elsewhere)]

    def compiled(self, name: str) -> Expression:
        """The expression of a feature. Raises InputError."""
        if name in self._failed:
            raise self._failed[name]
        if name not in self.done:
            self._doing.append(name)
            try:
                expression = read(self._file.features[name].expr, self, self._file.tables)
                if why := _unservable(expression.term):
                    raise InputError(f"`{expression.text}`: {why}")
            except InputError as error:
                self._failed[name] = error
                raise
            finally:
                self._doing.pop()
            self.done[name] = expression
        return self.done[name]

    def __contains__(self, name: object) -> bool:
        """Whether it stands for something. Raises InputError where that is known not to be sent."""
        if name in self._columns or name in self._file.features or name in self._taken:
            return True
        if name in self._contract.columns:
            raise InputError(
                f"{name} has no role feature in {CONTRACT}, so that callers do not send it"
            )
        near = difflib.get_close_matches(str(name), [*self], 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(self)}"
        raise InputError(f"there is no column or feature {name}; {meant}")

    def __getitem__(self, name: str) -> Term:
        if name in self._columns:
            return self._columns[name]
        if name in self._taken:
            return self._taken[name].term
        if name in self._doing:
            round_ = [*self._doing[self._doing.index(name) :], name]
            raise InputError(f"is computed of itself: {' → '.join(round_)}")
        try:
            return self.compiled(name).term
        except InputError as error:
            raise _Elsewhere(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter([*self._columns, *self._taken, *self._file.features])

    def __len__(self) -> int:
        return len([*iter(self)])


def _mistakes_of_include(name: str, file: FeatureFile, other: FeatureFile) -> Iterator[str]:
    if other.include:
        yield f"{name} includes others itself; include them here"
    for each in file.include[name] or []:
        if each not in other.features:
            yield f"{name} has no feature {each}; it has {', '.join(other.features)}"


def _mistakes_of_columns(file: FeatureFile, contract: Contract) -> Iterator[str]:
    """Names that cannot be, and columns that are not there."""
    for name in file.features:
        if name in contract.columns:
            yield f"features.{name}: {CONTRACT} has a column of this name; call it otherwise"
        elif name in ("true", "false", "missing"):
            yield f"features.{name}: is a word of expressions; call it otherwise"
    for name in file.columns:
        if name not in contract.features:
            there = ", ".join(contract.features)
            yield f"columns.{name}: {CONTRACT} has no such feature; there are {there}"


def _mistakes_of_use(
    expressions: Mapping[str, Expression], file: FeatureFile, contract: Contract
) -> Iterator[str]:
    """Kinds that no model learns from, and columns for which there is no use."""
    kinds = {name: each.kind for name, each in expressions.items()}
    kinds |= {name: contract.columns[name].kind for name in contract.features}
    for where, uses in (("features", file.features), ("columns", file.columns)):
        for name, use in uses.items():
            if use.encode and kinds[name] not in ("categorical", "text"):
                yield f"{where}.{name}.encode: is for texts, and this is {NAMES[kinds[name]]}"
            elif use.encode and kinds[name] == "text" and use.encode.how not in OF_TEXTS:
                yield (
                    f"{where}.{name}.encode: {use.encode.how} is for categories, and {CONTRACT} "
                    f"calls this a text; choose from {', '.join(OF_TEXTS)}"
                )
    for name, feature in file.features.items():
        if feature.learn and (kind := kinds[name]) in ("datetime", "duration"):
            how = {
                "datetime": "take a part of it, such as hour(…)",
                "duration": "divide it, such as by hours(1)",
            }[kind]
            yield (
                f"features.{name}: `{feature.expr}`: is {NAMES[kind]}, and a model learns from "
                f"numbers and texts: {how}, or say `learn: false`"
            )
    learned = [*filter(lambda name: file.features[name].learn, file.features)]
    taken = [
        name
        for name in contract.features
        if file.columns.get(name, Use()).learn and kinds[name] != "datetime"
    ]
    if not learned and not taken:
        yield "columns: there is nothing left to learn from; say `learn: true` of one"
    read_of = {each for name in learned for each in columns(expressions[name].term)}
    for name in contract.features:
        if name in taken or name in read_of:
            continue
        if kinds[name] == "datetime":
            yield (
                f"features: {name} is a moment, which {CONTRACT} calls a feature, and no feature "
                f'reads it: declare one, such as `{{expr: "hour({name})"}}`'
            )
        else:
            yield (
                f"columns.{name}: `learn: false`, and no feature reads it: take its role feature "
                f"out of {CONTRACT}, so that callers need not send it"
            )


def _unservable(term: Term) -> str | None:
    """What of a term is for rules alone, as ONNX has no operator for it; None if nothing is."""
    for part in parts(term):
        if part.operation in UNSERVABLE:
            return UNSERVABLE[part.operation]
        if part.operation in ORDERS and part.terms[0].kind == "categorical":
            return "texts have no order in a model; compare them with ==, != or in"
    return None


def _kind(kind: str) -> Kind:
    found: Kind = kind  # type: ignore[assignment]  # no length of time is learned from
    return found


def _as_input(values: pa.Array) -> np.ndarray:
    """Values as inputs.model_inputs has those of a column: float32 with NaN, or texts with ""."""
    if pa.types.is_string(values.type):
        texts: np.ndarray = values.fill_null(NO_CATEGORY).to_numpy(zero_copy_only=False)
        return texts
    exact = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.abs(exact) <= LARGEST, exact, np.nan).astype("float32")


def _say(part: Term, said: dict[Term, str]) -> None:
    """Add what a term says, the same however it is written and of whichever features it is made."""
    for each in part.terms:
        if each not in said:
            _say(each, said)
    told = [part.kind, part.operation, part.given, [said[each] for each in part.terms]]
    said[part] = digest(told)
