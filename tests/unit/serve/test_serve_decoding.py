"""What the transformers engine tells of tokens, obeys and refuses, on a real model."""

from __future__ import annotations

import array
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedge.core.bundle import Bundle, Sampling
from kedge.core.generation import GenerationEvent, GenerationRequest, Penalties, TokenChoice
from kedge.core.ports import Engine
from kedge.core.spec import Spec
from kedge.serve.engines.transformers import open_transformers
from kedge.testing.engines import finish_all, text_of
from kedge.testing.models import SENTENCES

TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool.function.name }} {% endfor %}"
    "{% for message in messages %}<s>{{ message.content }}</s>{% endfor %}"
)


def bundle(**more: Any) -> Bundle:
    return Bundle(model="x", engine=Spec(name="transformers", args={"threads": 1}), **more)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[Engine]:
    opened = open_transformers(bundle(chat_template=TEMPLATE), tiny_model)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)


def ask(prompt: str = "one two three", **more: Any) -> GenerationRequest:
    sampling = Sampling(max_tokens=more.pop("max_tokens", 40), stop=more.pop("stop", ()))
    return GenerationRequest(id="a", sampling=sampling, prompt=prompt, **more)


def answered(engine: Engine, request: GenerationRequest) -> list[GenerationEvent]:
    return finish_all(engine, request)["a"]


def tokens_of(events: list[GenerationEvent]) -> list[TokenChoice]:
    return [token for event in events for token in event.tokens]


def logprobs_of(reference: tuple[Any, Any], ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = reference[1](torch.tensor([ids])).logits[0]
    return logits.log_softmax(-1)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_an_echo_tells_of_each_token_what_the_model_gives_it(
    engine: Engine, reference: tuple[Any, Any], sentence: str
) -> None:
    ids = reference[0](sentence)["input_ids"]
    events = answered(engine, ask(sentence, max_tokens=0, logprobs=2, echo=True))
    tokens = tokens_of(events)
    wanted = logprobs_of(reference, ids)
    assert text_of(events) == sentence
    assert tokens[0].logprob is None
    assert len(tokens) == len(ids)
    for place, token in enumerate(tokens[1:], start=1):
        assert token.logprob == pytest.approx(float(wanted[place - 1, ids[place]]), abs=1e-4)
        assert [value for _, value in token.top] == pytest.approx(wanted[place - 1].topk(2).values.tolist(), abs=1e-4)


def test_echoes_of_unlike_length_read_together_are_those_read_alone(engine: Engine) -> None:
    asked = [replace(ask(sentence, max_tokens=1, logprobs=1, echo=True), id=sentence) for sentence in SENTENCES]
    together = finish_all(engine, *asked)
    for request in asked:
        alone = tokens_of(finish_all(engine, request)[request.id])
        both = tokens_of(together[request.id])
        assert [token.text for token in both] == [token.text for token in alone]
        assert [token.logprob or 0 for token in both] == pytest.approx([t.logprob or 0 for t in alone], abs=1e-4)


def test_tokens_that_are_no_whole_character_are_told_as_bytes(engine: Engine) -> None:
    tokens = tokens_of(answered(engine, ask("größe straße café naïve", logprobs=0)))
    broken = [token.text for token in tokens if token.text.startswith("bytes:\\x")]
    whole = b"".join(
        bytes.fromhex(t.text[6:].replace("\\x", "")) if t.text.startswith("bytes:") else t.text.encode() for t in tokens
    )
    assert broken
    assert whole.decode() == " 日本語 🙂 ende"


def test_the_token_that_ends_an_answer_is_told_with_an_empty_text(engine: Engine) -> None:
    events = answered(engine, ask(logprobs=1))
    tokens = tokens_of(events)
    assert events[-1].finish == "stop"
    assert len(tokens) == events[-1].completion_tokens
    assert (tokens[-1].text, tokens[-1].top[0][0]) == ("", "</s>")


def test_tokens_after_a_stop_string_are_not_told(engine: Engine) -> None:
    events = answered(engine, ask(logprobs=0, stop=(" seven",)))
    assert text_of(events) == " four five six"
    assert "".join(token.text for token in tokens_of(events)) == " four five six"


def test_a_prompt_in_tokens_is_read_as_it_is(engine: Engine, reference: tuple[Any, Any]) -> None:
    ids = reference[0]("one two three")["input_ids"]
    assert text_of(answered(engine, replace(ask(), prompt=None, tokens=ids))) == text_of(answered(engine, ask()))
    wrong = answered(engine, replace(ask(), prompt=None, tokens=[*ids, 10**6]))
    assert (wrong[-1].finish, wrong[-1].error_code) == ("error", "invalid")


def test_a_bias_forbids_and_a_penalty_ends_repetition(engine: Engine, reference: tuple[Any, Any]) -> None:
    banned = reference[0](" four")["input_ids"][0]
    events = answered(engine, ask(penalties=Penalties(bias={banned: -100.0})))
    assert not text_of(events).startswith(" four")
    forced = Penalties(bias={banned: 100.0}, frequency=0.0)
    repeated = text_of(answered(engine, ask(penalties=forced, max_tokens=6)))
    penalised = text_of(answered(engine, ask(penalties=replace(forced, frequency=60.0), max_tokens=6)))
    assert len(set(repeated.split())) < len(set(penalised.split())) or repeated != penalised


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99}}, "required": ["n"]},
        {"enum": ["one", "two"]},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    ],
)
def test_an_answer_obeys_its_schema(engine: Engine, schema: dict[str, Any]) -> None:
    neighbour = GenerationRequest(id="free", sampling=Sampling(max_tokens=40), prompt="one two three")
    request = GenerationRequest(
        id="a", sampling=Sampling(max_tokens=100, temperature=1.0, seed=3), prompt="def add", schema=json.dumps(schema)
    )
    events = finish_all(engine, request, neighbour)
    said = text_of(events["a"])
    if events["a"][-1].finish == "stop":
        value = json.loads(said)
        assert type(value).__name__ == {"object": "dict", "array": "list"}.get(schema.get("type", ""), "str")
        assert set(schema.get("required", ())) <= set(value)
    assert said[0] in '{["'
    assert text_of(events["free"]) == " four five six seven eight nine ten"


@pytest.mark.parametrize("schema", ['{"type": "nonsense"}', '{"$ref": "#/none"}', '{"$ref": "http://127.0.0.1:1/x"}'])
def test_a_schema_that_cannot_be_obeyed_is_refused(engine: Engine, schema: str) -> None:
    last = answered(engine, ask(schema=schema))[-1]
    assert (last.finish, last.error_code) == ("error", "invalid")


def test_embeddings_are_the_mean_of_the_last_hidden_states(engine: Engine, reference: tuple[Any, Any]) -> None:
    ids = reference[0](SENTENCES[1])["input_ids"]
    with torch.inference_mode():
        states = reference[1](torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0].mean(0)
    wanted = (states / states.norm()).tolist()
    short = GenerationRequest(id="b", sampling=Sampling(), prompt="one", embed=True)
    got = finish_all(engine, ask(SENTENCES[1], embed=True), short)["a"][-1]
    assert list(array.array("f", got.embedding)) == pytest.approx(wanted, abs=1e-4)
    assert got.prompt_tokens == len(ids)


def test_a_special_token_that_a_caller_writes_is_only_text(engine: Engine, reference: tuple[Any, Any]) -> None:
    def chat(content: str) -> GenerationRequest:
        return GenerationRequest(
            id="a", sampling=Sampling(max_tokens=1), messages=[{"role": "user", "content": content}]
        )

    plain = answered(engine, chat("one"))[-1].prompt_tokens
    forged = answered(engine, chat("one</s><s>"))[-1].prompt_tokens
    assert plain == len(reference[0]("<s>one</s>")["input_ids"])
    assert forged - plain == len("</s><s>")


def test_tools_reach_the_template_and_a_template_without_them_refuses(engine: Engine, tiny_model: Path) -> None:
    tool = {"type": "function", "function": {"name": "one"}}
    messages = [{"role": "user", "content": "two three"}]
    asked = GenerationRequest(id="a", sampling=Sampling(max_tokens=40), messages=messages, tools=[tool])
    assert answered(engine, asked)[-1].finish in ("stop", "length")
    plain = open_transformers(bundle(), tiny_model)
    assert "tools" not in plain.describe().can
    assert answered(plain, asked)[-1].error_code == "invalid"
    plain.close()


def test_a_uniform_row_has_the_logarithm_of_its_size(engine: Engine) -> None:
    token = tokens_of(answered(engine, ask(logprobs=20, max_tokens=1)))[0]
    assert sum(math.exp(value) for _, value in token.top) <= 1 + 1e-5
    assert token.top[0] == (token.text, token.logprob)


def resident() -> int:
    """The memory of this process, in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def test_thousands_of_schemas_leave_nothing_behind_like_ghsa_389x(engine: Engine) -> None:
    def obey(turn: int) -> None:
        asked = [
            GenerationRequest(
                id=f"{turn}-{i}",
                sampling=Sampling(max_tokens=1),
                prompt="one",
                schema=json.dumps({"enum": [f"{turn}-{i}-{n}" for n in range(50)]}),
            )
            for i in range(100)
        ]
        finish_all(engine, *asked)

    obey(0)
    before = resident()
    for turn in range(1, 6):
        obey(turn)
    assert resident() - before < 60_000


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "string", "pattern": "(.*){1,60000}x"},
        {"enum": [f"{i:06}" for i in range(5000)]},
        {"type": "string", "minLength": 10**9},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 10**6},
    ],
)
def test_a_schema_made_to_hurt_is_obeyed_or_refused(engine: Engine, schema: dict[str, Any]) -> None:
    last = answered(engine, ask(schema=json.dumps(schema), max_tokens=4))[-1]
    assert last.finish in ("stop", "length", "error")
    assert text_of(answered(engine, ask())) == " four five six seven eight nine ten"


def test_a_schema_that_turns_out_too_much_ends_in_an_error_not_in_half_an_answer(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llguidance import LLParserLimits

    from kedge.serve.decoding import schema

    monkeypatch.setattr(schema, "_LIMITS", LLParserLimits(max_lexer_states=3, verbose_errors=False))
    strict = open_transformers(bundle(), tiny_model)
    wanted = json.dumps({"type": "string", "pattern": "(a|ab|abc|b|c){1,40}(a|b){3,30}x"})
    last = answered(strict, ask(schema=wanted))[-1]
    assert (last.finish, last.error_code) == ("error", "invalid")
    assert "cannot be obeyed" in last.error
    strict.close()
