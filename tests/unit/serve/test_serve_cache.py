"""Answers that are given again, to their own tenant and for their own bundle only; and answers shared on their way."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kedge.core.access import Terms
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.core.settings import CacheSettings, EndpointSettings
from kedge.core.spec import Spec
from kedge.core.trace import parse_receipt
from kedge.serve.answers import Answering
from kedge.serve.gateway.cache.canonical import alike, fingerprint
from kedge.serve.gateway.cache.disk import Disk
from kedge.serve.gateway.cache.memory import Kept, Memory, whole
from kedge.serve.gateway.cache.semantic import Neighbours, ngrams
from kedge.serve.gateway.parts import Gateway
from kedge.testing.gateway import SECRET, Caller, MemoryGateway

TEXT = "/v1/completions"
CHAT = "/v1/chat/completions"
OTHER = "kdg_" + "o" * 43

Act = Callable[[Caller, MemoryGateway, Gateway], Awaitable[None]]


def text(prompt: object = "one two three", **more: object) -> dict[str, object]:
    return {"model": "words", "prompt": prompt, "temperature": 0, **more}


def serve(act: Act, **cache: Any) -> MemoryGateway:
    """Run `act` against an endpoint with a cache, with a key of the tenant acme and one (OTHER) of another."""
    settings = CacheSettings(**{"mode": "exact", **cache})
    memory = MemoryGateway(serving=EndpointSettings(model="words", cache=settings))
    memory.add_key(terms=Terms(tenant="acme"))
    memory.add_key(OTHER, terms=Terms(tenant="other"))
    memory.release(Bundle(model="x", engine=Spec(name="echo")))

    async def main() -> None:
        gateway = memory.assemble()
        await gateway.follower.start()
        await act(Caller(gateway), memory, gateway)
        await gateway.follower.close()

    asyncio.run(main())
    return memory


def cache_of(responses: Sequence[Any]) -> list[str]:
    return [response.headers.get("x-kedge-cache", "") for response in responses]


def test_the_same_request_is_answered_again_with_a_receipt_and_a_trace_of_its_own() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        first, again = [await caller.post(TEXT, text()) for _ in range(2)]
        assert cache_of([first, again]) == ["miss", "hit"]
        assert first.json["choices"] == again.json["choices"]
        assert first.json["usage"] == again.json["usage"]
        receipts = [parse_receipt(each.headers["x-kedge-receipt"], SECRET) for each in (first, again)]
        assert receipts[0].bundle == receipts[1].bundle
        assert receipts[0].trace != receipts[1].trace
        assert [trace.cache for trace in memory.traces.traces] == ["", "exact"]
        assert [trace.tenant for trace in memory.traces.traces] == ["acme", "acme"]

    serve(act)


def test_a_stream_is_answered_from_what_was_whole_and_the_other_way_round() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(TEXT, text())
        streamed = await caller.post(TEXT, text(stream=True))
        assert streamed.headers["x-kedge-cache"] == "hit"
        pieces = [event["choices"][0]["text"] for event in streamed.events if event != "[DONE]"]
        assert "".join(pieces) == "one two three"
        await caller.post(TEXT, text("four five", stream=True))
        assert cache_of([await caller.post(TEXT, text("four five"))]) == ["hit"]

    serve(act)


@pytest.mark.parametrize(
    "other",
    [
        text("one two three "),
        text(max_tokens=5),
        text(top_p=0.5),
        text(seed=1),
        text(stop=["x"]),
        text(n=2),
        {"model": "words", "messages": [{"role": "user", "content": "one two three"}], "temperature": 0},
    ],
)
def test_another_request_is_not_answered_with_it(other: dict[str, object]) -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(TEXT, text())
        path = CHAT if "messages" in other else TEXT
        assert cache_of([await caller.post(path, other)]) == ["miss"]

    serve(act)


def test_chance_is_not_taken_away_and_a_caller_can_do_without() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        drawn = [await caller.post(TEXT, text(temperature=1)) for _ in range(2)]
        seeded = [await caller.post(TEXT, text(temperature=1, seed=4)) for _ in range(2)]
        assert cache_of(drawn + seeded) == ["off", "off", "miss", "hit"]
        body = json.dumps(text(temperature=1, seed=4)).encode()
        without = await caller.send("POST", TEXT, body, headers={"x-kedge-cache": "off"})
        assert cache_of([without]) == ["off"]

    serve(act)


def test_without_a_cache_nothing_is_said_of_one() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        assert cache_of([await caller.post(TEXT, text()) for _ in range(2)]) == ["", ""]

    serve(act, mode="off")


def test_no_answer_crosses_tenants() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        got = [await caller.post(TEXT, text(), key=key) for key in (None, OTHER, OTHER)]
        assert cache_of(got) == ["miss", "miss", "hit"]
        together = await asyncio.gather(*(caller.post(TEXT, text("x y"), key=key) for key in (None, OTHER)))
        assert cache_of(together) == ["miss", "miss"]

    serve(act)


def test_another_bundle_begins_with_nothing() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(TEXT, text())
        memory.release(Bundle(model="x", engine=Spec(name="echo", args={"prefix": "new "})))
        async with asyncio.timeout(5):
            while gateway.follower.routes.stable is None or gateway.follower.routes.stable.release.version != 2:
                await gateway.follower.look()
        answer = await caller.post(TEXT, text())
        assert cache_of([answer]) == ["miss"]
        assert answer.json["choices"][0]["text"] == "new one two three"

    serve(act)


def test_answers_grow_old() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        assert cache_of([await caller.post(TEXT, text()) for _ in range(2)]) == ["miss", "miss"]

    serve(act, seconds=0.0)


def test_those_who_ask_the_same_at_once_share_one_flight() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked: list[int] = []
        engine = memory.engines[0]
        ask = engine.ask

        async def counted(requests: Sequence[GenerationRequest]) -> Answering:
            asked.append(len(requests))
            return await ask(requests)

        engine.ask = counted  # type: ignore[method-assign]  # to count
        stream = await asyncio.gather(*(caller.post(TEXT, text(stream=bool(i % 2))) for i in range(6)))
        assert sorted(cache_of(stream)) == ["hit"] * 5 + ["miss"]
        assert asked == [1]
        assert gateway.flights == {}
        for response in stream[1::2]:
            pieces = [event["choices"][0]["text"] for event in response.events if event != "[DONE]"]
            assert "".join(pieces) == "one two three"

    serve(act)


def test_a_flight_goes_on_when_the_first_caller_leaves_and_ends_when_all_have() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        body = json.dumps(text("a " * 200)).encode()
        leaving = [asyncio.Event(), asyncio.Event()]
        calls = [asyncio.create_task(caller.send("POST", TEXT, body, leave=leave)) for leave in leaving]
        staying = asyncio.create_task(caller.send("POST", TEXT, body))
        async with asyncio.timeout(5):
            while len([m for flight in gateway.flights.values() for m in flight._members]) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
            leaving[0].set()
            assert (await calls[0]).status == 499
            assert (await staying).status == 200
            await calls[1]

    serve(act)


def test_what_ends_a_flight_ends_all_of_it_and_nothing_is_kept() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        calls = [asyncio.create_task(caller.post(TEXT, text("a " * 200))) for _ in range(3)]
        async with asyncio.timeout(5):
            while not any(flight._members for flight in gateway.flights.values()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            memory.engines[0].healthy = False
            memory.engines[0].fail(Unavailable("the engine stopped"))
            assert {response.status for response in await asyncio.gather(*calls)} == {503}
        assert len(gateway.cache.memory) == 0
        assert gateway.flights == {}

    serve(act)


def test_a_prompt_that_is_alike_is_answered_semantically() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(TEXT, text("What is the capital of France?"))
        got = await caller.post(TEXT, text("what is the capital of  france ?"))
        assert got.headers["x-kedge-cache"] == "semantic"
        assert got.json["choices"][0]["text"] == "What is the capital of France?"
        assert memory.traces.traces[-1].cache == "semantic"
        others = [
            text("What is the capital of Peru?"),
            text("what is the capital of france ?", max_tokens=4),
            text("What is not the capital of France?"),
        ]
        assert cache_of([await caller.post(TEXT, other) for other in others]) == ["miss"] * 3
        crossed = await caller.post(TEXT, text("what is the capital of  france ?"), key=OTHER)
        assert cache_of([crossed]) == ["miss"]

    serve(act, mode="semantic", threshold=0.8)


def make_request(prompt: str = "a", **more: Any) -> GenerationRequest:
    return GenerationRequest(id="r", sampling=Sampling(), prompt=prompt, **more)


def test_a_fingerprint_is_of_tenant_bundle_and_all_that_decides_and_not_of_the_name() -> None:
    first = fingerprint("t", "b", [make_request()])
    assert first == fingerprint("t", "b", [GenerationRequest(id="other", sampling=Sampling(), prompt="a")])
    others = [
        fingerprint("tb", "", [make_request()]),
        fingerprint("", "tb", [make_request()]),
        fingerprint("t", "b", [make_request("b")]),
        fingerprint("t", "b", [make_request(), make_request()]),
        fingerprint("t", "b", [make_request(echo=True)]),
    ]
    assert len({first, *others}) == 6


def test_numbers_and_negations_make_another_question() -> None:
    rests = [alike("t", "b", [make_request(prompt)]) for prompt in ("add 2 and 3", "add 2 and 4", "do not add 2 and 3")]
    assert len({each.rest for each in rests if each}) == 3


def test_vectors_of_texts_that_are_written_alike_are_near() -> None:
    question = ngrams("How do I reset my password?")
    assert question @ ngrams("how do i reset my password") > 0.9
    assert question @ ngrams("Where does the river end?") < 0.5


def test_neighbours_are_bounded_and_kept_apart() -> None:
    known = Neighbours()
    for number in range(3000):
        known.add(b"group", ngrams(f"prompt {number}"), b"%d" % number)
    assert len(known._groups[b"group"].fingerprints) == 1024
    assert known.find(b"group", ngrams("prompt 2999"), 0.99) == b"2999"
    assert known.find(b"another", ngrams("prompt 2999"), 0.0) is None


def kept(text: str, until: float = 2e9) -> Kept:
    return Kept(events=(GenerationEvent(id="0", text=text, finish="stop"),), until=until)


def test_memory_forgets_what_was_used_longest_ago() -> None:
    memory = Memory(15 * kept("x").size)
    for number in range(20):
        memory.put(b"%d" % number, kept("x"))
        memory.get(b"0", 0.0)
    assert len(memory) == 15
    assert memory.get(b"0", 0.0) is not None
    assert memory.get(b"1", 0.0) is None
    memory.put(b"huge", kept("x" * 10_000))
    assert memory.get(b"huge", 0.0) is None


def test_only_whole_answers_are_kept() -> None:
    events = [GenerationEvent(id="a", text="x"), GenerationEvent(id="a", text="y", finish="stop", completion_tokens=2)]
    made = whole(events, ["a"])
    assert made is not None
    assert (made[0].text, made[0].completion_tokens) == ("xy", 2)
    assert whole(events[:1], ["a"]) is None
    assert whole([GenerationEvent(id="a", finish="error")], ["a"]) is None


def test_answers_on_disk_outlive_the_process_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "answers.db"
    disk = Disk(path, 1_000_000)
    disk.put(b"a", kept("text"))
    disk.close()
    assert path.stat().st_mode & 0o077 == 0
    again = Disk(path, 1_000_000)
    assert again.get(b"a") == kept("text")
    assert again.get(b"b") is None
    again.put(b"old", kept("text", until=1.0))
    assert again.get(b"old") is None
    again.close()


def test_the_disk_is_bounded(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "answers.db", 400_000)
    for number in range(1025):
        disk.put(b"%d" % number, kept("x" * 2000))
    assert disk._used() < 1_000_000
    assert disk.get(b"1024") is not None
    assert disk.get(b"0") is None
    disk.close()


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    path.write_bytes(b"this is no database at all" * 100)
    disk = Disk(path, 1_000_000)
    disk.put(b"a", kept("text"))
    assert disk.get(b"a") == kept("text")
    with sqlite3.connect(path) as other:
        other.execute("UPDATE answers SET value = x'00'")
    other.close()
    assert disk.get(b"a") is None
    disk.put(b"a", kept("text"))
    assert disk.get(b"a") == kept("text")
    disk.close()


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        Disk(tmp_path / "file" / "answers.db", 1000)
