"""Gives a traced graph the names that OpenVINO GenAI looks for, and hides its keys and values as state."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from openvino import PartialShape, Type
from openvino import opset15 as ops
from openvino._offline_transformations import apply_make_stateful_transformation, apply_moc_transformations

from kedge.optimize.types import ExportFacts

_FIRST = ("input_ids", "attention_mask", "position_ids")


def make_stateful(graph: openvino.Model, facts: ExportFacts) -> None:
    """Change the graph in place: inputs `input_ids`, `attention_mask`, `position_ids` and `beam_idx`, output `logits`."""
    places = [f"{layer}.{part}" for layer in range(facts.layers) for part in ("key", "value")]
    past = [f"past_key_values.{place}" for place in places]
    present = [f"present.{place}" for place in places]
    for port, name in zip(graph.inputs, (*_FIRST, *past), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(graph.outputs, ("logits", *present), strict=True):
        port.get_tensor().set_names({name})
    for number, parameter in enumerate(graph.get_parameters()):
        kept = number >= len(_FIRST)
        shape = [-1, facts.key_value_heads, -1, facts.head_size] if kept else [-1, -1]
        parameter.set_partial_shape(PartialShape(shape))
        parameter.set_element_type(Type.f32 if kept else Type.i64)
    graph.validate_nodes_and_infer_types()
    _reorder(graph)
    apply_make_stateful_transformation(graph, dict(zip(past, present, strict=True)))
    _start_empty(graph)
    apply_moc_transformations(graph, cf=False, smart_reshape=False)


def _reorder(graph: openvino.Model) -> None:
    """Let the rows of what is kept be put in another order by `beam_idx`."""
    kept = graph.get_parameters()[len(_FIRST) :]
    order = ops.parameter(PartialShape([-1]), Type.i32, name="beam_idx")
    order.output(0).get_tensor().add_names({"beam_idx"})
    graph.add_parameters([order])
    for parameter in kept:
        readers = parameter.output(0).get_target_inputs()
        ordered = ops.gather(parameter, order, ops.constant(0, Type.i64))
        for reader in readers:
            reader.replace_source_output(ordered.output(0))
    graph.validate_nodes_and_infer_types()


def _start_empty(graph: openvino.Model) -> None:
    """Begin with no keys and values, for as many rows as are read."""
    shape = ops.shape_of(graph.input("input_ids").get_node(), Type.i64)
    rows = ops.gather(shape, ops.constant([0], Type.i64), ops.constant(0, Type.i64))
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            dimensions: list[Any] = [dimension.min_length for dimension in node.get_output_partial_shape(0)]
            sizes = [ops.constant(np.array([size]), Type.i64) for size in dimensions[1:]]
            empty = ops.broadcast(ops.constant(np.array(0.0), Type.f32), ops.concat([rows, *sizes], 0))
            node.set_arguments([empty])
    graph.validate_nodes_and_infer_types()
