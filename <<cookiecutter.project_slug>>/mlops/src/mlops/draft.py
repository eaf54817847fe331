"""`mlops data init`: look at a data set, write a first contract.yaml, point params.yaml to it."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from . import paths
from .config.hyperparameters import HYPERPARAMETERS
from .config.section import Task
from .config.source import Source
from .contract import BOOLEANS, Kind
from .errors import InputError
from .files import write_text
from .metrics import METRICS
from .paths import CONTRACT, PARAMS, PIPELINE
from .pipeline.ingest import read
from .plots import PLOTS

# More distinct values than this make a text column one of names or prose, which cannot be encoded.
MOST_CATEGORIES = 100

# Up to this many are written out as the allowed ones.
MOST_ALLOWED = 20

# A whole number with at most this many values may be a class.
MOST_CLASSES = 10

# Tried in order for text that is not ISO 8601; day first, as most of the world writes.
DATE_FORMATS = [
    f"{day}{time}"
    for day in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y")
    for time in ("", " %H:%M", " %H:%M:%S")
]

ID_NAME = re.compile(r"(^|_)(id|key|uuid|guid)$|^index$|^unnamed: 0$|ID$", re.IGNORECASE)

# Metrics of clusters take a time that grows with the square of the rows.
COMPARED = {
    "rows": {"resamples": 200, "rows": 20_000},
    "clusters": {"resamples": 100, "rows": 1000},
}

HEADER = """\
# Every column: what it holds, what it is for, which values it may take. The one place that names
# columns: validation, features, slices and the model's inputs follow from it. More:
# mlops/docs/contract.md.
#   kind: numeric, categorical, boolean or datetime
#   role: feature, target, time (orders the rows), id, slice (metrics for each value), or a list
# A first draft from {source}: read it, and tighten what you know better.
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
    """

    name: str
    keys: dict[str, Any]
    seen: str
    why_left_out: str | None = None
    role: str = field(default="feature")


def draft(data: pd.DataFrame, target: str | None, time: str | None, task: Task) -> list[Draft]:
    """A draft for each column of `data`. Raises InputError when one that is named is not there."""
    for name in filter(None, (target, time)):
        if name not in data.columns:
            raise InputError(f"no column {name!r}; there are {', '.join(map(str, data.columns))}")
    drafts = []
    for name in map(str, data.columns):
        role = {target: "target", time: "time"}.get(name, "feature")
        drafts.append(_column(name, data[name], role, task))
    if time is not None and next(d for d in drafts if d.name == time).keys["kind"] != "datetime":
        raise InputError(f"{time}: not a date or a time, so it cannot order the rows")
    if not any(each.role == "feature" and each.why_left_out is None for each in drafts):
        raise InputError("no column is left to learn from")
    return drafts


def guess_task(data: pd.DataFrame, target: str | None) -> Task:
    """Clustering without a target; regression for numbers; classification otherwise."""
    if target is None:
        return "clustering"
    if target not in data.columns:
        raise InputError(f"no column {target!r}; there are {', '.join(map(str, data.columns))}")
    kind, _ = guess_kind(data[target])
    values = pd.to_numeric(data[target], errors="coerce")
    whole = kind == "numeric" and bool((values.dropna() % 1 == 0).all())
    if kind == "numeric" and not (whole and values.nunique() <= MOST_CLASSES):
        return "regression"
    return "classification"


def guess_kind(values: pd.Series) -> tuple[Kind, str | None]:
    """What a column holds and, for a datetime that is not ISO 8601, its format."""
    some = values.dropna()
    if pd.api.types.is_bool_dtype(some):
        return "boolean", None
    if pd.api.types.is_datetime64_any_dtype(some):
        return "datetime", None
    if pd.api.types.is_numeric_dtype(some):
        return "numeric", None
    text = some.astype("string").str.strip()
    if text.empty:
        return "categorical", None
    lower = set(text.str.lower().unique())
    if len(lower) <= 2 and lower <= set(BOOLEANS) - {"0", "1", "0.0", "1.0"}:
        return "boolean", None
    # 00501 is a code, not the number 501.
    if pd.to_numeric(text, errors="coerce").notna().all() and not text.str.match(r"0\d").any():
        return "numeric", None
    for how in ("ISO8601", *DATE_FORMATS):
        if text.str.len().min() >= 8 and _reads_as(text, how):
            return "datetime", None if how == "ISO8601" else how
    return "categorical", None


def _reads_as(text: pd.Series, how: str) -> bool:
    return bool(pd.to_datetime(text, errors="coerce", format=how, utc=True).notna().all())


def _column(name: str, values: pd.Series, role: str, task: Task) -> Draft:
    kind, how = guess_kind(values)
    if role == "target" and task == "classification" and kind == "numeric":
        kind = (
            "boolean" if set(pd.to_numeric(values).dropna().unique()) <= {0, 1} else "categorical"
        )
    distinct, missing = values.nunique(), float(values.isna().mean())
    keys: dict[str, Any] = {"kind": kind, "role": role}
    drafted = Draft(name, keys, f"{distinct:,} values", role=role)
    if role == "feature":
        drafted.why_left_out = _why_left_out(kind, distinct)
        if ID_NAME.search(name) and distinct == len(values) and kind != "datetime":
            keys |= {"kind": "categorical", "role": "id"}
            drafted.role, drafted.why_left_out = "id", None
            return drafted
    if missing and role not in ("target", "time"):
        keys["nullable"] = True
        drafted.seen += f", {missing:.1%} missing"
    if how is not None:
        keys["format"] = how
    if kind == "numeric":
        numbers = pd.to_numeric(values, errors="coerce")
        low, high = numbers.min(), numbers.max()
        drafted.seen = f"{low:g} to {high:g}" + drafted.seen.removeprefix(f"{distinct:,} values")
        if low >= 0:
            keys["range"] = [0, None]
    if kind == "categorical" and distinct <= MOST_ALLOWED:
        keys["allowed"] = sorted(_as_text(values.dropna()).unique())
    return drafted


def _why_left_out(kind: Kind, distinct: int) -> str | None:
    if distinct <= 1:
        return "it never varies"
    if kind == "datetime":
        return "a datetime is no feature; add columns such as hour or month, or give it role time"
    if kind == "categorical" and distinct > MOST_CATEGORIES:
        return f"{distinct:,} different texts are too many to learn from"
    return None


def _as_text(values: pd.Series) -> pd.Series:
    whole = pd.api.types.is_float_dtype(values) and (values % 1 == 0).all()
    return (values.astype("Int64") if whole else values).astype("string")


def contract_text(drafts: list[Draft], source: str) -> str:
    """The drafts as contract.yaml; columns that are left out stand in comments, with the reason."""
    lines = []
    for each in drafts:
        keys = ", ".join(f"{key}: {_flow(value)}" for key, value in each.keys.items())
        entry = f"{_scalar(each.name)}: {{{keys}}}"
        if each.why_left_out is None:
            lines.append(f"  {entry} # {each.seen}")
        else:
            lines.append(f"  # {entry} # left out: {each.why_left_out}")
    return HEADER.format(source=source) + "\n".join(lines) + "\n"


def rules_text(drafts: list[Draft]) -> str:
    """The rules that the data suggests: an id was in no two rows."""
    ids = [each.name for each in drafts if each.role == "id"]
    return f"rules: # {RULES}\n  unique: {_flow(ids)}\n" if ids else ""


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    """Text as a YAML scalar, quoted unless it plainly needs no quotes in any YAML version."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z0-9_]+)*", text)
    words = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}
    return text if plain and text.lower() not in words else json.dumps(text, ensure_ascii=False)


def write(source: Source, drafts: list[Draft], task: Task) -> None:
    """Write contract.yaml, and the source and the task into params.yaml and dvc.yaml.

    Comments and what does not depend on the data stay. Where the task changes, the estimators, the
    search space, the size of comparisons and the plots become those of the new task. Gates and
    the value of predictions go, as they were for other data; one gate comes: the task's first
    metric may not get worse.
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
    params["source"].update(path=source.path, database=source.database)
    params["gates"] = _gates(task)
    params["evaluate"].pop("value", None)  # of other classes, or in another unit
    if changed:
        defaults = {name: model().model_dump() for name, model in HYPERPARAMETERS[task].items()}
        params["estimators"] = defaults
        params["train"]["estimator"] = "kmeans" if task == "clustering" else "boosting"
        params["train"]["interval"] = None
        params["train"]["search"].update(trials=0, space={})
        params["compare"].update(COMPARED["clusters" if task == "clustering" else "rows"])
        pipeline["plots"] = _plots(task)
    write_text(CONTRACT, contract_text(drafts, source.path) + rules_text(drafts))
    for path, content in ((PARAMS, params), (PIPELINE, pipeline)):
        stream = StringIO()
        yaml.dump(content, stream)
        write_text(path, stream.getvalue())


def _gates(task: Task) -> CommentedMap:
    """The first gate of a project: what a worse model is refused by before any bound is known."""
    not_worse = CommentedMap({"regression": 0})
    not_worse.fa.set_flow_style()
    return CommentedMap({next(iter(METRICS[task])): not_worse})


def _plots(task: Task) -> list[dict[str, dict[str, str]]]:
    """The `plots` of dvc.yaml for a task."""
    return [{f"{paths.PLOTS}/{name}.json": asdict(plot)} for name, plot in PLOTS[task].items()]


def locate(path: str, database: str | None) -> Source:
    """The source for params.yaml.

    A file from outside the project is copied to `data/`, an address is written to
    `data/source.url`. Raises InputError when there is nothing at `path`.
    """
    if "://" in path:
        address = Path("data/source.url")
        write_text(address, path + "\n")
        return Source(path=str(address))
    file = Path(path).expanduser()
    if not file.exists():
        raise InputError(f"{path}: no such file or folder")
    if file.suffix == ".sql" and database is None:
        raise InputError(f"{path}: say on which database it runs: --database URL")
    if not file.resolve().is_relative_to(Path.cwd()):
        copy = Path("data") / file.name
        if copy.exists():
            raise InputError(f"{copy}: there already; move it away, or give that path")
        copy.parent.mkdir(exist_ok=True)
        (shutil.copytree if file.is_dir() else shutil.copyfile)(file, copy)
        file = copy
    return Source(path=str(file.resolve().relative_to(Path.cwd())), database=database)


def edited() -> list[str]:
    """The files that `write` would change and that hold changes not yet committed to Git."""
    git = shutil.which("git")
    if git is None:
        return []
    asked = [git, "status", "--porcelain", "--untracked-files=no", "--"]
    files = [str(path) for path in (CONTRACT, PARAMS, PIPELINE)]
    done = subprocess.run([*asked, *files], capture_output=True, text=True, check=False)
    return [line[3:] for line in done.stdout.splitlines() if line[1] == "M"]


def init(
    path: str,
    target: str | None,
    time: str | None,
    task: Task | None,
    database: str | None,
    force: bool,
) -> tuple[Source, Task, list[Draft]]:
    """Do all of `mlops data init`; see the command's help. Nothing is written when it raises."""
    if not force and (held := edited()):
        raise InputError(
            f"{', '.join(held)}: changed since the last commit; commit that first, or give --force"
        )
    source = locate(path, database)
    data = read(source)[0].to_pandas()
    task = task or guess_task(data, target)
    if (task == "clustering") != (target is None):
        raise InputError(f"task {task} takes {'no' if task == 'clustering' else 'a'} --target")
    drafts = draft(data, target, time, task)
    write(source, drafts, task)
    return source, task, drafts
