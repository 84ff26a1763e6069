"""What a gateway needs from outside, handed in so that it runs without a database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedge.core.access import Allowance, Key
from kedge.core.errors import Unavailable
from kedge.core.ledger import Usage
from kedge.core.ports import Clock, TraceSink
from kedge.core.release import Heartbeat, Release, Role
from kedge.core.settings import EndpointSettings, GatewaySettings
from kedge.core.trace import Feedback
from kedge.serve.gateway.routing import Running


def _deaf(said: Feedback) -> None:
    raise Unavailable("this gateway keeps no feedback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The edges of a gateway. `current`, `find_key`, `beat`, `hear` and `watch` may block and
    are called in threads.

    `current` gives the releases in force, `launch` loads a bundle by digest into an engine, `find_key` finds a key by
    the hash that `hash_key` makes of it, `beat` takes what the gateway says of itself, `hear` keeps feedback, and `watch`
    looks after a rollout once and says whether it has changed what is in force. `usage` counts what keys use, `fallbacks`
    gives the releases in force of each endpoint that steps in for this one, and `cache_folder` is where answers are kept.
    """

    current: Callable[[], Mapping[Role, Release]]
    launch: Callable[[str], Coroutine[Any, Any, Running]]
    hash_key: Callable[[str], str]
    find_key: Callable[[str], Key | None]
    beat: Callable[[Heartbeat], None]
    traces: TraceSink
    usage: Usage
    clock: Clock
    fallbacks: Mapping[str, Callable[[], Mapping[Role, Release]]] = field(default_factory=dict)
    hear: Callable[[Feedback], None] = _deaf
    watch: Callable[[], bool] | None = None
    cache_folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What a gateway is: its endpoint with its settings, the model callers name, the key that seals receipts, and what
    tenants may use.

    `container_key` is the API key that a container's platform calls with where it cannot send one ("" for none).
    `sticky`: a caller stays on its side of a canary; without it each request is put somewhere by itself.
    """

    endpoint: str
    model: str
    secret: bytes = field(repr=False)
    container_key: str = field(default="", repr=False)
    sticky: bool = True
    settings: GatewaySettings = field(default_factory=GatewaySettings)
    serving: EndpointSettings = field(default_factory=lambda: EndpointSettings(model=""))
    tenants: Mapping[str, Allowance] = field(default_factory=dict)
