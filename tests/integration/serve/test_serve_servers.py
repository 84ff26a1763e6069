"""Servers of other makers as engines: asked over HTTP with retries and a key, or started here and watched over.

What stands in for them is a process of its own that speaks their API and takes their command lines.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kedge.app.steps.bundle import BundleOptions
from kedge.app.steps.upstream import UpstreamOptions
from kedge.app.work.bundle import work as bind_bundle
from kedge.app.work.upstream import work as name_upstream
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid, KedgeError, Missing, NotFound, Refused, Unavailable
from kedge.core.generation import GenerationRequest
from kedge.core.ports import Silent
from kedge.core.spec import Spec
from kedge.core.step import StepContext
from kedge.registry.bundle import read_bundle
from kedge.serve.answers import Answering, Busy
from kedge.serve.beside import Beside
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import run
from kedge.serve.launch import Launcher
from kedge.serve.pool import Pool
from kedge.serve.servers.local import command_line
from kedge.serve.servers.upstream import read_target
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.engines import finish_all
from kedge.testing.training import RecordedMetrics

KEY = "sk-of-the-upstream"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server somewhere else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "kedge.testing.upstream", "--port", str(port), "--key", KEY, "--delay", "0.002"]
    process = subprocess.Popen(command)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int) -> None:
    for _ in range(3000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the server did not come up")


def remote(url: str, **flags: object) -> Bundle:
    args = {"url": url, "model": "far-away", "key": "env:UPSTREAM", "pause": 0.01, **flags}
    return Bundle(model="sha256:" + "0" * 64, prompt="Q: {input}\nA:", engine=Spec(name="openai", args=args))


def secret(reference: str) -> str:
    assert reference == "env:UPSTREAM"
    return KEY


@asynccontextmanager
async def launched(
    bundle: Bundle, folder: Path = Path(), *, known: Callable[[str], str] = secret
) -> AsyncIterator[Pool | Beside]:
    _, pool = await Launcher(unpack=lambda digest: (bundle, folder), secret=known).launch("sha256:0")
    try:
        yield pool
    finally:
        await pool.close()


def asked(prompt: str, **sampling: object) -> GenerationRequest:
    options = msgspec_sampling(sampling)
    return GenerationRequest(id=prompt[:20] or "empty", prompt=prompt, sampling=options)


def msgspec_sampling(sampling: dict[str, object]) -> Sampling:
    """The sampling of a request, 64 tokens unless it says otherwise."""
    return replace(Sampling(max_tokens=64), **sampling)  # type: ignore[arg-type]  # fields of Sampling by name


async def _listen(answering: Answering, got: list[str]) -> None:
    while events := await answering.next():
        got += [event.text for event in events]


async def answer(pool: Pool | Beside, request: GenerationRequest) -> tuple[str, str, int, int]:
    answering = await pool.ask([request])
    events = await asyncio.wait_for(answering.rest(), 60)
    last = events[-1]
    return "".join(event.text for event in events), last.finish, last.prompt_tokens, last.completion_tokens


def test_an_upstream_answers_in_a_stream_with_its_own_counts(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url)) as pool:
            answering = await pool.ask([asked("one two three")])
            pieces = []
            while events := await answering.next():
                pieces += [event.text for event in events if event.text]
            assert "".join(pieces) == "one two three"
            assert await answer(pool, asked("one two three", max_tokens=2)) == ("one two", "length", 3, 2)
            assert pool.healthy
            assert pool.pids == []

    asyncio.run(go())


def test_many_requests_are_under_way_at_once(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url)) as pool:
            answers = await asyncio.gather(*(answer(pool, asked(f"{i} two three four")) for i in range(24)))
            assert [text for text, *_ in answers] == [f"{i} two three four" for i in range(24)]
            assert pool.waiting == 0

    asyncio.run(go())


@pytest.mark.parametrize(("api", "field"), [("chat", "messages"), ("completions", "prompt")])
def test_sampling_and_prompt_are_passed_on(url: str, api: str, field: str) -> None:
    async def go() -> None:
        async with launched(remote(url, api=api, extra={"top_k": 7})) as pool:
            text, *_ = await answer(pool, asked("say JSON", temperature=0.5, seed=3, stop=("x",)))
            said = json.loads(text)
            assert (said["temperature"], said["seed"], said["stop"], said["top_k"]) == (0.5, 3, ["x"], 7)
            assert (said["model"], said["stream"]) == ("far-away", True)
            assert said[field] == ([{"role": "user", "content": "say JSON"}] if api == "chat" else "say JSON")
            row = replace(asked(""), prompt=None, input="why", id="row")
            assert (await answer(pool, row))[0] == "Q: why A:"

    asyncio.run(go())


def test_what_fails_before_the_first_word_is_tried_again(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url, retries=2)) as pool:
            assert (await answer(pool, asked("status 503 times 2")))[0] == "status 503 times 2"
            with pytest.raises(Unavailable, match="status 500"):
                await answer(pool, asked("status 500 times 9"))
            with pytest.raises(Busy):
                await answer(pool, asked("status 429 times 9"))

    asyncio.run(go())


def test_what_breaks_after_the_first_word_is_not_tried_again(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url, retries=5)) as pool:
            answering = await pool.ask([asked("break after 3 words of this")])
            got: list[str] = []
            with pytest.raises(Unavailable, match="while it was answering"):
                await _listen(answering, got)
            assert "".join(got) == "break after 3"

    asyncio.run(go())


def test_a_request_the_server_minds_is_the_callers_fault(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url)) as pool:
            answering = await pool.ask([asked("status 422 times 9")])
            (event,) = await answering.rest()
            assert (event.finish, event.error_code) == ("error", "invalid")
            refused = await pool.ask([replace(asked("schema"), schema="{}")])
            (event,) = await refused.rest()
            assert "cannot do: schema" in event.error

    asyncio.run(go())


def test_a_wrong_key_is_not_told_to_callers(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url), known=lambda reference: "sk-wrong") as pool:
            with pytest.raises(Unavailable, match="status 401") as caught:
                await answer(pool, asked("one"))
            assert "sk-wrong" not in str(caught.value)

    asyncio.run(go())


def test_a_server_that_is_not_there_is_unavailable_after_all_tries() -> None:
    async def go() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        async with launched(remote(f"http://127.0.0.1:{port}", retries=1)) as pool:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await answer(pool, asked("one"))

    asyncio.run(go())


def test_an_answer_left_early_is_let_go(url: str) -> None:
    async def go() -> None:
        async with launched(remote(url)) as pool:
            answering = await pool.ask([asked("word " * 60)])
            await answering.next()
            answering.close()
            assert (await answer(pool, asked("next")))[0] == "next"
            assert pool.waiting == 0

    asyncio.run(go())


def test_the_flags_of_a_remote_bundle_are_checked(url: str) -> None:
    async def go(bundle: Bundle) -> None:
        async with launched(bundle, known=missing):
            pass

    def missing(reference: str) -> str:
        raise NotFound(f"{reference} is not set")

    with pytest.raises(Invalid, match="no flag 'modell'"):
        asyncio.run(go(remote(url, modell="x")))
    with pytest.raises(Invalid, match="not the address"):
        asyncio.run(go(remote("nowhere", key="")))
    with pytest.raises(NotFound, match="env:UPSTREAM is not set"):
        asyncio.run(go(remote(url)))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs on the path that stand in for the real ones, and write down how they were called."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("vllm", "sglang", "llama-server"):
        script = folder / name
        start = f'exec {sys.executable} -m kedge.testing.upstream --delay 0.005 "$@"'
        script.write_text(f'#!/bin/sh\necho "$0 $@" > {folder}/called\n{start}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def local(name: str, **flags: object) -> Bundle:
    return Bundle(model="sha256:" + "0" * 64, prompt="Q: {input}", engine=Spec(name=name, args=flags))


@pytest.mark.parametrize("name", ["vllm", "sglang", "llama-server"])
def test_a_local_server_is_started_asked_restarted_and_ended(programs: Path, weights: Path, name: str) -> None:
    if name == "llama-server":
        (weights / "model.gguf").write_bytes(b"GGUF....")

    async def go() -> int:
        async with launched(local(name, context=512, batch=3), weights) as pool:
            assert (await answer(pool, asked("one two")))[0] == "one two"
            before = pool.pids[0]
            long = await pool.ask([asked("word " * 60)])
            await long.next()
            os.kill(before, signal.SIGKILL)
            with pytest.raises(KedgeError):
                await asyncio.wait_for(long.rest(), 60)
            async with asyncio.timeout(60):
                while pool.pids in ([], [before]):  # noqa: ASYNC110 - what happens in other processes sets no event here
                    await asyncio.sleep(0.01)
            assert (await asyncio.wait_for(answer(pool, asked("after")), 60))[0] == "after"
            return pool.pids[0]

    last = asyncio.run(go())
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)
    called = (programs / "called").read_text()
    assert "--host 127.0.0.1 --port" in called
    assert ("--ctx-size 1536 --parallel 3" if name == "llama-server" else "512") in called


def test_a_local_server_that_dies_while_loading_says_its_last_words(programs: Path, weights: Path) -> None:
    (programs / "vllm").write_text("#!/bin/sh\necho no such GPU >&2\nexit 3\n")

    async def go() -> None:
        async with launched(local("vllm"), weights):
            pass

    with pytest.raises(Unavailable, match="no such GPU"):
        asyncio.run(go())


def test_a_bundle_names_neither_programs_nor_free_arguments(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="vllm is not on the path"):
        command_line(local("vllm"), weights, 1)
    with pytest.raises(Invalid, match="no flag 'command'"):
        command_line(local("vllm", command="/bin/sh"), weights, 1)
    with pytest.raises(Invalid, match="one GGUF file"):
        command_line(local("llama-server"), weights, 1)
    (weights / "model.gguf").write_bytes(b"\x80\x05not")
    with pytest.raises(Refused, match="not a GGUF file"):
        command_line(local("llama-server"), weights, 1)
    (weights / "modeling.py").write_text("print()")
    with pytest.raises(Refused):
        command_line(local("vllm"), weights, 1)


def test_a_server_is_evaluated_as_any_engine_is(programs: Path, weights: Path, url: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    far = remote(url, key=f"file:{key}")
    for bundle in (far, local("vllm")):
        engine = open_engine(bundle, weights)
        answers = run(engine, [asked("one two three", max_tokens=2), asked("status 422 times 9")])
        assert (answers["one two three"].text, answers["one two three"].finish) == ("one two", "length")
        assert answers["status 422 times 9"].error_code == "invalid"
        engine.submit(asked("word " * 60))
        engine.cancel("word " * 4)
        assert [event.finish for event in engine.step()] == ["cancelled"]
        assert finish_all(engine, asked("after"))["after"][-1].finish == "stop"
        with pytest.raises(Invalid, match="cannot score"):
            engine.score([("a", "b")])
        engine.close()
    with pytest.raises(Invalid, match="only read by a gateway"):
        open_engine(remote(url), weights)


def test_a_model_that_somebody_else_serves_can_be_bound(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    context = StepContext(
        stage="far",
        run="run-1",
        inputs={},
        blobs=blobs,
        root=tmp_path,
        workdir=tmp_path,
        progress=Silent(),
        metrics=RecordedMetrics(),
    )
    options = UpstreamOptions(url="https://api.example.org/v1", model="big", key="env:BIG", can=("tools",))
    model = name_upstream(context, options).outputs["model"]
    bound = bind_bundle(replace(context, inputs={"model": model}), BundleOptions()).outputs["bundle"]
    engine = read_bundle(blobs, bound.digest).engine
    assert engine.name == "openai"
    target = read_target(read_bundle(blobs, bound.digest), lambda reference: "sk-secret")
    assert (target.address, target.secret) == ("https://api.example.org/v1/chat/completions", "sk-secret")
    assert "sk-secret" not in repr(target)
    with pytest.raises(Invalid, match="must be a reference"):
        UpstreamOptions(url="https://api.example.org/v1", model="big", key="sk-secret")
