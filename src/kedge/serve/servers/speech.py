"""Requests and streamed answers in the words of the OpenAI API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid, Unavailable
from kedge.core.generation import Finish, GenerationEvent, GenerationRequest
from kedge.serve.decoding.render import Renderer

_LONGEST = 2**24
_FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "stop", "content_filter": "stop"}
_COUNTED = {"include_usage": True}
_encode = msgspec.json.Encoder().encode


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

    def body(self, request: GenerationRequest, *, streamed: bool) -> bytes:
        """The request as JSON. `Invalid` if it is none."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": streamed,
        }
        if streamed:
            body["stream_options"] = _COUNTED
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
        return _encode({**body, **self._extra} if self._extra else body)

    def _messages(self, request: GenerationRequest) -> list[Any]:
        given = [part for part in (request.prompt, request.input, request.messages) if part is not None]
        if len(given) != 1:
            raise Invalid("a request has exactly one of prompt, input and messages", address=request.id)
        if request.messages is not None:
            return list(request.messages)
        text = self._bundle.fill(request.input) if request.input is not None else request.prompt
        return [{"role": "user", "content": text}]


class _Message(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of one."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_all = msgspec.json.Decoder(list[_Completion]).decode


class Heard:
    """What has been heard of one answer: as events (`streamed`), or as one body."""

    __slots__ = ("_finish", "_made", "_pieces", "_read", "_rest", "_streamed", "asked")

    def __init__(self, asked: str, *, streamed: bool) -> None:
        self.asked = asked
        self._streamed = streamed
        self._rest = b""
        self._finish: Finish = ""
        self._read = 0
        self._made = 0
        self._pieces = 0

    def take(self, data: bytes, *, last: bool) -> GenerationEvent | None:
        """What more of the body brings, as one event; `last` if that was all of it.

        `Unavailable` if it is an error, if it is not of that API, or if the server stopped in the middle.
        """
        if self._rest:
            data = self._rest + data
        if self._streamed:
            cut = len(data) if last else data.rfind(b"\n") + 1
            self._rest = data[cut:]
            said = _events(data[:cut]) if cut else ()
        else:
            self._rest = b"" if last else data
            said = _read(data, _decode_one) if last else ()
        if len(self._rest) > _LONGEST:
            raise Unavailable("the model's server says more at once than is read here")
        text = "".join([self._note(each) for each in said]) if said else ""
        if last:
            return self._end(text)
        return GenerationEvent(id=self.asked, text=text) if text else None

    def _note(self, said: _Completion) -> str:
        if said.error is not None:
            raise Unavailable("the model's server stopped while it was answering", hint=str(said.error)[:200])
        if said.usage is not None:
            self._read = said.usage.prompt_tokens or self._read
            self._made = said.usage.completion_tokens or self._made
        text = ""
        for choice in said.choices or ():
            spoken = choice.delta or choice.message
            text += choice.text or (spoken.content if spoken is not None else "") or ""
            if choice.finish_reason:
                self._finish = _FINISHES.get(choice.finish_reason, self._finish)
        self._pieces += bool(text)
        return text

    def _end(self, text: str) -> GenerationEvent:
        """The last event."""
        if not self._finish:
            raise Unavailable("the model's server stopped while it was answering", hint="try again")
        made = self._made or self._pieces  # a server that does not count says about a token at a time
        return GenerationEvent(
            id=self.asked, text=text, finish=self._finish, prompt_tokens=self._read, completion_tokens=made
        )


def _decode_one(data: bytes) -> list[_Completion]:
    return [_decode(data)]


def _events(data: bytes) -> list[_Completion]:
    """The chunks in whole lines of a stream."""
    found = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
    chunks = [chunk for chunk in found if chunk and chunk != b"[DONE]"]
    return _read(b"[%b]" % b",".join(chunks), _decode_all) if chunks else []


def _read(data: bytes, decode: Callable[[bytes], list[_Completion]]) -> list[_Completion]:
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable("the model's server does not speak the OpenAI API", hint=str(error)[:200]) from error
