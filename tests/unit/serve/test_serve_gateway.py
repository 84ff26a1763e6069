"""The OpenAI API over an engine without a model: answers, streams, receipts, traces, limits and errors."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kedge.core.access import Scope
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationRequest
from kedge.core.settings import GatewaySettings
from kedge.core.spec import Spec
from kedge.core.trace import parse_receipt
from kedge.serve.gateway.parts import Gateway
from kedge.testing.engines import EchoEngine
from kedge.testing.gateway import SECRET, Caller, MemoryGateway, Response

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def words(**flags: object) -> Bundle:
    return Bundle(model="sha256:" + "0" * 64, engine=Spec(name="echo", args=flags))


def chat(text: str = "one two three", **more: object) -> dict[str, object]:
    return {"model": "words", "messages": [{"role": "user", "content": text}], **more}


def text(prompt: object = "one two three", **more: object) -> dict[str, object]:
    return {"model": "words", "prompt": prompt, **more}


def serve(
    act: Callable[[Caller, MemoryGateway, Gateway], Awaitable[None]],
    *,
    bundle: Bundle | None = None,
    **settings: Any,
) -> MemoryGateway:
    """Run `act` against a gateway with one release and one key that opens everything."""
    memory = MemoryGateway(settings=GatewaySettings(**settings))
    memory.add_key(scopes=(Scope.ADMIN,))
    memory.release(bundle or words())

    async def main() -> None:
        gateway = memory.assemble()
        await gateway.follower.start()
        await act(Caller(gateway), memory, gateway)
        await gateway.follower.close()

    asyncio.run(main())
    return memory


def ask(path: str, body: object, *, bundle: Bundle | None = None, **settings: Any) -> Response:
    """One request to a gateway of its own."""
    got: list[Response] = []

    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        got.append(await caller.post(path, body))

    serve(act, bundle=bundle, **settings)
    return got[0]


async def begun(memory: MemoryGateway) -> None:
    """Wait until an answer is under way."""
    async with asyncio.timeout(5):
        while not any(a.began for engine in memory.engines for a in engine._answering.values()):  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_a_chat_is_answered_in_the_shape_of_the_api() -> None:
    response = ask(CHAT, chat())
    body = response.json
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "words@1"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "one two three", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_a_completion_is_answered_in_the_shape_of_the_api() -> None:
    body = ask(TEXT, text()).json
    assert body["object"] == "text_completion"
    assert body["choices"] == [{"index": 0, "text": "one two three", "logprobs": None, "finish_reason": "stop"}]


def test_a_chat_goes_through_the_bundles_prompt_and_a_completion_does_not() -> None:
    bundle = Bundle(model="x", prompt="say {input} !", engine=Spec(name="echo"))
    assert ask(CHAT, chat("hi"), bundle=bundle).json["choices"][0]["message"]["content"] == "say hi !"
    assert ask(TEXT, text("hi"), bundle=bundle).json["choices"][0]["text"] == "hi"


@pytest.mark.parametrize(("path", "body"), [(CHAT, chat()), (TEXT, text())])
def test_every_answer_carries_a_receipt_that_names_trace_and_bundle(path: str, body: dict[str, object]) -> None:
    got: list[Response] = []

    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        got.append(await caller.post(path, body))
        got.append(await caller.post(path, {**body, "stream": True}))

    memory = serve(act)
    for response, trace in zip(got, memory.traces.traces, strict=True):
        receipt = parse_receipt(response.headers["x-kedge-receipt"], SECRET)
        assert receipt.trace == trace.id == response.headers["x-request-id"]
        assert receipt.bundle == trace.bundle == memory.releases["stable"].bundle  # type: ignore[index]  # StrEnum
        shown = response.json if response is got[0] else response.events[-2]
        assert shown["kedge"] == {
            "receipt": response.headers["x-kedge-receipt"],
            "bundle": receipt.bundle,
            "trace": receipt.trace,
        }


def test_a_streamed_chat_comes_piece_by_piece() -> None:
    response = ask(CHAT, chat(stream=True))
    *chunks, done = response.events
    assert response.headers["content-type"].startswith("text/event-stream")
    assert done == "[DONE]"
    assert [c["choices"][0]["delta"] for c in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": " two"},
        {"content": " three"},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * 4 + ["stop"]
    assert all(c["object"] == "chat.completion.chunk" and "usage" not in c for c in chunks)
    assert len(response.parts) > 3


def test_a_streamed_completion_comes_piece_by_piece() -> None:
    *chunks, done = ask(TEXT, text(stream=True)).events
    assert done == "[DONE]"
    assert "".join(c["choices"][0]["text"] for c in chunks) == "one two three"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_comes_last_in_a_stream_when_asked_for() -> None:
    *chunks, usage, _ = ask(CHAT, chat(stream=True, stream_options={"include_usage": True})).events
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert usage["kedge"] == chunks[-1]["kedge"]
    assert all(chunk["usage"] is None for chunk in chunks)


def test_several_choices_of_several_prompts_are_told_apart() -> None:
    body = ask(TEXT, text(["a b", "c"], n=2)).json
    assert [(c["index"], c["text"]) for c in body["choices"]] == [(0, "a b"), (1, "a b"), (2, "c"), (3, "c")]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_streamed_choices_each_end_and_the_last_chunk_has_the_receipt() -> None:
    chunks = ask(CHAT, chat("a b", n=3, stream=True)).events[:-1]
    said = dict.fromkeys(range(3), "")
    for chunk in chunks:
        (choice,) = chunk["choices"]
        said[choice["index"]] += choice["delta"].get("content", "")
    assert said == {0: "a b", 1: "a b", 2: "a b"}
    assert [c["choices"][0]["finish_reason"] for c in chunks].count("stop") == 3
    assert ["kedge" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_what_the_caller_wants_goes_before_what_the_bundle_says() -> None:
    bundle = Bundle(model="x", sampling=Sampling(max_tokens=2, stop=("three",)), engine=Spec(name="echo"))
    finish = ask(TEXT, text("a b c"), bundle=bundle).json["choices"][0]
    assert (finish["text"], finish["finish_reason"]) == ("a b", "length")
    assert ask(TEXT, text("a b c", max_tokens=3), bundle=bundle).json["choices"][0]["text"] == "a b c"
    assert ask(TEXT, text("a three", max_tokens=3), bundle=bundle).json["choices"][0]["text"] == "a "
    assert ask(TEXT, text("a three", max_tokens=3, stop=[]), bundle=bundle).json["choices"][0]["text"] == "a three"
    assert ask(TEXT, text("a three", stop="a"), bundle=bundle).json["choices"][0]["text"] == ""


def test_both_names_for_the_longest_answer_are_taken() -> None:
    assert ask(CHAT, chat("a b c", max_completion_tokens=1)).json["choices"][0]["message"]["content"] == "a"
    assert ask(CHAT, chat("a b c", max_tokens=1)).json["choices"][0]["message"]["content"] == "a"
    error = ask(CHAT, chat("a b c", max_tokens=1, max_completion_tokens=2))
    assert (error.status, error.json["error"]["param"]) == (400, "max_completion_tokens")


def test_content_in_text_parts_and_messages_sent_back_are_taken() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "content": "hello", "refusal": None, "tool_calls": None},
        {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
    ]
    body = ask(CHAT, {"model": "words", "messages": messages}).json
    assert body["choices"][0]["message"]["content"] == "a b"


def test_fields_that_change_nothing_are_taken() -> None:
    neutral: dict[str, Any] = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "response_format": {"type": "text"},
        "tools": [],
        "tool_choice": "auto",
        "store": False,
        "n": 1,
        "user": None,
    }
    assert ask(CHAT, chat(**neutral)).status == 200
    assert ask(TEXT, text(echo=False, best_of=1, suffix=None, logprobs=None)).status == 200


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, chat(response_format={"type": "json_object"}), "response_format"),
        (CHAT, chat(tools=[TOOL], tool_choice="required"), "tool_choice"),
        (CHAT, chat(reasoning_effort="low"), "reasoning_effort"),
        (CHAT, chat(frequency_penalty=0.5), "frequency_penalty"),
        (CHAT, chat(logit_bias={"1": 5}), "logit_bias"),
        (CHAT, chat(anything=1), "anything"),
        (CHAT, chat(stream=True, stream_options={"include_obfuscation": True}), "stream_options.include_obfuscation"),
        (CHAT, chat() | {"messages": [{"role": "user", "content": "x", "name": "me"}]}, "messages[0].name"),
        (TEXT, text(presence_penalty=1), "presence_penalty"),
        (TEXT, text(best_of=3), "best_of"),
        (TEXT, text(suffix="x"), "suffix"),
    ],
)
def test_a_field_that_is_not_supported_is_named_and_never_dropped(path: str, body: object, param: str) -> None:
    response = ask(path, body)
    error = response.json["error"]
    assert (response.status, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == ("unsupported_parameter", param)
    assert param in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        (CHAT, b"{", None, "invalid_json"),
        (CHAT, b"", None, "invalid_json"),
        (CHAT, b"[]", None, "invalid_value"),
        (CHAT, b'{"model":"\xff"}', None, "invalid_json"),
        (CHAT, b'{"model":"\\ud800"}', None, "invalid_json"),
        (CHAT, b'{"metadata":' + b"[" * 100_000, None, "invalid_json"),
        (CHAT, {"model": "words"}, "messages", "missing_parameter"),
        (CHAT, {"messages": [{"role": "user", "content": "x"}]}, "model", "missing_parameter"),
        (CHAT, chat() | {"messages": []}, "messages", "invalid_value"),
        (CHAT, chat() | {"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role", "invalid_value"),
        (CHAT, chat() | {"messages": [{"role": "user"}]}, "messages", "missing_parameter"),
        (
            CHAT,
            chat() | {"messages": [{"role": "user", "content": "", "tool_call_id": "x"}]},
            "messages",
            "invalid_value",
        ),
        (CHAT, chat(top_logprobs=2), "top_logprobs", None),
        (CHAT, chat(logprobs=True, top_logprobs=21), "top_logprobs", "invalid_value"),
        (CHAT, chat(tools=[{"type": "function"}]), "function", "missing_parameter"),
        (CHAT, chat(tool_choice="required"), "tool_choice", None),
        (CHAT, chat() | {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value"),
        (CHAT, chat(temperature=3), "temperature", "invalid_value"),
        (CHAT, chat(top_p=0), "top_p", "invalid_value"),
        (CHAT, chat(n=0), "n", "invalid_value"),
        (CHAT, chat(max_tokens=0), "max_tokens", "invalid_value"),
        (CHAT, chat(stop=[""]), "stop[0]", "invalid_value"),
        (CHAT, chat(seed=2**70), "seed", "invalid_value"),
        (CHAT, chat(stream_options={"include_usage": True}), "stream_options", None),
        (TEXT, text(["one", 2]), "prompt", "invalid_value"),
        (TEXT, text([-1]), "prompt[0]", "invalid_value"),
        (TEXT, text([[]]), "prompt[0]", "invalid_value"),
        (TEXT, text([]), "prompt", "invalid_value"),
        (TEXT, text(max_tokens=0), "max_tokens", "invalid_value"),
    ],
)
def test_a_malformed_body_is_refused_with_the_field_at_fault(
    path: str, body: object, param: str | None, code: str | None
) -> None:
    response = ask(path, body)
    error = response.json["error"]
    assert (response.status, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_a_400_also_for_a_stream(stream: bool) -> None:
    response = ask(CHAT, chat("word " * 600, stream=stream))
    assert (response.status, response.json["error"]["code"]) == (400, "context_length_exceeded")
    assert "600 tokens" in response.json["error"]["message"]


def test_limits_of_the_endpoint_are_kept() -> None:
    assert ask(CHAT, chat("a b c"), max_prompt_tokens=2).json["error"]["code"] == "context_length_exceeded"
    assert ask(CHAT, chat(n=9)).json["error"]["param"] == "n"
    assert ask(TEXT, text(["a"] * 5, n=2)).json["error"]["code"] == "limit_exceeded"
    assert ask(CHAT, chat(max_tokens=2000)).json["error"]["code"] == "limit_exceeded"
    assert ask(CHAT, chat("x" * 500), max_body_bytes=400).status == 413


@pytest.mark.parametrize("model", ["words", "words@1"])
def test_the_model_goes_by_its_name_or_by_the_version_in_force(model: str) -> None:
    assert ask(CHAT, chat() | {"model": model}).status == 200


@pytest.mark.parametrize("model", ["gpt-5", "words@2", "words@production", ""])
def test_an_unknown_model_is_a_404_that_says_what_there_is(model: str) -> None:
    response = ask(CHAT, chat() | {"model": model})
    assert response.status == 404
    assert response.json["error"]["code"] == "model_not_found"
    assert "words, words@1" in response.json["error"]["message"]


def test_models_are_listed_and_shown_with_their_bundle() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        listed = (await caller.get("/v1/models")).json
        assert [entry["id"] for entry in listed["data"]] == ["words", "words@1"]
        shown = (await caller.get("/v1/models/words@1")).json
        assert shown["kedge"]["bundle"] == memory.current()["stable"].bundle  # type: ignore[index]  # StrEnum
        assert shown["kedge"]["context"] == 512
        assert (await caller.get("/v1/models/words")).json["kedge"]["version"] == "words@1"
        assert (await caller.get("/v1/models/other")).status == 404

    serve(act)


def test_an_unknown_path_and_a_wrong_method_are_errors_in_the_apis_shape() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        missing = await caller.get("/v1/files")
        assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")
        wrong = await caller.get(CHAT)
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        assert (await caller.post("/health", b"", key="")).status == 405

    serve(act)


def test_a_trace_says_what_was_asked_and_answered() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(CHAT, chat("one two"))
        await caller.post(TEXT, text("three", n=2))

    first, second = serve(act).traces.traces
    assert json.loads(first.prompt) == [{"role": "user", "content": "one two"}]
    assert (first.answer, first.endpoint, first.key, first.route) == ("one two", "words", "key-0", CHAT)
    assert (first.status, first.error, first.prompt_tokens, first.completion_tokens) == (200, "", 2, 2)
    assert 0 < first.first_token_ms <= first.latency_ms
    assert (second.prompt, json.loads(second.answer)) == ("three", ["three", "three"])


def test_a_failed_answer_is_traced_with_its_error() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(CHAT, chat("word " * 600))

    (trace,) = serve(act).traces.traces
    assert trace.status == 400
    assert "600 tokens" in trace.error


def test_what_was_asked_beside_the_prompt_is_traced_with_it() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(CHAT, chat("three", tools=[tool]))

    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    (kept,) = serve(act).traces.traces
    (without,) = serve(act, trace_content=False).traces.traces
    assert json.loads(kept.detail)["tools"][0]["function"]["name"] == "add"
    assert "tools" not in json.loads(without.detail)


def test_content_is_left_out_of_traces_when_the_project_says_so() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(CHAT, chat("a secret"))

    (trace,) = serve(act, trace_content=False).traces.traces
    assert (trace.prompt, trace.answer) == ("", "")
    assert trace.completion_tokens == 2


def test_more_requests_than_may_be_under_way_are_told_when_to_come_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        responses = await asyncio.gather(*(caller.post(CHAT, chat("word " * 50)) for _ in range(6)))
        assert sorted(response.status for response in responses) == [200] * 4 + [429] * 2
        refused = next(response for response in responses if response.status == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.json["error"]["type"] == "rate_limit_error"
        assert (await caller.post(CHAT, chat())).status == 200

    serve(act, max_waiting=4)


def test_an_answer_that_takes_too_long_is_a_504_and_cancelled() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        response = await caller.post(CHAT, chat("word " * 200, max_tokens=500))
        assert (response.status, response.json["error"]["type"]) == (504, "timeout_error")
        assert (await caller.post(CHAT, chat("a"))).status == 200

    memory = serve(act, bundle=words(delay=0.005), request_seconds=0.05)
    assert memory.traces.traces[0].status == 504


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_goes_away_cancels_the_engine(stream: bool) -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        leave = asyncio.Event()
        body = json.dumps(chat("word " * 200, max_tokens=500, stream=stream)).encode()
        asked = asyncio.create_task(caller.send("POST", CHAT, body, leave=leave))
        await begun(memory)
        leave.set()
        await asyncio.wait_for(asked, 1)
        assert memory.engines[0].waiting == 0
        assert (await caller.post(CHAT, chat("a"))).status == 200
        assert gateway.limits.under_way == 0

    memory = serve(act, bundle=words(delay=0.002))
    assert memory.traces.traces[0].status == 499


def test_an_engine_that_stops_is_a_503_before_an_answer_began() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        whole = asyncio.create_task(caller.post(CHAT, chat("word " * 200)))
        await begun(memory)
        memory.engines[0].fail(Unavailable("the engine stopped while it was answering"))
        memory.engines[0].healthy = False
        for response in (await whole, await caller.post(CHAT, chat(stream=True))):
            assert response.status == 503
            assert response.headers["retry-after"] == "1"
            assert response.json["error"]["code"] == "engine_unavailable"

    serve(act, bundle=words(delay=0.002))


def test_an_engine_that_stops_ends_a_stream_with_an_error() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = asyncio.create_task(caller.post(CHAT, chat("word " * 200, stream=True)))
        await begun(memory)
        memory.engines[0].fail(Unavailable("the engine stopped while it was answering"))
        response = await asked
        assert response.status == 200
        assert response.events[-1]["error"]["code"] == "engine_unavailable"
        assert "[DONE]" not in response.events

    memory = serve(act, bundle=words(delay=0.002))
    assert memory.traces.traces[0].status == 503


class Faulty(EchoEngine):
    """An engine with a bug."""

    def submit(self, request: GenerationRequest) -> None:
        raise ZeroDivisionError("at 0x7f00deadbeef")


def test_an_unforeseen_failure_says_nothing_of_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        memory.engines[0].engine = Faulty()
        response = await caller.post(CHAT, chat())
        assert response.status == 500
        assert response.json["error"] == {
            "message": "the gateway failed",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }

    serve(act)
    assert "not foreseen" in caplog.text


def test_health_needs_no_key_and_tells_whether_an_answer_would_come() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        healthy = await caller.get("/health", key="")
        assert (healthy.status, healthy.json["status"]) == (200, "ok")
        memory.engines[0].healthy = False
        unhealthy = await caller.get("/health", key="")
        assert (unhealthy.status, unhealthy.json["status"]) == (503, "unavailable")

    serve(act)


def test_metrics_count_requests_tokens_and_times() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        await caller.post(CHAT, chat("one two"))
        await caller.post(CHAT, b"{")
        await caller.get("/etc/passwd")
        page = (await caller.get("/metrics")).body.decode()
        assert 'kedge_requests_total{route="/v1/chat/completions",status="200"} 1.0' in page
        assert 'kedge_requests_total{route="/v1/chat/completions",status="400"} 1.0' in page
        assert 'kedge_requests_total{route="other",status="404"} 1.0' in page
        assert 'kedge_tokens_total{kind="prompt"} 2.0' in page
        assert 'kedge_tokens_total{kind="completion"} 2.0' in page
        assert 'kedge_request_duration_seconds_count{route="/v1/chat/completions"} 1.0' in page
        assert 'kedge_first_token_seconds_count{route="/v1/chat/completions"} 1.0' in page
        assert "kedge_traces_dropped_total 0.0" in page
        assert "kedge_queue_depth 0.0" in page
        assert "kedge_requests_in_flight 0.0" in page
        (info,) = re.findall(r"^kedge_bundle_info\{(.*)\} 1\.0$", page, re.MULTILINE)
        assert 'version="1"' in info
        assert 'role="stable"' in info

    serve(act)


def test_nothing_that_was_sent_can_name_a_metric() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        for i in range(50):
            await caller.get(f"/v1/models/{i}")
            await caller.get(f"/{i}")
        page = (await caller.get("/metrics")).body.decode()
        assert len(re.findall("^kedge_requests_total", page, re.MULTILINE)) == 2

    serve(act)
