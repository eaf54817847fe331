"""What takes what: every estimator for each of its tasks to every target, as the manual's table."""

from collections import defaultdict
from pathlib import Path

import pytest
from engine import made
from engine.export.settings import SETTINGS

import mlops
from mlops.errors import InputError
from mlops.export.targets import TARGETS
from mlops.learning.conversion import to_onnx

PAGE = Path(mlops.__file__).parents[2] / "docs/export.md"
# What a refusal says, and what the table says of it. Each names what takes the model instead.
REASONS = {
    r"cannot be written (it makes": "no trees",
    "has no layers whose weights could be of eight bits": "nothing to make smaller",
}
HELP = {"no trees": "the format has no trees: export them to c", "nothing to make smaller": "to c"}


def outcome(what: str, name: str, target: str, folder: Path) -> str:
    """Yes, or why not."""
    converted, said = to_onnx(made.trained(what, name), made.contract(what)), ""
    try:
        TARGETS[target].make(converted, "made", folder, SETTINGS[target])
    except InputError as error:
        said = str(error)
    if not said:
        assert (folder / TARGETS[target].file).is_file()
        return "yes"
    (reason,) = (short for long, short in REASONS.items() if long in said)
    assert said.startswith("export.targets.")
    assert HELP[reason] in said
    assert "\n" not in said
    assert [*folder.iterdir()] == []
    return f"no: {reason}"


@pytest.mark.slow
def test_the_table_is_right(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert SETTINGS.keys() == TARGETS.keys()
    tasks: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for what, name in made.PAIRS:
        found = tuple(
            outcome(what, name, target, tmp_path_factory.mktemp("made")) for target in TARGETS
        )
        if made.task(what) not in tasks[name, *found]:
            tasks[name, *found].append(made.task(what))
    lines = [
        f"| estimator | task | {' | '.join(f'`{target}`' for target in TARGETS)} |",
        f"| --- | --- |{' --- |' * len(TARGETS)}",
        *(
            f"| {name} | {', '.join(of)} | {' | '.join(found)} |"
            for (name, *found), of in tasks.items()
        ),
    ]
    assert "\n".join(lines) in PAGE.read_text(encoding="utf-8"), "\n".join(lines)
