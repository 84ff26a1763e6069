"""Reads parts in the tasks of a Ray cluster. A task that dies with its worker is done again elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import ray

from kedge.core.errors import KedgeError, Unavailable
from kedge.data.ingest import Reading, read_pack
from kedge.data.packs import Entry

RETRIES = 5
AHEAD = 4  # tasks that are asked for beside those that the cluster can run at once


def read_on_ray(readings: Sequence[Reading]) -> Iterator[tuple[Reading, list[Entry]]]:
    """Each reading and where its rows are, in the order they are done. Packs are written to the project's cache."""
    if not readings:
        return
    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
        yield from _read(readings)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, KedgeError) else error  # noqa: B904 - the cause says it all
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise Unavailable(f"Ray gave up: {error}", hint="is the cluster up? see RAY_ADDRESS") from error
    finally:
        if ours and ray.is_initialized():
            ray.shutdown()


def _read(readings: Sequence[Reading]) -> Iterator[tuple[Reading, list[Entry]]]:
    task = ray.remote(max_retries=RETRIES, num_cpus=1)(read_pack)
    room = int(ray.cluster_resources().get("CPU", 1)) + AHEAD
    waiting = list(reversed(readings))
    running: dict[ray.ObjectRef, Reading] = {}
    while waiting or running:
        while waiting and len(running) < room:
            reading = waiting.pop()
            running[task.remote(reading)] = reading
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            yield running.pop(reference), ray.get(reference)
