"""Answers a file of requests, in the shape of OpenAI's Batch API, and goes on where it was stopped.

Answers are appended, synced, to a file beside the one that is asked for, which gets its name when every line is
answered. That file's name holds a digest of the requests: other requests never go on with these answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from kedge.app.answers_file import AnswersFile, finished
from kedge.app.ask import KEY, endpoint_of, url_of
from kedge.app.inward import opened
from kedge.app.project import Project
from kedge.config import resolve_secret
from kedge.core.errors import Invalid, NotFound
from kedge.core.ports import Progress, Silent
from kedge.serve.lines import Asker, Line, Outcome, answer_lines, reach

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
_LONGEST = 16_000_000  # characters of a line

__all__ = ["KEY", "Batched", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batched:
    """What became of a file of requests. `kept` were answered by an earlier run of the same file; `refused` are lines of
    the output with an error."""

    output: str
    requests: int
    kept: int
    answered: int
    refused: int


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the file."""

    custom_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    url: str
    body: dict[str, msgspec.Raw]
    method: str = "POST"


_decoder = msgspec.json.Decoder(Request)


def batch(
    project: Project,
    source: Path,
    output: Path,
    *,
    to: str = "",
    key: str = KEY,
    at_once: int = 16,
    progress: Progress | None = None,
) -> Batched:
    """Answer every line of `source` into `output`.

    `to` is a version as `support@7`, whose engine is then started here, or the URL of an endpoint, or the name of one
    that runs ("": the only one), which is asked with the key that `key` refers to. `Invalid` names the first wrong line,
    before anything is asked. Run again after it was stopped, it goes on.
    """
    told = progress or Silent()
    ids, digest = _check(source)
    known = finished(output, ids)
    if known is not None:
        return Batched(output=str(output), requests=len(ids), kept=len(ids), answered=0, refused=known)
    if "@" not in to:
        secret, url = resolve_secret(key, root=project.root), _url(project, to)
    else:
        secret, url = "", ""
    with AnswersFile(output, digest) as answers:
        kept = len(answers.done)
        told.start(len(ids) - kept, "answering")

        def done(line: Line, outcome: Outcome) -> None:
            answers.add(line.id, outcome)
            told.advance()

        async def work() -> None:
            async with _asker(project, to, url, secret, at_once=at_once) as asker:
                lines = (line for line in _lines(source) if line.id not in answers.done)
                await answer_lines(lines, asker, at_once=at_once, done=done)

        if kept < len(ids):
            asyncio.run(work())
        answers.finish()
        return Batched(
            output=str(output),
            requests=len(ids),
            kept=kept,
            answered=len(ids) - kept,
            refused=answers.refused,
        )


def _check(source: Path) -> tuple[frozenset[str], str]:
    """The ids of all lines, and a digest of them. `Invalid` names the line that is wrong, and why."""
    ids: set[str] = set()
    digest = hashlib.sha256()
    for number, line in _read(source):
        digest.update(line)
        request = _request(line, f"{source}:{number}")
        if request.custom_id in ids:
            raise Invalid(f"{source}:{number}: the custom_id {request.custom_id!r} was there before")
        ids.add(request.custom_id)
    if not ids:
        raise Invalid(f"{source} has no requests", hint="one JSON object a line: custom_id, method, url, body")
    return frozenset(ids), digest.hexdigest()


def _read(source: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers."""
    if not source.is_file():
        raise NotFound(f"no file {source}", address=str(source))
    with source.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST + 1):
            number += 1
            if len(line) > _LONGEST:
                raise Invalid(f"{source}:{number}: the line is longer than {_LONGEST} bytes")
            if line.strip():
                yield number, line


def _request(line: bytes, place: str) -> Request:
    try:
        request = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{place}: not a request: {error}") from error
    if request.method != "POST" or request.url not in PATHS:
        raise Invalid(f"{place}: {request.method} {request.url[:80]} is not taken", hint=f"POST to {', '.join(PATHS)}")
    if bytes(request.body.get("stream", b"null")) not in (b"null", b"false"):
        raise Invalid(f"{place}: a batch has no streams", hint="leave 'stream' out")
    return request


def _lines(source: Path) -> Iterator[Line]:
    for number, line in _read(source):
        request = _request(line, f"{source}:{number}")
        yield Line(id=request.custom_id, path=request.url, body=msgspec.json.encode(request.body))


def _url(project: Project, to: str) -> str:
    """Where an endpoint is, named or given as a URL."""
    if re.match(r"https?://", to):
        return to
    return url_of(project, endpoint_of(project, to).name)


@asynccontextmanager
async def _asker(project: Project, to: str, url: str, secret: str, *, at_once: int) -> AsyncIterator[Asker]:
    """Whoever answers: an endpoint, or an engine started for the occasion."""
    if url:
        async with reach(url, secret, at_once=at_once) as outward:
            yield outward
    else:
        async with opened(project, to, at_once=at_once) as inward:
            yield inward
