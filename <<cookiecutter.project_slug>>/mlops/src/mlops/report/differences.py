"""What differs from the base, in a line: parameters, code, data, engine."""

from collections.abc import Iterator

from ..digits import counted
from ..paths import CONTRACT, FEATURES
from ..printable import shown
from .change import Change, Texts

# Parameters and files that are named; more are counted.
FEW = 3
# Characters of a value.
LENGTH = 40


def differences(change: Change) -> str:
    """What made another model, or could have; empty without a base. Backticks mark code."""
    return " · ".join(_parts(change)) if change.base_commit else ""


def _parts(change: Change) -> Iterator[str]:
    found = change.parameters or []
    owners = {f"{path.name}: " for path in (CONTRACT, FEATURES)}
    settings = [each for each in found if not any(map(each.what.startswith, owners))]
    names = _short([each.what for each in settings])
    shown = [_setting(name, each) for name, each in zip(names, settings, strict=True)]
    yield from shown[:FEW]
    if len(shown) > FEW:
        yield counted(len(shown) - FEW, "more parameter")
    for owner in sorted(owners):
        if any(each.what.startswith(owner) for each in found):
            yield f"`{owner.removesuffix(': ')}` changed"
    if not found:
        yield "parameters unchanged"
    code = [each for each in change.files if each.startswith("src/")]
    yield from (f"`{each}` changed" for each in code[:FEW])
    if len(code) > FEW:
        yield f"{len(code) - FEW} more files of code"
    yield _data(change)
    own = any(each.startswith("mlops/") for each in change.files)
    yield "engine changed" if own else "engine unchanged"


def _short(names: list[str]) -> list[str]:
    """The last part of each name, or all of it where that would be another's as well."""
    last = [name.rpartition(".")[2] for name in names]
    return [part if last.count(part) == 1 else name for part, name in zip(last, names, strict=True)]


def _setting(name: str, each: Texts) -> str:
    before, after = (side and shown(side, LENGTH) for side in (each.before, each.after))
    if before is None:
        return f"`{name}` {after} (new)"
    if after is None:
        return f"`{name}` {before} (removed)"
    return f"`{name}` {before} → {after}"


def _data(change: Change) -> str:
    found = change.data
    if found is None or found.before is None:
        return "data not comparable"
    if found.unchanged:
        return "data unchanged"
    if found.before != found.after:
        return f"data {found.before:,} → {found.after:,} rows"
    return f"data changed in {counted(len(found.changes), 'column')}"
