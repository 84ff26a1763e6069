"""Step `gate`: judges an evaluation by rules that were set before it began."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evidence, Gate, Rule
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """The rules, all of which must hold, and what a promotion requires besides.

    `{ metric = "exact_match", at_least = 0.55 }` holds when the whole interval is at or above 0.55; with
    `at_least = "baselines"` when the model is better than each baseline by more than `margin`, case by case; with
    `at_least = "schemas@production"` or `"schemas@3"` when it is better than that version on the same cases. A negative
    `margin` is how much worse it may be. `slice` looks at some of the cases, as `"args>=2"`.

    `requires` names evidence: `evaluation`, `card`, `signature`, `approval`. `approvals` people other than the version's
    author must approve it. `against` is filled in when the gate runs: what each version named by a rule then is.
    """

    rules: tuple[Rule, ...]
    requires: tuple[Evidence, ...] = ()
    approvals: int = 0
    against: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rules:
            raise Invalid("a gate without rules lets everything through", hint="give it at least one rule")
        if self.approvals < 0:
            raise Invalid(f"a gate cannot require {self.approvals} approvals", hint="approvals = 2 wants two people")
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
    return Gate(name=stage, rules=options.rules, requires=options.requires, approvals=options.approvals)


def refer(options: GateOptions, look: Callable[[str], tuple[str, ...]]) -> GateOptions:
    """The options with what each version that a rule names now is."""
    named = dict.fromkeys(rule.version for rule in options.rules if rule.version)
    return replace(options, against={name: look(name) for name in named})


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
    refer=refer,
    summary="Judge an evaluation by the rules set before it: pass, fail or undecided.",
)
