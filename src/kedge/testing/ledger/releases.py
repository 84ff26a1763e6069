"""What a ledger must do with endpoints and releases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kedge.core.errors import Conflict, NotFound
from kedge.core.ledger import Ledger
from kedge.core.release import Endpoint, Heartbeat, Role
from kedge.testing.ledger.make import add_version, at, make_digest, send_release


def make_heartbeat(**changes: Any) -> Heartbeat:
    """A healthy gateway of the endpoint `api`."""
    facts: dict[str, Any] = {
        "endpoint": "api",
        "url": "http://127.0.0.1:8000",
        "host": "laptop",
        "pid": 42,
        "bundle": make_digest("b"),
        "healthy": True,
        "at": at(),
    }
    return Heartbeat(**{**facts, **changes})


class ReleasesConformance:
    """Appended, never changed; the newest of a role is in force."""

    def test_binding_again_changes_what_an_endpoint_follows(self, ledger: Ledger) -> None:
        ledger.releases.bind(Endpoint(name="b", model="m", alias="production"))
        ledger.releases.bind(Endpoint(name="a", model="m", alias="production"))
        ledger.releases.bind(Endpoint(name="b", model="m", alias="candidate"))
        assert [(e.name, e.alias) for e in ledger.releases.endpoints()] == [("a", "production"), ("b", "candidate")]

    def test_the_newest_release_of_each_role_is_in_force(self, ledger: Ledger) -> None:
        first, second = add_version(ledger, bundle="a"), add_version(ledger, bundle="b")
        releases = [
            send_release(ledger, version, role)
            for version, role in ((first, Role.STABLE), (first, Role.CANARY), (second, Role.STABLE))
        ]
        send_release(ledger, first, endpoint="elsewhere")
        assert ledger.releases.current("api") == {Role.STABLE: releases[2], Role.CANARY: releases[1]}
        assert ledger.releases.history("api") == releases
        assert releases[0].id < releases[1].id < releases[2].id

    def test_a_release_without_a_share_ends_the_one_before_it(self, ledger: Ledger) -> None:
        first, second = add_version(ledger, bundle="a"), add_version(ledger, bundle="b")
        stable = send_release(ledger, first)
        canary = send_release(ledger, second, Role.CANARY)
        ledger.releases.send(replace(canary, share=0.0))
        assert ledger.releases.current("api") == {Role.STABLE: stable}
        assert len(ledger.releases.history("api")) == 3
        ledger.models.remove(second.name, second.version)

    def test_an_endpoint_without_releases_has_none(self, ledger: Ledger) -> None:
        assert ledger.releases.current("api") == {}
        assert ledger.releases.history("api") == []

    def test_releasing_to_an_unknown_endpoint_names_the_nearest(self, ledger: Ledger) -> None:
        release = send_release(ledger, add_version(ledger))
        with pytest.raises(NotFound) as caught:
            ledger.releases.send(replace(release, endpoint="apo"))
        assert "api" in caught.value.hint

    def test_releasing_a_version_that_is_not_there_is_not_found(self, ledger: Ledger) -> None:
        release = send_release(ledger, add_version(ledger))
        with pytest.raises(NotFound):
            ledger.releases.send(replace(release, version=9))

    def test_releasing_a_version_under_another_bundle_is_a_conflict(self, ledger: Ledger) -> None:
        release = send_release(ledger, add_version(ledger))
        with pytest.raises(Conflict):
            ledger.releases.send(replace(release, bundle=make_digest("other")))
        assert ledger.releases.history("api") == [release]

    def test_a_heartbeat_replaces_the_one_before(self, ledger: Ledger) -> None:
        ledger.releases.beat(make_heartbeat())
        last = make_heartbeat(healthy=False, at=at(5), detail="engine restarting")
        ledger.releases.beat(last)
        assert ledger.releases.heartbeats() == [last]

    def test_a_gateway_started_again_at_a_url_replaces_the_one_before_it(self, ledger: Ledger) -> None:
        ledger.releases.beat(make_heartbeat())
        ledger.releases.beat(make_heartbeat(pid=43, at=at(1)))
        ledger.releases.beat(make_heartbeat(pid=44, url="http://127.0.0.1:8001", at=at(2)))
        assert [beat.pid for beat in ledger.releases.heartbeats()] == [43, 44]
