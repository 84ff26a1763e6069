"""The demo's endpoint: `kedge serve` as a child process."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kedge.app.project import Project
from kedge.app.status import alive
from kedge.core.errors import Unavailable

READY_SECONDS = 120.0
SWAP_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A running endpoint: its name, its base URL and the process behind it."""

    name: str
    url: str
    process: subprocess.Popen[str]


def start(project: Project, name: str, *, port: int) -> Endpoint:
    """Start `kedge serve` and wait until it answers. `Unavailable` with its last words if it does not."""
    log = (project.state / "serve.log").open("a+")
    process = subprocess.Popen(
        [sys.executable, "-m", "kedge", "-C", str(project.root), "serve", name, "--port", str(port), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    log.close()
    url = _ready(process, time.monotonic() + READY_SECONDS)
    if url is None:
        stop(process)
        raise Unavailable(f"endpoint {name!r} did not come up", hint=_last_words(project.state / "serve.log"))
    return Endpoint(name=name, url=url, process=process)


@contextmanager
def served(project: Project, name: str, *, port: int, keep: bool) -> Iterator[Endpoint]:
    """An endpoint for the time of a block, and beyond it when `keep`; always ended if the block fails."""
    endpoint = start(project, name, port=port)
    try:
        yield endpoint
    except BaseException:
        stop(endpoint.process)
        raise
    if not keep:
        stop(endpoint.process)


def stop(process: subprocess.Popen[str]) -> None:
    """Ask the process to drain and end; kill it after 30 seconds."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(project: Project, endpoint: str, bundle: str) -> float:
    """Wait until every gateway of the endpoint answers with `bundle`; the seconds it took. `Unavailable`."""
    begun = time.monotonic()
    while time.monotonic() - begun < SWAP_SECONDS:
        beats = alive(project, endpoint)
        if beats and all(beat.bundle == bundle and beat.healthy for beat in beats):
            return time.monotonic() - begun
        time.sleep(0.05)
    raise Unavailable(f"endpoint {endpoint!r} did not switch to {bundle[:19]}", hint="see .kedge/serve.log")


def _ready(process: subprocess.Popen[str], deadline: float) -> str | None:
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            event = json.loads(lines.get(timeout=0.2))
        except (queue.Empty, ValueError):
            continue
        if isinstance(event, dict) and event.get("event") == "ready":
            return str(event["url"])
    return None


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n  ".join(lines[-8:]) or "it said nothing"
