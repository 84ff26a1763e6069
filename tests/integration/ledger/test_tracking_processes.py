"""What becomes of values when programs end, one way or another."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kedge
from kedge.core.ledger import RunQuery
from kedge.core.run import Run, RunStatus

PROLOGUE = """
import os, sys, time, threading, multiprocessing
import kedge
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kedge.toml").write_text('[project]\nname = "probe"\n')
    return tmp_path


def start(folder: Path, script: str) -> subprocess.Popen[str]:
    """Run a program in the project's folder."""
    (folder / "My Script.py").write_text(PROLOGUE + script)
    command = [sys.executable, "My Script.py"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end: exit code, output, errors."""
    try:
        output, errors = program.communicate(timeout=60)
    finally:
        program.kill()
    return program.returncode, output, errors


def only_run(folder: Path) -> Run:
    """The one run of the project."""
    project = kedge.open(folder)
    (run,) = project.ledger.runs.search(RunQuery())
    project.close()
    return run


def count(folder: Path, name: str = "loss") -> int:
    """How many values the one run has."""
    project = kedge.open(folder)
    points = project.ledger.metrics.history(only_run(folder).id, name)
    project.close()
    assert [point.step for point in points] == list(range(len(points)))
    return len(points)


def test_a_program_that_ends_loses_nothing_and_its_run_is_finished(folder: Path) -> None:
    program = start(folder, "for n in range(5000): kedge.log_metric('loss', n)")
    assert end(program) == (0, "", "")
    assert count(folder) == 5000
    run = only_run(folder)
    assert (run.stage, run.status, run.metrics) == ("my-script", RunStatus.SUCCEEDED, {"loss": 4999.0})


def test_a_program_that_fails_loses_nothing_and_its_run_has_failed(folder: Path) -> None:
    program = start(folder, "for n in range(5000): kedge.log_metric('loss', n)\nraise ValueError('bad batch')")
    assert end(program)[0] == 1
    assert count(folder) == 5000
    run = only_run(folder)
    assert (run.status, run.error) == (RunStatus.FAILED, "ValueError: bad batch")


@pytest.mark.parametrize("block", ["with kedge.start_run('probe'):\n    log()", "log()"])
def test_a_program_that_is_interrupted_loses_nothing(folder: Path, block: str) -> None:
    program = start(
        folder,
        f"""
done = 0
def log():
    global done
    while True:
        kedge.log_metric('loss', done)
        done += 1
        if done == 1000: print('going', flush=True)
try:
    {block.replace(chr(10), chr(10) + "    ")}
finally:
    print(done, flush=True)
""",
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "going\n"
    program.send_signal(signal.SIGINT)
    code, output, _ = end(program)
    assert code == -signal.SIGINT
    assert int(output) <= count(folder) <= int(output) + 1  # the last one may have been taken as the signal came
    run = only_run(folder)
    assert (run.status, run.error) == (RunStatus.INTERRUPTED, "stopped by the user")


def test_what_was_flushed_survives_kill_minus_nine(folder: Path) -> None:
    script = """
n = 0
while True:
    for _ in range(100):
        kedge.log_metric('loss', n)
        n += 1
    kedge.flush()
    print(n, flush=True)
"""
    program = start(folder, script)
    assert program.stdout is not None
    for _ in range(20):
        acknowledged = int(program.stdout.readline())
    program.kill()
    acknowledged = max([acknowledged, *map(int, end(program)[1].split())])
    assert count(folder) >= acknowledged >= 2000
    assert only_run(folder).status is RunStatus.RUNNING


def test_what_was_logged_a_second_ago_survives_kill_minus_nine(folder: Path) -> None:
    script = (
        "kedge.start_run('probe')\nkedge.log_metric('loss', 1)\ntime.sleep(1)\nprint('now', flush=True)\ntime.sleep(60)"
    )
    program = start(folder, script)
    assert program.stdout is not None
    assert program.stdout.readline() == "now\n"
    program.kill()
    end(program)
    assert count(folder) == 1


def test_forked_children_log_into_the_same_run_and_leave_it_to_the_parent(folder: Path) -> None:
    program = start(
        folder,
        """
def child(number):
    for n in range(1000):
        kedge.log_metric(f'child{number}', n)

with kedge.start_run('probe') as run:
    for n in range(1000): run.log_metric('loss', n)
    context = multiprocessing.get_context('fork')
    children = [context.Process(target=child, args=(number,)) for number in range(3)]
    for each in children: each.start()
    for n in range(1000): run.log_metric('loss', n + 1000)
    for each in children: each.join()
    plain = os.fork()
    if plain == 0:
        for n in range(1000): kedge.log_metric('plain', n)
        sys.exit(0)
    os.waitpid(plain, 0)
    assert all(each.exitcode == 0 for each in children)
    for n in range(1000): run.log_metric('loss', n + 2000)
""",
    )
    assert end(program) == (0, "", "")
    assert count(folder) == 3000
    assert [count(folder, name) for name in ("child0", "child1", "child2", "plain")] == [1000] * 4
    assert only_run(folder).status is RunStatus.SUCCEEDED


def test_threads_of_a_program_lose_nothing(folder: Path) -> None:
    program = start(
        folder,
        """
def work(number):
    for n in range(2000): kedge.log_metric(f'm{number}', n)

threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for each in threads: each.start()
""",
    )
    assert end(program) == (0, "", "")
    assert [count(folder, f"m{number}") for number in range(4)] == [2000] * 4
