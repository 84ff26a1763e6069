"""How things are named: `schemas@7`, `schemas@production`, `model:schemas@7`, `sha256:...`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kedge.core.errors import Invalid

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"(?:(?P<kind>[a-z]+):)?(?P<name>[^@:]+)(?:@(?P<selector>.+))?")


def parse_name(text: str, what: str = "name") -> str:
    """`text` if it may name a model, endpoint, stage or alias; `Invalid` otherwise."""
    if not NAME.fullmatch(text):
        raise Invalid(
            f"not a valid {what}: {text[:80]!r}",
            hint="1 to 64 of a-z 0-9 . _ - beginning with a letter or digit",
        )
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A name with an optional kind and an optional version number or alias."""

    name: str
    selector: str = ""
    kind: str = ""

    @property
    def version(self) -> int | None:
        """The version number, or None when the selector is an alias or absent."""
        return int(self.selector) if self.selector.isdecimal() else None

    @property
    def alias(self) -> str | None:
        """The alias, or None when the selector is a version number or absent."""
        return self.selector if self.selector and not self.selector.isdecimal() else None

    def __str__(self) -> str:
        prefix = f"{self.kind}:" if self.kind else ""
        return f"{prefix}{self.name}@{self.selector}" if self.selector else f"{prefix}{self.name}"


def parse_address(text: str) -> Address:
    """Read `[kind:]name[@version-or-alias]`; `Invalid` says what is wrong."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise Invalid(f"not an address: {text[:80]!r}", hint="write name@version or name@alias, as in schemas@7")
    name = parse_name(match["name"])
    selector = match["selector"] or ""
    if selector:
        parse_name(selector, "version or alias")
    return Address(name=name, selector=selector, kind=match["kind"] or "")
