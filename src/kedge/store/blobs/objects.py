"""Blobs in an object store: S3, Google Cloud, Azure or this process's memory, under the names of an OCI image layout."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, MemoryStore, ObjectStore, S3Store

from kedge.core.catalogue import nearest
from kedge.core.errors import Conflict, Invalid, NotFound, Unavailable
from kedge.core.hashing import DIGEST, parse_digest
from kedge.core.hashing import digest as digest_bytes
from kedge.core.ports import BlobInfo
from kedge.store.blobs.atomic import hash_chunks, read_chunks
from kedge.store.blobs.cache import ReadCache

if TYPE_CHECKING:  # obstore has these for type checkers alone
    from obstore.store import AzureConfig, ClientConfig, RetryConfig, S3Config

FOLDER = "blobs/sha256"
LARGE = 16 << 20  # files from this size on are sent in parts of at least this size
PARTS = 9_000  # S3 takes 10,000
FRESH = 900.0  # a blob put in the last 15 minutes is not written again to make it new
RETRY_FOR = timedelta(seconds=60)

_SETTINGS = {"s3": ("endpoint", "region"), "gs": (), "az": ("endpoint", "account"), "memory": ()}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file, or run: gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run: az login",
    "memory": "",
}
_SIGNS_OF_NO_CREDENTIALS = ("latest/api/token", "computemetadata", "account must be specified", "credential")


def open_objects(url: str, *, cache: Path) -> ObjectBlobs:
    """The store at an `s3://`, `gs://`, `az://` or `memory://` URL. `Invalid` for a setting it does not have."""
    parts = urlsplit(url)
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in settings:
        if name not in _SETTINGS[parts.scheme]:
            hint = nearest(name, _SETTINGS[parts.scheme])
            raise Invalid(f"{parts.scheme}:// has no setting {name!r}", address=url, hint=hint)
    if not parts.netloc and parts.scheme != "memory":
        raise Invalid(f"no bucket is named: {url}", address=url, hint=f"as in {parts.scheme}://bucket/prefix")
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    with _reaching(address):
        store = _connect(parts.scheme, parts.netloc, parts.path.strip("/") or None, settings)
    return ObjectBlobs(store, address=address, cache=ReadCache(cache))


def _connect(scheme: str, bucket: str, prefix: str | None, settings: dict[str, str]) -> ObjectStore:
    client: ClientConfig = {"allow_http": settings.get("endpoint", "").startswith("http://")}
    retry: RetryConfig = {"retry_timeout": RETRY_FOR}
    if scheme == "s3":
        s3 = cast("S3Config", settings)
        return S3Store(bucket, prefix=prefix, config=s3, client_options=client, retry_config=retry)
    if scheme == "gs":
        return GCSStore(bucket, prefix=prefix, client_options=client, retry_config=retry)
    if scheme == "az":
        az = cast(
            "AzureConfig", {{"account": "account_name"}.get(name, name): value for name, value in settings.items()}
        )
        return AzureStore(bucket, prefix=prefix, config=az, client_options=client, retry_config=retry)
    return MemoryStore()


class ObjectBlobs:
    """A BlobStore in an object store, with a local cache for reading.

    Every upload is atomic; a new blob is created only where there is none, where the store offers that. `get` verifies
    each time; `fetch` once a process. An object store has no clock to touch, so a blob that is put again is written
    again when it is older than 15 minutes; that is what tells garbage collection that it is wanted.
    """

    def __init__(self, store: ObjectStore, *, address: str, cache: ReadCache) -> None:
        self.address = address
        self._store = store
        self._cache = cache

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest. `Unavailable`."""
        name = digest_bytes(data)
        with _reaching(self.address):
            self._upload(name, len(data), data)
        return name

    def put_file(self, path: Path) -> str:
        """Store a file, a part at a time. `NotFound`; `Invalid`; `Conflict` if it changes meanwhile; `Unavailable`."""
        name = hash_chunks(read_chunks(path))
        with _reaching(self.address):
            self._upload(name, path.stat().st_size, _unchanged(read_chunks(path), name, path))
        return name

    def get(self, digest: str) -> bytes:
        """The bytes, verified each time. `NotFound`; `Broken`; `Unavailable`."""
        data = self.fetch(digest).read_bytes()
        if digest_bytes(data) != digest:  # the copy was damaged after it was verified: take a fresh one
            self._cache.drop(digest)
            data = self.fetch(digest).read_bytes()
        return data

    def fetch(self, digest: str) -> Path:
        """A local copy, verified when it was taken. `NotFound`; `Broken`; `Unavailable`."""
        copy = self._cache.find(digest)
        if copy is None:
            with _reaching(self.address, digest):
                found = obstore.get(self._store, _path(digest))
                copy = self._cache.keep(digest, (bytes(chunk) for chunk in found.stream(min_chunk_size=1 << 20)))
        return copy

    def delete(self, digest: str, *, before: float | None = None) -> bool:
        """Remove, with `before` only what was last put earlier; whether it was removed. `Unavailable`."""
        self._cache.drop(digest)
        with _reaching(self.address):
            modified = self._modified(digest)
            if modified is None or (before is not None and modified >= before):
                return False
            obstore.delete(self._store, _path(digest))
        return True

    def list(self) -> Iterator[BlobInfo]:
        """Every blob. `Unavailable`."""
        with _reaching(self.address):
            for batch in obstore.list(self._store, f"{FOLDER}/"):
                for found in batch:
                    digest = f"sha256:{found['path'].rpartition('/')[2]}"
                    if DIGEST.fullmatch(digest):
                        modified = found["last_modified"].timestamp()
                        yield BlobInfo(digest=digest, size=found["size"], modified=modified)

    def publish(self, name: str, data: bytes) -> None:
        """Replace an object that stands beside the blobs, such as `index.json`. `Unavailable`."""
        with _reaching(self.address):
            obstore.put(self._store, name, data)

    def _upload(self, digest: str, size: int, content: bytes | Iterable[bytes]) -> None:
        path = _path(digest)
        try:
            found = obstore.head(self._store, path)
        except FileNotFoundError:
            found = None
        if found and found["size"] == size and time.time() - found["last_modified"].timestamp() < FRESH:
            return
        if size >= LARGE:
            chunk_size = max(LARGE, -(-size // PARTS))
            obstore.put(self._store, path, content, use_multipart=True, chunk_size=chunk_size)
            return
        data = content if isinstance(content, bytes) else b"".join(content)
        try:
            obstore.put(self._store, path, data, use_multipart=False, mode="overwrite" if found else "create")
        except AlreadyExistsError:  # somebody else stored the same bytes just now
            return
        except NotSupportedError:
            obstore.put(self._store, path, data, use_multipart=False)

    def _modified(self, digest: str) -> float | None:
        try:
            return obstore.head(self._store, _path(digest))["last_modified"].timestamp()
        except FileNotFoundError:
            return None


def _path(digest: str) -> str:
    return f"{FOLDER}/{parse_digest(digest).removeprefix('sha256:')}"


def _unchanged(chunks: Iterable[memoryview], digest: str, path: Path) -> Iterator[bytes]:
    """Pass chunks on, the last only when all of them are what was hashed before; until then nobody sees the upload."""
    hasher = hashlib.sha256()
    held = b""
    for chunk in chunks:
        hasher.update(chunk)
        if held:
            yield held
        held = bytes(chunk)
    if f"sha256:{hasher.hexdigest()}" != digest:
        raise Conflict(
            f"{path} changed while it was stored", address=str(path), hint="store it again when it is finished"
        )
    if held:
        yield held


@contextmanager
def _reaching(address: str, digest: str = "") -> Iterator[None]:
    """Turn an object store's refusal into our errors, with the way out for the common ones."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        _refuse(error, address, digest)


def _refuse(error: Exception, address: str, digest: str) -> NoReturn:
    text = str(error).partition("\n\nDebug source")[0]
    scheme, _, rest = address.partition("://")
    lower = text.lower()
    if "nosuchbucket" in lower or "containernotfound" in lower:
        hint = "create the bucket, or correct store.blobs in kedge.toml"
        raise Unavailable(f"there is no bucket {rest.partition('/')[0]}", address=address, hint=hint) from error
    if isinstance(error, FileNotFoundError) and digest:
        raise NotFound(f"no blob {digest} in {address}", address=digest) from error
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        message = f"{address} does not let us in: {text[:300]}"
        raise Unavailable(message, address=address, hint=_CREDENTIALS[scheme]) from error
    if any(sign in lower for sign in _SIGNS_OF_NO_CREDENTIALS):
        raise Unavailable(f"no credentials for {address}", address=address, hint=_CREDENTIALS[scheme]) from error
    hint = "check store.blobs in kedge.toml, and that the store can be reached from here"
    raise Unavailable(f"{address} does not answer: {text[:300]}", address=address, hint=hint) from error
