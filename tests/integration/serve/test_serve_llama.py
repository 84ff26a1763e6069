"""A real llama-server, started and watched over by kedge, answers as the reference does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationRequest
from kedge.core.spec import Spec
from kedge.serve.engines.run import generate
from kedge.serve.engines.transformers import open_transformers
from kedge.serve.launch import Launcher
from kedge.testing.gguf import write_gguf
from kedge.testing.models import CONTEXT, SENTENCES

pytestmark = pytest.mark.needs("llama-server")

BUNDLE = Bundle(model="x", engine=Spec(name="llama-server", args={"context": CONTEXT, "batch": 4, "threads": 1}))
PROMPTS = [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder with the tiny model as GGUF."""
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(tiny_model, folder / "model.gguf")
    return folder


def asked(id: str, prompt: str) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(max_tokens=40))


async def ask(engine: Any, request: GenerationRequest) -> str:
    return "".join(event.text for event in await (await engine.ask([request])).rest())


def test_greedy_answers_are_those_of_the_reference(tiny_model: Path, folder: Path) -> None:
    async def main() -> list[str]:
        _, pool = await Launcher(unpack=lambda digest: (BUNDLE, folder)).launch("sha256:0")
        try:
            return await asyncio.gather(*(ask(pool, asked(str(i), prompt)) for i, prompt in enumerate(PROMPTS)))
        finally:
            await pool.close()

    reference = open_transformers(Bundle(model="x"), tiny_model)
    expected = generate(reference, [asked(str(i), prompt) for i, prompt in enumerate(PROMPTS)])
    assert asyncio.run(main()) == list(expected.values())


def test_it_is_started_again_when_it_is_killed_and_ends_with_the_pool(folder: Path) -> None:
    async def main() -> int:
        _, pool = await Launcher(unpack=lambda digest: (BUNDLE, folder)).launch("sha256:0")
        try:
            (before,) = pool.pids
            os.kill(before, signal.SIGKILL)
            assert await _ask_until_answered(pool) == SENTENCES[0].removeprefix("one two")
            (after,) = pool.pids
            assert after != before
        finally:
            await pool.close()
        return after

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(main()), 0)


async def _ask_until_answered(pool: Any) -> str:
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask(pool, asked("a", "one two"))
            except Unavailable:
                await asyncio.sleep(0.05)


def test_it_answers_behind_the_gateway_with_a_receipt(line: Any, serve: Callable[..., Any], folder: Path) -> None:
    version = line.register({"model.gguf": folder / "model.gguf"}, BUNDLE)
    line.promote(version)
    with serve(line.project, PATH=os.environ["PATH"]) as served:
        client = OpenAI(base_url=f"{served.url}/v1", api_key=line.secret)
        said = client.completions.create(model="words", prompt="the kedge is", temperature=0, max_tokens=60)
        pieces = list(
            client.completions.create(model="words", prompt="one two", temperature=0, max_tokens=60, stream=True)
        )
        assert said.choices[0].text == SENTENCES[1].removeprefix("the kedge is")
        assert said.choices[0].finish_reason == "stop"
        assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == SENTENCES[0].removeprefix(
            "one two"
        )
        assert (said.model_extra or {})["kedge"]["bundle"] == version.bundle
        (pid,) = served.engines()
        served.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
