"""The official `openai` client against a real gateway with a real model in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedge.app import models
from kedge.app.project import Project
from kedge.core.errors import NotFound
from kedge.core.trace import Trace, parse_receipt
from kedge.testing.models import SENTENCES

COUNTING: list[Any] = [{"role": "user", "content": "one two three"}]
REST = " four five six seven eight nine ten"


pytestmark = pytest.mark.slow


class Setting:
    """One gateway for the whole file, and a client with its key."""

    def __init__(self, line: Any, served: Any) -> None:
        self.project = line.project
        self.served = served
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


def written(project: Project, id: str) -> Trace:
    """A trace, once its batch is written."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return project.traces.get(id)
        except NotFound:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_chat_is_answered_as_the_model_would(setting: Setting) -> None:
    answer = setting.client.chat.completions.create(model="words", messages=COUNTING)
    assert answer.choices[0].message.content == REST
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "words@1"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_greedy_answer_is_that_of_transformers_over_the_exported_folder(setting: Setting, tmp_path: Path) -> None:
    models.export(setting.project, "words@production", tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)
    for sentence in SENTENCES:
        prompt = " ".join(sentence.split(" ")[:2])
        ids = tokenizer(prompt, return_tensors="pt")
        made = model.generate(**ids, max_new_tokens=60, do_sample=False)[0, ids["input_ids"].shape[1] :]
        answer = setting.client.completions.create(model="words", prompt=prompt, max_tokens=60)
        assert answer.choices[0].text == tokenizer.decode(made, skip_special_tokens=True)


def test_a_streamed_chat_joins_to_the_same_answer_and_ends_with_usage(setting: Setting) -> None:
    stream = setting.client.chat.completions.create(
        model="words",
        messages=COUNTING,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == REST
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 3


def test_a_streamed_completion_never_breaks_a_character(setting: Setting) -> None:
    stream = setting.client.completions.create(model="words", prompt="größe straße", max_tokens=60, stream=True)
    pieces = [chunk.choices[0].text for chunk in stream]
    assert "".join(pieces) == " café naïve 日本語 🙂 ende"
    assert all("\ufffd" not in piece for piece in pieces)


def test_stop_seed_and_several_choices_are_honoured(setting: Setting) -> None:
    def ask(**more: Any) -> list[str]:
        answer = setting.client.completions.create(model="words", prompt="one two three", max_tokens=20, **more)
        return [choice.text for choice in answer.choices]

    assert ask(stop=[" six", " nine"]) == [" four five"]
    sampled = ask(temperature=2.0, seed=5, n=3)
    assert ask(temperature=2.0, seed=5, n=3) == sampled
    assert len(set(sampled)) > 1


def test_the_receipt_is_in_the_header_and_the_body_and_names_the_trace(setting: Setting) -> None:
    raw = setting.client.chat.completions.with_raw_response.create(model="words", messages=COUNTING)
    receipt = parse_receipt(raw.headers["x-kedge-receipt"], setting.project.secret)
    answer: Any = raw.parse()
    assert answer.kedge["receipt"] == raw.headers["x-kedge-receipt"]
    assert answer._request_id == receipt.trace
    stable = setting.project.ledger.releases.current("words")["stable"]
    assert receipt.bundle == stable.bundle
    trace = written(setting.project, receipt.trace)
    assert (trace.answer, trace.status) == (REST, 200)


def test_models_are_listed_and_retrieved(setting: Setting) -> None:
    assert [model.id for model in setting.client.models.list()] == ["words", "words@1"]
    assert setting.client.models.retrieve("words@1").owned_by == "kedge"


def test_errors_arrive_as_the_clients_own_classes(setting: Setting) -> None:
    create = setting.client.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="there is words, words@1"):
        create(model="gpt-5", messages=COUNTING)
    with pytest.raises(openai.BadRequestError) as long:
        create(model="words", messages=[{"role": "user", "content": "one two " * 500}])
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as unsupported:
        create(model="words", messages=COUNTING, store=True)
    assert (unsupported.value.param, unsupported.value.code) == ("store", "unsupported_parameter")
    with pytest.raises(openai.AuthenticationError):
        setting.client.with_options(api_key="kdg_" + "x" * 43).models.list()
    with pytest.raises(openai.BadRequestError):
        setting.client.post("/chat/completions", cast_to=object, body={"model": "words"})


async def _many(url: str, key: str) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        answers = await asyncio.gather(
            *(client.completions.create(model="words", prompt="one two three", max_tokens=60) for _ in range(40))
        )
    return [answer.choices[0].text for answer in answers]


def test_forty_at_once_get_the_same_greedy_answer(setting: Setting) -> None:
    assert asyncio.run(_many(setting.served.url, setting.secret)) == [REST] * 40
