"""Work that callers do not wait for: bounded, a few pieces at a time, left out and counted when there is too much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]

MOST = 256  # pieces that wait
AT_ONCE = 8  # pieces under way


class Copies:
    """Does what it is offered in the background, in order."""

    def __init__(self, *, most: int = MOST, at_once: int = AT_ONCE) -> None:
        self.dropped = 0
        self._most = most
        self._at_once = at_once
        self._waiting: deque[Work] = deque()
        self._working: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not (self._waiting or self._working)

    def offer(self, work: Work) -> None:
        """Do it soon, or leave it out and count it. Never blocks."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        self._waiting.append(work)
        if len(self._working) < self._at_once:
            task = asyncio.create_task(self._work())
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def close(self) -> None:
        """Give up what is not done yet."""
        self._waiting.clear()
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _work(self) -> None:
        while self._waiting:
            await self._waiting.popleft()()
