"""The form an answer is asked to have, as a JSON schema."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from kedge.serve.gateway.errors import invalid

_LARGEST = 65_536
_DEEPEST = 64

Name = Annotated[str, msgspec.Meta(max_length=64)]


class PlainText(msgspec.Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """Any text."""


class AnyObject(msgspec.Struct, frozen=True, tag="json_object", forbid_unknown_fields=True):
    """A JSON object."""


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schema under a name. It is obeyed whether `strict` or not."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class OfSchema(msgspec.Struct, frozen=True, tag="json_schema", forbid_unknown_fields=True):
    """What a schema allows, in the words of chat completions."""

    json_schema: Named


class OfFlatSchema(msgspec.Struct, frozen=True, kw_only=True, tag="json_schema", forbid_unknown_fields=True):
    """The same in the words of responses."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


Format = PlainText | AnyObject | OfSchema
FlatFormat = PlainText | AnyObject | OfFlatSchema


def schema_of(format: Format | FlatFormat | None, *, param: str) -> str:
    """The schema that an answer must obey ("" for any text). 400 if it is larger or deeper than is taken."""
    if format is None or isinstance(format, PlainText):
        return ""
    if isinstance(format, AnyObject):
        return '{"type":"object"}'
    schema = format.json_schema.schema if isinstance(format, OfSchema) else format.schema
    text = msgspec.json.encode(schema).decode()
    if len(text) > _LARGEST:
        raise invalid(f"the schema is larger than {_LARGEST} bytes", param=param, code="limit_exceeded")
    if _depth(schema) > _DEEPEST:
        raise invalid(f"the schema is nested more than {_DEEPEST} deep", param=param, code="limit_exceeded")
    return text


def _depth(schema: Any) -> int:
    level, depth = [schema], 0
    while level:
        depth += 1
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [value for values in inner for value in values]
    return depth
