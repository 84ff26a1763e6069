"""What garbage collection takes, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest

from kedge.app import gc, models
from kedge.cli.main import main
from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Broken, Invalid, NotFound, Refused
from kedge.core.run import RunStatus, Worker
from kedge.pipeline.lock import hold as hold_lock
from kedge.pipeline.processes import this_process
from kedge.store.traces.open import open_sink
from kedge.testing.traces import make_trace

Yard = Any


def dead_worker() -> Worker:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return Worker(host=this_process().host, pid=process.pid, started=time.time())


def test_what_nothing_refers_to_goes_with_its_bytes(yard: Yard) -> None:
    garbage = yard.artifact("garbage")
    size = sum(blob.size for blob in yard.project.blobs.list())
    yard.age()
    collected = gc.collect(yard.project)
    assert [artifact.digest for artifact in collected.artifacts] == [garbage.digest]
    assert (collected.blobs, collected.bytes) == (3, size)
    assert list(yard.project.blobs.list()) == []


def test_a_file_that_a_kept_artifact_has_too_stays(yard: Yard) -> None:
    yard.artifact("garbage", shared=b"both have it")
    kept = yard.artifact("kept", shared=b"both have it")
    gc.hold(yard.project, kept.digest, "evidence")
    yard.age()
    assert gc.collect(yard.project).blobs == 3
    assert yard.recorded() == {kept.digest}
    assert yard.dangling() == []


def test_a_version_keeps_its_whole_line(yard: Yard) -> None:
    yard.line("first")
    yard.age()
    before = yard.recorded()
    assert gc.collect(yard.project).artifacts == ()
    assert yard.recorded() == before
    assert yard.orphans() == set()


def test_a_deleted_version_goes_with_its_line(yard: Yard) -> None:
    yard.line("first")
    second = yard.line("second")
    models.promote(yard.project, second.address, "candidate")
    models.delete(yard.project, "schemas@1")
    yard.age()
    kinds = sorted(str(artifact.kind) for artifact in gc.collect(yard.project).artifacts)
    assert kinds == ["bundle", "dataset", "model"]
    assert yard.dangling() == []


def test_an_endpoint_keeps_what_it_served_before(yard: Yard) -> None:
    yard.serve("candidate")
    first = yard.line("first")
    yard.line("second")
    models.delete(yard.project, first.address)
    yard.age()
    assert gc.collect(yard.project).artifacts == ()
    reasons = {kept.artifact.digest: kept.reason for kept in gc.plan(yard.project).kept}
    assert reasons[first.bundle] == "endpoint api (before its stable release)"


def test_the_newest_result_of_a_stage_is_kept(yard: Yard) -> None:
    yard.configure('[stages.data]\nstep = "dataset"\nsource = {name = "none"}\n')
    old, new = yard.artifact("old"), yard.artifact("new")
    for number, dataset in enumerate((old, new)):
        started = yard.project.clock.now() + timedelta(seconds=number)
        yard.run("data", {}, {"dataset": dataset}, started=started)
    yard.age()
    assert gc.collect(yard.project).artifacts == (old,)


def test_a_hold_ends(yard: Yard) -> None:
    artifact = yard.artifact("evidence")
    gc.hold(yard.project, artifact.digest[:20], "case 7")
    yard.age()
    assert gc.collect(yard.project).artifacts == ()
    gc.release(yard.project, artifact.digest)
    assert gc.collect(yard.project).artifacts == (artifact,)
    with pytest.raises(NotFound):
        gc.release(yard.project, artifact.digest)


def test_a_hold_needs_a_reason(yard: Yard) -> None:
    with pytest.raises(Invalid, match="needs a reason"):
        gc.hold(yard.project, yard.artifact("x").digest, "  ")


def test_new_blobs_wait_for_the_grace_period(yard: Yard) -> None:
    yard.project.blobs.put(b"a step that is about to record this")
    plan = gc.plan(yard.project)
    assert (plan.blobs, plan.young_blobs, plan.young_bytes) == (0, 1, 35)
    assert gc.collect(yard.project).blobs == 0
    yard.age(1800)
    assert gc.collect(yard.project).blobs == 0
    yard.age(3700)
    assert gc.collect(yard.project).blobs == 1


def test_no_grace_is_fine_while_nothing_runs(yard: Yard) -> None:
    yard.artifact("garbage")
    time.sleep(0.02)  # the file system's clock is a little coarse
    assert gc.collect(yard.project, grace=0).blobs == 3


def test_no_grace_is_refused_while_a_run_lives(yard: Yard) -> None:
    yard.run("train", {}, worker=this_process())
    with pytest.raises(Refused, match="run-0001 of stage train is alive"):
        gc.collect(yard.project, grace=0)
    with hold_lock(yard.project.state / "run.lock", now=yard.project.clock.now()), pytest.raises(Refused):
        gc.collect(yard.project, grace=10)
    with pytest.raises(Invalid):
        gc.collect(yard.project, grace=-1)


def test_a_run_whose_process_is_gone_holds_nothing_up(yard: Yard) -> None:
    dataset = yard.artifact("data", ArtifactKind.DATASET)
    dead = yard.run("train", {"dataset": dataset}, worker=dead_worker())
    yard.age()
    assert gc.collect(yard.project).artifacts == (dataset,)
    assert yard.project.ledger.runs.get(dead.id).status is RunStatus.INTERRUPTED


def test_a_living_run_keeps_its_inputs_and_all_that_was_written_since_it_began(yard: Yard) -> None:
    dataset = yard.artifact("data", ArtifactKind.DATASET)
    started = yard.project.clock.now() - timedelta(hours=5)
    key = "sha256:" + "7" * 64
    yard.run("train", {"dataset": dataset}, {}, key=key, started=started - timedelta(hours=3))
    yard.run("train", {"dataset": dataset}, worker=this_process(), key=key, started=started)
    written = yard.project.blobs.put(b"a part of a model")
    yard.age(7 * 3600)
    assert gc.collect(yard.project).blobs == 0, "an earlier attempt at the same began eight hours ago"
    yard.age(9 * 3600)
    assert gc.collect(yard.project).blobs == 1
    assert not yard.file(written).exists()
    assert yard.recorded() == {dataset.digest}


def test_what_is_behind_production_cannot_be_deleted(yard: Yard) -> None:
    version = yard.line("first")
    models.promote(yard.project, version.address, "production")
    for digest in yard.recorded():
        with pytest.raises(Refused, match=r"schemas@(production|candidate)"):
            gc.delete(yard.project, digest)
    with pytest.raises(Refused):
        models.delete(yard.project, version.address)
    with pytest.raises(Refused, match="cannot be deleted"):
        gc.delete(yard.project, "schemas@production")


def test_what_nothing_refers_to_can_be_deleted_by_name(yard: Yard) -> None:
    artifact = yard.artifact("garbage")
    assert gc.delete(yard.project, artifact.digest) == artifact
    assert yard.recorded() == set()
    with pytest.raises(NotFound):
        gc.delete(yard.project, artifact.digest)


def test_everything_is_audited(yard: Yard) -> None:
    garbage, other = yard.artifact("garbage"), yard.artifact("other")
    gc.hold(yard.project, garbage.digest, "wait")
    gc.release(yard.project, garbage.digest)
    gc.delete(yard.project, other.digest)
    yard.age()
    gc.collect(yard.project)
    gc.collect(yard.project)
    records = yard.project.ledger.audit.records()
    assert [record.action for record in records] == ["hold", "release hold", "delete", "gc"]
    assert records[-1].detail == {"artifacts": [garbage.digest]}


def test_the_plan_says_what_will_happen(yard: Yard) -> None:
    yard.line("first")
    yard.artifact("garbage")
    yard.project.blobs.put(b"orphan")
    yard.age()
    yard.project.blobs.put(b"young")
    before = yard.recorded()
    plan = gc.plan(yard.project)
    assert yard.recorded() == before
    collected = gc.collect(yard.project)
    assert (plan.artifacts, plan.blobs, plan.bytes) == (collected.artifacts, collected.blobs, collected.bytes)
    assert plan.kept_bytes + plan.young_bytes == sum(blob.size for blob in yard.project.blobs.list())
    assert all(kept.reason for kept in plan.kept)


def test_a_damaged_manifest_stops_everything(yard: Yard) -> None:
    kept = yard.artifact("kept")
    gc.hold(yard.project, kept.digest, "evidence")
    yard.project.blobs.put(b"orphan")
    yard.age()
    yard.file(kept.digest).unlink()
    with pytest.raises(Broken, match="nothing is reclaimed"):
        gc.collect(yard.project)
    assert len(list(yard.project.blobs.list())) == 3
    gc.release(yard.project, kept.digest)
    assert gc.collect(yard.project).blobs == 3


def test_folders_of_attempts_that_nothing_goes_on_with_go(yard: Yard) -> None:
    work = yard.project.state / "work"
    alive = yard.run("train", {}, worker=this_process(), started=yard.project.clock.now())
    for name in ("1" * 64, alive.key.removeprefix("sha256:")):
        (work / name).mkdir(parents=True)
        (work / name / "checkpoint").write_bytes(b"x")
        os.utime(work / name, times=(0, 0))
    (work / f"{'1' * 64}.log").write_text("it failed")
    (work / ("2" * 64)).mkdir()
    assert gc.plan(yard.project).workdirs == (str(work / ("1" * 64)),)
    gc.collect(yard.project)
    assert sorted(path.name for path in work.iterdir()) == sorted([alive.key.removeprefix("sha256:"), "2" * 64])


def test_old_traces_go_when_asked(yard: Yard) -> None:
    sink = open_sink(yard.project.config.store.traces)
    now = yard.project.clock.now().timestamp()
    sink.add(make_trace(1, at=now - 40 * 86400))
    sink.add(make_trace(2, at=now - 86400))
    sink.close()
    assert gc.collect(yard.project, traces_days=30).traces == 1
    assert yard.project.traces.count() == 1


def test_the_command_shows_reasons_and_bytes(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    version = yard.line("first")
    yard.artifact("garbage")
    yard.age()
    root = str(yard.project.root)
    assert main(["-C", root, "gc", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "schemas@candidate (schemas@1)" in shown
    assert "nothing refers to it" in shown
    assert "Would free" in shown
    assert main(["-C", root, "gc", "--dry-run", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["artifacts"]) == 1
    assert main(["-C", root, "gc", "delete", version.address]) == 3
    assert "schemas@candidate" in capsys.readouterr().err
    assert main(["-C", root, "gc"]) == 0
    assert capsys.readouterr().out.startswith("Freed")
    assert main(["-C", root, "gc", "hold", version.address, "case 7"]) == 0
    assert main(["-C", root, "gc", "release", version.address]) == 0
    assert yard.dangling() == []
