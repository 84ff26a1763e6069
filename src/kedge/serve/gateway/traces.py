"""What happened to one request: kept as a trace, counted in the metrics."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from kedge.core.access import Key
from kedge.core.ports import TraceSink
from kedge.core.release import Role
from kedge.core.trace import Trace
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.metrics import Metrics
from kedge.serve.guards.watch import Minutes

_encode = msgspec.json.Encoder().encode


class Record:
    """Gathers one request's facts while it is answered, and writes them once it is over."""

    __slots__ = (
        "address",
        "answers",
        "bundle",
        "cache",
        "charged",
        "completion_tokens",
        "error",
        "first_token",
        "key",
        "minutes",
        "model",
        "parent",
        "prompt",
        "prompt_tokens",
        "role",
        "route",
        "started",
        "status",
        "trace",
        "wish",
    )

    def __init__(self, *, trace: str, route: str, key: Key, prompt: str, choices: int) -> None:
        self.trace = trace
        self.route = route
        self.key = key
        self.prompt = prompt
        self.answers: list[list[str]] = [[] for _ in range(choices)]
        self.bundle = ""
        self.role: str = Role.STABLE
        self.parent = ""
        self.address = ""
        self.cache = ""
        self.model = ""
        self.wish: Wish | None = None
        self.minutes: Minutes | None = None
        self.charged = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.status = 200
        self.error = ""
        self.first_token = 0.0
        self.started = time.perf_counter()

    def begin_again(self) -> None:
        """Nothing of what was noted counts: somebody else is asked."""
        self.answers = [[] for _ in self.answers]
        self.prompt_tokens = self.completion_tokens = 0

    def _detail(self, *, content: bool) -> str:
        """What is looked up by person: the version, the model asked for, the sampling, the guards and the cost; with
        `content` what was asked beside the prompt too."""
        detail: dict[str, Any] = {"address": self.address, "model": self.model}
        if self.wish is not None:
            detail["sampling"] = self.wish.sampling
            if content:
                detail |= self.wish.beside
        if self.minutes is not None and self.minutes.decisions:
            detail["guards"] = list(self.minutes.decisions.values())
        if self.charged:
            detail["cost"] = self.charged / 1_000_000
        return _encode(detail).decode()

    def add(self, choice: int, text: str) -> None:
        """A piece of an answer."""
        self.answers[choice].append(text)

    def count(self, metrics: Metrics) -> None:
        """Put tokens and times into the metrics."""
        metrics.observe(
            self.route,
            seconds=time.perf_counter() - self.started,
            first=self.first_token - self.started if self.first_token else None,
            read=self.prompt_tokens,
            made=self.completion_tokens,
        )

    def write(self, sink: TraceSink, *, endpoint: str, content: bool) -> None:
        """Hand the trace to the sink, without prompt and answer unless `content`."""
        taken = time.perf_counter() - self.started
        texts = ["".join(answer) for answer in self.answers]
        answer = texts[0] if len(texts) == 1 else msgspec.json.encode(texts).decode()
        sink.add(
            Trace(
                id=self.trace,
                at=time.time() - taken,
                endpoint=endpoint,
                bundle=self.bundle,
                key=self.key.id,
                route=self.route,
                status=self.status,
                prompt=self.prompt if content else "",
                answer=answer if content else "",
                prompt_tokens=self.prompt_tokens,
                completion_tokens=self.completion_tokens,
                latency_ms=taken * 1000,
                first_token_ms=(self.first_token - self.started) * 1000 if self.first_token else 0.0,
                error=self.error,
                tenant=self.key.tenant,
                role=self.role,
                cache=self.cache,
                parent=self.parent,
                detail=self._detail(content=content),
            )
        )
