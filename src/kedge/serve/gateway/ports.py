"""What a gateway needs from outside, handed in so that it runs without a database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from kedge.core.access import Key
from kedge.core.ports import Clock, TraceSink
from kedge.core.release import Heartbeat, Release, Role
from kedge.core.settings import GatewaySettings
from kedge.serve.gateway.routing import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The edges of a gateway. `current`, `find_key` and `beat` may block and are called in threads.

    `current` gives the releases in force, `launch` loads a bundle by digest into an engine, `find_key` finds a key by
    the hash that `hash_key` makes of it, and `beat` takes what the gateway says of itself.
    """

    current: Callable[[], Mapping[Role, Release]]
    launch: Callable[[str], Coroutine[Any, Any, Running]]
    hash_key: Callable[[str], str]
    find_key: Callable[[str], Key | None]
    beat: Callable[[Heartbeat], None]
    traces: TraceSink
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What a gateway is: its endpoint, the model callers name, and the key that seals receipts."""

    endpoint: str
    model: str
    secret: bytes = field(repr=False)
    settings: GatewaySettings = field(default_factory=GatewaySettings)
