"""Turns a request into the text a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid
from kedge.core.generation import GenerationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the model reads. `special`: the tokenizer still adds its special tokens (a chat template wrote them)."""

    text: str
    special: bool = True


class Renderer:
    """The prompt and the chat template of one bundle. The template runs in a sandbox and cannot change what it reads."""

    def __init__(self, bundle: Bundle, *, tokens: Mapping[str, str]) -> None:
        self._bundle = bundle
        self._tokens = dict(tokens)
        self._template = _compile(bundle.chat_template) if bundle.chat_template else None

    def render(self, request: GenerationRequest) -> Rendered:
        """The text for a prompt, a row's input or chat messages; `Invalid` says what is wrong with the request."""
        given = [part for part in (request.prompt, request.input, request.messages) if part is not None]
        if len(given) != 1:
            raise Invalid("a request has exactly one of prompt, input and messages", address=request.id)
        if request.prompt is not None:
            return Rendered(text=request.prompt)
        if request.input is not None:
            return Rendered(text=self._bundle.fill(request.input))
        return self._chat(request.messages or ())

    def _chat(self, messages: Sequence[Mapping[str, str]]) -> Rendered:
        if self._template is None:
            asked = [message["content"] for message in messages if message.get("role") == "user"]
            if not asked:
                raise Invalid("there is no message of the user", hint="send a message with the role user")
            return Rendered(text=self._bundle.fill(asked[-1]))
        try:
            text = self._template.render(messages=list(messages), add_generation_prompt=True, **self._tokens)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise Invalid(f"the chat template does not take these messages: {error}") from error
        return Rendered(text=text, special=False)


def _compile(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    try:
        return environment.from_string(source)
    except jinja2.TemplateError as error:
        raise Invalid(f"the bundle's chat template cannot be read: {error}") from error


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
