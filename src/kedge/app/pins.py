"""Live cases kept as regression sets: JSON Lines in the project, which a dataset stage reads and a gate judges."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.app.project import Project
from kedge.app.question import asked
from kedge.app.regressions import FOLDER, readers
from kedge.app.replay import find_trace
from kedge.core.address import parse_name
from kedge.core.errors import Invalid
from kedge.core.hashing import digest
from kedge.core.trace import Trace
from kedge.registry.bundle import read_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A case in a regression set. `digest` is that of the whole set now; `added` is false if it held the case already.

    `stages` are those of the project file that the next `kedge run` carries out because of it.
    """

    file: str
    cases: int
    digest: str
    input: str
    target: str
    added: bool
    stages: tuple[str, ...]
    hint: str = ""


def pin(project: Project, receipt: str, *, to: str, expect: str | None = None) -> Pin:
    """Keep the request of a receipt as a case of a regression set, with the answer that it should have had.

    Without `expect` the answer that was given is taken for right, unless it failed or somebody said that it was bad. The
    same case again changes nothing; another expected answer to the same request replaces the one before.
    """
    parse_name(to, "regression set")
    trace = find_trace(project, receipt)
    if not trace.prompt:
        raise Invalid(
            "the trace holds no prompt to pin",
            address=f"trace:{trace.id}",
            hint="with gateway.trace_content = true the gateway keeps what is asked and answered",
        )
    target = (trace.answer if expect is None else expect).strip()
    if not target or (expect is None and _is_bad(project, trace)):
        raise Invalid("what was answered is no answer to expect: say what should have been", hint="--expect TEXT")
    case = _case(project, trace, receipt.strip(), target)
    path = project.root / FOLDER / f"{to}.jsonl"
    with _alone(path):
        before = path.read_bytes() if path.exists() else b""
        lines = _merge(before, case)
        after = b"".join(line + b"\n" for line in lines)
        if after != before:
            _write(path, after)
    stages = readers(project, str(path.relative_to(project.root)))
    return Pin(
        file=str(path.relative_to(project.root)),
        cases=len(lines),
        digest=digest(after),
        input=case["input"],
        target=target,
        added=after != before,
        stages=stages,
        hint="" if stages else _snippet(to),
    )


def _is_bad(project: Project, trace: Trace) -> bool:
    return trace.status != 200 or any(said.value < 0.5 for said in project.feedback.of(trace.id))


def _case(project: Project, trace: Trace, receipt: str, target: str) -> dict[str, Any]:
    return {
        "input": _input(asked(trace), read_bundle(project.blobs, trace.bundle).prompt),
        "target": target,
        "answered": trace.answer,
        "receipt": receipt,
        "bundle": trace.bundle,
        "by": project.principal,
    }


def _input(words: str, prompt: str) -> str:
    """What a row's input would be: the words without the bundle's prompt around them."""
    head, _, tail = prompt.partition("{input}")
    wrapped = len(words) >= len(head) + len(tail) and words.startswith(head) and words.endswith(tail)
    return words[len(head) : len(words) - len(tail)] if wrapped else words


def _merge(before: bytes, case: Mapping[str, Any]) -> list[bytes]:
    """The lines of the set with the case in them; one about the same input gives way, unless it expects the same."""
    lines = []
    for line in before.splitlines():
        kept = json.loads(line)
        if kept.get("input") != case["input"]:
            lines.append(line)
        elif kept.get("target") == case["target"]:
            return before.splitlines()
    return [*lines, json.dumps(case, ensure_ascii=False, sort_keys=True).encode(errors="replace")]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time changes a set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.stem}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _snippet(to: str) -> str:
    """Stages that run the set with every `kedge run`, and a gate that promotions need."""
    return f"""write at the end of kedge.toml, so that each `kedge run` checks these cases and a promotion needs them:

[stages.{to}]
step = "dataset"
source = {{ name = "jsonl", path = "{FOLDER}/{to}.jsonl" }}
split = {{ test = 0.0, validation = 0.0 }}

[stages.evaluate-{to}]
step = "evaluate"
inputs = {{ dataset = "{to}" }}
split = "train"
scorers = ["exact_match"]
baselines = []

[stages.gate-{to}]
step = "gate"
inputs = {{ evaluation = "evaluate-{to}", dataset = "{to}" }}
rules = [{{ metric = "exact_match", at_least = 0.9 }}]"""
