"""One execution of one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from kedge.core.spec import Spec


class RunStatus(StrEnum):
    """Where a run stands. `interrupted`: its process is gone without a word (killed, power lost)."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Where a run executes: enough to tell later whether it still lives."""

    host: str
    pid: int
    started: float  # the process's start time in seconds since the epoch: a recycled pid is not the same process


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one step, with everything that decided its outcome.

    `key` is the digest of spec, code, environment and inputs: two runs with one key compute the same.
    `inputs` and `outputs` map a port of the step to an artifact digest.
    `metrics` holds the last value of each logged metric.
    """

    id: str
    stage: str
    spec: Spec
    key: str
    status: RunStatus
    started: datetime
    code: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    pipeline: str = ""
    worker: Worker | None = None
    ended: datetime | None = None
    error: str = ""

    @property
    def params(self) -> Mapping[str, Any]:
        """The arguments of the step's spec."""
        return self.spec.args


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of one metric of one run. `at` is in seconds since the epoch."""

    run: str
    name: str
    step: int
    value: float
    at: float
