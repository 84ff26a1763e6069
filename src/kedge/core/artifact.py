"""Immutable bytes named by their digest: an OCI manifest over content-addressed blobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ArtifactKind(StrEnum):
    """What an artifact is."""

    DATASET = "dataset"
    TOKENIZER = "tokenizer"
    MODEL = "model"
    ADAPTER = "adapter"
    REPORT = "report"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One blob of a manifest. `title` is the file's name inside the artifact ("" for the config)."""

    digest: str
    size: int
    media_type: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artifact is made of. Its canonical JSON's digest is the artifact's name."""

    kind: ArtifactKind
    config: Blob
    layers: tuple[Blob, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def layer(self, title: str) -> Blob | None:
        """The layer whose file name is `title`, if there is one."""
        return next((layer for layer in self.layers if layer.title == title), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact by name: the manifest's digest, its kind and the bytes it reaches."""

    digest: str
    kind: ArtifactKind
    size: int
