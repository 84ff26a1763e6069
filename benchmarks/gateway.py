"""What a gateway costs on top of the model behind it: kedge with everything on, beside other gateways.

    python benchmarks/gateway.py [--seconds 5] [--rounds 3] [--rivals nginx,mlflow,litellm,portkey] [--venvs FOLDER]

One mock upstream speaks the OpenAI API and answers at once; each gateway stands before it, one at a time, and callers
on 1, 16 and 64 connections ask it as fast as it answers. CPU is the user and system time of the gateway's process tree,
without the mock and the callers, by request. kedge runs with key check, budgets of a key and its tenant, cache look-up,
guards on the way in and out, routing, receipt and trace on; nginx only passes bytes on; what the others do is printed
with their figures. `in process` is kedge with an engine that answers at once in its own process: the gateway alone.

A rival that is not installed is left out: nginx is looked for on the PATH, the others in FOLDER/gw-NAME-venv and
FOLDER/gw-portkey. Exits 1 if kedge misses a target: 8 times nginx, a fifth of MLflow, a fiftieth of LiteLLM, cache hits
below nginx plus upstream, 120 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from kedge.app.initialise import initialise
from kedge.app.keys import create
from kedge.app.project import open_project
from kedge.core.access import Allowance, Scope, Terms
from kedge.core.bundle import Bundle
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest
from kedge.core.release import Endpoint, Release, Role
from kedge.core.settings import CacheSettings, EndpointSettings, GatewaySettings, Prices
from kedge.core.spec import Spec
from kedge.govern.keys import hash_key
from kedge.serve.answers import Answering
from kedge.serve.gateway.parts import assemble
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.run import Ready, run_gateway
from kedge.serve.launch import Launcher
from kedge.store.traces.open import open_sink

CONNECTIONS = (1, 16, 64)
CHUNKS = 50
WORDS = "The anchor is set ahead and the ship is hauled up to it, one line at a time and never cut."
MODEL = "mock"
DIGEST = "sha256:" + "1" * 64
GUARDS = ("pii", "secrets", "injection")
DOES = {
    "kedge": "key, budgets of key and tenant, cache look-up, 3 guards in and 2 out, routing, receipt, trace",
    "kedge, in process": "the same, without an upstream",
    "kedge, cache hit": "the same, answered from the exact cache",
    "nginx": "passes bytes on",
    "mlflow": "one provider, no key, no trace",
    "litellm": "one provider, master key, no database",
    "portkey": "one provider by headers, no key check, no log",
}


# The mock upstream.


def completion(text: str) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    return json.dumps({**body, "choices": [choice], "usage": usage}).encode()


def events() -> bytes:
    """The same as a stream of chunks in one piece."""
    words = [f"word{i} " for i in range(CHUNKS)]
    parts: list[dict[str, Any]] = []
    for i, word in enumerate(words):
        delta = {"role": "assistant", "content": word} if i == 0 else {"content": word}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        parts.append({"choices": [choice]})
    parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    parts.append({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 70}})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    sent = [b"data: " + json.dumps({**head, **part}).encode() + b"\n\n" for part in parts] + [b"data: [DONE]\n\n"]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in sent) + b"0\r\n\r\n"


BODY, EVENTS = completion(WORDS), events()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + EVENTS


class Mock(asyncio.Protocol):
    """Answers every request at once: with a stream if its body asks for one."""

    def connection_made(self, transport: Any) -> None:
        """Somebody is there."""
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """A request, or a piece of it."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < end + 4 + size:
                if b"100-continue" in head:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = self._data[end + 4 : end + 4 + size]
            self._data = self._data[end + 4 + size :]
            streams = b'"stream":true' in body.replace(b" ", b"")
            self._transport.write(STREAM if streams else WHOLE)


def serve_mock(port: int) -> None:
    """The mock, until it is ended."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(main())


# kedge.


class Instant:
    """An engine that answers at once, in this process."""

    facts = EngineFacts(name="instant")
    healthy = True
    waiting = 0

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """All of it."""
        answering = Answering([request.id for request in requests], lambda ids: None)
        asyncio.get_running_loop().call_soon(self._answer, answering, requests)
        return answering

    def _answer(self, answering: Answering, requests: Sequence[GenerationRequest]) -> None:
        for request in requests:
            answering.put(
                GenerationEvent(id=request.id, text=WORDS, finish="stop", prompt_tokens=20, completion_tokens=20)
            )

    async def close(self) -> None:
        """Nothing."""


def serve_kedge(port: int, upstream: str, folder: Path, *, cache: bool) -> None:
    """A gateway with everything on, until it is ended."""
    initialise(folder)
    project = open_project(folder)
    allowance = Allowance(requests_per_minute=10**9, tokens_per_minute=10**12, tokens=10**14, money=10**8)
    terms = Terms(tenant="acme", models=("words",), allowance=allowance)
    created = create(project, "bench", scopes=[Scope.ASK], terms=terms)
    (folder / "key").write_text(created.secret)
    release = Release(
        id=1, endpoint="api", model="words", version=1, bundle=DIGEST, role=Role.STABLE, share=1.0,
        at=datetime.now(UTC), by="user:bench",
    )  # fmt: skip
    engine = Spec(name="openai", args={"url": upstream, "model": MODEL}) if upstream else Spec(name="instant")
    bundle = Bundle(model=DIGEST, engine=engine)

    async def launch(digest: str) -> Running:
        if not upstream:
            return Running(digest=digest, bundle=bundle, engine=Instant())
        _, pool = await Launcher(unpack=lambda _: (bundle, folder)).launch(digest)
        return Running(digest=digest, bundle=bundle, engine=pool)

    sink = open_sink(project.config.store.traces)
    ports = Ports(
        current=lambda: {Role.STABLE: release},
        launch=launch,
        hash_key=partial(_hash, secret=project.secret),
        find_key=project.ledger.keys.find,
        beat=project.ledger.releases.beat,
        traces=sink,
        usage=project.ledger.usage,
        clock=project.clock,
    )
    project.ledger.releases.bind(Endpoint(name="api", model="words", alias="production"))
    serving = EndpointSettings(
        model="words",
        cache=CacheSettings(mode="exact" if cache else "off"),
        prices=Prices(prompt=1.0, completion=2.0),
        guards=tuple(Spec(name=name) for name in GUARDS),
    )
    tenants = {"acme": Allowance(tokens=10**14, money=10**8)}
    options = GatewayOptions(
        endpoint="api", model="words", secret=project.secret, serving=serving, tenants=tenants,
        settings=GatewaySettings(poll_seconds=1.0),
    )  # fmt: skip
    run_gateway(assemble(options, ports), host="127.0.0.1", port=port, ready=_say)
    sink.close()


def _hash(key: str, *, secret: bytes) -> str:
    return hash_key(key, secret)


def _say(ready: Ready) -> None:
    print("ready", flush=True)


# Callers.


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What callers got: requests answered, errors, seconds and latencies in milliseconds."""

    done: int
    errors: int
    seconds: float
    p50: float
    p99: float


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, next: Callable[[], bytes | None], took: list[float], bad: list[bytes]) -> None:
        self._next = next
        self._took = took
        self._bad = bad
        self._data = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        request = self._next()
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of it."""
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        at = head.find(b"content-length:")
        if at >= 0:
            size = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + size:
                return
        elif not self._data.endswith(b"0\r\n\r\n"):
            return
        self._took.append(time.perf_counter() - self._began)
        if not self._data.startswith(b"HTTP/1.1 200"):
            self._bad.append(self._data[:300])
        self._data = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """No more is asked."""
        if not self.ended.done():
            self.ended.set_result(None)


async def load(port: int, make: Callable[[int], bytes], connections: int, seconds: float) -> Load:
    """Ask on so many connections for so many seconds."""
    took: list[float] = []
    bad: list[bytes] = []
    began = time.perf_counter()
    count = iter(range(10**9))

    def next_request() -> bytes | None:
        return make(next(count)) if time.perf_counter() - began < seconds else None

    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: Caller(next_request, took, bad), "127.0.0.1", port)
        callers.append(caller)
    await asyncio.gather(*(caller.ended for caller in callers))
    elapsed = time.perf_counter() - began
    if bad:
        print(f"  an error: {bad[0][:200]!r}", file=sys.stderr)
    ordered = sorted(took) or [0.0]
    return Load(
        done=len(took),
        errors=len(bad),
        seconds=elapsed,
        p50=1000 * ordered[len(ordered) // 2],
        p99=1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
    )


def requests(path: str, model: str, headers: dict[str, str], *, stream: bool, same: bool) -> Callable[[int], bytes]:
    """What callers send: each request another prompt, or all the same."""
    base = time.time_ns() % 10**9
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def make(number: int) -> bytes:
        said = f"Say in one sentence what an anchor is for. {0 if same else base + number}"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": said}], "temperature": 0}
        body |= {"model": model} if model else {}
        body |= {"stream": True} if stream else {}
        data = json.dumps(body, separators=(",", ":")).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{lines}"
        return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data

    return make


# Processes.


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return list(dict.fromkeys(found))


def cpu(pid: int) -> float:
    """Seconds of CPU that a process tree has used."""
    ticks = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> float:
    """Megabytes that a process tree holds."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def started(command: Sequence[str], port: int, path: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers on its port, ended afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    try:
        _wait(process, port, path)
        yield process
    finally:
        below = tree(process.pid) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        for each in below[1:]:
            if Path(f"/proc/{each}").exists():
                os.kill(each, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise SystemExit(f"{process.args!r} ended: {process.stderr.read()[-2000:].decode(errors='replace')}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args!r} does not answer")


def speed() -> float:
    """Millions of small steps that this interpreter does in a second: builds of one version differ."""
    begin = "class Thing:\n  __slots__ = ('x',)\n  def __init__(self, x): self.x = x\n  def read(self, y): return self.x + y\nd = {}"
    took = min(timeit.repeat("d[Thing(1).read(2)] = f'{len(d)}-{3}'.startswith('9')", begin, number=200_000, repeat=5))
    return 0.2 / took


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# Gateways.


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One that stands before the mock."""

    name: str
    command: Sequence[str]
    port: int
    ready: str
    path: str = "/v1/chat/completions"
    model: str = MODEL
    headers: Callable[[], dict[str, str]] = dict
    same: bool = False
    environment: dict[str, str] | None = None


def gateways(mock: int, folder: Path, venvs: Path, rivals: Sequence[str]) -> list[Gateway]:
    """kedge in its three forms, and the rivals that are there."""
    found = [
        _kedge("kedge", mock, folder),
        _kedge("kedge, in process", 0, folder),
        _kedge("kedge, cache hit", mock, folder),
    ]
    makers = {"nginx": _nginx, "mlflow": _mlflow, "litellm": _litellm, "portkey": _portkey}
    for name in rivals:
        rival = makers[name](mock, folder, venvs)
        if rival is None:
            print(f"{name} is not installed and is left out", file=sys.stderr)
        else:
            found.append(rival)
    return found


def _kedge(name: str, mock: int, folder: Path) -> Gateway:
    port, home = free_port(), folder / name.replace(", ", "-").replace(" ", "-")
    home.mkdir()
    upstream = f"http://127.0.0.1:{mock}/v1" if mock else ""
    command = [sys.executable, __file__, "--serve", str(port), "--upstream", upstream, "--home", str(home)]
    return Gateway(
        name=name,
        command=command,
        port=port,
        ready="/health",
        model="words",
        headers=lambda: {"authorization": f"Bearer {(home / 'key').read_text()}"},
        same=name.endswith("hit"),
    )


def _nginx(mock: int, folder: Path, venvs: Path) -> Gateway | None:
    binary = shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if Path(p).exists()), None)
    if binary is None:
        return None
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;"
        f"events {{ worker_connections 1024; }} http {{ access_log off; client_body_temp_path {folder}/body;"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;"
        f"scgi_temp_path {folder}/s; keepalive_requests 100000000;"
        f"upstream mock {{ server 127.0.0.1:{mock}; keepalive 128; keepalive_requests 100000000; }}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;"
        f"proxy_set_header Connection ''; proxy_buffering off; }} }} }}"
    )
    return Gateway(name="nginx", command=[binary, "-c", str(file)], port=port, ready="/")


def _mlflow(mock: int, folder: Path, venvs: Path) -> Gateway | None:
    binary = venvs / "gw-mlflow-venv/bin/mlflow"
    if not binary.exists():
        return None
    port, file = free_port(), folder / "mlflow.yaml"
    model = {
        "provider": "openai",
        "name": MODEL,
        "config": {"openai_api_key": "x", "openai_api_base": f"http://127.0.0.1:{mock}/v1"},
    }
    endpoint = {"name": "chat", "endpoint_type": "llm/v1/chat", "model": model}
    file.write_text(json.dumps({"endpoints": [endpoint]}))
    command = [str(binary), "gateway", "start", "--config-path", str(file), "--port", str(port), "--workers", "1"]
    path = "/gateway/chat/invocations"
    environment = {**os.environ, "PATH": f"{binary.parent}:{os.environ['PATH']}"}
    return Gateway(
        name="mlflow", command=command, port=port, ready="/health", path=path, model="", environment=environment
    )


def _litellm(mock: int, folder: Path, venvs: Path) -> Gateway | None:
    binary = venvs / "gw-litellm-venv/bin/litellm"
    if not binary.exists():
        return None
    port, file = free_port(), folder / "litellm.yaml"
    settings = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{mock}/v1", "api_key": "x"}
    models = [{"model_name": MODEL, "litellm_params": settings}]
    file.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": "sk-bench"}}))
    command = [str(binary), "--config", str(file), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    environment = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    return Gateway(
        name="litellm",
        command=command,
        port=port,
        ready="/health/liveliness",
        headers=lambda: {"authorization": "Bearer sk-bench"},
        environment=environment,
    )


def _portkey(mock: int, folder: Path, venvs: Path) -> Gateway | None:
    script = venvs / "gw-portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    node = shutil.which("node")
    if node is None or not script.exists():
        return None
    port = free_port()
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{mock}/v1",
        "authorization": "Bearer x",
    }
    return Gateway(
        name="portkey",
        command=[node, str(script), f"--port={port}", "--headless"],
        port=port,
        ready="/",
        headers=lambda: headers,
        environment={**os.environ, "TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1"},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One gateway at one number of connections: medians over the rounds. CPU in microseconds a request."""

    gateway: str
    stream: bool
    connections: int
    rate: float
    cpu: float
    p50: float
    p99: float
    errors: int


def measure(gateway: Gateway, *, seconds: float, rounds: int) -> tuple[list[Figures], float]:
    """Every figure of one gateway, and its memory afterwards."""
    figures = []
    with started(gateway.command, gateway.port, gateway.ready, env=gateway.environment) as process:
        for stream in (False, True):
            make = requests(gateway.path, gateway.model, gateway.headers(), stream=stream, same=gateway.same)
            uvloop.run(load(gateway.port, make, 4, min(1.0, seconds)))  # warm
            for connections in CONNECTIONS:
                taken = []
                for _ in range(rounds):
                    before = cpu(process.pid)
                    got = uvloop.run(load(gateway.port, make, connections, seconds))
                    taken.append((got, 1e6 * (cpu(process.pid) - before) / max(1, got.done)))
                figures.append(
                    Figures(
                        gateway=gateway.name,
                        stream=stream,
                        connections=connections,
                        rate=statistics.median(got.done / got.seconds for got, _ in taken),
                        cpu=statistics.median(used for _, used in taken),
                        p50=statistics.median(got.p50 for got, _ in taken),
                        p99=statistics.median(got.p99 for got, _ in taken),
                        errors=sum(got.errors for got, _ in taken),
                    )
                )
                show(figures[-1])
        return figures, rss(process.pid)


def show(each: Figures) -> None:
    """One line of the table."""
    kind = f"stream of {CHUNKS}" if each.stream else "whole"
    print(
        f"{each.gateway:18} {kind:12} {each.connections:3} connections {each.rate:9.0f}/s {each.cpu:8.1f} us CPU"
        f"  p50 {each.p50:8.2f} ms  p99 {each.p99:8.2f} ms" + (f"  {each.errors} ERRORS" if each.errors else ""),
        flush=True,
    )


def main() -> int:
    """Measure all, and judge."""
    options = _options()
    if options.mock:
        serve_mock(options.mock)
        return 0
    if options.serve:
        serve_kedge(options.serve, options.upstream, Path(options.home), cache=True)
        return 0
    mock = free_port()
    found: dict[tuple[str, bool, int], Figures] = {}
    memory: dict[str, float] = {}
    upstream = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started([sys.executable, __file__, "--mock", str(mock)], mock, "/") as process:
            make = requests("/", MODEL, {}, stream=False, same=True)
            before = cpu(process.pid)
            got = uvloop.run(load(mock, make, 16, options.seconds))
            upstream = 1e6 * (cpu(process.pid) - before) / got.done
            print(f"Python {sys.version.split()[0]}, {speed():.1f} million small steps a second")
            print(f"the mock alone: {got.done / got.seconds:.0f}/s, {upstream:.1f} us CPU, p50 {got.p50:.2f} ms")
            for gateway in gateways(mock, folder, Path(options.venvs), options.rivals):
                print(f"\n{gateway.name}: {DOES[gateway.name]}")
                figures, held = measure(gateway, seconds=options.seconds, rounds=options.rounds)
                memory[gateway.name] = held
                found |= {(each.gateway, each.stream, each.connections): each for each in figures}
                print(f"{gateway.name:18} {held:.0f} MB")
    return judge(found, memory, upstream)


def judge(found: dict[tuple[str, bool, int], Figures], memory: dict[str, float], upstream: float) -> int:
    """Say how kedge stands beside each target; 1 if one is missed."""
    missed = 0
    print()

    def say(what: str, value: float, most: float) -> None:
        nonlocal missed
        missed += value > most
        print(f"{'ok    ' if value <= most else 'MISSED'} {what}: {value:.2f}, at most {most:.2f}")

    for connections in CONNECTIONS:
        ours = found["kedge", False, connections].cpu
        for name, factor in (("nginx", 8.0), ("mlflow", 1 / 5), ("litellm", 1 / 50), ("portkey", 1.0)):
            rival = found.get((name, False, connections))
            if rival is not None:
                say(f"CPU of kedge beside {name}, {connections} connections", ours / rival.cpu, factor)
        nginx = found.get(("nginx", False, connections))
        if nginx is not None:
            hit = found["kedge, cache hit", False, connections].cpu
            say(f"a cache hit beside nginx and upstream, {connections} connections", hit, nginx.cpu + upstream)
    say("memory of kedge in MB", memory["kedge"], 120.0)
    return int(missed > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rivals", type=lambda text: [each for each in text.split(",") if each], default="nginx,mlflow,litellm,portkey"
    )
    parser.add_argument("--venvs", default=".")
    parser.add_argument("--mock", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", default="", help=argparse.SUPPRESS)
    parser.add_argument("--home", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if isinstance(options.rivals, str):
        options.rivals = options.rivals.split(",")
    return options


if __name__ == "__main__":
    sys.exit(main())
