"""What must hold over all of a ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kedge.core.errors import Conflict, NotFound, Refused
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.core.run import Point, RunStatus
from kedge.testing.ledger.audit import append, assert_whole
from kedge.testing.ledger.make import add_artifact, add_version, at, make_move, make_run, send_release


class Stop(Exception):
    """Raised by a test in the middle of a transaction."""


class TransactionsConformance:
    """Wholly or not at all."""

    def test_what_a_transaction_did_is_there_after_it(self, ledger: Ledger) -> None:
        with ledger.begin() as tx:
            add_version(tx)
            tx.models.move(make_move(1))
            append(tx)
        assert ledger.models.aliases("schemas") == [make_move(1)]
        assert len(ledger.audit.records()) == 1

    def test_a_transaction_sees_its_own_writes(self, ledger: Ledger) -> None:
        with ledger.begin() as tx:
            tx.runs.start(make_run())
            assert tx.runs.get("run-1") == make_run()

    def test_a_transaction_that_raises_leaves_nothing_of_any_aggregate(self, ledger: Ledger) -> None:
        with pytest.raises(Stop), ledger.begin() as tx:
            add_version(tx)
            tx.models.move(make_move(1))
            tx.runs.start(make_run())
            tx.metrics.append([Point(run="run-1", name="loss", step=0, value=1.0, at=0.0)])
            tx.runs.finish("run-1", RunStatus.SUCCEEDED, ended=at(1))
            append(tx)
            raise Stop
        assert ledger.models.versions() == []
        assert ledger.models.aliases() == []
        assert ledger.artifacts.all() == []
        assert ledger.audit.records() == []
        assert ledger.metrics.names("run-1") == []
        with pytest.raises(NotFound):
            ledger.runs.get("run-1")

    def test_a_refused_method_leaves_the_transaction_usable(self, ledger: Ledger) -> None:
        with ledger.begin() as tx:
            tx.runs.start(make_run())
            with pytest.raises(Conflict):
                tx.runs.start(make_run())
            with pytest.raises(NotFound):
                tx.metrics.append([Point(run="nobody", name="loss", step=0, value=1.0, at=0.0)])
            append(tx)
        assert ledger.runs.get("run-1") == make_run()
        assert len(ledger.audit.records()) == 1

    def test_a_block_inside_a_block_belongs_to_it(self, ledger: Ledger) -> None:
        with pytest.raises(Stop), ledger.begin() as outer:
            with outer.begin() as inner:
                append(inner)
            with ledger.begin() as same:
                append(same)
            assert len(outer.audit.records()) == 2
            raise Stop
        assert ledger.audit.records() == []

    def test_an_inner_block_that_raises_is_undone_by_itself(self, ledger: Ledger) -> None:
        with ledger.begin() as outer:
            append(outer, subject="first")
            with pytest.raises(Stop), outer.begin() as inner:
                append(inner, subject="second")
                raise Stop
            append(outer, subject="third")
        assert [record.subject for record in ledger.audit.records()] == ["first", "third"]
        assert_whole(ledger.audit.records())

    def test_a_failed_method_is_undone_whole(self, ledger: Ledger) -> None:
        ledger.runs.start(make_run("taken"))
        add_artifact(ledger, "a")
        with pytest.raises(Conflict):
            ledger.runs.start(make_run("taken", inputs={"dataset": "sha256:x"}, args={"lr": 1}))
        assert ledger.runs.using("sha256:x") == []

    def test_threads_have_transactions_of_their_own(self, ledger: Ledger) -> None:
        def promote(number: int) -> None:
            with ledger.begin() as tx:
                tx.runs.start(make_run(f"run-{number:04}"))
                append(tx, subject=f"run-{number:04}")
                if number % 3 == 0:
                    raise Stop

        with ThreadPoolExecutor(8) as pool:
            results = [pool.submit(promote, number) for number in range(48)]
        stopped = sum(isinstance(result.exception(), Stop) for result in results)
        assert stopped == 16
        assert not [result for result in results if result.exception() and not isinstance(result.exception(), Stop)]
        records = ledger.audit.records()
        assert_whole(records)
        assert sorted(record.subject for record in records) == [f"run-{n:04}" for n in range(48) if n % 3]

    def test_one_of_two_who_move_an_alias_at_once_is_told(self, ledger: Ledger) -> None:
        for bundle in "ab":
            add_version(ledger, bundle=bundle)

        def move(after: int) -> bool:
            try:
                ledger.models.move(make_move(after))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(move, (1, 2))) == [False, True]
        assert len(ledger.models.history("schemas", "production")) == 1

    def test_nothing_in_force_is_removed_while_others_promote_and_release(self, ledger: Ledger) -> None:
        versions = [add_version(ledger, bundle=f"bundle {number}") for number in range(24)]

        def promote(version: ModelVersion) -> None:
            with ledger.begin() as tx:
                before = next((move.after for move in tx.models.aliases("schemas")), None)
                tx.models.move(make_move(version.version, before=before))
                send_release(tx, version)
                append(tx, action="promote", subject=version.address)

        def remove(version: ModelVersion) -> None:
            with ledger.begin() as tx:
                tx.models.remove(version.name, version.version)
                tx.artifacts.remove([version.bundle, version.model])
                append(tx, action="delete", subject=version.address)

        with ThreadPoolExecutor(8) as pool:
            tasks = [pool.submit(each, version) for version in versions for each in (promote, remove)]
        errors = [task.exception() for task in tasks]
        assert all(error is None or isinstance(error, NotFound | Refused) for error in errors), errors
        recorded = {artifact.digest for artifact in ledger.artifacts.all()}
        for move in ledger.models.aliases():
            assert {ledger.models.version("schemas", move.after).bundle} <= recorded
        for release in ledger.releases.current("api").values():
            assert {release.bundle, ledger.models.version("schemas", release.version).bundle} <= recorded
        assert len(ledger.audit.records()) == errors.count(None)
        assert_whole(ledger.audit.records())
