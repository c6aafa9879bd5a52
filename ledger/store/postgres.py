"""The log in one schema of a PostgreSQL database, which any number of replicas may write.

The row of the head is the lock: whoever holds it `FOR UPDATE` judges and writes, so indices have no gaps (a sequence
would leave some). COMMIT waits for the synchronous standby where there is one, and what a reader sees has waited too.
"""

import asyncio
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

import asyncpg

from ledger.errors import Refused
from ledger.records import canonical
from ledger.rules.tables import Row
from ledger.store import postgres_link, postgres_seat, reads
from ledger.store.errors import (
    HeadMoved,
    OutcomeUnknown,
    StandbyMissing,
    StoreDamaged,
    StoreForeign,
    StoreUnreachable,
)
from ledger.store.postgres_link import FOREIGN, Link, code_of
from ledger.store.postgres_schema import APPLICATION, SCHEMA_VERSION, VERSIONS
from ledger.store.protocol import Batch, Found, Head, StoredCheckpoint, StoredEntry, StreamHead, Tail, Wanted
from ledger.store.reads import SqlReads, place
from ledger.tlog.merkle import Frontier

REPLACE_TIMEOUT_S: Final = 3600.0
"""How long making all projections anew may take: they are as many as the log has things in it."""
CONTENDED_BATCHES: Final = 256
"""For so many batches the head is held from the start, once another replica was faster."""
COPY_ABOVE: Final = 500
"""Rows: up to here one statement with arrays is the fastest, above it COPY."""
SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
EACH_ROWS: Final = 1000

_HOLD: Final = "BEGIN; SELECT 1 FROM head FOR UPDATE"
_STANDBY: Final = "SELECT current_setting('synchronous_standby_names')"
_SETTLE: Final = "UPDATE settled SET times = times + 1 WHERE id = 1"
_STATEMENTS: Final = (
    "SELECT party, jti, idx FROM idempotency WHERE (party, jti) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
)
_STATEMENT, _STREAM, _COUNTER, _PROJECTED = 1, 2, 3, 4
_LOOK_UP: Final = f"""
SELECT 0, origin, current_setting('synchronous_standby_names'), size, rec_ms, frontier, 0::smallint FROM head
UNION ALL SELECT {_PROJECTED}, coalesce(projected, ''), '', 0, 0, NULL, 0::smallint FROM head
UNION ALL SELECT {_STATEMENT}, party, jti, idx, 0, NULL, 0::smallint FROM idempotency
 WHERE (party, jti) IN (SELECT * FROM unnest($1::text[], $2::text[]))
UNION ALL SELECT {_STREAM}, stream, '', seq, idx, leaf, closed FROM stream_head WHERE stream = ANY($3::text[])
UNION ALL SELECT {_COUNTER}, party, x5t, seq, 0, NULL, 0::smallint FROM actor_counter
 WHERE (party, x5t) IN (SELECT * FROM unnest($4::text[], $5::text[]))
"""  # noqa: S608 -- numbers of ours
"""All that a batch is judged on in one round trip: (kind, text, text, number, number, octets, flag)."""
_TAIL: Final = "SELECT idx, data, leaf, previous_idx, actor FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
_TAIL_TAGS: Final = "SELECT idx, name, tag FROM tag WHERE idx >= $1 AND idx < $2 ORDER BY idx, name"
_TAIL_ACTORS: Final = "SELECT id, value FROM actor WHERE id > $1 ORDER BY id"
_CHANGED: Final = "SELECT kind, key FROM projection WHERE idx >= $1"
_WRITE: Final = """
WITH h AS (UPDATE head SET size = $31, frontier = $32, rec_ms = $33, projected = $34
           WHERE id = 1 AND size = $35 RETURNING size),
 e AS (INSERT INTO entry
       SELECT u.* FROM h, unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[]) AS u),
 i AS (INSERT INTO idempotency SELECT u.* FROM h, unnest($6::text[], $7::text[], $8::bigint[]) AS u),
 s AS (INSERT INTO stream_head
       SELECT u.* FROM h, unnest($9::text[], $10::bigint[], $11::bytea[], $12::bigint[], $13::smallint[]) AS u
       ON CONFLICT (stream) DO UPDATE
       SET seq = excluded.seq, leaf = excluded.leaf, idx = excluded.idx, closed = excluded.closed),
 c AS (INSERT INTO actor_counter SELECT u.* FROM h, unnest($14::text[], $15::text[], $16::bigint[]) AS u
       ON CONFLICT (party, x5t) DO UPDATE SET seq = excluded.seq),
 g AS (INSERT INTO tag SELECT u.* FROM h, unnest($17::bigint[], $18::text[], $19::text[]) AS u),
 t AS (INSERT INTO tile SELECT u.* FROM h, unnest($20::bigint[], $21::bytea[], $22::bytea[]) AS u),
 a AS (INSERT INTO actor SELECT u.* FROM h, unnest($23::bigint[], $24::bytea[]) AS u),
 p AS (INSERT INTO projection
       SELECT u.* FROM h,
        unnest($25::text[], $26::text[], $27::bytea[], $28::bigint[], $29::bigint[], $30::bigint[]) AS u
       ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, idx = excluded.idx, born = excluded.born,
       until_ms = excluded.until_ms)
SELECT size FROM h
"""
"""All of a batch in one round trip; nothing of it if the head is not where the batch was judged."""


class SchemaNameUnfit(Refused):
    """A schema's name is put into SQL as it is, so only plain names are taken."""

    code = "ledger/schema-name-unfit"
    title = "Schema name cannot be used"


class PostgresReader(SqlReads):
    """A log's schema, read over one connection; nothing here can change it."""

    def __init__(self, link: Link) -> None:
        """Takes the link over; use `open`."""
        self._link = link

    @classmethod
    def open(cls, dsn: str, *, schema: str = APPLICATION) -> Self:
        """Reads from any of the hosts, a standby too. Raises StoreUnreachable, StoreAbsent, StoreForeign."""
        reader = cls(Link(dsn, named(schema), is_writer=False))
        try:
            reader.require_schema()
        except BaseException:
            reader.close()
            raise
        return reader

    def require_schema(self) -> None:
        """The schema is a store of this version; raises StoreForeign, StoreAbsent."""
        row = self._one("SELECT application, version FROM about")
        if row is None or row[0] != APPLICATION:
            raise StoreForeign("not a log", expected=APPLICATION)
        if row[1] != SCHEMA_VERSION:
            raise StoreForeign("another version of the store", expected=SCHEMA_VERSION, found=row[1])

    def close(self) -> None:
        """Hangs up."""
        self._link.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        moment = self._link.pinned()
        self._link.run(moment.__aenter__())
        try:
            yield
        finally:
            self._link.run(moment.__aexit__(None, None, None))

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        asked = numbered(sql)
        return self._link.run(self._link.ask(lambda connection: connection.fetchrow(asked, *values)))

    def _all(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Any]:
        asked = numbered(sql)
        return self._link.run(self._link.ask(lambda connection: connection.fetch(asked, *values)))

    def _each(self, sql: str) -> Iterator[Any]:
        # One name a query: the driver remembers the columns of what it prepared by its text.
        name = f"each_{zlib.crc32(sql.encode()):08x}"
        with self.moment():
            self._do(f"DECLARE {name} CURSOR FOR {sql}")
            while rows := self._all(f"FETCH {EACH_ROWS} FROM {name}"):
                yield from rows
            self._do(f"CLOSE {name}")

    def _do(self, sql: str, *values: Any) -> None:
        self._link.run(self._link.ask(lambda connection: connection.execute(sql, *values)))

    @contextmanager
    def moment(self) -> Iterator[None]:
        """The snapshot that is open, or one for what is inside."""
        if self._link.is_pinned:
            yield
        else:
            with self.snapshot():
                yield

    def standby_names(self) -> str:
        """The server's synchronous_standby_names: empty where a commit waits for nobody."""
        return str(self._one(_STANDBY)[0])

    def is_seated(self) -> bool:
        """Whether some replica has the seat of who serves the stations."""
        return bool(self._one(postgres_seat.HELD, (postgres_seat.name_of(self._link.schema),))[0])

    def find_statements(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        rows = self._all(_STATEMENTS, columns(wanted, 2))
        return {(party, jti): index for party, jti, index in rows}


class PostgresStore(PostgresReader):
    """One replica's door to the log: reads over the link, writes over a connection of the sequencer's own loop."""

    def __init__(self, link: Link, dsn: str, schema: str, *, needs_standby: bool) -> None:
        """Takes the link over; use `open`."""
        super().__init__(link)
        self._dsn = dsn
        self._schema = schema
        self._needs_standby = needs_standby
        self._writer: asyncpg.Connection[asyncpg.Record] | None = None
        self._warnings = 0
        self._is_held = False
        self._was_held = False
        """Whether the batch was judged under the lock."""
        self._contended = 0
        """Batches for which the head is held from the start, because others write too."""

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
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
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
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None
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

    async def peek(self) -> Head:
        try:
            return reads.head_of(await (await self._live()).fetchrow(reads.HEAD))
        except FOREIGN as error:
            raise self._lost(error) from error

    async def begin(self) -> None:
        """As the protocol has it; the head is held only where another replica was seen to write.

        Else a batch is judged on what one statement read, and written by one statement that moves the head from where
        the first one saw it, or writes nothing (`HeadMoved`): two round trips instead of four, and no lock.
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

    async def confirm(self, head: Head) -> None:
        if not self._was_held and (await self.peek()).size != head.size:
            raise self._moved(head.size)

    def _moved(self, expected: int) -> HeadMoved | StoreDamaged:
        if self._was_held:
            return StoreDamaged("the head is not where the last commit left it", expected=expected)
        self._contended = CONTENDED_BATCHES
        return HeadMoved("another replica wrote first", expected=expected)

    async def look_up(self, wanted: Wanted) -> Found:
        connection = await self._live()
        try:
            rows = await connection.fetch(
                _LOOK_UP, *columns(wanted.statements, 2), wanted.streams, *columns(wanted.counters, 2)
            )
        except FOREIGN as error:
            raise self._lost(error) from error
        heads: list[Any] = []
        projected: str | None = None
        statements: dict[tuple[str, str], int] = {}
        streams: dict[str, StreamHead] = {}
        counters: dict[tuple[str, str], int] = {}
        for kind, one, other, first, second, octets, flag in rows:
            if kind == _STATEMENT:
                statements[one, other] = first
            elif kind == _STREAM:
                streams[one] = StreamHead(first, octets, second, bool(flag))
            elif kind == _COUNTER:
                counters[one, other] = first
            elif kind == _PROJECTED:
                projected = one or None
            else:
                self._require_standby(other)
                heads.append((one, first, octets, second))
        head = reads.head_of((*heads[0], projected) if heads else None)
        return Found(head, statements, streams, counters)

    def _require_standby(self, names: str) -> None:
        if self._needs_standby and not names:
            raise StandbyMissing("commits wait for no standby", expected="synchronous_standby_names")

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
            return [(kind, key) for kind, key in await connection.fetch(_CHANGED, start)]
        except FOREIGN as error:
            raise self._lost(error) from error

    async def replace_projections(self, rows: Iterable[Row], version: str) -> None:
        connection = await self._live()
        try:
            last = await connection.fetchval("SELECT size - 1 FROM head")
            await connection.execute("DELETE FROM projection", timeout=REPLACE_TIMEOUT_S)
            written = ((row.kind, row.key, row.value, last, row.born, row.until_ms) for row in rows)
            await connection.copy_records_to_table("projection", records=written, timeout=REPLACE_TIMEOUT_S)
            await connection.execute("UPDATE head SET projected = $1", version)
        except FOREIGN as error:
            raise self._lost(error) from error
        except BaseException:
            await self.unlock()
            raise
        await self._commit(connection)

    async def unlock(self) -> None:
        is_held, self._is_held = self._is_held, False
        if not is_held or self._writer is None or self._writer.is_closed():
            return
        try:
            await self._writer.execute("ROLLBACK")
        except FOREIGN:
            # The server gives the lock back when it notices that we are gone.
            self._hang_up()

    async def leave(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(*FOREIGN):
                await writer.close(timeout=postgres_link.CONNECT_TIMEOUT_S)

    async def commit(self, batch: Batch) -> None:
        if not self._is_held and len(batch.entries) <= COPY_ABOVE:
            await self._commit_at_once(await self._live(), batch)
            return
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

    async def _commit_at_once(self, connection: "asyncpg.Connection[asyncpg.Record]", batch: Batch) -> None:
        """One statement that is a transaction of its own: from where it is sent the outcome is the server's."""
        warned = self._warnings
        try:
            await self._insert(connection, batch)
        except FOREIGN as error:
            coded = self._lost(error)
            if isinstance(coded, StoreUnreachable):
                raise OutcomeUnknown("the connection was lost in a write", found=type(error).__name__) from error
            # The server answered, so it is known that nothing was written.
            raise coded from error
        self._require_waited(warned)

    async def _insert(self, connection: "asyncpg.Connection[asyncpg.Record]", batch: Batch) -> None:
        entries, statements = batch.entries, batch.statements
        large = len(entries) > COPY_ABOVE
        if large:
            entries, statements = [], []
        head = batch.head
        before = head.size - len(batch.entries)
        moved = await connection.fetchval(
            _WRITE,
            *columns(entries, 5),
            *columns(statements, 3),
            *columns([(name, at.seq, at.leaf, at.index, int(at.is_closed)) for name, at in batch.streams.items()], 5),
            *columns([(party, x5t, seq) for (party, x5t), seq in batch.counters.items()], 3),
            *columns(batch.tags, 3),
            *columns([(place(level, index), hashes, root) for level, index, hashes, root in batch.tiles], 3),
            *columns([(number, canonical.encode(actor)) for number, actor in batch.actors.items()], 2),
            *columns(batch.projections, 6),
            head.size,
            head.frontier.dump(),
            head.rec_ms,
            head.projected,
            before,
        )
        if moved is None:
            raise self._moved(before)
        if large:
            await connection.copy_records_to_table("entry", records=batch.entries)
            await connection.copy_records_to_table("idempotency", records=batch.statements)

    async def _commit(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """From here on the outcome is the server's: only its answer, without a warning, is a promise."""
        self._is_held = False
        warned = self._warnings
        try:
            said = await connection.execute("COMMIT")
        except FOREIGN as error:
            self._hang_up()
            raise OutcomeUnknown("the connection was lost in COMMIT", found=type(error).__name__) from error
        if said != "COMMIT":
            raise StoreUnreachable("the server gave the transaction up", found=said)
        self._require_waited(warned)

    def _require_waited(self, warned: int) -> None:
        if self._warnings != warned:
            # The server stopped waiting for its standby: what it committed, it alone has.
            self._hang_up()
            raise OutcomeUnknown("the server did not wait for its standby")

    async def _live(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._writer is None or self._writer.is_closed():
            self._writer = await postgres_link.connect(self._dsn, self._schema, is_writer=True)
            self._writer.add_log_listener(self._hear)
        return self._writer

    def _hear(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        if isinstance(message, asyncpg.PostgresWarning):
            self._warnings += 1

    def _lost(self, error: BaseException) -> Exception:
        """The coded error; the connection goes with it, and the lock, for nobody knows what state it is in."""
        self._hang_up()
        return code_of(error)

    def _hang_up(self) -> None:
        self._is_held = False
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None

    # Beside the sequencer

    async def settle(self) -> None:
        await asyncio.wrap_future(self._link.submit(self._link.ask(self._settle)))

    async def _settle(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._require_standby(await connection.fetchval(_STANDBY))
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


def named(schema: str) -> str:
    """The name, if it can stand in SQL as it is; raises SchemaNameUnfit."""
    if SCHEMA_NAME.fullmatch(schema) is None:
        raise SchemaNameUnfit("not a plain name", expected="a-z, 0-9 and _", found=len(schema))
    return schema


_numbered: dict[str, str] = {}


def numbered(sql: str) -> str:
    """The query with $1, $2, ... for its question marks."""
    known = _numbered.get(sql)
    if known is None:
        parts = sql.split("?")
        text = parts[0] + "".join(f"${at}{part}" for at, part in enumerate(parts[1:], 1))
        known = _numbered[sql] = text
    return known


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """The columns of rows, for unnest."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
