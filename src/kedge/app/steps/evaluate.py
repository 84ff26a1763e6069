"""Step `evaluate`: scores a bundle, or a server, case by case on held-out rows, with baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Sampling
from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.spec import Spec
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """A server that speaks the OpenAI API, to be evaluated in place of a bundle.

    `url` is the API's base, `key` a reference as `env:NAME`, `api` is `chat` or `completions`. At most `concurrency`
    requests are under way; each is made `tries` times before it fails. `extra` goes into every request. `revision` tells
    two states of one server apart: what was answered under another is not used.
    """

    url: str
    model: str
    key: str = ""
    api: str = "chat"
    concurrency: int = 8
    tries: int = 5
    timeout: float = 120.0
    sampling: Sampling = field(default_factory=Sampling)
    extra: Mapping[str, Any] = field(default_factory=dict)
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What is asked, how it is scored, and what it is compared with.

    `cases` rows of the split are chosen by their ids, so that the same dataset gives the same cases. `prompt` makes the
    question of a row: a text with `{input}` and columns in it. `scorers`, `baselines` and `perturb` are names of the
    catalogues, or tables as `{ name = "numeric", tolerance = 0.01 }`. `slices` are columns of the rows (counts become 0,
    1, 2, 3, 4+ and >=2) or comparisons such as `"args>=3"`.

    `shots` are numbers of training rows shown before the question: `zero_shot` and `few_shot_4` stand among the
    baselines. They are asked of the base model where there is one (then 0 and 4 unless said otherwise), else of the
    bundle. `perturb` asks the model again with changed inputs. `seed` chooses examples and changes.
    """

    split: Split = Split.TEST
    cases: int = 1000
    scorers: tuple[str | Mapping[str, Any], ...] = ("exact_match",)
    baselines: tuple[str | Mapping[str, Any], ...] = ("most_common",)
    slices: tuple[str, ...] = ()
    prompt: str = "{input}"
    shots: tuple[int, ...] | None = None
    perturb: tuple[str | Mapping[str, Any], ...] = ()
    seed: int = 0
    remote: RemoteOptions | None = None

    def __post_init__(self) -> None:
        if self.cases < 1:
            raise Invalid("an evaluation needs at least one case", hint="cases = 1000")
        if not self.scorers:
            raise Invalid("an evaluation without scorers says nothing", hint='scorers = ["exact_match"]')
        if any(number < 0 for number in self.shots or ()) or len(set(self.shots or ())) < len(self.shots or ()):
            raise Invalid("shots are different numbers of examples", hint="shots = [0, 4]")
        for given in (*self.scorers, *self.baselines, *self.perturb):
            read_spec(given)


def read_spec(given: str | Mapping[str, Any]) -> Spec:
    """A name, or a table with a name and arguments, beside it or under `args`. `Invalid` without a name."""
    if isinstance(given, str):
        return Spec(name=given)
    name, args = given.get("name"), given.get("args", {})
    if not isinstance(name, str) or not isinstance(args, Mapping):
        raise Invalid(f"not a name with arguments: {dict(given)}", hint='{ name = "numeric", tolerance = 0.01 }')
    return Spec(name=name, args={**args, **{key: value for key, value in given.items() if key not in ("name", "args")}})


STEP = Step(
    name="evaluate",
    options=EvaluateOptions,
    work="kedge.app.work.evaluate:work",
    inputs={"bundle?": ArtifactKind.BUNDLE, "dataset": ArtifactKind.DATASET},
    outputs={"evaluation": ArtifactKind.REPORT},
    code=(
        "kedge.app.work.answerers",
        "kedge.app.work.evaluate",
        "kedge.app.work.makers",
        *(
            f"kedge.evaluate.{name}"
            for name in ("answer", "baselines", "choose", "corpus", "perturbations", "pose", "remote", "report", "run")
        ),
        "kedge.evaluate.scorers",
        "kedge.evaluate.slices",
        "kedge.evaluate.types",
        "kedge.serve.decoding",
        "kedge.serve.engines",
        "kedge.statistics.intervals",
        "kedge.statistics.paired",
    ),
    packages=(
        "numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "sacrebleu", "rouge-score", "jsonschema",
    ),
    summary="Score a bundle or a server on held-out rows, whole and by slice, beside its baselines.",
)  # fmt: skip
