"""The arguments of guards, read into types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid

T = TypeVar("T")


def read_options(kind: type[T], args: Mapping[str, Any], guard: str) -> T:
    """Arguments as a frozen dataclass. `Invalid` names the guard, the argument and what is known."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    for name in args:
        if name not in known:
            raise Invalid(f"the guard {guard!r} takes no {name!r}", address=guard, hint=nearest(name, known))
    try:
        return msgspec.convert(dict(args), kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"the guard {guard!r}: {error}", address=guard) from error
