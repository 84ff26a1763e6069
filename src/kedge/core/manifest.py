"""Artifacts as OCI image manifests: written to and read from any BlobStore."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kedge.core.artifact import Artifact, ArtifactKind, Blob, Manifest
from kedge.core.errors import Broken, Invalid
from kedge.core.hashing import canonical, digest, parse_digest
from kedge.core.ports import BlobStore

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"

_MODELPACK = "application/vnd.cncf.model"
_PART = re.compile(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]+")
_PART_LIMIT = 255  # bytes
_TITLE_LIMIT = 1000
_WEIGHTS = (".safetensors", ".gguf", ".onnx")


def artifact_type(kind: ArtifactKind) -> str:
    """The OCI artifactType of a kind; weights and what carries them follow the CNCF ModelPack."""
    if kind in (ArtifactKind.MODEL, ArtifactKind.ADAPTER, ArtifactKind.BUNDLE):
        return f"{_MODELPACK}.manifest.v1+json"
    return f"application/vnd.kedge.{kind}.v1+json"


def _config_type(kind: ArtifactKind) -> str:
    if kind in (ArtifactKind.MODEL, ArtifactKind.ADAPTER, ArtifactKind.BUNDLE):
        return f"{_MODELPACK}.config.v1+json"
    return f"application/vnd.kedge.{kind}.config.v1+json"


def layer_type(kind: ArtifactKind, title: str) -> str:
    """The media type of a file of an artifact."""
    if artifact_type(kind).startswith(_MODELPACK):
        role = "weight" if title.endswith(_WEIGHTS) else "weight.config"
        return f"{_MODELPACK}.{role}.v1.raw"
    return "application/octet-stream"


def write_artifact(
    blobs: BlobStore,
    kind: ArtifactKind,
    config: Mapping[str, Any],
    files: Mapping[str, Path | bytes | Blob],
) -> Artifact:
    """Store files, config and manifest, in that order, and return the artifact.

    `files` maps a file's name inside the artifact to a path, its bytes, or a blob that is stored already.
    The same content gives the same digest: nothing of the time or the machine goes in. `Invalid` for a name that is
    no plain relative path.
    """
    check_titles(files)
    layers = tuple(_layer(blobs, kind, title, content) for title, content in sorted(files.items()))
    body = canonical(dict(config))
    config_blob = Blob(digest=blobs.put(body), size=len(body), media_type=_config_type(kind))
    manifest = Manifest(kind=kind, config=config_blob, layers=layers, annotations={"dev.kedge.kind": str(kind)})
    data = encode(manifest)
    size = len(data) + config_blob.size + sum(layer.size for layer in layers)
    return Artifact(digest=blobs.put(data), kind=kind, size=size)


def _layer(blobs: BlobStore, kind: ArtifactKind, title: str, content: Path | bytes | Blob) -> Blob:
    if isinstance(content, Blob):
        return Blob(digest=content.digest, size=content.size, media_type=layer_type(kind, title), title=title)
    if isinstance(content, bytes):
        return Blob(digest=blobs.put(content), size=len(content), media_type=layer_type(kind, title), title=title)
    return Blob(
        digest=blobs.put_file(content), size=content.stat().st_size, media_type=layer_type(kind, title), title=title
    )


def encode(manifest: Manifest) -> bytes:
    """The manifest as canonical OCI JSON."""
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": artifact_type(manifest.kind),
            "config": _descriptor(manifest.config),
            "layers": [_descriptor(layer) for layer in manifest.layers],
            "annotations": dict(manifest.annotations),
        }
    )


def _descriptor(blob: Blob) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
    if blob.title:
        described["annotations"] = {TITLE: blob.title}
    return described


def decode(data: bytes) -> Manifest:
    """Read OCI JSON back; `Broken` if it is not a manifest of ours."""
    try:
        raw = json.loads(data)
        return Manifest(
            kind=ArtifactKind(raw["annotations"]["dev.kedge.kind"]),
            config=_blob(raw["config"]),
            layers=tuple(_blob(layer) for layer in raw["layers"]),
            annotations=raw["annotations"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"not a manifest of kedge: {error}", address=digest(data)) from error


def _blob(raw: Mapping[str, Any]) -> Blob:
    title = raw.get("annotations", {}).get(TITLE, "")
    return Blob(digest=parse_digest(raw["digest"]), size=raw["size"], media_type=raw["mediaType"], title=title)


def read_manifest(blobs: BlobStore, artifact: str) -> Manifest:
    """The manifest of an artifact by digest. `NotFound`; `Broken`."""
    return decode(blobs.get(artifact))


def read_config(blobs: BlobStore, artifact: str) -> dict[str, Any]:
    """The config of an artifact by digest. `NotFound`; `Broken`."""
    config: dict[str, Any] = json.loads(blobs.get(read_manifest(blobs, artifact).config.digest))
    return config


def export_files(blobs: BlobStore, artifact: str, folder: Path, *, link: bool = False) -> list[Path]:
    """Put every layer into `folder` under its title; each file appears whole. `Broken` if a title leaves the folder.

    With `link` a file is the store's own where the file system allows it: nothing is copied, and nothing may be
    written to it. Without, the files are copies that the caller may change.
    """
    root = folder.resolve()
    layers = read_manifest(blobs, artifact).layers
    try:
        check_titles(layer.title for layer in layers)
    except Invalid as error:
        raise Broken(error.message, address=artifact, hint=error.hint) from error
    root.mkdir(parents=True, exist_ok=True)
    written = []
    for layer in layers:
        target = root / layer.title
        if not target.parent.resolve().is_relative_to(root):  # a link that was in the folder before
            raise Broken(f"a file name leaves its folder: {layer.title!r}", address=artifact)
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(blobs.fetch(layer.digest), target, root / f".{secrets.token_hex(16)}", link=link)
        written.append(target)
    return written


def _place(source: Path, target: Path, temporary: Path, *, link: bool) -> None:
    """Never write into an existing target: it may be a link to a blob."""
    try:
        if link:
            try:
                os.link(source, temporary)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(source, temporary)
        else:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def check_titles(titles: Iterable[str]) -> None:
    """`Invalid` unless each title is a plain relative path, and no two would be one file on any file system."""
    seen: set[str] = set()
    for title in titles:
        if len(title) > _TITLE_LIMIT or not all(map(_is_plain, title.split("/"))):
            raise Invalid(
                f"a file name leaves its folder or is no plain name: {title[:80]!r}",
                hint="use relative names such as model.safetensors or onnx/model.onnx",
            )
        if title.casefold() in seen:
            raise Invalid(f"two files have the same name: {title[:80]!r}", hint="names that differ in case alone clash")
        seen.add(title.casefold())


def _is_plain(part: str) -> bool:
    """Whether every file system takes it as the name of one file."""
    return part not in (".", "..") and bool(_PART.fullmatch(part)) and len(part.encode()) <= _PART_LIMIT
