"""A server that speaks the OpenAI API without a model, as a process: `python -m kedge.testing.upstream --port 8000`.

It takes the command lines of vLLM, SGLang and llama-server, so that it can stand in for them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_JSON = [(b"content-type", b"application/json")]
_STREAM = [(b"content-type", b"text/event-stream")]


class EchoServer:
    """Answers with the words of the prompt, one every `delay` seconds. What a prompt says makes it fail:

    `status 503 times 2` answers so twice and then well; `break after 3` breaks the connection off after three words;
    `die` ends the process; `say JSON` answers with the body it got.
    """

    def __init__(self, *, key: str = "", delay: float = 0.0) -> None:
        self._key = key
        self._delay = delay
        self._refused: dict[str, int] = {}

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/health":
            await _whole(send, 200, {"status": "ok"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        headers = dict(scope["headers"])
        if self._key and headers.get(b"authorization") != f"Bearer {self._key}".encode():
            await _whole(send, 401, {"error": {"message": "no valid key"}})
            return
        await self._answer(scope["path"], json.loads(body), send)

    async def _answer(self, path: str, asked: dict[str, Any], send: Send) -> None:
        chat = path.endswith("/chat/completions")
        prompt = str(asked["messages"][-1]["content"] if chat else asked["prompt"])
        words = prompt.split()
        if prompt == "die":
            os._exit(9)
        if words[:1] == ["status"] and self._refused.setdefault(prompt, int(words[3])) > 0:
            self._refused[prompt] -= 1
            await _whole(send, int(words[1]), {"error": {"message": f"status {words[1]}"}})
            return
        if prompt == "say JSON":
            words = [json.dumps(asked, sort_keys=True)]
        broken = int(words[2]) if words[:2] == ["break", "after"] else -1
        made = words[: int(asked["max_tokens"])]
        if not asked.get("stream"):
            await asyncio.sleep(self._delay * len(made))
            await _complete(send, prompt, made, chat=chat, finish="stop" if made == words else "length", broken=broken)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
        for number, word in enumerate(made):
            if number == broken:
                return  # the connection is broken off
            await asyncio.sleep(self._delay)
            text = (" " if number else "") + word
            await _part(send, {"choices": [{"delta": {"content": text}} if chat else {"text": text}]})
        finish = "stop" if made == words else "length"
        await _part(send, {"choices": [{"delta": {}, "finish_reason": finish}]})
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(made)}
        await _part(send, {"choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _complete(send: Send, prompt: str, made: list[str], *, chat: bool, finish: str, broken: int) -> None:
    """A whole answer; half of one if it is to be broken off."""
    text = " ".join(made)
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(made)}
    body = json.dumps({"choices": [{"index": 0, **said, "finish_reason": finish}], "usage": usage}).encode()
    headers = [*_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if broken >= 0:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        return
    await send({"type": "http.response.body", "body": body})


async def _whole(send: Send, status: int, said: dict[str, Any]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _JSON})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def _part(send: Send, said: dict[str, Any]) -> None:
    body = b"data: " + json.dumps(said).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


def main() -> None:
    """Serve until told to stop; arguments that only a real server needs are taken and ignored."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="")
    parser.add_argument("--delay", type=float, default=0.0)
    given, _ = parser.parse_known_args()
    app = EchoServer(key=given.key, delay=given.delay)
    uvicorn.run(app, host=given.host, port=given.port, log_level="error", lifespan="off", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
