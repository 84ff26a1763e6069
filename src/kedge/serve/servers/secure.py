"""Asks one server over HTTPS, or through a proxy: with a client that knows TLS, and a task for each request."""

from __future__ import annotations

import asyncio
from functools import partial

from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError

from kedge.serve.servers.wire import Hearing


class SecureTransport:
    """A client's pool of connections. `url` is where every request goes."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url
        self._asking: dict[Hearing, asyncio.Task[None]] = {}

    def ask(self, body: bytes, hearing: Hearing) -> None:
        """Send a request."""
        task = asyncio.create_task(self._ask(body, hearing))
        self._asking[hearing] = task
        task.add_done_callback(partial(self._done, hearing))

    def leave(self, hearing: Hearing) -> None:
        """Cancel it."""
        task = self._asking.get(hearing)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Close every connection."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    def _done(self, hearing: Hearing, task: asyncio.Task[None]) -> None:
        if self._asking.get(hearing) is task:
            del self._asking[hearing]

    async def _ask(self, body: bytes, hearing: Hearing) -> None:
        try:
            asked = self._client.post(self._url).header("content-type", "application/json").body_bytes(body)
            asked = asked.streamed_read_buffer_limit(0)  # pass on each piece as it comes
            async with asked.build_streamed() as response:
                hearing.head(response.status, response.get_header("retry-after") or "")
                reader = response.body_reader
                while (chunk := await reader.read_chunk()) is not None:
                    if not hearing.heard(bytes(chunk), last=False):
                        return
        except PyreqwestError as error:
            hearing.lost(type(error).__name__)
            return
        hearing.heard(b"", last=True)
