"""Recognises chats, instructions and preferences, and makes an input, a target and tags of them.

A chat keeps its turns in the tag `messages`, with the roles of the OpenAI API; its input is what comes before the last
answer, its target that answer. What was rejected in a preference is in the tag `rejected`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kedge.data.strict import BadLine

ROLES: Final = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function": "tool",
    "function_response": "tool",
    "observation": "tool",
    "function_call": "assistant",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """What an example says. `used` are the fields it was made of; the others are tags of the row."""

    input: str
    target: str
    used: frozenset[str]
    tags: Mapping[str, Any] = field(default_factory=dict)


def recognise(values: Mapping[str, Any]) -> Shaped | None:
    """What fields with known names say; None if they are of no shape that is known. `BadLine` if they break it."""
    if "chosen" in values and "rejected" in values:
        return _preference(values)
    for name in ("messages", "conversations", "conversation"):
        if isinstance(values.get(name), list):
            return _chat(values[name], frozenset({name}))
    if _is_chat(values.get("prompt")) and "completion" in values:
        completion = values["completion"]
        turns = completion if _is_chat(completion) else [{"role": "assistant", "content": completion}]
        return _chat([*values["prompt"], *turns], frozenset({"prompt", "completion"}))
    if isinstance(values.get("instruction"), str) and "output" in values:
        return _instruction(values)
    return None


def unify(turns: Sequence[Any]) -> list[dict[str, Any]]:
    """Turns with the roles and names of the OpenAI API. `BadLine`."""
    made = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise BadLine("shape", f"a turn must be an object, not {type(turn).__name__}")
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str) or role not in ROLES:
            raise BadLine("shape", f"a turn has the role {str(role)[:40]!r}; known are {', '.join(sorted(ROLES))}")
        content = turn.get("content", turn.get("value"))
        if content is None and not turn.get("tool_calls"):
            raise BadLine("shape", "a turn has no content")
        others = {key: value for key, value in turn.items() if key not in ("role", "from", "content", "value")}
        made.append({"role": ROLES[role], "content": content, **others})
    return made


def said(content: Any) -> str:
    """The text of a turn: that of its parts, if it has several. `BadLine`."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    raise BadLine("shape", f"a turn's content must be a text or parts, not {type(content).__name__}")


def _chat(turns: Sequence[Any], used: frozenset[str]) -> Shaped:
    messages = unify(turns)
    if not messages:
        raise BadLine("shape", "a chat without a turn")
    answered = messages[-1]["role"] == "assistant"
    before = messages[:-1] if answered else messages
    target = said(messages[-1]["content"]) if answered else ""
    return Shaped(_told(before), target, used, {"messages": messages})


def _told(messages: Sequence[Mapping[str, Any]]) -> str:
    """A single question as it is; several turns each under its role."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return said(messages[0]["content"])
    return "\n\n".join(f"{message['role']}: {said(message['content'])}" for message in messages)


def _instruction(values: Mapping[str, Any]) -> Shaped:
    """Alpaca: what to do, perhaps with what to do it to."""
    given = values.get("input") or ""
    output = values["output"]
    if not isinstance(given, str) or not isinstance(output, str):
        raise BadLine("shape", "instruction, input and output must be texts")
    text = f"{values['instruction']}\n\n{given}" if given.strip() else values["instruction"]
    return Shaped(text, output, frozenset({"instruction", "input", "output"}))


def _preference(values: Mapping[str, Any]) -> Shaped:
    chosen, rejected, prompt = values["chosen"], values["rejected"], values.get("prompt", "")
    used = frozenset({"chosen", "rejected", "prompt"})
    if _is_chat(chosen) and _is_chat(rejected):
        first, second = unify(chosen), unify(rejected)
        asked = unify(prompt) if _is_chat(prompt) else [{"role": "user", "content": prompt}] if prompt else []
        shared = _shared(first, second)
        before = [*asked, *(first[:shared] if first[: len(asked)] != asked else first[len(asked) : shared])]
        messages = [*before, *first[shared:]]
        tags = {"messages": messages, "rejected": _told_answers(second[shared:])}
        return Shaped(_told(before), _told_answers(first[shared:]), used, tags)
    if not (isinstance(chosen, str) and isinstance(rejected, str) and isinstance(prompt, str)):
        raise BadLine("shape", "chosen and rejected must both be texts or both chats")
    if not prompt:
        cut = _common(chosen, rejected)
        prompt, chosen, rejected = chosen[:cut], chosen[cut:], rejected[cut:]
    return Shaped(prompt, chosen, used, {"rejected": rejected})


def _told_answers(messages: Sequence[Mapping[str, Any]]) -> str:
    return said(messages[0]["content"]) if len(messages) == 1 else _told(messages)


def _shared(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many turns two chats begin with alike."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def _common(first: str, second: str) -> int:
    """Where two dialogues written as one text part: after the last mark of a turn that they share."""
    alike = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    mark = first.rfind("\n\nAssistant:", 0, alike)
    return mark + len("\n\nAssistant:") if mark >= 0 else 0


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)
