"""Loads bundles into engines, wherever each kind of engine runs."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kedge.core.bundle import Bundle
from kedge.core.errors import NotFound
from kedge.core.settings import ReplicaSettings
from kedge.serve.beside import Alone, Beside, Part, Shared
from kedge.serve.guards.open import open_guards
from kedge.serve.link import start_engine
from kedge.serve.pool import Pool, Unit
from kedge.serve.supervisor import Patience, Start, Supervisor

logger = logging.getLogger(__name__)

_REMOTE: Final = ("openai",)
_LOCAL: Final = ("llama-server", "sglang", "vllm")


def no_secret(reference: str) -> str:
    """For launchers that know no secrets."""
    raise NotFound(f"there is no secret {reference}", address=reference)


def no_base(digest: str) -> str:
    """For launchers that know nothing of adapters."""
    return ""


@dataclass(slots=True, kw_only=True)
class Launcher:
    """Gives each bundle a pool of engines: processes of ours, servers that we start, or one that is somewhere else.

    `unpack` gives a bundle and its files by digest, `base` what it shares with others whose models are adapters of the same
    base ("" if its model has no adapter), `secret` what a reference refers to; all may block. `restarted` is called each
    time an engine is started again. Bundles of one base share their engines, where those can.
    """

    unpack: Callable[[str], tuple[Bundle, Path]]
    settings: ReplicaSettings = field(default_factory=ReplicaSettings)
    base: Callable[[str], str] = no_base
    secret: Callable[[str], str] = no_secret
    restarted: Callable[[], object] = int
    _shared: dict[str, Shared] = field(default_factory=dict)

    async def launch(self, digest: str) -> tuple[Bundle, Pool | Beside]:
        """The bundle, and its engines warmed. Raises why it cannot be."""
        bundle, folder = await asyncio.to_thread(self.unpack, digest)
        open_guards(bundle.guards)  # a guard that is not there is found out before the engine is loaded
        base = await asyncio.to_thread(self.base, digest) if bundle.engine.name not in (*_REMOTE, *_LOCAL) else ""
        if base:
            return bundle, await self._launch_beside(base, Part(digest=digest, bundle=bundle, folder=folder))
        if bundle.engine.name in _REMOTE:
            pool = Pool(await self._remote(bundle), self.settings)
        else:
            pool = self._pool_of(
                bundle, folder, _load("local").start_server if bundle.engine.name in _LOCAL else start_engine
            )
        await pool.start()
        return bundle, pool

    async def _launch_beside(self, base: str, part: Part) -> Beside:
        """The bundle among others of its base; by itself, when the engine cannot or the adapter does not fit."""
        shared = self._shared.setdefault(base, Shared(self._pool_of))
        try:
            return await shared.add(part)
        except Alone as error:
            said = {"bundle": part.digest, "engine": part.bundle.engine.name, "error": error.message}
            logger.warning("this adapter is not served beside others of its base", extra=said)
            return await Shared(self._pool_of).add(part)

    def _pool_of(self, bundle: Bundle, folder: Path, start: Start) -> Pool:
        patience = Patience(silence=self.settings.silence_seconds)
        return Pool(
            lambda: Supervisor(bundle, folder, patience=patience, restarted=self.restarted, start=start), self.settings
        )

    async def _remote(self, bundle: Bundle) -> Callable[[], Unit]:
        """What asks a server somewhere else."""
        upstream = _load("upstream")
        target = await asyncio.to_thread(upstream.read_target, bundle, self.secret)
        return lambda: upstream.Upstream(bundle, target)


def _load(name: str) -> Any:
    """A module of the servers, which a gateway without them does not need."""
    return importlib.import_module(f"kedge.serve.servers.{name}")
