"""Loads bundles into engines, wherever each kind of engine runs."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kedge.core.bundle import Bundle
from kedge.core.errors import NotFound
from kedge.core.settings import ReplicaSettings
from kedge.serve.guards.open import open_guards
from kedge.serve.link import start_engine
from kedge.serve.pool import Pool, Unit
from kedge.serve.supervisor import Patience, Start, Supervisor

_REMOTE: Final = ("openai",)
_LOCAL: Final = ("llama-server", "sglang", "vllm")


def no_secret(reference: str) -> str:
    """For launchers that know no secrets."""
    raise NotFound(f"there is no secret {reference}", address=reference)


@dataclass(slots=True, kw_only=True)
class Launcher:
    """Gives each bundle a pool of engines: processes of ours, servers that we start, or one that is somewhere else.

    `unpack` gives a bundle and its files by digest, `secret` what a reference refers to; both may block. `restarted` is
    called each time an engine is started again.
    """

    unpack: Callable[[str], tuple[Bundle, Path]]
    settings: ReplicaSettings = field(default_factory=ReplicaSettings)
    secret: Callable[[str], str] = no_secret
    restarted: Callable[[], object] = int

    async def launch(self, digest: str) -> tuple[Bundle, Pool]:
        """The bundle, and its engines warmed. Raises why it cannot be."""
        bundle, folder = await asyncio.to_thread(self.unpack, digest)
        open_guards(bundle.guards)  # a guard that is not there is found out before the engine is loaded
        pool = Pool(await self._maker(bundle, folder), self.settings)
        await pool.start()
        return bundle, pool

    async def _maker(self, bundle: Bundle, folder: Path) -> Callable[[], Unit]:
        """What makes one replica of a bundle."""
        patience = Patience(silence=self.settings.silence_seconds)
        if bundle.engine.name in _REMOTE:
            upstream = _load("upstream")
            target = await asyncio.to_thread(upstream.read_target, bundle, self.secret)
            return lambda: upstream.Upstream(bundle, target)
        start: Start = _load("local").start_server if bundle.engine.name in _LOCAL else start_engine
        return lambda: Supervisor(bundle, folder, patience=patience, restarted=self.restarted, start=start)


def _load(name: str) -> Any:
    """A module of the servers, which a gateway without them does not need."""
    return importlib.import_module(f"kedge.serve.servers.{name}")
