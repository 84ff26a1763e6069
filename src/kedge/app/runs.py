"""Runs: make them (`run`), say what would be made (`explain`), find them (`search`, `listing`) and look at one (`show`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any

from kedge.app.aliases import referred
from kedge.app.project import Project
from kedge.app.records import CodeMemory, LedgerRecords
from kedge.config import Config
from kedge.core.errors import Invalid, NotFound
from kedge.core.hashing import digest_of
from kedge.core.ledger import RunQuery
from kedge.core.ports import Progress, Silent
from kedge.core.run import Point, Run
from kedge.core.spec import Spec, to_plain
from kedge.pipeline.circumstances import Surroundings
from kedge.pipeline.execute import Site, execute
from kedge.pipeline.lock import hold
from kedge.pipeline.order import order, select
from kedge.pipeline.plan import Planner, plan
from kedge.pipeline.types import Circumstances, Executor, Node, PipelineResult, Plan, PlannedStep, Stage
from kedge.plugins import catalogue, find_versions

__all__ = ["PipelineResult", "Plan", "RunView", "explain", "facts", "listing", "run", "run_one", "search", "show"]

SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A project's stages, ready to be planned."""

    nodes: tuple[Node, ...]
    planner: Planner
    memory: CodeMemory


@dataclass(frozen=True, slots=True)
class Settled:
    """Overrides with which there may be nothing left to do, as they have made this artifact. They name the same files."""

    sets: Sequence[str]
    artifact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run with every value of its metrics, by step."""

    run: Run
    curves: Mapping[str, tuple[Point, ...]]


def run(
    project: Project,
    *,
    stages: Sequence[str] = (),
    sets: Sequence[str] = (),
    settled: Settled | None = None,
    force: bool = False,
    executor: str = "local",
    progress: Progress = SILENT,
) -> PipelineResult:
    """Run the stages (all, or the named ones and what they depend on) that are not up to date.

    `sets` are `table.key=value` overrides for this time; `force` runs the named stages (or all) whatever is known.
    What is `settled` already is taken instead, if all of it is up to date.
    `Failed` at the first stage that fails; `Conflict` while another process runs the pipeline of this project.
    """
    with hold(project.state / "run.lock", now=project.clock.now()), closing(LedgerRecords(project)) as records:
        records.close_dead()
        around = Surroundings(project.root, find_versions)
        line = _line(project, records, around, stages=stages, sets=settled.sets if settled else sets, force=force)
        if settled and not _is_settled(line, settled):
            line = _line(project, records, around, stages=stages, sets=sets, force=force)
        return execute(line.nodes, line.planner, records, _site(project, line, executor), progress)


def run_one(
    project: Project, stage: Stage, inputs: Mapping[str, str], *, force: bool = False, progress: Progress = SILENT
) -> PipelineResult:
    """Run a stage that the project file does not name, on artifacts that are on record; skipped when it is known.

    `Failed` when it fails; `Conflict` while another process does the very same.
    """
    locks = project.state / "cache" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / digest_of([stage.name, stage.spec.digest, dict(inputs)]).removeprefix("sha256:")[:32]
    with hold(lock, now=project.clock.now()), closing(LedgerRecords(project)) as records:
        records.close_dead()
        memory = CodeMemory(project.state / "cache" / "code")
        look = Surroundings(project.root, find_versions).look
        forced = {stage.name} if force else set()
        planner = _Fed(records, look, modules=memory.modules, forced=forced)
        planner.inputs = inputs
        line = _Line(nodes=(Node(stage=stage, sources={}),), planner=planner, memory=memory)
        return execute(line.nodes, planner, records, _site(project, line, "local"), progress)


class _Fed(Planner):
    """Decides about a stage whose inputs are given, and made by no stage."""

    inputs: Mapping[str, str] = {}

    def decide(self, node: Node, inputs: Mapping[str, str]) -> tuple[PlannedStep, Circumstances]:
        """What happens to the stage on the inputs that it is given."""
        return super().decide(node, {**inputs, **self.inputs})


def explain(project: Project, *, stages: Sequence[str] = (), sets: Sequence[str] = (), force: bool = False) -> Plan:
    """What `run` would do now, and why. Nothing is changed."""
    with closing(LedgerRecords(project)) as records:
        around = Surroundings(project.root, find_versions)
        line = _line(project, records, around, stages=stages, sets=sets, force=force)
        return plan(line.nodes, line.planner)


def search(project: Project, query: RunQuery) -> list[Run]:
    """Runs by filter and order. `Invalid` names the part of the filter that cannot be read."""
    return project.ledger.runs.search(query)


def listing(project: Project, *, limit: int = 20) -> list[Run]:
    """The newest runs first."""
    return search(project, RunQuery(limit=limit))


def show(project: Project, name: str) -> RunView:
    """One run by id, by the beginning of its id, or the newest of a stage, with its curves."""
    ledger = project.ledger
    if name in project.config.stages:
        found = search(project, RunQuery(where=f"stage = '{name}'", limit=1))
        if not found:
            raise NotFound(f"stage {name!r} has not run yet", address=name, hint=f"kedge run {name}")
        shown = found[0]
    else:
        shown = ledger.runs.get(name)
    curves = {metric: tuple(ledger.metrics.history(shown.id, metric)) for metric in ledger.metrics.names(shown.id)}
    return RunView(run=shown, curves=curves)


def _is_settled(line: _Line, settled: Settled) -> bool:
    found = plan(line.nodes, line.planner)
    made = {digest for step in found.steps if step.known for digest in step.known.outputs.values()}
    return found.idle and settled.artifact in made


def _line(
    project: Project,
    records: LedgerRecords,
    around: Surroundings,
    *,
    stages: Sequence[str],
    sets: Sequence[str],
    force: bool,
) -> _Line:
    config = project.config.with_sets(sets)
    nodes = select(_order(config, [_stage(project, config, name) for name in config.stages]), stages)
    if not nodes:
        raise Invalid(f"{config.file.name} has no stages", hint="add one, as [stages.data], or see kedge init")
    memory = CodeMemory(project.state / "cache" / "code")
    forced = (set(stages) or {node.name for node in nodes}) if force else set()

    def look(stage: Stage) -> Circumstances:
        try:
            return around.look(stage)
        except Invalid as error:
            where = config.place(("stages", stage.name))
            raise Invalid(f"{where}: stage {stage.name!r}: {error.message}", hint=error.hint) from error

    planner = Planner(records, look, modules=memory.modules, forced=forced)
    return _Line(nodes=tuple(nodes), planner=planner, memory=memory)


def _order(config: Config, stages: Sequence[Stage]) -> list[Node]:
    try:
        return order(stages)
    except Invalid as error:
        where = config.place(tuple(error.address.split(".")))
        raise Invalid(f"{where}: {error.message}", address=error.address, hint=error.hint) from error


def _stage(project: Project, config: Config, name: str) -> Stage:
    """A stage with its step and its options, all checked before anything runs."""
    settings = config.stages[name]
    try:
        step = project.steps.get(settings.step)
    except NotFound as error:
        where = config.place(("stages", name, "step"))
        raise Invalid(f"{where}: {error.message}", address=f"stages.{name}.step", hint=error.hint) from error
    options = config.options(name, step.options)
    if step.refer is not None:
        options = step.refer(options, lambda address: referred(project.ledger, address))
    spec = Spec(name=step.name, args=to_plain(options))
    return Stage(name=name, step=step, options=options, spec=spec, given=settings.inputs)


def _site(project: Project, line: _Line, executor: str) -> Site:
    @cache
    def chosen() -> Executor:
        made: Executor = catalogue("executor", "kedge.executors").get(executor)()
        return made

    return Site(
        root=project.root,
        work=project.state / "work",
        opener="kedge.store.blobs.open:open_blobs",
        url=project.config.store.blobs,
        cache=project.state / "cache" / "blobs",
        setup="kedge.log:configure",
        executor=chosen,
        before=lambda: _set_gates(project, line.nodes),
        facts=lambda inputs: facts(project, inputs),
        noted=line.memory.remember,
        clock=project.clock,
    )


def _set_gates(project: Project, nodes: Sequence[Node]) -> None:
    """Store the rules of every gate before anything runs: a gate set after the fact is no gate."""
    for node in nodes:
        step = node.stage.step
        if step.gate is None:
            continue
        gate = step.gate(node.stage.options, node.name)
        try:
            project.ledger.verdicts.gate(gate.digest)
        except NotFound:
            with project.recorded("gate.set", gate.name, gate=gate.digest) as tx:
                tx.verdicts.set_gate(gate, at=project.clock.now())


def facts(project: Project, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What is on record of how a stage's inputs came to be: the runs behind them, the oldest first.

    Nothing that differs between two runs of one key is told (ids, times, speeds), so that what a step writes of it
    has the same digest wherever and whenever it is made.
    """
    found: dict[str, Run] = {}

    def follow(artifact: str) -> None:
        made = project.ledger.runs.producing(artifact)
        if made and made[-1].key not in found:
            for inner in made[-1].inputs.values():
                follow(inner)
            found[made[-1].key] = made[-1]

    for artifact in inputs.values():
        follow(artifact)
    return {"runs": [_told(made) for made in found.values()]}


def _told(made: Run) -> dict[str, Any]:
    return {
        "stage": made.stage,
        "step": made.spec.name,
        "args": dict(made.spec.args),
        "key": made.key,
        "code": made.code,
        "environment": dict(made.environment),
        "inputs": dict(made.inputs),
        "outputs": dict(made.outputs),
    }
