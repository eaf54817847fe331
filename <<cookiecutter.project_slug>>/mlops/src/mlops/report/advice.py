"""What helps against an alarm: what to look at, and the commands for it."""

from dataclasses import dataclass

from ..monitoring.result import Alarm, Kind


@dataclass(frozen=True)
class Advice:
    """What people do about an alarm.

    Attributes:
        look: what to look at first, in a few words.
        commands: what helps then; which one depends on what they saw.
    """

    look: str
    commands: list[str]


def advice(alarm: Alarm, environment: str) -> Advice:
    """What to do about an alarm in an environment."""
    retrain = f'uv run mlops retrain --reason "{alarm.kind} in {environment}"'
    back = f"uv run mlops rollback {environment}"
    match alarm.kind:
        case Kind.DRIFT:
            look = "look at its distribution: did the world change, or a system upstream?"
            return Advice(look, [retrain, back])
        case Kind.MISSING:
            return Advice(
                "ask whoever delivers it: this is mostly a defect upstream",
                [f'uv run mlops hold {environment} --reason "{alarm.kind} values"'],
            )
        case Kind.PERFORMANCE:
            return Advice("look at the worst slices, and train on newer data", [retrain, back])
        case Kind.FAIRNESS:
            look = "look at what changed for whom; `train.reweigh` helps against it"
            return Advice(look, [retrain, back])
        case Kind.CONTRACT:
            look = "ask who writes the log: the server refuses such rows"
            return Advice(look, ["uv run mlops status"])
        case Kind.LOG:
            look = "restore a broken file from a copy; its rows are not counted until then"
            return Advice(look, [f"uv run mlops monitor {environment}"])
        case Kind.FEEDBACK:
            look = "import the labels of the broken file again"
            return Advice(look, [f"uv run mlops feedback import {environment} FILE"])
        case Kind.REVIEW:
            look = "review the risk with this page, and set its next date in `model.yaml`"
            return Advice(look, ["uv run mlops status"])
        case Kind.CALLER:
            look = (
                "ask what the answers are for; declare it in `model.yaml`, or take its token away"
            )
            return Advice(look, ["uv run mlops status"])
