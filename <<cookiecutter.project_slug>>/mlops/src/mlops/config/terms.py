"""What a model is judged by: the sections of params.yaml that comparison and gates read."""

from pathlib import Path

from ..files import load, parse
from ..paths import PARAMS
from .compare import Compare
from .evaluate import Evaluate
from .fairness import Parity
from .gates import Gate
from .section import Section, Task
from .split import Split


class Terms(Section):
    """What a model is judged by, however it came about."""

    task: Task
    split: Split
    evaluate: Evaluate
    gates: dict[str, Gate]
    compare: Compare
    fairness: dict[str, Parity] = {}


class _Alone(Terms):
    model_config = Section.model_config | {"extra": "ignore"}


def load_terms(path: Path = PARAMS) -> Terms:
    """Read the terms of params.yaml and nothing else of it: no estimator has to be known here.

    Raises InputError, one line a mistake.
    """
    return load(path, _Alone)


def parse_terms(text: str) -> Terms:
    """The same of the file's text."""
    return parse(text, _Alone, PARAMS)
