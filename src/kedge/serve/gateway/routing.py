"""Which bundle answers: the releases in force, each with its engine."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.release import Release, Role
from kedge.serve.answers import Answerer

STICKY = b"x-kedge-sticky"
FEW = 10  # keys in use from which on they are taken for callers


@dataclass(slots=True, eq=False, kw_only=True)
class Running:
    """A bundle whose engine is loaded, and how many requests it is answering."""

    digest: str
    bundle: Bundle
    engine: Answerer
    busy: int = 0
    template_bytes: int = field(init=False)  # that the bundle's prompt and template may add to what is asked
    _idle: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __post_init__(self) -> None:
        self.template_bytes = len(self.bundle.prompt.encode()) + len(self.bundle.chat_template.encode())

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

    @property
    def shadow(self) -> Lane | None:
        """The lane that answers copies, which nobody sees."""
        return self.lanes.get(Role.SHADOW)

    def choose(self, draw: random.Random, sticky: str = "") -> Lane:
        """The lane for one request. `Unavailable` while there is none.

        `sticky` says whose it is: the same caller stays on its side of a canary while the share grows. A canary whose
        engine is down gets nothing.
        """
        canary = self.lanes.get(Role.CANARY)
        if canary is not None and canary.running.engine.healthy:
            at = place(sticky, canary.release.bundle) if sticky else draw.random()
            if at < canary.release.share:
                return canary
        if self.stable is None:
            raise Unavailable("nothing is released to this endpoint yet")
        return self.stable


class Callers:
    """Names whose request it is, so that each caller gets all its answers from one side of a canary.

    A caller is who the request says (header `x-kedge-sticky`, or `user` of the body), else the API key. While only a few
    keys are in use, which no share could be kept by, requests of keys are divided one by one.
    """

    def __init__(self, *, sticky: bool = True) -> None:
        self._sticky = sticky
        self._keys: set[str] = set()

    def name(self, said: str, key: str) -> str:
        """Who asks ("" to divide request by request)."""
        if said or not self._sticky:
            return said if self._sticky else ""
        if len(self._keys) < FEW:
            self._keys.add(key)
        return key if len(self._keys) >= FEW else ""


def place(sticky: str, bundle: str) -> float:
    """Where a caller stands between 0 and 1: the same each time, and evenly spread over all callers.

    Another bundle puts everybody somewhere else, so that not always the same callers are the first to try.
    """
    found = hashlib.blake2b(f"{bundle}\n{sticky}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found) / 2**64
