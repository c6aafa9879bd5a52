"""The sequencer's own connection to a PostgreSQL server, on the sequencer's loop: one that is in doubt is hung up."""

from contextlib import suppress
from typing import Final

import asyncpg

from ledger.store import postgres_link
from ledger.store.postgres_link import CONNECT_TIMEOUT_S, FOREIGN, code_of

PLANS: Final = {
    # Everything here is found by a key. A planner that knows nothing yet of a log that grows would read its tables
    # whole, for every batch, and plan each anew.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


class Session:
    """A connection that is made when it is needed, and what the server said on it that nobody asked for."""

    def __init__(self, dsn: str, schema: str) -> None:
        """Connects with the first call of `live`."""
        self._dsn = dsn
        self._schema = schema
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self.warnings = 0
        """How many there were; a commit that gets one did not wait for its standby."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None and not self._connection.is_closed()

    async def live(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The connection; a new one if the last was lost. Raises StoreUnreachable, StoreAbsent."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await postgres_link.connect(self._dsn, self._schema, is_writer=True, more=PLANS)
            connection.add_log_listener(self._hear)
            self._connection = connection
        return connection

    def _hear(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if isinstance(message, asyncpg.PostgresWarning):
            self.warnings += 1

    def lost(self, error: BaseException) -> Exception:
        """The coded error; the connection goes with it, and its locks, for nobody knows what state it is in."""
        self.hang_up()
        return code_of(error)

    def hang_up(self) -> None:
        """What was not committed never was."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def leave(self) -> None:
        """Takes leave of the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FOREIGN):
                await connection.close(timeout=CONNECT_TIMEOUT_S)
