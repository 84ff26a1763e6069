"""Keys from the command line: terms, rotation, and what was used."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kedge.app import keys
from kedge.app.project import Project, open_project
from kedge.cli.main import line
from kedge.core.access import Allowance, Scope, Terms
from kedge.core.errors import Conflict, Invalid, NotFound
from kedge.core.usage import Want
from kedge.govern.keys import hash_key


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "kedge.toml").write_text('[project]\nname = "p"\n[endpoints.api]\nmodel = "m"\n')
    return open_project(tmp_path)


def run(project: Project, *args: str) -> Any:
    """The JSON that a command prints."""
    result = CliRunner().invoke(line, ["-C", str(project.root), *args, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_is_made_with_terms(project: Project) -> None:
    limits = ["--requests-per-minute", "60", "--streams", "3", "--money", "2.5", "--period", "day"]
    made = run(project, "keys", "create", "web", "--tenant", "acme", "--endpoint", "api", "--model", "m@2", *limits)
    key = project.ledger.keys.find(hash_key(made["key"], project.secret))
    assert key is not None
    allowance = Allowance(requests_per_minute=60, streams=3, money=2.5, period="day")
    assert key.terms == Terms(tenant="acme", endpoints=("api",), models=("m@2",), allowance=allowance)
    (listed,) = run(project, "keys", "list")
    assert (listed["tenant"], listed["terms"]["allowance"]["money"]) == ("acme", 2.5)


@pytest.mark.parametrize("terms", [Terms(endpoints=("ap",)), Terms(tenant="no tenant!"), Terms(models=("m m",))])
def test_terms_that_cannot_hold_are_refused(project: Project, terms: Terms) -> None:
    with pytest.raises((Invalid, NotFound)):
        keys.create(project, "web", terms=terms)
    assert keys.listing(project) == []


def test_a_rotated_key_has_the_same_terms_and_account_and_the_old_one_a_time_of_grace(project: Project) -> None:
    terms = Terms(tenant="acme", allowance=Allowance(tokens=100))
    old = keys.create(project, "web", scopes=(Scope.ASK, Scope.METRICS), lifetime=timedelta(days=30), terms=terms).key
    made = run(project, "keys", "rotate", old.id, "--grace-hours", "2")
    before, after = keys.listing(project)
    assert made["replaces"] == before.id == old.id
    assert (after.id, after.hash) == (made["id"], hash_key(made["key"], project.secret))
    assert (after.name, after.scopes, after.terms, after.expires) == (old.name, old.scopes, old.terms, old.expires)
    assert after.counted_as == before.counted_as
    assert before.expires is not None
    assert timedelta(0) < before.expires - after.created <= timedelta(hours=2)
    again = keys.rotate(project, after.id).key
    assert again.counted_as == old.id
    assert [record.action for record in project.ledger.audit.records()][-2:] == ["key.rotate", "key.rotate"]


def test_a_key_that_has_ended_is_not_rotated(project: Project) -> None:
    key = keys.create(project, "web").key
    keys.revoke(project, key.id)
    with pytest.raises(Conflict):
        keys.rotate(project, key.id)
    with pytest.raises(NotFound):
        keys.rotate(project, "key-unknown")
    assert len(keys.listing(project)) == 1


def test_what_budgets_have_been_used_is_shown_without_the_minutes(project: Project) -> None:
    for account in ("key:a/tokens-per-month", "key:a/requests-per-minute"):
        project.ledger.usage.reserve([Want(account=account, window="2026-11", least=7, most=7, limit=10)])
    assert run(project, "keys", "usage") == [{"account": "key:a/tokens-per-month", "window": "2026-11", "units": 7}]
