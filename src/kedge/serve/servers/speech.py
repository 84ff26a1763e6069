"""Requests and streamed answers in the words of the OpenAI API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid, Unavailable
from kedge.core.generation import Finish, GenerationEvent, GenerationRequest
from kedge.serve.decoding.render import Renderer

_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "stop", "content_filter": "stop"}


class Speech:
    """Writes requests for one model."""

    def __init__(
        self,
        model: str,
        *,
        api: Literal["chat", "completions"],
        extra: Mapping[str, Any],
        renderer: Renderer,
        bundle: Bundle,
    ) -> None:
        self._model = model
        self._api = api
        self._extra = extra
        self._renderer = renderer
        self._bundle = bundle

    def body(self, request: GenerationRequest) -> bytes:
        """The request as JSON. `Invalid` if it is none."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if self._api == "completions":
            body["prompt"] = self._renderer.render(request).text
        else:
            body["messages"] = self._messages(request)
        if request.tools:
            body["tools"] = list(request.tools)
        if request.schema:
            schema = {"name": "answer", "strict": True, "schema": msgspec.json.decode(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return msgspec.json.encode({**body, **self._extra})

    def _messages(self, request: GenerationRequest) -> list[Any]:
        given = [part for part in (request.prompt, request.input, request.messages) if part is not None]
        if len(given) != 1:
            raise Invalid("a request has exactly one of prompt, input and messages", address=request.id)
        if request.messages is not None:
            return list(request.messages)
        text = self._bundle.fill(request.input) if request.input is not None else request.prompt
        return [{"role": "user", "content": text}]


class Delta:
    """What has been heard of one answer."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.finish: Finish = ""
        self.read = 0
        self.made = 0
        self.pieces = 0

    def end(self) -> GenerationEvent:
        """The last event. `Unavailable` if the server stopped in the middle."""
        if not self.finish:
            raise Unavailable("the model's server stopped while it was answering", hint="try again")
        made = self.made or self.pieces  # a server that does not count says about a token at a time
        return GenerationEvent(id=self.asked, finish=self.finish, prompt_tokens=self.read, completion_tokens=made)


def read_event(line: bytes, heard: Delta) -> GenerationEvent | None:
    """A line of the stream: its new text, if it brings any. `Unavailable` if it is an error, or no line of that API."""
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if data == b"[DONE]" or not data:
        return None
    try:
        said = msgspec.json.decode(data)
        if "error" in said:
            raise Unavailable("the model's server stopped while it was answering", hint=str(said["error"])[:200])
        usage = said.get("usage") or {}
        heard.read = int(usage.get("prompt_tokens") or heard.read)
        heard.made = int(usage.get("completion_tokens") or heard.made)
        text = ""
        for choice in said.get("choices") or ():
            text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            heard.finish = _FINISHES.get(choice.get("finish_reason") or "", heard.finish)
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError) as error:
        raise Unavailable("the model's server does not speak the OpenAI API", hint=str(error)[:200]) from error
    heard.pieces += bool(text)
    return GenerationEvent(id=heard.asked, text=text) if text else None
