"""What a ledger must do with metrics."""

from __future__ import annotations

from math import inf, isnan, nan

import pytest

from kedge.core.errors import Invalid, NotFound
from kedge.core.ledger import Ledger
from kedge.core.run import Point
from kedge.testing.ledger.make import make_run


def make_points(*values: float, run: str = "run-1", name: str = "loss", first: int = 0) -> list[Point]:
    """Values at steps that follow each other."""
    return [Point(run=run, name=name, step=first + n, value=v, at=float(n)) for n, v in enumerate(values)]


class MetricsConformance:
    """Values over steps, and the last of each."""

    def test_values_come_back_by_step(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        late, early = make_points(0.1, 0.2, first=10), make_points(0.9, 0.8)
        ledger.metrics.append(late)
        ledger.metrics.append(early)
        assert ledger.metrics.history("run-1", "loss") == early + late

    def test_one_batch_may_span_runs_and_metrics(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run("one1"))
        ledger.runs.start(make_run("two2"))
        ledger.metrics.append([*make_points(1, run="one1"), *make_points(2, run="two2", name="acc")])
        assert ledger.metrics.names("one1") == ["loss"]
        assert ledger.runs.get("two2").metrics == {"acc": 2.0}

    def test_the_last_value_is_the_one_of_the_highest_step(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        ledger.metrics.append(make_points(0.5, 0.4, first=7))
        ledger.metrics.append(make_points(0.9))
        assert ledger.runs.get("run-1").metrics == {"loss": 0.4}

    def test_several_values_at_one_step_are_all_kept_and_the_newest_is_last(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        same = [Point(run="run-1", name="loss", step=1, value=value, at=0.0) for value in (1.0, 1.0, 2.0)]
        ledger.metrics.append(same)
        ledger.metrics.append(same[:1])
        assert [point.value for point in ledger.metrics.history("run-1", "loss")] == [1.0, 1.0, 2.0, 1.0]
        assert ledger.runs.get("run-1").metrics == {"loss": 1.0}

    def test_values_that_are_not_numbers_or_not_finite_are_kept(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        ledger.metrics.append(make_points(inf, -inf, 5e-324, nan))
        values = [point.value for point in ledger.metrics.history("run-1", "loss")]
        assert values[:3] == [inf, -inf, 5e-324]
        assert isnan(values[3])
        assert isnan(ledger.runs.get("run-1").metrics["loss"])

    def test_names_with_any_characters_are_kept(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        name = "eval/loss % of 'ä' ? \" :x %s"
        ledger.metrics.append(make_points(1.0, name=name))
        assert ledger.metrics.names("run-1") == [name]
        assert ledger.runs.get("run-1").metrics == {name: 1.0}

    def test_metrics_of_an_unknown_run_are_not_found_and_nothing_is_kept(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        with pytest.raises(NotFound):
            ledger.metrics.append([*make_points(1.0), *make_points(1.0, run="nobody")])
        assert ledger.metrics.names("run-1") == []

    def test_a_step_beyond_64_bits_is_invalid(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        with pytest.raises(Invalid):
            ledger.metrics.append(make_points(1.0, first=2**63))
        assert ledger.metrics.names("run-1") == []

    def test_an_empty_batch_changes_nothing(self, ledger: Ledger) -> None:
        ledger.metrics.append([])
        assert ledger.metrics.names("run-1") == []
        assert ledger.metrics.history("run-1", "loss") == []

    def test_a_large_batch_is_kept_whole(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run())
        ledger.metrics.append([point for n in range(50) for point in make_points(*range(100), name=f"m{n}")])
        assert len(ledger.metrics.names("run-1")) == 50
        assert sum(len(ledger.metrics.history("run-1", f"m{n}")) for n in range(50)) == 5000
