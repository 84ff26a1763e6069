"""A server that speaks the OpenAI API, on a free port of this machine, and says what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Scripted:
    """Answers a request's body with `say(body)`: a text, or (status, body, headers) where status 0 hangs up.

    `asked` are the bodies so far, `keys` what was in their header authorization, `most` how many were under way at once.
    """

    say: Callable[[dict[str, Any]], Any] = lambda body: "yes"
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    most: int = 0
    _going: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], key: str) -> tuple[int, bytes, dict[str, str]]:
        """What is said to one request."""
        with self._lock:
            self.asked.append(body)
            self.keys.append(key)
            self._going += 1
            self.most = max(self.most, self._going)
        try:
            said = self.say(body)
        finally:
            with self._lock:
                self._going -= 1
        status, content, headers = said if isinstance(said, tuple) else (200, _body(said, body), {})
        return status, content if isinstance(content, bytes) else json.dumps(content).encode(), headers


@contextmanager
def scripted() -> Iterator[Scripted]:
    """A server for the time of a block."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the library calls it so
            """Answer."""
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, data, headers = script.answer(body, self.headers.get("authorization", ""))
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), name="scripted", daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{listening.server_port}/v1"
    try:
        yield script
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def _body(text: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A whole answer of this text, to a chat or to a prompt."""
    said = {"text": text} if "prompt" in asked else {"message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 3, "completion_tokens": len(text.split())}
    return {"choices": [{**said, "finish_reason": "stop"}], "usage": usage}
