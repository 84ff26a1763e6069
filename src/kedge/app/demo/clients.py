"""Callers of the demo's endpoint: the official `openai` client, once and under load."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

import openai

from kedge.app.demo.types import Answer, Watch
from kedge.core.dataset import Row
from kedge.core.trace import parse_receipt

HEADER = "x-kedge-receipt"


class Caller:
    """One key on one endpoint. Retries are off: a failed request counts as failed."""

    def __init__(self, url: str, key: str, model: str) -> None:
        self.model = model
        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)

    def ask(self, row: Row) -> Answer:
        """Put a row's input to the endpoint as a chat message."""
        response = self._client.chat.completions.with_raw_response.create(
            model=self.model, messages=[{"role": "user", "content": row.input}]
        )
        answer = response.parse().choices[0].message.content or ""
        return Answer(header=row.input, answer=answer, truth=row.target, receipt=response.headers[HEADER])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Load:
    """Several callers asking without a pause, counting what fails and which bundle answered."""

    def __init__(self, caller: Caller, rows: Sequence[Row]) -> None:
        self._caller = caller
        self._rows = rows
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._bundles: Counter[str] = Counter()
        self._errors: list[str] = []

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        """Ask from `clients` threads for the time of a block; every request begun is waited for."""
        threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _ask(self, offset: int) -> None:
        for row in cycle([*self._rows[offset:], *self._rows[:offset]]):
            if self._over.is_set():
                return
            try:
                bundle = parse_receipt(self._caller.ask(row).receipt).bundle
            except openai.OpenAIError as error:
                with self._lock:
                    self._errors.append(f"{type(error).__name__}: {error}")
                continue
            with self._lock:
                self._bundles[bundle] += 1

    def answered_by(self, bundle: str) -> int:
        """How many answers so far came from this bundle."""
        with self._lock:
            return self._bundles[bundle]

    def watch(self) -> Watch:
        """What was seen."""
        failed = len(self._errors)
        return Watch(
            requests=sum(self._bundles.values()) + failed,
            failed=failed,
            errors=tuple(dict.fromkeys(self._errors)),
            bundles=dict(self._bundles),
        )
