"""Bundles whose models are adapters of one base, behind one pool: each process has the base once, and every adapter."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest
from kedge.serve.answers import Answering
from kedge.serve.link import Link, start_engine
from kedge.serve.pool import Pool
from kedge.serve.supervisor import Start, finish, warm_up

logger = logging.getLogger(__name__)

_FEW = 64  # answers under way that are counted without looking which have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the bundles, and the folder with its files."""

    digest: str
    bundle: Bundle
    folder: Path


class Alone(Invalid):
    """This bundle cannot be served beside the others of its base."""


class Shared:
    """The engines of one base. `make` gives the pool for a bundle, its folder, and what starts its processes.

    The first bundle starts the pool, further ones are taken in by its running processes, and a process that starts later
    takes in all there are; the pool ends with the last bundle.
    """

    def __init__(self, make: Callable[[Bundle, Path, Start], Pool]) -> None:
        self._make = make
        self._parts: dict[str, Part] = {}
        self._holders: Counter[str] = Counter()
        self._facts: dict[str, EngineFacts] = {}
        self._links: list[Link] = []
        self._pool: Pool | None = None
        self._lock = asyncio.Lock()

    @property
    def pool(self) -> Pool:
        """The engines, which there are while there is a bundle."""
        assert self._pool is not None
        return self._pool

    def facts(self, digest: str) -> EngineFacts:
        """What the engine is and can for a bundle."""
        return self._facts[digest]

    async def add(self, part: Part) -> Beside:
        """Take in a bundle. `Alone` if it cannot be beside those that are there; otherwise raises why it cannot load."""
        async with self._lock:
            if self._pool is not None and "adapters" not in self._pool.facts.can:
                raise Alone("the engine serves one adapter at a time", address=part.digest)
            if part.digest not in self._parts:
                await self._load(part)
            self._holders[part.digest] += 1
        return Beside(self, part.digest)

    async def remove(self, digest: str) -> None:
        """Let a bundle go once all who added it have, and with the last one the engines."""
        async with self._lock:
            self._holders[digest] -= 1
            if self._holders[digest] > 0:  # it was released again while its last answers were made
                return
            self._forget(digest)
            if not self._parts and self._pool is not None:
                pool, self._pool = self._pool, None
                await pool.close()

    async def _load(self, part: Part) -> None:
        self._parts[part.digest] = part
        try:
            await (self._begin(part) if self._pool is None else self._join(part))
        except BaseException:
            self._forget(part.digest)
            raise

    async def _begin(self, part: Part) -> None:
        pool = self._make(part.bundle, part.folder, self._start)
        await pool.start()
        self._pool = pool

    async def _join(self, part: Part) -> None:
        """Have every process that runs take it in. One that ends meanwhile takes it in when it is started again."""
        links = list(self._up())
        if not links:  # the pool sleeps, or restarts what it has: a request wakes one, or waits for it
            await finish(await self.pool.ask([warm_up(part.digest)]))
        came = await asyncio.gather(*(self._open(link, part) for link in links), return_exceptions=True)
        for error in came:
            if isinstance(error, Invalid):
                raise Alone(error.message, address=part.digest, hint=error.hint) from error
            if isinstance(error, BaseException) and not isinstance(error, Unavailable):
                raise error
        if part.digest in self._facts:
            logger.info("one more adapter answers beside its base", extra={"bundle": part.digest})
        else:
            raise Unavailable("no engine of its base runs just now", address=part.digest, hint="it is tried again")

    async def _open(self, link: Link, part: Part) -> None:
        await link.open(part.bundle, part.folder, name=part.digest)
        await finish(link.ask([warm_up(part.digest)]))
        self._facts[part.digest] = link.bundles[part.digest]

    def _forget(self, digest: str) -> None:
        self._parts.pop(digest, None)
        self._holders.pop(digest, None)
        self._facts.pop(digest, None)
        for link in self._up():
            link.shut(digest)

    def _up(self) -> list[Link]:
        self._links = [link for link in self._links if link.up]
        return self._links

    async def _start(self, bundle: Bundle, folder: Path, *, seconds: float) -> Link:
        """One more process, with every bundle there is by the time it answers."""
        if not self._parts:
            raise Unavailable("the engine was stopped", hint="try again")
        first = next(iter(self._parts.values()))
        link = await start_engine(first.bundle, first.folder, seconds=seconds, name=first.digest)
        try:
            while missing := [part for digest, part in self._parts.items() if digest not in link.bundles]:
                await self._open(link, missing[0])
        except BaseException:
            await link.close()
            raise
        for gone in link.bundles.keys() - self._parts.keys():
            link.shut(gone)
        self._facts.update(link.bundles)
        self._links.append(link)
        return link


class Beside:
    """An Answerer for one bundle among those of its base. Every request it hands on names the bundle."""

    def __init__(self, shared: Shared, digest: str) -> None:
        self._shared = shared
        self._digest = digest
        self._taken: list[Answering] = []
        self._many = _FEW

    @property
    def facts(self) -> EngineFacts:
        """What the engine is and can for this bundle."""
        return self._shared.facts(self._digest)

    @property
    def healthy(self) -> bool:
        """Whether it would answer now."""
        return self._shared.pool.healthy

    @property
    def waiting(self) -> int:
        """How many requests for this bundle were taken whose answer has not begun."""
        self._taken = [answering for answering in self._taken if answering.waiting and answering.unfinished]
        return sum(len(answering.unfinished) for answering in self._taken)

    @property
    def pids(self) -> list[int]:
        """The processes that are up, which others of the base share."""
        return self._shared.pool.pids

    @property
    def size(self) -> int:
        """How many replicas there are, which others of the base share."""
        return self._shared.pool.size

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Take requests. `Busy` if they would wait too long; `Unavailable` if no engine can be started."""
        answering = await self._shared.pool.ask([replace(each, bundle=self._digest) for each in requests])
        if len(self._taken) >= self._many:
            self._many = max(_FEW, 2 * self.waiting)
        self._taken.append(answering)
        return answering

    async def close(self) -> None:
        """Let the bundle go; the engines end with the last one of their base."""
        await self._shared.remove(self._digest)
