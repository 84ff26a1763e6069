"""What a worker says to its parent: one JSON value a frame, each with its length before it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from kedge.core.artifact import Artifact
from kedge.core.errors import Broken
from kedge.core.step import Judge, Register, StepResult

LIMIT = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_EFFECTS: dict[str, type[Register | Judge]] = {"register": Register, "judge": Judge}


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A task of the step begins."""

    total: int | None
    label: str


class Advanced(msgspec.Struct, frozen=True, tag="advanced"):
    """Units of the task are done."""

    n: int


class Noted(msgspec.Struct, frozen=True, tag="noted"):
    """Facts worth seeing."""

    facts: Mapping[str, Any]


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """Metric values: name, step, value (null for NaN), seconds since the epoch."""

    points: Sequence[tuple[str, int, float | None, float]]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The step is done. Effects are named values."""

    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float | None]
    effects: Sequence[tuple[str, Any]]


class Errored(msgspec.Struct, frozen=True, tag="errored"):
    """The step raised. `kind` is the exception's name, `expected` whether it is an error of kedge's own tree."""

    kind: str
    message: str
    hint: str
    expected: bool
    traceback: str


Event = Started | Advanced | Noted | Measured | Finished | Errored

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(enc_hook=str)


def write_event(stream: BinaryIO, event: Event) -> None:
    """Send one event."""
    body = _encoder.encode(event)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_event(stream: BinaryIO) -> Event | None:
    """The next event; None when the worker has gone, also in the middle of a frame. `Broken` if it is not ours."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    if size > LIMIT:
        raise Broken(f"a worker sent a frame of {size} bytes")
    body = stream.read(size)
    if len(body) < size:
        return None
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Broken(f"a worker sent what is not an event: {error}") from error


def from_result(result: StepResult) -> Finished:
    """A step's result as an event."""
    names = {kind: name for name, kind in _EFFECTS.items()}
    effects = [(names[type(effect)], msgspec.to_builtins(effect)) for effect in result.effects]
    return Finished(outputs=result.outputs, metrics=dict(result.metrics), effects=effects)


def to_result(event: Finished) -> StepResult:
    """A step's result from its event."""
    return StepResult(
        outputs=dict(event.outputs),
        metrics={name: to_value(value) for name, value in event.metrics.items()},
        effects=tuple(msgspec.convert(raw, _EFFECTS[name]) for name, raw in event.effects),
    )


def to_value(value: float | None) -> float:
    """A metric's value as it was logged: JSON has no NaN, so it travels as null."""
    return float("nan") if value is None else value
