"""Clients of other projects, unmodified, against a real gateway with a real model: openai, lm_eval, tritonclient."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from kedge.core.trace import parse_receipt
from kedge.testing.models import SENTENCES

pytestmark = pytest.mark.slow

COUNTING: list[Any] = [{"role": "user", "content": "one two three"}]
REST = " four five six seven eight nine ten"


class Setting:
    """One gateway for the whole file."""

    def __init__(self, line: Any, served: Any) -> None:
        self.project = line.project
        self.url = served.url
        self.secret = line.secret
        self.client = openai.OpenAI(base_url=f"{served.url}/v1", api_key=line.secret, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_line: Any, serve: Any
) -> Iterator[Setting]:
    with make_line(tmp_path_factory.mktemp("project")) as line:
        line.promote(line.trained(tiny_model))
        with serve(line.project) as served:
            yield Setting(line, served)


def test_openai_reads_probabilities_of_chats_whole_and_streamed(setting: Setting) -> None:
    asked: dict[str, Any] = {"model": "words", "messages": COUNTING, "logprobs": True, "top_logprobs": 3}
    whole = setting.client.chat.completions.create(**asked).choices[0]
    assert whole.logprobs is not None
    tokens = whole.logprobs.content or []
    assert "".join(token.token for token in tokens) == REST
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    streamed = list(setting.client.chat.completions.create(**asked, stream=True))
    parts = [c.choices[0].logprobs for c in streamed]
    told = [token for part in parts if part is not None for token in part.content or []]
    assert [token.token for token in told] == [token.token for token in tokens]


def test_openai_reads_an_echoed_completion(setting: Setting) -> None:
    choice = setting.client.completions.create(
        model="words", prompt=SENTENCES[0], echo=True, logprobs=2, max_tokens=0
    ).choices[0]
    told = choice.logprobs
    assert choice.text == SENTENCES[0]
    assert told is not None
    assert told.token_logprobs is not None
    assert all(value <= 0 for value in told.token_logprobs[1:])
    pieces = zip(told.text_offset or [], told.tokens or [], strict=True)
    assert all(choice.text[at : at + len(token)] == token for at, token in pieces)


def test_openai_gets_an_answer_that_obeys_a_schema(setting: Setting) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["ship", "anchor"]}, "n": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["kind", "n"],
        "additionalProperties": False,
    }
    answer = setting.client.chat.completions.create(
        model="words",
        messages=COUNTING,
        response_format={"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}},
    )
    value = json.loads(answer.choices[0].message.content or "")
    assert value["kind"] in ("ship", "anchor")
    assert value["n"] in range(10)


def test_openai_gets_vectors(setting: Setting) -> None:
    packed = setting.client.embeddings.create(model="words", input=list(SENTENCES))
    plain = setting.client.embeddings.create(model="words", input=SENTENCES[0], encoding_format="float")
    assert len(packed.data) == len(SENTENCES)
    assert math.hypot(*packed.data[1].embedding) == pytest.approx(1, abs=1e-4)
    assert plain.data[0].embedding == pytest.approx(packed.data[0].embedding, abs=1e-4)
    tokens = setting.client.embeddings.create(model="words", input=[[5, 6], [7]])
    assert tokens.usage.prompt_tokens == 3


def test_openai_gets_responses_whole_and_streamed(setting: Setting) -> None:
    whole = setting.client.responses.create(model="words", input="one two three")
    assert whole.output_text == REST
    with setting.client.responses.stream(model="words", input="one two three") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final: Any = stream.get_final_response()
    assert "".join(deltas) == REST == final.output_text
    assert parse_receipt(final.kedge["receipt"], setting.project.secret).trace == final.id.removeprefix("resp_")
    with pytest.raises(openai.BadRequestError, match="stores no responses"):
        setting.client.responses.create(model="words", input="x", previous_response_id=whole.id)


async def _asynchronously(setting: Setting) -> tuple[str, str, list[float]]:
    async with openai.AsyncOpenAI(base_url=f"{setting.url}/v1", api_key=setting.secret, max_retries=0) as client:
        stream = await client.chat.completions.create(model="words", messages=COUNTING, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        response = await client.responses.create(model="words", input="one two three")
        vectors = await client.embeddings.create(model="words", input="one")
        return text, response.output_text, vectors.data[0].embedding


def test_openai_works_asynchronously_too(setting: Setting) -> None:
    text, response, vector = asyncio.run(_asynchronously(setting))
    assert text == response == REST
    assert len(vector) == 64


def test_a_client_of_the_open_inference_protocol_infers(setting: Setting) -> None:
    from tritonclient import http

    headers = {"authorization": f"Bearer {setting.secret}"}
    with http.InferenceServerClient(setting.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("words", headers=dict(headers))
        assert client.get_model_metadata("words", headers=dict(headers))["versions"] == ["1"]
        for binary in (True, False):
            texts = http.InferInput("text_input", [2], "BYTES")
            given = np.array(["one two three", "größe straße"], dtype=object)
            texts.set_data_from_numpy(given, binary_data=binary)
            output = http.InferRequestedOutput("text_output", binary_data=binary)
            got = client.infer("words", [texts], outputs=[output] if not binary else None, headers=dict(headers))
            said = [s.decode() if isinstance(s, bytes) else s for s in got.as_numpy("text_output").tolist()]
            assert said == [REST, " café naïve 日本語 🙂 ende"]
            receipt = got.get_response()["parameters"]["receipt"]
            assert parse_receipt(receipt, setting.project.secret).bundle
            with pytest.raises(Exception, match="does not exist here"):
                client.infer("other", [texts], headers=dict(headers))


def test_the_evaluation_harness_finds_what_it_finds_with_the_model_itself(setting: Setting, tiny_model: Path) -> None:
    script = Path(__file__).parent / "harness.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_model), setting.url],
        env={**os.environ, "OPENAI_API_KEY": setting.secret, "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert got["hf"]["acc"] == got["served"]["acc"]
    for reference, served, tokens in zip(got["hf"]["resps"], got["served"]["resps"], got["tokens"], strict=True):
        for (wanted, greedy), (found, also), count in zip(reference, served, tokens, strict=True):
            assert abs(float(wanted) - float(found)) / count < 1e-4
            assert str(greedy) == str(also)
