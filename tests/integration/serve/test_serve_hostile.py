"""Callers who mean harm, against a real gateway over real sockets. Where a published weakness of another system has the
same shape, the test names it. What holds throughout: a 4xx or nothing at all, never a 5xx, and the gateway lives on."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyreqwest.client import SyncClientBuilder

from kedge.serve.gateway.routes import OPEN, ROUTES

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HOST = b"host: words\r\n"

pytestmark = pytest.mark.slow


class Target:
    """A gateway under attack."""

    def __init__(self, line: Any, served: Any) -> None:
        self.project = line.project
        self.served = served
        self.secret = line.secret
        self.port = int(served.url.rsplit(":", 1)[1])
        self.client = SyncClientBuilder().no_proxy().build()

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """A request as a client makes it, with a key."""
        request = self.client.request(method, self.served.url + path).body_bytes(body)
        for name, value in {"authorization": f"Bearer {self.secret}", **headers}.items():
            request = request.header(name.replace("_", "-"), value)
        response = request.build().send()
        return response.status, bytes(response.bytes())

    def post(self, path: str, body: Any) -> tuple[int, bytes]:
        """A body as JSON; bytes as they are."""
        return self.send("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())

    def raw(self, data: bytes, *, seconds: float = 10.0, half: bool = False) -> bytes:
        """What comes back for these bytes until the other side closes or says no more for a moment."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=seconds)) as connection:
            got = b""
            try:
                connection.sendall(data)
                if half:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    got += piece
                    connection.settimeout(0.5)
            except (TimeoutError, ConnectionError):
                pass
            return got

    @property
    def key(self) -> bytes:
        """The header with the key."""
        return f"authorization: Bearer {self.secret}\r\n".encode()

    def check(self) -> None:
        """It answers as ever, by the engine it had."""
        status, body = self.post(CHAT, {"model": "words", "messages": [{"role": "user", "content": "still there"}]})
        assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "first still there")
        assert self.served.process.poll() is None


def statuses(answer: bytes) -> list[int]:
    """The status of each response in what came over a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, make_line: Any, serve: Any) -> Iterator[Target]:
    more = "\n[gateway]\nrequest_seconds = 3.0\nmax_body_bytes = 200000\n"
    with make_line(tmp_path_factory.mktemp("project"), more) as line:
        line.promote(line.echo("first"))
        with serve(line.project) as served:
            yield Target(line, served)


@pytest.fixture
def target(opened: Target) -> Iterator[Target]:
    """The gateway, which must be well afterwards."""
    yield opened
    opened.check()


# Who may call what.


def test_every_route_but_the_open_ones_wants_a_key_like_cve_2026_2614(target: Target) -> None:
    for path, route in ROUTES.items():
        status, body = target.send(route.method, path, b"{}", authorization="Bearer kdg_" + "x" * 43)
        assert status == 401, path
        assert b"sha256" not in body
    assert all(target.send("GET", path, authorization="")[0] == 200 for path in OPEN)


@pytest.mark.parametrize(
    "key",
    [
        "' OR 1=1 --",
        "kdg_'; DROP TABLE keys; --",
        "kdg_" + "a" * 10_000,
        "kdg_\\x00",
        "Basic YWRtaW46YWRtaW4=",
        'kdg_" OR ""="',
        "kdg_%27%20OR%201%3D1",
        "../../etc/passwd",
    ],
)
def test_a_key_with_the_signs_of_sql_is_only_wrong_like_cve_2026_42208(target: Target, key: str) -> None:
    assert target.send("GET", "/v1/models", authorization=f"Bearer {key}")[0] == 401
    assert target.send("GET", "/v1/models", authorization=key)[0] == 401


@pytest.mark.parametrize(
    "field",
    [
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "extra_headers",
        "user_config",
        "mock_response",
        "__class__",
    ],
)
def test_a_caller_cannot_say_where_a_request_goes_like_cve_2024_6587(target: Target, field: str) -> None:
    body = {"model": "words", "messages": [{"role": "user", "content": "x"}], field: "http://169.254.169.254/"}
    status, said = target.post(CHAT, body)
    assert (status, json.loads(said)["error"]["code"]) == (400, "unsupported_parameter")


# Paths.


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../../etc/passwd",
        "/v1/models/%2e%2e/%2e%2e/etc/passwd",
        "/v1/models/%252e%252e%252fetc%252fpasswd",
        "/v1/models/..%c0%af..%c0%afetc/passwd",
        "/v1/models/words;/../admin",
        "/v1/models/words%00.json",
        "/v1/models/words%0d%0aset-cookie:%20a=b",
        "/v1//models",
        "/V1/MODELS",
        "/v1/models/",
        "/v2/models//infer",
        "/v2/models/words/versions/../infer",
        "/v2/models/words/versions/1e9/ready",
        "/metrics/../v1/models",
        "//v1/models",
        "/" + "a" * 8000,
        "/v1/models/" + "%41" * 2000,
    ],
)
def test_no_path_leads_anywhere_but_to_the_routes_like_cve_2024_3848(target: Target, path: str) -> None:
    answer = target.raw(b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + target.key + b"connection: close\r\n\r\n")
    assert all(400 <= status < 500 for status in statuses(answer)), answer[:200]
    assert b"root:" not in answer
    assert b"set-cookie" not in answer.split(b"\r\n\r\n")[0].lower()


def test_no_page_of_another_origin_can_read_an_answer(target: Target) -> None:
    request = b"OPTIONS /v1/models HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\n"
    answer = target.raw(request + b"access-control-request-method: GET\r\nconnection: close\r\n\r\n")
    assert statuses(answer) in ([401], [405])
    assert b"access-control" not in answer.lower()


# The framing of requests.


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: +5\r\n",
        b"content-length: -1\r\n",
        b"content-length: 5,5\r\n",
        b"content-length: 0x5\r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding : chunked\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"content-length: 5\r\n folded: yes\r\n",
        b"content-length\x00: 5\r\n",
    ],
)
def test_a_request_of_unclear_length_never_hides_a_second_one(target: Target, framing: bytes) -> None:
    hidden = b"GET /metrics HTTP/1.1\r\n" + HOST + target.key + b"\r\n"
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key + framing + b"\r\n"
    answer = target.raw(head + b"0\r\n\r\n" + hidden, half=True)
    assert b"kedge_requests" not in answer
    assert all(status < 500 for status in statuses(answer)), answer[:300]


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n",
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"2;ext=" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_broken_chunks_are_refused_or_waited_for(target: Target, body: bytes) -> None:
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key + b"transfer-encoding: chunked\r\n\r\n"
    assert all(400 <= status < 500 for status in statuses(target.raw(head + body, half=True)))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://169.254.169.254/latest HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"* * *\r\n\r\n",
    ],
)
def test_what_is_no_request_is_not_answered_as_one(target: Target, start: bytes) -> None:
    assert all(status < 500 for status in statuses(target.raw(start, half=True)))


def test_headers_without_end_are_cut_off(target: Target) -> None:
    one = b"x-filler: " + b"a" * 100_000 + b"\r\n"
    answer = target.raw(b"GET /health HTTP/1.1\r\n" + HOST + one * 20 + b"\r\n")
    assert statuses(answer) in ([431], [400], [])
    many = b"".join(b"x-%d: 1\r\n" % i for i in range(50_000))
    assert all(status < 500 for status in statuses(target.raw(b"GET /health HTTP/1.1\r\n" + HOST + many + b"\r\n")))


def test_a_body_that_comes_drop_by_drop_is_given_up(target: Target) -> None:
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key + b"content-length: 1000\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", target.port), timeout=20)) as connection:
        connection.sendall(head + b"{")
        answer = connection.recv(65536)  # well before twenty seconds
    assert statuses(answer) in ([408], [])


def test_a_hundred_connections_that_say_nothing_stop_nobody(target: Target) -> None:
    idle = [socket.create_connection(("127.0.0.1", target.port), timeout=5) for _ in range(100)]
    for connection in idle:
        connection.sendall(b"POST " + CHAT.encode() + b" HTTP/1.1\r\nhost: x\r\n")
    target.check()
    for connection in idle:
        connection.close()


# Bodies.


@pytest.mark.parametrize("depth", [100, 10_000, 90_000])
@pytest.mark.parametrize("place", ['{"metadata":%s}', '{"model":%s}', '{"logit_bias":%s}', "%s"])
def test_json_nested_however_deep_is_refused(target: Target, place: str, depth: int) -> None:
    for opened, closed in (("[", "]"), ('{"a":', "}")):
        inner = opened * min(depth, 180_000 // len(opened)) + "1" + closed * min(depth, 180_000 // len(opened))
        status, _ = target.post(CHAT, (place % inner).encode()[:199_999])
        assert status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{\x00}\x00",
        b'{"model":"words","messages":[{"role":"user","content":"\xc0\xaf"}]}',
        b'{"model":"words","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"model":"words","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"words","model":"words","messages":[]}',
        b'{"model":"words","messages":[],"temperature":NaN}',
        b'{"model":"words","messages":[],"temperature":1e999}',
        b'{"model":"words","messages":[],"max_tokens":' + b"9" * 5000 + b"}",
        b'{"model":"words"}{"model":"words"}',
        b"null",
        b"\x00",
        b"",
    ],
)
def test_what_is_no_clean_json_is_refused(target: Target, body: bytes) -> None:
    assert target.post(CHAT, body)[0] == 400


def test_a_pickle_is_bytes_like_any_other_like_cve_2025_27520(target: Target, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (canary,))

    for kind in ("application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream"):
        assert target.send("POST", CHAT, pickle.dumps(Bomb()), content_type=kind)[0] == 400
    assert not canary.exists()


def test_a_form_with_an_endless_boundary_costs_nothing_like_cve_2024_9056(target: Target) -> None:
    kind = "multipart/form-data; boundary=" + "-" * 4000
    before = time.process_time()
    assert target.send("POST", CHAT, b"--" + b"-" * 150_000, content_type=kind)[0] == 400
    assert time.process_time() - before < 5


def test_a_compressed_bomb_is_not_unpacked(target: Target) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    assert target.send("POST", CHAT, bomb, content_encoding="gzip")[0] in (400, 415)


def test_a_body_larger_than_is_taken_is_refused_before_it_is_read(target: Target) -> None:
    assert target.post(CHAT, b"x" * 200_001)[0] == 413
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key + b"content-length: 9000000000\r\n\r\n"
    assert statuses(target.raw(head + b"{}")) == [413]


# What is asked of the model.


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (CHAT, {"n": 10**9}),
        (CHAT, {"n": 9}),
        (CHAT, {"max_tokens": 10**15}),
        (CHAT, {"max_completion_tokens": 2**63}),
        (CHAT, {"logprobs": True, "top_logprobs": 10**6}),
        (CHAT, {"stop": ["x"] * 1000}),
        (CHAT, {"stop": "x" * 100_000}),
        (CHAT, {"logit_bias": {str(i): 1 for i in range(5000)}}),
        (CHAT, {"logit_bias": {"9" * 400: 1}}),
        (CHAT, {"tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(1000)]}),
        (TEXT, {"best_of": 1000}),
        (TEXT, {"n": 4, "prompt": ["a", "b", "c"]}),
        (TEXT, {"prompt": ["a"] * 10_000}),
        (TEXT, {"prompt": [2**40]}),
        ("/v1/embeddings", {"input": ["a"] * 10_000}),
        ("/v1/responses", {"max_output_tokens": 10**12}),
    ],
)
def test_what_would_take_too_much_is_refused_at_once(target: Target, path: str, wrong: dict[str, Any]) -> None:
    base = {"model": "words", CHAT: "messages", TEXT: "prompt"}
    body: dict[str, Any] = {"model": base["model"], **wrong}
    if path == CHAT:
        body["messages"] = [{"role": "user", "content": "x"}]
    body.setdefault({TEXT: "prompt", CHAT: "messages"}.get(path, "input"), "x")
    assert target.post(path, body)[0] == 400


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7 * 7 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "${7*7} #{7*7} <%= 7*7 %>",
        "{{ config.__class__.__init__.__globals__ }}",
    ],
)
def test_a_template_in_a_message_is_only_text_like_cve_2026_42203(target: Target, text: str) -> None:
    status, body = target.post(CHAT, {"model": "words", "messages": [{"role": "user", "content": text}]})
    assert status == 200
    assert json.loads(body)["choices"][0]["message"]["content"].split() == ["first", *text.split()]


def test_a_prompt_of_one_endless_word_is_answered_or_refused(target: Target) -> None:
    assert target.post(TEXT, {"model": "words", "prompt": "a" * 190_000})[0] in (200, 400)


@pytest.mark.parametrize("path", [CHAT, TEXT, "/v1/responses", "/v1/embeddings", "/v2/models/words/infer"])
def test_errors_tell_nothing_of_the_inside_like_cve_2026_22778(target: Target, path: str) -> None:
    for body in (b"{", b"[]", b'{"model":1}', b'{"model":"words","messages":{}}', b'{"inputs":[{"name":{}}]}'):
        status, said = target.post(path, body)
        assert 400 <= status < 500
        assert not re.search(rb"0x[0-9a-f]{6,}|Traceback|/site-packages/|\.py\b", said)


# Callers who do not behave.


def test_streams_that_are_abandoned_free_the_engine(target: Target) -> None:
    words = " ".join(["word"] * 200)
    body = json.dumps({"model": "words", "stream": True, "messages": [{"role": "user", "content": words}]}).encode()
    head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key
    for _ in range(50):
        with closing(socket.create_connection(("127.0.0.1", target.port), timeout=10)) as connection:
            connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            connection.recv(100)
    deadline = time.monotonic() + 30
    while b"kedge_requests_in_flight 0" not in target.send("GET", "/metrics")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def _burst(target: Target, count: int) -> list[int]:
    async def one(i: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        body = b'{"model":"words","messages":[{"role":"user","content":"%d"}]}' % i
        head = b"POST " + CHAT.encode() + b" HTTP/1.1\r\n" + HOST + target.key + b"connection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
        writer.close()
        return statuses(answer)[0]

    return await asyncio.gather(*(one(i) for i in range(count)))


def test_more_callers_than_are_taken_get_an_answer_or_a_time_to_come_again(target: Target) -> None:
    assert set(asyncio.run(_burst(target, 400))) <= {200, 429}


def test_requests_sent_without_waiting_are_answered_in_order(target: Target) -> None:
    one = b"GET /v1/models/words HTTP/1.1\r\n" + HOST + target.key + b"\r\n"
    other = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = target.raw((one + other) * 10)
    assert statuses(answer) == [200] * 20
    assert answer.index(b'"id":"words"') < answer.index(b'"status":"ok"')
