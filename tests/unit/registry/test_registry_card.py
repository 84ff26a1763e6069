from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.dataset import DatasetManifest, Segment, Split
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evaluation, Finding, Interval, MetricResult, Outcome, Rule, Verdict
from kedge.core.manifest import read_manifest, write_artifact
from kedge.core.spec import Spec
from kedge.registry.bundle import read_bundle, write_bundle
from kedge.registry.card import make_card, write_card
from kedge.registry.markdown import code, escape, fence
from kedge.registry.types import CardFacts, Named, Stated
from kedge.testing.blobs import MemoryBlobs

HOSTILE = "<script>alert(1)</script> | [x](http://e.vil) ![y](z)\n# h `c` ```"
STATED = Stated(description="Reads headers.", license="mit", intended_use="Tests.", limitations="None.", contact="Ada")


def make_model(blobs: MemoryBlobs) -> str:
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    return write_artifact(blobs, ArtifactKind.MODEL, {"kedge": {"parameters": 7}}, files).digest


def make_facts(blobs: MemoryBlobs, *, hostile: str = "plain") -> CardFacts:
    model = make_model(blobs)
    bundle = Bundle(model=model, prompt="{input}\n")
    digest = write_bundle(blobs, bundle).digest
    interval = Interval(value=0.71, low=0.68, high=0.74)
    results = tuple(
        MetricResult(metric="exact_match", interval=interval, n=1000, slice=part, answerer=answerer)
        for answerer in ("model", "nearest")
        for part in ("", "args>=2")
    )
    finding = Finding(
        rule=Rule(metric="exact_match", at_least=0.55),
        outcome=Outcome.PASS,
        interval=interval,
        reference=0.55,
        text=hostile,
    )
    segments = (
        Segment(split=Split.TRAIN, title="a", digest="d", rows=900, bytes=1, deleted=(1, 2)),
        Segment(split=Split.TEST, title="b", digest="e", rows=100, bytes=1),
    )
    run = {
        "stage": "train", "step": "train", "args": {"steps": 5, "note": hostile}, "key": "k", "code": "c",
        "environment": {"torch": "2.13"}, "inputs": {}, "outputs": {"model": model},
    }  # fmt: skip
    return CardFacts(
        model="schemas",
        named=Named(bundle=digest, model=model, dataset="sha256:data", evaluation="sha256:eval"),
        bundle=bundle,
        manifest=read_manifest(blobs, digest),
        config={"kedge": {"parameters": 7}},
        dataset=DatasetManifest(
            name=hostile,
            rows=998,
            rows_digest="r",
            segments=segments,
            recipe={"source": hostile},
            rejects={"leak:name": 12},
        ),
        evaluation=Evaluation(bundle=digest, dataset="sha256:data", cases=1000, results=results),
        verdict=Verdict(
            gate="sha256:gate",
            bundle=digest,
            evaluation="sha256:eval",
            dataset="d",
            outcome=Outcome.PASS,
            findings=(finding,),
        ),
        runs=(run,),
        stated=replace(STATED, description=hostile),
    )


def test_the_card_tells_data_training_evaluation_verdict_and_bundle() -> None:
    card = make_card(make_facts(MemoryBlobs()))

    assert card.content["data"]["splits"] == {"train": 898, "test": 100}
    assert card.content["training"]["args"]["steps"] == 5
    assert "| exact\\_match | model | 0.710 \\[0.680, 0.740\\] | 1,000 |" in card.text
    assert "| exact\\_match | nearest |" in card.text
    assert "leak:name" in card.text
    assert "**pass**" in card.text
    assert "model.safetensors" in card.content["bundle"]["files"]


def test_what_nobody_said_is_listed_as_a_gap() -> None:
    facts = replace(make_facts(MemoryBlobs()), stated=Stated(), runs=())

    card = make_card(facts)

    assert any(gap.startswith("license is not stated") for gap in card.gaps)
    assert any("no run on record" in gap for gap in card.gaps)
    assert any("fairness" in gap for gap in card.gaps)
    assert all(gap in card.content["gaps"] for gap in card.gaps)


def test_what_was_said_is_no_gap() -> None:
    assert not [gap for gap in make_card(make_facts(MemoryBlobs())).gaps if "is not stated" in gap]


def test_the_same_facts_give_the_same_card() -> None:
    digests = {write_card(blobs := MemoryBlobs(), make_card(make_facts(blobs))).digest for _ in range(2)}

    assert len(digests) == 1


def test_hostile_values_stay_text() -> None:
    blobs = MemoryBlobs()
    card = make_card(make_facts(blobs, hostile=HOSTILE))
    outside = "".join(card.text.split("````")[::2])  # what stands in a block of code is text anyhow

    assert "<script>" not in outside
    assert "[x](" not in outside
    assert "\n# h" not in outside
    assert (
        json.loads(blobs.get(read_manifest(blobs, write_card(blobs, card).digest).layers[1].digest))["model"]
        == "schemas"
    )


@given(st.text())
def test_an_escaped_value_is_one_line_without_html(text: str) -> None:
    escaped = escape(text)

    assert "\n" not in escaped
    assert "<" not in escaped
    assert "://" not in escaped
    assert not escaped.startswith(("#", "-", "+", "="))


@given(st.text(alphabet="`a|\n ", max_size=20))
def test_code_cannot_be_left(text: str) -> None:
    ticks = len(code(text)) - len(code(text).lstrip("`"))

    assert "`" * ticks not in code(text)[ticks:-ticks]
    assert fence(text).count(fence(text).split("\n")[0]) == 2


def test_a_bundle_reads_back_and_shares_the_models_layers() -> None:
    blobs = MemoryBlobs()
    model = make_model(blobs)
    bundle = Bundle(model=model, prompt="Q: {input}", engine=Spec(name="echo", args={"dtype": "float32"}))

    artifact = write_bundle(blobs, bundle)

    assert read_bundle(blobs, artifact.digest) == bundle
    assert read_manifest(blobs, artifact.digest).layers == read_manifest(blobs, model).layers
    assert msgspec.to_builtins(bundle)["prompt"] == "Q: {input}"


def test_everything_that_decides_an_answer_changes_the_digest() -> None:
    blobs = MemoryBlobs()
    bundle = Bundle(model=make_model(blobs))
    others = [replace(bundle, prompt="Q: {input}"), replace(bundle, engine=Spec(name="echo"))]

    assert len({write_bundle(blobs, each).digest for each in [bundle, *others]}) == 3


def test_a_bundle_is_made_of_a_model_and_of_nothing_else() -> None:
    blobs = MemoryBlobs()
    report = write_artifact(blobs, ArtifactKind.REPORT, {}, {})

    with pytest.raises(Invalid, match="this is a report"):
        write_bundle(blobs, Bundle(model=report.digest))
    with pytest.raises(Invalid, match="not a bundle"):
        read_bundle(blobs, report.digest)
