"""The parts of one gateway, made once and handed to every route."""

from __future__ import annotations

import os
import random
import secrets
import socket
from dataclasses import dataclass, replace

from kedge.core.access import Allowance
from kedge.serve.gateway.auth import KeyRing
from kedge.serve.gateway.breakers import Breakers, RetryBudget
from kedge.serve.gateway.budgets import Budgets
from kedge.serve.gateway.cache.answers import MEGABYTE, AnswerCache
from kedge.serve.gateway.cache.disk import Disk
from kedge.serve.gateway.cache.flights import Flight
from kedge.serve.gateway.copies import Copies
from kedge.serve.gateway.deadlines import Deadlines
from kedge.serve.gateway.follow import Follower
from kedge.serve.gateway.guarding import Guarding
from kedge.serve.gateway.limits import Limits
from kedge.serve.gateway.metrics import Metrics
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Callers, Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What a route needs to answer."""

    options: GatewayOptions
    ports: Ports
    metrics: Metrics
    follower: Follower
    keys: KeyRing
    limits: Limits
    deadlines: Deadlines
    callers: Callers
    copies: Copies
    budgets: Budgets
    cache: AnswerCache
    flights: dict[bytes, Flight]
    guarding: Guarding
    breakers: Breakers
    retries: RetryBudget
    fallbacks: tuple[Follower, ...]
    draw: random.Random

    def fallback_lanes(self) -> list[Lane]:
        """Those that step in, in order, as far as they are loaded."""
        return [lane for each in self.fallbacks if (lane := each.routes.stable) is not None]

    def waiting(self) -> int:
        """How many requests wait for the first of their answer."""
        lanes = self.follower.routes.lanes.values()
        return sum(running.engine.waiting for running in {id(lane.running): lane.running for lane in lanes}.values())

    @property
    def healthy(self) -> bool:
        """Whether a request would be answered now."""
        stable = self.follower.routes.stable
        return stable is not None and stable.running.engine.healthy


def assemble(options: GatewayOptions, ports: Ports) -> Gateway:
    """A gateway from its edges."""
    metrics = Metrics()
    settings, serving = options.settings, options.serving
    gateway = Gateway(
        options=options,
        ports=ports,
        metrics=metrics,
        follower=Follower(ports, metrics),
        keys=KeyRing(ports.find_key, ports.hash_key, clock=ports.clock, endpoint=options.endpoint),
        limits=Limits(options.settings),
        deadlines=Deadlines(options.settings.request_seconds),
        callers=Callers(sticky=options.sticky),
        copies=Copies(),
        budgets=_budgets(options, ports),
        cache=AnswerCache(serving.cache, _disk(options, ports)),
        flights={},
        guarding=Guarding(serving.guards, metrics.observe_guard),
        breakers=Breakers(settings.breaker_failures, settings.breaker_seconds),
        retries=RetryBudget(settings.retry_share),
        fallbacks=tuple(Follower(replace(ports, current=current), Metrics()) for current in ports.fallbacks.values()),
        draw=random.Random(),
    )
    _watch(gateway, metrics)
    return gateway


def _budgets(options: GatewayOptions, ports: Ports) -> Budgets:
    settings = options.settings
    defaults = Allowance(
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        streams=settings.streams,
    )
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    return Budgets(ports.usage, clock=ports.clock, holder=holder, defaults=defaults, tenants=options.tenants)


def _disk(options: GatewayOptions, ports: Ports) -> Disk | None:
    cache = options.serving.cache
    if cache.mode == "off" or not cache.disk or ports.cache_folder is None:
        return None
    return Disk(ports.cache_folder / f"answers-{options.endpoint}.db", cache.disk * MEGABYTE)


def _watch(gateway: Gateway, metrics: Metrics) -> None:
    """Show what is counted elsewhere."""
    cache, ports = gateway.cache, gateway.ports
    metrics.watch("kedge_requests_in_flight", "Requests under way.", lambda: gateway.limits.under_way)
    metrics.watch("kedge_queue_depth", "Requests whose answer has not begun.", gateway.waiting)
    metrics.watch_total("kedge_shadow_dropped", "Copies for a shadow left out.", lambda: gateway.copies.dropped)
    metrics.watch_total("kedge_traces_dropped", "Traces given up under overload.", lambda: ports.traces.dropped)
    metrics.watch_total("kedge_cache_questions", "Requests that the cache was asked for.", lambda: cache.asked)
    metrics.watch_total(
        "kedge_cache_hits_exact", "The very same request was answered before.", lambda: cache.hits["exact"]
    )
    metrics.watch_total("kedge_cache_hits_semantic", "One alike was answered before.", lambda: cache.hits["semantic"])
    metrics.watch("kedge_cache_bytes", "What kept answers take in memory.", lambda: cache.memory.size)
    metrics.watch_total("kedge_retries", "Requests that were asked again.", lambda: gateway.retries.spent)
    metrics.watch_total("kedge_breakers_opened", "Times an engine was left alone.", lambda: gateway.breakers.opened)
