"""GitHub's REST API, as its own description has it: which requests there are, and of what form.

`rest.json` is taken from that description by `rest_update.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

REST = Path(__file__).with_name("rest.json")


@dataclass(frozen=True)
class Endpoint:
    """A request that there is.

    Attributes:
        name: its method and path, as GitHub's documentation has them.
        permissions: those of which a job's token needs one, as `contents: read`; none where such a
            token never may.
        query: the schema of each parameter.
        body: the schema of the body; none where there is no body.
    """

    name: str
    permissions: list[str]
    query: dict[str, Any]
    body: dict[str, Any] | None

    @property
    def pattern(self) -> str:
        """What its method and path look like; a ref has slashes."""
        parts = re.split(r"(\{\w+\})", self.name)
        kinds = {"{ref}": ".+"}
        return "".join(
            kinds.get(part, "[^/]+") if part.startswith("{") else re.escape(part) for part in parts
        )

    def mistake(self, query: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a request, in a line."""
        for name, value in query.items():
            if name not in self.query:
                return f"query: there is no {name}"
            if problem := _mistake(self.query[name], _typed(value)):
                return f"query: {name}: {problem}"
        if self.body is None:
            return "body: there is none" if body else None
        problem = _mistake(self.body, dict(body))
        return f"body: {problem}" if problem else None


def _mistake(schema: dict[str, Any], value: Any) -> str | None:
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message}"


def _typed(text: str) -> Any:
    """Return the value that a parameter of a query stands for."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch("[0-9]+", text) else text


@cache
def endpoints() -> list[Endpoint]:
    """Return all that there are, those without a variable part first."""
    content = json.loads(REST.read_text(encoding="utf-8"))
    found = [Endpoint(name, **about) for name, about in content.items()]
    return sorted(found, key=lambda each: each.name.count("{"))


def endpoint(method: str, path: str) -> Endpoint | None:
    """Return the one that a request asks, if there is one."""
    asked = f"{method} {path}"
    return next((each for each in endpoints() if re.fullmatch(each.pattern, asked)), None)
