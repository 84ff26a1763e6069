"""Bundles as artifacts: the layers of the model, and a config that says everything else that decides an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kedge.core.adapter import is_adapter
from kedge.core.artifact import Artifact, ArtifactKind, Blob
from kedge.core.bundle import Bundle
from kedge.core.errors import Broken, Invalid
from kedge.core.hashing import digest_of
from kedge.core.manifest import read_config, read_manifest, write_artifact
from kedge.core.ports import BlobStore

FORMAT = 1


def write_bundle(blobs: BlobStore, bundle: Bundle) -> Artifact:
    """Store a bundle. Its layers are those of the model and of its export, which cost no second copy. `Invalid` if one is
    not a model, or the export was made from another."""
    files = {
        layer.title: layer for part in filter(None, (bundle.model, bundle.export)) for layer in _layers(blobs, part)
    }
    if bundle.export:
        made_from = (read_export(blobs, bundle.export) or {}).get("model")
        if made_from != bundle.model:
            raise Invalid(
                "the export was made from another model than the bundle's",
                address=bundle.export,
                hint="name both in the stage: inputs = { model = ..., export = ... }",
            )
    return write_artifact(blobs, ArtifactKind.BUNDLE, {"format": FORMAT, **describe_bundle(bundle)}, files)


def read_export(blobs: BlobStore, digest: str) -> Mapping[str, Any] | None:
    """What an export says of itself: `model` and `precision`; None for an artifact that is none."""
    found: Mapping[str, Any] | None = read_config(blobs, digest).get("kedge", {}).get("export")
    return found


def base_of(blobs: BlobStore, digest: str) -> str:
    """What bundles have in common whose models are adapters of one base: their engine, and all their files but the
    adapter's. "" for a bundle whose model has no adapter beside it."""
    layers = read_manifest(blobs, digest).layers
    base = [[layer.title, layer.digest] for layer in layers if not is_adapter(layer.title)]
    if len(base) == len(layers):
        return ""
    return digest_of([msgspec.to_builtins(read_bundle(blobs, digest).engine), base])


def _layers(blobs: BlobStore, digest: str) -> tuple[Blob, ...]:
    manifest = read_manifest(blobs, digest)
    if manifest.kind is not ArtifactKind.MODEL:
        raise Invalid(f"a bundle is made of a model, and this is a {manifest.kind}", address=digest)
    return manifest.layers


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
