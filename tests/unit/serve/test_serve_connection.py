"""HTTP on a socket: what is read, what is refused, and in what order answers go out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import Gone
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.server import HttpServer


class Answers:
    """Answers with what was asked; a path says how."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.held = asyncio.Event()
        self.waits = asyncio.Event()
        self.failed: list[KedgeError] = []

    def fail(self, error: KedgeError) -> None:
        """What ends an answer when its caller goes away."""
        self.failed.append(error)
        self.held.set()

    async def __call__(self, exchange: Exchange) -> None:
        body = await exchange.body(limit=1000, seconds=1)
        self.seen.append((exchange.method, exchange.path, body))
        if exchange.path == "/held":
            exchange.aim(self)
            self.waits.set()
            await self.held.wait()
        if exchange.path == "/stream":
            await exchange.begin(200, [JSON])
            for part in (b"one", b"two"):
                await exchange.part(part)
            await exchange.end()
            return
        if exchange.path == "/large":
            await exchange.begin(200, [JSON])
            while True:
                await exchange.part(b"x" * 100_000)
        await exchange.reply(200, body or b"nothing", [JSON])


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Answers], Awaitable[None]]


def talk(act: Talk, *, seconds: float = 60.0, drain: float = 5.0) -> Answers:
    """Run `act` on one connection to a server, which is stopped afterwards."""

    async def main() -> Answers:
        answers = Answers()
        server = HttpServer(answers, most_bytes=1000, seconds=seconds)
        listener = socket.create_server(("127.0.0.1", 0))
        ready = asyncio.Event()
        serving = asyncio.create_task(server.serve(listener, ready=ready.set, drain=drain))
        await ready.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(30):
            await act(reader, writer, answers)
            writer.close()
            server.stop()
            await serving
        return answers

    return asyncio.run(main())


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def exchange(sent: bytes, answers: int = 1, **more: float) -> tuple[list[tuple[bytes, bytes]], Answers]:
    """Send bytes, and read so many answers."""
    got: list[tuple[bytes, bytes]] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        writer.write(sent)
        got.extend([await read_answer(reader) for _ in range(answers)])

    return got, talk(act, **more)


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def test_a_request_is_answered_with_its_name_and_a_date() -> None:
    (answer,), _ = exchange(post("/a%20b?c=d", b"hello"))
    head, body = answer
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-request-id: " in head
    assert b"date: " in head
    assert b"connection" not in head
    assert body == b"hello"


def test_the_path_is_read_without_query_and_escapes() -> None:
    _, answers = exchange(post("/a%20b?c=d", b"") + post("http://other/c", b"") + post("/d/%2e%2e", b""), 3)
    assert [path for _, path, _ in answers.seen] == ["/a b", "/c", "/d/.."]


def test_requests_sent_together_are_answered_in_order() -> None:
    got, _ = exchange(b"".join(post("/", b"%d" % number) for number in range(40)), 40)
    assert [body for _, body in got] == [b"%d" % number for number in range(40)]


def test_a_request_in_small_pieces_is_put_together() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        for byte in post("/path", b"body"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await read_answer(reader))[1] == b"body"

    assert talk(act).seen == [("POST", "/path", b"body")]


def test_a_stream_goes_out_in_chunks_and_the_connection_lives_on() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        writer.write(post("/stream", b"") + post("/next", b"x"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert (await read_answer(reader))[1] == b"x"

    talk(act)


def test_an_old_client_gets_no_chunks_and_the_end_of_the_connection() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        writer.write(b"GET /stream HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        assert b"connection: close" in answer
        assert answer.endswith(b"\r\n\r\nonetwo")

    talk(act)


def test_a_head_request_gets_no_body() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"content-length: 7\r\n\r\n")

    talk(act)


def test_a_caller_who_waits_to_be_asked_for_the_body_is_asked() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        whole = post("/", b"hello", "expect: 100-continue")
        writer.write(whole.removesuffix(b"hello"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await read_answer(reader))[1] == b"hello"

    talk(act)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no HTTP at all\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (post("/", b"x" * 1001), 413),
        (CHUNKED + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", 413),
        (CHUNKED + b"200\r\n" + b"x" * 512 + b"\r\n200\r\n" + b"x" * 512 + b"\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_after_it_is_believed(sent: bytes, status: int) -> None:
    got, answers = exchange(sent + b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n")
    assert got[0][0].startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in got[0][0]
    assert answers.seen == []


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    got, answers = exchange(post("/", b"hello")[:-2], seconds=0.05)
    assert got[0][0].startswith(b"HTTP/1.1 408 ")
    assert answers.seen == []


def test_an_answer_whose_caller_goes_away_is_told_so() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers) -> None:
        writer.write(post("/held", b""))
        await answers.waits.wait()
        writer.close()
        await answers.held.wait()

    answers = talk(act)
    assert isinstance(answers.failed[0], Gone)


def test_a_caller_who_does_not_read_stops_the_answer_and_leaving_ends_it() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Answers) -> None:
        writer.write(post("/large", b""))
        await reader.readexactly(1_000_000)
        writer.transport.abort()

    assert talk(act).seen == [("POST", "/large", b"")]  # it ended, as the server did not wait for it


def test_a_stop_lets_the_answer_under_way_finish_and_closes_the_connection() -> None:
    async def main() -> None:
        answers = Answers()
        server = HttpServer(answers, most_bytes=1000, seconds=60)
        listener = socket.create_server(("127.0.0.1", 0))
        ready = asyncio.Event()
        serving = asyncio.create_task(server.serve(listener, ready=ready.set, drain=30))
        await ready.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(post("/held", b"last"))
        await answers.waits.wait()
        server.stop()
        await asyncio.sleep(0)
        answers.held.set()
        head, body = await read_answer(reader)
        assert (body, b"connection: close" in head) == (b"last", True)
        assert await reader.read() == b""
        await serving
        writer.close()

    asyncio.run(main())


def test_a_second_stop_gives_up_what_is_under_way() -> None:
    async def main() -> None:
        answers = Answers()
        server = HttpServer(answers, most_bytes=1000, seconds=60)
        listener = socket.create_server(("127.0.0.1", 0))
        ready = asyncio.Event()
        serving = asyncio.create_task(server.serve(listener, ready=ready.set, drain=30))
        await ready.wait()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(post("/held", b"last"))
        await answers.waits.wait()
        server.stop()
        server.stop()
        assert await reader.read() == b""
        await serving
        writer.close()

    asyncio.run(main())
