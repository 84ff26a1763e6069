"""Adapters of one base in one engine: each answers as alone, and as its weights merged into the base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedge.core.adapter import CONFIG, FOLDER, WEIGHTS
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid
from kedge.core.generation import GenerationRequest
from kedge.core.ports import SharedEngine
from kedge.core.spec import Spec
from kedge.optimize.export import export
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import generate
from kedge.serve.engines.transformers import open_transformers
from kedge.serve.servers.local import command_line
from kedge.testing.engines import Parts, SharedEngineSuite, finish_all, text_of
from kedge.testing.models import SENTENCES

BUNDLE = Bundle(model="sha256:" + "0" * 64)


class TestTransformersSideBySide(SharedEngineSuite):
    @pytest.fixture
    def parts(self, tiny_adapters: list[Path]) -> Parts:
        return [(BUNDLE, folder) for folder in tiny_adapters]

    def open(self, bundle: Bundle, folder: Path) -> SharedEngine:
        return open_transformers(bundle, folder)


def asked(id: str, prompt: str, *, bundle: str = "", **more: Any) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(max_tokens=40), bundle=bundle, **more)


def beginnings() -> list[str]:
    return [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]


def generate_with_peft(base: Path, folder: Path) -> list[str]:
    """What plain greedy `generate` of peft's own model answers, one prompt at a time."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder / FOLDER)
    answers = []
    for prompt in beginnings():
        ids = tokenizer(prompt, return_tensors="pt")
        made = model.generate(**ids, max_new_tokens=40, do_sample=False)[0, ids["input_ids"].shape[1] :]
        answers.append(str(tokenizer.decode(made, skip_special_tokens=True)))
    return answers


def test_side_by_side_each_answers_as_peft_alone(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    engine = open_transformers(replace(BUNDLE, engine=Spec(name="transformers", args={"batch": 12})), tiny_model)
    flagged = replace(BUNDLE, engine=Spec(name="transformers", args={"batch": 12}))
    for number, folder in enumerate(tiny_adapters):
        engine.add(str(number), flagged, folder)
    count = len(beginnings())
    requests = [asked(f"{n} {i}", prompt, bundle=str(n)) for i, prompt in enumerate(beginnings()) for n in range(3)]
    answers = generate(engine, requests)
    for number, folder in enumerate(tiny_adapters):
        assert [answers[f"{number} {i}"] for i in range(count)] == generate_with_peft(tiny_model, folder)


def test_the_base_answers_beside_its_adapters_as_ever(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    alone = text_of(finish_all(open_transformers(BUNDLE, tiny_model), asked("a", "one two"))["a"])
    engine = open_transformers(BUNDLE, tiny_model)
    engine.add("b", BUNDLE, tiny_adapters[0])
    got = finish_all(engine, asked("a", "one two"), asked("b", "one two", bundle="b"))
    assert text_of(got["a"]) == alone != text_of(got["b"])


def test_each_bundle_keeps_its_own_prompt(tiny_adapters: list[Path]) -> None:
    engine = open_transformers(replace(BUNDLE, prompt="one {input}"), tiny_adapters[0])
    engine.add("b", replace(BUNDLE, prompt="the {input}"), tiny_adapters[0])
    requests = [
        GenerationRequest(id=n or "a", input="two", bundle=n, sampling=Sampling(max_tokens=4)) for n in ("", "b")
    ]
    got = finish_all(engine, *requests)
    plain = finish_all(engine, asked("one", "one two"), asked("the", "the two"))
    assert text_of(plain["one"]).startswith(text_of(got["a"]))
    assert text_of(plain["the"]).startswith(text_of(got["b"]))


def test_vectors_and_likelihoods_are_those_of_the_adapter(tiny_model: Path, tiny_adapters: list[Path]) -> None:
    pairs = [("one two", " buckle my shoe")]
    engine, base = open_transformers(BUNDLE, tiny_adapters[0]), open_transformers(BUNDLE, tiny_model)
    beside = open_transformers(BUNDLE, tiny_adapters[1])
    beside.add("b", BUNDLE, tiny_adapters[0])
    finish_all(beside, asked("other", "one two"))
    own = finish_all(engine, asked("v", "one two", embed=True))["v"][-1].embedding
    assert engine.score(pairs)[0].logprob > base.score(pairs)[0].logprob + 1
    assert finish_all(beside, asked("v", "one two", embed=True, bundle="b"))["v"][-1].embedding == own
    assert finish_all(beside, asked("v", "one two", embed=True))["v"][-1].embedding != own


def spoiled(folder: Path, source: Path, change: Callable[[Path], None]) -> Path:
    """A copy of a model in which something of its adapter is another."""
    shutil.copytree(source, folder)
    change(folder / FOLDER)
    return folder


def _wider(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    save_file({name: torch.nn.functional.pad(w, (0, 1)) for name, w in weights.items()}, adapter / WEIGHTS)


def _no_number(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    save_file({name: w * float("nan") for name, w in weights.items()}, adapter / WEIGHTS)


def _elsewhere(adapter: Path) -> None:
    weights = load_file(adapter / WEIGHTS)
    save_file({name.replace("layers.1", "layers.7"): w for name, w in weights.items()}, adapter / WEIGHTS)


def _other_kind(adapter: Path) -> None:
    said = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**said, "use_dora": True}))


def _cut_off(adapter: Path) -> None:
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:-100])


@pytest.mark.parametrize("change", [_wider, _no_number, _elsewhere, _other_kind, _cut_off])
def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing(
    tiny_adapters: list[Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    engine = open_transformers(BUNDLE, tiny_adapters[0])
    before = text_of(finish_all(engine, asked("a", "one two"))["a"])
    with pytest.raises(Invalid):
        engine.add("b", BUNDLE, spoiled(tmp_path / "bad", tiny_adapters[1], change))
    assert text_of(finish_all(engine, asked("a", "one two"))["a"]) == before
    assert finish_all(engine, asked("b", "one two", bundle="b"))["b"][-1].error_code == "not_found"


def test_other_flags_are_not_served_beside(tiny_adapters: list[Path]) -> None:
    engine = open_transformers(BUNDLE, tiny_adapters[0])
    with pytest.raises(Invalid, match="same flags"):
        engine.add("b", replace(BUNDLE, engine=Spec(name="transformers", args={"context": 64})), tiny_adapters[1])


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_a_server_that_would_leave_the_adapter_out_is_not_started(tiny_adapters: list[Path], name: str) -> None:
    with pytest.raises(Invalid, match="does not read an adapter"):
        command_line(replace(BUNDLE, engine=Spec(name=name)), tiny_adapters[0], 1)


def test_an_engine_that_would_leave_the_adapter_out_is_not_opened(tiny_adapters: list[Path]) -> None:
    with pytest.raises(Invalid, match=r"lora\.merge"):
        open_engine(replace(BUNDLE, engine=Spec(name="echo")), tiny_adapters[0])


def test_an_export_has_the_adapter_merged_in(tiny_adapters: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    shutil.copytree(tiny_adapters[0], folder)
    export(folder, folder / "openvino", model=BUNDLE.model, precision="fp32")
    bundle = replace(BUNDLE, export="sha256:" + "1" * 64, engine=Spec(name="openvino", args={"cache_mb": 16}))
    reference, exported = open_engine(BUNDLE, folder), open_engine(bundle, folder)
    answers = [text_of(finish_all(engine, asked("a", "one two"))["a"]) for engine in (reference, exported)]
    assert answers[0] == answers[1] == " buckle my shoe"
