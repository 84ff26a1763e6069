"""The work of step `dataset`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from itertools import islice

from kedge.app.project import STATE
from kedge.app.steps.dataset import DatasetOptions, bind_sources
from kedge.app.work.cleaning import check_result, row_stages
from kedge.core.errors import Invalid, Refused
from kedge.core.step import StepContext, StepResult
from kedge.data.build import build
from kedge.data.ingest import Mapper
from kedge.data.read import read_rejects
from kedge.data.types import BuildRequest


def work(context: StepContext, options: DatasetOptions) -> StepResult:
    """Build the dataset version."""
    request = BuildRequest(
        name=options.name or context.stage,
        sources=bind_sources(options),
        normalise=options.normalise,
        duplicates=options.duplicates,
        split=options.split,
        parent=options.parent,
        policy=options.policy,
        stages=row_stages(context, options),
        quality=options.quality,
        sample=options.sample,
        vault=_vault(context, options),
    )
    result = build(
        request,
        root=context.root,
        folder=context.workdir,
        blobs=context.blobs,
        progress=context.progress,
        cache=context.root / STATE / "cache" / "rows" / request.name,
        mapper=_mapper(context),
    )
    manifest = result.manifest
    broken = {reason: count for reason, count in manifest.rejects.items() if reason.startswith("policy:")}
    if broken and options.policy.action == "fail":
        raise _refused(context, result.artifact.digest, broken)
    check_result(context, options, result.artifact, manifest)
    if not manifest.rows and not options.allow_empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in manifest.rejects.items())
        raise Invalid(f"no row is left: {reasons or 'the files are empty'}", hint="kedge data ingest shows each reject")
    metrics = {"rows": manifest.rows, "rejected": sum(manifest.rejects.values()), **manifest.profile["splits"]}
    return StepResult(
        outputs={"dataset": result.artifact}, metrics={name: float(value) for name, value in metrics.items()}
    )


def _mapper(context: StepContext) -> Mapper | None:
    """Where parts are read, if not in processes of this machine."""
    if context.facts.get("executor") != "ray":
        return None
    mapper: Mapper = importlib.import_module("kedge.data.mappers.ray").read_on_ray
    return mapper


def _vault(context: StepContext, options: DatasetOptions) -> str:
    wanted = options.privacy is not None and options.privacy.vault
    return str(context.root / STATE / "vault" / f"{options.name or context.stage}.db") if wanted else ""


def _refused(context: StepContext, dataset: str, broken: Mapping[str, int]) -> Refused:
    """The error for rows that the policy does not allow: what is wrong, and where the first of them stand."""
    rejects = (reject for reject in read_rejects(context.blobs, dataset) if reject.reason in broken)
    rows = "\n  ".join(f"{reject.source}: {reject.detail}" for reject in islice(rejects, 5))
    said = ", ".join(f"{count} {reason}" for reason, count in broken.items())
    return Refused(
        f"the policy does not allow every row: {said}\n  {rows}",
        hint='add what is missing to the rows or to their source, or set policy.action = "drop"',
    )
