"""Bundles of one base in one engine process: who answers, who comes and goes, and what a crash takes along."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from openai import OpenAI

from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle, Sampling
from kedge.core.generation import GenerationRequest
from kedge.core.manifest import write_artifact
from kedge.core.settings import ReplicaSettings
from kedge.core.spec import Spec
from kedge.registry.bundle import base_of, write_bundle
from kedge.serve.answers import Answerer
from kedge.serve.beside import Beside
from kedge.serve.launch import Launcher
from kedge.serve.pool import Pool
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.models import write_tiny_adapter

BUNDLE = Bundle(model="x", engine=Spec(name="transformers", args={"threads": 1}))
SAID = {"a": " buckle my shoe", "b": " is a pair of three", "c": " café"}


@pytest.fixture
def folders(tiny_adapters: list[Path]) -> dict[str, Path]:
    return dict(zip("abc", tiny_adapters, strict=True))


def launcher(
    folders: Mapping[str, Path],
    settings: ReplicaSettings | None = None,
    bundles: Mapping[str, Bundle] = MappingProxyType({}),
) -> Launcher:
    """One for bundles that are named by a letter and all have one base."""
    return Launcher(
        unpack=lambda digest: (bundles.get(digest, BUNDLE), folders[digest]),
        base=lambda digest: "the base",
        settings=settings or ReplicaSettings(),
    )


@asynccontextmanager
async def launched(launcher: Launcher, *digests: str) -> AsyncIterator[dict[str, Pool | Beside]]:
    """Those bundles, loaded all at once."""
    got = await asyncio.gather(*(launcher.launch(digest) for digest in digests))
    engines = {digest: engine for digest, (_, engine) in zip(digests, got, strict=True)}
    try:
        yield engines
    finally:
        for engine in engines.values():
            await engine.close()


async def ask(engine: Answerer, id: str, *, tokens: int = 40) -> str:
    answering = await engine.ask([GenerationRequest(id=id, prompt="one two", sampling=Sampling(max_tokens=tokens))])
    return "".join(event.text for event in await answering.rest())


def test_one_process_answers_for_every_adapter_of_a_base(folders: dict[str, Path]) -> None:
    async def main() -> None:
        async with launched(launcher(folders), *"abc") as engines:
            assert len({pid for engine in engines.values() for pid in engine.pids}) == 1
            said = await asyncio.gather(*(ask(engines[name], f"{name}{i}") for i in range(4) for name in "abc"))
            assert said == [*SAID.values()] * 4
            assert all("adapters" in engine.facts.can for engine in engines.values())
            assert [engine.waiting for engine in engines.values()] == [0, 0, 0]

    asyncio.run(main())


def test_swapping_one_adapter_restarts_nothing_and_fails_nobody(folders: dict[str, Path]) -> None:
    async def main() -> None:
        made = launcher(folders)
        async with launched(made, "a", "b") as engines:
            (pid,), over = engines["a"].pids, asyncio.Event()

            async def load() -> list[str]:
                return [await ask(engines["b"], f"b{i}") for i in range(100_000) if not over.is_set()]

            asked = asyncio.create_task(load())
            for _ in range(10):
                _, engines["c"] = await made.launch("c")
                assert await ask(engines["c"], "c") == SAID["c"]
                await engines.pop("c").close()
            over.set()
            assert set(await asked) == {SAID["b"]}
            await engines.pop("a").close()  # the one that the process was started with
            assert await ask(engines["b"], "last") == SAID["b"]
            _, engines["a"] = await made.launch("a")
            _, once_more = await made.launch("a")
            await engines.pop("a").close()  # and meanwhile it was released again
            assert await ask(once_more, "again") == SAID["a"]
            await once_more.close()
            assert engines["b"].pids == [pid]

    asyncio.run(main())


def test_every_replica_has_every_adapter_also_after_it_was_killed(folders: dict[str, Path]) -> None:
    async def main() -> None:
        async with launched(launcher(folders, ReplicaSettings(min=2, max=2, concurrent=1)), "a", "b") as engines:
            before = engines["b"].pids
            assert set(await asyncio.gather(*(ask(engines["b"], str(i)) for i in range(8)))) == {SAID["b"]}
            os.kill(before[0], signal.SIGKILL)
            await until(lambda: len(engines["b"].pids) == 2 and before[0] not in engines["b"].pids)
            assert set(await asyncio.gather(*(ask(engines["b"], str(i)) for i in range(8)))) == {SAID["b"]}

    asyncio.run(main())


async def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what happens in other processes sets no event here
            await asyncio.sleep(0.05)


def test_a_base_that_nobody_asks_is_woken_for_an_adapter_that_comes(folders: dict[str, Path]) -> None:
    async def main() -> None:
        made = launcher(folders, ReplicaSettings(min=0, down_seconds=0.1))
        async with launched(made, "a") as engines:
            await until(lambda: not engines["a"].pids)
            _, engines["b"] = await made.launch("b")
            assert await ask(engines["b"], "b") == SAID["b"]
            assert await ask(engines["a"], "a") == SAID["a"]

    asyncio.run(main())


def test_one_that_does_not_fit_beside_the_others_has_engines_of_its_own(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        other = replace(BUNDLE, engine=Spec(name="transformers", args={"threads": 1, "context": 64}))
        made = launcher(folders, bundles={"c": other})
        async with launched(made, "a", "b") as engines:
            _, engines["c"] = await made.launch("c")
            assert engines["c"].pids != engines["a"].pids == engines["b"].pids
            assert await ask(engines["c"], "c") == SAID["c"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "this adapter is not served beside others of its base" in caplog.messages


def test_an_engine_that_cannot_has_a_process_for_each_bundle_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        bundles = {name: Bundle(model="x", engine=Spec(name="echo", args={"prefix": f"{name} "})) for name in "ab"}
        async with launched(launcher({"a": tmp_path, "b": tmp_path}, bundles=bundles), "a", "b") as engines:
            assert engines["a"].pids != engines["b"].pids
            assert [await ask(engines[name], name) for name in "ab"] == ["a one two", "b one two"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "this adapter is not served beside others of its base" in caplog.messages


def test_bundles_share_a_base_when_all_but_the_adapter_is_the_same(tiny_model: Path, folders: dict[str, Path]) -> None:
    blobs = MemoryBlobs()

    def base(folder: Path, **more: Any) -> str:
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        model = write_artifact(blobs, ArtifactKind.MODEL, {}, files).digest
        return base_of(blobs, write_bundle(blobs, replace(BUNDLE, model=model, **more)).digest)

    assert base(folders["a"]) == base(folders["b"]) == base(folders["a"], prompt="Q: {input}") != ""
    assert base(folders["a"], engine=Spec(name="transformers")) != base(folders["a"])
    assert base(tiny_model) == ""


def test_stable_and_canary_of_one_base_share_a_process_and_name_what_answered(
    line: Any, serve: Callable[..., Any], folders: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    write_tiny_adapter(tiny_model, tmp_path / "d", says="one two three blind mice")
    versions = [_register(line, folder) for folder in (folders["a"], folders["b"], tmp_path / "d")]
    line.promote(versions[0])
    with serve(line.project) as served:
        client = OpenAI(base_url=f"{served.url}/v1", api_key=line.secret)
        before = served.engines()
        heard = {}
        for version in versions:
            line.promote(version)
            heard[version.address] = _ask_until_by(client, version.address)
        assert [said.choices[0].text for said in heard.values()] == [SAID["a"], SAID["b"], " three blind mice"]
        bundles = [said.model_extra["kedge"]["bundle"] for said in heard.values()]
        assert bundles == [version.bundle for version in versions]
        assert served.engines() == before
        assert len(before) == 1


def _register(line: Any, folder: Path) -> Any:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return line.register(files, replace(BUNDLE, sampling=Sampling(max_tokens=40)))


def _ask_until_by(client: OpenAI, address: str) -> Any:
    for _ in range(2000):
        said = client.completions.create(model="words", prompt="one two", temperature=0)
        if said.model == address:
            return said
    raise AssertionError(f"{address} never answered")
