"""What was found, as JSON for programs; people read the same through report/."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def as_json(result: object) -> str:
    """A result as readable JSON, strictly so.

    What is no number is null, durations are seconds, and fields that a dataclass leaves out of its
    `repr` are left out here, too: they are the parts of a result, and too large to show.
    """
    return json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return _plain(value.value)
        case str():
            return value
        case float():
            return float(value) if math.isfinite(value) else None
        case timedelta():
            return value.total_seconds()
        case date():  # also with a time
            return value.isoformat()
        case Path():
            return value.as_posix()
        case BaseModel():
            return _plain(value.model_dump())
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            shown = (field.name for field in fields(value) if field.repr)
            return {name: _plain(getattr(value, name)) for name in shown}
    raise TypeError(f"{type(value).__name__} has no form in JSON")
