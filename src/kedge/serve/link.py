"""The gateway's end of an engine process: many requests over one socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from kedge.core.bundle import Bundle
from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest, Likelihood
from kedge.serve.answers import Answering, Interrupted
from kedge.serve.frames import (
    Cancel,
    Command,
    Events,
    Frames,
    Open,
    Ready,
    Score,
    Scores,
    Shut,
    Submit,
    Trouble,
    decode_report,
    encode,
)

logger = logging.getLogger(__name__)

_KEPT_LINES = 40
_END_SECONDS = 5.0


class Link(asyncio.Protocol):
    """A started engine process. Made by `start_engine`; when the process ends, all that is unfinished fails."""

    def __init__(self) -> None:
        self.facts = EngineFacts(name="")
        self.bundles: dict[str, EngineFacts] = {}  # those it has loaded, by the names they were given
        self.ended = asyncio.Event()
        self.last_words: deque[str] = deque(maxlen=_KEPT_LINES)
        self.process: asyncio.subprocess.Process | None = None
        self._opening: dict[str, asyncio.Future[EngineFacts]] = {}
        self._frames = Frames()
        self._answering: dict[str, Answering] = {}
        self._scoring: dict[str, asyncio.Future[list[Likelihood]]] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self._words: asyncio.Task[None] | None = None
        self._death: Unavailable | None = None
        self._heard = 0.0  # when it last said anything

    @property
    def waiting(self) -> int:
        """How many requests have no event yet."""
        return sum(answering.waiting for answering in self._answering.values())

    @property
    def silent(self) -> float:
        """For how many seconds nothing has come although something is under way."""
        if not self._answering and not self._scoring:
            return 0.0
        return time.monotonic() - self._heard

    @property
    def up(self) -> bool:
        """Whether it takes requests."""
        return self._transport is not None

    def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Send requests. `Unavailable` if the process has ended."""
        answering = Answering([request.id for request in requests], self._cancel)
        self.take(requests, answering)
        return answering

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Send requests whose answers are awaited already. `Unavailable` if the process has ended."""
        self._check()
        answering.cancel_by(self._cancel)
        if not self._answering:
            self._heard = time.monotonic()  # silence counts from now
        for request in requests:
            self._answering[request.id] = answering
        self._send(Submit(requests=list(requests)))

    async def score(self, id: str, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihoods of completions. Raises what the engine raised."""
        self._check()
        scored: asyncio.Future[list[Likelihood]] = asyncio.get_running_loop().create_future()
        self._scoring[id] = scored
        self._send(Score(id=id, pairs=list(pairs)))
        try:
            return await scored
        finally:
            self._scoring.pop(id, None)

    async def open(self, bundle: Bundle, folder: Path, *, name: str = "") -> None:
        """Have the process load a bundle, and wait until it has. Raises why it cannot. Only an engine that says `adapters`
        takes more than one."""
        self._check()
        opening = self._opening[name] = asyncio.get_running_loop().create_future()
        self._send(Open(name=name, bundle=bundle, folder=str(folder)))
        try:
            facts = self.bundles[name] = await opening
        except Unavailable as error:
            if error is not self._death:
                raise
            said = await self.epitaph()
            raise Unavailable(f"the engine died while loading: {said}", hint="its last words are in the log") from error
        finally:
            self._opening.pop(name, None)
        if not self.facts.name:
            self.facts = facts

    def shut(self, name: str) -> None:
        """Have the process let go of a bundle."""
        if self.bundles.pop(name, None) is not None:
            self._send(Shut(name=name))

    async def epitaph(self) -> str:
        """How the process ended, once it has: its last line and its exit code."""
        code = await self.process.wait() if self.process is not None else None
        if self._words is not None:
            await self._words
        last = self.last_words[-1] if self.last_words else "without a word"
        return f"{last} (exit code {code})"

    def kill(self) -> None:
        """End a process that no longer answers; what is unfinished fails."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        loading = not self.facts.name
        if self._transport is not None:
            self._transport.close()
        if self.process is not None:
            if loading and self.process.returncode is None:
                self.process.kill()  # it does not look at its socket before it has loaded
            try:
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self._words is not None:
            await self._words
        self._fail(Unavailable("the engine was stopped", hint="try again"))

    def keep_words(self, words: asyncio.StreamReader) -> None:
        """Keep the last lines the process writes, for when it fails."""
        self._words = asyncio.create_task(self._listen(words))

    # The asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        """Pass on what the engine says."""
        self._heard = time.monotonic()
        for body in self._frames.feed(data):
            report = decode_report(body)
            match report:
                case Events(events=events):
                    for event in events:
                        answering = self._answering.get(event.id)
                        if answering is not None:
                            answering.put(event)
                            if event.finish:
                                del self._answering[event.id]
                case Ready(name=name, facts=facts):
                    opening = self._opening.get(name)
                    if opening is not None and not opening.done():  # nobody may be waiting any more
                        opening.set_result(facts)
                case Scores(id=id, likelihoods=likelihoods):
                    if id in self._scoring:
                        self._scoring[id].set_result(likelihoods)
                case Trouble(id=id):
                    waiter = self._opening.get(id) or self._scoring.get(id)
                    if waiter is not None and not waiter.done():
                        waiter.set_exception(report.error())

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone: everything unfinished fails."""
        self._transport = None
        self._death = Interrupted("the engine stopped while it was answering", hint="it is being restarted: try again")
        self._fail(self._death)
        self.ended.set()

    def _fail(self, error: KedgeError) -> None:
        for answering in set(self._answering.values()):
            answering.fail(error)
        self._answering.clear()
        for scored in self._scoring.values():
            if not scored.done():
                scored.set_exception(error)
        self._scoring.clear()
        for opening in self._opening.values():
            if not opening.done():
                opening.set_exception(error)
                opening.exception()  # nobody may be waiting for it any more
        self._opening.clear()

    def _check(self) -> None:
        if self._transport is None:
            raise Unavailable("the engine is not running", hint="it is being restarted: try again")

    def _send(self, command: Command) -> None:
        """Write at the end of this turn of the loop, together with what else is sent in it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(encode(command))

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _cancel(self, ids: list[str]) -> None:
        for cancelled in ids:
            self._answering.pop(cancelled, None)
        self._send(Cancel(ids=ids))

    async def _listen(self, words: asyncio.StreamReader) -> None:
        while line := await words.readline():
            self.last_words.append(line.decode(errors="replace").rstrip())


async def start_engine(bundle: Bundle, folder: Path, *, seconds: float, name: str = "") -> Link:
    """Start a process with the engine of a bundle whose files lie in `folder`; it is loaded when this returns. `name` is
    what requests to it call the bundle.

    Raises what the engine raised; `Unavailable` with its last words if it died, or took longer than `seconds`.
    """
    link = Link()
    try:
        await _connect(link)
        await asyncio.wait_for(link.open(bundle, folder, name=name), seconds)
    except TimeoutError as error:
        await link.close()
        raise Unavailable(f"the engine did not load within {seconds:g} seconds", hint="give it more time") from error
    except BaseException:
        await link.close()
        raise
    return link


async def _connect(link: Link) -> None:
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            link.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kedge.serve.worker", str(theirs.fileno()), str(os.getpid())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        assert link.process.stderr is not None
        link.keep_words(link.process.stderr)
        await asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
    except BaseException:
        ours.close()
        raise
