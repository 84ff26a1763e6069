"""Answers kept in memory: the ones that were used last, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from kedge.core.generation import GenerationEvent

_OVERHEAD = 600  # bytes that an answer takes beside its text, at most
_TOKEN = 300


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Answers as they are given again: one event a choice, in order, whatever they are called. `until` as `time.time`
    has it."""

    events: tuple[GenerationEvent, ...]
    until: float

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        size = 0
        for event in self.events:
            size += _OVERHEAD + 4 * len(event.text) + _TOKEN * len(event.tokens) + len(event.embedding)
        return size


def whole(events: Sequence[GenerationEvent], names: Sequence[str]) -> tuple[GenerationEvent, ...] | None:
    """The events of finished answers, one a choice and in order; None if one of them has gone wrong."""
    if len(events) == len(names) == 1:
        event = events[0]
        return (event,) if event.finish in ("stop", "length") else None
    texts: dict[str, list[GenerationEvent]] = {name: [] for name in names}
    for event in events:
        texts[event.id].append(event)
    if not all(said and said[-1].finish in ("stop", "length") for said in texts.values()):
        return None
    return tuple(
        GenerationEvent(
            id=name,
            text="".join(event.text for event in said),
            finish=said[-1].finish,
            prompt_tokens=said[-1].prompt_tokens,
            completion_tokens=said[-1].completion_tokens,
            tokens=tuple(token for event in said for token in event.tokens),
            embedding=said[-1].embedding,
        )
        for name, said in texts.items()
    )


class Memory:
    """Answers by fingerprint, at most so many bytes of them."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, fingerprint: bytes, now: float) -> Kept | None:
        """What is kept, unless it is too old."""
        kept = self._kept.get(fingerprint)
        if kept is None:
            return None
        if kept.until <= now:
            self.drop(fingerprint)
            return None
        self._kept.move_to_end(fingerprint)
        return kept

    def put(self, fingerprint: bytes, kept: Kept) -> None:
        """Keep it in place of what was used longest ago; what is larger than a tenth of all is not kept."""
        self.drop(fingerprint)
        size = kept.size
        if size > self._most // 10:
            return
        self._kept[fingerprint] = kept
        self.size += size
        while self.size > self._most:
            self.drop(next(iter(self._kept)))

    def drop(self, fingerprint: bytes) -> None:
        """Forget one."""
        gone = self._kept.pop(fingerprint, None)
        if gone is not None:
            self.size -= gone.size
