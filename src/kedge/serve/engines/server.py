"""Servers of other makers as engines that are driven step by step: for evaluations and batch work."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid, KedgeError
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.serve.answers import Answering
from kedge.serve.pool import Unit
from kedge.serve.servers.local import start_server
from kedge.serve.servers.upstream import Upstream, read_target
from kedge.serve.supervisor import Supervisor

T = TypeVar("T")

_WAIT_SECONDS = 1.0  # a step with nothing to say ends after this long


def open_remote(bundle: Bundle, folder: Path) -> ServerEngine:
    """A server somewhere else. `Invalid` if its key is in the environment, which only a gateway reads."""
    return ServerEngine(Upstream(bundle, read_target(bundle, _read_key)))


def open_local(bundle: Bundle, folder: Path) -> ServerEngine:
    """A server that is started for as long as the engine is used."""
    return ServerEngine(Supervisor(bundle, folder, start=start_server))


class ServerEngine:
    """Asks a server from a thread of its own, and hands on what came at each step."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._said: queue.SimpleQueue[GenerationEvent] = queue.SimpleQueue()
        self._asking: dict[str, Future[None]] = {}
        self._cancelled: list[GenerationEvent] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._thread.start()
        try:
            self._run(unit.start()).result()
        except BaseException:
            self._stop()
            raise

    def describe(self) -> EngineFacts:
        """What this engine is and can."""
        return self._unit.facts

    def submit(self, request: GenerationRequest) -> None:
        """Ask for it at once."""
        self._asking[request.id] = self._run(self._ask(request))

    def step(self) -> list[GenerationEvent]:
        """What has come since the last step, waiting for a moment while something is to come."""
        events, self._cancelled = self._cancelled, []
        wait = bool(self._asking) and not events
        try:
            while True:
                event = self._said.get(timeout=_WAIT_SECONDS) if wait else self._said.get_nowait()
                wait = False
                if event.id in self._asking:  # not cancelled meanwhile
                    events.append(event)
                    if event.finish:
                        del self._asking[event.id]
        except queue.Empty:
            return events

    def cancel(self, id: str) -> None:
        """Stop a request."""
        asking = self._asking.pop(id, None)
        if asking is not None:
            asking.cancel()
            self._cancelled.append(GenerationEvent(id=id, finish="cancelled"))

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """Never: such a server does not say how likely a given text is."""
        raise Invalid(
            f"the engine {self.describe().name} cannot score given texts",
            hint="leave scorers that need likelihoods out",
        )

    def close(self) -> None:
        """Let go of the server, or end it."""
        for asking in self._asking.values():
            asking.cancel()
        self._run(self._unit.close()).result()
        self._stop()

    async def _ask(self, request: GenerationRequest) -> None:
        answering = Answering([request.id], lambda ids: None)
        try:
            self._unit.take([request], answering)
            while events := await answering.next():
                for event in events:
                    self._said.put(event)
        except KedgeError as error:
            self._said.put(GenerationEvent(id=request.id, finish="error", error=error.message, error_code=error.code))
        except asyncio.CancelledError:
            answering.close()
            raise

    def _run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _read_key(reference: str) -> str:
    kind, _, name = reference.partition(":")
    if kind != "file":
        raise Invalid(
            f"the key {reference} is only read by a gateway",
            address=reference,
            hint="keep it in a file, as file:PATH, or evaluate the endpoint that serves the bundle",
        )
    return Path(name).expanduser().read_text().rstrip("\n")
