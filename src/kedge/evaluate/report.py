"""Reports as artifacts: an evaluation with its cases, and a verdict."""

from __future__ import annotations

import msgspec

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import Broken, Invalid
from kedge.core.evaluation import CaseResult, Evaluation, Verdict
from kedge.core.manifest import read_config, read_manifest, write_artifact
from kedge.core.ports import BlobStore
from kedge.evaluate.types import Report

CASES = "cases.jsonl"
LATER = ("lower", "subject", "detail")  # left out where they say nothing, as in evaluations written before them


def write_evaluation(blobs: BlobStore, report: Report) -> Artifact:
    """Store an evaluation, with every case on a line of `cases.jsonl`."""
    lines = b"".join(msgspec.json.encode(case) + b"\n" for case in report.cases)
    told = msgspec.to_builtins(report.evaluation)
    config = {"type": "evaluation", **{name: value for name, value in told.items() if value or name not in LATER}}
    return write_artifact(blobs, ArtifactKind.REPORT, config, {CASES: lines})


def read_evaluation(blobs: BlobStore, digest: str) -> Evaluation:
    """An evaluation without its cases. `NotFound`; `Invalid` if the artifact is something else."""
    config = read_config(blobs, digest)
    if config.get("type") != "evaluation":
        raise Invalid("this artifact is not an evaluation", address=digest)
    try:
        return msgspec.convert(config, Evaluation)
    except msgspec.ValidationError as error:
        raise Broken(f"the evaluation cannot be read: {error}", address=digest) from error


def read_cases(blobs: BlobStore, digest: str) -> list[CaseResult]:
    """Every case of an evaluation, answerer by answerer."""
    layer = read_manifest(blobs, digest).layer(CASES)
    if layer is None:
        raise Invalid("this artifact is not an evaluation", address=digest)
    try:
        return [msgspec.json.decode(line, type=CaseResult) for line in blobs.get(layer.digest).splitlines()]
    except msgspec.DecodeError as error:
        raise Broken(f"the evaluation's cases cannot be read: {error}", address=digest) from error


def write_verdict(blobs: BlobStore, verdict: Verdict) -> Artifact:
    """Store a verdict, before the application signs it."""
    return write_artifact(blobs, ArtifactKind.REPORT, {"type": "verdict", **msgspec.to_builtins(verdict)}, {})


def read_verdict(blobs: BlobStore, digest: str) -> Verdict:
    """A verdict as the gate gave it. `NotFound`; `Invalid` if the artifact is something else."""
    config = read_config(blobs, digest)
    if config.get("type") != "verdict":
        raise Invalid("this artifact is not a verdict", address=digest)
    try:
        return msgspec.convert(config, Verdict)
    except msgspec.ValidationError as error:
        raise Broken(f"the verdict cannot be read: {error}", address=digest) from error
