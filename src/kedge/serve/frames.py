"""What the gateway and an engine process say to each other: msgpack frames, each after its length in four bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from kedge.core.bundle import Bundle
from kedge.core.errors import (
    Broken,
    Failed,
    Invalid,
    KedgeError,
    Limited,
    Missing,
    NotFound,
    Refused,
    Unavailable,
)
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood

_PREFIX: Final = 4
LONGEST = 256 * 2**20


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Load this bundle, under this name; the first command. Further ones want an engine that serves several."""

    name: str
    bundle: Bundle
    folder: str


class Shut(msgspec.Struct, frozen=True, tag="shut"):
    """Let go of the bundle of this name."""

    name: str


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Answer these requests."""

    requests: list[GenerationRequest]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop these requests."""

    ids: list[str]


class Score(msgspec.Struct, frozen=True, tag="score"):
    """Say how likely these completions are."""

    id: str
    pairs: list[tuple[str, str]]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The bundle of this name is loaded."""

    name: str
    facts: EngineFacts


class Events(msgspec.Struct, frozen=True, tag="events"):
    """What one step yielded."""

    events: list[GenerationEvent]


class Scores(msgspec.Struct, frozen=True, tag="scores"):
    """The answer to `Score`."""

    id: str
    likelihoods: list[Likelihood]


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """An error of the tree: of a `Score` by its id, or of an `Open` by its name."""

    id: str
    code: str
    message: str
    hint: str

    def error(self) -> KedgeError:
        """The error itself."""
        kind = _KINDS.get(self.code, Broken)
        return kind(self.message, hint=self.hint)


def trouble_of(error: KedgeError, id: str) -> Trouble:
    """An error as a frame."""
    return Trouble(id=id, code=error.code, message=error.message, hint=error.hint)


Command = Open | Shut | Submit | Cancel | Score
Report = Ready | Events | Scores | Trouble

_KINDS: dict[str, type[KedgeError]] = {
    "not_found": NotFound,
    "invalid": Invalid,
    "refused": Refused,
    "limited": Limited,
    "missing": Missing,
    "unavailable": Unavailable,
    "failed": Failed,
}

_encoder = msgspec.msgpack.Encoder()
decode_command = msgspec.msgpack.Decoder(Command).decode
decode_report = msgspec.msgpack.Decoder(Report).decode


def encode(frame: Command | Report) -> bytes:
    """A frame with its length before it."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(_PREFIX, "big") + body


class Frames:
    """Cuts a stream of bytes into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are whole with this data. `Broken` if one claims to be longer than any is."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _PREFIX:
            length = int.from_bytes(self._buffer[start : start + _PREFIX], "big")
            if length > LONGEST:
                raise Broken(f"a frame of {length} bytes cannot be", hint="the other side is not an engine of kedge")
            end = start + _PREFIX + length
            if len(self._buffer) < end:
                break
            yield bytes(self._buffer[start + _PREFIX : end])
            start = end
        del self._buffer[:start]
