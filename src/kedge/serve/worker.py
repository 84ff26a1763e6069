"""The engine process: `python -m kedge.serve.worker SOCKET PARENT`, started by the gateway.

It reads commands from an inherited socket and writes what the engine yields. It ends when the socket is closed or its
parent is gone; it ignores SIGINT and SIGTERM, which reach a whole group of processes, so that the gateway can drain.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec

from kedge.core.errors import Invalid, KedgeError
from kedge.core.ports import Engine, SharedEngine
from kedge.serve.engines.open import open_engine
from kedge.serve.frames import (
    Cancel,
    Command,
    Events,
    Frames,
    Open,
    Ready,
    Report,
    Score,
    Scores,
    Shut,
    Submit,
    decode_command,
    encode,
    trouble_of,
)

_PR_SET_PDEATHSIG = 1
_CHUNK = 2**18


class Worker:
    """Feeds one engine from one socket: a thread reads commands, the main thread drives the engine."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._unfinished: set[str] = set()
        self._first = ""  # the name of the bundle that the engine was opened with, and itself calls ""

    def run(self) -> int:
        """Serve until the gateway is gone; the exit code."""
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        first = self._commands.get()
        if not isinstance(first, Open):
            return 0 if first is None else 2
        try:
            engine = open_engine(first.bundle, Path(first.folder))
        except KedgeError as error:
            self._send(trouble_of(error, first.name))
            return error.exit_code
        self._first = first.name
        self._send(Ready(name=first.name, facts=engine.describe()))
        self._drive(engine)
        engine.close()
        return 0

    def _drive(self, engine: Engine) -> None:
        """Take commands as they come, and step while any request is unfinished."""
        while True:
            while not self._unfinished or not self._commands.empty():
                command = self._commands.get()
                if command is None:
                    return
                self._obey(engine, command)
            events = engine.step()
            if events:
                self._unfinished.difference_update(event.id for event in events if event.finish)
                self._send(Events(events=events))

    def _obey(self, engine: Engine, command: Command) -> None:
        match command:
            case Submit(requests=requests):
                for request in requests:
                    self._unfinished.add(request.id)
                    named = bool(request.bundle) and request.bundle == self._first
                    engine.submit(replace(request, bundle="") if named else request)
            case Cancel(ids=ids):
                for unfinished in self._unfinished.intersection(ids):
                    engine.cancel(unfinished)
            case Score():
                self._score(engine, command)
            case Open():
                self._open(engine, command)
            case Shut():
                self._shut(engine, command)

    def _open(self, engine: Engine, command: Open) -> None:
        """One bundle more beside the first."""
        try:
            if "adapters" not in engine.describe().can:
                raise Invalid("this engine serves one bundle only")
            facts = cast(SharedEngine, engine).add(command.name, command.bundle, Path(command.folder))
        except KedgeError as error:
            self._send(trouble_of(error, command.name))
        else:
            self._send(Ready(name=command.name, facts=facts))

    def _shut(self, engine: Engine, command: Shut) -> None:
        if "adapters" in engine.describe().can:
            first = command.name == self._first
            cast(SharedEngine, engine).remove("" if first else command.name)
            if first:
                self._first = ""  # should it come again, it is one beside others

    def _score(self, engine: Engine, command: Score) -> None:
        try:
            self._send(Scores(id=command.id, likelihoods=engine.score(command.pairs)))
        except KedgeError as error:
            self._send(trouble_of(error, command.id))

    def _send(self, report: Report) -> None:
        try:
            self._channel.sendall(encode(report))
        except OSError:  # the gateway is gone; the reading thread says so too
            self._commands.put(None)

    def _read(self) -> None:
        frames = Frames()
        try:
            while data := self._channel.recv(_CHUNK):
                for body in frames.feed(data):
                    self._commands.put(decode_command(body))
        except (OSError, msgspec.DecodeError):
            pass
        self._commands.put(None)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux; elsewhere the closed socket ends it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(0)


def main() -> int:
    """Serve the socket named on the command line."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve the gateway
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as channel:
        return Worker(channel).run()


if __name__ == "__main__":
    sys.exit(main())
