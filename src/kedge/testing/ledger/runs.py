"""What a ledger must do with runs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from kedge.core.errors import Conflict, Invalid, NotFound
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.run import RunStatus, Worker
from kedge.testing.ledger.make import at, make_digest, make_run


class RunsConformance:
    """Runs by id, key and artifact."""

    def test_a_run_comes_back_as_it_was_started(self, ledger: Ledger) -> None:
        run = make_run(
            args={"lr": 0.001, "layers": [1, 2], "optimizer": {"name": "adam", "fused": True}, "note": None},
            code=make_digest("code"),
            environment={"python": "3.11", "torch": "2.13"},
            inputs={"dataset": make_digest("dataset")},
            pipeline="pipeline-1",
            worker=Worker(host="laptop", pid=42, started=1_700_000_000.25),
        )
        ledger.runs.start(run)
        assert ledger.runs.get("run-1") == run

    def test_a_whole_run_from_elsewhere_is_kept_with_outputs_and_metrics(self, ledger: Ledger) -> None:
        run = make_run(
            status=RunStatus.SUCCEEDED, ended=at(60), outputs={"model": make_digest("model")}, metrics={"loss": 0.5}
        )
        ledger.runs.start(run)
        assert ledger.runs.get(run.id) == run

    def test_times_keep_their_microseconds_and_come_back_in_utc(self, ledger: Ledger) -> None:
        local = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
        ledger.runs.start(make_run(started=local))
        assert ledger.runs.get("run-1").started.isoformat() == "2026-07-01T10:00:00.123456+00:00"

    def test_a_time_without_a_zone_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(Invalid):
            ledger.runs.start(make_run(started=datetime(2026, 1, 1)))  # noqa: DTZ001 - the mistake under test

    def test_starting_a_taken_id_is_a_conflict(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        with pytest.raises(Conflict):
            ledger.runs.start(make_run(stage="other"))
        assert ledger.runs.get("run-1").stage == "train"

    def test_finishing_records_end_outputs_and_error(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        outputs = {"model": make_digest("model")}
        ledger.runs.finish("run-1", RunStatus.FAILED, ended=at(9), outputs=outputs, error="loss is NaN")
        run = ledger.runs.get("run-1")
        assert (run.status, run.ended, run.outputs, run.error) == (RunStatus.FAILED, at(9), outputs, "loss is NaN")

    def test_finishing_an_unknown_run_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.runs.finish("nobody", RunStatus.SUCCEEDED, ended=at())

    def test_finishing_twice_is_a_conflict_and_keeps_the_first_end(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        ledger.runs.finish("run-1", RunStatus.SUCCEEDED, ended=at(1))
        with pytest.raises(Conflict):
            ledger.runs.finish("run-1", RunStatus.FAILED, ended=at(2), outputs={"model": make_digest("model")})
        run = ledger.runs.get("run-1")
        assert (run.status, run.outputs) == (RunStatus.SUCCEEDED, {})

    def test_a_run_is_found_by_a_unique_prefix(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run("abcd1"))
        ledger.runs.start(make_run("abce2"))
        assert ledger.runs.get("abcd").id == "abcd1"

    def test_a_whole_id_wins_over_longer_ones_it_begins(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run("abcd"))
        ledger.runs.start(make_run("abcde"))
        assert ledger.runs.get("abcd").id == "abcd"

    def test_an_ambiguous_prefix_is_invalid(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run("abcd1"))
        ledger.runs.start(make_run("abcd2"))
        with pytest.raises(Invalid):
            ledger.runs.get("abcd")

    @pytest.mark.parametrize("prefix", ["", "abc", "%%%%", "____", "ABCD"])
    def test_what_is_no_prefix_of_four_characters_is_not_found(self, ledger: Ledger, prefix: str) -> None:
        ledger.runs.start(make_run("abcd1"))
        with pytest.raises(NotFound):
            ledger.runs.get(prefix)

    def test_the_newest_success_with_a_key_is_given(self, ledger: Ledger) -> None:
        key = make_digest("wanted")
        for name, status, ended in (("old", "succeeded", 1), ("new", "succeeded", 2), ("bad", "failed", 3)):
            ledger.runs.start(make_run(name, key=key))
            ledger.runs.finish(name, RunStatus(status), ended=at(ended))
        ledger.runs.start(make_run("running", key=key))
        found = ledger.runs.succeeded(key)
        assert found is not None
        assert found.id == "new"

    def test_a_key_that_never_succeeded_gives_nothing(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        assert ledger.runs.succeeded(make_run().key) is None

    def test_runs_are_found_by_what_they_made_and_used(self, ledger: Ledger) -> None:
        data, model = make_digest("data"), make_digest("model")
        for number, name in enumerate(("first", "second", "broken")):
            ledger.runs.start(make_run(name, inputs={"dataset": data}, started=at(number)))
        for name in ("first", "second"):
            ledger.runs.finish(name, RunStatus.SUCCEEDED, ended=at(10), outputs={"model": model})
        ledger.runs.finish("broken", RunStatus.FAILED, ended=at(10), outputs={"model": model})
        assert [run.id for run in ledger.runs.producing(model)] == ["first", "second"]
        assert [run.id for run in ledger.runs.using(data)] == ["first", "second", "broken"]
        assert ledger.runs.using(model) == []

    def test_parameters_can_be_added_and_found_while_a_run_is_running(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run(args={"lr": 0.1}))
        ledger.runs.add_params("run-1", {"lr": 0.1, "layers": (1, 2), "optimizer": {"name": "adam"}})
        assert ledger.runs.get("run-1").params == {"lr": 0.1, "layers": [1, 2], "optimizer": {"name": "adam"}}
        assert len(ledger.runs.search(RunQuery(where="params.optimizer.name = 'adam' and params.lr = 0.1"))) == 1

    def test_a_parameter_does_not_change(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run(args={"lr": 0.1}))
        with pytest.raises(Conflict, match="lr"):
            ledger.runs.add_params("run-1", {"new": 1, "lr": 0.2})
        assert ledger.runs.get("run-1").params == {"lr": 0.1}

    def test_parameters_of_an_ended_or_unknown_run_are_refused(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run(status=RunStatus.FAILED, ended=at(1)))
        with pytest.raises(Conflict):
            ledger.runs.add_params("run-1", {"lr": 0.1})
        with pytest.raises(NotFound):
            ledger.runs.add_params("nobody", {"lr": 0.1})

    def test_parameters_that_are_not_json_are_refused(self, ledger: Ledger) -> None:
        with pytest.raises(Invalid):
            ledger.runs.start(make_run(args={"lr": float("nan")}))
        with pytest.raises(NotFound):
            ledger.runs.get("run-1")
