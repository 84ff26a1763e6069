"""The cache of an endpoint: looks for an answer in memory, on disk and among prompts that are alike."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import msgspec

from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.core.settings import CacheSettings
from kedge.serve.gateway.cache.canonical import Alike, alike, fingerprint, repeatable
from kedge.serve.gateway.cache.disk import Disk
from kedge.serve.gateway.cache.memory import Kept, Memory, whole

MEGABYTE = 1_000_000

Embed = Callable[[str], Coroutine[Any, Any, bytes]]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the cache knows it. `alike` is None where only the very same request will do."""

    fingerprint: bytes
    alike: Alike | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was kept, and how it was found."""

    kept: Kept
    how: Literal["exact", "semantic"]


class AnswerCache:
    """Answers of one endpoint. Every question says tenant and bundle, and finds nothing of another one."""

    def __init__(self, settings: CacheSettings, disk: Disk | None = None) -> None:
        self.settings = settings
        self.memory = Memory(settings.memory * MEGABYTE)
        self.asked = 0
        self.hits = {"exact": 0, "semantic": 0}
        self._disk = disk
        self._thread = ThreadPoolExecutor(1, "kedge-cache") if disk is not None else None
        self._semantic: Any = None
        if settings.mode == "semantic":
            self._semantic = importlib.import_module("kedge.serve.gateway.cache.semantic")
            self._neighbours = self._semantic.Neighbours()

    @property
    def on(self) -> bool:
        """Whether anything is kept at all."""
        return self.settings.mode != "off"

    def question(self, tenant: str, bundle: str, requests: Sequence[GenerationRequest]) -> Question | None:
        """What a request asks for; None if its answer is a matter of chance."""
        if not repeatable(requests):
            return None
        same = fingerprint(tenant, bundle, requests)
        return Question(fingerprint=same, alike=alike(tenant, bundle, requests) if self._semantic else None)

    def peek(self, question: Question) -> Kept | None:
        """The answer to the very same question, if it is in memory."""
        return self.memory.get(question.fingerprint, time.time())

    def find(self, question: Question) -> Found | None:
        """The answer to the very same question, if it is in memory."""
        self.asked += 1
        kept = self.peek(question)
        if kept is None:
            return None
        self.hits["exact"] += 1
        return Found(kept=kept, how="exact")

    def looks_further(self, question: Question) -> bool:
        """Whether `find_further` can find what `find` has not."""
        return self._disk is not None or question.alike is not None

    async def find_further(self, question: Question, embed: Embed | None = None) -> Found | None:
        """The answer to the same question on disk, or to one that is alike. `embed` makes vectors where the model does
        it."""
        kept = await self._from_disk(question.fingerprint)
        found = Found(kept=kept, how="exact") if kept is not None else await self._near(question, embed)
        if found is not None:
            self.hits[found.how] += 1
        return found

    def keep(
        self, question: Question, events: Sequence[GenerationEvent], names: Sequence[str], embed: Embed | None = None
    ) -> Coroutine[Any, Any, None] | None:
        """Keep answers in memory, if they are whole; what is left to do for the disk, and for questions that are alike."""
        finished = whole(events, names)
        if finished is None:
            return None
        kept = Kept(events=finished, until=time.time() + self.settings.seconds)
        self.memory.put(question.fingerprint, kept)
        if question.alike is not None and embed is None:
            self._neighbours.add(question.alike.rest, self._semantic.ngrams(question.alike.text), question.fingerprint)
        if self._disk is None and (question.alike is None or embed is None):
            return None
        return self._keep_more(question, kept, embed)

    async def _keep_more(self, question: Question, kept: Kept, embed: Embed | None) -> None:
        if question.alike is not None and embed is not None:
            vector = await self._vector(question.alike.text, embed)
            self._neighbours.add(question.alike.rest, vector, question.fingerprint)
        if self._disk is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disk.put, question.fingerprint, kept)

    def close(self) -> None:
        """Let go of the file."""
        if self._disk is not None and self._thread is not None:
            self._thread.submit(self._disk.close)
            self._thread.shutdown()

    async def _from_disk(self, fingerprint: bytes) -> Kept | None:
        if self._disk is None:
            return None
        loop = asyncio.get_running_loop()
        kept = await loop.run_in_executor(self._thread, self._disk.get, fingerprint)
        if kept is not None:
            self.memory.put(fingerprint, kept)
        return kept

    async def _near(self, question: Question, embed: Embed | None) -> Found | None:
        if question.alike is None:
            return None
        vector = await self._vector(question.alike.text, embed)
        near = self._neighbours.find(question.alike.rest, vector, self.settings.threshold)
        kept = self.memory.get(near, time.time()) if near is not None else None
        return Found(kept=kept, how="semantic") if kept is not None else None

    async def _vector(self, text: str, embed: Embed | None) -> Any:
        if embed is None:
            return self._semantic.ngrams(text)
        return self._semantic.from_bytes(await embed(text))
