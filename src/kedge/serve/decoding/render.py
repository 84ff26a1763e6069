"""Turns a request into the text a model reads."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid
from kedge.core.generation import GenerationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the model reads. `special`: the tokenizer still adds its special tokens (a chat template wrote them).

    `literals` are signs in the text with what they stand for: text that looks like a special token and is none, because
    a caller wrote it and not the template.
    """

    text: str
    special: bool = True
    literals: Mapping[str, str] = field(default_factory=dict)


class Renderer:
    """The prompt and the chat template of one bundle. The template runs in a sandbox and cannot change what it reads.

    `tokens` are special tokens by role, for the template; `special` all of them, which no caller can write.
    """

    def __init__(self, bundle: Bundle, *, tokens: Mapping[str, str], special: Iterable[str] = ()) -> None:
        self._bundle = bundle
        self._tokens = dict(tokens)
        signs = {token: f"\ue000{secrets.token_hex(8)}\ue001" for token in special if token}
        self._signs = signs
        self._forged = re.compile(
            "|".join(re.escape(token) for token in sorted(signs, key=len, reverse=True)) or "(?!)"
        )
        self._template = _compile(bundle.chat_template) if bundle.chat_template else None

    def render(self, request: GenerationRequest) -> Rendered:
        """The text for a prompt, a row's input or chat messages; `Invalid` says what is wrong with the request."""
        given = (request.prompt, request.tokens, request.input, request.messages)
        if sum(part is not None for part in given) != 1:
            raise Invalid("a request has exactly one of prompt, tokens, input and messages", address=request.id)
        if request.prompt is not None:
            return Rendered(text=request.prompt)
        if request.tokens is not None:
            return Rendered(text="")
        if request.input is not None:
            return Rendered(text=self._bundle.fill(request.input))
        return self._chat(request.messages or (), request.tools)

    @property
    def takes_tools(self) -> bool:
        """Whether the chat template shows tools to the model."""
        return bool(re.search(r"\btools\b", self._bundle.chat_template))

    def _chat(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Rendered:
        literals: dict[str, str] = {}
        messages, tools = self._disarm(list(messages), literals), self._disarm(list(tools), literals)
        if self._template is None:
            asked = [message["content"] for message in messages if message.get("role") == "user"]
            if not asked:
                raise Invalid("there is no message of the user", hint="send a message with the role user")
            return Rendered(text=self._bundle.fill(asked[-1]), literals=literals)
        shown = {"tools": tools} if tools else {}
        try:
            text = self._template.render(messages=messages, add_generation_prompt=True, **shown, **self._tokens)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise Invalid(f"the chat template does not take these messages: {error}") from error
        return Rendered(text=text, special=False, literals=literals)

    def _disarm(self, part: Any, literals: dict[str, str]) -> Any:
        """The same with a sign in place of each special token that a caller wrote; `literals` gets the signs used."""
        if isinstance(part, str):
            if self._forged.search(part) is None:
                return part
            literals.update((self._signs[token], token) for token in self._forged.findall(part))
            return self._forged.sub(lambda match: self._signs[match[0]], part)
        if isinstance(part, Mapping):
            return {self._disarm(key, literals): self._disarm(value, literals) for key, value in part.items()}
        if isinstance(part, list):
            return [self._disarm(each, literals) for each in part]
        return part


def _compile(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    try:
        return environment.from_string(source)
    except jinja2.TemplateError as error:
        raise Invalid(f"the bundle's chat template cannot be read: {error}") from error


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
