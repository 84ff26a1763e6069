"""GET /openapi.json: every route of the gateway, its bodies as they are checked and its answers as they are given."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import msgspec

from kedge.serve.gateway.described import TEXT, Described, Schema, an_object, describe

ROUTE = "/openapi.json"

_ERRORS = {
    "400": "The request is wrong; the error names the field.",
    "401": "No key, or not a valid one.",
    "403": "The key does not open this, or a rule forbids it.",
    "404": "There is no such path or model.",
    "405": "Another method is taken here.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "429": "Too much at once, or a budget is spent; `Retry-After` says when to come again.",
    "500": "The engine could not answer.",
    "503": "The engine is not there; `Retry-After` says when to come again.",
    "504": "The answer took too long.",
}
_ABOUT = "One endpoint of a project. Every answer carries a receipt that leads back to the rows the model learned from."


@functools.cache
def document() -> bytes:
    """The document as JSON."""
    routes = list(describe())
    bodies = list(dict.fromkeys(body for route in routes for body in route.bodies))
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    refs = dict(zip(bodies, schemas, strict=True))
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = _operation(route, refs)
    said = {
        "openapi": "3.1.0",
        "info": {
            "title": "kedge",
            "version": importlib.metadata.version("kedge"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, **_ours()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key that `kedge keys create` made."}
            },
        },
    }
    return msgspec.json.encode(said)


def _ours() -> Schema:
    """Schemas that several answers share."""
    nullable: Schema = {"type": ["string", "null"]}
    error = an_object(message=TEXT, type=TEXT, param=nullable, code=nullable)
    return {
        "Error": an_object(error=error),
        "InferError": an_object(error=TEXT),
        "Receipt": an_object(receipt=TEXT, bundle=TEXT, trace=TEXT),
    }


def _operation(route: Described, refs: Mapping[Any, Schema]) -> Schema:
    operation: Schema = {
        "operationId": "_".join([route.method, *(part.strip("{}") for part in route.path.split("/") if part)]),
        "summary": route.summary,
        "responses": _answers(route),
    }
    if route.open:
        operation["security"] = []
    if route.parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in route.parameters
        ]
    if route.bodies:
        schemas = [refs[body] for body in route.bodies]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _answers(route: Described) -> Schema:
    headers = {"x-request-id": {"description": "Names the trace.", "schema": TEXT}}
    if route.bodies:
        headers["x-kedge-receipt"] = {"description": "The receipt.", "schema": TEXT}
    shapes = {"application/json": route.answer, "text/event-stream": an_object(data=TEXT)}  # of each event
    content = {kind: {"schema": shapes.get(kind, TEXT)} for kind in route.kinds}
    answers: Schema = {"200": {"description": "The answer.", "headers": headers, "content": content}}
    error = {"$ref": f"#/components/schemas/{route.error}"}
    for status, about in _ERRORS.items():
        schema = {"anyOf": [route.answer, error]} if route.ready and status == "503" else error
        answers[status] = {"description": about, "content": {"application/json": {"schema": schema}}}
    return answers
