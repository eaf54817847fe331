"""A new dvc.yaml with what an owner has in an old one: plots, and stages of their own."""

from collections.abc import Callable
from io import StringIO
from typing import Any

from ruamel.yaml import YAML


def with_own_stages(old: str, mine: str, new: str, path: Callable[[str], str]) -> tuple[str, bool]:
    """The new file with the owner's, and whether that is all that the owner changed.

    Args:
        old: as it was baked.
        mine: the owner's.
        new: as it would be baked now.
        path: where a file of the old package is now.
    """
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    before, own, after = (yaml.load(text) for text in (old, mine, new))
    for name, stage in own["stages"].items():
        if name not in before["stages"]:
            after["stages"][name] = _turned(stage, path)
    for name, value in own.items():
        if name not in ("stages", "vars") and value != before.get(name):
            after[name] = value
    stream = StringIO()
    yaml.dump(after, stream)
    is_all = all(own["stages"].get(name) == stage for name, stage in before["stages"].items())
    return stream.getvalue(), is_all and own.get("vars") == before.get("vars")


def _turned(stage: Any, path: Callable[[str], str]) -> Any:
    deps = stage.get("deps", [])
    for number, dep in enumerate(deps):
        if isinstance(dep, str):
            deps[number] = path(dep)
    return stage
