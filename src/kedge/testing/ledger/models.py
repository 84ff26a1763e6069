"""What a ledger must do with model versions and aliases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kedge.core.errors import Conflict, NotFound, Refused
from kedge.core.ledger import Ledger
from kedge.core.release import Role
from kedge.testing.ledger.make import add_artifact, add_version, at, make_digest, make_move, send_release


class ModelsConformance:
    """Versions are for ever, aliases move, and neither is lost."""

    def test_versions_are_numbered_from_one(self, ledger: Ledger) -> None:
        assert [add_version(ledger, bundle=name).version for name in "abc"] == [1, 2, 3]
        assert add_version(ledger, "other", "a").version == 1

    def test_a_version_comes_back_as_it_was_registered(self, ledger: Ledger) -> None:
        version = replace(add_version(ledger), bundle=add_artifact(ledger, "b"), card=add_artifact(ledger, "card"))
        registered = ledger.models.register(version)
        assert registered == replace(version, version=2)
        assert ledger.models.version("schemas", 2) == registered

    def test_the_same_bundle_again_is_the_version_it_has(self, ledger: Ledger) -> None:
        first = add_version(ledger)
        assert ledger.models.register(replace(first, by="user:other", registered=at(99))) == first
        assert ledger.models.versions("schemas") == [first]

    def test_a_version_of_artifacts_that_are_not_there_is_not_found(self, ledger: Ledger) -> None:
        version = replace(add_version(ledger), bundle=make_digest("nothing"))
        with pytest.raises(NotFound):
            ledger.models.register(version)
        assert len(ledger.models.versions()) == 1

    def test_versions_are_listed_by_model_oldest_first(self, ledger: Ledger) -> None:
        for model, bundle in (("schemas", "a"), ("other", "b"), ("schemas", "c")):
            add_version(ledger, model, bundle)
        assert [v.address for v in ledger.models.versions("schemas")] == ["schemas@1", "schemas@2"]
        assert len(ledger.models.versions()) == 3

    def test_an_unknown_version_lists_those_there_are(self, ledger: Ledger) -> None:
        add_version(ledger)
        with pytest.raises(NotFound) as caught:
            ledger.models.version("schemas", 9)
        assert "schemas@1" in caught.value.hint

    def test_an_unknown_model_names_the_nearest(self, ledger: Ledger) -> None:
        add_version(ledger)
        with pytest.raises(NotFound) as caught:
            ledger.models.version("schema", 1)
        assert "schemas" in caught.value.hint

    def test_a_removed_number_is_never_used_again(self, ledger: Ledger) -> None:
        add_version(ledger, bundle="a")
        last = add_version(ledger, bundle="b")
        ledger.models.remove("schemas", last.version)
        assert add_version(ledger, bundle="b").version == 3
        assert [v.version for v in ledger.models.versions("schemas")] == [1, 3]

    def test_removing_an_unknown_version_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.models.remove("schemas", 1)

    def test_a_version_under_an_alias_is_not_removed(self, ledger: Ledger) -> None:
        for bundle in "ab":
            add_version(ledger, bundle=bundle)
        ledger.models.move(make_move(1))
        with pytest.raises(Refused, match="production"):
            ledger.models.remove("schemas", 1)
        ledger.models.move(make_move(2, before=1))
        ledger.models.remove("schemas", 1)
        assert [v.version for v in ledger.models.versions("schemas")] == [2]

    @pytest.mark.parametrize("role", list(Role))
    def test_a_version_that_is_served_is_not_removed(self, ledger: Ledger, role: Role) -> None:
        first, second = add_version(ledger, bundle="a"), add_version(ledger, bundle="b")
        send_release(ledger, first, role)
        with pytest.raises(Refused, match="api"):
            ledger.models.remove("schemas", 1)
        send_release(ledger, second, role)
        ledger.models.remove("schemas", 1)
        assert [v.version for v in ledger.models.versions("schemas")] == [2]

    def test_an_alias_points_where_it_was_moved(self, ledger: Ledger) -> None:
        for bundle in "ab":
            add_version(ledger, bundle=bundle)
        moves = [make_move(1), make_move(2, before=1, reason="better", verdict="v", override=True, rollback=True)]
        for move in moves:
            ledger.models.move(move)
        assert ledger.models.aliases("schemas") == [moves[-1]]
        assert ledger.models.history("schemas", "production") == moves

    def test_aliases_are_listed_for_one_model_or_for_all(self, ledger: Ledger) -> None:
        for model in ("schemas", "other"):
            add_version(ledger, model, model)
            ledger.models.move(make_move(1, model=model))
        assert [move.model for move in ledger.models.aliases()] == ["other", "schemas"]
        assert [move.model for move in ledger.models.aliases("other")] == ["other"]
        assert ledger.models.aliases("nobody") == []

    @pytest.mark.parametrize("before", [None, 2])
    def test_moving_an_alias_that_has_moved_meanwhile_is_a_conflict(self, ledger: Ledger, before: int | None) -> None:
        for bundle in "ab":
            add_version(ledger, bundle=bundle)
        ledger.models.move(make_move(1))
        with pytest.raises(Conflict, match="version 1"):
            ledger.models.move(make_move(2, before=before))
        assert ledger.models.history("schemas", "production") == [make_move(1)]

    def test_moving_an_alias_that_was_never_set_from_a_version_is_a_conflict(self, ledger: Ledger) -> None:
        add_version(ledger)
        with pytest.raises(Conflict, match="not set"):
            ledger.models.move(make_move(1, before=1))

    def test_moving_an_alias_to_no_version_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.models.move(make_move(1))
