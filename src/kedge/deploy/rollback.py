"""Decides which version to return to: the one that was in force before, as the history tells it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kedge.core.errors import Refused
from kedge.core.model import AliasMove


def previous(history: Sequence[AliasMove], versions: Collection[int]) -> int:
    """The version to return to. `history` holds every move of the alias, oldest first; `versions` those that exist.

    A return takes back the step it undid, so that two in a row go two steps back and never forth again. `Refused` if
    there is nothing to return to.
    """
    line = in_force(history)
    if not line:
        raise Refused("the alias was never set", hint="promote a version first")
    target = f"{history[-1].model}@{history[-1].alias}"
    if len(line) < 2:
        raise Refused(
            f"{target} has no earlier version to return to",
            address=target,
            hint=f"promote another version: kedge promote {history[-1].model}@VERSION --alias {history[-1].alias}",
        )
    if line[-2] not in versions:
        raise Refused(
            f"the version before, {history[-1].model}@{line[-2]}, was deleted",
            address=target,
            hint=f"choose one: {', '.join(f'{history[-1].model}@{v}' for v in sorted(versions)) or 'there is none'}",
        )
    return line[-2]


def in_force(history: Sequence[AliasMove]) -> list[int]:
    """The versions that lead up to the one in force now, oldest first, without the steps that were taken back."""
    line: list[int] = []
    for move in history:
        if move.rollback and move.after in line:
            while line[-1] != move.after:
                line.pop()
        elif not line or line[-1] != move.after:
            line.append(move.after)
    return line
