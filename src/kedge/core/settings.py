"""What `kedge.toml` can say, one type a table. `config.py` reads them and knows where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kedge.core.rollout import RolloutPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """`[project]`. `secret` refers to the key that seals receipts: `env:NAME` or `file:PATH` ("" makes one)."""

    name: str
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`[store]`: URLs or paths, or references to them as `env:NAME` when they hold a password.

    `traces` is kept beside the ledger unless said otherwise: its own file, or the same PostgreSQL.
    """

    ledger: str = field(default=".kedge/ledger.db", repr=False)
    blobs: str = ".kedge/blobs"
    traces: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettings:
    """`[stages.NAME]`: the step, where its inputs come from (port -> stage or stage.port), and the step's options."""

    step: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """`[endpoints.NAME]`: what it follows and where it listens. Port 0 takes a free one.

    With a `rollout` a version can be sent to it step by step; without one a promotion takes over at once.
    """

    model: str
    alias: str = "production"
    host: str = "127.0.0.1"
    port: int = 8000
    rollout: RolloutPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`[models]`. A protected alias moves only with a passing verdict, or with an override that is audited."""

    protected: tuple[str, ...] = ("production",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """`[gateway]`: limits of every endpoint. 0 means no limit for prompts but the model's context, and for requests a
    minute, which are counted by key. `max_waiting` requests are under way at once."""

    max_body_bytes: int = 1_000_000
    max_prompt_tokens: int = 0
    max_tokens: int = 1024
    max_choices: int = 8
    max_waiting: int = 256
    requests_per_minute: int = 0
    request_seconds: float = 120.0
    drain_seconds: float = 30.0
    poll_seconds: float = 0.2
    trace_content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """`[tracking]`: how long a logged value may wait before it is durable."""

    flush_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value with its origin: `default`, `kedge.toml:12`, an environment variable, or `--set`."""

    key: str
    value: Any
    origin: str
