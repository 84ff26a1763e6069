"""Which bundle answers: the releases in force, each with its engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.release import Release, Role
from kedge.serve.answers import Answerer


@dataclass(slots=True, eq=False, kw_only=True)
class Running:
    """A bundle whose engine is loaded, and how many requests it is answering."""

    digest: str
    bundle: Bundle
    engine: Answerer
    busy: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def enter(self) -> None:
        """A request more that it answers: it is not closed before `leave`."""
        self.busy += 1

    def leave(self) -> None:
        """One of them is done."""
        self.busy -= 1
        if not self.busy:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until it answers nothing."""
        while self.busy:
            self._idle.clear()
            await self._idle.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A release in force and the engine that answers for it."""

    release: Release
    running: Running

    @property
    def address(self) -> str:
        """`schemas@7`: what really answers, never an alias."""
        return f"{self.release.model}@{self.release.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The lanes in force at one moment. Replaced as a whole, never changed."""

    lanes: Mapping[Role, Lane] = field(default_factory=dict)

    @property
    def stable(self) -> Lane | None:
        """The lane that answers unless another has a share."""
        return self.lanes.get(Role.STABLE)

    def choose(self, draw: random.Random) -> Lane:
        """The lane for one request. `Unavailable` while there is none."""
        canary = self.lanes.get(Role.CANARY)
        if canary is not None and draw.random() < canary.release.share:
            return canary
        if self.stable is None:
            raise Unavailable("nothing is released to this endpoint yet")
        return self.stable
