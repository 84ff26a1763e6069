"""The work of step `upstream`."""

from __future__ import annotations

from kedge.app.steps.upstream import UpstreamOptions
from kedge.core.artifact import ArtifactKind
from kedge.core.manifest import write_artifact
from kedge.core.spec import to_plain
from kedge.core.step import StepContext, StepResult


def work(context: StepContext, options: UpstreamOptions) -> StepResult:
    """An artifact without files, which says where the model is. The key is a reference and no secret."""
    flags = to_plain(options)
    revision = flags.pop("revision")
    config = {
        "descriptor": {"family": options.model, "revision": revision},
        "config": {"architecture": "unknown", "format": "remote"},
        "kedge": {"upstream": flags},
    }
    return StepResult(outputs={"model": write_artifact(context.blobs, ArtifactKind.MODEL, config, {})})
