"""vLLM, SGLang and llama-server: started here with a command line made from the bundle, and asked over HTTP.

A bundle names neither the program nor free arguments of it, only the flags below: the program is the one of that name on
the gateway's own path.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from kedge.core import adapter
from kedge.core.bundle import Bundle
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, Missing, Refused, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest
from kedge.serve.answers import Answering
from kedge.serve.engines.open import no_adapters
from kedge.serve.engines.vet import vet_folder
from kedge.serve.servers.upstream import Target, Upstream

_NAME = "kedge"  # what the server calls its only model
_KEPT_LINES = 40
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The engine's arguments in a bundle; 0 and "" leave a choice to the server.

    `context` is the longest prompt and answer together, `batch` how many answers are made at once. `threads` is for
    llama-server, `dtype` and `memory` (the share of a GPU's) for the two others.
    """

    context: int = 0
    batch: int = 0
    threads: int = 0
    dtype: str = ""
    memory: float = 0.0


Line = Callable[[Path, Flags, int], list[str]]


def _vllm(folder: Path, flags: Flags, port: int) -> list[str]:
    named = {
        "--max-model-len": flags.context,
        "--max-num-seqs": flags.batch,
        "--dtype": flags.dtype,
        "--gpu-memory-utilization": flags.memory,
    }
    return ["vllm", "serve", str(folder), "--served-model-name", _NAME, *_where(port), *_given(named)]


def _sglang(folder: Path, flags: Flags, port: int) -> list[str]:
    named = {
        "--context-length": flags.context,
        "--max-running-requests": flags.batch,
        "--dtype": flags.dtype,
        "--mem-fraction-static": flags.memory,
    }
    start = ["sglang", "serve", "--model-path", str(folder), "--served-model-name", _NAME]
    return [*start, *_where(port), *_given(named)]


def _llama(folder: Path, flags: Flags, port: int) -> list[str]:
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise Invalid("the engine llama-server serves a bundle with one GGUF file", address=str(folder))
    with files[0].open("rb") as file:
        if file.read(4) != b"GGUF":
            raise Refused(f"{files[0].name} is refused: it is not a GGUF file", address=files[0].name)
    slots = flags.batch or 4
    named = {"--ctx-size": flags.context * slots, "--parallel": slots, "--threads": flags.threads}
    return ["llama-server", "--model", str(files[0]), "--alias", _NAME, "--no-webui", *_where(port), *_given(named)]


def _where(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


def _given(named: Mapping[str, object]) -> list[str]:
    return [part for name, value in named.items() if value for part in (name, str(value))]


LOCAL: Final[Mapping[str, Line]] = {"vllm": _vllm, "sglang": _sglang, "llama-server": _llama}

_INSTALL: Final[Mapping[str, str]] = {
    "vllm": "pip install vllm, in an environment of its own, and put its `vllm` on the path",
    "sglang": "pip install sglang, in an environment of its own, and put its `sglang` on the path",
    "llama-server": "install llama.cpp, as with `brew install llama.cpp`, and put its `llama-server` on the path",
}


def command_line(bundle: Bundle, folder: Path, port: int) -> list[str]:
    """What starts the server. `Missing` if its program is not there; `Invalid` for a flag that is wrong; `Refused` for a
    file that could run code."""
    name = bundle.engine.name
    if (folder / adapter.FOLDER).is_dir():
        raise no_adapters(bundle)
    known = [each.name for each in fields(Flags)]
    for flag in bundle.engine.args:
        if flag not in known:
            raise Invalid(f"the engine {name} has no flag {flag!r}", hint=nearest(flag, known))
    try:
        flags = msgspec.convert(dict(bundle.engine.args), Flags)
    except msgspec.ValidationError as error:
        raise Invalid(f"a flag of the engine {name} is wrong: {error}") from error
    if name != "llama-server":
        vet_folder(folder)
    program, *rest = LOCAL[name](folder, flags, port)
    found = shutil.which(program)
    if found is None:
        raise Missing(f"the program {program} is not on the path", hint=_INSTALL[name])
    return [found, *rest]


class Server:
    """A started server and the requests under way at it. When the process ends, all that is unfinished fails."""

    def __init__(self, bundle: Bundle, port: int) -> None:
        self.ended = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        target = Target(url=f"http://127.0.0.1:{port}/v1", model=_NAME, api="completions", retries=0, stream="always")
        self._upstream = Upstream(bundle, target, name=bundle.engine.name)
        self._health = f"http://127.0.0.1:{port}/health"
        self._last_words: deque[str] = deque(maxlen=_KEPT_LINES)
        self._watching: asyncio.Task[None] | None = None
        context = int(bundle.engine.args.get("context", 0))
        self.facts = EngineFacts(name=bundle.engine.name, context=context, device="local server")

    @property
    def waiting(self) -> int:
        """How many requests have no event yet."""
        return self._upstream.waiting

    @property
    def silent(self) -> float:
        """For how many seconds nothing has come although something is under way."""
        return self._upstream.silent

    @property
    def up(self) -> bool:
        """Whether it takes requests. The system is asked, which knows of its end before this process is told."""
        if self.process is None or self.ended.is_set():
            return False
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Send requests. `Unavailable` if the process has ended."""
        answering = Answering([request.id for request in requests], lambda ids: None)
        self.take(requests, answering)
        return answering

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Send requests whose answers are awaited already. `Unavailable` if the process has ended."""
        if not self.up:
            raise Unavailable("the engine is not running", hint="it is being restarted: try again")
        self._upstream.take(requests, answering)

    async def start(self, command: Sequence[str]) -> None:
        """Start the process, and wait until it says that it is well. Raises why it is not."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kedge.serve.servers.leash", str(os.getpid()), *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._watching = asyncio.create_task(self._watch(self.process))
        await self._upstream.start()
        async with ClientBuilder().timeout(timedelta(seconds=5)).build() as client:
            while not self.ended.is_set():
                try:
                    if (await client.get(self._health).build().send()).status == 200:
                        return
                except PyreqwestError:
                    pass  # it does not listen yet
                await asyncio.sleep(_LOOK_SECONDS)
        said = await self.epitaph()
        raise Unavailable(f"the engine died while loading: {said}", hint="its last words are in the log")

    async def epitaph(self) -> str:
        """How the process ended, once it has: its last line and its exit code."""
        code = await self.process.wait() if self.process is not None else None
        last = self._last_words[-1] if self._last_words else "without a word"
        return f"{last} (exit code {code})"

    def kill(self) -> None:
        """End a process that no longer answers; what is unfinished fails."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        await self._upstream.close()
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _END_SECONDS)
            except TimeoutError:
                self.kill()
        if self._watching is not None:
            await self._watching

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines it writes, and fail what is unfinished when it ends."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._last_words.append(line.decode(errors="replace").rstrip())
        await process.wait()
        self.ended.set()
        await self._upstream.close()


async def start_server(bundle: Bundle, folder: Path, *, seconds: float) -> Server:
    """Start the server of a bundle whose files lie in `folder`; it answers when this returns.

    Raises why there is no command line for it; `Unavailable` with its last words if it died, or took too long.
    """
    port = _free_port()
    command = command_line(bundle, folder, port)
    server = Server(bundle, port)
    try:
        await asyncio.wait_for(server.start(command), seconds)
    except TimeoutError as error:
        await server.close()
        raise Unavailable(f"the engine did not load within {seconds:g} seconds", hint="give it more time") from error
    except BaseException:
        await server.close()
        raise
    return server


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
