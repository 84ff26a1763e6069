"""Source digests, process identities, the lock, and what workers say."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import Broken, Conflict, Invalid
from kedge.core.evaluation import Outcome, Verdict
from kedge.core.step import Judge, Register, StepResult
from kedge.pipeline.events import Advanced, Noted, from_result, read_event, to_result, write_event
from kedge.pipeline.lock import hold
from kedge.pipeline.processes import is_alive, this_process
from kedge.pipeline.sources import Sources
from kedge.pipeline.types import Job
from kedge.pipeline.worker import read_job, write_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_package_is_every_module_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "sample_pkg" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "sample_pkg" / "__init__.py").touch()
    (inner / "deep.py").write_text("x = 1")
    (inner / "data.txt").write_text("no code")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(Sources().modules(["sample_pkg"])) == ["sample_pkg", "sample_pkg.inner.deep"]
    before = Sources().modules(["sample_pkg.inner.deep"])
    (inner / "deep.py").write_text("x = 2")
    assert Sources().modules(["sample_pkg.inner.deep"]) != before
    assert "sample_pkg" not in sys.modules


def test_a_table_beside_a_module_counts_as_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tabled_pkg").mkdir()
    (tmp_path / "tabled_pkg" / "__init__.py").touch()
    (tmp_path / "tabled_pkg" / "words.toml").write_text('stop = ["the"]')
    monkeypatch.syspath_prepend(str(tmp_path))
    before = Sources().modules(["tabled_pkg"])
    assert list(before) == ["tabled_pkg", "tabled_pkg.words.toml"]
    (tmp_path / "tabled_pkg" / "words.toml").write_text('stop = ["a"]')
    assert Sources().modules(["tabled_pkg"]) != before


def test_code_that_is_not_there_is_an_error() -> None:
    with pytest.raises(Invalid, match=r"no source code is found for 'kedge.nowhere'"):
        Sources().modules(["kedge.nowhere"])


def test_this_process_lives_and_its_namesake_does_not() -> None:
    own = this_process()
    assert is_alive(own)
    assert not is_alive(replace(own, started=own.started - 1000))


def test_a_process_that_has_ended_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pid = process.pid
    assert not is_alive(replace(this_process(), pid=pid))


def test_of_another_machine_nothing_is_claimed() -> None:
    assert is_alive(replace(this_process(), host="elsewhere", pid=1, started=0.0))


def test_a_held_lock_is_refused_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    told = f"process {os.getpid()} since 2026-01-01T00:00:00"
    with hold(path, now=NOW), pytest.raises(Conflict, match=told), hold(path, now=NOW):
        pass
    with hold(path, now=NOW):
        pass


def test_events_arrive_as_they_were_sent() -> None:
    stream = io.BytesIO()
    for event in (Advanced(3), Noted({"loss": 0.5})):
        write_event(stream, event)
    stream.seek(0)
    assert [read_event(stream), read_event(stream), read_event(stream)] == [Advanced(3), Noted({"loss": 0.5}), None]


def test_a_cut_frame_is_an_end_and_a_foreign_one_an_error() -> None:
    stream = io.BytesIO()
    write_event(stream, Advanced(3))
    assert read_event(io.BytesIO(stream.getvalue()[:-1])) is None
    with pytest.raises(Broken, match="not an event"):
        read_event(io.BytesIO(b"\0\0\0\2{}"))
    with pytest.raises(Broken, match="a frame of"):
        read_event(io.BytesIO(b"HTTP/1.1 200 OK"))


def test_a_result_survives_the_way_with_its_effects() -> None:
    verdict = Verdict(
        gate="sha256:g", bundle="sha256:b", evaluation="sha256:e", dataset="sha256:d", outcome=Outcome.PASS, findings=()
    )
    result = StepResult(
        outputs={"card": Artifact(digest="sha256:c", kind=ArtifactKind.REPORT, size=3)},
        metrics={"loss": 0.25},
        effects=(Judge(verdict=verdict), Register(model="m", bundle="sha256:b", weights="sha256:w", card="sha256:c")),
    )
    stream = io.BytesIO()
    write_event(stream, from_result(result))
    stream.seek(0)
    event = read_event(stream)
    assert event is not None
    assert to_result(event) == result  # type: ignore[arg-type]  # the event is the one just written


def test_a_metric_that_is_not_a_number_survives_the_way() -> None:
    stream = io.BytesIO()
    write_event(stream, from_result(StepResult(outputs={}, metrics={"loss": math.nan})))
    stream.seek(0)
    assert math.isnan(to_result(read_event(stream)).metrics["loss"])  # type: ignore[arg-type]  # as above


def test_a_job_survives_the_way(tmp_path: Path) -> None:
    job = Job(
        stage="train",
        run="r1",
        work="a:b",
        kind="a:C",
        options={"steps": 1},
        inputs={"dataset": Artifact(digest="sha256:d", kind=ArtifactKind.DATASET, size=1)},
        root=tmp_path,
        workdir=tmp_path / "work",
        opener="a:open",
        url="file:///x",
        cache=tmp_path / "cache",
        path=("a", "b"),
        facts={"runs": [{"stage": "data"}]},
    )
    assert read_job(write_job(job)) == job
