"""The index of an OCI image layout: the names under which stock tools find artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from kedge.core.hashing import canonical
from kedge.core.manifest import MANIFEST_TYPE, artifact_type, decode
from kedge.core.ports import BlobStore

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
REF_NAME = "org.opencontainers.image.ref.name"


@runtime_checkable
class Layout(Protocol):
    """A blob store that can hold files beside its blobs."""

    def publish(self, name: str, data: bytes) -> None:
        """Replace a file atomically."""
        ...


def ref_name(name: str, selector: str | int) -> str:
    """The name of `schemas@7` or `schemas@production` in an OCI layout: `schemas-7`, `schemas-production`."""
    return f"{name}-{selector}"


def publish_refs(blobs: BlobStore, refs: Mapping[str, str]) -> None:
    """Replace the index with these names and artifact digests. `NotFound` or `Broken` if one cannot be read.

    A store that is not an OCI layout has no index and is left alone.
    """
    if not isinstance(blobs, Layout):
        return
    described = {digest: _describe(digest, blobs.get(digest)) for digest in set(refs.values())}
    manifests = [{**described[digest], "annotations": {REF_NAME: name}} for name, digest in sorted(refs.items())]
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    blobs.publish("oci-layout", LAYOUT)
    blobs.publish("index.json", canonical(index))


def _describe(digest: str, manifest: bytes) -> dict[str, Any]:
    kind = decode(manifest).kind
    return {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(manifest), "artifactType": artifact_type(kind)}
