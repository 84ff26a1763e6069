"""What an export is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16", "int8"]

FOLDER = "openvino"  # where the files lie in an artifact and in a bundle
GRAPH = "openvino_model.xml"
WEIGHTS = "openvino_model.bin"
FACTS = "export.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFacts:
    """What the file `export.json` says, so that an engine needs nothing else to load the graph beside it.

    `model` is the digest of the artifact it was made from, `context` the longest prompt and answer together (0: no
    bound); the next three give the size of one token in the cache.
    """

    format: int
    model: str
    precision: Precision
    architecture: str
    parameters: int
    vocabulary: int
    context: int
    layers: int
    key_value_heads: int
    head_size: int
    made_with: str
