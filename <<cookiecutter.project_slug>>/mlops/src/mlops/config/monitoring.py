"""When an environment's traffic raises an alarm."""

from typing import Annotated

from pydantic import Field

from .section import Count, Fraction, Section


class Monitoring(Section):
    """When `mlops monitor` raises an alarm: see mlops/docs/monitor.md.

    Attributes:
        window_days: how long a window is, which is judged as a whole.
        false_alarms: the share of windows that may raise one though nothing has changed.
        minimum_rows: a window with fewer is not judged.
        minimum_effect: the least distance from the reference that matters, from 0 to 1.
        regression: how much worse a metric may be than on the test rows, as a share of its value
            there. Chance is allowed for.
        ignore: columns that are shown and raise no alarm.
    """

    window_days: Count = 7
    false_alarms: Fraction = 0.05
    minimum_rows: Count = 200
    minimum_effect: Annotated[float, Field(ge=0, lt=1)] = 0.1
    regression: Annotated[float, Field(ge=0)] = 0.1
    ignore: list[str] = []
