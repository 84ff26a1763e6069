"""The guard `schema`: an answer must be JSON that a schema describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from kedge.core.guard import Ruling
from kedge.serve.guards.json_schema import check_schema, find_fault
from kedge.serve.guards.options import read_options


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaOptions:
    """A JSON schema of the draft 2020-12, in the part of it that `json_schema` knows."""

    schema: Mapping[str, Any]


class SchemaGuard:
    """Reads the whole text as JSON."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    def judge(self, text: str, start: int = 0) -> Ruling:
        """Blocked if it is no JSON, or not what the schema says."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return Ruling(text="", blocked="it is not JSON", found=("not_json",))
        fault = find_fault(value, self._schema)
        if fault:
            return Ruling(text="", blocked=f"it is not the JSON that is asked for: {fault}", found=("schema",))
        return Ruling(text=text[start:])

    def settled(self, text: str, start: int = 0) -> int:
        """Nothing before the end."""
        return start


def make_schema(args: Mapping[str, Any]) -> SchemaGuard:
    """A guard of the shape of answers. `Invalid` if the schema says what is not checked here."""
    schema = read_options(SchemaOptions, args, "schema").schema
    check_schema(schema)
    return SchemaGuard(schema)
