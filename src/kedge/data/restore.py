"""Makes an earlier version the newest again: a manifest over the segments that are there, and nothing else is written."""

from __future__ import annotations

from dataclasses import replace

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid, NotFound
from kedge.core.manifest import read_manifest, write_artifact
from kedge.core.ports import BlobStore
from kedge.data.read import read_dataset
from kedge.data.store import describe
from kedge.data.types import BuildResult


def restore(blobs: BlobStore, version: str, newest: str) -> BuildResult:
    """A version with the content of `version`, behind `newest`, which becomes its parent. Both stay as they are.

    `Invalid` if they are versions of two datasets; `NotFound` if something of the version is no longer stored.
    """
    before, after = read_dataset(blobs, version), read_dataset(blobs, newest)
    if before.name != after.name:
        raise Invalid(f"{before.name} and {after.name} are two datasets", address=version)
    layers = read_manifest(blobs, version).layers
    there = {blob.digest for blob in blobs.list()}
    gone = next((layer for layer in layers if layer.digest not in there), None)
    if gone is not None:
        raise NotFound(
            f"{gone.title} of this version is no longer stored",
            address=version,
            hint="kedge gc removes what nothing holds",
        )
    manifest = replace(before, parent=newest, restored=before.restored or version)
    artifact = write_artifact(blobs, ArtifactKind.DATASET, describe(manifest), {layer.title: layer for layer in layers})
    return BuildResult(artifact=artifact, manifest=manifest)
