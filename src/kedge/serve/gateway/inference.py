"""The Open Inference Protocol, version 2, over REST: /v2 and what is under it, with `generate` as KServe has it.

`text_input` is what a person says: it goes through the bundle's prompt or chat template. `prompt` is read as it is.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import msgspec

from kedge.core.access import Key
from kedge.core.generation import TokenChoice
from kedge.serve.gateway.answer import answer, choose_lane
from kedge.serve.gateway.asked import Count, Seed, Stop, Stops, Temperature, TopP, Wish, limit_tokens, read_body
from kedge.serve.gateway.errors import ApiError, Header, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Head, Prompt, Said, Usage
from kedge.serve.gateway.routing import Lane, Running
from kedge.serve.gateway.tensors import BINARY, InferBody, Tensor, read_tensors, write_tensors
from kedge.serve.gateway.words import encode, receipt_of

ROUTE = "/v2"
LIVE = "/v2/health/live"
READY = "/v2/health/ready"

_IN, _RAW = "text_input", "prompt"
_OUT = ("text_output", "finish_reason")


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer is made."""

    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    stop: Stop | Stops | None = None
    binary_data_output: bool = False

    def wish(self, running: Running, gateway: Gateway, *, stream: bool = False) -> Wish:
        """These over what the bundle says. 400 beyond the limits."""
        defaults = running.bundle.sampling
        given = {name: value for name in ("temperature", "top_p", "seed") if (value := getattr(self, name)) is not None}
        if self.stop is not None:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        limit = limit_tokens(self.max_tokens, defaults, gateway.options.settings)
        return Wish(sampling=replace(defaults, max_tokens=limit, **given), stream=stream)


class GenerateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `generate`."""

    text_input: str
    parameters: Parameters = Parameters()
    id: Annotated[str, msgspec.Meta(max_length=128)] = ""


_generate = msgspec.json.Decoder(GenerateBody)


def refuse(error: ApiError) -> bytes:
    """An error as this protocol has it."""
    return encode({"error": error.message})


async def show_live(gateway: Gateway, exchange: Exchange) -> int:
    """The process is there. Needs no key."""
    await exchange.reply(200, b'{"live":true}')
    return 200


async def show_ready(gateway: Gateway, exchange: Exchange) -> int:
    """Whether a request would be answered now. Needs no key."""
    status = 200 if gateway.healthy else 503
    await exchange.reply(status, encode({"ready": gateway.healthy}))
    return status


async def show_server(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """What this server is."""
    said = {"name": "kedge", "version": importlib.metadata.version("kedge"), "extensions": ["binary_tensor_data"]}
    await exchange.reply(200, encode(said))
    return 200


async def _show_model(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    lane = _lane(gateway, exchange)
    versions = sorted({str(each.release.version) for each in gateway.follower.routes.lanes.values()})
    said = {
        "name": gateway.options.model,
        "versions": versions,
        "platform": f"kedge-{lane.running.bundle.engine.name}",
        "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in (_IN,)],
        "outputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in _OUT],
    }
    await exchange.reply(200, encode(said))
    return 200


async def _show_model_ready(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    lane = _lane(gateway, exchange)
    status = 200 if lane.running.engine.healthy else 503
    await exchange.reply(status, encode({"name": gateway.options.model, "ready": status == 200}))
    return status


def _lane(gateway: Gateway, exchange: Exchange) -> Lane:
    return choose_lane(gateway.follower.routes, gateway, _model(exchange))


def _model(exchange: Exchange) -> str:
    """What a path names, as callers of the other doors name it: `words`, or `words@3` for a version."""
    parts = exchange.path.removeprefix("/v2/models/").split("/")
    return f"{parts[0]}@{parts[2]}" if len(parts) > 2 and parts[1] == "versions" else parts[0]


class InferWriter:
    """How tensors are answered with tensors."""

    def __init__(
        self, head: Head, wish: Wish, *, body: InferBody, names: Sequence[str], binary: frozenset[str]
    ) -> None:
        self._head = head
        self._body = body
        self._names = names
        self._binary = binary
        self.headers: Sequence[Header] = (JSON,)

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body: JSON, and after it what was asked for in binary."""
        values = {"text_output": [one.text for one in said], "finish_reason": [one.finish for one in said]}
        issued = self._head.issued
        name, _, version = self._head.model.rpartition("@")
        more = {
            "receipt": issued.receipt,
            "bundle": issued.bundle,
            "trace": issued.trace,
            "prompt_tokens": usage.read,
            "completion_tokens": usage.made,
        }
        said_of = {"model_name": name, "model_version": version, "id": self._body.id, "parameters": more}
        body, length = write_tensors(said_of, {name: values[name] for name in self._names}, self._binary)
        if length:
            self.headers = ((b"content-type", b"application/octet-stream"), (BINARY, str(length).encode()))
        return body


async def _infer(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    body, tensors = read_tensors(data, exchange.header(BINARY))
    _check_named(body, _model(exchange))
    texts, given = _read_inputs(tensors)
    parameters = _parameters({**body.parameters, **given})
    if len(texts) > settings.max_choices:
        said = f"at most {settings.max_choices} texts are taken at once"
        raise invalid(said, param="inputs", code="limit_exceeded")
    names = [output.name for output in body.outputs] or list(_OUT)
    unknown = [name for name in names if name not in _OUT]
    if unknown:
        raise invalid(f"there is no output {unknown[0][:40]!r}; there is {', '.join(_OUT)}", param="outputs")
    binary = {output.name for output in body.outputs if output.parameters.get("binary_data")}
    if parameters.binary_data_output:
        binary = set(names)
    asked = Asked(
        route=f"{ROUTE}/models/NAME/infer",
        model=_model(exchange),
        prompts=texts,
        wish=lambda running: parameters.wish(running, gateway),
        writer=partial(InferWriter, body=body, names=names, binary=frozenset(binary)),
        content=encode(texts).decode(),
    )
    return await answer(gateway, exchange, key, asked)


def _check_named(body: InferBody, model: str) -> None:
    """400 if the body names another model than the path."""
    name, _, version = model.partition("@")
    for field, given, wanted in (("model_name", body.model_name, name), ("model_version", body.model_version, version)):
        if given not in (None, "", wanted):
            raise invalid(f"'{field}' is another than the path has", param=field, code="invalid_value")


def _read_inputs(tensors: Sequence[Tensor]) -> tuple[list[Prompt], dict[str, Any]]:
    """The texts to answer, and parameters given as tensors of one element."""
    texts: list[Prompt] | None = None
    given: dict[str, Any] = {}
    for tensor in tensors:
        if tensor.name in (_IN, _RAW) and tensor.datatype == "BYTES" and texts is None:
            spoken = tensor.name == _IN
            texts = [[{"role": "user", "content": text}] if spoken else text for text in tensor.data]
        elif tensor.name in Parameters.__struct_fields__ and len(tensor.data) == 1:
            given[tensor.name] = tensor.data[0]
        else:
            raise invalid(f"the input {tensor.name[:40]!r} is not one of this model", param="inputs")
    if not texts:
        raise invalid(f"an input {_IN!r} of the type BYTES is needed", param="inputs", code="missing_parameter")
    return texts, given


def _parameters(given: Mapping[str, Any]) -> Parameters:
    return read_body(msgspec.json.Decoder(Parameters), encode(given), {})


class GenerateWriter:
    """How `generate` and `generate_stream` answer."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish, *, id: str) -> None:
        name, _, version = head.model.rpartition("@")
        self._named = b'"model_name":%s,"model_version":%s,"id":%s' % (encode(name), encode(version), encode(id))
        self._receipt = receipt_of(head.issued)
        self._finish = b"null"

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        return self._body(said[0].text, encode(said[0].finish), usage)

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def piece(self, place: int, text: str, tokens: Sequence[TokenChoice]) -> bytes:
        """More of the text."""
        return b'data: {"text_output":%s,%s}\n\n' % (encode(text), self._named)

    def finish(self, place: int, finish: str, *, last: bool) -> bytes:
        """Kept for the end."""
        self._finish = encode(finish)
        return b""

    def closing(self, usage: Usage) -> bytes:
        """Why it ended, what it used, and the receipt."""
        return b"data: " + self._body("", self._finish, usage) + b"\n\n"

    def broken(self, error: ApiError) -> bytes:
        """The error."""
        return b"data: " + refuse(error) + b"\n\n"

    def _body(self, text: str, finish: bytes, usage: Usage) -> bytes:
        return (
            b'{"text_output":%s,%s,"details":{"finish_reason":%s,"prompt_tokens":%d,"completion_tokens":%d},"kedge":%s}'
            % (
                encode(text),
                self._named,
                finish,
                usage.read,
                usage.made,
                self._receipt,
            )
        )


async def _answer_text(gateway: Gateway, exchange: Exchange, key: Key, *, stream: bool) -> int:
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    body = read_body(_generate, data, {})
    asked = Asked(
        route=f"{ROUTE}/models/NAME/generate{'_stream' if stream else ''}",
        model=_model(exchange),
        prompts=[[{"role": "user", "content": body.text_input}]],
        wish=lambda running: body.parameters.wish(running, gateway, stream=stream),
        writer=partial(GenerateWriter, id=body.id),
        content=body.text_input,
    )
    return await answer(gateway, exchange, key, asked)


Handle = Callable[[Gateway, Exchange, Key], Awaitable[int]]
# What can be done with a model, by the end of the path: the method, and what answers.
VERBS: Mapping[str, tuple[str, Handle]] = {
    "": ("GET", _show_model),
    "/ready": ("GET", _show_model_ready),
    "/infer": ("POST", _infer),
    "/generate": ("POST", partial(_answer_text, stream=False)),
    "/generate_stream": ("POST", partial(_answer_text, stream=True)),
}
