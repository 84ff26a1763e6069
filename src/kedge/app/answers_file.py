"""The output of a batch while it grows: lines that are synced as they come, and a name once they are all there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from kedge.core.errors import Conflict
from kedge.serve.lines import Outcome

_SYNC_SECONDS = 0.5


class _Answer(msgspec.Struct, frozen=True):
    """What is read again of a line of the output."""

    custom_id: str
    error: Any = None


_decoder = msgspec.json.Decoder(_Answer)


class AnswersFile:
    """Takes answers, each once and durably within half a second. A line that was torn by a crash is asked again."""

    def __init__(self, output: Path, digest: str) -> None:
        self._output = output
        self._path = output.with_name(f".{output.name}.{digest[:16]}.part")
        self._file = self._open()
        self.done: set[str] = set()
        self.refused = 0
        end = 0
        for answer, at in _read(self._path):
            self.done.add(answer.custom_id)
            self.refused += answer.error is not None
            end = at
        self._file.truncate(end)
        self._file.seek(end)
        self._synced = time.monotonic()

    def _open(self) -> Any:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise Conflict(
                f"another batch is writing {self._output}", hint="wait for it, or name another output"
            ) from error
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._sync()
            self._file.close()

    def add(self, id: str, outcome: Outcome) -> None:
        """Keep what came of a request."""
        self.done.add(id)
        line = _line(id, outcome)
        self.refused += line["error"] is not None
        self._file.write(msgspec.json.encode(line) + b"\n")
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def finish(self) -> None:
        """Give the file its name: everything is answered."""
        self._sync()
        self._path.replace(self._output)
        self._file.close()
        folder = os.open(self._output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def finished(output: Path, ids: frozenset[str]) -> int | None:
    """How many lines of a finished output have an error; None if there is none yet. `Conflict` if it is of others."""
    if not output.exists():
        return None
    answers = [answer for answer, _ in _read(output)]
    if {answer.custom_id for answer in answers} != ids:
        raise Conflict(f"{output} is there, and has the answers to other requests", hint="move it away or name another")
    return sum(answer.error is not None for answer in answers)


def _read(path: Path) -> Iterator[tuple[_Answer, int]]:
    """The whole lines of a file, each with where it ends."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                answer = _decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield answer, end


def _line(id: str, outcome: Outcome) -> dict[str, Any]:
    """A line of the output, as the Batch API has it; what was not answered has an `error` too."""
    try:
        body: Any = msgspec.json.decode(outcome.body)
    except msgspec.DecodeError:
        body = None
    response = {"status_code": outcome.status, "request_id": outcome.id, "body": body}
    error = None
    if outcome.status != 200 or body is None:
        said = body.get("error") if isinstance(body, dict) else None
        told = said if isinstance(said, dict) else {}
        error = {
            "code": told.get("code") or f"http_{outcome.status}",
            "message": told.get("message") or f"HTTP {outcome.status}",
        }
    return {"id": f"batch_req_{outcome.id}", "custom_id": id, "response": response, "error": error}
