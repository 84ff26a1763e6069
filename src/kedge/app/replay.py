"""Answers a stored request again, by the same bundle or another, and says where the answer differs."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid, NotFound
from kedge.core.generation import GenerationRequest, Penalties
from kedge.core.manifest import export_files
from kedge.core.trace import Trace, new_trace_id, parse_receipt
from kedge.registry.bundle import read_bundle
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import Answer, run
from kedge.store.traces.open import open_sink

SEEDS = 2**63
AROUND = 24

Prompt = str | list[int] | list[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer then and now. `at` is where they part (-1: nowhere), counted in characters."""

    before: str
    after: str
    at: int
    error: str = ""

    @property
    def parting(self) -> tuple[str, str]:
        """What either says around the place where they part."""
        start = max(self.at - AROUND, 0)
        return self.before[start : self.at + AROUND], self.after[start : self.at + AROUND]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request answered again. `on` is what answered; `trace` is the new answer's. `notes` say why they may differ."""

    receipt: str
    on: str
    bundle: str
    trace: str
    sampling: Sampling
    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether every answer is what it was, to the letter."""
        return all(choice.at < 0 and not choice.error for choice in self.choices)


def replay(project: Project, receipt: str, *, on: str = "") -> Replay:
    """Answer the request of a receipt again, with its own prompt, sampling, seed, schema, tools and penalties. `on` is a version, an alias or a
    bundle's digest; without it the bundle that answered then.

    `Refused` for a receipt of another project, `NotFound` if its trace or the bundle is gone, `Invalid` if the trace
    holds no texts.
    """
    trace = find_trace(project, receipt)
    if not trace.prompt:
        raise Invalid(
            "the trace holds no prompt, so it cannot be asked again",
            address=f"trace:{trace.id}",
            hint="with gateway.trace_content = true the gateway keeps what is asked and answered",
        )
    digest, name = _bundle(project, on or trace.bundle)
    bundle = read_bundle(project.blobs, digest)
    sampling, notes = _sampling(trace, bundle)
    prompts = _prompts(trace)
    before = _answers(trace, len(prompts))
    requests = _requests(prompts, len(before), sampling, _beside(trace))
    started = time.time()
    said = _ask(project, digest, bundle, requests)
    after = [said[request.id] for request in requests]
    done = Replay(
        receipt=receipt.strip(),
        on=name,
        bundle=digest,
        trace=new_trace_id(secrets.SystemRandom()),
        sampling=sampling,
        choices=tuple(map(_compare, before, after)),
        notes=(*notes, *_doubts(trace, sampling)),
    )
    _keep(project, trace, done, after, started)
    return done


def _bundle(project: Project, on: str) -> tuple[str, str]:
    """The digest of what is to answer, and what it is called."""
    if not on.startswith("sha256:"):
        version = resolve(project.ledger, on, exact=True)
        return version.bundle, version.address
    digest = project.ledger.artifacts.get(on).digest
    names = [version.address for version in project.ledger.models.versions() if version.bundle == digest]
    return digest, names[0] if names else digest[:19]


def _detail(trace: Trace) -> dict[str, Any]:
    found: Any = json.loads(trace.detail) if trace.detail else {}
    return found if isinstance(found, dict) else {}


def _sampling(trace: Trace, bundle: Bundle) -> tuple[Sampling, tuple[str, ...]]:
    """How the answer was made then; where the trace does not say, how the bundle would."""
    kept = _detail(trace).get("sampling")
    if isinstance(kept, dict):
        known = {name: value for name, value in kept.items() if name in Sampling.__dataclass_fields__}
        return msgspec.convert(known, Sampling), ()
    return bundle.sampling, ("the trace does not say how tokens were chosen: the bundle's defaults are taken",)


def _prompts(trace: Trace) -> list[Prompt]:
    """What was asked: messages, or one prompt or several."""
    if not trace.prompt.startswith("["):
        return [trace.prompt]
    try:
        found: Any = msgspec.json.decode(trace.prompt)
    except msgspec.DecodeError:
        return [trace.prompt]
    if found and all(isinstance(each, dict) for each in found):
        return [found]
    if found and all(isinstance(each, int) for each in found):
        return [found]
    if trace.route.endswith("/completions") and found and all(isinstance(each, str | list) for each in found):
        return list(found)
    return [trace.prompt]


def _answers(trace: Trace, prompts: int) -> list[str]:
    """The answers then, one or several to a prompt."""
    try:
        found = msgspec.json.decode(trace.answer, type=list[str]) if trace.answer.startswith("[") else []
    except (msgspec.DecodeError, msgspec.ValidationError):
        found = []
    several = len(found) > 1 and len(found) % prompts == 0
    return found if several else [trace.answer]


def _beside(trace: Trace) -> dict[str, Any]:
    """What was asked beside prompt and sampling."""
    detail = _detail(trace)
    asked: dict[str, Any] = {name: detail[name] for name in ("schema", "tools", "echo") if name in detail}
    if "penalties" in detail:
        asked["penalties"] = msgspec.convert(detail["penalties"], Penalties, str_keys=True)
    return asked


def _requests(
    prompts: Sequence[Prompt], answers: int, sampling: Sampling, beside: Mapping[str, Any]
) -> list[GenerationRequest]:
    each = max(answers // len(prompts), 1)
    requests = []
    for place in range(answers):
        prompt, choice = prompts[place // each], place % each
        seed = sampling.seed if sampling.seed is None else (sampling.seed + choice) % SEEDS
        asked: dict[str, Any] = {"prompt": prompt} if isinstance(prompt, str) else {"messages": prompt}
        if not isinstance(prompt, str) and isinstance(prompt[0], int):
            asked = {"tokens": tuple(prompt)}
        requests.append(GenerationRequest(id=str(place), sampling=replace(sampling, seed=seed), **asked, **beside))
    return requests


def _ask(project: Project, digest: str, bundle: Bundle, requests: Sequence[GenerationRequest]) -> dict[str, Answer]:
    """Load the bundle here, ask it and let go of it."""
    work = project.state / "work"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix=f"replay-{os.getpid()}-") as name:
        export_files(project.blobs, digest, Path(name) / "bundle")
        engine = open_engine(bundle, Path(name) / "bundle")
        try:
            return run(engine, requests)
        finally:
            engine.close()


def _compare(before: str, after: Answer) -> Choice:
    error = (after.error or after.finish) if after.finish in ("error", "cancelled") else ""
    return Choice(before=before, after=after.text, at=_parting(before, after.text), error=error)


def _parting(before: str, after: str) -> int:
    if before == after:
        return -1
    shorter = min(len(before), len(after))
    return next((i for i in range(shorter) if before[i] != after[i]), shorter)


def _doubts(trace: Trace, sampling: Sampling) -> list[str]:
    """Why another answer would not be a surprise."""
    doubts = []
    if sampling.temperature > 0 and sampling.seed is None:
        doubts.append("tokens were drawn by chance and without a seed: another answer is to be expected")
    if trace.status != 200:
        doubts.append(f"the answer then ended with {trace.status}: {trace.error}")
    return doubts


def _keep(project: Project, then: Trace, done: Replay, said: Sequence[Answer], started: float) -> None:
    """The new answer as a trace of its own, with the one that it repeats as its parent."""
    texts = [answer.text for answer in said]
    failed = next((choice.error for choice in done.choices if choice.error), "")
    trace = Trace(
        id=done.trace,
        at=started,
        endpoint=then.endpoint,
        bundle=done.bundle,
        key=project.principal,
        route=then.route,
        status=500 if failed else 200,
        prompt=then.prompt,
        answer=texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False),
        prompt_tokens=sum(answer.prompt_tokens for answer in said),
        completion_tokens=sum(answer.completion_tokens for answer in said),
        latency_ms=(time.time() - started) * 1000,
        error=failed,
        tenant=then.tenant,
        role="replay",
        parent=then.id,
        detail=json.dumps({"address": done.on, "sampling": msgspec.to_builtins(done.sampling)}),
    )
    sink = open_sink(project.config.store.traces)
    sink.add(trace)
    sink.close()


def find_trace(project: Project, receipt: str, *, patience: float = 1.0) -> Trace:
    """The trace of a receipt, waiting a little for one that is just being written. `Refused`; `NotFound`."""
    parsed = parse_receipt(receipt, project.secret)
    deadline = time.monotonic() + patience
    while True:
        try:
            return project.traces.get(parsed.trace)
        except NotFound:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
