"""Runs of the user's own code."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.core.errors import Conflict, Invalid, NotFound
from kedge.core.ledger import RunQuery
from kedge.core.run import RunStatus


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kedge.Project]:
    (tmp_path / "kedge.toml").write_text('[project]\nname = "probe"\n')
    monkeypatch.chdir(tmp_path)
    opened = kedge.open()
    yield opened
    run = kedge.current_run()
    while run is not None:
        run.finish()
        run = kedge.current_run()
    opened.close()


class Alone:
    """An array or tensor, as far as `item` goes."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def item(self) -> Any:
        if len(self.values) != 1:
            raise ValueError("only arrays of size 1")
        return self.values[0]


def test_a_run_keeps_its_parameters_and_values(project: kedge.Project) -> None:
    with kedge.start_run("probe", params={"lr": 0.001, "sizes": (1, 2), "where": Path("data")}) as run:
        for step, value in enumerate((0.9, 0.5, 0.3)):
            run.log_metric("loss", value, step=step)
    kept = project.ledger.runs.get(run.id)
    assert (kept.stage, kept.status) == ("probe", RunStatus.SUCCEEDED)
    assert kept.params == {"lr": 0.001, "sizes": [1, 2], "where": "data"}
    assert kept.metrics == {"loss": 0.3}
    assert [point.value for point in project.ledger.metrics.history(run.id, "loss")] == [0.9, 0.5, 0.3]


def test_values_without_a_step_follow_each_other(project: kedge.Project) -> None:
    with kedge.start_run("probe") as run:
        run.log_metric("loss", 1.0)
        run.log_metric("loss", 2.0, step=10)
        run.log_metrics({"loss": 3.0, "accuracy": 0.5})
    assert [point.step for point in project.ledger.metrics.history(run.id, "loss")] == [0, 10, 11]


def test_module_functions_log_into_the_current_run(project: kedge.Project) -> None:
    with kedge.start_run("probe") as run:
        assert kedge.current_run() is run
        kedge.log_metric("loss", 0.5, step=3)
        kedge.log_metrics({"accuracy": 1}, step=3)
        kedge.log_params({"seed": 1})
        kedge.flush()
        kept = project.ledger.runs.get(run.id)
        assert (kept.metrics, kept.params) == ({"accuracy": 1.0, "loss": 0.5}, {"seed": 1})
        assert kept.status is RunStatus.RUNNING
    assert kedge.current_run() is None


def test_a_run_is_started_on_first_use(project: kedge.Project) -> None:
    kedge.log_metric("loss", 0.5)
    run = kedge.current_run()
    assert run is not None
    kedge.log_metric("loss", 0.4)
    run.finish()
    assert len(project.ledger.runs.search(RunQuery())) == 1
    assert len(project.ledger.metrics.history(run.id, "loss")) == 2


def test_an_inner_run_gives_way_to_the_outer_one_when_it_ends(project: kedge.Project) -> None:
    with kedge.start_run("outer") as outer:
        with kedge.start_run("inner"):
            kedge.log_metric("loss", 1)
        kedge.log_metric("loss", 2)
    assert project.ledger.runs.get(outer.id).metrics == {"loss": 2.0}


def test_a_thread_logs_into_the_run_of_its_program(project: kedge.Project) -> None:
    with kedge.start_run("probe") as run:
        thread = threading.Thread(target=kedge.log_metric, args=("loss", 0.5))
        thread.start()
        thread.join()
    assert project.ledger.runs.get(run.id).metrics == {"loss": 0.5}


def test_a_thread_with_a_run_of_its_own_keeps_to_it(project: kedge.Project) -> None:
    ids: dict[int, str] = {}
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with kedge.start_run(f"worker-{number}") as run:
            ids[number] = run.id
            barrier.wait(10)
            for _ in range(100):
                kedge.log_metric("number", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, id_ in ids.items():
        values = [point.value for point in project.ledger.metrics.history(id_, "number")]
        assert values == [float(number)] * 100


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("bad batch"), RunStatus.FAILED, "ValueError: bad batch"),
        (KeyboardInterrupt(), RunStatus.INTERRUPTED, "stopped by the user"),
        (SystemExit(1), RunStatus.FAILED, "SystemExit: 1"),
        (SystemExit(0), RunStatus.SUCCEEDED, ""),
    ],
)
def test_a_run_ends_as_its_block_was_left(
    project: kedge.Project, error: BaseException, status: RunStatus, text: str
) -> None:
    run = kedge.start_run("probe")
    run.log_metric("loss", 0.5)
    with pytest.raises(type(error)), run:
        raise error
    kept = project.ledger.runs.get(run.id)
    assert (kept.status, kept.error, kept.metrics) == (status, text, {"loss": 0.5})


def test_an_ended_run_takes_no_more(project: kedge.Project) -> None:
    with kedge.start_run("probe") as run:
        pass
    with pytest.raises(Conflict):
        run.log_metric("loss", 0.5)
    with pytest.raises(Conflict):
        run.log_params({"lr": 1})
    run.finish()


@pytest.mark.parametrize("value", [1, 0.5, Fraction(1, 2), Alone(0.25), Alone(3), inf, -inf])
def test_numbers_of_any_make_are_kept(project: kedge.Project, value: Any) -> None:
    with kedge.start_run("probe") as run:
        run.log_metric("loss", value)
    expected = value.item() if isinstance(value, Alone) else value
    assert project.ledger.runs.get(run.id).metrics == {"loss": float(expected)}


def test_a_loss_that_became_nan_is_kept(project: kedge.Project) -> None:
    with kedge.start_run("probe") as run:
        run.log_metric("loss", nan)
    assert isnan(project.ledger.runs.get(run.id).metrics["loss"])
    assert project.ledger.runs.search(RunQuery(where="metrics.loss < 1 or metrics.loss >= 1")) == []


@pytest.mark.parametrize("value", [True, "0.5", None, 1j, Decimal(1), [0.5], Alone(1, 2), Alone(True), 10**400])
def test_what_is_not_a_number_is_refused(project: kedge.Project, value: Any) -> None:
    with kedge.start_run("probe") as run, pytest.raises(Invalid, match="'loss'"):
        run.log_metric("loss", value)


@pytest.mark.parametrize("step", [True, 1.5, "1", 2**63, -(2**63) - 1])
def test_what_is_not_a_step_is_refused(project: kedge.Project, step: Any) -> None:
    with kedge.start_run("probe") as run, pytest.raises(Invalid, match="step"):
        run.log_metric("loss", 0.5, step=step)


@pytest.mark.parametrize("name", ["", "a\nb", "nul\0", "x" * 251, "\ud800"])
def test_what_is_not_a_metric_name_is_refused(project: kedge.Project, name: str) -> None:
    with kedge.start_run("probe") as run, pytest.raises(Invalid, match="name"):
        run.log_metric(name, 0.5)


def test_a_name_that_is_none_is_refused(project: kedge.Project) -> None:
    with pytest.raises(Invalid):
        kedge.start_run("Not A Name")


def test_outside_a_project_the_next_step_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound) as caught:
        kedge.start_run("probe")
    assert "kedge init" in caught.value.hint
