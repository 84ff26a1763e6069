"""Asks guards for their rulings: measured, noted, and with one answer when a guard itself fails."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from kedge.core.guard import Ruling, Side
from kedge.serve.guards.open import Posted

logger = logging.getLogger(__name__)

Observe = Callable[[str, Side, float, str], None]
"""Takes a guard's name, side, seconds and decision: passed, masked, blocked or failed."""

_REMEMBERED = 2048  # texts whose rulings are kept
_LONGEST = 4096  # characters of a text whose ruling is kept
_RANK = ("passed", "masked", "failed", "blocked")


class Decision(msgspec.Struct, kw_only=True):
    """What one guard decided about one side of a request, over all its parts."""

    guard: str
    side: Side
    decision: str = "passed"
    found: tuple[str, ...] = ()
    ms: float = 0.0


class Ruled(NamedTuple):
    """What one guard said of one text."""

    posted: Posted
    decision: str
    ruling: Ruling


class Minutes(msgspec.Struct):
    """The decisions on one request of a tenant, for its trace."""

    tenant: str = ""
    decisions: dict[tuple[str, Side], Decision] = msgspec.field(default_factory=dict)

    def note(self, ruled: Ruled, side: Side, seconds: float) -> None:
        """Add one ruling."""
        at = (ruled.posted.name, side)
        kept = self.decisions.get(at)
        if kept is None:
            kept = self.decisions[at] = Decision(guard=ruled.posted.name, side=side)
        kept.ms += seconds * 1000
        if ruled.decision != "passed":
            kept.decision = max(kept.decision, ruled.decision, key=_RANK.index)
        if ruled.ruling.found:
            kept.found = tuple(dict.fromkeys((*kept.found, *ruled.ruling.found)))


class Watch:
    """The guards of one bundle at one endpoint.

    Prompts are mostly what was there before: what the system says, and all that was said in a conversation so far. What
    was read of a tenant lately is not read again, where every guard on the way in rules by the text alone.
    """

    def __init__(self, posted: Sequence[Posted], observe: Observe) -> None:
        self.inbound = tuple(each for each in posted if "in" in each.sides)
        self.outbound = tuple(each for each in posted if "out" in each.sides)
        self._observe = observe
        self._remembers = bool(self.inbound) and all(each.constant for each in self.inbound)
        self._known: OrderedDict[tuple[str, str], tuple[Ruled, ...]] = OrderedDict()  # by tenant and text

    def judge(self, posted: Posted, side: Side, minutes: Minutes, text: str, start: int = 0) -> Ruling:
        """One guard's ruling on `text[start:]`."""
        return self._rule(posted, side, minutes, text, start).ruling

    def read(self, text: str, minutes: Minutes) -> Ruling:
        """A whole prompt past every guard on the way in."""
        at = (minutes.tenant, text)
        known = self._known.get(at)
        if known is None:
            return self._read_anew(text, minutes)
        self._known.move_to_end(at)
        for ruled in known:
            minutes.note(ruled, "in", 0.0)
            self._observe(ruled.posted.name, "in", 0.0, ruled.decision)
        return known[-1].ruling

    def _read_anew(self, text: str, minutes: Minutes) -> Ruling:
        """The same for a text that was not read before."""
        ruled: list[Ruled] = []
        ruling = Ruling(text=text)
        for posted in self.inbound:
            ruled.append(self._rule(posted, "in", minutes, ruling.text, 0))
            ruling = ruled[-1].ruling
            if ruling.blocked:
                break
        if self._remembers and len(text) <= _LONGEST and all(each.decision != "failed" for each in ruled):
            self._known[minutes.tenant, text] = tuple(ruled)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return ruling

    def _rule(self, posted: Posted, side: Side, minutes: Minutes, text: str, start: int) -> Ruled:
        """Have one guard judge; its ruling is measured, noted and counted."""
        began = time.perf_counter()
        try:
            ruling = posted.guard.judge(text, start)
            decision = _decided(ruling, text, start)
        except Exception:
            logger.exception("a guard failed", extra={"guard": posted.name, "lenient": posted.lenient})
            ruling = Ruling(text=text[start:], blocked="" if posted.lenient else "it could not be checked")
            decision = "failed"
        seconds = time.perf_counter() - began
        ruled = Ruled(posted, decision, ruling)
        minutes.note(ruled, side, seconds)
        self._observe(posted.name, side, seconds, decision)
        return ruled


def _decided(ruling: Ruling, text: str, start: int) -> str:
    if ruling.text is text:
        return "blocked" if ruling.blocked else "passed"
    if ruling.blocked:
        return "blocked"
    return "passed" if ruling.text == (text[start:] if start else text) else "masked"
