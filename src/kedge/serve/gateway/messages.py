"""Messages of a chat: what callers send, and how templates take them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from kedge.serve.gateway.errors import invalid

Text = str | None


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class Called(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function that was called; `arguments` is JSON."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call in an answer that is sent back."""

    id: str
    type: Literal["function"]
    function: Called


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message. `refusal`, `audio` and `function_call` are fields of answers sent back: only their absence is taken."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def plain(self) -> dict[str, Any]:
        """As chat templates take it: role and text, and of calls their names and arguments. 400 if it is not whole."""
        role = "system" if self.role == "developer" else self.role
        if self.content is None and not self.tool_calls:
            raise invalid("a message has no content", param="messages", code="missing_parameter")
        text = self.content
        plain: dict[str, Any] = {
            "role": role,
            "content": "".join(part.text for part in text) if isinstance(text, list) else text or "",
        }
        if self.tool_calls:
            _only(self.role, "assistant", "tool_calls")
            plain["tool_calls"] = [_call(call) for call in self.tool_calls]
        if self.tool_call_id is not None:
            _only(self.role, "tool", "tool_call_id")
            plain["tool_call_id"] = self.tool_call_id
        return plain


def _only(role: str, wanted: str, field: str) -> None:
    if role != wanted:
        raise invalid(f"only a message with the role {wanted} has {field}", param="messages", code="invalid_value")


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        said = "the arguments of a tool call are no JSON object"
        raise invalid(said, param="messages", code="invalid_value") from error
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}
