"""What a ledger must find when it is asked for runs."""

from __future__ import annotations

import pytest

from kedge.core.errors import Invalid
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.run import Point, RunStatus
from kedge.testing.ledger.make import at, make_digest, make_run


def found(ledger: Ledger, where: str, order: str = "started", **page: int) -> list[str]:
    """The ids a filter finds."""
    return [run.id for run in ledger.runs.search(RunQuery(where=where, order=order, **page))]


class SearchConformance:
    """Filters, orders and pages."""

    @pytest.fixture
    def fleet(self, ledger: Ledger) -> Ledger:
        """Three runs: `low` and `high` by loss, and `none` without one."""
        for number, (name, rate) in enumerate((("low", 0.001), ("high", 0.1), ("none", 1))):
            args = {"lr": rate, "optimizer": {"name": f"Adam{number}", "fused": number == 1}}
            stage = "train" if number < 2 else "evaluate"
            ledger.runs.start(make_run(name, args=args, stage=stage, started=at(number), pipeline="night's run"))
        ledger.runs.finish("low", RunStatus.SUCCEEDED, ended=at(60), outputs={"model": make_digest("m")})
        points = [("low", "loss", 0.2), ("high", "loss", 0.9), ("low", "eval loss", 5.0), ("high", "acc", float("nan"))]
        ledger.metrics.append([Point(run=run, name=name, step=1, value=value, at=0.0) for run, name, value in points])
        return ledger

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("", "low high none"),
            ("stage = 'train'", "low high"),
            ('stage == "train"', "low high"),
            ("stage != 'train'", "none"),
            ("status = 'succeeded'", "low"),
            ("metrics.loss < 0.3", "low"),
            ("metrics.loss >= 2e-1", "low high"),
            ("metrics.`eval loss` > 4", "low"),
            ("metrics.loss < 0.3 and params.lr >= 0.001 and stage = 'train' and status = 'succeeded'", "low"),
            ("metrics.loss < 0.3 or stage = 'evaluate'", "low none"),
            ("metrics.loss < 0.3 or params.lr = 1 and stage = 'train'", "low"),
            ("(metrics.loss < 0.3 or params.lr = 1) and stage = 'evaluate'", "none"),
            ("not metrics.loss < 0.3", "high"),
            ("NOT (stage = 'train' OR stage = 'x')", "none"),
            ("metrics.acc > 0 or metrics.acc <= 0", ""),
            ("params.optimizer.name like 'adam%'", "low high none"),
            ("params.optimizer.name LIKE '%1'", "high"),
            ("params.optimizer.fused = true", "high"),
            ("params.optimizer.fused != true", "low none"),
            ("pipeline = 'night''s run' and id = 'low'", "low"),
            ("started >= '2026-01-01T01:00:01+01:00'", "high none"),
            ("started < '2026-01-01 00:00:01'", "low"),
            ("seconds > 59.5", "low"),
            (f"outputs.model = '{make_digest('m')}'", "low"),
            ("step = 'train' and step != 'x'", "low high none"),
        ],
    )
    def test_a_filter_finds(self, fleet: Ledger, where: str, expected: str) -> None:
        assert found(fleet, where) == expected.split()

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("-started", "none high low"),
            ("metrics.loss", "low high none"),
            ("-metrics.loss", "high low none"),
            ("params.lr", "low high none"),
            ("-params.optimizer.name", "none high low"),
            ("-stage", "low high none"),
            ("ended", "low high none"),
        ],
    )
    def test_an_order_holds_and_runs_without_the_field_come_last(
        self, fleet: Ledger, order: str, expected: str
    ) -> None:
        assert found(fleet, "", order) == expected.split()

    def test_a_filter_and_an_order_may_share_a_metric(self, fleet: Ledger) -> None:
        assert found(fleet, "metrics.loss < 1", "-metrics.loss") == ["high", "low"]

    def test_pages_follow_each_other(self, fleet: Ledger) -> None:
        assert found(fleet, "", limit=2) == ["low", "high"]
        assert found(fleet, "", limit=2, offset=2) == ["none"]
        assert found(fleet, "", limit=0) == []

    def test_found_runs_are_whole(self, fleet: Ledger) -> None:
        run = fleet.runs.search(RunQuery(where="id = 'low'"))[0]
        assert run == fleet.runs.get("low")
        assert run.metrics == {"eval loss": 5.0, "loss": 0.2}

    @pytest.mark.parametrize(
        ("where", "place"),
        [
            ("metrics.loss <", "its end"),
            ("loss < 1", "character 1"),
            ("metrics. < 1", "character 1"),
            ("metrics.loss < 'a'", "character 16"),
            ("stage = 3", "character 9"),
            ("stage = train", "character 9"),
            ("stage ~ 'a'", "character 7"),
            ("stage = 'a", "character 9"),
            ("(stage = 'a'", "its end"),
            ("stage = 'a')", "character 12"),
            ("stage = 'a' stage = 'b'", "character 13"),
            ("and stage = 'a'", "character 1"),
            ("metrics.loss like '1'", "character 19"),
            ("metrics.loss like 1", "character 14"),
            ("started > 'yesterday'", "character 11"),
            ("stage = true", "character 9"),
            ("'a' = stage", "character 1"),
            ("(" * 100 + "stage = 'a'", "character 51"),
            ("stage = 'a' or " * 1000 + "stage = 'a'", "character"),
        ],
    )
    def test_a_filter_that_cannot_be_read_is_invalid_and_says_where(
        self, ledger: Ledger, where: str, place: str
    ) -> None:
        with pytest.raises(Invalid, match=place):
            ledger.runs.search(RunQuery(where=where))

    @pytest.mark.parametrize("order", ["", "-", "loss", "started desc", "metrics."])
    def test_an_order_that_cannot_be_read_is_invalid(self, ledger: Ledger, order: str) -> None:
        with pytest.raises(Invalid, match="order"):
            ledger.runs.search(RunQuery(order=order))

    def test_a_negative_page_is_invalid(self, ledger: Ledger) -> None:
        with pytest.raises(Invalid):
            ledger.runs.search(RunQuery(limit=-1))

    def test_what_a_filter_compares_with_is_never_run_as_sql(self, fleet: Ledger) -> None:
        assert found(fleet, "stage = 'x''; DELETE FROM runs; --'") == []
        assert found(fleet, "metrics.`x' OR 1=1 --` > 0") == []
        assert len(found(fleet, "")) == 3
