"""How responses are written: items of output, and the events that build them up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kedge.core.generation import TokenChoice
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.errors import ApiError, Header
from kedge.serve.gateway.exchange import JSON
from kedge.serve.gateway.reply import Head, Said, Usage
from kedge.serve.gateway.tools import Call, calls_in, cut_at_call, may_be_call
from kedge.serve.gateway.words import encode

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter:
    """Writes one response. `tools` are the names that count as calls, `shown` what is said again of the request."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish, *, tools: frozenset[str], shown: Mapping[str, Any]) -> None:
        issued = head.issued
        self._trace = issued.trace
        self._tools = tools
        self._receipt = {"receipt": issued.receipt, "bundle": issued.bundle, "trace": issued.trace}
        self._base = {
            "id": f"resp_{issued.trace}",
            "object": "response",
            "created_at": head.created,
            "model": head.model,
            "temperature": wish.sampling.temperature,
            "top_p": wish.sampling.top_p,
            **shown,
        }
        self._number = 0
        self._text = ""
        self._held = ""
        self._passing = not tools
        self._opened = False
        self._finish = "stop"

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        text, calls = calls_in(said[0].text, self._tools) if self._tools else (said[0].text, [])
        return encode(self._response(self._output(text, calls), said[0].finish, usage))

    def opening(self) -> bytes:
        """That it has begun."""
        begun = {**self._base, "status": "in_progress", "output": [], "error": None, "usage": None}
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def piece(self, place: int, text: str, tokens: Sequence[TokenChoice]) -> bytes:
        """More of the text. What may become a call is held back."""
        if self._tools:
            text = self._pass_on(text)
        return self._say(text) if text else b""

    def finish(self, place: int, finish: str, *, last: bool) -> bytes:
        """Kept for the end."""
        self._finish = finish
        return b""

    def closing(self, usage: Usage) -> bytes:
        """What was held back, the end of each item, and the response as a whole with its receipt."""
        text, calls = calls_in(self._held, self._tools) if self._held else ("", [])
        events = self._say(text) if text or not calls else b""
        output = self._output(self._text, calls, message=self._opened)
        if self._opened:
            part = output[0]["content"][0]
            at = {"item_id": output[0]["id"], "output_index": 0, "content_index": 0}
            events += self._event("response.output_text.done", **at, text=self._text, logprobs=[])
            events += self._event("response.content_part.done", **at, part=part)
            events += self._event("response.output_item.done", output_index=0, item=output[0])
        for i, item in enumerate(output):
            if item["type"] == "function_call":
                events += b"".join(self._called(i, item))
        response = self._response(output, self._finish, usage)
        return events + self._event(f"response.{response['status']}", response=response)

    def broken(self, error: ApiError) -> bytes:
        """The error, in the words of responses and of chats at once."""
        said = {"message": error.message, "code": error.code or None, "param": error.param or None}
        return self._event("error", **said, error={**said, "type": error.type})

    def _say(self, text: str) -> bytes:
        """A piece of the message, which it opens if it is the first."""
        events = b""
        at = {"item_id": f"msg_{self._trace}", "output_index": 0, "content_index": 0}
        if not self._opened:
            self._opened = True
            item = {"id": at["item_id"], "type": "message", "status": "in_progress", "role": "assistant", "content": []}
            events += self._event("response.output_item.added", output_index=0, item=item)
            events += self._event("response.content_part.added", **at, part=_part(""))
        self._text += text
        return events + (self._event("response.output_text.delta", **at, delta=text, logprobs=[]) if text else b"")

    def _called(self, index: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        at = {"item_id": item["id"], "output_index": index}
        opened = {**item, "arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=index, item=opened)
        yield self._event("response.function_call_arguments.delta", **at, delta=item["arguments"])
        said = {"arguments": item["arguments"], "name": item["name"]}
        yield self._event("response.function_call_arguments.done", **at, **said)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _output(self, text: str, calls: Sequence[Call], *, message: bool = False) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if text or message or not calls:
            content = [_part(text)]
            name = f"msg_{self._trace}"
            items.append(
                {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": content}
            )
        for i, call in enumerate(calls):
            named = {"id": f"fc_{self._trace}{i:02x}", "call_id": f"call_{self._trace[:22]}{i:02x}"}
            said = {"name": call.name, "arguments": call.arguments, "status": "completed"}
            items.append({"type": "function_call", **named, **said})
        return items

    def _response(self, output: Sequence[Mapping[str, Any]], finish: str, usage: Usage) -> dict[str, Any]:
        why = _INCOMPLETE.get(finish)
        used = {
            "input_tokens": usage.read,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage.made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.read + usage.made,
        }
        return {
            **self._base,
            "status": "incomplete" if why else "completed",
            "error": None,
            "incomplete_details": {"reason": why} if why else None,
            "output": output,
            "usage": used,
            "kedge": self._receipt,
        }

    def _event(self, kind: str, **facts: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        said = encode({"type": kind, "sequence_number": number, **facts})
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), said)

    def _pass_on(self, text: str) -> str:
        """What of the text so far is certain to be no call."""
        held = self._held + text
        if not self._passing and may_be_call(held):
            self._held = held
            return ""
        self._passing = True
        cut = cut_at_call(held)
        self._held = held[cut:]
        return held[:cut]


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
