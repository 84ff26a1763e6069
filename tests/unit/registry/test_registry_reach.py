"""What is reached from what is in force, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kedge.core.evaluation import Outcome
from kedge.core.model import AliasMove, ModelVersion, RecordedVerdict
from kedge.core.release import Release, Role
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.registry.reach import Lineage, Reason, Standing, reach
from kedge.testing.clock import START
from kedge.testing.ledger.make import make_digest as d


def run(id: str, stage: str, inputs: Sequence[str] = (), outputs: Sequence[str] = (), **args: Any) -> Run:
    return Run(
        id=id,
        stage=stage,
        spec=Spec(name=stage, args=args),
        key=d(id),
        status=RunStatus.SUCCEEDED,
        started=START,
        inputs={name: d(name) for name in inputs},
        outputs={name: d(name) for name in outputs},
    )


def version(number: int, bundle: str = "bundle", **changes: Any) -> ModelVersion:
    facts = {"model": d("model"), "registered": START, "by": "user:ada"}
    return ModelVersion(name="schemas", version=number, bundle=d(bundle), **{**facts, **changes})


def alias(name: str, after: int) -> AliasMove:
    return AliasMove(model="schemas", alias=name, before=None, after=after, at=START, by="user:ada")


def release(bundle: str, number: int, role: Role = Role.STABLE) -> Release:
    return Release(
        id=number,
        endpoint="api",
        model="schemas",
        version=number,
        bundle=d(bundle),
        role=role,
        share=1.0,
        at=START,
        by="user:ada",
    )


def verdict(bundle: str, run: str = "") -> RecordedVerdict:
    return RecordedVerdict(
        id=d("verdict id"),
        gate=d("gate"),
        bundle=d(bundle),
        evaluation=d("evaluation"),
        dataset=d("test set"),
        outcome=Outcome.PASS,
        run=run,
        at=START,
        body="{}",
        signature="",
    )


def lineage(*runs: Run, verdicts: Sequence[RecordedVerdict] = (), bundles: dict[str, str] | None = None) -> Lineage:
    models = {d(bundle): d(model) for bundle, model in (bundles or {}).items()}
    return Lineage(
        producing=lambda artifact: [run for run in runs if artifact in run.outputs.values()],
        about=lambda bundle: [verdict for verdict in verdicts if verdict.bundle == bundle],
        run=lambda wanted: next((run for run in runs if run.id == wanted), None),
        model=lambda digest: models.get(digest, ""),
    )


LINE = (
    run("r1", "data", outputs=["dataset"]),
    run("r2", "tokenizer", inputs=["dataset"], outputs=["tokenizer"]),
    run("r3", "train", inputs=["dataset", "tokenizer"], outputs=["model"]),
    run("r4", "bundle", inputs=["model"], outputs=["bundle"]),
)


def test_nothing_in_force_reaches_nothing() -> None:
    assert reach(Standing(), lineage(*LINE)) == {}


def test_an_alias_reaches_back_to_the_dataset() -> None:
    reached = reach(Standing(versions=[version(1)], aliases=[alias("production", 1)]), lineage(*LINE))
    assert set(reached) == {d(name) for name in ("bundle", "model", "tokenizer", "dataset")}
    assert str(reached[d("bundle")]) == "schemas@production (schemas@1)"
    assert str(reached[d("dataset")]) == "dataset of run r3 (train), behind schemas@production (schemas@1)"


def test_a_version_without_an_alias_is_kept_too() -> None:
    reached = reach(Standing(versions=[version(1, card=d("card"))]), lineage(*LINE))
    assert {d("bundle"), d("model"), d("dataset"), d("card")} <= set(reached)
    assert reached[d("card")] == Reason(root="schemas@1")


def test_an_alias_is_named_before_a_version() -> None:
    standing = Standing(versions=[version(1), version(2, "other")], aliases=[alias("production", 2)])
    assert reach(standing, lineage(*LINE))[d("model")].root == "schemas@production (schemas@2)"


def test_what_its_registration_read_and_wrote_is_kept() -> None:
    registering = run("r9", "register", inputs=["bundle", "evaluation", "verdict"], outputs=["card"])
    reached = reach(Standing(versions=[version(1, run="r9")]), lineage(*LINE, registering))
    assert {d("evaluation"), d("verdict"), d("card")} <= set(reached)


def test_the_evidence_on_a_bundle_is_kept() -> None:
    gate = run("r6", "gate", inputs=["evaluation"], outputs=["verdict"])
    reached = reach(Standing(versions=[version(1)]), lineage(*LINE, gate, verdicts=[verdict("bundle", "r6")]))
    assert {d("evaluation"), d("test set"), d("verdict")} <= set(reached)


def test_a_bundle_made_by_hand_reaches_the_model_it_names() -> None:
    reached = reach(Standing(releases=[release("by hand", 1)]), lineage(*LINE, bundles={"by hand": "model"}))
    assert reached[d("model")] == Reason(root="endpoint api (stable)", link="the model in a bundle")
    assert d("dataset") in reached


def test_an_endpoint_keeps_what_it_serves_and_what_it_served_before() -> None:
    history = [release("one", 1), release("two", 2), release("two", 2), release("three", 3)]
    reached = reach(Standing(releases=history), lineage())
    assert set(reached) == {d("two"), d("three")}
    assert str(reached[d("two")]) == "endpoint api (before its stable release)"


def test_each_role_of_an_endpoint_counts_for_itself() -> None:
    history = [release("one", 1), release("two", 2, Role.CANARY), release("three", 3)]
    assert set(reach(Standing(releases=history), lineage())) == {d("one"), d("two"), d("three")}


def test_a_hold_keeps_what_it_was_made_from() -> None:
    reached = reach(Standing(holds={d("model"): "evidence"}), lineage(*LINE))
    assert set(reached) == {d("model"), d("tokenizer"), d("dataset")}
    assert str(reached[d("model")]) == "held: evidence"


def test_a_running_run_keeps_its_inputs_and_what_its_options_name() -> None:
    running = run("r5", "train", inputs=["dataset"], parent=d("base"), layers=[{"from": d("deep")}])
    reached = reach(Standing(running=[running]), lineage(*LINE))
    assert set(reached) == {d("dataset"), d("base"), d("deep")}
    assert reached[d("base")].root == "a pipeline that is running"


def test_the_newest_and_the_next_results_are_kept() -> None:
    standing = Standing(newest=[LINE[1]], planned=[LINE[0]])
    reached = reach(standing, lineage(*LINE))
    assert str(reached[d("tokenizer")]) == "tokenizer of run r2 (tokenizer), behind the newest result of its stage"
    assert d("model") not in reached


def test_two_runs_that_made_the_same_artifact_both_count() -> None:
    again = run("r7", "train", inputs=["other data"], outputs=["model"])
    reached = reach(Standing(holds={d("model"): "x"}), lineage(*LINE, again))
    assert {d("dataset"), d("other data")} <= set(reached)


def test_a_circle_ends() -> None:
    circle = (run("a", "x", inputs=["one"], outputs=["two"]), run("b", "y", inputs=["two"], outputs=["one"]))
    assert set(reach(Standing(holds={d("one"): "x"}), lineage(*circle))) == {d("one"), d("two")}
