"""An attempt that failed before another one was made: kept as a trace of its own, so that the bundle at fault is known
even though the caller never saw it."""

from __future__ import annotations

import time

from kedge.core.errors import KedgeError
from kedge.core.trace import Trace, new_trace_id
from kedge.serve.gateway.errors import ApiError, api_error
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.traces import Record


def keep_failure(gateway: Gateway, record: Record, error: KedgeError | ApiError) -> None:
    """Write what went wrong with the attempt that `record` is about; its parent is the request's own trace."""
    told = error if isinstance(error, ApiError) else api_error(error)
    taken = time.perf_counter() - record.started
    gateway.ports.traces.add(
        Trace(
            id=new_trace_id(gateway.draw),
            at=time.time() - taken,
            endpoint=gateway.options.endpoint,
            bundle=record.bundle,
            key=record.key.id,
            route=record.route,
            status=told.status,
            error=told.message,
            latency_ms=taken * 1000,
            tenant=record.key.tenant,
            role=record.role,
            parent=record.trace,
        )
    )
