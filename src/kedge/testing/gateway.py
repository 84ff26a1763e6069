"""A gateway in memory: engines in this process, releases and keys in lists, and a caller that needs no socket."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from kedge.core.access import Allowance, Key, Scope, Terms
from kedge.core.bundle import Bundle
from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest
from kedge.core.ports import Engine
from kedge.core.release import Heartbeat, Release, Role
from kedge.core.settings import EndpointSettings, GatewaySettings
from kedge.serve.answers import Answering
from kedge.serve.gateway.app import App
from kedge.serve.gateway.errors import Gone
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway, assemble
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Running
from kedge.testing.clock import FixedClock
from kedge.testing.engines import EchoEngine
from kedge.testing.traces import MemoryFeedback, MemoryTraces
from kedge.testing.usage import MemoryUsage

SECRET = b"a secret for tests"
KEY = "kdg_" + "k" * 43


class InProcess:
    """An Answerer around an engine in this process: it is stepped while anything is unfinished."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.healthy = True
        self._answering: dict[str, Answering] = {}
        self._stepping: asyncio.Task[None] | None = None

    @property
    def facts(self) -> EngineFacts:
        """The engine's own."""
        return self.engine.describe()

    @property
    def waiting(self) -> int:
        """How many requests have no event yet."""
        return sum(answering.waiting for answering in self._answering.values())

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Submit requests. `Unavailable` unless `healthy`."""
        if not self.healthy:
            raise Unavailable("the engine is being restarted")
        answering = Answering([request.id for request in requests], self._cancel)
        for request in requests:
            self._answering[request.id] = answering
            self.engine.submit(request)
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step())
        return answering

    async def close(self) -> None:
        """Fail what is unfinished, as a process that ends does."""
        self.fail(Unavailable("the engine was stopped"))
        self.engine.close()

    def fail(self, error: KedgeError) -> None:
        """Fail what is unfinished."""
        for answering in self._answering.values():
            answering.fail(error)
        self._answering.clear()

    def _cancel(self, ids: list[str]) -> None:
        for unfinished in ids:
            self._answering.pop(unfinished, None)
            self.engine.cancel(unfinished)

    async def _step(self) -> None:
        while self._answering:
            for event in self.engine.step():
                answering = self._answering.get(event.id)
                if answering is not None:
                    answering.put(event)
                    if event.finish:
                        del self._answering[event.id]
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a caller got."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    parts: tuple[bytes, ...] = ()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def events(self) -> list[Any]:
        """The events of a stream, `[DONE]` as text."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]
        return [line if line == "[DONE]" else msgspec.json.decode(line) for line in lines]


@dataclass(slots=True, kw_only=True)
class MemoryGateway:
    """A gateway whose edges are at hand: `bundles` by digest, `releases` in force, `keys`, what it `beat`, `traces`."""

    settings: GatewaySettings = field(default_factory=GatewaySettings)
    bundles: dict[str, Bundle | KedgeError] = field(default_factory=dict)
    releases: dict[Role, Release] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    traces: MemoryTraces = field(default_factory=MemoryTraces)
    usage: MemoryUsage = field(default_factory=MemoryUsage)
    serving: EndpointSettings = field(default_factory=lambda: EndpointSettings(model="words"))
    tenants: dict[str, Allowance] = field(default_factory=dict)
    feedback: MemoryFeedback = field(default_factory=MemoryFeedback)
    watch: Callable[[], bool] | None = None
    clock: FixedClock = field(default_factory=FixedClock)
    engines: list[InProcess] = field(default_factory=list)
    down: KedgeError | None = None

    def assemble(self) -> Gateway:
        """The gateway, with nothing in force yet."""
        ports = Ports(
            current=self.current,
            launch=self.launch,
            hash_key=hash_key,
            find_key=self.find_key,
            beat=self.beats.append,
            traces=self.traces,
            usage=self.usage,
            clock=self.clock,
            hear=self.feedback.add,
            watch=self.watch,
        )
        options = GatewayOptions(
            endpoint="words",
            model="words",
            secret=SECRET,
            settings=self.settings,
            serving=self.serving,
            tenants=self.tenants,
        )
        return assemble(options, ports)

    def release(self, bundle: Bundle | KedgeError, *, role: Role = Role.STABLE, share: float = 1.0) -> Release:
        """Send a bundle to the endpoint as the next version; an error in its place is one that cannot load."""
        number = len(self.bundles) + 1
        digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
        self.bundles[digest] = bundle
        sent = Release(
            id=number,
            endpoint="words",
            model="words",
            version=number,
            bundle=digest,
            role=role,
            share=share,
            at=self.clock.now(),
            by="user:test",
        )
        self.releases[role] = sent
        return sent

    def add_key(
        self, secret: str = KEY, *, scopes: tuple[Scope, ...] = (Scope.ASK,), terms: Terms | None = None
    ) -> Key:
        """Let a key in."""
        key = Key(
            id=f"key-{len(self.keys)}",
            name="test",
            hash=hash_key(secret),
            scopes=scopes,
            created=self.clock.now(),
            by="user:test",
            terms=terms or Terms(),
        )
        self.keys.append(key)
        return key

    def revoke(self, key: Key) -> None:
        """End a key."""
        self.keys[self.keys.index(key)] = replace(key, revoked=self.clock.now())

    def current(self) -> Mapping[Role, Release]:
        """What is released, unless the ledger is `down`."""
        if self.down is not None:
            raise self.down
        return dict(self.releases)

    def find_key(self, hash: str) -> Key | None:
        """The key with this hash, unless the ledger is `down`."""
        if self.down is not None:
            raise self.down
        return next((key for key in self.keys if key.hash == hash), None)

    async def launch(self, digest: str) -> Running:
        """Load a bundle into an engine in this process."""
        bundle = self.bundles[digest]
        if isinstance(bundle, KedgeError):
            raise bundle
        await asyncio.sleep(0)
        self.engines.append(InProcess(EchoEngine(bundle)))
        return Running(digest=digest, bundle=bundle, engine=self.engines[-1])


class Caller:
    """Calls a gateway without a connection, as its HTTP server would."""

    def __init__(self, gateway: Gateway, *, key: str = KEY) -> None:
        self._app = App(gateway)
        self._key = key

    async def get(self, path: str, *, key: str | None = None) -> Response:
        """GET."""
        return await self.send("GET", path, b"", key=key)

    async def post(self, path: str, body: object, *, key: str | None = None) -> Response:
        """POST a body as JSON; bytes as they are."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.send("POST", path, data, key=key)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        key: str | None = None,
        leave: asyncio.Event | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Any request. The caller goes away when `leave` is set."""
        secret = self._key if key is None else key
        sent = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
        if secret:
            sent.setdefault(b"authorization", f"Bearer {secret}".encode())
        wire = _Wire()
        exchange = Exchange(wire, id=f"{secrets.randbits(128):032x}", method=method, path=path, headers=sent, body=body)
        leaving = asyncio.create_task(_leave(exchange, leave)) if leave is not None else None
        await self._app(exchange)
        if leaving is not None:
            leaving.cancel()
        return wire.response()


async def _leave(exchange: Exchange, leave: asyncio.Event) -> None:
    await leave.wait()
    exchange.fail(Gone("the caller went away"))


class _Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._parts: list[bytes] = []

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes | None) -> None:
        self._status, self._headers = status, headers
        if body is not None:
            self._parts.append(body)

    def part(self, body: bytes) -> None:
        self._parts.append(body)

    def end(self) -> None:
        self._parts.append(b"")

    def drain(self) -> None:
        return None

    def cut(self) -> None:
        return None

    def response(self) -> Response:
        headers = {name.decode(): value.decode() for name, value in self._headers}
        return Response(status=self._status, headers=headers, body=b"".join(self._parts), parts=tuple(self._parts))


def hash_key(key: str) -> str:
    """How this gateway keeps keys."""
    return hashlib.sha256(SECRET + key.encode()).hexdigest()
