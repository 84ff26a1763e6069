"""What `kedge.toml` can say, one type a table. `config.py` reads them and knows where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kedge.core.errors import Invalid
from kedge.core.rollout import RolloutPlan
from kedge.core.spec import Spec


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
class CacheSettings:
    """`[endpoints.NAME.cache]`: answers that are given again, each to its own tenant and for its own bundle only.

    `exact` takes requests that are the same and whose answer is no matter of chance; `semantic` also those whose prompts
    are as alike as `threshold`, in 0..1, by the vectors of `embedder`: of n-grams, or those of the endpoint's own model.
    Both memory and disk are bounded, in megabytes; 0 keeps nothing on disk.
    """

    mode: Literal["off", "exact", "semantic"] = "off"
    seconds: float = 3600.0
    memory: int = 32
    disk: int = 0
    threshold: float = 0.95
    embedder: Literal["ngrams", "model"] = "ngrams"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """`[endpoints.NAME.prices]`: what a million tokens cost, in the currency of the budgets."""

    prompt: float = 0.0
    completion: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """`[endpoints.NAME.replicas]`: engine processes for each bundle, between `min` and `max`; with `min = 0` an endpoint
    that nobody asks holds no memory, and the first request wakes it.

    One takes `concurrent` requests at once; more wait, and are refused with 429 where that would take longer than
    `queue_seconds`. One more is started when something has waited for `up_seconds`, and one ended when the others would
    have done for `down_seconds`. An engine that says nothing for `silence_seconds` although it has work is restarted.
    """

    min: int = 1
    max: int = 1
    concurrent: int = 32
    queue_seconds: float = 10.0
    up_seconds: float = 1.0
    down_seconds: float = 300.0
    silence_seconds: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.min <= self.max or self.max < 1 or self.concurrent < 1:
            raise Invalid(
                "replicas must be 0 <= min <= max with max and concurrent at least 1",
                hint="as in replicas = { min = 1, max = 4 }",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """`[endpoints.NAME]`: what it follows and where it listens. Port 0 takes a free one.

    With a `rollout` a version can be sent to it step by step; without one a promotion takes over at once.
    `guards` stand before and behind the model, beside those of the bundle. `fallbacks` name endpoints of this project
    that answer, in this order, while its own engine does not. `hedge_seconds` (0: never) is how long an answer may take
    to begin until another is asked for the same.
    """

    model: str
    alias: str = "production"
    host: str = "127.0.0.1"
    port: int = 8000
    rollout: RolloutPlan | None = None
    cache: CacheSettings = CacheSettings()
    prices: Prices = Prices()
    guards: tuple[Spec, ...] = ()
    fallbacks: tuple[str, ...] = ()
    hedge_seconds: float = 0.0
    replicas: ReplicaSettings = ReplicaSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`[models]`. A protected alias moves only with a passing verdict, or with an override that is audited."""

    protected: tuple[str, ...] = ("production",)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """`[gateway]`: limits of every endpoint. 0 means no limit for prompts but the model's context, and for what is counted
    by key: requests and tokens a minute, and streams at once. A key's own allowance goes before these.

    `max_waiting` requests are under way at once. An engine that has failed `breaker_failures` times in a row is left
    alone for `breaker_seconds`. Of the requests of a minute a share of `retry_share` may be asked again, before the first
    of their answer was sent. `container_key` refers to the API key, `env:NAME` or `file:PATH`, that SageMaker's `/ping`
    and `/invocations` run as ("" switches these paths off).
    """

    max_body_bytes: int = 1_000_000
    max_prompt_tokens: int = 0
    max_tokens: int = 1024
    max_choices: int = 8
    max_waiting: int = 256
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    streams: int = 0
    breaker_failures: int = 5
    breaker_seconds: float = 10.0
    retry_share: float = 0.1
    request_seconds: float = 120.0
    drain_seconds: float = 30.0
    poll_seconds: float = 0.2
    watch_seconds: float = 1.0
    trace_content: bool = True
    container_key: str = ""


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
