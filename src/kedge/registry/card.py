"""The model card: filled from what is on record, with a list of what is not.

Nothing in it depends on when or where it is written: the same facts give the same card.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.evaluation import MetricResult
from kedge.core.hashing import canonical
from kedge.core.manifest import write_artifact
from kedge.core.ports import BlobStore
from kedge.registry.markdown import code, escape, fence, table
from kedge.registry.types import CardFacts

FORMAT = 1
_ASKED = {
    "description": "what the model is for, in a sentence",
    "license": "its licence",
    "intended_use": "who should use it for what",
    "limitations": "what it should not be used for",
    "contact": "whom to ask",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as plain values (`content`) and as Markdown (`text`); `gaps` is what nobody said or measured."""

    content: Mapping[str, Any]
    text: str
    gaps: tuple[str, ...]


def make_card(facts: CardFacts) -> Card:
    """The card of a bundle."""
    gaps = tuple(_gaps(facts))
    content = {
        "format": FORMAT,
        "model": facts.model,
        "stated": {field.name: getattr(facts.stated, field.name) for field in fields(facts.stated)},
        "task": _task(facts),
        "data": _data(facts),
        "training": _training(facts),
        "evaluation": {"digest": facts.named.evaluation, **msgspec.to_builtins(facts.evaluation)},
        "verdict": msgspec.to_builtins(facts.verdict),
        "bundle": _bundle(facts),
        "gaps": list(gaps),
    }
    return Card(content=content, text=_render(facts, content, gaps), gaps=gaps)


def write_card(blobs: BlobStore, card: Card) -> Artifact:
    """Store a card as README.md and card.json."""
    files: dict[str, Any] = {
        "README.md": card.text.encode(),
        "card.json": json.dumps(card.content, indent=2, sort_keys=True, ensure_ascii=False).encode(),
    }
    return write_artifact(blobs, ArtifactKind.REPORT, {"type": "card", "model": card.content["model"]}, files)


def _task(facts: CardFacts) -> dict[str, Any]:
    return {
        "prompt": facts.bundle.prompt,
        "chat_template": facts.bundle.chat_template,
        "sampling": msgspec.to_builtins(facts.bundle.sampling),
        "engine": msgspec.to_builtins(facts.bundle.engine),
    }


def _data(facts: CardFacts) -> dict[str, Any]:
    splits: Counter[str] = Counter()
    for segment in facts.dataset.segments:
        splits[str(segment.split)] += segment.rows - len(segment.deleted)
    return {
        "digest": facts.named.dataset,
        "name": facts.dataset.name,
        "rows": facts.dataset.rows,
        "rows_digest": facts.dataset.rows_digest,
        "splits": dict(splits),
        "rejects": dict(facts.dataset.rejects),
        "recipe": dict(facts.dataset.recipe),
    }


def _training(facts: CardFacts) -> dict[str, Any]:
    made = _maker(facts)
    figures = facts.config.get("kedge", {})
    if made is None:
        return {"figures": figures}
    return {
        "figures": figures,
        **{name: made[name] for name in ("stage", "step", "args", "key", "code", "environment")},
    }


def _maker(facts: CardFacts) -> Mapping[str, Any] | None:
    """The run that made the weights."""
    made = (run for run in facts.runs if facts.named.model in run["outputs"].values())
    return next(made, None)


def _bundle(facts: CardFacts) -> dict[str, Any]:
    return {
        "digest": facts.named.bundle,
        "model": facts.named.model,
        "files": {layer.title: {"digest": layer.digest, "size": layer.size} for layer in facts.manifest.layers},
    }


def _gaps(facts: CardFacts) -> Iterator[str]:
    for name, meaning in _ASKED.items():
        if not getattr(facts.stated, name):
            yield f"{name} is not stated: {meaning}"
    if _maker(facts) is None:
        yield "no run on record made these weights: where they come from is not known here"
    if not facts.dataset.recipe.get("license"):
        yield "licence and consent of the training data are not stated"
    if not facts.evaluation.baselines:
        yield "nothing simpler was evaluated beside the model"
    if not any(result.slice for result in facts.evaluation.results):
        yield "the evaluation looks at no slices: where the model is weak is not known"
    yield "fairness, safety and robustness were not evaluated"


def _render(facts: CardFacts, content: Mapping[str, Any], gaps: tuple[str, ...]) -> str:
    parts = [
        _front(facts),
        f"# {escape(facts.model)}",
        escape(facts.stated.description or "No description was given."),
        *_say_stated(facts),
        *_say_evaluation(facts),
        *_say_verdict(facts),
        *_say_data(content["data"]),
        *_say_training(content["training"]),
        *_say_bundle(facts, content["bundle"]),
        "## Gaps",
        "\n".join(f"- {escape(gap)}" for gap in gaps),
    ]
    return "\n\n".join(parts) + "\n"


def _front(facts: CardFacts) -> str:
    """The header that model hubs read; a JSON string is a YAML string."""
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [kedge]"]
    if facts.stated.license:
        lines.append(f"license: {json.dumps(facts.stated.license)}")
    return "\n".join(["---", *lines, "---"])


def _say_stated(facts: CardFacts) -> Iterator[str]:
    titles = {"intended_use": "Intended use", "limitations": "Limitations", "contact": "Contact"}
    for name, title in titles.items():
        if getattr(facts.stated, name):
            yield f"## {title}\n\n{escape(getattr(facts.stated, name))}"


def _say_evaluation(facts: CardFacts) -> Iterator[str]:
    results = facts.evaluation.results
    yield "## Evaluation"
    yield f"{facts.evaluation.cases:,} held-out cases, with 95 % intervals. Evaluation {code(facts.named.evaluation)}."
    whole = [result for result in results if not result.slice]
    rows = [[escape(r.metric), escape(r.answerer), _interval(r), f"{r.n:,}"] for r in whole]
    yield table(["metric", "answered by", "value", "cases"], rows)
    slices = list(dict.fromkeys(r.slice for r in results if r.slice and r.answerer == "model"))
    if slices:
        metrics = list(dict.fromkeys(r.metric for r in results))
        rows = [
            [escape(each), *(_cell(facts.evaluation.find(metric, slice=each)) for metric in metrics)] for each in slices
        ]
        yield "The model by slice:"
        yield table(["slice", *(escape(metric) for metric in metrics)], rows)


def _cell(result: MetricResult | None) -> str:
    return f"{_interval(result)}, n = {result.n:,}" if result else "not measured"


def _interval(result: MetricResult) -> str:
    found = result.interval
    return f"{found.value:.3f} \\[{found.low:.3f}, {found.high:.3f}\\]"


def _say_verdict(facts: CardFacts) -> Iterator[str]:
    yield "## Verdict"
    yield f"**{escape(facts.verdict.outcome)}** by the rules of gate {code(facts.verdict.gate)}."
    yield "\n".join(f"- {finding.outcome}: {escape(finding.text)}" for finding in facts.verdict.findings)


def _say_data(data: Mapping[str, Any]) -> Iterator[str]:
    yield "## Data"
    yield f"Dataset {escape(data['name'])}, {data['rows']:,} rows, {code(data['digest'])}."
    rows = [[escape(split), f"{count:,}"] for split, count in sorted(data["splits"].items())]
    yield table(["split", "rows"], rows)
    if data["rejects"]:
        rows = [[escape(reason), f"{count:,}"] for reason, count in sorted(data["rejects"].items())]
        yield table(["left out because", "rows"], rows)
    yield "How it was made:"
    yield fence(_json(data["recipe"]), "json")


def _say_training(training: Mapping[str, Any]) -> Iterator[str]:
    yield "## Training"
    figures = training["figures"]
    if figures:
        yield table(["figure", "value"], [[escape(name), escape(value)] for name, value in sorted(figures.items())])
    if "args" not in training:
        yield "No run on record made these weights."
        return
    yield f"Stage {escape(training['stage'])}, step {escape(training['step'])}, key {code(training['key'])}."
    yield fence(_json(training["args"]), "json")
    rows = [[escape(name), escape(version)] for name, version in sorted(training["environment"].items())]
    if rows:
        yield table(["environment", "version"], rows)


def _say_bundle(facts: CardFacts, bundle: Mapping[str, Any]) -> Iterator[str]:
    yield "## Bundle"
    yield f"All that decides an answer, under one digest: {code(facts.named.bundle)}."
    settings = {name: value for name, value in msgspec.to_builtins(facts.bundle).items() if name != "model"}
    yield fence(_json(settings), "json")
    rows = [[escape(title), f"{file['size']:,}", code(file["digest"])] for title, file in bundle["files"].items()]
    yield table(["file", "bytes", "digest"], rows)


def _json(value: Any) -> str:
    return json.dumps(json.loads(canonical(value)), indent=2, sort_keys=True, ensure_ascii=False)
