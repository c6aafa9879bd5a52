"""The seat of who serves the stations, on PostgreSQL: an advisory lock of a session, over a connection of its own.

It ends with that connection, so a holder that cannot reach the server has to leave before the server notices.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg

from ledger.errors import LedgerError
from ledger.store import postgres_link
from ledger.store.postgres_link import FOREIGN, code_of
from ledger.store.seat import SeatTaken

ANSWER_WITHIN_S: Final = 3.0
"""How long a holder waits for the server's word that it still is one; the server needs longer to give it up."""
LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
HELD: Final = """
SELECT count(*) FROM pg_locks, (SELECT hashtextextended(?, 0) AS name) AS seat
 WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ExclusiveLock' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (classid::bigint << 32) | objid::bigint = name
"""


class PostgresSeat:
    """An advisory lock of a session."""

    def __init__(self, dsn: str, schema: str) -> None:
        """Connects when it is taken."""
        self._dsn = dsn
        self._schema = schema
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def take(self) -> None:
        """See `Seat`."""
        if self._connection is None:
            self._connection = await postgres_link.connect(self._dsn, self._schema, is_writer=True)
        try:
            is_ours = await self._connection.fetchval(LOCK, name_of(self._schema), timeout=ANSWER_WITHIN_S)
        except FOREIGN as error:
            self._drop()
            raise code_of(error) from error
        if not is_ours:
            raise SeatTaken("another replica serves the stations", expected="one that does")

    async def confirm(self) -> None:
        """See `Seat`."""
        if self._connection is None or self._connection.is_closed():
            self._drop()
            raise SeatTaken("the connection that held the seat was lost")
        try:
            # A timer of our own: the driver's lets a connection that hangs take as long again to be given up.
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._connection.fetchval("SELECT 1")
        except FOREIGN as error:
            self._drop()
            raise code_of(error) from error

    async def leave(self) -> None:
        """See `Seat`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(LedgerError, *FOREIGN):
                await connection.close(timeout=ANSWER_WITHIN_S)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def name_of(schema: str) -> str:
    """The name of the seat's lock."""
    return f"flexledger {schema} stations"
