"""Step `upstream`: a model that somebody else serves, as something that can be bound, evaluated and released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """Where the model is asked, what it is called there, and a reference to the key: `env:NAME` or `file:PATH`.

    `api`, `context`, `retries`, `extra`, `can` and `stream` are those of the engine `openai`. `revision` is what its maker calls this
    very model, if anything: who serves it may change it without a word, and no digest can tell.
    """

    url: str
    model: str
    key: str = ""
    api: Literal["chat", "completions"] = "chat"
    context: int = 0
    retries: int = 2
    extra: Mapping[str, Any] = field(default_factory=dict)
    can: tuple[str, ...] = ()
    stream: Literal["asked", "always"] = "asked"
    revision: str = ""

    def __post_init__(self) -> None:
        if self.key and not self.key.startswith(("env:", "file:")):
            raise Invalid("the key must be a reference, not the value itself", hint="write env:NAME or file:PATH")


STEP = Step(
    name="upstream",
    options=UpstreamOptions,
    work="kedge.app.work.upstream:work",
    outputs={"model": ArtifactKind.MODEL},
    code=("kedge.app.work.upstream",),
    summary="Name a model that a server of the OpenAI API serves.",
)
