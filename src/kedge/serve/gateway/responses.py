"""POST /v1/responses: text in, text or calls of tools out. Nothing is stored, so nothing before can be named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

from kedge.core.access import Key
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import CommonBody, Count, Temperature, TopP, Wish, read_body, wish_of
from kedge.serve.gateway.errors import invalid
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.formats import FlatFormat, schema_of
from kedge.serve.gateway.messages import Called, Message, TextPart, ToolCall
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.said import ResponseWriter
from kedge.serve.gateway.tools import Choice, Chosen, Function, Name, Tool, forced, offered
from kedge.serve.gateway.words import encode

ROUTE = "/v1/responses"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message. `annotations` and `logprobs` are those of answers sent back, and are empty."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: Annotated[list[Any], msgspec.Meta(max_length=0)] = []
    logprobs: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message, a call that a model made, or what came of one. `id` and `status` are those of answers sent back."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None

    def message(self) -> Message:
        """As a message of a chat. 400 if something is missing."""
        if self.type == "message":
            if self.role is None or self.content is None:
                raise _incomplete("a message has a role and a content")
            parts = self.content
            content = parts if isinstance(parts, str) else [TextPart(type="text", text=part.text) for part in parts]
            return Message(role=self.role, content=content)
        if self.call_id is None:
            raise _incomplete(f"a {self.type} has a call_id")
        if self.type == "function_call_output":
            return Message(role="tool", content=self.output or "", tool_call_id=self.call_id)
        called = Called(name=self.name or "", arguments=self.arguments or "")
        return Message(
            role="assistant", tool_calls=[ToolCall(id=self.call_id, type="function", function=called)], content=""
        )


class FlatTool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A function that can be called."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> Tool:
        """In the words of chats."""
        function = Function(
            name=self.name, description=self.description, parameters=self.parameters, strict=self.strict
        )
        return Tool(type="function", function=function)


class FlatChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tool_choice` that names a function."""

    type: Literal["function"]
    name: str


class TextOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`text`."""

    format: FlatFormat | None = None


class ResponseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. What follows `user` is known, and taken only at the values at which it changes nothing."""

    model: str
    input: str | Annotated[list[Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    text: TextOptions | None = None
    tools: Annotated[list[FlatTool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FlatChoice | None = None
    user: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    background: Any = None
    conversation: Any = None
    include: Any = None
    metadata: Any = None
    parallel_tool_calls: Any = None
    previous_response_id: Any = None
    reasoning: Any = None
    service_tier: Any = None
    store: Any = None
    stream_options: Any = None
    top_logprobs: Any = None
    truncation: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {
    "background": (False,),
    "conversation": (),
    "include": ([],),
    "metadata": ({},),
    "parallel_tool_calls": (True, False),
    "reasoning": ({},),
    "service_tier": ("auto", "default"),
    "stream_options": ({},),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
_decoder = msgspec.json.Decoder(ResponseBody)


async def respond(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Answer a text or a conversation."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    return await answer(gateway, exchange, key, asked_of(read_body(_decoder, data, NEUTRAL), gateway))


def asked_of(body: ResponseBody, gateway: Gateway) -> Asked:
    """What a body asks for. 400 for what cannot be."""
    for field, given in (("previous_response_id", body.previous_response_id), ("store", body.store or None)):
        if given is not None:
            said = (
                f"'{field}' is not supported by this endpoint: it stores no responses; send the conversation as 'input'"
            )
            raise invalid(said, param=field, code="unsupported_parameter")
    items = [Item(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    spoken = [Message(role="system", content=body.instructions)] if body.instructions else []
    messages = [message.plain() for message in [*spoken, *(item.message() for item in items)]]
    tools = [tool.tool() for tool in body.tools or ()]
    choice = body.tool_choice
    chosen = Choice(type="function", function=Chosen(choice.name)) if isinstance(choice, FlatChoice) else choice
    if chosen not in (None, "none", "auto") and not tools:
        raise invalid("'tool_choice' is only taken with 'tools'", param="tool_choice")
    schema = schema_of(body.text.format if body.text else None, param="text.format")
    call = forced(tools, chosen)
    if schema and call:
        raise invalid("'text.format' and a 'tool_choice' that forces a call exclude each other", param="tool_choice")
    shown = offered(tools, chosen)
    asked = (("schema", "text.format" if schema else "tool_choice", schema or call), ("tools", "tools", shown))
    needs = {word: field for word, field, given in asked if given}

    def wish(running: Running) -> Wish:
        common = CommonBody(
            model=body.model, stream=body.stream, temperature=body.temperature, top_p=body.top_p, user=body.user
        )
        made = wish_of(common, body.max_output_tokens, running.bundle.sampling, gateway.options.settings)
        return msgspec.structs.replace(made, schema=schema or call, tools=shown).checked(running, needs)

    names = frozenset(tool["function"]["name"] for tool in shown)
    return Asked(
        route=ROUTE,
        model=body.model,
        prompts=[messages],
        wish=wish,
        writer=partial(ResponseWriter, tools=names, shown=_shown(body)),
        content=encode(messages).decode(),
        sticky=body.user or "",
    )


def _shown(body: ResponseBody) -> dict[str, Any]:
    """What the response says again of the request."""
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": None,
        "store": False,
        "text": {"format": (body.text.format if body.text else None) or {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": body.tools or [],
        "truncation": "disabled",
        "user": body.user,
    }


def _incomplete(said: str) -> Exception:
    return invalid(said, param="input", code="missing_parameter")
