"""The parts of one gateway, made once and handed to every route."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kedge.serve.gateway.auth import KeyRing
from kedge.serve.gateway.copies import Copies
from kedge.serve.gateway.deadlines import Deadlines
from kedge.serve.gateway.follow import Follower
from kedge.serve.gateway.limits import Limits
from kedge.serve.gateway.metrics import Metrics
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Callers


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
    draw: random.Random

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
    gateway = Gateway(
        options=options,
        ports=ports,
        metrics=metrics,
        follower=Follower(ports, metrics),
        keys=KeyRing(ports.find_key, ports.hash_key, clock=ports.clock),
        limits=Limits(options.settings),
        deadlines=Deadlines(options.settings.request_seconds),
        callers=Callers(sticky=options.sticky),
        copies=Copies(),
        draw=random.Random(),
    )
    metrics.watch("kedge_requests_in_flight", "Requests under way.", lambda: gateway.limits.under_way)
    metrics.watch("kedge_queue_depth", "Requests whose answer has not begun.", gateway.waiting)
    metrics.watch_total("kedge_shadow_dropped", "Copies for a shadow left out.", lambda: gateway.copies.dropped)
    metrics.watch_total("kedge_traces_dropped", "Traces given up under overload.", lambda: ports.traces.dropped)
    return gateway
