"""How much memory training takes, by arithmetic, before it is asked for."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from ..errors import InputError
from ..paths import CONTRACT, FEATURES
from .encoders import CategoryEncoder
from .texts import TextEncoder

# Bytes for each encoded value at the peak, as measured. Two float32, as the parts and the whole of
# the matrix are there at once; boosting makes float64 or bins of it, ridge and k-means centre a
# copy; the program of quantile regression has each value four times in float64, with its places.
BYTES = {"boosting": 16, "lightgbm": 20, "xgboost": 16, "mixture": 16, "quantile": 470}
BYTES |= dict.fromkeys(("linear", "elasticnet", "poisson", "gamma", "tweedie", "kmeans"), 12)
FEWEST_BYTES = 8
MEMORY = Path("/proc/meminfo")
# What a container may take: control groups, version 2 and 1.
LIMITS = [
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
]
GIB = 2**30
# Settings with which an encoder makes a column of each category.
USUAL = {"categories": "auto", "drop": None, "max_categories": None, "min_frequency": None}


@dataclass(frozen=True)
class Need:
    """What fitting takes.

    Attributes:
        rows: how many it is fitted on.
        widths: how many columns each input becomes.
        bytes: of memory, about.
    """

    rows: int
    widths: dict[str, int]
    bytes: int

    @property
    def columns(self) -> int:
        """Encoded columns in all."""
        return sum(self.widths.values())


def need(pipeline: Pipeline, inputs: pd.DataFrame, estimator: str) -> Need:
    """What fitting the pipeline on the inputs takes.

    A one-hot encoder in a ColumnTransformer, which the engine's preprocessing is, is counted by its
    categories; whatever else there is, as one column for each of the inputs.

    Args:
        pipeline: untrained, with the steps `features` and `model`.
        inputs: the training rows as inputs.model_inputs makes them.
        estimator: its name in params.yaml.
    """
    features = pipeline["features"]
    if "declared" in pipeline.named_steps:
        inputs = pipeline["declared"].transform(inputs)
    widths = dict.fromkeys(map(str, inputs.columns), 1)
    if isinstance(features, ColumnTransformer):
        for _, step, names in features.transformers:
            encoder = _encoder(step)
            if isinstance(encoder, CategoryEncoder | TextEncoder):
                widths |= {name: encoder.width(inputs[name]) for name in names}
            elif encoder is not None:
                widths |= {
                    name: categories(encoder, place, inputs[name])
                    for place, name in enumerate(names)
                }
    width = sum(widths.values())
    return Need(len(inputs), widths, len(inputs) * width * BYTES.get(estimator, FEWEST_BYTES))


def _encoder(step: object) -> OneHotEncoder | CategoryEncoder | TextEncoder | None:
    """The step, or the first within it, that makes dense columns of categories."""
    steps = [each for _, each in step.steps] if isinstance(step, Pipeline) else [step]
    return next(
        (
            each
            for each in steps
            if isinstance(each, CategoryEncoder | TextEncoder)
            or (isinstance(each, OneHotEncoder) and not each.sparse_output)
        ),
        None,
    )


def categories(encoder: OneHotEncoder, place: int, values: pd.Series) -> int:
    """How many columns an encoder makes of the input at `place` among its own."""
    settings = encoder.get_params()
    if all(settings[key] == usual for key, usual in USUAL.items()):
        return int(values.nunique())  # much faster
    alone = clone(encoder)
    if not isinstance(encoder.categories, str):
        alone.set_params(categories=[encoder.categories[place]])
    return len(alone.fit(values.to_frame()).get_feature_names_out())


def available() -> int | None:
    """Bytes of memory that can be had: of the machine, or of the container; None if not known."""
    found = [int(each) for path in LIMITS for each in re.findall(r"^\d+", _text(path))]
    found += [int(each) * 1024 for each in re.findall(r"MemAvailable: *(\d+)", _text(MEMORY))]
    if not found and hasattr(os, "sysconf"):
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return min(found, default=None)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def check(needed: Need, have: int | None) -> None:
    """Say what training takes; raise InputError where that is more memory than there is.

    Args:
        needed: by training.
        have: bytes of memory; None where that is not known.
    """
    refuse(needed, have)
    told = f"{_size(needed)}: about {_gib(needed.bytes)} of memory"
    print(told + (f" of {_gib(have)}" if have is not None else ""))


def refuse(needed: Need, have: int | None) -> None:
    """The same, without a word where there is enough."""
    if have is not None and needed.bytes > have:
        name, width = max(needed.widths.items(), key=lambda each: each[1])
        raise InputError(
            f"training takes about {_gib(needed.bytes)} of memory, {_size(needed)}, and there is "
            f"{_gib(have)}; {name} alone "
            f"makes {width:,} columns: leave it out of {CONTRACT}, or say in {FEATURES} how "
            "to encode it, such as by `encode: target`: mlops/docs/features.md#encodings"
        )


def _size(needed: Need) -> str:
    return f"{needed.rows:,} rows × {needed.columns:,} columns when encoded"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{max(size / 2**20, 1):.0f} MiB"
