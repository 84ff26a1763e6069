"""API keys: created (shown once), listed, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from kedge.app.project import Project
from kedge.core.access import Key, Scope
from kedge.core.address import parse_name
from kedge.core.errors import Invalid
from kedge.govern.keys import hash_key, mint_key


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A key in the one moment in which its secret is known."""

    key: Key
    secret: str = field(repr=False)


def create(
    project: Project, name: str, *, scopes: Sequence[Scope] = (Scope.ASK,), lifetime: timedelta | None = None
) -> CreatedKey:
    """Make a key. Only its keyed hash is kept: the secret cannot be shown again. `Invalid`."""
    parse_name(name, "key name")
    if not scopes:
        raise Invalid("a key needs a scope", hint=f"one of {', '.join(Scope)}")
    if lifetime is not None and lifetime <= timedelta(0):
        raise Invalid("a key's lifetime must be longer than nothing", hint="give it in days, as --days 30")
    secret = mint_key()
    now = project.clock.now()
    key = Key(
        id=f"key-{secrets.token_hex(6)}",
        name=name,
        hash=hash_key(secret, project.secret),
        scopes=tuple(dict.fromkeys(scopes)),
        created=now,
        by=project.principal,
        expires=now + lifetime if lifetime else None,
    )
    with project.recorded("key.create", key.id, name=name, scopes=list(key.scopes)) as tx:
        tx.keys.add(key)
    return CreatedKey(key=key, secret=secret)


def listing(project: Project) -> list[Key]:
    """Every key, oldest first, revoked ones too."""
    return project.ledger.keys.all()


def revoke(project: Project, id: str) -> Key:
    """End a key: gateways refuse it within a second. `NotFound`."""
    with project.recorded("key.revoke", id) as tx:
        return tx.keys.revoke(id, at=project.clock.now())
