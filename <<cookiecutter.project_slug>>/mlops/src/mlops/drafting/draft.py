"""`mlops data init`: look at a data set, write a first contract.yaml, point params.yaml to it."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from .. import paths
from ..config.hyperparameters import HYPERPARAMETERS
from ..config.params import load_params
from ..config.section import Task
from ..config.source import AnySource, Source
from ..data import tables
from ..data.columns import frame, is_text
from ..data.contract import OUTPUTS, Column, Contract, Kind, as_kind, conform, is_missing
from ..data.dialect import Dialect
from ..data.reading import Reader
from ..errors import InputError
from ..files import parse, replacing, write_text
from ..learning.caveats.caveat import Caveat
from ..learning.caveats.data import ROWS, caveats_of_data
from ..paths import CONTRACT, PARAMS, PIPELINE, STATEMENT
from ..pipeline import ingest
from ..statement import blank, load_statement
from .sniff import NEGATIVES, WRITTEN, Guess, Order, guess, has_header, is_open

# More distinct values than this make a text column one of names or prose, which cannot be encoded.
MOST_CATEGORIES = 100
# From so many words on, as the median of many, they are texts that are read.
PROSE = 3

# Up to this many are written out as the allowed ones.
MOST_ALLOWED = 20

# A whole number with at most this many values may be a class.
MOST_CLASSES = 10

# Fewer rows say little of what else there may be: no bounds are drafted from them, and a value that
# is seen less often says that there are others.
ENOUGH_ROWS = 1000
OFTEN = 5

# Rows that are looked at closely; how many fit what these seem to be is counted on all.
LOOKED_AT = 10_000

# A class needs so many test rows for metrics that rank to have a value on them, and on resamples.
RANKED = 2

# Of a larger source the first so many bytes are looked at.
MOST_BYTES = 2**29

ID_NAME = re.compile(
    r"(^|_)(id|key|uuid|guid)$|^index$|^unnamed(: |_)\d+$|^__index_level_\d+__$|[a-z]I[Dd]$"
)

# Rows that tell what is doubtful are taken in so many runs.
RUNS = 100

# What every project comes with.
EXAMPLE = "data/example/flights.parquet"

# Metrics of clusters take a time that grows with the square of the rows.
COMPARED = {
    "rows": {"resamples": 200, "rows": 20_000},
    "clusters": {"resamples": 100, "rows": 1000},
}

HEADER = """\
# Every column: what it holds, what it is for, which values it may take. The one place that names
# columns: validation, features, slices and the model's inputs follow from it. More:
# mlops/docs/contract.md.
#   kind: numeric, categorical, text, boolean or datetime
#   role: feature, target, time (orders the rows), id, slice (metrics for each value), or a list
# A first draft from {source}: read it, and tighten what you know better.
{dialect}
columns:
"""
RULES = "what must hold beyond a column: mlops/docs/contract.md#rules"


@dataclass
class Draft:
    """A column as it is to stand in contract.yaml.

    Attributes:
        name: the column's name.
        keys: its entries in contract.yaml.
        seen: what was found, for the comment beside it.
        why_left_out: the reason when it is not to be used; None when it is.
        assumed: how it is read where that is not plain, and how sure that is.
    """

    name: str
    keys: dict[str, Any]
    seen: str
    why_left_out: str | None = None
    assumed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drafted:
    """What `init` found and wrote.

    Attributes:
        assumed: what it took for so, and how sure that is, a line each.
        caveats: what may make numbers doubtful that come of this data.
        gate: the metric that may get no worse.
        states_nothing: whether model.yaml was of the example, and says nothing now.
    """

    source: AnySource
    task: Task
    drafts: list[Draft]
    assumed: list[str]
    caveats: list[Caveat]
    gate: str
    states_nothing: bool


@dataclass(frozen=True)
class Wanted:
    """What people say of the columns."""

    target: str | None
    time: str | None
    task: Task | None
    dates: Order | None = None


@dataclass(frozen=True)
class Looked:
    """A column that was looked at: as it came, what it seems to be, and as that."""

    name: str
    raw: pd.Series
    guess: Guess
    why_not: str | None = None

    @cached_property
    def column(self) -> Column:
        """How it is read."""
        return Column(kind=self.guess.kind, role=["slice"], **self.guess.keys)

    @cached_property
    def values(self) -> pd.Series:
        """Its values in the type of its kind."""
        return as_kind(self.raw, self.column)


def look(table: pa.Table, wanted: Wanted, semicolons: bool) -> list[Looked]:
    """Look at each column of a table.

    Numbers such as 1,234 are read as the other columns are written; where none tells, a file with
    semicolons has decimal commas.
    """
    found = [_looked(name, table[name], wanted, None) for name in table.column_names]
    closed = Counter(
        each.guess.keys.get("decimal", ".")
        for each in found
        if each.guess.kind == "numeric" and not _is_open(each) and _has_decimals(each)
    )
    usual = closed.most_common(1)[0][0] if closed else "," if semicolons else "."
    if usual == ".":
        return found
    read = Reader(decimal=usual)
    return [
        _looked(each.name, table[each.name], wanted, read) if _is_open(each) else each
        for each in found
    ]


def _some_texts(values: pd.Series) -> list[str]:
    some = values.iloc[np.linspace(0, len(values) - 1, min(len(values), 200)).astype(int)]
    return [each for each in some if isinstance(each, str)]


def _is_open(each: Looked) -> bool:
    return each.guess.kind == "numeric" and is_open(_some_texts(each.raw))


def _has_decimals(each: Looked) -> bool:
    return any("," in text or "." in text for text in _some_texts(each.raw))


def _looked(name: str, values: pa.ChunkedArray, wanted: Wanted, usual: Reader | None) -> Looked:
    why_not = _no_value(values.type)
    if why_not is not None:
        return Looked(name, pd.Series(range(0)), Guess("categorical"), why_not)
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    raw = frame(pa.table({name: values}))[name]
    if not is_text(values.type):
        return Looked(name, raw, Guess(_kind_of(values.type)))
    some = values.take(np.linspace(0, len(values) - 1, min(len(values), LOOKED_AT)).astype(int))
    found = guess(_counts(some), name == wanted.time, usual)
    looked = Looked(name, raw, _chosen(found, wanted))
    rest = _misfits(looked)
    if rest:  # what the sample seemed to be, not all are
        found = guess(_counts(values), name == wanted.time, usual)
        looked = Looked(name, raw, _chosen(found, wanted))
    elif found.either and not wanted.dates:
        fits = [how for how in found.either if not _misfits(_as(looked, how))]
        looked = _as(looked, fits[0])
        if len(fits) == 2:
            looked = Looked(name, raw, Guess("datetime", {"format": fits[0]}, either=found.either))
    return _without_blanks(looked)


def _without_blanks(looked: Looked) -> Looked:
    """The same, read without the blanks around its texts where there are some."""
    raw = looked.raw
    if looked.guess.kind != "categorical" or (raw.str.strip() == raw)[raw.notna()].all():
        return looked
    return Looked(looked.name, raw, replace(looked.guess, keys={"strip": True}))


def _as(looked: Looked, how: str) -> Looked:
    return Looked(looked.name, looked.raw, Guess("datetime", {"format": how}))


def _chosen(found: Guess, wanted: Wanted) -> Guess:
    """The guess, with the day or the month first as somebody says."""
    if found.either is None or wanted.dates is None:
        return found
    how = found.either[0 if wanted.dates == "day-first" else 1]
    return Guess("datetime", {"format": how})


def _misfits(looked: Looked) -> int:
    """How many values are not what the column seems to be."""
    gone = looked.values.isna()
    return int((~is_missing(looked.raw[gone], looked.column)).sum()) if gone.any() else 0


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(values.combine_chunks().drop_null())
    texts, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return dict(zip(texts, counts, strict=True))


def _no_value(kind: pa.DataType) -> str | None:
    """Why values of a type cannot be used; None where they can."""
    if types.is_nested(kind):
        return f"nested values ({kind}); make columns of them"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "bytes, not text"
    if types.is_duration(kind) or types.is_time(kind) or types.is_interval(kind):
        return f"a {kind} is neither number nor date; write it as a number, of seconds say"
    if types.is_null(kind):
        return "it holds nothing"
    known = (
        types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
        or types.is_decimal(kind) or types.is_timestamp(kind) or types.is_date(kind)
        or is_text(kind) or types.is_dictionary(kind)
    )  # fmt: skip
    return None if known else f"values of type {kind} cannot be used"


def _kind_of(kind: pa.DataType) -> Kind:
    if types.is_boolean(kind):
        return "boolean"
    return "datetime" if types.is_timestamp(kind) or types.is_date(kind) else "numeric"


def draft(looked: list[Looked], wanted: Wanted, task: Task) -> list[Draft]:
    """A draft for each column. Raises InputError when one that is named does not do."""
    drafts = [_column(each, wanted, task) for each in looked]
    if wanted.time is not None:
        of_time = next(each for each in drafts if each.name == wanted.time)
        if of_time.keys["kind"] != "datetime":
            raise InputError(f"{wanted.time}: not a date or a time, so it cannot order the rows")
    if not any(each.keys["role"] == "feature" and each.why_left_out is None for each in drafts):
        raise InputError("no column is left to learn from")
    return drafts


def check_names(names: list[str], wanted: Wanted) -> None:
    """Raise InputError when a column that people name is not there."""
    for name in filter(None, (wanted.target, wanted.time)):
        if name not in names:
            raise InputError(f"no column {name!r}; there are {', '.join(names)}")


def guess_task(target: Looked | None) -> Task:
    """Clustering without a target; regression for numbers; classification otherwise."""
    if target is None:
        return "clustering"
    if target.guess.kind != "numeric":
        return "classification"
    values = target.values.dropna()
    whole = bool((values % 1 == 0).all())
    return "classification" if whole and values.nunique() <= MOST_CLASSES else "regression"


def _column(looked: Looked, wanted: Wanted, task: Task) -> Draft:
    name = looked.name
    role = {wanted.target: "target", wanted.time: "time"}.get(name, "feature")
    if looked.why_not is not None:
        if role != "feature":
            raise InputError(f"{name}: {looked.why_not}")
        keys: dict[str, Any] = {"kind": "categorical", "role": role}
        return Draft(name, keys, "", looked.why_not)
    values, kind = looked.values, looked.guess.kind
    gone = int(values.isna().sum())
    keys = {"kind": kind, "role": role, **looked.guess.keys}
    assumed = [*_assumed(looked), *_told_of_texts(looked), *_told_of_infinities(looked)]
    drafted = Draft(name, keys, _seen(looked), assumed=assumed)
    if role == "target":
        _draft_target(drafted, looked, values, task)
    elif looked.guess.either is not None and role == "time":
        first, second = looked.guess.either
        raise InputError(
            f"{name}: the day or the month may be first: {_first_text(looked)} fits {first} and "
            f"{second}; give --dates day-first or --dates month-first"
        )
    if role == "feature":
        drafted.why_left_out = _why_left_out(looked)
        if _is_prose(looked):
            keys["kind"] = "text"
        if ID_NAME.search(name) and kind != "datetime":
            if values.is_unique:
                keys |= {"kind": "categorical", "role": "id"}
                drafted.why_left_out = None
                return drafted
            if re.match("unnamed|__index", name):
                drafted.why_left_out = "it looks like the index of pandas, and is not unique"
    if gone and role not in ("target", "time"):
        keys["nullable"] = True
    if gone:
        drafted.seen += f", {gone / len(values):.1%} missing"
    if keys["kind"] == "numeric" and values.min() >= 0 and len(values) >= ENOUGH_ROWS:
        keys["range"] = [0, None]
    if keys["kind"] == "categorical" and values.nunique() <= MOST_ALLOWED:
        as_text = Column(kind="categorical", role=["slice"], strip=keys.get("strip"))
        texts = as_kind(looked.raw, as_text)
        counts = texts.value_counts()
        if len(counts) and counts.min() >= OFTEN:
            keys["allowed"] = sorted(counts.index)
    return drafted


def _seen(looked: Looked) -> str:
    """What was found, in a few words; to count what differs takes a while."""
    values = looked.values
    if looked.guess.kind in ("numeric", "datetime") and values.notna().any():
        low, high = values.min(), values.max()
        return f"{low:g} to {high:g}" if looked.guess.kind == "numeric" else f"{low} to {high}"
    return f"{values.nunique():,} values"


def _draft_target(drafted: Draft, looked: Looked, values: pd.Series, task: Task) -> None:
    """Make a class of what is to be one, and refuse what is none."""
    name, distinct, gone = looked.name, values.nunique(), int(values.isna().sum())
    if task == "classification" and drafted.keys["kind"] == "numeric":
        is_flag = set(values.dropna().unique()) <= {0, 1}
        for key in WRITTEN:
            drafted.keys.pop(key, None)
        drafted.keys["kind"] = "boolean" if is_flag else "categorical"
    if task == "classification" and distinct > MOST_CATEGORIES:
        raise InputError(
            f"--target {name}: {distinct:,} different texts in {len(values):,} rows, such as "
            f"{_first_text(looked)}: {_what_else(looked)}; a class has at most {MOST_CATEGORIES}"
        )
    if distinct <= 1:
        always = f"always {values.dropna().iloc[0]}" if distinct else "missing in every row"
        raise InputError(f"--target {name}: {always}: there is nothing to learn")
    if gone:
        drafted.assumed.append(
            f"{name}: missing in {gone:,} of {len(values):,} rows; these teach nothing, and "
            "`validate` will refuse them: leave them out of the data"
        )


def _what_else(looked: Looked) -> str:
    """What a column of very many texts looks like."""
    read, texts = Reader(thousands=","), _some_texts(looked.raw)
    numbers = 0
    for each in texts:
        numbers += any(ch.isdigit() for ch in each) and not any(ch.isalpha() for ch in each)
    if not texts:
        return "these are numbers; give --task regression"
    share = numbers / len(texts)
    if share > 0.5:
        odd = next((t for t in texts if re.match(read.number_pattern, t.strip()) is None), texts[0])
        return f"{share:.0%} look like numbers, others, such as {odd!r}, do not; mend those"
    words = float(np.mean([len(each.split()) for each in texts]))
    return "they look like sentences" if words > 3 else "they look like names or ids"


def _first_text(looked: Looked) -> str:
    texts = [each for each in _some_texts(looked.raw) if each.strip()]
    return ", ".join(map(repr, dict.fromkeys(texts[:3])))


def _has_commas(looked: list[Looked]) -> bool:
    """Whether all numbers with decimals have a comma before them: so it is with the source."""
    marks = {
        each.guess.keys.get("decimal", ".")
        for each in looked
        if each.guess.kind == "numeric"
        and (_has_decimals(each) or each.guess.keys.keys() & {"decimal", "thousands"})
    }
    return marks == {","}


def _written(looked: list[Looked]) -> Iterator[str]:
    """How numbers are written where that is not plain: columns alike in one line."""
    alike: dict[tuple[str, str], list[Looked]] = {}
    for each in looked:
        keys = each.guess.keys
        how = [f"{key} {keys[key]!r}" for key in WRITTEN if key in keys]
        if how:
            alike.setdefault((", ".join(how), _sure(each)), []).append(each)
    for (written, sure), columns in alike.items():
        names = ", ".join(each.name for each in columns[:3])
        more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
        yield f"{names}{more}: numbers such as {_example(columns[0])!r}, {written} ({sure})"


def _example(looked: Looked) -> str:
    """A number as it is written, the rarest way of it first: a negative one."""
    numbers = [text.strip() for text in _some_texts(looked.raw) if re.search(r"\d", text)]
    negative = []
    if way := looked.guess.keys.get("negative"):
        negative = [text for text in numbers if NEGATIVES[way].fullmatch(text)]
    return next(iter(negative + numbers), "")


def _sure(looked: Looked) -> str:
    if looked.guess.odd:
        return f"likely: {looked.guess.share:.2%} of the values that are there fit"
    if is_open(_some_texts(looked.raw)):
        return "a guess: the mark may stand before decimals or between thousands"
    return "certain: all values fit"


def _assumed(looked: Looked) -> Iterator[str]:
    """How a column is read where that is not plain, and how sure that is."""
    name, keys, sure = looked.name, looked.guess.keys, _sure(looked)
    if looked.guess.odd:
        odd = ", ".join(f"{text!r} ({n:,})" for text, n in looked.guess.odd.items())
        yield f"{name}: {odd} for missing ({sure})"
    if looked.guess.either is not None:
        yield (
            f"{name}: the day or the month may be first in {_example(looked)!r}; give --dates "
            "day-first or --dates month-first"
        )
    elif "format" in keys:
        yield f"{name}: dates as {keys['format']} ({sure})"


def _told_of_texts(looked: Looked) -> Iterator[str]:
    """What people should know of the categories of a column."""
    if looked.guess.keys.get("strip"):
        yield f"{looked.name}: blanks around its texts count for nothing (certain: there are some)"
    distinct = looked.values.dropna().unique()
    if looked.guess.kind == "categorical" and len(distinct) <= MOST_CATEGORIES:
        by_case: dict[str, list[str]] = {}
        for text in sorted(map(str, distinct)):
            by_case.setdefault(text.casefold(), []).append(text)
        for same in by_case.values():
            if len(same) > 1:
                told = " and ".join(map(repr, same))
                yield f"{looked.name}: {told} are different values; mend the data if they are not"


def _told_of_infinities(looked: Looked) -> Iterator[str]:
    if looked.guess.kind == "numeric" and (count := int(np.isinf(looked.values).sum())):
        yield (
            f"{looked.name}: infinite in {count:,} of {len(looked.values):,} rows, and `validate` "
            "will refuse these: mend the data, or list how that is written as `missing`"
        )


def _why_left_out(looked: Looked) -> str | None:
    if looked.name in OUTPUTS:
        return "the model's own output is called so; rename it in the source to learn from it"
    values = looked.values.dropna()
    if values.empty or (values.iloc[0] == values).all():
        return "it never varies"
    if looked.guess.kind == "datetime":
        return "a datetime: give it role time, or role feature and a feature in features.yaml"
    if looked.guess.kind == "categorical" and (distinct := values.nunique()) > MOST_CATEGORIES:
        if _is_prose(looked):
            return f"{distinct:,} different texts: take it in to learn from their words"
        return f"{distinct:,} different texts are too many to learn from"
    return None


def _is_prose(looked: Looked) -> bool:
    """Whether a column has texts of several words, and too many of them for categories."""
    if looked.guess.kind != "categorical":
        return False
    distinct = looked.values.dropna().unique()
    words = [len(str(each).split()) for each in distinct]
    return len(distinct) > MOST_CATEGORIES and float(np.median(words)) >= PROSE


def contract_text(drafts: list[Draft], source: str, dialect: dict[str, Any] | None = None) -> str:
    """The drafts as contract.yaml; columns that are left out stand in comments, with the reason."""
    lines = []
    for each in drafts:
        keys = ", ".join(f"{key}: {flow(value)}" for key, value in each.keys.items())
        entry = f"{_scalar(each.name)}: {{{keys}}}"
        if each.why_left_out is None:
            lines.append(f"  {entry} # {each.seen}")
        else:
            lines.append(f"  # {entry} # left out: {each.why_left_out}")
    written = {"encoding": "auto", "delimiter": "auto", "header": True, **(dialect or {})}
    how = ", ".join(f"{key}: {flow(value)}" for key, value in written.items())
    head = HEADER.format(source=source, dialect=f"dialect: {{{how}}} # how the source is written")
    return head + "\n".join(lines) + "\n"


def rules_text(drafts: list[Draft]) -> str:
    """The rules that the data suggests: an id was in no two rows."""
    ids = [each.name for each in drafts if each.keys["role"] == "id" and each.why_left_out is None]
    return f"rules: # {RULES}\n  unique: {flow(ids)}\n" if ids else ""


def flow(value: Any) -> str:
    """A value as YAML has it within a line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(key)}: {flow(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    """Text as a YAML scalar, quoted unless it plainly needs no quotes in any YAML version."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z0-9_]+)*", text)
    words = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}
    return text if plain and text.lower() not in words else json.dumps(text, ensure_ascii=False)


def write(source: AnySource, contract: str, task: Task, gate: str) -> None:
    """Write contract.yaml, and the source and the task into params.yaml and dvc.yaml.

    Comments and what does not depend on the data stay. Where the task changes, the estimators, the
    search space, the size of comparisons and the plots become those of the new task. Gates and
    the value of predictions go, as they were for other data; one gate comes: a metric that may not
    get worse.
    """
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 100, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    params, pipeline = (yaml.load(path.read_text(encoding="utf-8")) for path in (PARAMS, PIPELINE))
    changed = params["task"] != task
    params["task"] = task
    if isinstance(source, Source):
        if "path" not in params["source"]:
            params["source"] = {}
        params["source"].update(path=source.path, database=source.database)
    try:
        deps = pipeline["stages"]["ingest"]["deps"]
    except (KeyError, TypeError):
        told = f"{PIPELINE}: stages.ingest.deps is missing; take it from your last commit"
        raise InputError(told) from None
    deps[:] = [each for each in deps if not each.startswith("${source.")]
    deps.extend(f"${{{key}}}" for key in source.files or ["source.path"])
    params["gates"] = _gates(task, gate)
    params["evaluate"].pop("value", None)  # of other classes, or in another unit
    if changed:
        defaults = {name: model().model_dump() for name, model in HYPERPARAMETERS[task].items()}
        params["estimators"] = defaults
        params["train"]["estimator"] = "kmeans" if task == "clustering" else "boosting"
        params["train"]["interval"] = None
        params["train"]["search"].update(trials=0, space={})
        params["compare"].update(COMPARED["clusters" if task == "clustering" else "rows"])
        pipeline["plots"] = _plots(task)
    write_text(CONTRACT, contract)
    for path, content in ((PARAMS, params), (PIPELINE, pipeline)):
        stream = StringIO()
        yaml.dump(content, stream)
        write_text(path, stream.getvalue())


def _gates(task: Task, metric: str) -> CommentedMap:
    """The first gate of a project: what a worse model is refused by before any bound is known."""
    not_worse = CommentedMap({"regression": 0})
    if task != "clustering":  # which has no truth to say something naive of
        not_worse["naive"] = 0
    not_worse.fa.set_flow_style()
    return CommentedMap({metric: not_worse})


def _gated(task: Task, target: Looked | None) -> str:
    """The metric of the first gate: the task's first that has a value even for the rarest class."""
    from ..learning.metrics import METRICS  # slow to import

    if task == "classification":
        assert target is not None
        rarest = target.values.value_counts().min() * load_params().split.test
        return "roc_auc" if rarest >= RANKED else "log_loss"
    return next(iter(METRICS[task]))


def _plots(task: Task) -> list[dict[str, dict[str, str]]]:
    """The `plots` of dvc.yaml for a task."""
    from ..learning.plots import PLOTS  # slow to import

    return [{f"{paths.PLOTS}/{name}.json": asdict(plot)} for name, plot in PLOTS[task].items()]


@dataclass(frozen=True)
class Place:
    """Where a source is, and where it is to be.

    Attributes:
        now: what is read now.
        source: what stands in params.yaml.
        copy: where a file from outside of the project is copied to; None where it is within.
    """

    now: AnySource
    source: AnySource
    copy: Path | None = None

    def settle(self) -> None:
        """Bring the source to where params.yaml says it is."""
        if self.source == self.now:
            return
        assert isinstance(self.source, Source)
        assert isinstance(self.now, Source)
        if self.source.path.endswith(".url") and "://" in self.now.path:
            write_text(Path(self.source.path), self.now.path + "\n")
        if self.copy is not None:
            file = Path(self.now.path)
            with replacing(self.copy) as temporary:
                (shutil.copytree if file.is_dir() else shutil.copyfile)(file, temporary)


def locate(path: str | None, database: str | None) -> Place:
    """Where the source is, and is to be; nothing is written.

    Without `path` it is that of params.yaml, and stays there.
    A file from outside the project is to be copied to `data/`, an address written to
    `data/source.url`. Raises InputError when there is nothing at `path`.
    """
    if path is None:
        source = load_params().source
        return Place(source, source)
    if "://" in path:
        return Place(Source(path=path), Source(path="data/source.url"))
    file = Path(path).expanduser()
    if not file.exists():
        raise InputError(f"{path}: no such file or folder")
    if file.suffix == ".sql" and database is None:
        raise InputError(f"{path}: say on which database it runs: --database URL")
    now, copy = Source(path=str(file), database=database), None
    if not file.resolve().is_relative_to(Path.cwd()):
        copy = Path("data") / file.name
        if copy.exists():
            raise InputError(f"{copy}: there already; move it away, or give that path")
        file = copy
    kept = Source(path=str(file.resolve().relative_to(Path.cwd())), database=database)
    return Place(now, kept, copy)


def check_committed(*paths: Path) -> None:
    """Raise InputError where a file that is to be written holds changes not committed to Git."""
    git = shutil.which("git")
    if git is None:
        return
    asked = [git, "status", "--porcelain", "--untracked-files=no", "--"]
    done = subprocess.run([*asked, *map(str, paths)], capture_output=True, text=True, check=False)
    if held := [line[3:] for line in done.stdout.splitlines() if line[1] == "M"]:
        raise InputError(
            f"{', '.join(held)}: changed since the last commit; commit that first, or give --force"
        )


def init(
    path: str | None,
    target: str | None,
    time: str | None,
    task: Task | None,
    database: str | None,
    force: bool,
    dates: Order | None = None,
) -> Drafted:
    """Do all of `mlops data init`; see the command's help. Nothing is written when it raises."""
    if not force:
        check_committed(CONTRACT, PARAMS, PIPELINE, STATEMENT)
    place, wanted = locate(path, database), Wanted(target, time, task, dates)
    with ingest.parts_of(place.now) as parts:
        dialect, assumed, semicolons = _dialect(parts[0], wanted)
        table, whole = ingest.head(parts, Dialect(**dialect), MOST_BYTES)
    if not whole:
        assumed.append(f"only the first {table.num_rows:,} rows were read")
    check_names(table.column_names, wanted)
    looked = look(table, wanted, semicolons)
    of_target = next((each for each in looked if each.name == target), None)
    chosen = task or guess_task(of_target)
    if (chosen == "clustering") != (target is None):
        raise InputError(f"task {chosen} takes {'no' if chosen == 'clustering' else 'a'} --target")
    drafts = draft(looked, wanted, chosen)
    if _has_commas(looked):
        dialect["decimal"] = ","
        for each in drafts:
            each.keys.pop("decimal", None)
    text = contract_text(drafts, place.source.name, dialect) + rules_text(drafts)
    doubtful = caveats_of(table, parse(text, Contract, CONTRACT), chosen)
    states_another = EXAMPLE not in place.source.paths and _is_of_the_example()
    gate = _gated(chosen, of_target)
    place.settle()
    write(place.source, text, chosen, gate)
    if states_another:
        write_text(STATEMENT, blank(*place.source.paths))
    assumed += [*_written(looked), *(line for each in drafts for line in each.assumed)]
    return Drafted(place.source, chosen, drafts, assumed, doubtful, gate, states_another)


def _is_of_the_example() -> bool:
    """Whether model.yaml speaks of the data that every project comes with. The owner's stays."""
    return STATEMENT.is_file() and EXAMPLE in (load_statement().sources or {})


def caveats_of(table: pa.Table, contract: Contract, task: Task) -> list[Caveat]:
    """What may make numbers doubtful, by runs of rows evenly spread over a table."""
    named, length = table.select([*contract.columns]), -(-ROWS // RUNS)
    starts = np.unique(np.linspace(0, max(table.num_rows - length, 0), RUNS).astype(int))
    whole = table.num_rows <= ROWS
    some = named if whole else pa.concat_tables(named.slice(each, length) for each in starts)
    return caveats_of_data(conform(frame(some), contract), contract, task)


def _dialect(part: ingest.Part, wanted: Wanted) -> tuple[dict[str, Any], list[str], bool]:
    """The keys of the dialect that a file needs, what is assumed, and whether it has semicolons."""
    if not isinstance(part, ingest.File) or not tables.is_text(part.path.name):
        return {}, [], False
    with tables.explained(part.path, part.name):
        how = tables.layout_of(part.path, Dialect(header=False))
    mark = {"\t": "tabs"}.get(how.delimiter, f"`{how.delimiter}`")
    assumed = [f"{how.encoding} text with {mark} between the cells"]
    first, rest = (how.rows[0], how.rows[1:]) if how.rows else ([], [])
    sure = has_header(first, rest)
    named = [name for name in (wanted.target, wanted.time) if name is not None]
    if any(name in first for name in named):
        sure = 1.0
    elif named and all(re.fullmatch(r"c\d+", name) for name in named):
        sure = 0.0
    if sure >= 0.5:
        return {}, assumed, how.delimiter == ";"
    likely = "certain" if sure == 0 else f"likely: {1 - sure:.0%} of the columns say so"
    assumed.append(f"no names in the first line, so the columns are c1 to c{len(first)} ({likely})")
    return {"header": False}, assumed, how.delimiter == ";"
