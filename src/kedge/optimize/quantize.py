"""Weights of eight bits: each row of a matrix as whole numbers with a scale and a zero of its own.

Round to nearest, asymmetric, a channel at a time, as in Dettmers et al., "LLM.int8()" (2022) for the weights alone;
products are still computed in the engine's own precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Type
from openvino import opset15 as ops

_LEVELS = 255
_SMALLEST = 4096  # numbers: a smaller matrix is not worth it


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """How many numbers are now of eight bits, and the largest error beside the largest weight of its row."""

    weights: int
    error: float


def quantise(graph: openvino.Model) -> Quantised:
    """Change every matrix of the graph in place; embeddings and tied outputs too."""
    changed, worst = 0, 0.0
    for node in graph.get_ops():
        if node.get_type_name() == "Constant" and _is_matrix(node):
            weights = np.array(node.data, dtype=np.float32)
            whole, scale, zero = _round(weights)
            readers = node.output(0).get_target_inputs()
            restored = _restore(whole, scale, zero)
            restored.set_friendly_name(f"{node.get_friendly_name()}/restored")
            for reader in readers:
                reader.replace_source_output(restored.output(0))
            changed += weights.size
            worst = max(worst, _error(weights, whole, scale, zero))
    graph.validate_nodes_and_infer_types()
    return Quantised(weights=changed, error=worst)


def _is_matrix(node: Any) -> bool:
    shape = list(node.get_output_shape(0))
    if node.get_element_type() != Type.f32 or len(shape) != 2 or shape[0] * shape[1] < _SMALLEST:
        return False
    return any(
        reader.get_node().get_type_name() in ("MatMul", "Gather") for reader in node.output(0).get_target_inputs()
    )


def _round(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.uint8]]:
    """Each row of [lowest, highest], zero included, on 0..255."""
    lowest = np.minimum(weights.min(1, keepdims=True), 0.0)
    highest = np.maximum(weights.max(1, keepdims=True), 0.0)
    scale = np.maximum((highest - lowest) / _LEVELS, np.finfo(np.float16).tiny).astype(np.float16)
    wide = scale.astype(np.float32)
    zero = np.clip(np.rint(-lowest / wide), 0, _LEVELS)
    whole = np.clip(np.rint(weights / wide) + zero, 0, _LEVELS)
    return whole.astype(np.uint8), scale, zero.astype(np.uint8)


def _restore(whole: NDArray[np.uint8], scale: NDArray[np.float16], zero: NDArray[np.uint8]) -> Any:
    """The nodes that the processor's plug-in knows as weights to be read as they are."""
    wide = ops.convert(ops.constant(whole, Type.u8), "f16")
    centred = ops.subtract(wide, ops.convert(ops.constant(zero, Type.u8), "f16"))
    return ops.convert(ops.multiply(centred, ops.constant(scale, Type.f16)), "f32")


def _error(
    weights: NDArray[np.float32], whole: NDArray[np.uint8], scale: NDArray[np.float16], zero: NDArray[np.uint8]
) -> float:
    back = (whole.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)
    largest = np.abs(weights).max(1) + np.finfo(np.float32).tiny
    return float((np.abs(weights - back).max(1) / largest).max())
