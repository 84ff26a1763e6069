"""Has guards read what was asked, before anything else sees it."""

from __future__ import annotations

from typing import Any

import msgspec

from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.errors import ApiError, invalid
from kedge.serve.gateway.reply import Asked, Prompt
from kedge.serve.guards.watch import Minutes, Watch


def screen(watch: Watch, asked: Asked, wish: Wish, minutes: Minutes) -> Asked:
    """What was asked, as it is past the guards: what they mask is not in the prompts, nor in what the trace keeps.

    400 with code `content_filter` if one of them lets it not pass, or cannot look into it.
    """
    if watch.outbound and wish.logprobs is not None:
        raise invalid("'logprobs' is not supported behind guards", param="logprobs", code="unsupported_parameter")
    if not watch.inbound:
        return asked
    prompts = [_read(watch, prompt, minutes) for prompt in asked.prompts]
    if all(ours is theirs for ours, theirs in zip(prompts, asked.prompts, strict=True)):
        return asked
    content = prompts[0] if len(prompts) == 1 else prompts
    text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
    return msgspec.structs.replace(asked, prompts=prompts, content=text)


def _read(watch: Watch, prompt: Prompt, minutes: Minutes) -> Prompt:
    if isinstance(prompt, str):
        return _pass(watch, prompt, minutes)
    messages: list[Any] = []
    for message in prompt:
        if isinstance(message, int):
            raise invalid("a prompt of token ids cannot be guarded: send text", param="prompt", code="content_filter")
        text = message.get("content")
        passed = _pass(watch, text, minutes) if isinstance(text, str) and text else text
        messages.append(message if passed is text else {**message, "content": passed})
    return prompt if all(ours is theirs for ours, theirs in zip(messages, prompt, strict=True)) else messages


def _pass(watch: Watch, text: str, minutes: Minutes) -> str:
    ruling = watch.read(text, minutes)
    if ruling.blocked:
        raise ApiError(400, f"the prompt was not let in: {ruling.blocked}", code="content_filter", param="prompt")
    return text if ruling.text == text else ruling.text
