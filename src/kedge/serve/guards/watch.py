"""Asks guards for their rulings: measured, noted, and with one answer when a guard itself fails."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kedge.core.guard import Ruling, Side
from kedge.serve.guards.open import Posted

logger = logging.getLogger(__name__)

Observe = Callable[[str, Side, float, str], None]
"""Takes a guard's name, side, seconds and decision: passed, masked, blocked or failed."""

_REMEMBERED = 2048  # texts whose rulings are kept
_LONGEST = 4096  # characters of a text whose ruling is kept
_RANK = ("passed", "masked", "failed", "blocked")


@dataclass(slots=True, kw_only=True)
class Decision:
    """What one guard decided about one side of a request, over all its parts."""

    guard: str
    side: Side
    decision: str = "passed"
    found: tuple[str, ...] = ()
    ms: float = 0.0


@dataclass(slots=True)
class Minutes:
    """The decisions on one request of a tenant, for its trace."""

    tenant: str = ""
    decisions: dict[tuple[str, Side], Decision] = field(default_factory=dict)

    def note(self, posted: Posted, side: Side, decision: str, ruling: Ruling, seconds: float) -> None:
        """Add one ruling."""
        at = (posted.name, side)
        kept = self.decisions.get(at)
        if kept is None:
            kept = self.decisions[at] = Decision(guard=posted.name, side=side)
        kept.ms += seconds * 1000
        if decision != "passed":
            kept.decision = max(kept.decision, decision, key=_RANK.index)
        if ruling.found:
            kept.found = tuple(dict.fromkeys((*kept.found, *ruling.found)))


@dataclass(frozen=True, slots=True)
class _Known:
    """What came of a text: the last ruling, and each on the way to it."""

    ruling: Ruling
    decisions: tuple[tuple[Posted, str, Ruling], ...]


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
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def judge(self, posted: Posted, side: Side, minutes: Minutes, text: str, start: int = 0) -> Ruling:
        """One guard's ruling on `text[start:]`."""
        began = time.perf_counter()
        failed = False
        try:
            ruling = posted.guard.judge(text, start)
        except Exception:
            logger.exception("a guard failed", extra={"guard": posted.name, "lenient": posted.lenient})
            failed = True
            ruling = Ruling(text=text[start:], blocked="" if posted.lenient else "it could not be checked")
        seconds = time.perf_counter() - began
        decision = "failed" if failed else _decided(ruling, text, start)
        minutes.note(posted, side, decision, ruling, seconds)
        self._observe(posted.name, side, seconds, decision)
        return ruling

    def read(self, text: str, minutes: Minutes) -> Ruling:
        """A whole prompt past every guard on the way in."""
        at = (minutes.tenant, text)
        known = self._known.get(at)
        if known is not None:
            self._known.move_to_end(at)
            for posted, decision, ruling in known.decisions:
                minutes.note(posted, "in", decision, ruling, 0.0)
                self._observe(posted.name, "in", 0.0, decision)
            return known.ruling
        decisions = []
        ruling, failed = Ruling(text=text), False
        for posted in self.inbound:
            before = ruling.text
            ruling = self.judge(posted, "in", minutes, before)
            decisions.append((posted, _decided(ruling, before, 0), ruling))
            failed = failed or minutes.decisions[posted.name, "in"].decision == "failed"
            if ruling.blocked:
                break
        if self._remembers and not failed and len(text) <= _LONGEST:
            self._known[at] = _Known(ruling, tuple(decisions))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return ruling


def _decided(ruling: Ruling, text: str, start: int) -> str:
    if ruling.text is text:
        return "blocked" if ruling.blocked else "passed"
    if ruling.blocked:
        return "blocked"
    return "passed" if ruling.text == (text[start:] if start else text) else "masked"
