"""The engine `openai`: a server somewhere else that speaks the OpenAI API, asked from the gateway's own process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response

from kedge.core.bundle import Bundle
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest
from kedge.serve.answers import Answering, Busy
from kedge.serve.decoding.render import Renderer
from kedge.serve.servers.speech import Delta, Speech, read_event

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # worth another try, before anything of the answer was passed on
_LONGEST_LINE = 2**24


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
        self._target = target
        self._speech = Speech(
            target.model, api=target.api, extra=target.extra, renderer=Renderer(bundle, tokens={}), bundle=bundle
        )
        self._facts = EngineFacts(name=name, context=target.context, device="remote", can=target.can)
        self._client: Client | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._waiting: set[str] = set()
        self._heard = 0.0  # when the server last said anything

    @property
    def silent(self) -> float:
        """For how many seconds nothing has come although something is under way."""
        return time.monotonic() - self._heard if self._asking else 0.0

    @property
    def facts(self) -> EngineFacts:
        """What the bundle says of it."""
        return self._facts

    @property
    def healthy(self) -> bool:
        """Whether it may be asked; whether it answers is known only then."""
        return self._client is not None

    @property
    def failing(self) -> bool:
        """Never: it is not ours to start."""
        return False

    @property
    def waiting(self) -> int:
        """How many requests it has whose answer has not begun."""
        return len(self._waiting)

    @property
    def pid(self) -> int:
        """It has no process here."""
        return 0

    async def start(self) -> None:
        """Open the pool of connections; nothing is sent yet."""
        builder = (
            ClientBuilder()
            .connect_timeout(timedelta(seconds=self._target.connect_seconds))
            .read_timeout(timedelta(seconds=self._target.seconds))
            .max_connections(self._target.connections)
            .follow_redirects(False)
            .tcp_nodelay(True)
        )
        if self._target.secret:
            builder = builder.default_headers({"authorization": f"Bearer {self._target.secret}"})
        self._client = builder.build()

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Ask for each. `Unavailable` when closed."""
        if self._client is None:
            raise Unavailable("the engine was stopped", hint="try again")
        answering.cancel_by(self._cancel)
        if not self._asking:
            self._heard = time.monotonic()  # silence counts from now
        for request in requests:
            needs = request.needs.difference(self._target.can)
            if needs:
                said = f"the engine cannot do: {', '.join(sorted(needs))}"
                answering.put(GenerationEvent(id=request.id, finish="error", error=said, error_code="invalid"))
                continue
            self._waiting.add(request.id)
            task = asyncio.create_task(self._ask(self._client, request, answering))
            self._asking[request.id] = task
            task.add_done_callback(partial(self._done, request.id))

    async def close(self) -> None:
        """End; what is unfinished fails."""
        client, self._client = self._client, None
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if client is not None:
            await client.close()

    def _done(self, asked: str, task: asyncio.Task[None]) -> None:
        self._asking.pop(asked, None)
        self._waiting.discard(asked)

    def _cancel(self, ids: list[str]) -> None:
        for asked in ids:
            task = self._asking.get(asked)
            if task is not None:
                task.cancel()

    async def _ask(self, client: Client, request: GenerationRequest, answering: Answering) -> None:
        try:
            body = self._speech.body(request)
            for attempt in range(self._target.retries + 1):
                last = attempt == self._target.retries
                if await self._try(client, request, body, answering, last=last):
                    return
                await asyncio.sleep(self._target.pause * 2**attempt)
        except KedgeError as error:
            answering.fail(error)
        except asyncio.CancelledError:
            if self._client is None:
                answering.fail(Unavailable("the engine was stopped", hint="try again"))
            raise

    async def _try(
        self, client: Client, request: GenerationRequest, body: bytes, answering: Answering, *, last: bool
    ) -> bool:
        """Ask once; whether that was the end of it. Raises why it failed, when there is no other try."""
        try:
            asked = client.post(self._target.address).header("content-type", "application/json").body_bytes(body)
            asked = asked.streamed_read_buffer_limit(0)  # pass on each piece as it comes
            async with asked.build_streamed() as response:
                if response.status == 200:
                    await self._listen(response, request, answering)
                    return True
                refusal = await _refusal(response, request)
        except PyreqwestError as error:
            if request.id not in self._waiting or last:
                said = "stopped while it was answering" if request.id not in self._waiting else "cannot be reached"
                hint = f"{urlsplit(self._target.url).netloc}: {type(error).__name__}"
                raise Unavailable(f"the model's server {said}", hint=hint) from error
            return False
        if isinstance(refusal, GenerationEvent):
            answering.put(refusal)
            return True
        if last or response.status not in _AGAIN:
            raise refusal
        return False

    async def _listen(self, response: Response, request: GenerationRequest, answering: Answering) -> None:
        """Pass the answer on as it comes."""
        heard = Delta(request.id)
        reader, rest = response.body_reader, b""
        while (chunk := await reader.read_chunk()) is not None:
            self._heard = time.monotonic()
            rest += bytes(chunk)
            *lines, rest = rest.split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise Unavailable("the model's server sends lines without an end")
            for line in lines:
                event = read_event(line, heard)
                if event is not None:
                    self._waiting.discard(request.id)
                    answering.put(event)
        answering.put(heard.end())


async def _refusal(response: Response, request: GenerationRequest) -> GenerationEvent | KedgeError:
    """Why the server did not answer: the request's own fault as its event, anything else as an error."""
    body = bytes(await response.bytes())[:4096]
    try:
        said = str(msgspec.json.decode(body)["error"]["message"])[:500]
    except (msgspec.DecodeError, KeyError, TypeError, IndexError):
        said = f"status {response.status}"
    if response.status in (400, 413, 422):
        return GenerationEvent(id=request.id, finish="error", error=said, error_code="invalid")
    if response.status == 429:
        return Busy("the model's server is busy", seconds=_seconds(response.get_header("retry-after")))
    hint = "check the key and the model's name in the bundle's engine" if response.status in (401, 403, 404) else said
    return Unavailable(f"the model's server answered with status {response.status}", hint=hint)


def _seconds(header: str | None) -> float:
    try:
        return min(3600.0, max(1.0, float(header or 1.0)))
    except ValueError:
        return 1.0
