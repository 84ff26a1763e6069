"""API keys: created (shown once), listed, replaced, revoked; and what they have used."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from kedge.app.project import Project
from kedge.core.access import Key, Scope, Terms
from kedge.core.address import parse_name
from kedge.core.catalogue import nearest
from kedge.core.errors import Conflict, Invalid, NotFound
from kedge.core.spec import to_plain
from kedge.core.usage import Used
from kedge.govern.keys import hash_key, mint_key


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A key in the one moment in which its secret is known."""

    key: Key
    secret: str = field(repr=False)


def create(
    project: Project,
    name: str,
    *,
    scopes: Sequence[Scope] = (Scope.ASK,),
    lifetime: timedelta | None = None,
    terms: Terms | None = None,
) -> CreatedKey:
    """Make a key. Only its keyed hash is kept: the secret cannot be shown again. `Invalid`; `NotFound` if its terms name
    an endpoint that the project does not have."""
    parse_name(name, "key name")
    if not scopes:
        raise Invalid("a key needs a scope", hint=f"one of {', '.join(Scope)}")
    if lifetime is not None and lifetime <= timedelta(0):
        raise Invalid("a key's lifetime must be longer than nothing", hint="give it in days, as --days 30")
    terms = terms or Terms()
    _check_terms(project, terms)
    now = project.clock.now()
    secret = mint_key()
    key = Key(
        id=_new_id(),
        name=name,
        hash=hash_key(secret, project.secret),
        scopes=tuple(dict.fromkeys(scopes)),
        created=now,
        by=project.principal,
        expires=now + lifetime if lifetime else None,
        terms=terms,
    )
    with project.recorded("key.create", key.id, name=name, scopes=list(key.scopes), terms=to_plain(terms)) as tx:
        tx.keys.add(key)
    return CreatedKey(key=key, secret=secret)


def rotate(project: Project, id: str, *, grace: timedelta = timedelta(days=1)) -> CreatedKey:
    """Make a key that takes another's place: the same name, scopes, terms, end and account. The old one works on for a
    time of grace. `NotFound`; `Conflict` if it has ended."""
    now = project.clock.now()
    if grace < timedelta(0):
        raise Invalid("a time of grace is not negative", hint="--grace-hours 0 ends the old key at once")
    secret = mint_key()
    with project.recorded("key.rotate", id, grace_seconds=grace.total_seconds()) as tx:
        old = next((key for key in tx.keys.all() if key.id == id), None)
        if old is None:
            raise NotFound(f"there is no key {id!r}", address=id, hint="kedge keys list shows their ids")
        if not old.alive(now):
            raise Conflict(f"the key {id} has ended already", address=id, hint="kedge keys create makes a new one")
        key = replace(
            old,
            id=_new_id(),
            hash=hash_key(secret, project.secret),
            created=now,
            by=project.principal,
            account=old.counted_as,
        )
        tx.keys.add(key)
        tx.keys.expire(id, at=now + grace)
    return CreatedKey(key=key, secret=secret)


def usage(project: Project) -> list[Used]:
    """What keys and tenants have taken of their budgets, by account and window; minutes are left out."""
    return [used for used in project.ledger.usage.used() if not used.account.endswith("-per-minute")]


def listing(project: Project) -> list[Key]:
    """Every key, oldest first, revoked ones too."""
    return project.ledger.keys.all()


def revoke(project: Project, id: str) -> Key:
    """End a key: gateways refuse it within a second. `NotFound`."""
    with project.recorded("key.revoke", id) as tx:
        return tx.keys.revoke(id, at=project.clock.now())


def _check_terms(project: Project, terms: Terms) -> None:
    if terms.tenant:
        parse_name(terms.tenant, "tenant")
    known = {*project.config.endpoints, *(bound.name for bound in project.ledger.releases.endpoints())}
    for endpoint in terms.endpoints:
        if endpoint not in known:
            hint = nearest(endpoint, known)
            raise NotFound(f"there is no endpoint {endpoint!r}", address=endpoint, hint=hint)
    for model in terms.models:
        parse_name(model.partition("@")[0], "model name")


def _new_id() -> str:
    return f"key-{secrets.token_hex(6)}"
