"""Several engine processes of one bundle behind one door: who waits, who answers, and how many there are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest
from kedge.core.settings import ReplicaSettings
from kedge.serve.answers import Answering, Busy
from kedge.serve.pace import Pace

logger = logging.getLogger(__name__)

_TICK = 0.25
_PREFIX = 512  # characters of a prompt that decide where it is read
_LEAN = 0.25  # of `concurrent`: how much busier the engine that knows a prefix may be than the least busy one


class Unit(Protocol):
    """One engine of a pool. It looks after itself, and says through `changed` when it comes up, goes down, or does not
    start."""

    changed: Callable[[], object]

    @property
    def facts(self) -> EngineFacts:
        """What the engine is and can, since it was first up."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether it takes requests."""
        ...

    @property
    def failing(self) -> bool:
        """Whether it is down and could not be started again so far."""
        ...

    @property
    def waiting(self) -> int:
        """How many requests it took whose answer has not begun."""
        ...

    @property
    def pid(self) -> int:
        """Its process; 0 while there is none here."""
        ...

    async def start(self) -> None:
        """Be ready to answer. Raises why it cannot."""
        ...

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Send requests whose answers are awaited already. `Unavailable` unless it is healthy."""
        ...

    async def close(self) -> None:
        """End; what is unfinished fails."""
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Replica:
    """One engine process and how many requests it is answering. Closed once it answers none, when it is `leaving`."""

    number: int
    engine: Unit
    busy: int = 0
    leaving: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting:
    """A request that no engine has yet, and where its answer will come."""

    requests: Sequence[GenerationRequest]
    since: float
    answering: Answering = field(init=False)
    replica: Replica | None = None


class Pool:
    """An Answerer over replicas that `make` gives. Requests wait here, in the order in which they came, so that one that
    is cancelled or too late costs no engine anything."""

    def __init__(
        self,
        make: Callable[[], Unit],
        settings: ReplicaSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._settings = settings
        self._clock = clock
        self._facts = EngineFacts(name="")
        self._replicas: list[Replica] = []
        self._queue: deque[_Waiting] = deque()
        self._pace = Pace()
        self._made = 0
        self._starting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._scaling: asyncio.Task[None] | None = None
        self._spare_since = 0.0
        self._trouble: KedgeError | None = None
        self._closed = False

    @property
    def facts(self) -> EngineFacts:
        """What the engine is and can, as the newest replica says it."""
        for replica in self._replicas:
            if replica.engine.facts.device or replica.engine.facts.context:
                self._facts = replica.engine.facts
                break
        return self._facts

    @property
    def healthy(self) -> bool:
        """Whether a request would be answered: an engine is up, or one is woken for it."""
        if self._closed:
            return False
        return any(replica.engine.healthy for replica in self._replicas) or (not self._replicas and not self._trouble)

    @property
    def waiting(self) -> int:
        """How many requests it took whose answer has not begun."""
        return sum(len(each.requests) for each in self._queue) + sum(r.engine.waiting for r in self._replicas)

    @property
    def pids(self) -> list[int]:
        """The processes that are up."""
        return [replica.engine.pid for replica in self._replicas if replica.engine.pid]

    @property
    def size(self) -> int:
        """How many replicas there are, also those that are being restarted."""
        return sum(not replica.leaving for replica in self._replicas)

    async def start(self) -> None:
        """Start and warm as many as there must be, one at least: a bundle that cannot load is refused here."""
        first = await self._open()
        self._replicas.append(first)
        self._facts = first.engine.facts
        self._spare_since = self._clock()
        more = await asyncio.gather(*(self._open() for _ in range(self._settings.min - 1)), return_exceptions=True)
        self._replicas += [each for each in more if isinstance(each, Replica)]
        failed = [each for each in more if isinstance(each, BaseException)]
        if failed:
            await self.close()
            raise failed[0]
        self._scaling = asyncio.create_task(self._scale())

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Take requests. `Busy` if they would wait too long; `Unavailable` if no engine can be started."""
        if self._closed:
            raise Unavailable("the engine was stopped", hint="try again")
        if self._trouble is not None and not self._replicas:
            self._grow()  # perhaps it starts now; this request does not wait for it
            raise Unavailable("the engine keeps failing", hint="the gateway's log says why; kedge rollback goes back")
        replica = None if self._queue else self._choose(requests)
        if replica is None:
            self._bound(len(requests))
        one = _Waiting(requests=requests, since=self._clock())
        one.answering = Answering([r.id for r in requests], lambda ids: None, lambda: self._ended(one))
        if replica is not None:
            self._give(one, replica)
        else:
            self._queue.append(one)
            if not self._replicas:
                self._grow()
        return one.answering

    async def close(self) -> None:
        """End every process; what is unfinished fails."""
        self._closed = True
        for task in (self._scaling, self._starting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._fail(Unavailable("the engine was stopped", hint="try again"))
        await asyncio.gather(*(replica.engine.close() for replica in self._replicas), *self._closing)
        self._replicas.clear()

    def _bound(self, count: int) -> None:
        """Refuse what would wait longer than is worth it, by the pace of late."""
        waiting = sum(len(each.requests) for each in self._queue)
        free = sum(self._settings.concurrent - r.busy for r in self._usable())
        if waiting + count <= max(free, 0) or (not waiting and free > 0):
            return
        seconds = self._pace.seconds(waiting + count)
        if seconds > self._settings.queue_seconds:
            raise Busy(f"{waiting} requests wait already; this one would wait {seconds:.0f} seconds", seconds=seconds)

    def _usable(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.engine.healthy and not replica.leaving]

    def _choose(self, requests: Sequence[GenerationRequest]) -> Replica | None:
        """The engine that is to answer: the one that knows the prompt's beginning, unless another is clearly less busy.
        None while all are full or down."""
        free = [replica for replica in self._usable() if replica.busy < self._settings.concurrent]
        if len(free) < 2:
            return free[0] if free else None
        least = min(free, key=lambda replica: replica.busy)
        prefix = _prefix(requests[0])
        known = max(free, key=lambda replica: hash((prefix, replica.number)))
        leaned = least.busy + max(1, int(_LEAN * self._settings.concurrent))
        return known if known.busy <= leaned else least

    def _give(self, one: _Waiting, replica: Replica) -> None:
        one.replica = replica
        replica.busy += len(one.requests)
        try:
            replica.engine.take(one.requests, one.answering)
        except Unavailable as error:  # it went down in this very moment
            one.answering.fail(error)

    def _ended(self, one: _Waiting) -> None:
        """A request is done, in whatever way: somebody else can have its place."""
        if one.replica is None:
            if one in self._queue:
                self._queue.remove(one)
            return
        one.replica.busy -= len(one.requests)
        if one.answering.began:
            self._pace.done(self._clock(), len(one.requests))
        if one.replica.leaving and not one.replica.busy:
            self._dismiss(one.replica)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Give what waits to whoever is free."""
        while self._queue:
            replica = self._choose(self._queue[0].requests)
            if replica is None:
                return
            self._give(self._queue.popleft(), replica)

    def _fail(self, error: KedgeError) -> None:
        waiting, self._queue = list(self._queue), deque()
        for one in waiting:
            one.answering.fail(error)

    def _changed(self) -> None:
        """An engine came up, went down, or does not start."""
        usable = self._usable()
        if usable:
            self._trouble = None
            self._pump()
        elif self._replicas and all(replica.engine.failing for replica in self._replicas):
            self._fail(Unavailable("the engine could not be restarted", hint="the gateway's log says why"))

    async def _scale(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = self._clock()
            if self._queue and now - self._queue[0].since >= self._settings.up_seconds:
                self._grow()
            self._shrink(now)

    def _grow(self) -> None:
        """Start one more, unless one is starting or there are as many as may be."""
        if self._starting is None and self.size < self._settings.max and not self._closed:
            self._starting = asyncio.create_task(self._add())

    async def _add(self) -> None:
        try:
            replica = await self._open()
        except KedgeError as error:
            logger.warning("one more engine could not be started", extra={"error": error.message, "size": self.size})
            if not self._replicas:
                self._trouble = error
                self._fail(Unavailable("the engine could not be started", hint="the gateway's log says why"))
        else:
            self._replicas.append(replica)
            self._trouble = None
            logger.info("one more engine answers", extra={"size": self.size})
            self._pump()
        finally:
            self._starting = None
            self._spare_since = self._clock()

    def _shrink(self, now: float) -> None:
        """Let one go when the others have had room for all for long enough."""
        rest = self.size - 1
        under_way = sum(replica.busy for replica in self._replicas) + len(self._queue)
        spare = rest >= self._settings.min and 2 * under_way <= rest * self._settings.concurrent
        if rest < 0 or not spare or (rest == 0 and under_way):
            self._spare_since = now
        elif now - self._spare_since >= self._settings.down_seconds:
            self._spare_since = now
            leaving = min((r for r in self._replicas if not r.leaving), key=lambda replica: replica.busy)
            leaving.leaving = True
            logger.info("an engine is let go", extra={"size": self.size})
            if not leaving.busy:
                self._dismiss(leaving)

    def _dismiss(self, replica: Replica) -> None:
        if replica in self._replicas:
            self._replicas.remove(replica)
            task = asyncio.create_task(replica.engine.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _open(self) -> Replica:
        self._made += 1
        engine = self._make()
        engine.changed = self._changed
        replica = Replica(number=self._made, engine=engine)
        await engine.start()
        return replica


def _prefix(request: GenerationRequest) -> str:
    """What a conversation or a prompt begins with."""
    if request.messages is not None:
        said = "".join(str(message.get("content", "")) for message in request.messages[:2])
    else:
        said = request.prompt or request.input or ""
    return said[:_PREFIX]
