"""When retraining starts by itself."""

from typing import Annotated, Literal

from pydantic import Field

from .section import Section


class Retraining(Section):
    """When `retrain` is started by itself: see mlops/docs/retrain.md.

    Attributes:
        environment: whose alarms start it.
        alarms: those that do: defects of the data are mended, and not learned.
        cool_down_days: how long after one was started the next may be.
        weekly: how many may be started in seven days.
    """

    environment: str = "prod"
    alarms: list[Literal["drift", "performance"]] = ["drift", "performance"]
    cool_down_days: Annotated[float, Field(ge=0)] = 3
    weekly: Annotated[int, Field(ge=0)] = 2
