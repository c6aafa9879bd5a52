"""How one gets to a PostgreSQL server: connections, their settings, and what their errors mean to us.

Reading is synchronous everywhere in this house, and asyncpg is not: a `Link` keeps one connection on an event loop in a
thread of its own, and reconnects it. Writing does not go through it; the sequencer's connection lives on its own loop.
"""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg

from ledger.errors import LedgerError
from ledger.store.errors import (
    StoreAbsent,
    StoreBusy,
    StoreDamaged,
    StoreDenied,
    StoreFull,
    StoreIo,
    StoreUnreachable,
)

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5.0
QUERY_TIMEOUT_S: Final = 30.0
"""Also how long a COMMIT waits for the standby before its outcome is called unknown."""
SETTINGS: Final = {
    "application_name": "flexledger",
    # A replica that hangs while it holds the head is cut off, or all the others would hang with it.
    "idle_in_transaction_session_timeout": "15s",
    "lock_timeout": "20s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
WAITING_COMMITS: Final = frozenset({"on", "remote_apply"})
"""Values of synchronous_commit under which COMMIT waits for the standby's disk."""

HAS_SCHEMA: Final = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"

_GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError)
_FULL: Final = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
_IO: Final = (asyncpg.PostgresIOError,)
_DENIED: Final = (asyncpg.InvalidAuthorizationSpecificationError,)
_ABSENT: Final = (asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


def code_of(error: BaseException) -> LedgerError:
    """The error with a code for what asyncpg raised; never repeats a row's content, nor where the server is."""
    name = type(error).__name__
    if isinstance(error, ssl.SSLError):
        return StoreUnreachable("the database server and we find no TLS that both accept", found=name)
    if type(error) is ConnectionError:  # the driver's own: the system's are of its subclasses
        return StoreUnreachable("the database server has no TLS, or broke off", found=name)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return StoreUnreachable("the address of the database server cannot be used", found=name)
    # A server that panics, as where its write-ahead log has no room, may have kept a commit all the same.
    if isinstance(error, _GONE) or getattr(error, "severity_en", None) == "PANIC":
        return StoreUnreachable("the database server does not answer, or takes no writes", found=name)
    if isinstance(error, _BUSY):
        return StoreBusy("the log is locked by another replica", found=name)
    if isinstance(error, _FULL):
        return StoreFull("the server has no room for the batch", found=name)
    if isinstance(error, _IO):
        return StoreIo("the server failed to read or write its medium", found=name)
    if isinstance(error, _DENIED):
        return StoreUnreachable("the database server does not let us in", found=name)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return StoreDenied("the role may not do this in the database", expected="the rights of the how-to", found=name)
    if isinstance(error, _ABSENT):
        return StoreAbsent("no log in this place", found=name)
    return StoreDamaged("the database refused", found=name)


FOREIGN: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a query can raise."""


async def connect(
    dsn: str, schema: str, *, is_writer: bool, more: Mapping[str, str] | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection to the log's schema, with `more` settings; of several hosts the one that takes writes, for a writer.

    Raises StoreUnreachable, StoreAbsent.
    """
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=QUERY_TIMEOUT_S,
            server_settings={**SETTINGS, **(more or {}), "search_path": f'"{schema}"'},
            target_session_attrs="primary" if is_writer else "any",
        )
        if is_writer and await connection.fetchval("SHOW synchronous_commit") not in WAITING_COMMITS:
            await connection.execute("SET synchronous_commit = on")
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        unknown = "the database server does not take a parameter of its address"
        raise StoreUnreachable(unknown, found=type(error).__name__) from None
    except FOREIGN as error:
        raise code_of(error) from None
    except ValueError as error:
        # The parser's message repeats what it was given, a password included.
        raise StoreUnreachable(
            "the address of the database server cannot be used", found=type(error).__name__
        ) from None
    return connection


def presence(schema: str) -> str:
    """The name of the lock that every replica shares."""
    return f"flexledger {schema}"


class Link:
    """One connection for reading, on a loop in a thread of its own; made again when it is lost."""

    def __init__(self, dsn: str, schema: str, *, is_writer: bool, is_replica: bool = True) -> None:
        """Connects with the first call; a writer that is no replica gets to who takes writes, and is seen by nobody."""
        self._dsn = dsn
        self.schema = schema
        self._is_writer = is_writer
        self._is_replica = is_replica
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._turn = asyncio.Lock()
        self.is_pinned = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts the work on the link's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns; the calling thread waits."""
        return self.submit(work).result()

    async def ask(self, question: "Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[Any, Any, T]]") -> T:
        """The answer over the link's connection; asked again once over a new one, if the old one was lost.

        Raises what `code_of` makes of an error.
        """
        async with self._turn:
            for is_last in (self.is_pinned, True):
                connection = await self._live()
                try:
                    return await question(connection)
                except FOREIGN as error:
                    coded = code_of(error)
                    if not isinstance(coded, StoreUnreachable):
                        raise coded from error
                    self._drop()
                    if is_last:
                        raise coded from error
            raise StoreUnreachable("the database server does not answer")  # pragma: no cover -- the last one raised

    @asynccontextmanager
    async def pinned(self) -> AsyncIterator[None]:
        """Everything asked inside is of one moment."""
        connection = await self._live()
        try:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except FOREIGN as error:
            raise code_of(error) from error
        self.is_pinned = True
        try:
            yield
        finally:
            self.is_pinned = False
            if not connection.is_closed():
                await connection.execute("ROLLBACK")

    async def give_up(self) -> None:
        """Rolls back what is open; a connection that cannot do that is dropped, and the transaction with it."""
        if self._connection is None:
            return
        try:
            await self._connection.execute("ROLLBACK")
        except FOREIGN:
            self._drop()

    async def _live(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            if self.is_pinned:
                raise StoreUnreachable("the connection was lost, and with it the moment that was read")
            self._connection = await connect(self._dsn, self.schema, is_writer=self._is_writer)
            if self._is_writer and self._is_replica:
                await self._show_presence(self._connection)
        return self._connection

    async def _show_presence(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """A replica is seen by the others for as long as it is connected; it waits for one that is alone to finish."""
        try:
            await connection.fetchval("SELECT pg_advisory_lock_shared(hashtextextended($1, 0))", presence(self.schema))
        except FOREIGN as error:
            raise code_of(error) from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def close(self) -> None:
        """Hangs up and ends the thread."""
        if self._loop.is_closed():
            return
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        if self._connection is not None:
            with suppress(*FOREIGN):
                await self._connection.close(timeout=CONNECT_TIMEOUT_S)
