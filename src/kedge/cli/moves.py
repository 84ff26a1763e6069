"""How a move of an alias is told."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from kedge.core.model import AliasMove


def told(move: AliasMove) -> dict[str, Any]:
    """A move as one object, with whether anything moved."""
    return {**msgspec.to_builtins(move), "moved": move.moved}


def draw_move(move: AliasMove) -> str:
    """One or two lines."""
    target = f"{move.model}@{move.alias}"
    if not move.moved:
        return f"{target} is {move.model}@{move.after} already: nothing to do"
    verb = "went back to" if move.rollback else "is now"
    before = f" (was {move.model}@{move.before})" if move.before is not None else ""
    line = f"{click.style(target, bold=True)} {verb} {click.style(f'{move.model}@{move.after}', bold=True)}{before}"
    return f"{line}\n{why(move)}" if why(move) else line


def why(move: AliasMove) -> str:
    """What allowed the move."""
    if move.override:
        return f"{click.style('overridden', fg='yellow')}: {move.reason}"
    if move.reason:
        return move.reason
    return f"permitted by verdict {move.verdict[:19]}" if move.verdict else ""
