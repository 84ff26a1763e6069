"""A project with something to serve, `kedge serve` as a process, and callers that ask it: for benchmarks and campaigns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from kedge.app import keys, models
from kedge.app.project import Project, open_project
from kedge.core import adapter
from kedge.core.access import Scope
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.registry.bundle import write_bundle

MODEL = "words"


@dataclass(slots=True, kw_only=True)
class Line:
    """A project whose endpoint `words` follows the model `words`, and a key that opens everything."""

    project: Project
    secret: str = field(repr=False)

    def register(self, bundle: Bundle, *parts: Artifact) -> ModelVersion:
        """A bundle as the next version. Without parts its model is made of its engine's name alone."""
        project = self.project
        if not parts:
            said = msgspec.json.encode(bundle.engine, order="deterministic")
            parts = (write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"engine.json": said}),)
            bundle = replace(bundle, model=parts[0].digest)
        artifact = write_bundle(project.blobs, bundle)
        for each in (*parts, artifact):
            project.ledger.artifacts.add(each, at=project.clock.now())
        return models.register(project, MODEL, artifact.digest)

    def store(self, folder: Path) -> Artifact:
        """A model's folder as an artifact, with its adapter if it has one beside it."""
        found = [*folder.iterdir(), *(folder / adapter.FOLDER).glob("*")]
        files = {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}
        return write_artifact(self.project.blobs, ArtifactKind.MODEL, {}, files)

    def promote(self, version: ModelVersion) -> None:
        """Put a version in force."""
        models.promote(self.project, version.address, override="a measurement")


def make_line(folder: Path, more: str = "") -> Line:
    """A fresh project; `more` is added to the table of its endpoint and may open others."""
    folder.mkdir(parents=True, exist_ok=True)
    said = f'[project]\nname = "{MODEL}"\n\n[endpoints.{MODEL}]\nmodel = "{MODEL}"\nport = 0\n{more}'
    (folder / "kedge.toml").write_text(said)
    project = open_project(folder)
    return Line(project=project, secret=keys.create(project, "measure", scopes=[Scope.ADMIN]).secret)


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running `kedge serve`."""

    process: subprocess.Popen[str]
    url: str

    def engines(self) -> list[int]:
        """The pids of its engine processes (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def rss(self) -> int:
        """Bytes of memory in use by the gateway and its engines (Linux)."""
        return sum(_rss(pid) for pid in [self.process.pid, *self.engines()])

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


def _rss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


@contextmanager
def serving(line: Line) -> Iterator[Gateway]:
    """`kedge serve` until the end of the block; killed if it does not end by itself."""
    root = line.project.root
    command = [sys.executable, "-m", "kedge", "-C", str(root), "serve", "--json"]
    with (root / "serve.log").open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    try:
        for text in process.stdout:
            said = json.loads(text)
            if said.get("event") == "ready":
                yield Gateway(process=process, url=said["url"])
                break
        else:
            raise AssertionError(f"it did not come up: {(root / 'serve.log').read_text()}")
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What came of one request. `status` is 0 where the connection broke; `first` and `seconds` are from the asking on."""

    status: int
    text: str = ""
    tokens: int = 0
    first: float = 0.0
    seconds: float = 0.0
    began: float = 0.0
    retry_after: int = 0
    error: str = ""
    finished: bool = False


class Caller:
    """Asks one endpoint for completions, in streams."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    async def ask(self, prompt: str, *, tokens: int, more: Mapping[str, Any] | None = None) -> Got:
        """One request; whatever goes wrong is part of what came."""
        body = {
            "model": MODEL,
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **(more or {}),
        }
        began = time.perf_counter()
        try:
            request = self._client.post(f"{self._url}/v1/completions").body_json(body).streamed_read_buffer_limit(0)
            async with request.build_streamed() as response:
                if response.status != 200:
                    said = bytes(await response.bytes()).decode(errors="replace")
                    after = int(response.get_header("retry-after") or 0)
                    took = time.perf_counter() - began
                    return Got(status=response.status, error=said, retry_after=after, seconds=took, began=began)
                return await _listen(response.body_reader, began)
        except PyreqwestError as error:
            return Got(status=0, error=repr(error), seconds=time.perf_counter() - began, began=began)

    async def whole(self, prompt: str, *, tokens: int) -> Got:
        """One request whose answer comes in one piece."""
        body = {"model": MODEL, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
        began = time.perf_counter()
        try:
            response = await self._client.post(f"{self._url}/v1/completions").body_json(body).build().send()
            said = bytes(await response.bytes())
        except PyreqwestError as error:
            return Got(status=0, error=repr(error), seconds=time.perf_counter() - began, began=began)
        took = time.perf_counter() - began
        if response.status != 200:
            after = int(response.get_header("retry-after") or 0)
            return Got(
                status=response.status,
                error=said.decode(errors="replace"),
                retry_after=after,
                seconds=took,
                began=began,
            )
        answer = msgspec.json.decode(said)
        return Got(
            status=200,
            text=answer["choices"][0]["text"],
            tokens=answer["usage"]["completion_tokens"],
            seconds=took,
            began=began,
            finished=True,
        )

    async def gauge(self, name: str) -> float:
        """One number of the metrics page."""
        response = await self._client.get(f"{self._url}/metrics").build().send()
        lines = (await response.text()).splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)


async def _listen(reader: Any, began: float) -> Got:
    text, tokens, first, error, finished, rest = "", 0, 0.0, "", False, b""
    while (chunk := await reader.read_chunk()) is not None:
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        for line in lines:
            if line == b"data: [DONE]":
                finished = True
            elif line.startswith(b"data: "):
                said = msgspec.json.decode(line[6:])
                error = str(said["error"]) if "error" in said else error
                piece = "".join(choice["text"] for choice in said.get("choices", ()))
                first = first or (time.perf_counter() - began if piece else 0.0)
                text += piece
                tokens = (said.get("usage") or {}).get("completion_tokens", tokens)
    took = time.perf_counter() - began
    return Got(
        status=200, text=text, tokens=tokens, first=first, seconds=took, began=began, error=error, finished=finished
    )


@asynccontextmanager
async def calling(line: Line, url: str, *, seconds: float = 300.0) -> AsyncIterator[Caller]:
    """A caller with the project's key."""
    builder = (
        ClientBuilder().timeout(timedelta(seconds=seconds)).default_headers({"authorization": f"Bearer {line.secret}"})
    )
    async with builder.build() as client:
        yield Caller(client, url)


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all is at most (0 of none)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
