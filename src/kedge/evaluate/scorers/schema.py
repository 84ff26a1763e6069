"""Scores of an answer against a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import msgspec
from jsonschema.validators import validator_for

from kedge.core.errors import Invalid
from kedge.evaluate.scorers.json import parse_json
from kedge.evaluate.types import Case, Scorer


def json_schema(*, schema: Mapping[str, Any] | None = None, column: str = "") -> Scorer:
    """1 if the answer is JSON that the schema allows: one schema for all rows, or each row's own in a column.

    Nothing is fetched: a schema that refers to another by address is refused.
    """
    if (schema is None) == (not column):
        raise Invalid("scorer json_schema: give it a schema, or a column that holds one")
    shared = None if schema is None else _validator(schema, "the schema")

    def score(case: Case) -> Mapping[str, float]:
        validator = shared or _validator(_own(case, column), f"the schema of row {case.row.id}")
        found, value = parse_json(case.answer.text)
        return {"json_schema": float(found and validator.is_valid(value))}

    return Scorer(name="json_schema", score=score, binary=True)


def _validator(schema: Mapping[str, Any], what: str) -> Any:
    if _refers_outside(schema):
        raise Invalid(f"json_schema: {what} refers to another document", hint="write it out under $defs")
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise Invalid(f"json_schema: {what} is not a JSON schema: {error.message}") from error
    return kind(schema)


def _refers_outside(value: Any) -> bool:
    if isinstance(value, Mapping):
        reference = value.get("$ref", "#")
        outside = isinstance(reference, str) and not reference.startswith("#")
        return outside or any(_refers_outside(inner) for inner in value.values())
    return isinstance(value, list) and any(_refers_outside(inner) for inner in value)


def _own(case: Case, column: str) -> Mapping[str, Any]:
    given = case.row.tags.get(column)
    try:
        schema = msgspec.json.decode(given) if isinstance(given, str) else given
    except msgspec.DecodeError:
        schema = None
    if not isinstance(schema, Mapping):
        raise Invalid(f"json_schema: row {case.row.id} has no schema in its column {column!r}", address=case.row.id)
    return schema
