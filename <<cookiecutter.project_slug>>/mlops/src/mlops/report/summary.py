"""The end of `make run`: how good the model is, whether gates are kept, and what comes next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..judging.gate import Breach

# How many metrics are told where no gate says which matter.
FEW = 2


@dataclass(frozen=True)
class Summary:
    """What a person wants to know when the pipeline has run.

    Attributes:
        metrics: of the served model on the test rows.
        gated: names of those that gates bound.
        broken: gates that the model does not keep.
        is_committed: whether Git has this model.
    """

    metrics: Mapping[str, float]
    gated: list[str]
    broken: list[Breach]
    is_committed: bool

    def lines(self) -> Iterable[str]:
        """For the terminal."""
        told = [*filter(self.metrics.__contains__, self.gated)] or [*self.metrics][:FEW]
        values = ", ".join(f"{name} {self.metrics[name]:.3g}" for name in told)
        if self.broken:
            yield f"Model made: {values}. It breaks gates:"
            yield from (f"  {each}" for each in self.broken)
        else:
            gates = "gates kept" if self.gated else "params.yaml has no gates"
            yield f"Model ready: {values}; {gates}."
        yield "Next:"
        steps = self.steps()
        width = max(len(command) for command, _ in steps)
        yield from (f"  {command:{width}}  {purpose}" for command, purpose in steps)

    def steps(self) -> list[tuple[str, str]]:
        """Commands to go on with, and what for."""
        if self.broken:
            return [("make run", "again, after a change of params.yaml, features.yaml or src/")]
        keep = ("git add . && git commit -m 'Train the model'", "keep it: others see what was made")
        return [
            *([] if self.is_committed else [keep]),
            ("uv run mlops serve", "try it: http://localhost:8080"),
            ("uv run mlops compare", "after your next change: is it better?"),
        ]
