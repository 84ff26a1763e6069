"""The engine openvino keeps the port's promises, and answers greedily as the reference does, token for token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid, NotFound, Refused
from kedge.core.generation import GenerationRequest
from kedge.core.ports import Engine
from kedge.core.spec import Spec
from kedge.optimize.export import export
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.openvino import OpenvinoEngine
from kedge.serve.engines.run import generate, run
from kedge.serve.engines.transformers import open_transformers
from kedge.testing.engines import EngineSuite, finish_all, text_of
from kedge.testing.models import CONTEXT, SENTENCES

BUNDLE = Bundle(model="sha256:" + "0" * 64, engine=Spec(name="openvino"))


def flagged(**flags: object) -> Bundle:
    return replace(BUNDLE, engine=Spec(name="openvino", args={"cache_mb": 16, "threads": 1, **flags}))


def link(source: Path, target: Path) -> Path:
    """The files of a bundle's folder, without its export."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            (target / path.name).hardlink_to(path)
    return target


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder with an export in float32 in it."""
    folder = link(tiny_model, tmp_path_factory.mktemp("exported") / "bundle")
    export(tiny_model, folder / "openvino", model=BUNDLE.model, precision="fp32")
    return folder


@pytest.fixture(scope="module")
def loaded(exported: Path) -> Iterator[Engine]:
    engine = open_engine(flagged(), exported)
    yield engine
    engine.close()


class TestOpenvino(EngineSuite):
    @pytest.fixture
    def engine(self, loaded: Engine) -> Engine:
        return loaded


def asked(id: str, prompt: str, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(**{"max_tokens": 60, **sampling}))


def prompts() -> list[str]:
    """Beginnings of what the model has learnt, of many lengths, and some it has not."""
    parts = [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]
    return [*parts, "unheard of: 1234567890 " * 2, "🙂", ""]


def test_greedy_answers_equal_those_of_the_reference(tiny_model: Path, loaded: Engine) -> None:
    requests = [asked(str(i), prompt) for i, prompt in enumerate(prompts())]
    reference = open_transformers(replace(BUNDLE, engine=Spec(name="transformers")), tiny_model)
    assert run(loaded, requests) == run(reference, requests)


def test_likelihoods_equal_those_of_the_reference(tiny_model: Path, loaded: Engine) -> None:
    pairs = [("one two", " three four"), ("the kedge is", " the small anchor a ship"), ("größe", " never heard of")]
    reference = open_transformers(replace(BUNDLE, engine=Spec(name="transformers")), tiny_model)
    for ours, theirs in zip(loaded.score(pairs), reference.score(pairs), strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.logprob == pytest.approx(theirs.logprob, rel=1e-4, abs=1e-4)
    with pytest.raises(Invalid, match="the context 128"):
        loaded.score([("one two", "three " * 200)])


def test_requests_that_join_later_answer_as_alone(exported: Path) -> None:
    engine = open_engine(flagged(batch=3, prefill_tokens=20), exported)
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


def test_one_seed_gives_one_answer_whoever_else_is_asked(loaded: Engine) -> None:
    question = asked("a", "one", temperature=2.0, top_p=0.95, seed=11)
    alone = text_of(finish_all(loaded, question)["a"])
    others = [asked(str(i), p, temperature=1.5, seed=i) for i, p in enumerate(prompts()[:7])]
    assert text_of(finish_all(loaded, *others, question)["a"]) == alone
    assert text_of(finish_all(loaded, replace(question, sampling=replace(question.sampling, seed=12)))["a"]) != alone


def test_without_a_seed_answers_differ(loaded: Engine) -> None:
    questions = [asked(str(i), "one", temperature=3.0) for i in range(8)]
    assert len({text_of(events) for events in finish_all(loaded, *questions).values()}) > 1


def test_an_answer_ends_where_the_context_is_full(loaded: Engine) -> None:
    prompt = "unheard of: 1234567890 " * 5
    last = finish_all(loaded, asked("a", prompt, max_tokens=10_000, temperature=9.0, seed=3))["a"][-1]
    assert last.finish in ("length", "stop")
    assert last.prompt_tokens + last.completion_tokens <= CONTEXT


def test_what_it_cannot_do_is_refused_and_not_dropped(loaded: Engine) -> None:
    last = finish_all(loaded, replace(asked("a", "one"), logprobs=3, schema="{}"))["a"][-1]
    assert (last.finish, last.error_code) == ("error", "invalid")
    assert "logprobs, schema" in last.error


def test_what_a_caller_writes_is_never_a_special_token(exported: Path, tiny_model: Path) -> None:
    template = "{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}"
    question = GenerationRequest(
        id="a", messages=[{"role": "user", "content": "one</s> two"}], sampling=Sampling(max_tokens=4)
    )
    ours = open_engine(replace(flagged(), chat_template=template), exported)
    theirs = open_engine(Bundle(model="x", chat_template=template), tiny_model)
    assert run(ours, [question]) == run(theirs, [question])
    assert run(ours, [question])["a"].prompt_tokens > 6  # the sign is read as text, letter by letter


def test_the_very_tokens_can_be_asked(loaded: Engine) -> None:
    question = replace(asked("a", "x"), prompt=None, tokens=(261, 262))
    assert finish_all(loaded, question)["a"][-1].prompt_tokens == 2
    beyond = finish_all(loaded, replace(question, tokens=(99_999,)))["a"][-1]
    assert beyond.error_code == "invalid"


def test_a_cancelled_answer_lets_its_memory_go(exported: Path) -> None:
    engine = open_engine(flagged(cache_mb=0), exported)  # eight blocks: two long answers at most
    for turn in range(6):
        engine.submit(asked(f"gone-{turn}", "one", max_tokens=100, temperature=9.0, seed=turn))
        engine.step()
        engine.cancel(f"gone-{turn}")
        assert [event.finish for event in engine.step()][-1] == "cancelled"
    assert generate(engine, [asked("a", "one two")])["a"].startswith(" three four")


def test_many_answers_in_little_memory_wait_for_each_other(exported: Path) -> None:
    engine = open_engine(flagged(cache_mb=0), exported)
    requests = [asked(str(i), "one two", max_tokens=40) for i in range(12)]
    assert len(set(generate(engine, requests).values())) == 1


def test_eight_bits_are_said_and_nearly_as_good(tiny_model: Path, tmp_path: Path) -> None:
    folder = link(tiny_model, tmp_path / "bundle")
    made = export(tiny_model, folder / "openvino", model=BUNDLE.model, precision="int8")
    assert made.quantised is not None
    assert made.quantised.error < 0.01
    engine = open_engine(flagged(precision="int8"), folder)
    assert isinstance(engine, OpenvinoEngine)
    assert engine.describe().dtype == "int8"
    assert "three four five" in generate(engine, [asked("a", "one two")])["a"]
    assert (folder / "openvino/openvino_model.bin").stat().st_size < 200_000
    with pytest.raises(Invalid, match="says fp32, and its export is int8"):
        open_engine(flagged(precision="fp32"), folder)


def test_a_bundle_without_an_export_says_what_to_do(tiny_model: Path) -> None:
    with pytest.raises(NotFound, match="no export") as caught:
        open_engine(flagged(), tiny_model)
    assert 'step = "export"' in caught.value.hint


def test_the_flags_of_a_bundle_are_checked(exported: Path) -> None:
    with pytest.raises(Invalid, match="no flag 'preccision'"):
        open_engine(flagged(preccision="int8"), exported)
    with pytest.raises(Invalid, match="wrong"):
        open_engine(flagged(batch="many"), exported)
    assert open_engine(flagged(context=16), exported).describe().context == 16


def test_a_graph_elsewhere_than_in_its_folder_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = link(exported, tmp_path / "bundle")
    (folder / "model.xml").write_bytes(b"<?xml ?>")
    with pytest.raises(Refused, match=r"model\.xml"):
        open_engine(flagged(), folder)
    (folder / "model.xml").unlink()
    (folder / "openvino").mkdir()
    (folder / "openvino/openvino_model.xml").write_bytes(b"PK\x03\x04 not a graph")
    with pytest.raises(Refused, match="archive"):
        open_engine(flagged(), folder)


def test_an_export_says_what_it_is(exported: Path) -> None:
    said = json.loads((exported / "openvino/export.json").read_text())
    assert (said["precision"], said["model"], said["context"]) == ("fp32", BUNDLE.model, CONTEXT)
