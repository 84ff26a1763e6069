"""When a step fails or a process dies, the record is clear and the next run goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.pipeline.conftest import LINE, Drive, Open, units

from kedge.app import runs
from kedge.core.errors import Conflict, Failed
from kedge.core.run import RunStatus
from kedge.pipeline.executors.local import LocalExecutor

PATIENCE = 30.0


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ("raise", "stage 'second' failed: ZeroDivisionError: one over nothing", "in go_wrong"),
        ("refuse", "stage 'second' failed: the rows are no good", "bring better rows"),
        ("exit", "stage 'second' failed: its worker left with exit code 3 and no result", "last words of the worker"),
        ("SIGKILL", "stage 'second' failed: its worker was ended by SIGKILL", "last words of the worker"),
        ("SIGSEGV", "stage 'second' failed: its worker was ended by SIGSEGV", "last words of the worker"),
    ],
)
def test_a_failing_stage_says_why_and_leaves_the_others_on_record(
    open_tiny: Open, wrong: str, message: str, hint: str
) -> None:
    project = open_tiny()
    with pytest.raises(Failed) as failed:
        runs.run(project, sets=[f"second.wrong={wrong}"])
    assert failed.value.message.startswith(message)
    assert hint in failed.value.hint
    assert [(run.stage, run.status) for run in runs.listing(project)] == [
        ("second", RunStatus.FAILED),
        ("first", RunStatus.SUCCEEDED),
    ]
    assert runs.show(project, "second").run.error == failed.value.message


def test_a_failed_stage_is_tried_again(open_tiny: Open) -> None:
    project = open_tiny(LINE.replace("value = 10\n", 'value = 10\nwrong = "raise"\n'))
    with pytest.raises(Failed):
        runs.run(project)
    assert runs.explain(project).steps[1].reason == "its last run failed"
    open_tiny().close()
    fixed = runs.run(open_tiny())
    assert [str(outcome.state) for outcome in fixed.stages] == ["skipped", "succeeded", "succeeded"]


def test_the_whole_output_of_a_failed_worker_stays(open_tiny: Open, tmp_path: Path) -> None:
    with pytest.raises(Failed):
        runs.run(open_tiny(), sets=["first.wrong=raise"])
    (log,) = (tmp_path / ".kedge" / "work").glob("*.log")
    assert "a line on stdout does no harm" in log.read_text()
    assert "ZeroDivisionError: one over nothing" in log.read_text()


def test_a_killed_worker_fails_its_stage_and_the_next_run_goes_on(
    open_tiny: Open, drive: Drive, tmp_path: Path
) -> None:
    project = open_tiny(LINE.replace("value = 10\n", "value = 10\nunits = 40\nseconds = 0.05\n"))
    process = drive()
    wait_until(lambda: "second 5" in units(tmp_path))
    (worker,) = children(process.pid)
    os.kill(worker, signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == Failed.exit_code
    assert json.loads(out)["error"] == "failed"
    assert [run.status for run in runs.listing(project)] == [RunStatus.FAILED, RunStatus.SUCCEEDED]
    result = runs.run(project)
    assert [str(outcome.state) for outcome in result.stages] == ["skipped", "succeeded", "succeeded"]
    assert len([line for line in units(tmp_path) if line.startswith("second")]) == 40


def test_a_killed_tree_leaves_nothing_running_and_the_next_run_ends_the_same(
    open_tiny: Open, drive: Drive, tmp_path: Path
) -> None:
    text = LINE.replace("value = 10\n", "value = 10\nunits = 40\nseconds = 0.05\n")
    project = open_tiny(text)
    process = drive()
    wait_until(lambda: "second 5" in units(tmp_path))
    (worker,) = children(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: gone(worker))
    assert runs.show(project, "second").run.status is RunStatus.RUNNING
    result = runs.run(project)
    interrupted = [run for run in runs.listing(project) if run.status is RunStatus.INTERRUPTED]
    assert [(run.stage, run.error) for run in interrupted] == [("second", "its process is gone")]
    assert len([line for line in units(tmp_path) if line.startswith("second")]) == 40
    (tmp_path / ".kedge").rename(tmp_path / "kept")
    (tmp_path / "units.log").unlink()
    assert runs.run(open_tiny(text)).outputs == result.outputs


def test_ctrl_c_stops_the_worker_and_marks_the_run(open_tiny: Open, drive: Drive, tmp_path: Path) -> None:
    project = open_tiny(LINE.replace("value = 1\n", "value = 1\nunits = 400\nseconds = 0.05\n"))
    process = drive()
    wait_until(lambda: "first 1" in units(tmp_path))
    (worker,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert gone(worker)
    run = runs.show(project, "first").run
    assert (run.status, run.error) == (RunStatus.INTERRUPTED, "stopped by the user")
    assert runs.explain(project).steps[0].reason == "its last run was interrupted: it goes on from there"


def test_a_crash_between_blobs_and_record_is_made_good(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    project = open_tiny()

    class Crash(BaseException):
        """Power goes."""

    done = LocalExecutor.execute

    def execute_then_crash(*given: object) -> None:
        done(*given)  # type: ignore[arg-type]  # passed through as it came
        raise Crash

    monkeypatch.setattr(LocalExecutor, "execute", execute_then_crash)
    with pytest.raises(Crash):
        runs.run(project)
    monkeypatch.setattr(LocalExecutor, "execute", done)
    assert runs.show(project, "first").run.outputs == {}
    written = {info.digest for info in project.blobs.list()}
    result = runs.run(project)
    assert [str(outcome.state) for outcome in result.stages] == ["succeeded"] * 3
    assert result.outputs["first"]["report"] in written


def test_a_second_run_at_the_same_time_is_told_who_runs(open_tiny: Open, drive: Drive, tmp_path: Path) -> None:
    project = open_tiny(LINE.replace("value = 1\n", "value = 1\nunits = 400\nseconds = 0.05\n"))
    process = drive()
    wait_until(lambda: bool(units(tmp_path)))
    with pytest.raises(Conflict) as conflict:
        runs.run(project)
    assert f"process {process.pid} since" in conflict.value.message


def test_of_many_started_at_once_one_runs_and_all_agree(open_tiny: Open, drive: Drive, tmp_path: Path) -> None:
    open_tiny()
    processes: list[subprocess.Popen[str]] = [drive() for _ in range(4)]
    said = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    outcomes = {process.returncode for process in processes}
    assert outcomes <= {0, Conflict.exit_code}
    assert 0 in outcomes
    assert len({json.dumps(each["outputs"]) for each in said if "outputs" in each}) == 1
    assert len(units(tmp_path)) == 6
