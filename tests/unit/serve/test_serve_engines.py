"""Both built-in engines keep the port's promises; the reference engine answers as `generate` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Broken, Failed, Invalid, NotFound, Refused
from kedge.core.generation import GenerationRequest
from kedge.core.ports import Engine
from kedge.core.spec import Spec
from kedge.serve.engines.open import engines, open_engine
from kedge.serve.engines.run import generate, run
from kedge.serve.engines.transformers import TransformersEngine, open_transformers
from kedge.testing.engines import EchoEngine, EngineSuite, finish_all, text_of
from kedge.testing.models import CONTEXT, SENTENCES
from kedge.testing.progress import RecordingProgress

BUNDLE = Bundle(model="sha256:" + "0" * 64)


def flagged(**flags: object) -> Bundle:
    return replace(BUNDLE, engine=Spec(name="transformers", args=flags))


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Iterator[TransformersEngine]:
    engine = open_transformers(BUNDLE, tiny_model)
    yield engine
    engine.close()


class TestEcho(EngineSuite):
    @pytest.fixture
    def engine(self) -> Engine:
        return EchoEngine()


class TestTransformers(EngineSuite):
    @pytest.fixture
    def engine(self, loaded: TransformersEngine) -> Engine:
        return loaded


def asked(id: str, prompt: str, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(**{"max_tokens": 60, **sampling}))


def prompts() -> list[str]:
    """Beginnings of what the model has learnt, of many lengths, and some it has not."""
    parts = [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]
    return [*parts, "unheard of: 1234567890 " * 2, "🙂"]


def generate_alone(folder: Path) -> list[str]:
    """What plain greedy `generate` answers, one prompt at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    answers = []
    for prompt in prompts():
        ids = tokenizer(prompt, return_tensors="pt")
        made = model.generate(**ids, max_new_tokens=60, do_sample=False)[0, ids["input_ids"].shape[1] :]
        answers.append(str(tokenizer.decode(made, skip_special_tokens=True)))
    return answers


def test_greedy_answers_in_joint_batches_equal_generate(tiny_model: Path, loaded: TransformersEngine) -> None:
    answers = generate(loaded, [asked(str(i), prompt) for i, prompt in enumerate(prompts())])
    assert [answers[str(i)] for i in range(len(prompts()))] == generate_alone(tiny_model)


def test_requests_that_join_later_answer_as_alone(tiny_model: Path) -> None:
    engine = open_transformers(flagged(batch=3, prefill_tokens=20), tiny_model)
    expected = {str(i): text_of(finish_all(engine, asked("x", p))["x"]) for i, p in enumerate(prompts())}
    said = dict.fromkeys(expected, "")
    waiting = [asked(str(i), p) for i, p in enumerate(prompts())]
    done = 0
    while done < len(expected):
        if waiting:
            engine.submit(waiting.pop())
        for event in engine.step():
            said[event.id] += event.text
            done += bool(event.finish)
    assert said == expected


def test_a_newcomer_does_not_wait_for_a_long_answer(tiny_model: Path) -> None:
    engine = open_transformers(BUNDLE, tiny_model)
    engine.submit(asked("long", SENTENCES[0][:3], max_tokens=100, temperature=5.0, seed=1))
    engine.step()
    engine.submit(asked("short", "the kedge", max_tokens=3))
    ended = []
    for _ in range(6):
        ended += [event.id for event in engine.step() if event.finish]
    assert ended == ["short"]


def test_an_answer_ends_where_the_context_is_full(loaded: TransformersEngine) -> None:
    prompt = "unheard of: 1234567890 " * 5
    last = finish_all(loaded, asked("a", prompt, max_tokens=10_000, temperature=9.0, seed=3))["a"][-1]
    assert last.finish in ("length", "stop")
    assert last.prompt_tokens + last.completion_tokens <= CONTEXT


def test_one_seed_gives_one_answer_whoever_else_is_asked(loaded: TransformersEngine) -> None:
    question = asked("a", "one", temperature=2.0, top_p=0.95, seed=11)
    alone = text_of(finish_all(loaded, question)["a"])
    others = [asked(str(i), p, temperature=1.5, seed=i) for i, p in enumerate(prompts()[:7])]
    assert text_of(finish_all(loaded, *others, question)["a"]) == alone
    assert text_of(finish_all(loaded, replace(question, sampling=replace(question.sampling, seed=12)))["a"]) != alone


def test_an_empty_prompt_is_answered(loaded: TransformersEngine) -> None:
    assert finish_all(loaded, asked("a", ""))["a"][-1].finish in ("stop", "length")


def test_likelihoods_equal_the_models_own_loss(tiny_model: Path, loaded: TransformersEngine) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    pairs = [("one two", " three four"), ("the kedge is", " the small anchor a ship"), ("größe", " never heard of")]
    for (prompt, completion), score in zip(pairs, loaded.score(pairs), strict=True):
        head, tail = tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"]
        ids = torch.tensor([head + tail])
        labels = torch.tensor([[-100] * len(head) + tail])
        with torch.no_grad():
            loss = float(model(input_ids=ids, labels=labels).loss)
        assert score.tokens == len(tail)
        assert score.logprob == pytest.approx(-loss * len(tail), rel=1e-4, abs=1e-4)


def test_a_pair_longer_than_the_context_is_invalid(loaded: TransformersEngine) -> None:
    with pytest.raises(Invalid, match="the context 128"):
        loaded.score([("one two", "three " * 200)])


def test_a_prompt_of_a_million_characters_is_refused_untokenised(loaded: TransformersEngine) -> None:
    last = finish_all(loaded, asked("a", "x" * 1_000_000), steps=1)["a"][-1]
    assert (last.error_code, last.prompt_tokens) == ("invalid", 0)


def test_the_flags_of_a_bundle_are_checked(tiny_model: Path) -> None:
    with pytest.raises(Invalid, match="no flag 'dtyp'") as caught:
        open_engine(flagged(dtyp="float32"), tiny_model)
    assert "dtype" in caught.value.hint
    with pytest.raises(Invalid, match="no dtype 'int3'"):
        open_engine(flagged(dtype="int3"), tiny_model)
    with pytest.raises(Invalid, match="wrong"):
        open_engine(flagged(batch="many"), tiny_model)


def test_the_context_can_be_made_shorter_and_the_dtype_chosen(tiny_model: Path) -> None:
    engine = open_engine(flagged(context=16, dtype="bfloat16"), tiny_model)
    assert (engine.describe().context, engine.describe().dtype) == (16, "bfloat16")
    assert finish_all(engine, asked("a", "one two three four five six seven eight nine ten"))["a"][-1].error


def test_incomplete_weights_are_broken(tiny_model: Path, tmp_path: Path) -> None:
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = (tmp_path / "config.json").read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Broken, match="not complete"):
        open_engine(BUNDLE, tmp_path)


def test_a_folder_that_could_run_code_is_never_loaded(tiny_model: Path, tmp_path: Path) -> None:
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(Refused, match=r"pytorch_model\.bin"):
        open_engine(BUNDLE, tmp_path)


def test_an_unknown_engine_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'transformer'") as caught:
        open_engine(replace(BUNDLE, engine=Spec(name="transformer")), tmp_path)
    assert "transformers" in caught.value.hint
    assert {"echo", "transformers"} <= set(engines().names())


def test_run_tells_progress_and_keeps_errors_apart() -> None:
    progress = RecordingProgress()
    answers = run(EchoEngine(), [asked("a", "x y"), asked("b", "z " * 600)], progress)
    assert (answers["a"].text, answers["a"].finish) == ("x y", "stop")
    assert (answers["b"].finish, answers["b"].text) == ("error", "")
    assert progress.tasks[0].done == 2


def test_generate_names_the_request_that_cannot_be_answered() -> None:
    assert generate(EchoEngine(), [asked("a", "x y")]) == {"a": "x y"}
    with pytest.raises(Failed, match="request b"):
        generate(EchoEngine(), [asked("a", "x y"), asked("b", "z " * 600)])


@pytest.mark.parametrize("flags", [{"cache_mb": 0}, {"batch": 1}, {"prefill_tokens": 1}])
def test_answers_are_the_same_within_narrow_bounds(
    tiny_model: Path, loaded: TransformersEngine, flags: dict[str, int]
) -> None:
    requests = [asked(str(i), prompt) for i, prompt in enumerate(prompts()[:8])]
    assert generate(open_transformers(flagged(**flags), tiny_model), requests) == generate(loaded, requests)


def test_a_model_that_looks_back_only_so_far_answers_as_generate(tiny_model: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tiny_model)),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        sliding_window=8,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.2,
    )
    MistralForCausalLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    engine = open_transformers(BUNDLE, tmp_path)
    answers = generate(engine, [asked(str(i), prompt) for i, prompt in enumerate(prompts())])
    assert [answers[str(i)] for i in range(len(prompts()))] == generate_alone(tmp_path)
