"""The doors of one endpoint beside plain chats and completions: probabilities, tools, embeddings, responses, tensors."""

from __future__ import annotations

import array
import asyncio
import base64
import json
import math
import struct
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kedge.core.access import Scope
from kedge.core.bundle import Bundle
from kedge.core.settings import GatewaySettings
from kedge.core.spec import Spec
from kedge.core.trace import parse_receipt
from kedge.serve.gateway.openapi import document
from kedge.serve.gateway.routes import OPEN, ROUTES
from kedge.serve.gateway.tools import calls_in
from kedge.testing.gateway import KEY, SECRET, Caller, MemoryGateway, Response

CHAT, TEXT, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
INFER = "/v2/models/words/infer"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = '{"name":"add","arguments":{"a":1}}'
WORDS = Bundle(model="sha256:" + "0" * 64, engine=Spec(name="echo"))


def send(
    *requests: tuple[str, str, Any],
    bundle: Bundle = WORDS,
    container: bool = False,
    key: str = KEY,
    headers: Any = None,
) -> list[Response]:
    """Each answer to (method, path, body), by one gateway with one release."""
    memory = MemoryGateway(settings=GatewaySettings())
    memory.add_key(scopes=(Scope.ADMIN,))
    memory.release(bundle)

    async def main() -> list[Response]:
        gateway = memory.assemble()
        if container:
            gateway = replace(gateway, options=replace(gateway.options, container_key=KEY))
        await gateway.follower.start()
        caller = Caller(gateway, key=key)
        try:
            return [
                await caller.send(
                    method, path, body if isinstance(body, bytes) else msgspec.json.encode(body), headers=headers
                )
                for method, path, body in requests
            ]
        finally:
            await gateway.follower.close()

    return asyncio.run(main())


def post(path: str, body: Any, **more: Any) -> Response:
    """One answer."""
    return send(("POST", path, body), **more)[0]


def chat(text: str = "one two", **more: Any) -> dict[str, Any]:
    return {"model": "words", "messages": [{"role": "user", "content": text}], **more}


def kinds(response: Response) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream that names them."""
    found = []
    for block in response.body.decode().split("\n\n"):
        if block:
            event, data = block.split("\n")
            found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_chat_tells_the_probability_of_each_token_and_of_others() -> None:
    choice = post(CHAT, chat(logprobs=True, top_logprobs=2)).json["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert [token["token"] for token in tokens] == ["one", " two"]
    assert tokens[1]["bytes"] == list(b" two")
    assert tokens[0]["logprob"] == pytest.approx(-math.log(2))
    assert [top["token"] for top in tokens[0]["top_logprobs"]] == ["one", "-"]
    assert choice["logprobs"]["refusal"] is None


def test_a_streamed_chat_tells_them_with_each_piece() -> None:
    *chunks, _ = post(CHAT, chat(logprobs=True, stream=True)).events
    told = [c["choices"][0]["logprobs"]["content"] for c in chunks if c["choices"][0].get("logprobs")]
    assert [[token["token"] for token in content] for content in told] == [["one"], [" two"]]


def test_an_echoed_completion_has_offsets_into_its_text() -> None:
    body = {"model": "words", "prompt": "a bc", "echo": True, "logprobs": 1, "max_tokens": 1}
    choice = post(TEXT, body).json["choices"][0]
    logprobs = choice["logprobs"]
    assert choice["text"] == "a bc a"
    assert [
        choice["text"][at:][: len(t)] for at, t in zip(logprobs["text_offset"], logprobs["tokens"], strict=True)
    ] == [
        "a",
        " bc",
        " a",
    ]
    assert logprobs["token_logprobs"][0] is logprobs["top_logprobs"][0] is None
    assert logprobs["top_logprobs"][1][" bc"] == logprobs["token_logprobs"][1]


def test_prompts_in_tokens_are_answered_one_or_several() -> None:
    one, several = send(
        ("POST", TEXT, {"model": "words", "prompt": [1, 2]}),
        ("POST", TEXT, {"model": "words", "prompt": [[1], [2, 3]]}),
    )
    assert [choice["text"] for choice in one.json["choices"]] == ["t1 t2"]
    assert [choice["text"] for choice in several.json["choices"]] == ["t1", "t2 t3"]
    assert several.json["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize("said", [CALL, f"<tool_call>\n{CALL}\n</tool_call>"])
def test_a_call_of_a_tool_is_told_as_one(said: str) -> None:
    whole, streamed = send(
        ("POST", CHAT, chat(said, tools=[TOOL])), ("POST", CHAT, chat(said, tools=[TOOL], stream=True))
    )
    choice = whole.json["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("add", {"a": 1})
    *chunks, _ = streamed.events
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert not any(delta.get("content") for delta in deltas)
    assert next(d["tool_calls"][0]["function"]["name"] for d in deltas if "tool_calls" in d) == "add"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "said", ["{not a call}", '{"name":"other","arguments":{}}', "a <tool_call> without end", "plain"]
)
def test_what_only_looks_like_a_call_stays_text(said: str) -> None:
    whole, streamed = send(
        ("POST", CHAT, chat(said, tools=[TOOL])), ("POST", CHAT, chat(said, tools=[TOOL], stream=True))
    )
    assert whole.json["choices"][0]["message"]["content"] == said
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in streamed.events[:-1]) == said
    assert whole.json["choices"][0]["finish_reason"] == "stop"


def test_text_beside_a_call_is_kept() -> None:
    assert calls_in(f"well <tool_call>{CALL}</tool_call>", frozenset({"add"}))[0] == "well"
    assert calls_in(f"[{CALL},{CALL}]", frozenset({"add"}))[1][1].arguments == '{"a":1}'


def test_a_call_and_its_result_can_be_sent_back() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages = [
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    assert post(CHAT, {"model": "words", "messages": messages}).status == 200
    call["function"] = {"name": "add", "arguments": "[]"}
    refused = post(CHAT, {"model": "words", "messages": messages})
    assert (refused.status, refused.json["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize("schema", [{"a": {}} | {"b": ["x" * 70_000]}, {"type": "object", "properties": None}])
def test_a_schema_that_is_too_large_or_cannot_be_done_is_refused(schema: Any) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert post(CHAT, chat(response_format=asked)).status == 400


def test_embeddings_come_as_numbers_or_base64_with_a_receipt() -> None:
    body = {"model": "words", "input": ["one two", "three"]}
    numbers, packed = send(
        ("POST", "/v1/embeddings", body), ("POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
    )
    first = numbers.json["data"][0]["embedding"]
    assert math.hypot(*first) == pytest.approx(1, abs=1e-5)
    assert list(array.array("f", base64.b64decode(packed.json["data"][0]["embedding"]))) == pytest.approx(first)
    assert [each["index"] for each in numbers.json["data"]] == [0, 1]
    assert numbers.json["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert parse_receipt(numbers.json["kedge"]["receipt"], SECRET).bundle == numbers.json["kedge"]["bundle"]


@pytest.mark.parametrize(
    "wrong", [{"input": []}, {"input": ["a"] * 300}, {"input": "a", "dimensions": 8}, {"input": [1, "a"]}]
)
def test_a_wrong_request_for_embeddings_is_refused(wrong: dict[str, Any]) -> None:
    assert post("/v1/embeddings", {"model": "words", **wrong}).status == 400


def test_a_response_has_an_item_its_usage_and_a_receipt() -> None:
    body = post(RESPONSES, {"model": "words", "input": "one two", "instructions": "be brief"}).json
    assert (body["object"], body["status"]) == ("response", "completed")
    assert body["output"][0]["content"][0]["text"] == "one two"
    assert body["usage"]["total_tokens"] == 4
    assert body["kedge"]["receipt"].startswith("rcpt_")
    cut = post(RESPONSES, {"model": "words", "input": "one two", "max_output_tokens": 1}).json
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_a_streamed_response_is_built_up_by_events_in_order() -> None:
    events = kinds(post(RESPONSES, {"model": "words", "input": "one two", "stream": True}))
    assert [kind for kind, _ in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in events] == list(range(10))
    assert events[-1][1]["response"]["output"][0]["content"][0]["text"] == "one two"
    assert "kedge" in events[-1][1]["response"]


def test_a_response_tells_calls_as_items() -> None:
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    body = {"model": "words", "input": CALL, "tools": [tool]}
    whole, streamed = send(("POST", RESPONSES, body), ("POST", RESPONSES, {**body, "stream": True}))
    (item,) = whole.json["output"]
    assert (item["type"], item["name"], json.loads(item["arguments"])) == ("function_call", "add", {"a": 1})
    assert "response.function_call_arguments.done" in [kind for kind, _ in kinds(streamed)]
    back = [{"role": "user", "content": "add"}, item, {"type": "function_call_output", "call_id": "c", "output": "2"}]
    assert post(RESPONSES, {"model": "words", "input": back}).status == 200


@pytest.mark.parametrize("more", [{"previous_response_id": "resp_1"}, {"store": True}, {"background": True}])
def test_what_would_need_stored_responses_is_refused_by_name(more: dict[str, Any]) -> None:
    error = post(RESPONSES, {"model": "words", "input": "x", **more}).json["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", next(iter(more)))


def infer(texts: list[str], name: str = "text_input", **more: Any) -> dict[str, Any]:
    tensor = {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    return {"id": "7", "inputs": [tensor], **more}


def test_tensors_of_texts_are_answered_by_tensors() -> None:
    bundle = replace(WORDS, prompt="say {input}")
    spoken, raw = send(("POST", INFER, infer(["a", "b c"])), ("POST", INFER, infer(["a"], "prompt")), bundle=bundle)
    output = spoken.json["outputs"][0]
    assert (output["name"], output["shape"], output["data"]) == ("text_output", [2], ["say a", "say b c"])
    assert raw.json["outputs"][0]["data"] == ["a"]
    assert (spoken.json["model_name"], spoken.json["model_version"], spoken.json["id"]) == ("words", "1", "7")
    assert parse_receipt(spoken.json["parameters"]["receipt"], SECRET).trace == spoken.headers["x-request-id"]


def test_a_body_may_say_again_which_model_it_is_for() -> None:
    assert post(INFER, infer(["a"], model_name="words")).status == 200
    assert post(INFER, infer(["a"], model_name="other")).status == 400
    assert post("/v2/models/words/versions/1/infer", infer(["a"], model_version="2")).status == 400


def test_parameters_come_as_such_or_as_tensors() -> None:
    limit = {"name": "max_tokens", "datatype": "INT32", "shape": [1], "data": [1]}
    given = infer(["a b c"])
    given["inputs"].append(limit)
    bodies = [given, infer(["a b c"], parameters={"max_tokens": 1})]
    assert [post(INFER, body).json["outputs"][0]["data"] for body in bodies] == [["a"], ["a"]]


def test_tensors_come_and_go_as_bytes() -> None:
    packed = struct.pack("<I", 3) + b"a b"
    head = infer([], parameters={"binary_data_output": True})
    head["inputs"] = [
        {"name": "text_input", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(packed)}}
    ]
    encoded = msgspec.json.encode(head)
    announced = {"inference-header-content-length": str(len(encoded))}
    (response,) = send(("POST", INFER, encoded + packed), headers=announced)
    length = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert json.loads(response.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 7}
    assert response.body[length:][:7] == packed


@pytest.mark.parametrize(
    "wrong",
    [
        infer([]),
        infer(["a"] * 9),
        infer(["a"], "image"),
        infer(["a"], outputs=[{"name": "scores"}]),
        infer(["a"], parameters={"top_k": 3}),
        {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2], "data": ["a"]}]},
        {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": [1]}]},
        {"inputs": [{"name": "text_input", "datatype": "COMPLEX", "shape": [1], "data": ["a"]}]},
        {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": [[[[[[[[[["a"]]]]]]]]]]}]},
        {
            "inputs": [
                {"name": "text_input", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 9**9}}
            ]
        },
    ],
)
def test_a_wrong_request_for_inference_is_refused_in_the_protocols_words(wrong: Any) -> None:
    response = post(INFER, wrong)
    assert response.status == 400
    assert isinstance(response.json["error"], str)


def test_models_and_health_are_told_as_the_protocol_has_it() -> None:
    paths = ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/words", "/v2/models/words/ready"]
    paths += ["/v2/models/words/versions/1", "/v2/models/words/versions/1/ready"]
    assert [r.status for r in send(*(("GET", path, b"") for path in paths))] == [200] * len(paths)
    assert [r.status for r in send(("GET", "/v2/health/live", b""), ("GET", "/v2", b""), key="")] == [200, 401]
    unknown = send(("GET", "/v2/models/other", b""), ("GET", "/v2/models/words/versions/2/ready", b""))
    assert [r.status for r in unknown] == [404, 404]


def test_text_is_generated_whole_or_as_it_comes() -> None:
    body = {"text_input": "one two", "parameters": {"max_tokens": 5}}
    whole, streamed = send(
        ("POST", "/v2/models/words/generate", body), ("POST", "/v2/models/words/versions/1/generate_stream", body)
    )
    assert whole.json["text_output"] == "one two"
    assert whole.json["details"]["finish_reason"] == "stop"
    assert "".join(event["text_output"] for event in streamed.events) == "one two"
    assert "kedge" in streamed.events[-1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": [{"role": "user", "content": "a b"}]}, lambda r: r["choices"][0]["message"]["content"]),
        ({"prompt": "a b"}, lambda r: r["choices"][0]["text"]),
        ({"inputs": "a b"}, lambda r: r[0]["generated_text"]),
        ({"inputs": ["a b", "c"], "parameters": {"do_sample": False}}, lambda r: r[0]["generated_text"]),
    ],
)
def test_an_invocation_of_any_shape_is_answered_without_a_key(body: dict[str, Any], said: Any) -> None:
    ping, answered = send(("GET", "/ping", b""), ("POST", "/invocations", body), container=True, key="")
    assert ping.status == answered.status == 200
    assert said(answered.json) == "a b"
    assert answered.headers["x-kedge-receipt"].startswith("rcpt_")


def test_a_containers_paths_are_not_there_unless_they_are_switched_on() -> None:
    body = {"inputs": "a"}
    assert post("/invocations", body).status == 404
    assert post("/invocations", body, key="").status == 401
    assert post("/invocations", body, container=True, key="kdg_" + "x" * 43).status == 401
    bodies: list[Any] = [{}, [], {"inputs": 5}]
    assert [post("/invocations", wrong, container=True).status for wrong in bodies] == [400] * 3


def test_the_document_has_every_route_and_no_other() -> None:
    said = json.loads(document())
    paths = {path.replace("{name}", "NAME").replace("{version}", "VERSION") for path in said["paths"]}
    assert paths == set(ROUTES) | set(OPEN)
    for path, operations in said["paths"].items():
        route = ROUTES.get(path.replace("{name}", "NAME").replace("{version}", "VERSION"))
        assert list(operations) == [route.method.lower() if route else "get"]
    ids = [operation["operationId"] for operations in said["paths"].values() for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    assert send(("GET", "/openapi.json", b""), key="")[0].json == said
