"""Connects the inputs of stages to the outputs of others, and puts the stages in the order in which they can run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kedge.core.artifact import ArtifactKind
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.pipeline.types import Node, Source, Stage


def order(stages: Sequence[Stage]) -> list[Node]:
    """Every stage after those it takes inputs from, otherwise as written. `Invalid` for a missing input or a circle."""
    nodes = {stage.name: Node(stage=stage, sources=_connect(stage, stages)) for stage in stages}
    ordered: list[Node] = []
    placed: set[str] = set()

    def place(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise Invalid(
                f"the stages go round in a circle: {circle}", address=f"stages.{name}", hint="break it at one input"
            )
        if name in placed:
            return
        for source in nodes[name].sources.values():
            place(source.stage, (*path, name))
        placed.add(name)
        ordered.append(nodes[name])

    for stage in stages:
        place(stage.name, ())
    return ordered


def select(nodes: Sequence[Node], names: Collection[str]) -> list[Node]:
    """The named stages and all that they depend on; all of them when no name is given. `Invalid` for an unknown one."""
    by_name = {node.name: node for node in nodes}
    for name in names:
        if name not in by_name:
            raise Invalid(f"no stage is called {name!r}", address=name, hint=nearest(name, by_name))
    wanted: set[str] = set()
    waiting = list(names or by_name)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(source.stage for source in by_name[name].sources.values())
    return [node for node in nodes if node.name in wanted]


def _connect(stage: Stage, stages: Sequence[Stage]) -> Mapping[str, Source]:
    by_name = {each.name: each for each in stages}
    ports = {port.rstrip("?"): kind for port, kind in stage.step.inputs.items()}
    for port in stage.given:
        if port not in ports:
            raise Invalid(
                f"stage {stage.name!r}: step {stage.step.name!r} has no input {port!r}",
                address=f"stages.{stage.name}.inputs.{port}",
                hint=nearest(port, ports),
            )
    earlier = list(by_name)[: list(by_name).index(stage.name)]
    sources: dict[str, Source] = {}
    for port, kind in ports.items():
        if port in stage.given:
            sources[port] = _named(stage, port, kind, by_name)
            continue
        found = next((name for name in reversed(earlier) if by_name[name].step.outputs.get(port) == kind), None)
        if found is not None:
            sources[port] = Source(stage=found, port=port)
        elif f"{port}?" not in stage.step.inputs:
            raise Invalid(
                f"stage {stage.name!r} needs a {kind} as its input {port!r}, and no stage before it makes one",
                address=f"stages.{stage.name}",
                hint=f'add a stage with an output {port!r} before it, or name one: inputs = {{ {port} = "stage.port" }}',
            )
    return sources


def _named(stage: Stage, port: str, kind: ArtifactKind, by_name: Mapping[str, Stage]) -> Source:
    """The source that the stage names: `stage` (its port of that name, or its only one of that kind) or `stage.port`."""
    name, _, output = stage.given[port].partition(".")
    address = f"stages.{stage.name}.inputs.{port}"
    if name not in by_name:
        raise Invalid(
            f"stage {stage.name!r}: no stage is called {name!r}", address=address, hint=nearest(name, by_name)
        )
    outputs = by_name[name].step.outputs
    if not output:
        alike = [each for each, made in outputs.items() if made == kind]
        output = port if port in outputs else alike[0] if len(alike) == 1 else ""
    if outputs.get(output) != kind:
        made = ", ".join(f"{each} ({what})" for each, what in outputs.items()) or "nothing"
        raise Invalid(
            f"stage {stage.name!r}: its input {port!r} is a {kind}, and {stage.given[port]!r} is not",
            address=address,
            hint=f"{name} makes: {made}",
        )
    return Source(stage=name, port=output)
