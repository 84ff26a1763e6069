"""How fast answers have been finished of late, and so how long a place in the queue takes."""

from __future__ import annotations

from collections import deque

_KEPT = 64
_FEW = 4  # answers, before there is a pace to speak of


class Pace:
    """The last answers' times. Seconds are of any clock that only goes forward."""

    def __init__(self) -> None:
        self._done: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def done(self, now: float, count: int = 1) -> None:
        """So many answers are finished."""
        self._done.append((now, count))

    def seconds(self, place: int) -> float:
        """How long until the one at this place in the queue has its turn; 0 while there is no pace yet."""
        if len(self._done) < _FEW:
            return 0.0
        span = self._done[-1][0] - self._done[0][0]
        finished = sum(count for _, count in self._done) - self._done[0][1]
        return place * span / finished if span > 0 else 0.0
