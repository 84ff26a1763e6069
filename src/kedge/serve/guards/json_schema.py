"""The part of JSON Schema that guards check: types, fields, items, bounds and choices. Anything else is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid

Fault = str

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
}
_NOTES = ("$schema", "$id", "title", "description", "default", "examples", "$comment")
_MANY = ("anyOf", "oneOf", "allOf")
_KNOWN = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
    *_MANY,
    *_NOTES,
)


def check_schema(schema: Any, place: str = "$") -> None:
    """Return if all that a schema says is checked here. `Invalid` names the place and the word."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise Invalid(f"the schema at {place} is no object")
    for word in schema:
        if word not in _KNOWN:
            raise Invalid(f"the schema at {place} has {word!r}, which is not checked", hint=nearest(word, _KNOWN))
    for kind in _as_list(schema.get("type", [])):
        if kind not in _TYPES:
            raise Invalid(f"the schema at {place} has the type {kind!r}", hint=nearest(str(kind), _TYPES))
    try:
        re.compile(schema.get("pattern", ""))
    except (re.error, TypeError) as error:
        raise Invalid(f"the schema at {place} has a pattern that cannot be read: {error}") from error
    for name, inner in schema.get("properties", {}).items():
        check_schema(inner, f"{place}.{name}")
    for word in ("items", "additionalProperties"):
        check_schema(schema.get(word, True), f"{place}.{word}")
    for word in _MANY:
        for number, inner in enumerate(schema.get(word, [])):
            check_schema(inner, f"{place}.{word}[{number}]")


def find_fault(value: Any, schema: Any, place: str = "$") -> Fault:
    """The first thing that is not as the schema says ("" if there is none)."""
    if isinstance(schema, bool):
        return "" if schema else f"{place} may not be there"
    kinds = _as_list(schema.get("type", []))
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        return f"{place} is no {' or '.join(kinds)}"
    if "enum" in schema and not any(_equal(value, each) for each in schema["enum"]):
        return f"{place} is none of the values it may have"
    if "const" in schema and not _equal(value, schema["const"]):
        return f"{place} is not what it must be"
    return (
        _find_in_object(value, schema, place)
        or _find_in_list(value, schema, place)
        or _find_out_of_bounds(value, schema, place)
        or _find_in_choices(value, schema, place)
    )


def _find_in_object(value: Any, schema: Mapping[str, Any], place: str) -> Fault:
    if not isinstance(value, dict):
        return ""
    for name in schema.get("required", ()):
        if name not in value:
            return f"{place}.{name} is missing"
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        fault = find_fault(inner, properties.get(name, others), f"{place}.{name}")
        if fault:
            return fault
    return ""


def _find_in_list(value: Any, schema: Mapping[str, Any], place: str) -> Fault:
    if not isinstance(value, list) or "items" not in schema:
        return ""
    faults = (find_fault(inner, schema["items"], f"{place}[{i}]") for i, inner in enumerate(value))
    return next((fault for fault in faults if fault), "")


def _find_out_of_bounds(value: Any, schema: Mapping[str, Any], place: str) -> Fault:
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
        high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
        small = (low is not None and value < low) or (above is not None and value <= above)
        large = (high is not None and value > high) or (below is not None and value >= below)
        return f"{place} is too {'small' if small else 'large'}" if small or large else ""
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{place} does not match its pattern"
    words = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
    if isinstance(value, str | list) and not schema.get(words[0], 0) <= len(value) <= schema.get(words[1], len(value)):
        return f"{place} has the wrong length"
    return ""


def _find_in_choices(value: Any, schema: Mapping[str, Any], place: str) -> Fault:
    for inner in schema.get("allOf", ()):
        fault = find_fault(value, inner, place)
        if fault:
            return fault
    if "anyOf" in schema and all(find_fault(value, inner, place) for inner in schema["anyOf"]):
        return f"{place} is none of what it may be"
    if "oneOf" in schema and sum(not find_fault(value, inner, place) for inner in schema["oneOf"]) != 1:
        return f"{place} is not exactly one of what it may be"
    return ""


def _equal(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)


def _as_list(kinds: Any) -> Sequence[str]:
    return [kinds] if isinstance(kinds, str) else list(kinds)
