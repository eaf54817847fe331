"""Gates: bounds in params.yaml that the metrics of the test rows must keep."""

from .config import Params
from .errors import InputError
from .metrics import names


def broken(params: Params, metrics: dict[str, float]) -> list[str]:
    """One line for each gate that `metrics` do not keep; a metric that is not there keeps none.

    Raises InputError when a gate is for no metric of the task.
    """
    known = names(params.task)
    unknown = [name for name in params.gates if name not in known]
    if unknown:
        raise InputError(
            f"params.yaml: gates: {', '.join(unknown)}: no metric of {params.task}; "
            f"choose from {', '.join(known)}"
        )
    lines = []
    for name, gate in params.gates.items():
        value = metrics.get(name)
        if value is None:
            lines.append(f"{name}: has no value on the test rows")
        elif gate.min is not None and value < gate.min:
            lines.append(f"{name}: {value:g} is below {gate.min:g}")
        elif gate.max is not None and value > gate.max:
            lines.append(f"{name}: {value:g} is above {gate.max:g}")
    return lines
