"""`kedge serve`: answers for an endpoint until it is told to stop."""

from __future__ import annotations

import functools
import sys

import click

from kedge.app import endpoints, keys
from kedge.app.project import open_project
from kedge.cli.render import emit
from kedge.core.access import Scope


@click.command("serve")
@click.argument("endpoint", default="")
@click.option("--host", default="", help="Where to listen, before the project file's word.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port, before the project file's word; 0 takes a free one."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(path: str, endpoint: str, host: str, port: int | None, as_json: bool) -> None:
    """Serve an endpoint with an OpenAI-compatible API, until SIGTERM or Ctrl-C.

    What its alias points at answers; a promotion or a rollback changes that without losing a request. The first time,
    when there is no key yet, one is made and shown, this once.
    """
    project = open_project(path)
    if not keys.listing(project):
        created = keys.create(project, "first", scopes=[Scope.ASK, Scope.METRICS])
        _say("key", as_json, f"key     {created.secret}  (not shown again)", id=created.key.id, key=created.secret)
    endpoints.serve(project, endpoint, host=host, port=port, ready=functools.partial(_ready, as_json))


def _ready(as_json: bool, at: endpoints.Ready) -> None:
    answers = f"{at.model} {at.bundle[7:19]}" if at.bundle else f"nothing yet: kedge promote {at.model}@VERSION"
    text = f"serving {at.endpoint} at {at.url}/v1\nanswers {answers}"
    _say("ready", as_json, text, endpoint=at.endpoint, url=at.url, model=at.model, bundle=at.bundle)


def _say(event: str, as_json: bool, text: str, **facts: str) -> None:
    emit({"event": event, **facts}, as_json=as_json, draw=lambda: text)
    sys.stdout.flush()
