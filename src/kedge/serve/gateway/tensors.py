"""Tensors of the Open Inference Protocol: as JSON, or as bytes that follow it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from kedge.serve.gateway.asked import read_body
from kedge.serve.gateway.errors import invalid

BINARY = b"inference-header-content-length"

_FORMATS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}
_LONGEST = 1024

Size = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class InputTensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor of a request; its data may be nested as its shape is."""

    name: Annotated[str, msgspec.Meta(max_length=128)]
    datatype: Annotated[str, msgspec.Meta(max_length=16)]
    shape: Annotated[list[Size], msgspec.Meta(max_length=8)]
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tensor that is asked for."""

    name: Annotated[str, msgspec.Meta(max_length=128)]
    parameters: dict[str, Any] = {}


class InferBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `infer`. `model_name` and `model_version` say again what the path says, as KServe's client does."""

    inputs: Annotated[list[InputTensor], msgspec.Meta(min_length=1, max_length=16)]
    outputs: Annotated[list[Output], msgspec.Meta(max_length=16)] = []
    parameters: dict[str, Any] = {}
    id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor as a flat list: texts of BYTES, numbers of the rest."""

    name: str
    datatype: str
    data: list[Any]


_decoder = msgspec.json.Decoder(InferBody)


def read_tensors(data: bytes, length: str) -> tuple[InferBody, list[Tensor]]:
    """The body and its tensors; `length` is how much of it is JSON ("" for all). 400 says what does not fit."""
    if length and not (length.isascii() and length.isdecimal() and len(length) < 12 and int(length) <= len(data)):
        raise invalid("the header inference-header-content-length is wrong", code="invalid_value")
    end = int(length) if length else len(data)
    body = read_body(_decoder, data[:end], {})
    tensors = []
    for given in body.inputs:
        size = given.parameters.get("binary_data_size")
        if size is None:
            values = _flat(given.data or [])
        elif isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= len(data) - end:
            values = _unpacked(given, data[end : end + size])
            end += size
        else:
            raise invalid("'binary_data_size' is not what follows", param="inputs", code="invalid_value")
        tensors.append(_checked(given, values))
    if end != len(data):
        raise invalid("more bytes follow than the tensors have", code="invalid_value")
    return body, tensors


def write_tensors(
    said: Mapping[str, Any], values: Mapping[str, Sequence[str]], binary: frozenset[str]
) -> tuple[bytes, int]:
    """A response with these texts as tensors, and how much of it is JSON (0: all)."""
    outputs: list[dict[str, Any]] = []
    after = b""
    for name, texts in values.items():
        output: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [len(texts)]}
        if name in binary:
            packed = b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in texts))
            output["parameters"] = {"binary_data_size": len(packed)}
            after += packed
        else:
            output["data"] = list(texts)
        outputs.append(output)
    head = msgspec.json.encode({**said, "outputs": outputs})
    return head + after, len(head) if after else 0


def _flat(data: list[Any]) -> list[Any]:
    """The elements of nested lists, in order."""
    level: list[Any] = data
    for _ in range(8):
        if not any(isinstance(each, list) for each in level):
            return level
        level = [inner for each in level for inner in (each if isinstance(each, list) else [each])]
    raise invalid("the data of a tensor is nested too deep", param="inputs", code="invalid_value")


def _checked(given: InputTensor, values: list[Any]) -> Tensor:
    """A tensor whose elements are as many as its shape says and of its type."""
    if given.datatype != "BYTES" and given.datatype not in _FORMATS:
        raise invalid(f"the type {given.datatype!r} is not taken", param="inputs", code="invalid_value")
    if len(values) > _LONGEST or math.prod(given.shape) != len(values):
        said = f"the tensor {given.name!r} has {len(values)} elements, which is not its shape, or more than {_LONGEST}"
        raise invalid(said, param="inputs", code="invalid_value")
    wanted: type | tuple[type, ...] = str if given.datatype == "BYTES" else (int, float)
    if not all(isinstance(value, wanted) for value in values):
        raise invalid(f"the tensor {given.name!r} has elements of another type", param="inputs", code="invalid_value")
    return Tensor(name=given.name, datatype=given.datatype, data=values)


def _unpacked(given: InputTensor, data: bytes) -> list[Any]:
    """The elements of a tensor that came as bytes."""
    try:
        if given.datatype != "BYTES":
            return [value for (value,) in struct.iter_unpack("<" + _FORMATS.get(given.datatype, "B"), data)]
        texts = []
        at = 0
        while at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            if at + 4 + length > len(data):
                raise struct.error("it ends within an element")
            texts.append(data[at + 4 : at + 4 + length].decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as error:
        said = f"the bytes of the tensor {given.name!r} cannot be read: {error}"
        raise invalid(said, param="inputs", code="invalid_value") from error
    return texts
