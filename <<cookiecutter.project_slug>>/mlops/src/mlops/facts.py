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


def as_json(found: object) -> str:
    """A result as readable JSON, strictly so.

    What is no number is null, durations are seconds, and fields that a dataclass leaves out of its
    `repr` are left out here, too: they are what a result was made of, and too large to be told.
    """
    return json.dumps(_told(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _told(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return _told(value.value)
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
            return _told(value.model_dump())
        case Mapping():
            return {str(key): _told(each) for key, each in value.items()}
        case list() | tuple():
            return [_told(each) for each in value]
        case _ if is_dataclass(value):
            shown = (each.name for each in fields(value) if each.repr)
            return {name: _told(getattr(value, name)) for name in shown}
    raise TypeError(f"{type(value).__name__} has no form in JSON")
