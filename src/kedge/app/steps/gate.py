"""Step `gate`: judges an evaluation by rules that were set before it began."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid
from kedge.core.evaluation import Gate, Rule
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """The rules, all of which must hold.

    `{ metric = "exact_match", at_least = 0.55 }` holds when the whole interval is at or above 0.55; with
    `at_least = "baselines"` when the model is better than each baseline by more than `margin`, case by case. `slice`
    looks at some of the cases, as `"args>=2"`.
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise Invalid("a gate without rules lets everything through", hint="give it at least one rule")
        for number, rule in enumerate(self.rules, 1):
            if rule.at_least is None and rule.at_most is None:
                raise Invalid(
                    f"rule {number} ({rule.metric}) sets no bound",
                    hint='write at_least = 0.55, at_least = "baselines" or at_most = 20.0',
                )
            if isinstance(rule.at_least, str) and rule.at_most is not None:
                raise Invalid(f"rule {number} ({rule.metric}) mixes a comparison with a bound", hint="write two rules")


def gate(options: GateOptions, stage: str) -> Gate:
    """The gate that a stage's options set."""
    return Gate(name=stage, rules=options.rules)


STEP = Step(
    name="gate",
    options=GateOptions,
    work="kedge.app.work.gate:work",
    inputs={
        "evaluation": ArtifactKind.REPORT,
        "dataset": ArtifactKind.DATASET,
        "bundle": ArtifactKind.BUNDLE,
    },
    outputs={"verdict": ArtifactKind.REPORT},
    code=(
        "kedge.app.work.gate",
        "kedge.evaluate.gate",
        "kedge.evaluate.needed",
        "kedge.evaluate.report",
        "kedge.evaluate.say",
        "kedge.statistics",
    ),
    packages=("numpy", "scipy"),
    gate=gate,
    summary="Judge an evaluation by the rules set before it: pass, fail or undecided.",
)
