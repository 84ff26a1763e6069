"""Asks guards for their rulings: measured, noted, and with one answer when a guard itself fails."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

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


class Noted(msgspec.Struct, frozen=True):
    """What one guard decided about one text."""

    guard: str
    decision: str = "passed"
    found: tuple[str, ...] = ()


class _Known(msgspec.Struct, frozen=True):
    """What came of a text: the last ruling (None: it passes as it is), and what each guard decided."""

    notes: tuple[Noted, ...]
    ruling: Ruling | None = None


class Minutes(msgspec.Struct):
    """The decisions on one request of a tenant, for its trace."""

    tenant: str = ""
    decisions: dict[tuple[str, Side], Decision] = msgspec.field(default_factory=dict)

    def note(self, noted: Noted, side: Side, seconds: float) -> None:
        """Add one ruling."""
        at = (noted.guard, side)
        kept = self.decisions.get(at)
        if kept is None:
            kept = self.decisions[at] = Decision(guard=noted.guard, side=side)
        kept.ms += seconds * 1000
        if noted.decision != "passed":
            kept.decision = max(kept.decision, noted.decision, key=_RANK.index)
        if noted.found:
            kept.found = tuple(dict.fromkeys((*kept.found, *noted.found)))


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
        self._passed = {each.name: Noted(each.name) for each in posted}
        self._clean = _Known(tuple(self._passed[each.name] for each in self.inbound))
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()  # by tenant and text

    def judge(self, posted: Posted, side: Side, minutes: Minutes, text: str, start: int = 0) -> Ruling:
        """One guard's ruling on `text[start:]`."""
        return self._rule(posted, side, minutes, text, start)[0]

    def read(self, text: str, minutes: Minutes) -> Ruling:
        """A whole prompt past every guard on the way in."""
        at = (minutes.tenant, text)
        known = self._known.get(at)
        if known is None:
            return self._read_anew(text, minutes)
        self._known.move_to_end(at)
        for noted in known.notes:
            minutes.note(noted, "in", 0.0)
            self._observe(noted.guard, "in", 0.0, noted.decision)
        return known.ruling or Ruling(text=text)

    def _read_anew(self, text: str, minutes: Minutes) -> Ruling:
        """The same for a text that was not read before."""
        notes: list[Noted] = []
        ruling = Ruling(text=text)
        for posted in self.inbound:
            ruling, noted = self._rule(posted, "in", minutes, ruling.text, 0)
            notes.append(noted)
            if ruling.blocked:
                break
        if self._remembers and len(text) <= _LONGEST and all(noted.decision != "failed" for noted in notes):
            known = _Known(tuple(notes), ruling)
            self._known[minutes.tenant, text] = self._clean if known.notes == self._clean.notes else known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return ruling

    def _rule(self, posted: Posted, side: Side, minutes: Minutes, text: str, start: int) -> tuple[Ruling, Noted]:
        """Have one guard judge; what it decides is measured, noted and counted."""
        began = time.perf_counter()
        try:
            ruling = posted.guard.judge(text, start)
            decision = _decided(ruling, text, start)
        except Exception:
            logger.exception("a guard failed", extra={"guard": posted.name, "lenient": posted.lenient})
            ruling = Ruling(text=text[start:], blocked="" if posted.lenient else "it could not be checked")
            decision = "failed"
        seconds = time.perf_counter() - began
        plain = decision == "passed" and not ruling.found
        noted = self._passed[posted.name] if plain else Noted(posted.name, decision, ruling.found)
        minutes.note(noted, side, seconds)
        self._observe(posted.name, side, seconds, decision)
        return ruling, noted


def _decided(ruling: Ruling, text: str, start: int) -> str:
    if ruling.text is text:
        return "blocked" if ruling.blocked else "passed"
    if ruling.blocked:
        return "blocked"
    return "passed" if ruling.text == (text[start:] if start else text) else "masked"
