"""What may be learned from: licence, consent and origin of each row, and the rules that a build holds them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from kedge.data.types import PolicyOptions, StageSpec

RIGHTS: Final = ("licence", "consent", "origin")
ALIASES: Final = {"license": "licence", "license_name": "licence"}


def rights_stage(rights: Mapping[str, str]) -> StageSpec:
    """The stage that says of rows what their source says, where they say nothing themselves."""
    return StageSpec(name="rights", open="kedge.data.rights:open_rights", options=dict(sorted(rights.items())))


def policy_stage(options: PolicyOptions) -> StageSpec:
    """The stage that leaves out rows the policy does not allow."""
    return StageSpec(name="policy", open="kedge.data.rights:open_policy", options=options)


def filled(rights: Mapping[str, str], tags: dict[str, Any]) -> dict[str, Any]:
    """Tags with a licence under one name, and with what the source says."""
    for alias, name in ALIASES.items():
        if alias in tags and name not in tags:
            tags[name] = tags.pop(alias)
    return {**rights, **tags}


def fault(options: PolicyOptions, tags: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a row with these tags may not be used: the reason and what exactly; None if it may."""
    for name, allowed in ((name, getattr(options, f"{name}s")) for name in RIGHTS):
        if not allowed:
            continue
        value = tags.get(
            name, next((tags[alias] for alias, meant in ALIASES.items() if meant == name and alias in tags), None)
        )
        if value is None or value == "":
            if not options.allow_missing:
                return f"policy:{name}", f"nothing is said of its {name}"
        elif str(value).casefold() not in {each.casefold() for each in allowed}:
            return f"policy:{name}", f"{name} {str(value)[:80]!r} is not among {', '.join(allowed)}"
    return None


def check(options: PolicyOptions, text: str) -> tuple[str, str] | None:
    """`fault` of tags as they are written."""
    return fault(options, msgspec.json.decode(text))


Check = Callable[[str], tuple[str, str] | None]


def checker(options: PolicyOptions) -> Check:
    """`check` with its options."""
    return partial(check, options)
