"""Makes the guards that a bundle or an endpoint names; they are found through entry points of `kedge.guards`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import msgspec

from kedge.core.catalogue import Catalogue
from kedge.core.errors import Invalid, Unavailable
from kedge.core.guard import Guard, GuardMaker, Side
from kedge.core.spec import Spec

GROUP = "kedge.guards"

_INBOUND = frozenset({"injection"})
_OUTBOUND = frozenset({"schema"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where a guard stands, whatever it is: arguments that every guard's spec can have beside its own.

    `side` is where it looks ("": where such a guard is of use). When the guard itself fails nothing passes, unless it is
    `lenient`.
    """

    side: Literal["", "in", "out", "both"] = ""
    lenient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A guard at its post. `constant`: it says so of itself, and rules by the text alone, the same each time."""

    name: str
    guard: Guard
    sides: tuple[Side, ...]
    lenient: bool
    constant: bool = False


def guards() -> Catalogue[GuardMaker]:
    """Every guard that is installed, ours and those of plug-ins."""
    catalogue: Catalogue[GuardMaker] = Catalogue("guard")
    for point in entry_points(group=GROUP):
        catalogue.add(point.name, _loader(point))
    return catalogue


def open_guards(specs: Sequence[Spec]) -> list[Posted]:
    """Guards in the order of their specs. `NotFound` names those there are; `Invalid` an argument that is wrong."""
    if not specs:
        return []
    known = guards()
    return [_post(spec, known) for spec in specs]


def _post(spec: Spec, known: Catalogue[GuardMaker]) -> Posted:
    make = known.get(spec.name)
    common: dict[str, Any] = {name: value for name, value in spec.args.items() if name in ("side", "lenient")}
    try:
        post = msgspec.convert(common, Post)
    except msgspec.ValidationError as error:
        raise Invalid(f"the guard {spec.name!r}: {error}", address=spec.name, hint="side is in, out or both") from error
    own: Mapping[str, Any] = {name: value for name, value in spec.args.items() if name not in common}
    guard = make(own)
    return Posted(
        name=spec.name,
        guard=guard,
        sides=_sides(post.side, spec.name),
        lenient=post.lenient,
        constant=getattr(guard, "constant", False),
    )


def _sides(side: str, name: str) -> tuple[Side, ...]:
    if side == "in" or (not side and name in _INBOUND):
        return ("in",)
    if side == "out" or (not side and name in _OUTBOUND):
        return ("out",)
    return ("in", "out")


def _loader(point: EntryPoint) -> Callable[[], GuardMaker]:
    def load() -> GuardMaker:
        try:
            maker: GuardMaker = point.load()
        except (ImportError, AttributeError) as error:
            package = point.dist.name if point.dist else "its package"
            raise Unavailable(
                f"the guard {point.name!r} of {package} cannot be loaded: {error}",
                address=point.value,
                hint=f"upgrade or reinstall {package}; without its guards the endpoint is not served",
            ) from error
        return maker

    return load
