"""The log in one schema of a PostgreSQL database, which any number of replicas may write.

The row of the head is the lock between them: a batch is written by who holds it `FOR UPDATE`, or by one statement that
moves it from where the batch was judged. So indices have no gaps (a sequence would leave some). COMMIT waits for the
synchronous standby where there is one, and what a reader sees has waited too.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import asyncpg

from ledger.rules.tables import Row
from ledger.store import postgres_link, postgres_projections, postgres_seat, postgres_write, reads
from ledger.store.errors import HeadMoved, OutcomeUnknown, StandbyMissing, StoreDamaged, StoreForeign, StoreUnreachable
from ledger.store.postgres_link import FOREIGN, HAS_SCHEMA, Link
from ledger.store.postgres_memory import Memory
from ledger.store.postgres_reads import STANDBY, PostgresReader, columns, named
from ledger.store.postgres_schema import APPLICATION, SCHEMA_VERSION, VERSIONS
from ledger.store.postgres_session import Session
from ledger.store.protocol import Batch, Found, Head, StoredCheckpoint, StoredEntry, StreamHead, Tail, Wanted
from ledger.tlog.merkle import Frontier

CONTENDED_BATCHES: Final = 256
"""For so many batches the head is held from the start, once another replica wrote."""
ASKED_BATCHES: Final = 64
"""For so many batches the log is asked about what is not remembered, once something of that was there after all."""
COPY_ABOVE: Final = 500
"""Rows: up to here one statement is the fastest, above it COPY."""

_HOLD: Final = "BEGIN; SELECT 1 FROM head FOR UPDATE"
_SETTLE: Final = "UPDATE settled SET times = times + 1 WHERE id = 1"
_TAIL: Final = "SELECT idx, data, leaf, previous_idx, actor FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
_TAIL_TAGS: Final = "SELECT idx, name, tag FROM tag WHERE idx >= $1 AND idx < $2 ORDER BY idx, name"
_TAIL_ACTORS: Final = "SELECT id, value FROM actor WHERE id > $1 ORDER BY id"


class PostgresStore(PostgresReader):
    """One replica's door to the log: reads over the link, writes over a connection of the sequencer's own loop."""

    def __init__(self, link: Link, dsn: str, schema: str, *, needs_standby: bool) -> None:
        """Takes the link over; use `open`."""
        super().__init__(link)
        self._dsn = dsn
        self._schema = schema
        self._needs_standby = needs_standby
        self._session = Session(dsn, schema)
        self._memory = Memory()
        self._base: Head | None = None
        """The head that the batch is judged on."""
        self._unasked = Wanted()
        """What it took for absent because it is not remembered."""
        self._is_held = False
        self._was_held = False
        """Whether the batch was judged under the lock."""
        self._contended = 0
        """Batches for which the head is held from the start, because others write too."""
        self._asked = 0
        """Batches for which the log is asked, because what is not remembered was there."""

    @classmethod
    def open(cls, dsn: str, *, schema: str = APPLICATION, create: bool = False, needs_standby: bool = False) -> Self:
        """The log of this schema; with `create` the schema is made where there is none, and an older one is brought up.

        With `needs_standby` nothing is written while no synchronous standby is configured at the server.
        Raises StoreUnreachable, StoreAbsent, StoreForeign.
        """
        store = cls(Link(dsn, named(schema), is_writer=True), dsn, schema, needs_standby=needs_standby)
        try:
            if create:
                store._link.run(store._link.ask(store._migrate))
            store.require_schema()
        except BaseException:
            store.close()
            raise
        return store

    async def _migrate(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        async with connection.transaction():
            # Two replicas that start at once do this one after the other.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"{APPLICATION} {self._schema}")
            # Not IF NOT EXISTS: that wants the right to make schemas, also where ours was made for us.
            if not await connection.fetchval(HAS_SCHEMA, self._schema):
                await connection.execute(f'CREATE SCHEMA "{self._schema}"')
            found = await connection.fetchval("SELECT to_regclass($1)::text", f'"{self._schema}".about')
            version = 0 if found is None else await connection.fetchval("SELECT version FROM about")
            for script in VERSIONS[version:]:
                await connection.execute(script)
            if version == 0:
                await connection.execute("INSERT INTO about VALUES ($1, $2)", APPLICATION, SCHEMA_VERSION)
            elif version < SCHEMA_VERSION:
                await connection.execute("UPDATE about SET version = $1", SCHEMA_VERSION)

    def close(self) -> None:
        """Hangs up; what was not committed never was."""
        self._hang_up()
        super().close()

    @property
    def is_shared(self) -> bool:
        return True

    def begin_log(self, origin: str) -> Head:
        self._do("INSERT INTO head VALUES (1, $1, 0, $2, 0, NULL) ON CONFLICT DO NOTHING", origin, Frontier().dump())
        head = self.head()
        if head.origin != origin:
            raise StoreForeign("the store holds another log", expected=origin, found=head.origin)
        return head

    @contextmanager
    def is_alone(self) -> Iterator[bool]:
        name = postgres_link.presence(self._schema)
        (alone,) = self._one("SELECT pg_try_advisory_lock(hashtextextended(?, 0))", (name,))
        try:
            yield bool(alone)
        finally:
            if alone:
                self._one("SELECT pg_advisory_unlock(hashtextextended(?, 0))", (name,))

    def seat(self) -> postgres_seat.PostgresSeat:
        return postgres_seat.PostgresSeat(self._dsn, self._schema)

    # The sequencer's connection

    async def _live(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The connection; raises StoreUnreachable if it was to hold the head and was lost, for another does not."""
        if not self._session.is_open:
            # The next one may lead to another server.
            self._memory.forget()
            if self._is_held:
                self._is_held = False
                raise StoreUnreachable("the connection that held the head was lost")
        return await self._session.live()

    async def peek(self) -> Head:
        connection = await self._live()
        try:
            head = reads.head_of(await connection.fetchrow(reads.HEAD))
        except FOREIGN as error:
            raise self._lost(error) from error
        self._memory.see(head)
        return head

    async def begin(self) -> None:
        """As the protocol has it; the head is held only where another replica was seen to write.

        Else a batch is judged on what is remembered, or on what one statement read, and written by one statement that
        moves the head from there, or writes nothing (`HeadMoved`): one round trip or two instead of four, and no lock.
        """
        if self._contended:
            self._contended -= 1
            await self.lock()
        self._was_held = self._is_held

    async def lock(self, *, is_long: bool = False) -> None:
        connection = await self._live()
        try:
            await connection.execute(_HOLD)
            if is_long:
                # Whoever makes all projections anew is not taken for one that hangs.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        except FOREIGN as error:
            raise self._lost(error) from error
        self._is_held = True

    async def look_up(self, wanted: Wanted) -> Found:
        self._unasked = Wanted()
        if not self._is_held and not self._asked:
            known = self._memory.answer(wanted)
            if known is not None:
                found, self._unasked = known
                self._base = found.head
                return found
        self._asked = max(0, self._asked - 1)
        found = await self._ask(wanted)
        if not self._memory.see(found.head):
            self._contended = CONTENDED_BATCHES
        self._memory.learn(found)
        self._base = found.head
        return found

    async def _ask(self, wanted: Wanted) -> Found:
        connection = await self._live()
        sql, values = postgres_write.look_up(wanted)
        try:
            rows = await connection.fetch(sql, *values)
        except FOREIGN as error:
            raise self._lost(error) from error
        heads: list[Any] = []
        projected: str | None = None
        statements: dict[tuple[str, str], int] = {}
        streams: dict[str, StreamHead] = {}
        counters: dict[tuple[str, str], int] = {}
        for kind, one, other, first, second, octets, flag in rows:
            if kind == postgres_write.STATEMENT:
                statements[one, other] = first
            elif kind == postgres_write.STREAM:
                streams[one] = StreamHead(first, octets, second, bool(flag))
            elif kind == postgres_write.COUNTER:
                counters[one, other] = first
            elif kind == postgres_write.PROJECTED:
                projected = one or None
            else:
                self._require_standby(other)
                heads.append((one, first, octets, second))
        head = reads.head_of((*heads[0], projected) if heads else None)
        return Found(head, statements, streams, counters)

    def _require_standby(self, names: str) -> None:
        if self._needs_standby and not names:
            raise StandbyMissing("commits wait for no standby", expected="synchronous_standby_names")

    async def confirm(self, head: Head) -> None:
        if self._was_held:
            return
        connection = await self._live()
        sql, values = postgres_write.unmoved(head, self._unasked, needs_standby=self._needs_standby)
        try:
            there = await connection.fetchval(sql, *values)
        except FOREIGN as error:
            raise self._lost(error) from error
        if there is None:
            raise self._moved(head.size)

    def _moved(self, expected: int) -> HeadMoved | StoreDamaged:
        if self._was_held:
            return StoreDamaged("the head is not where the last commit left it", expected=expected)
        # The next attempt holds the head, so that nobody loses twice in a row, and learns there why this one lost.
        self._contended = max(1, self._contended)
        if self._is_guessed:
            self._asked = ASKED_BATCHES
        return HeadMoved(
            "another replica wrote first, or something was there that we did not remember", expected=expected
        )

    @property
    def _is_guessed(self) -> bool:
        """Whether the batch took something for absent."""
        unasked = self._unasked
        return bool(unasked.statements or unasked.streams or unasked.counters)

    async def tail(self, start: int, stop: int, *, known_actors: int) -> Tail:
        connection = await self._live()
        try:
            rows = await connection.fetch(_TAIL, start, stop)
            tags = await connection.fetch(_TAIL_TAGS, start, stop)
            actors = await connection.fetch(_TAIL_ACTORS, known_actors)
        except FOREIGN as error:
            raise self._lost(error) from error
        return Tail([StoredEntry(*row) for row in rows], reads.tags_of(tags), reads.actors_of(actors))

    async def changed(self, start: int) -> Sequence[tuple[str, str]]:
        connection = await self._live()
        try:
            return [(kind, key) for kind, key in await connection.fetch(postgres_projections.CHANGED, start)]
        except FOREIGN as error:
            raise self._lost(error) from error

    async def replace_projections(self, rows: Iterable[Row], version: str) -> None:
        connection = await self._live()
        self._memory.forget()
        try:
            await postgres_projections.replace(connection, rows, version)
        except FOREIGN as error:
            raise self._lost(error) from error
        except BaseException:
            await self.unlock()
            raise
        await self._commit(connection)

    async def unlock(self) -> None:
        is_held, self._is_held = self._is_held, False
        if not is_held or not self._session.is_open:
            return
        connection = await self._live()
        try:
            await connection.execute("ROLLBACK")
        except FOREIGN:
            # The server gives the lock back when it notices that we are gone.
            self._hang_up()

    async def leave(self) -> None:
        self._memory.forget()
        await self._session.leave()

    async def commit(self, batch: Batch) -> None:
        if not self._is_held and len(batch.entries) <= COPY_ABOVE:
            await self._commit_at_once(await self._live(), batch)
        else:
            if not self._is_held:
                await self.lock()
            connection = await self._live()
            try:
                await self._insert(connection, batch)
            except FOREIGN as error:
                raise self._lost(error) from error
            except BaseException:
                await self.unlock()
                raise
            await self._commit(connection)
        self._memory.write(batch)

    async def _commit_at_once(self, connection: "asyncpg.Connection[asyncpg.Record]", batch: Batch) -> None:
        """One statement that is a transaction of its own: from where it is sent the outcome is the server's."""
        warned = self._session.warnings
        try:
            await self._insert(connection, batch)
        except FOREIGN as error:
            coded = self._lost(error)
            if isinstance(coded, StoreUnreachable) or isinstance(error, asyncpg.StatementCompletionUnknownError):
                raise OutcomeUnknown("the connection was lost in a write", found=type(error).__name__) from error
            # The server answered, so it is known that nothing was written.
            raise coded from error
        self._require_waited(warned)

    async def _insert(self, connection: "asyncpg.Connection[asyncpg.Record]", batch: Batch) -> None:
        base = self._base
        assert base is not None  # noqa: S101 -- a batch is judged on what `look_up` found
        if batch.head.size - len(batch.entries) != base.size:
            raise StoreDamaged("the batch does not stand on the head that was looked up", expected=base.size)
        is_copied = len(batch.entries) > COPY_ABOVE
        sql, values = postgres_write.statement(
            batch, base, self._unasked, needs_standby=self._needs_standby, is_copied=is_copied
        )
        if await connection.fetchval(sql, *values) is None:
            raise self._moved(base.size)
        if is_copied:
            await connection.copy_records_to_table("entry", records=batch.entries)
            await connection.copy_records_to_table("idempotency", records=batch.statements)

    async def _commit(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """From here on the outcome is the server's: only its answer, without a warning, is a promise."""
        self._is_held = False
        warned = self._session.warnings
        try:
            said = await connection.execute("COMMIT")
        except FOREIGN as error:
            self._hang_up()
            raise OutcomeUnknown("the connection was lost in COMMIT", found=type(error).__name__) from error
        if said != "COMMIT":
            self._memory.forget()
            raise StoreUnreachable("the server gave the transaction up", found=said)
        self._require_waited(warned)

    def _require_waited(self, warned: int) -> None:
        if self._session.warnings != warned:
            # The server stopped waiting for its standby: what it committed, it alone has.
            self._hang_up()
            raise OutcomeUnknown("the server did not wait for its standby")

    def _lost(self, error: BaseException) -> Exception:
        self._is_held = False
        self._memory.forget()
        return self._session.lost(error)

    def _hang_up(self) -> None:
        """With the connection goes the lock, and what was remembered: the next one may lead to another server."""
        self._is_held = False
        self._memory.forget()
        self._session.hang_up()

    # Beside the sequencer

    async def settle(self) -> None:
        await asyncio.wrap_future(self._link.submit(self._link.ask(self._settle)))

    async def _settle(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._require_standby(await connection.fetchval(STANDBY))
        heard: list[object] = []

        def hear(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
            heard.append(message)

        connection.add_log_listener(hear)
        try:
            # The log is one sequence of bytes: when the standby has this commit, it has all before it.
            await connection.execute(_SETTLE)
        finally:
            connection.remove_log_listener(hear)
        if heard:
            raise StandbyMissing("the server did not wait for its standby")

    def require_room(self) -> None:
        """The server alone knows its room, and says so when it ends."""

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        self._do(
            "INSERT INTO checkpoint VALUES ($1, $2, $3, $4) ON CONFLICT (size) DO UPDATE"
            " SET cosigned = coalesce(excluded.cosigned, checkpoint.cosigned)",
            checkpoint.size,
            checkpoint.note,
            checkpoint.at_ms,
            checkpoint.cosigned,
        )

    def put_certificate(self, x5t: str, der: bytes) -> None:
        self._do("INSERT INTO certificate VALUES ($1, $2) ON CONFLICT DO NOTHING", x5t, der)

    def put_evidence(self, sha256: str, kind: str, data: bytes) -> None:
        self.put_evidence_many([(sha256, kind, data)])

    def put_evidence_many(self, pieces: Sequence[tuple[str, str, bytes]]) -> None:
        self._do(
            "INSERT INTO evidence_blob SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])"
            " ON CONFLICT DO NOTHING",
            *columns(pieces, 3),
        )
