"""Asks a running endpoint over its own API, as any other client would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import SyncResponse

from kedge.app.project import Project
from kedge.app.status import FRESH
from kedge.config import resolve_secret
from kedge.core.errors import Invalid, KedgeError, NotFound, Refused, Unauthenticated, Unavailable
from kedge.core.release import Endpoint

RECEIPT = "x-kedge-receipt"
KEY = "env:KEDGE_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An endpoint's answer and its receipt."""

    endpoint: str
    answer: str
    receipt: str


def ask(project: Project, text: str, *, endpoint: str = "", key: str = KEY) -> Answered:
    """Put a question to an endpoint and wait for the whole answer. `key` is a reference, `env:NAME` or `file:PATH`.

    `Unavailable` when no gateway serves the endpoint; `Unauthenticated` when the key does not open it.
    """
    bound = _endpoint(project, endpoint)
    with _client(project, key) as client:
        response = _post(client, _url(project, bound.name), bound.model, text)
        body = msgspec.json.decode(bytes(response.bytes()))
    return Answered(
        endpoint=bound.name,
        answer=body["choices"][0]["message"]["content"],
        receipt=response.get_header(RECEIPT) or "",
    )


def _endpoint(project: Project, name: str) -> Endpoint:
    known = {endpoint.name: endpoint for endpoint in project.ledger.releases.endpoints()}
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if not name and known:
        raise Invalid("there are several endpoints", hint=f"name one with --endpoint: {', '.join(sorted(known))}")
    if name not in known:
        raise NotFound(f"no endpoint {name!r}" if name else "no endpoint yet", hint="kedge serve starts one")
    return known[name]


def _url(project: Project, endpoint: str) -> str:
    horizon = project.clock.now() - FRESH
    beats = [b for b in project.ledger.releases.heartbeats() if b.endpoint == endpoint and b.at >= horizon]
    if not beats:
        raise Unavailable(f"nothing serves {endpoint!r} now", address=endpoint, hint=f"kedge serve {endpoint}")
    return max(beats, key=lambda beat: (beat.healthy, beat.at)).url


def _client(project: Project, key: str) -> SyncClient:
    secret = resolve_secret(key, root=project.root)
    headers = {"authorization": f"Bearer {secret}"}
    return SyncClientBuilder().default_headers(headers).no_proxy().timeout(timedelta(seconds=150)).build()


def _post(client: SyncClient, url: str, model: str, text: str) -> SyncResponse:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    try:
        response = client.post(f"{url}/v1/chat/completions").body_json(body).build().send()
    except PyreqwestError as error:
        raise Unavailable(f"the endpoint at {url} does not answer: {error}", hint="kedge status shows it") from error
    if response.status != 200:
        raise _refusal(response)
    return response


def _refusal(response: SyncResponse) -> KedgeError:
    try:
        message = str(msgspec.json.decode(bytes(response.bytes()))["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = f"HTTP {response.status}"
    if response.status == 401:
        return Unauthenticated(message, hint="kedge keys create NAME makes a key; pass it in KEDGE_KEY")
    kind = Invalid if response.status in (400, 404, 413) else Refused if response.status < 500 else Unavailable
    return kind(f"the endpoint answered {response.status}: {message}")
