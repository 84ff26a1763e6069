"""The engine `openai`: a server somewhere else that speaks the OpenAI API, asked from the gateway's own process."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import ClientBuilder

from kedge.core.bundle import Bundle
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest
from kedge.serve.answers import Answering, Busy
from kedge.serve.decoding.render import Renderer
from kedge.serve.servers.secure import SecureTransport
from kedge.serve.servers.speech import Heard, Speech
from kedge.serve.servers.wire import PlainTransport, Transport

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # worth another try, before anything of the answer was passed on
_REFUSAL = 4096  # bytes of a refusal that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to ask and how: the engine's flags in a bundle.

    `key` is a reference, `env:NAME` or `file:PATH`; the value is only ever in memory. `api` is `chat` (messages go as they
    are, a prompt as one message of the user) or `completions` (the bundle's own prompt and template make the text).
    `retries` are further tries before the first of an answer came, the first after `pause` seconds and then after twice
    as long each. `context` is the longest prompt and answer together, where the server's maker says it; `extra` goes into
    every request, and `can` names what the server does beyond plain text.
    """

    url: str
    model: str
    key: str = ""
    api: Literal["chat", "completions"] = "chat"
    seconds: float = 120.0
    connect_seconds: float = 5.0
    connections: int = 256
    retries: int = 2
    pause: float = 0.25
    context: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    can: tuple[str, ...] = ()
    stream: Literal["asked", "always"] = "asked"
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise Invalid(f"not the address of a server: {self.url!r}", hint="as in https://api.example.org/v1")

    @property
    def address(self) -> str:
        """Where requests go."""
        base = self.url.rstrip("/")
        base = base if urlsplit(base).path not in ("", "/") else f"{base}/v1"
        return f"{base}/chat/completions" if self.api == "chat" else f"{base}/completions"


def read_target(bundle: Bundle, resolve: Callable[[str], str]) -> Target:
    """The flags of a bundle's engine, the secret looked up. `Invalid` names a flag that is unknown or wrong."""
    known = [each.name for each in fields(Target) if each.name != "secret"]
    for name in bundle.engine.args:
        if name not in known:
            raise Invalid(f"the engine {bundle.engine.name} has no flag {name!r}", hint=nearest(name, known))
    key = str(bundle.engine.args.get("key", ""))
    try:
        return msgspec.convert({**bundle.engine.args, "secret": resolve(key) if key else ""}, Target)
    except msgspec.ValidationError as error:
        raise Invalid(f"a flag of the engine {bundle.engine.name} is wrong: {error}") from error


class Upstream:
    """One server, and the requests under way at it. Nothing is kept for a caller who does not read: see `Answering`."""

    def __init__(self, bundle: Bundle, target: Target, *, name: str = "openai") -> None:
        self.changed: Callable[[], object] = int
        self.target = target
        self.waiting_for: set[str] = set()
        self.heard_at = 0.0  # when the server last said anything
        self._speech = Speech(
            target.model, api=target.api, extra=target.extra, renderer=Renderer(bundle, tokens={}), bundle=bundle
        )
        self._facts = EngineFacts(name=name, context=target.context, device="remote", can=target.can)
        self._transport: Transport | None = None
        self._asking: dict[str, _Asking] = {}

    @property
    def silent(self) -> float:
        """For how many seconds nothing has come although something is under way."""
        return time.monotonic() - self.heard_at if self._asking else 0.0

    @property
    def facts(self) -> EngineFacts:
        """What the bundle says of it."""
        return self._facts

    @property
    def healthy(self) -> bool:
        """Whether it may be asked; whether it answers is known only then."""
        return self._transport is not None

    @property
    def failing(self) -> bool:
        """Never: it is not ours to start."""
        return False

    @property
    def waiting(self) -> int:
        """How many requests it has whose answer has not begun."""
        return len(self.waiting_for)

    @property
    def pid(self) -> int:
        """It has no process here."""
        return 0

    async def start(self) -> None:
        """Be ready to connect; nothing is sent yet."""
        self._transport = open_transport(self.target)

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Ask for each. `Unavailable` when closed."""
        if self._transport is None:
            raise Unavailable("the engine was stopped", hint="try again")
        answering.cancel_by(self._cancel)
        if not self._asking:
            self.heard_at = time.monotonic()  # silence counts from now
        for request in requests:
            needs = request.needs.difference(self.target.can)
            if needs:
                said = f"the engine cannot do: {', '.join(sorted(needs))}"
                answering.put(GenerationEvent(id=request.id, finish="error", error=said, error_code="invalid"))
                continue
            streamed = not request.whole or self.target.stream == "always"
            try:
                body = self._speech.body(request, streamed=streamed)
            except KedgeError as error:
                answering.fail(error)
                continue
            self.waiting_for.add(request.id)
            asking = self._asking[request.id] = _Asking(self, request.id, body, answering, streamed=streamed)
            self._transport.ask(body, asking)

    async def close(self) -> None:
        """End; what is unfinished fails."""
        transport, self._transport = self._transport, None
        asking, self._asking = list(self._asking.values()), {}
        self.waiting_for.clear()
        for each in asking:
            each.end()
            each.answering.fail(Unavailable("the engine was stopped", hint="try again"))
        if transport is not None:
            await transport.close()

    def again(self, asking: _Asking) -> None:
        """Send it once more."""
        if self._transport is not None:
            self._transport.ask(asking.body, asking)

    def done(self, asking: _Asking) -> None:
        """Nothing more comes of it."""
        if self._asking.get(asking.id) is asking:
            del self._asking[asking.id]
            self.waiting_for.discard(asking.id)

    def _cancel(self, ids: list[str]) -> None:
        for asked in ids:
            asking = self._asking.get(asked)
            if asking is not None:
                self.done(asking)
                asking.end()
                if self._transport is not None:
                    self._transport.leave(asking)


class _Asking:
    """One request under way: hears what comes, and asks again while nothing of the answer has."""

    __slots__ = ("_attempt", "_heard", "_retry_after", "_said", "_status", "_streamed", "_timer", "_upstream", "answering", "body", "id")  # fmt: skip

    def __init__(self, upstream: Upstream, id: str, body: bytes, answering: Answering, *, streamed: bool) -> None:
        self.id = id
        self.body = body
        self.answering = answering
        self._upstream = upstream
        self._streamed = streamed
        self._heard = Heard(id, streamed=streamed)
        self._attempt = 0
        self._status = 0
        self._retry_after = ""
        self._said = b""
        self._timer: asyncio.TimerHandle | None = None

    def head(self, status: int, retry_after: str) -> None:
        """The response begins."""
        self._status, self._retry_after = status, retry_after

    def heard(self, data: bytes, *, last: bool) -> bool:
        """More of the response; whether the rest of it is wanted too."""
        self._upstream.heard_at = time.monotonic()
        if self._status != 200:
            if len(self._said) < _REFUSAL:
                self._said += data
            if last:
                self._refused()
            return True
        try:
            event = self._heard.take(data, last=last)
        except KedgeError as error:
            self._fail(error)
            return False
        if event is not None:
            self._upstream.waiting_for.discard(self.id)
            if last:
                self._upstream.done(self)
            self.answering.put(event)
        return True

    def lost(self, why: str) -> None:
        """The server cannot be reached, or went away."""
        began = self.id not in self._upstream.waiting_for
        if began or not self._again():
            said = "stopped while it was answering" if began else "cannot be reached"
            hint = f"{urlsplit(self._upstream.target.url).netloc}: {why}"
            self._fail(Unavailable(f"the model's server {said}", hint=hint))

    def end(self) -> None:
        """Try no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> bool:
        """Whether there is another try, after a pause."""
        target = self._upstream.target
        if self._attempt >= target.retries:
            return False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(target.pause * 2**self._attempt, self._upstream.again, self)
        self._attempt += 1
        self._heard = Heard(self.id, streamed=self._streamed)
        self._status, self._said = 0, b""
        return True

    def _refused(self) -> None:
        """The server did not answer."""
        status, said = self._status, self._said[:_REFUSAL]
        if status in _AGAIN and self._again():
            return
        refusal = _refusal(status, said, self._retry_after, self.id)
        if isinstance(refusal, KedgeError):
            self._fail(refusal)
            return
        self._upstream.done(self)
        self.answering.put(refusal)

    def _fail(self, error: KedgeError) -> None:
        self._upstream.done(self)
        self.answering.fail(error)


def open_transport(target: Target) -> Transport:
    """Connections to a server: our own over plain HTTP, a client's for TLS, proxies and passwords in the address."""
    at = urlsplit(target.address)
    proxied = urllib.request.getproxies().keys() & {"http", "all"} and not urllib.request.proxy_bypass(at.netloc)
    if at.scheme == "http" and at.hostname and not at.username and not proxied:
        head = f"POST {at.path} HTTP/1.1\r\nhost: {at.netloc}\r\ncontent-type: application/json\r\n"
        if target.secret:
            head += f"authorization: Bearer {target.secret}\r\n"
        return PlainTransport(
            at.hostname,
            at.port or 80,
            head.encode(),
            most=target.connections,
            connect_seconds=target.connect_seconds,
            seconds=target.seconds,
        )
    builder = (
        ClientBuilder()
        .connect_timeout(timedelta(seconds=target.connect_seconds))
        .read_timeout(timedelta(seconds=target.seconds))
        .max_connections(target.connections)
        .follow_redirects(False)
        .tcp_nodelay(True)
    )
    if target.secret:
        builder = builder.default_headers({"authorization": f"Bearer {target.secret}"})
    return SecureTransport(builder.build(), target.address)


def _refusal(status: int, body: bytes, retry_after: str, asked: str) -> GenerationEvent | KedgeError:
    """Why the server did not answer: the request's own fault as its event, anything else as an error."""
    try:
        said = str(msgspec.json.decode(body)["error"]["message"])[:500]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, IndexError):
        said = f"status {status}"
    if status in (400, 413, 422):
        return GenerationEvent(id=asked, finish="error", error=said, error_code="invalid")
    if status == 429:
        return Busy("the model's server is busy", seconds=_seconds(retry_after))
    hint = "check the key and the model's name in the bundle's engine" if status in (401, 403, 404) else said
    return Unavailable(f"the model's server answered with status {status}", hint=hint)


def _seconds(header: str) -> float:
    try:
        return min(3600.0, max(1.0, float(header or 1.0)))
    except ValueError:
        return 1.0
