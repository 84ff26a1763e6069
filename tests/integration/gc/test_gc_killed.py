"""Collections that are killed, and collections beside others who register and promote."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.app import gc, models
from kedge.app.project import open_project
from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Conflict, KedgeError, NotFound
from kedge.core.manifest import write_artifact
from kedge.core.run import RunStatus
from kedge.pipeline.processes import this_process

Yard = Any

COLLECT = """
import os, signal, sys
from kedge.app import gc
from kedge.app.project import open_project
from kedge.store.blobs.local import LocalBlobs

countdown = int(sys.argv[2])
delete = LocalBlobs.delete

def deadly(self, digest, *, before=None):
    global countdown
    if countdown == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    countdown -= 1
    return delete(self, digest, before=before)

LocalBlobs.delete = deadly
print("ready", flush=True)
gc.collect(open_project(sys.argv[1]), grace=3600)
"""


def collector(root: Path, deletions: int) -> subprocess.Popen[bytes]:
    """A process that collects, and kills itself before it deletes one blob more than this."""
    return subprocess.Popen([sys.executable, "-c", COLLECT, str(root), str(deletions)], stdout=subprocess.PIPE)


def litter(yard: Yard, names: range) -> None:
    for number in names:
        dataset = yard.artifact(f"data {number}", ArtifactKind.DATASET, shared=b"shared by all")
        model = yard.artifact(f"model {number}", ArtifactKind.MODEL, shared=b"shared by all")
        yard.run("train", {"dataset": dataset}, {"model": model})


@pytest.mark.parametrize("deletions", [0, 1, 7])
def test_a_kill_between_two_deletions_leaves_a_whole_store(yard: Yard, deletions: int) -> None:
    version = yard.line("kept")
    kept = yard.recorded()
    litter(yard, range(3))
    yard.age()
    process = collector(yard.project.root, deletions)
    assert process.wait(60) == -signal.SIGKILL
    assert process.stdout is not None
    process.stdout.close()
    assert yard.recorded() == kept, "the ledger forgot first"
    assert yard.dangling() == []
    assert len(yard.orphans()) == 19 - deletions
    assert gc.collect(yard.project).blobs == 19 - deletions, "what was left over is found the next time"
    assert yard.orphans() == set()
    assert models.show(yard.project, version.address).version == version


def test_a_kill_at_any_moment_leaves_a_whole_store(yard: Yard) -> None:
    yard.line("kept")
    kept = yard.recorded()
    moments = random.Random(3)
    for attempt in range(6):
        litter(yard, range(attempt * 4, attempt * 4 + 4))
        yard.age()
        process = collector(yard.project.root, -1)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert yard.dangling() == []
        assert kept <= yard.recorded()
    gc.collect(yard.project)
    assert yard.recorded() == kept
    assert yard.orphans() == set()


def test_registering_and_promoting_beside_collections_leaves_nothing_dangling(yard: Yard) -> None:
    bundles = [yard.bundle(yard.artifact(f"model {n}", ArtifactKind.MODEL)).digest for n in range(12)]
    yard.age()
    stop = threading.Event()
    failures: list[BaseException] = []

    def collect() -> None:
        project = open_project(yard.project.root)
        while not stop.is_set():
            try:
                gc.collect(project)
            except KedgeError as error:
                failures.append(error)
        project.close()

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    registered, gone = [], 0
    for bundle in bundles:
        try:
            registered.append(models.register(yard.project, "schemas", bundle))
            models.promote(yard.project, registered[-1].address, "production")
        except (NotFound, Conflict):
            gone += 1  # a collection was first
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(registered) + gone == len(bundles)
    gc.collect(yard.project)
    assert {version.bundle for version in registered} <= yard.recorded()
    assert yard.dangling() == []


def test_a_run_that_writes_what_is_being_collected_keeps_it(yard: Yard) -> None:
    """The same bytes are garbage of an old run and the output of one that is about to finish."""
    files = {"weights": b"the same bytes"}
    old = write_artifact(yard.project.blobs, ArtifactKind.MODEL, {}, files)
    yard.project.ledger.artifacts.add(old, at=yard.project.clock.now())
    yard.age()
    run = yard.run("train", {}, worker=this_process())
    again = write_artifact(yard.project.blobs, ArtifactKind.MODEL, {}, files)
    assert gc.collect(yard.project).artifacts == (old,)
    with yard.project.ledger.begin() as tx:
        tx.artifacts.add(again, at=yard.project.clock.now())
        ended = yard.project.clock.now()
        tx.runs.finish(run.id, RunStatus.SUCCEEDED, ended=ended, outputs={"model": again.digest})
    assert yard.recorded() == {again.digest}
    assert yard.dangling() == []
