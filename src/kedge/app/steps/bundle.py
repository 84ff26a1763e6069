"""Step `bundle`: binds all that decides an answer under one digest."""

from __future__ import annotations

from dataclasses import dataclass, field

from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Sampling
from kedge.core.errors import Invalid
from kedge.core.spec import Spec
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOptions:
    """What a release adds to the weights: prompt, chat template, sampling, engine and guards.

    `prompt` turns an input into what the model reads, with `{input}` in it; "" takes the one it was trained with.
    The engine `auto` is openvino where a stage `export` comes before, openai for the model of a stage `upstream`, and
    transformers otherwise; the bundle names the one it is.
    """

    prompt: str = ""
    chat_template: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    engine: Spec = field(default_factory=lambda: Spec(name="auto"))
    guards: tuple[Spec, ...] = ()

    def __post_init__(self) -> None:
        if self.prompt and "{input}" not in self.prompt:
            raise Invalid("the prompt has no {input} in it", hint="put {input} where the input belongs")


STEP = Step(
    name="bundle",
    options=BundleOptions,
    work="kedge.app.work.bundle:work",
    inputs={"model": ArtifactKind.MODEL, "export?": ArtifactKind.MODEL},
    outputs={"bundle": ArtifactKind.BUNDLE},
    code=("kedge.app.work.bundle", "kedge.registry.bundle"),
    summary="Bind weights, tokenizer, prompt, sampling and engine under one digest.",
)
