"""What accounts use: units by window and places at a moment, so that several processes never use more than a limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from kedge.core.usage import Granted, Holding, Used, Want
from kedge.store.ledger.connection import Database, insert_new, put
from kedge.store.ledger.tables import places, usage


class SqlUsage:
    """Units taken of accounts. A row is locked while it is counted, always in the order of the accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, wants: Sequence[Want]) -> list[Granted]:
        """Take units of several accounts, in one transaction: all of them, or nothing when one has not the least left."""
        with self._database.write() as connection:
            taken = {}
            for want in sorted(wants, key=lambda want: (want.account, want.window)):
                taken[want] = _taken(connection, want)
            left = [max(0, want.limit - taken[want]) for want in wants]
            if any(rest < want.least for want, rest in zip(wants, left, strict=True)):
                return [Granted(units=0, left=rest) for rest in left]
            granted = [min(want.most, rest) for want, rest in zip(wants, left, strict=True)]
            for want, units in zip(wants, granted, strict=True):
                row = (usage.c.account == want.account) & (usage.c.window == want.window)
                connection.execute(update(usage).where(row).values(units=usage.c.units + units))
        return [Granted(units=units, left=rest - units) for units, rest in zip(granted, left, strict=True)]

    def give_back(self, account: str, window: str, units: int) -> None:
        """Return units that were reserved and not used."""
        row = (usage.c.account == account) & (usage.c.window == window)
        with self._database.write() as connection:
            connection.execute(update(usage).where(row).values(units=usage.c.units - units))

    def used(self, account: str = "") -> list[Used]:
        """What was taken of an account (or of all), by account and window."""
        statement = select(usage).order_by(usage.c.account, usage.c.window)
        if account:
            statement = statement.where(usage.c.account == account)
        with self._database.read() as connection:
            return [Used(**row._mapping) for row in connection.execute(statement)]

    def hold(self, holding: Holding, *, at: datetime) -> bool:
        """Hold so many places from now on; whether they were free. If not, what was held stays. 0 lets go."""
        ours = places.c.account == holding.account
        with self._database.write(alone=True) as connection:
            connection.execute(delete(places).where(ours, places.c.until <= at))
            others = select(func.sum(places.c.places)).where(ours, places.c.holder != holding.holder)
            if holding.places and (connection.scalar(others) or 0) + holding.places > holding.limit:
                return False
            if holding.places:
                row = {"account": holding.account, "holder": holding.holder}
                put(connection, places, {**row, "places": holding.places, "until": holding.until})
            else:
                connection.execute(delete(places).where(ours, places.c.holder == holding.holder))
        return True


def _taken(connection: Connection, want: Want) -> int:
    """What was taken of a window, whose row is locked from now on."""
    key = {"account": want.account, "window": want.window}
    if insert_new(connection, usage, {**key, "units": 0}) and want.forget:
        old = (usage.c.account == want.account) & (usage.c.window < want.forget) & (usage.c.window != want.window)
        connection.execute(delete(usage).where(old))
    row = (usage.c.account == want.account) & (usage.c.window == want.window)
    taken: int = connection.execute(select(usage.c.units).where(row).with_for_update()).scalar_one()
    return taken
