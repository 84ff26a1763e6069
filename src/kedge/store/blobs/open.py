"""Opens a blob store by URL; what a store needs is loaded only when that store is chosen."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.core.ports import BlobStore
from kedge.store.blobs.local import LocalBlobs

REMOTE = ("s3", "gs", "az", "memory")


def open_blobs(url: str, *, cache: Path) -> BlobStore:
    """The store at a folder path, `file://`, `s3://bucket/prefix`, `gs://`, `az://container/prefix` or `memory://`.

    `cache` is a folder for what is read from afar. Settings that are no secret may stand in the query, as
    `s3://models/kedge?endpoint=http://127.0.0.1:9000&region=eu-west-1`; credentials come from where the cloud's own
    tools find them. `Invalid` for an unknown scheme.
    """
    parts = urlsplit(url)
    if not parts.scheme:
        return LocalBlobs(Path(url))
    if parts.scheme == "file":
        return LocalBlobs(Path(unquote(parts.path)))
    if parts.scheme not in REMOTE:
        raise Invalid(
            f"no blob store for {parts.scheme}://", address=url, hint=nearest(parts.scheme, ("file", *REMOTE))
        )
    store: BlobStore = import_module("kedge.store.blobs.objects").open_objects(url, cache=cache)
    return store
