"""Asks a running endpoint over its own API, as any other client would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import SyncResponse

from kedge.app.project import Project
from kedge.app.status import alive
from kedge.config import resolve_secret
from kedge.core.errors import Invalid, KedgeError, NotFound, Refused, Unauthenticated, Unavailable
from kedge.core.release import Endpoint

RECEIPT = "x-kedge-receipt"
KEY = "env:KEDGE_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An endpoint's answer and its receipt. `model` is the version that answered."""

    endpoint: str
    model: str
    answer: str
    receipt: str


def ask(
    project: Project, text: str, *, endpoint: str = "", key: str = KEY, piece: Callable[[str], None] | None = None
) -> Answered:
    """Put a question to an endpoint. `key` is a reference, `env:NAME` or `file:PATH`; `piece` gets the answer as it
    comes.

    `Unavailable` when no gateway serves the endpoint; `Unauthenticated` when the key does not open it.
    """
    bound = endpoint_of(project, endpoint)
    url = url_of(project, bound.name) + "/v1/chat/completions"
    body = {"model": bound.model, "messages": [{"role": "user", "content": text}], "stream": True}
    try:
        with _client(project, key) as client, client.post(url).body_json(body).build_streamed() as response:
            return _listen(bound.name, response, piece)
    except PyreqwestError as error:
        raise Unavailable(f"the endpoint at {url} does not answer: {error}", hint="kedge status shows it") from error


def _listen(endpoint: str, response: SyncResponse, piece: Callable[[str], None] | None) -> Answered:
    """The answer of a stream."""
    if response.status != 200:
        raise _refusal(response.status, bytes(response.body_reader.bytes()))
    pieces = []
    model = ""
    for event in _events(response):
        if "error" in event:
            raise Unavailable(f"the answer broke off: {event['error']['message']}", hint="ask again")
        model = event["model"]
        said = event["choices"][0]["delta"].get("content", "")
        pieces.append(said)
        if piece is not None and said:
            piece(said)
    return Answered(endpoint=endpoint, model=model, answer="".join(pieces), receipt=response.get_header(RECEIPT) or "")


def _events(response: SyncResponse) -> Iterator[dict[str, Any]]:
    """The objects of a stream of server-sent events, up to `[DONE]`."""
    rest = b""
    while chunk := response.body_reader.read_chunk():
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data: ")
            if data == b"[DONE]":
                return
            if data != line:
                yield msgspec.json.decode(data)


def endpoint_of(project: Project, name: str) -> Endpoint:
    """The endpoint of this name, or the only one. `NotFound`; `Invalid` if there are several and none is named."""
    known = {endpoint.name: endpoint for endpoint in project.ledger.releases.endpoints()}
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if not name and known:
        raise Invalid("there are several endpoints", hint=f"name one with --endpoint: {', '.join(sorted(known))}")
    if name not in known:
        raise NotFound(f"no endpoint {name!r}" if name else "no endpoint yet", hint="kedge serve starts one")
    return known[name]


def url_of(project: Project, endpoint: str) -> str:
    """Where a gateway serves an endpoint now. `Unavailable` if none does."""
    beats = alive(project, endpoint)
    if not beats:
        raise Unavailable(f"nothing serves {endpoint!r} now", address=endpoint, hint=f"kedge serve {endpoint}")
    return max(beats, key=lambda beat: (beat.healthy, beat.at)).url


def _client(project: Project, key: str) -> SyncClient:
    headers = {"authorization": f"Bearer {resolve_secret(key, root=project.root)}"}
    return SyncClientBuilder().default_headers(headers).no_proxy().timeout(timedelta(seconds=150)).build()


def _refusal(status: int, body: bytes) -> KedgeError:
    try:
        message = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = f"HTTP {status}"
    if status == 401:
        return Unauthenticated(message, hint="kedge keys create NAME makes a key; pass it in KEDGE_KEY")
    kind = Invalid if status in (400, 404, 413) else Refused if status < 500 else Unavailable
    return kind(f"the endpoint answered {status}: {message}")
