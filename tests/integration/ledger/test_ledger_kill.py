"""What was acknowledged survives the death of the process that wrote it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kedge.store.ledger.open import open_ledger
from kedge.testing.ledger.audit import assert_whole

WRITER = """
import sys
from pathlib import Path
from kedge.core.run import Point, RunStatus
from kedge.store.ledger.open import open_ledger
from kedge.testing.ledger.audit import append
from kedge.testing.ledger.make import at, make_run

ledger = open_ledger(sys.argv[1], lock=Path(sys.argv[2]))
first = len(ledger.audit.records(limit=10**6)) + 1
for number in range(first, 10**6):
    name = f"run-{number:06}"
    with ledger.begin() as tx:
        tx.runs.start(make_run(name))
        tx.metrics.append([Point(run=name, name="loss", step=n, value=n, at=0.0) for n in range(20)])
        tx.runs.finish(name, RunStatus.SUCCEEDED, ended=at(1), outputs={"model": "sha256:x"})
        append(tx, subject=name)
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_writer_loses_no_acknowledged_record_and_leaves_no_half(
    fresh_url: str, tmp_path: Path, seed: int
) -> None:
    moments = random.Random(seed)
    lock = tmp_path / "lock"
    acknowledged = 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, fresh_url, str(lock)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())
        time.sleep(moments.uniform(0, 0.3))
        writer.kill()
        rest = writer.communicate(timeout=60)[0].split()
        acknowledged = max([acknowledged, *map(int, rest)])
    ledger = open_ledger(fresh_url, lock=lock)
    records = ledger.audit.records(limit=10**6)
    assert_whole(records)
    assert acknowledged <= len(records) <= acknowledged + 1
    made = ledger.runs.producing("sha256:x")
    assert sorted(run.id for run in made) == [record.subject for record in records]
    assert all(run.metrics == {"loss": 19.0} for run in made)
    assert len(ledger.metrics.history(made[-1].id, "loss")) == 20
    ledger.close()
