"""The log in one SQLite file. Raw `sqlite3`: WAL, synchronous=FULL, one connection that writes and checkpoints.

SQLite before 3.51.3 may tear a WAL that two connections write or checkpoint at once, so only `SqliteStore` does either.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self

from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.rules.tables import Row
from ledger.store import schema
from ledger.store.errors import (
    StoreAbsent,
    StoreBusy,
    StoreDamaged,
    StoreExists,
    StoreForeign,
    StoreFull,
    StoreIo,
)
from ledger.store.lock import WriterLock
from ledger.store.protocol import Batch, Found, Head, StoredCheckpoint, StreamHead, Tail, Wanted
from ledger.store.reads import SqlReads, place
from ledger.store.seat import OnlySeat
from ledger.tlog.merkle import Frontier

CACHE_KIB: Final = 32_768
WAL_PAGES: Final = 1000
"""Checkpointing inside COMMIT is the tail of the latency: a small threshold bounds it."""
WAL_LIMIT_BYTES: Final = 64 * 2**20
BUSY_TIMEOUT_S: Final = 5.0
ROOM_BYTES: Final = 2**20
"""What must fit before writing goes on after the medium was full."""
KEYS_A_QUERY: Final = 256
STATEMENTS: Final = 256
"""Compiled queries that are kept."""

ROWS_A_STATEMENT: Final = 64
"""Rows in one INSERT: to begin a statement costs as much as to insert a row."""
NO_PREVIOUS: Final = -1

MAX_VALUE_BYTES: Final = 32 * 2**20
"""Of one value of a file that is only read: twice an attachment. Rows of a crooked file can share the same pages."""

_TABLE: Final = "table"
_HIDDEN: Final = 6
"""Where `PRAGMA table_xinfo` says of a column that it is no plain one."""
_FULL, _IO, _BUSY, _LOCKED = 13, 10, 5, 6
_PROJECT: Final = """INSERT INTO projection VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE
 SET value = excluded.value, idx = excluded.idx, born = excluded.born, until_ms = excluded.until_ms"""
_MOVE: Final = """UPDATE head SET size = ?, frontier = ?, rec_ms = ?, projected = ?
 WHERE size = ? AND frontier = ? AND rec_ms = ? AND projected IS ?"""
_ENTRY: Final = ("INSERT INTO entry VALUES ", f"(?,?,?,nullif(?,{NO_PREVIOUS}),?)", "")
_STATEMENT: Final = ("INSERT INTO idempotency VALUES ", "(?,?,?)", "")
_STREAM: Final = (
    "INSERT INTO stream_head VALUES ",
    "(?,?,?,?,?)",
    """ ON CONFLICT (stream) DO UPDATE
 SET seq = excluded.seq, leaf = excluded.leaf, idx = excluded.idx, closed = excluded.closed""",
)


def code_of(error: sqlite3.Error | UnicodeDecodeError) -> LedgerError:
    """The error with a code for what sqlite3 raised; never repeats a row's content.

    It raises UnicodeDecodeError where its message quotes a damaged schema.
    """
    code = getattr(error, "sqlite_errorcode", 1) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == _FULL:
        return StoreFull("the medium has no room for the batch", found=name)
    if code in (_BUSY, _LOCKED):
        return StoreBusy("the database is locked", found=name)
    if code == _IO:
        return StoreIo("reading or writing the medium failed", found=name)
    return StoreDamaged("the database refused", found=name)


@contextmanager
def coded() -> Iterator[None]:
    """Raises what `code_of` makes of an error inside."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise code_of(error) from error


class SqliteReader(SqlReads):
    """A log's file, opened read-only: nothing here can change it, and it need not be running."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Takes the connection over; use `open`."""
        self._db = connection

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Raises StoreAbsent, StoreForeign."""
        file = Path(path)
        if not file.is_file():
            raise StoreAbsent("no log in this place", found=file.name)
        with coded():
            reader = cls(_connect_read_only(file))
        try:
            reader.require_schema()
        except Exception:
            reader.close()
            raise
        return reader

    def require_schema(self) -> None:
        """The file is a store of this version; raises StoreForeign."""
        with coded():
            found = self._db.execute("PRAGMA application_id").fetchone()[0]
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != schema.APPLICATION_ID:
            raise StoreForeign("not a log", expected=f"{schema.APPLICATION_ID:#x}", found=f"{found:#x}")
        if version != schema.SCHEMA_VERSION:
            raise StoreForeign("another version of the store", expected=schema.SCHEMA_VERSION, found=version)
        # Whoever made the file may have put a view, or a column that is computed, where a table of ours was: reading it
        # would run what is written there, for ever.
        with coded():
            kinds = {name: kind for _, name, kind, *_ in self._db.execute("PRAGMA main.table_list")}
            for name in schema.TABLE_NAMES:
                if kinds.get(name, _TABLE) != _TABLE:
                    raise StoreForeign("no table", expected=_TABLE, found=kinds[name], table=name)
                if any(column[_HIDDEN] for column in self._db.execute(f"PRAGMA main.table_xinfo({name})")):
                    raise StoreForeign("a column that is computed", expected="what is stored", table=name)

    def standby_names(self) -> str:
        """A file has no standby."""
        return ""

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For an audit, which reads the tables as they are."""
        return self._db

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment."""
        self._one("BEGIN")
        try:
            yield
        finally:
            self._one("COMMIT")

    @contextmanager
    def moment(self) -> Iterator[None]:
        if self._db.in_transaction:
            yield
        else:
            with self.snapshot():
                yield

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._db.execute(sql, values).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise code_of(error) from error

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise code_of(error) from error

    def _each(self, sql: str) -> Iterator[Any]:
        with coded():
            yield from self._db.execute(sql)

    def find_statements(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        if len(wanted) == 1:
            # A lone writer's batch: half the price of a list of one.
            (key,) = wanted
            index = self.find_statement(*key)
            return {} if index is None else {key: index}
        # CROSS JOIN fixes the order: each wanted key is looked up, the table is never scanned.
        sql = "SELECT i.party, i.jti, i.idx FROM (VALUES {}) AS w CROSS JOIN idempotency AS i"
        sql += " WHERE i.party = w.column1 AND i.jti = w.column2"
        return {(party, jti): index for party, jti, index in self._some(sql, "(?,?)", wanted)}

    def found(self, wanted: Wanted, head: Head | None = None) -> Found:
        """What the log knows of this, at its head; `head` is that if it is known already."""
        counters = "SELECT c.party, c.x5t, c.seq FROM (VALUES {}) AS w CROSS JOIN actor_counter AS c"
        counters += " WHERE c.party = w.column1 AND c.x5t = w.column2"
        return Found(
            head=head or self.head(),
            statements=self.find_statements(wanted.statements),
            streams=self._stream_heads(wanted.streams),
            counters={(party, x5t): seq for party, x5t, seq in self._some(counters, "(?,?)", wanted.counters)},
        )

    def _stream_heads(self, wanted: Sequence[str]) -> dict[str, StreamHead]:
        if len(wanted) == 1:
            # As in `find_statements`.
            head = self.stream_head(wanted[0])
            return {} if head is None else {wanted[0]: head}
        sql = "SELECT stream, seq, leaf, idx, closed FROM stream_head WHERE stream IN ({})"
        rows = self._some(sql, "?", [(name,) for name in wanted])
        return {row[0]: StreamHead(row[1], row[2], row[3], bool(row[4])) for row in rows}

    def _some(self, sql: str, mark: str, wanted: Sequence[tuple[str, ...]]) -> Iterator[Any]:
        """The rows of these keys, asked for some at a time; few lengths, so that few queries are ever compiled."""
        start = 0
        while start < len(wanted):
            some = wanted[start : start + KEYS_A_QUERY]
            start += len(some)
            length = 1 << (len(some) - 1).bit_length()
            keys = [text for key in some for text in key] + list(some[-1] * (length - len(some)))
            yield from self._all(sql.format(",".join([mark] * length)), keys)


class SqliteStore(SqliteReader):
    """The one writer of a log; a second one is refused with StoreLocked."""

    def __init__(self, connection: sqlite3.Connection, lock: WriterLock) -> None:
        """Takes both over; use `create_or_open`."""
        super().__init__(connection)
        self._lock = lock
        self._last: Head | None = None
        """The head that our last commit left, if nothing failed since; the next one proves that it is stored."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False) -> Self:
        """With `create` a new file, which may not exist yet.

        Raises StoreExists, StoreAbsent, StoreForeign, StoreLocked.
        """
        file = Path(path)
        if create and file.exists():
            raise StoreExists("a new log is never written over a file", found=file.name)
        if not create and not file.is_file():
            raise StoreAbsent("no log in this place", found=file.name)
        lock = WriterLock(file.with_name(file.name + ".lock"))
        try:
            if create:
                # SQLite's own files beside it follow its mode; nobody needs the folder's to keep others out.
                os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with coded():
                store = cls(_connect_writer(file), lock)
                if create:
                    store._db.executescript(schema.script())
                else:
                    store._bring_up()
            store.require_schema()
        except Exception:
            lock.release()
            raise
        return store

    def _bring_up(self) -> None:
        """A file of an older version of ours gets what it lacks; any other is left as it is."""
        found = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found == schema.APPLICATION_ID and 0 < version < schema.SCHEMA_VERSION:
            self._db.executescript(schema.script(version))

    def close(self) -> None:
        """Checkpoints the WAL, closes the file, gives the lock back."""
        try:
            super().close()
        finally:
            self._lock.release()

    def begin_log(self, origin: str) -> Head:
        if self._one("SELECT 1 FROM head") is None:
            self._one("INSERT INTO head VALUES (1, ?, 0, ?, 0, NULL)", (origin, Frontier().dump()))
        head = self.head()
        if head.origin != origin:
            raise StoreForeign("the store holds another log", expected=origin, found=head.origin)
        return head

    @property
    def is_shared(self) -> bool:
        return False

    @contextmanager
    def is_alone(self) -> Iterator[bool]:
        # The file's lock says so.
        yield True

    def seat(self) -> OnlySeat:
        return OnlySeat()

    async def begin(self) -> None:
        """Nobody else writes."""

    async def confirm(self, head: Head) -> None:
        """Nobody else wrote."""

    async def lock(self, *, is_long: bool = False) -> None:
        """The file's lock is held from `open` to `close`."""

    async def look_up(self, wanted: Wanted) -> Found:
        if self._last is None:
            self._last = self.head()
        return self.found(wanted, self._last)

    async def unlock(self) -> None:
        """Nothing to give back: the file's lock is held from `open` to `close`."""

    async def peek(self) -> Head:
        return self.head()

    async def tail(self, start: int, stop: int, *, known_actors: int) -> Tail:
        return Tail(list(self.entries(start, stop)), self.tags(start, stop), self.actors(above=known_actors))

    async def changed(self, start: int) -> Sequence[tuple[str, str]]:
        return ()

    async def replace_projections(self, rows: Iterable[Row], version: str) -> None:
        self._last = None
        with coded():
            self._begin()
            try:
                last = self.head().size - 1
                self._db.execute("DELETE FROM projection")
                self._db.executemany(
                    _PROJECT, ((row.kind, row.key, row.value, last, row.born, row.until_ms) for row in rows)
                )
                self._db.execute("UPDATE head SET projected = ?", (version,))
                # The rows and the word that they hold are one step.
                self._commit()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    async def leave(self) -> None:
        """As `unlock`."""

    async def settle(self) -> None:
        """COMMIT has synced already, and there is no second machine."""

    async def commit(self, batch: Batch) -> None:
        last, self._last = self._last, None
        with coded():
            self._begin()
            try:
                self._insert(batch, last or self.head())
                # From here on the batch is permanent; a crash before the acknowledgement is repaired by the
                # caller's retry, which finds its statement by (party, jti).
                self._commit()
            except BaseException:
                # On SQLITE_FULL and some others the transaction is rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._last = batch.head

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _insert(self, batch: Batch, last: Head) -> None:
        db = self._db
        # The three tables that grow with each entry. `sqlite3` looks for an adapter of whatever is not a plain number,
        # a text or a bytearray, at a third of the price of a row: so there are no bytes and no None among the values.
        entries: list[Any] = []
        for index, data, leaf, previous, actor in batch.entries:
            at = NO_PREVIOUS if previous is None else previous
            entries += (index, bytearray(data), bytearray(leaf), at, actor)
        self._put(_ENTRY, 5, entries)
        self._put(_STATEMENT, 3, [value for row in batch.statements for value in row])
        streams: list[Any] = []
        for stream, head in batch.streams.items():
            streams += (stream, head.seq, bytearray(head.leaf), head.index, int(head.is_closed))
        self._put(_STREAM, 5, streams)
        if batch.counters:
            db.executemany(
                "INSERT INTO actor_counter VALUES (?, ?, ?) ON CONFLICT (party, x5t) DO UPDATE SET seq = excluded.seq",
                [(party, x5t, seq) for (party, x5t), seq in batch.counters.items()],
            )
        if batch.tags:
            db.executemany("INSERT INTO tag VALUES (?, ?, ?)", batch.tags)
        if batch.tiles:
            tiles = [(place(level, index), hashes, root) for level, index, hashes, root in batch.tiles]
            db.executemany("INSERT INTO tile VALUES (?, ?, ?)", tiles)
        if batch.actors:
            actors = [(number, canonical.encode(actor)) for number, actor in batch.actors.items()]
            db.executemany("INSERT INTO actor VALUES (?, ?)", actors)
        if batch.projections:
            db.executemany(_PROJECT, batch.projections)
        made = batch.head
        before = made.size - len(batch.entries)
        # The batch was judged on this head, whole: it is compared here, where it costs no query of its own.
        after = (made.size, made.frontier.dump(), made.rec_ms, made.projected)
        moved = db.execute(_MOVE, (*after, before, last.frontier.dump(), last.rec_ms, last.projected)).rowcount
        if moved != 1:
            raise StoreDamaged("the head is not where the last commit left it", expected=before)

    def _put(self, insert: tuple[str, str, str], width: int, values: list[Any]) -> None:
        """Inserts rows whose values stand one after the other: several a statement, of few lengths to be compiled."""
        before, row, after = insert
        start, left, rows = 0, len(values) // width, ROWS_A_STATEMENT
        while left:
            while rows > left:
                rows >>= 1
            stop = start + rows * width
            self._db.execute(before + ",".join([row] * rows) + after, values[start:stop])
            start = stop
            left -= rows

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def require_room(self) -> None:
        with coded():
            self._db.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_BYTES,))
            self._db.execute("DELETE FROM room")

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        self._one(
            "INSERT INTO checkpoint VALUES (?, ?, ?, ?) ON CONFLICT (size) DO UPDATE"
            " SET cosigned = coalesce(excluded.cosigned, cosigned)",
            (checkpoint.size, checkpoint.note, checkpoint.at_ms, checkpoint.cosigned),
        )

    def put_certificate(self, x5t: str, der: bytes) -> None:
        self._one("INSERT INTO certificate VALUES (?, ?) ON CONFLICT DO NOTHING", (x5t, der))

    def put_evidence(self, sha256: str, kind: str, data: bytes) -> None:
        self.put_evidence_many([(sha256, kind, data)])

    def put_evidence_many(self, pieces: Sequence[tuple[str, str, bytes]]) -> None:
        with coded(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO evidence_blob VALUES (?, ?, ?) ON CONFLICT DO NOTHING", pieces)


def _connect_writer(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None, timeout=BUSY_TIMEOUT_S, cached_statements=STATEMENTS)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        # Makes REPLACE fire the triggers that forbid deleting.
        db.execute("PRAGMA recursive_triggers = ON")
        db.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        db.close()
        raise
    return db


def _connect_read_only(file: Path) -> sqlite3.Connection:
    uri = file.resolve().as_uri() + "?mode=ro"
    # A copy on a read-only medium has no WAL and cannot get one: then, and only then, it is read as immutable.
    if not os.access(file.parent, os.W_OK) and not file.with_name(file.name + "-wal").exists():
        uri += "&immutable=1"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        with closing(db.execute("SELECT 1 FROM sqlite_schema")) as found:
            found.fetchone()
    except BaseException:
        db.close()
        raise
    return db
