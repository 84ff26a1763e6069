"""Bundles as artifacts: the layers of the model, and a config that says everything else that decides an answer."""

from __future__ import annotations

from typing import Any

import msgspec

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.errors import Broken, Invalid
from kedge.core.manifest import read_config, read_manifest, write_artifact
from kedge.core.ports import BlobStore

FORMAT = 1


def write_bundle(blobs: BlobStore, bundle: Bundle) -> Artifact:
    """Store a bundle. Its layers are those of the model, which cost no second copy. `Invalid` if it is not a model."""
    model = read_manifest(blobs, bundle.model)
    if model.kind is not ArtifactKind.MODEL:
        raise Invalid(f"a bundle is made of a model, and this is a {model.kind}", address=bundle.model)
    files = {layer.title: layer for layer in model.layers}
    return write_artifact(blobs, ArtifactKind.BUNDLE, {"format": FORMAT, **describe_bundle(bundle)}, files)


def read_bundle(blobs: BlobStore, digest: str) -> Bundle:
    """What a bundle says. `NotFound`; `Invalid` if the artifact is something else; `Broken` if it cannot be read."""
    kind = read_manifest(blobs, digest).kind
    if kind is not ArtifactKind.BUNDLE:
        raise Invalid(f"this artifact is a {kind}, not a bundle", address=digest)
    config = read_config(blobs, digest)
    if config.pop("format", None) != FORMAT:
        raise Broken("this bundle was written by another version of kedge", address=digest, hint="upgrade kedge")
    try:
        return msgspec.convert(config, Bundle)
    except msgspec.ValidationError as error:
        raise Broken(f"the bundle cannot be read: {error}", address=digest) from error


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """A bundle as plain values."""
    described: dict[str, Any] = msgspec.to_builtins(bundle)
    return described
