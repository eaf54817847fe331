"""The description of the service in OpenAPI 3.1, made from the contract in the model."""

from typing import Any

import msgspec

from ..data.reading import spelled
from .access import OPEN
from .model import REASONS, UNKNOWN, ServedModel
from .protocol import InferRequest, InferResponse
from .signature import Input

_EXPLAIN = "How many reasons to give for each prediction, the strongest first; true for three"
_KINDS = {"numeric": "number", "boolean": "boolean"}


def document(model: ServedModel, closed: bool = False) -> dict[str, Any]:
    """The OpenAPI document of a served model; `closed`: a bearer token is needed to ask it."""
    messages, schemas = msgspec.json.schema_components(
        [InferRequest, InferResponse], ref_template="#/components/schemas/{name}"
    )
    asked, answered = messages
    schemas["Input"] = _input(model, schemas["Tensor"])
    schemas["InferRequest"]["properties"]["inputs"] |= {
        "items": _reference("Input"),
        "minItems": len(model.inputs),
    }
    schemas["Row"] = row(model)
    schemas["Error"] = _object({"error": {"type": "string"}})
    schemas["Predictions"] = _object(
        {
            "id": {"type": "string"},
            "model_version": {"type": "string"},
            "predictions": {"type": "array", "items": {"type": "object"}},
        }
    )
    explain = {"type": ["boolean", "integer"], "minimum": 0, "maximum": len(model.inputs)}
    explain["description"] = _EXPLAIN
    schemas["InferRequest"]["properties"]["parameters"] |= {
        "properties": {
            "explain": explain,
            "binary_data_output": {"type": ["boolean", "null"]},
        }
    }
    prediction = schemas["Predictions"]["properties"]["predictions"]["items"]
    prediction["properties"] = {
        REASONS: {"type": "array", "items": {"type": "string"}, "maxItems": len(model.inputs)}
    }
    counts = {"type": "object", "additionalProperties": {"type": "integer"}}
    schemas["Predictions"]["properties"][UNKNOWN] = counts
    anything = {"type": "object"}
    known = model.metadata.get("example", {}).get("row")
    at = f"/v2/models/{model.name}"
    rows = _reference("Row")
    index = _operation("The models: this one", {"type": "array", "items": anything}, 400, 413)
    paths = {
        "/": {"get": _operation("A page with a form, for people", None, text="text/html")},
        "/v2/repository/index": {"post": index},
        "/v2": {"get": _operation("The server", anything)},
        "/v2/health/live": {"get": _operation("Is the server alive?", anything)},
        "/v2/health/ready": {"get": _ready()},
        "/metrics": {"get": _operation("Metrics for Prometheus", None)},
        "/predict": {
            "post": _operation(
                "Predict plain rows",
                _reference("Predictions"),
                400, 413, 415, 503,
                body={"anyOf": [rows, {"type": "array", "items": rows, "minItems": 1}]},
                example=known,
            ) | {"parameters": [{"name": "explain", "in": "query", "schema": explain}]}
        },
    }  # fmt: skip
    for path in (at, f"{at}/versions/{model.version}"):
        paths[path] = {"get": _operation("The model: inputs, outputs, lineage", anything)}
        paths[f"{path}/ready"] = {"get": _ready()}
        infer = _operation(
            "Predict tensors", answered, 400, 413, 415, 503, body=asked, example=known and {
                "inputs": [
                    {"name": name, "datatype": each.datatype, "shape": [1], "data": [known[name]]}
                    for name, each in model.inputs.items()
                ]
            },
        )  # fmt: skip
        # Where outputs are asked for with the binary extension.
        infer["responses"]["200"]["content"]["application/octet-stream"] = {}
        paths[f"{path}/infer"] = {"post": infer}
    components: dict[str, Any] = {"schemas": schemas}
    if closed:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        refused = {"description": "No token", "content": _json(_reference("Error"))}
        for path in paths.keys() - OPEN:
            for operation in paths[path].values():
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = refused
    return {
        "openapi": "3.1.0",
        "info": {"title": model.name, "version": model.version},
        "paths": paths,
        "components": components,
    }


def _input(model: ServedModel, tensor: dict[str, Any]) -> dict[str, Any]:
    """A tensor of the model's inputs, by name."""
    name = {"type": "string", "enum": [*model.inputs, *model.others]}
    return tensor | {"properties": tensor["properties"] | {"name": name}}


def row(model: ServedModel) -> dict[str, Any]:
    """The schema of a plain row."""
    return _object({name: _property(each) for name, each in model.inputs.items()})


def _property(each: Input) -> dict[str, Any]:
    column = each.column
    if column.kind in ("categorical", "text"):
        schema = _category(each)
    elif column.kind == "datetime":
        schema = {"type": ["string", "null"] if column.optional else "string"}
        schema["format"] = "date-time"
    else:
        kind = _KINDS[column.kind]
        schema = {"type": [kind, "null"] if column.optional else kind}
    if column.range is not None and column.kind == "numeric":
        for name, bound in zip(("minimum", "maximum"), column.range, strict=True):
            if bound is not None:
                schema[name] = bound
    if column.description is not None:
        schema["description"] = column.description
    return schema


def _category(each: Input) -> dict[str, Any]:
    """Text, or what text spells: a number or a boolean."""
    types = ["string", "number", "boolean", *(["null"] if each.column.optional else [])]
    missing = sorted(each.read.missing)
    if each.column.allowed is not None:
        values = [value for text in each.column.allowed for value in _spelled_by(text)]
        return {
            "type": types,
            "enum": [*values, *([None, *missing] if each.column.optional else [])],
        }
    return {"type": types} if each.column.optional else {"type": types, "not": {"enum": missing}}


def _spelled_by(text: str) -> list[Any]:
    """A text, and the value of JSON that is spelled by it."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [text]
    same = isinstance(value, bool | int | float) and spelled(value) == text
    return [text, value] if same else [text]


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ready() -> dict[str, Any]:
    operation = _operation("Does it take requests?", {"type": "object"})
    operation["responses"]["503"] = operation["responses"]["200"] | {"description": "No"}
    return operation


def _operation(
    summary: str,
    answer: dict[str, Any] | None,
    *errors: int,
    body: dict[str, Any] | None = None,
    example: dict[str, Any] | None = None,
    text: str = "text/plain",
) -> dict[str, Any]:
    content = {text: {}} if answer is None else _json(answer)
    responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    for status in errors:
        responses[str(status)] = {
            "description": "See the text",
            "content": _json(_reference("Error")),
        }
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if body is not None:
        content = _json(body)
        if example is not None:
            content["application/json"]["example"] = example
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
