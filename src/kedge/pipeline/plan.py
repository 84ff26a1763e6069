"""Decides for each stage whether it runs or is skipped, and says why.

A stage's key is the digest of its name, spec, code, environment and inputs. A succeeded run with that key has made
what the stage would make; otherwise the reason is what differs from the stage's newest run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kedge.core.hashing import digest_of
from kedge.core.run import Run, RunStatus
from kedge.pipeline.types import Action, Circumstances, Look, Modules, Node, Plan, PlannedStep, Records

OUTSIDE = "outside"  # the entry of a run's environment for what its step read from outside the graph
_NAMED = 3  # at most so many differences are spelled out


class Planner:
    """Decides stage by stage; `forced` stages run whatever is known, `modules` tells what an earlier code digest was of."""

    def __init__(self, records: Records, look: Look, *, modules: Modules, forced: Collection[str] = ()) -> None:
        self._records = records
        self._look = look
        self._modules = modules
        self._forced = forced

    def decide(self, node: Node, inputs: Mapping[str, str]) -> tuple[PlannedStep, Circumstances]:
        """What happens to a stage whose inputs are known."""
        around = self._look(node.stage)
        key = key_of(node, around, inputs)
        known = None if node.name in self._forced else self._records.known(key)
        action = Action.SKIP if known else Action.RUN
        reason = "up to date" if known else self._why(node, around, inputs, key)
        step = node.stage.step.name
        planned = PlannedStep(
            stage=node.name, step=step, action=action, reason=reason, key=key, inputs=inputs, known=known
        )
        return planned, around

    def expect(self, node: Node, late: Sequence[str]) -> PlannedStep:
        """What is likely to happen to a stage that waits for others: its inputs are not known yet."""
        good = self._records.newest_good(node.name)
        if node.name in self._forced or good is None:
            action, reason = Action.RUN, "forced" if node.name in self._forced else "never run"
        else:
            changed = self._differences(node, self._look(node.stage), good.inputs, good)
            action, reason = Action.WAIT, changed or "runs if what comes from there differs"
        after = late[0] if len(late) == 1 else f"{', '.join(late[:-1])} and {late[-1]}"
        return PlannedStep(
            stage=node.name, step=node.stage.step.name, action=action, reason=f"{reason} (after {after})"
        )

    def _why(self, node: Node, around: Circumstances, inputs: Mapping[str, str], key: str) -> str:
        if node.name in self._forced:
            return "forced"
        last = self._records.newest(node.name)
        if last is None:
            return "never run"
        if last.key == key and last.status is not RunStatus.SUCCEEDED:
            told = {
                RunStatus.FAILED: "its last run failed",
                RunStatus.INTERRUPTED: "its last run was interrupted: it goes on from there",
                RunStatus.RUNNING: "its last run never ended",
            }
            return told[last.status]
        good = last if last.status is RunStatus.SUCCEEDED else self._records.newest_good(node.name)
        if good is None:
            return f"never finished; since the last try {self._differences(node, around, inputs, last)}"
        if good.key == key:
            return "an output is no longer there"
        return self._differences(node, around, inputs, good) or "the way keys are made has changed"

    def _differences(self, node: Node, around: Circumstances, inputs: Mapping[str, str], run: Run) -> str:
        parts = [
            _options(run.spec.name, run.spec.args, node.stage.spec.name, node.stage.spec.args),
            _inputs(run.inputs, inputs, node),
            _code(run.code, self._modules(run.code), around),
            _environment(run.environment, around.environment),
        ]
        return "; ".join(part for part in parts if part)


def plan(nodes: Sequence[Node], planner: Planner) -> Plan:
    """What would happen now. A stage after one that runs waits: it is skipped if that stage's output stays the same."""
    outputs: dict[str, Mapping[str, str]] = {}
    steps: list[PlannedStep] = []
    for node in nodes:
        late = [source.stage for source in node.sources.values() if source.stage not in outputs]
        if late:
            steps.append(planner.expect(node, tuple(dict.fromkeys(late))))
            continue
        planned, _ = planner.decide(node, resolve(node, outputs))
        if planned.known is not None:
            outputs[node.name] = planned.known.outputs
        steps.append(planned)
    return Plan(steps=tuple(steps))


def resolve(node: Node, outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The artifact on each input of a stage, from the outputs of the stages before it."""
    return {port: outputs[source.stage][source.port] for port, source in node.sources.items()}


def key_of(node: Node, around: Circumstances, inputs: Mapping[str, str]) -> str:
    """The digest of everything that decides what a stage makes."""
    return digest_of(
        {
            "stage": node.name,
            "spec": node.stage.spec.digest,
            "code": around.code,
            "environment": dict(around.environment),
            "inputs": dict(inputs),
        }
    )


def _options(name_before: str, before: Mapping[str, Any], name: str, now: Mapping[str, Any]) -> str:
    if name_before != name:
        return f"the step changed: {name_before} -> {name}"
    old, new = _flat(before), _flat(now)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    shown = [f"{key} {_value(old, key)} -> {_value(new, key)}" for key in changed]
    return f"options changed: {_some(shown)}" if changed else ""


def _inputs(before: Mapping[str, str], now: Mapping[str, str], node: Node) -> str:
    changed = [port for port in sorted({*before, *now}) if before.get(port) != now.get(port)]
    told = [
        f"{port} from {node.sources[port].stage}" if port in node.sources else f"{port} is gone" for port in changed
    ]
    return f"input changed: {_some(told)}" if changed else ""


def _code(before: str, old: Mapping[str, str], around: Circumstances) -> str:
    if before == around.code:
        return ""
    if not old:
        return "code changed"
    new = around.modules
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return f"code changed: {_some(changed)}"


def _environment(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    parts = []
    if OUTSIDE in changed:
        changed.remove(OUTSIDE)
        parts.append("what it reads from outside changed")
    if changed:
        shown = [f"{name} {before.get(name, 'absent')} -> {now.get(name, 'absent')}" for name in changed]
        parts.append(f"environment changed: {_some(shown)}")
    return "; ".join(parts)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            flat |= _flat(inner, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(inner) if isinstance(inner, tuple) else inner
    return flat


def _value(flat: Mapping[str, Any], key: str) -> str:
    text = repr(flat[key]) if key in flat else "unset"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _some(shown: Sequence[str]) -> str:
    rest = len(shown) - _NAMED
    return ", ".join(shown[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
