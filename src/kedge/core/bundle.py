"""All that decides an answer, under one digest."""

from __future__ import annotations

from dataclasses import dataclass, field

from kedge.core.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen unless the caller says otherwise. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a release is made of. The weights and tokenizer files are layers of the bundle's own manifest.

    `model` is the digest of the model artifact the layers come from.
    `prompt` turns a row's input into what the model reads: the text with `{input}` in it.
    `chat_template` is Jinja over `messages`, rendered in a sandbox ("" = the last user message through `prompt`).
    `engine` names an engine of the catalogue and its flags (dtype, quantisation).
    `export` is the digest of the model's export whose layers the bundle has too ("" for none).
    """

    model: str
    prompt: str = "{input}"
    chat_template: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    engine: Spec = field(default_factory=lambda: Spec(name="transformers"))
    guards: tuple[Spec, ...] = ()
    export: str = ""

    def fill(self, input: str) -> str:
        """What the model reads for a row's input. Other braces in the prompt stay as they are."""
        return self.prompt.replace("{input}", input)
