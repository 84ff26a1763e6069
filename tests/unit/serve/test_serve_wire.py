"""What servers do to connections: each response comes whole, in pieces, late, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.answers import Answering
from kedge.serve.servers.secure import SecureTransport
from kedge.serve.servers.speech import Heard
from kedge.serve.servers.upstream import Target, Upstream, open_transport
from kedge.serve.servers.wire import PlainTransport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BODY = b'{"choices":[{"message":{"content":"aye"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


async def read(reader: asyncio.StreamReader) -> bytes:
    """One request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def against(serve: Serve, go: Callable[[Upstream], Coroutine[Any, Any, None]], **flags: Any) -> None:
    """Run with an upstream on a server that does this on each connection."""

    serving: list[asyncio.StreamWriter] = []

    async def until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        serving.remove(writer)

    async def main() -> None:
        server = await asyncio.start_server(until_left, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = Target(url=f"http://127.0.0.1:{port}", model="far", **{"retries": 0, "pause": 0.01, **flags})
        upstream = Upstream(Bundle(model="sha256:" + "0" * 64), target)
        await upstream.start()
        try:
            async with asyncio.timeout(30):
                await go(upstream)
        finally:
            await upstream.close()
            server.close()
            async with asyncio.timeout(30):
                while serving:  # noqa: ASYNC110 - the handlers of streams set no event
                    await asyncio.sleep(0)

    asyncio.run(main())


async def ask(upstream: Upstream, *, id: str = "a", whole: bool = True) -> GenerationEvent:
    """The last event of an answer."""
    answering = Answering([id], lambda ids: None)
    request = GenerationRequest(id=id, prompt="ready?", sampling=Sampling(), whole=whole)
    upstream.take([request], answering)
    return (await answering.rest())[-1]


def test_a_connection_is_used_again_and_an_answer_that_nobody_reads_along_is_asked_for_whole() -> None:
    bodies: list[bytes] = []
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for _ in range(3):
            bodies.append(await read(reader))
            writer.write(WHOLE)

    async def go(upstream: Upstream) -> None:
        for _ in range(3):
            event = await ask(upstream)
            assert (event.text, event.finish, event.prompt_tokens, event.completion_tokens) == ("aye", "stop", 3, 1)
        assert upstream.waiting == 0

    against(serve, go)
    assert len(connections) == 1
    assert all(b'"stream":false' in body and b"stream_options" not in body for body in bodies)


def test_a_request_on_a_connection_that_was_just_closed_is_sent_on_another() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(WHOLE)
        await read(reader)  # and is gone without a word
        writer.close()

    async def go(upstream: Upstream) -> None:
        assert (await ask(upstream)).text == "aye"
        assert (await ask(upstream)).text == "aye"

    against(serve, go)


def test_a_request_that_was_not_answered_on_a_new_connection_failed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.close()

    async def go(upstream: Upstream) -> None:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await ask(upstream)

    against(serve, go, retries=1)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY),
    ],
)
def test_a_body_ends_where_its_length_its_chunks_or_the_connection_say(response: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        for at in range(0, len(response), 7):
            writer.write(response[at : at + 7])
            await writer.drain()
        writer.close()

    async def go(upstream: Upstream) -> None:
        assert (await ask(upstream)).text == "aye"
        assert (await ask(upstream, id="b")).text == "aye"

    against(serve, go)


@pytest.mark.parametrize(
    "response",
    [WHOLE[:-10], b"what is this?\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno!"],
)  # fmt: skip
def test_half_an_answer_and_what_is_none_are_unavailable(response: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        writer.write(response)
        writer.close()

    async def go(upstream: Upstream) -> None:
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert upstream.waiting == 0

    against(serve, go)


def test_a_server_that_says_nothing_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def go(upstream: Upstream) -> None:
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await ask(upstream)
        assert "ReadTimeout" in caught.value.hint

    against(serve, go, seconds=0.2)


def test_more_requests_than_connections_wait_for_one() -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            await read(reader)
            writer.write(WHOLE)

    async def go(upstream: Upstream) -> None:
        events = await asyncio.gather(*(ask(upstream, id=str(i)) for i in range(20)))
        assert [event.text for event in events] == ["aye"] * 20

    against(serve, go, connections=2)
    assert len(connections) == 2


def test_an_answer_left_early_closes_its_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read(reader)
        asked.set()
        assert not await reader.read()
        gone.set()
        writer.close()

    async def go(upstream: Upstream) -> None:
        answering = Answering(["a"], lambda ids: None)
        upstream.take([GenerationRequest(id="a", prompt="x", sampling=Sampling())], answering)
        await asked.wait()
        answering.close()
        await gone.wait()
        assert upstream.waiting == 0

    against(serve, go)


def test_chunks_that_come_together_are_one_event() -> None:
    lines = b"".join(b'data: {"choices":[{"delta":{"content":"%d "}}]}\n\n' % i for i in range(5))
    end = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\r\n\r\ndata: [DONE]\n\n'
    for cut in range(len(lines)):
        heard = Heard("a", streamed=True)
        found = [heard.take(lines[:cut], last=False), heard.take(lines[cut:], last=False), heard.take(end, last=True)]
        assert "".join(event.text for event in found if event is not None) == "0 1 2 3 4 "
        last = found[-1]
        assert last is not None
        assert (last.finish, last.completion_tokens) == ("length", 5)


@pytest.mark.parametrize("said", [b'data: {"error":{"message":"no"}}\n', b"data: {\n", b"data: 1\n", b"data: {}\n"])
def test_an_error_in_a_stream_is_unavailable(said: bytes) -> None:
    with pytest.raises(Unavailable):
        Heard("a", streamed=True).take(said, last=True)


def test_tls_and_proxies_are_left_to_the_client_that_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def kind(url: str) -> type:
        transport = open_transport(Target(url=url, model="m", secret="s"))
        await transport.close()
        return type(transport)

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert asyncio.run(kind("http://far.example/v1")) is PlainTransport
    assert asyncio.run(kind("https://far.example/v1")) is SecureTransport
    assert asyncio.run(kind("http://me:pw@far.example/v1")) is SecureTransport
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert asyncio.run(kind("http://far.example/v1")) is SecureTransport
    monkeypatch.setenv("no_proxy", "far.example")
    assert asyncio.run(kind("http://far.example/v1")) is PlainTransport
