"""A log's SQLite file as the source of an audit: read-only, one snapshot, rows and look-ups as few calls as can be."""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from ledger.audit.report import Finding
from ledger.audit.source import End, Row
from ledger.audit.store_source import StoreSource
from ledger.store import sqlite
from ledger.store.errors import StoreDamaged
from ledger.store.sqlite import KEYS_A_QUERY, SqliteReader, coded

MAX_VALUE_BYTES: Final = 2**20
"""Of one value, but for evidence: many rows are read at once, and those of a crooked file can share their pages."""

MIN_ROW_BYTES: Final = 8
"""No row of an entry is smaller: five members and what says how long they are."""

_ROWS: Final = "SELECT idx, data, leaf, previous_idx, actor FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx"

_IS_HEAD: Final = """ CROSS JOIN stream_head AS h WHERE h.stream = w.column1 AND h.seq = w.column2
 AND h.leaf = w.column3 AND h.idx = w.column4 AND h.closed = w.column5"""


class SqliteSource(StoreSource):
    """Open for one audit; the writer may go on meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises StoreAbsent, StoreForeign."""
        self._path = Path(path)
        reader = SqliteReader.open(self._path)
        self._db = reader.connection
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        self._db.execute("BEGIN")
        super().__init__(reader)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        """Another process opens the file for itself."""
        return type(self), (self._path,)

    def _room(self) -> int:
        with coded():
            (pages,), (octets,) = (
                self._db.execute("PRAGMA page_count").fetchone(),
                self._db.execute("PRAGMA page_size").fetchone(),
            )
        return int(pages) * int(octets) // MIN_ROW_BYTES

    def faults(self, vkeys: tuple[str, ...]) -> Iterator[Finding]:
        # One piece of evidence is larger than anything else, and they are read one after the other.
        before = self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, sqlite.MAX_VALUE_BYTES)
        try:
            yield from super().faults(vkeys)
        finally:
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)

    def _rows(self, start: int, stop: int) -> list[Row]:
        with coded():
            return self._db.execute(_ROWS, (start, stop)).fetchall()

    def recorded(self, statements: Sequence[tuple[str, str, int]]) -> int:
        try:
            with coded():
                return sum(
                    self._recorded(statements[at : at + KEYS_A_QUERY]) for at in range(0, len(statements), KEYS_A_QUERY)
                )
        except StoreDamaged:
            return 0

    def _recorded(self, some: Sequence[tuple[str, str, int]]) -> int:
        values = ",".join(["(?,?,?)"] * len(some))
        # CROSS JOIN fixes the order: each statement is looked up, the table is never scanned.
        sql = f"SELECT count(*) FROM (VALUES {values}) AS w CROSS JOIN idempotency AS i"  # noqa: S608 -- only "(?,?,?)"
        sql += " WHERE i.party = w.column1 AND i.jti = w.column2 AND i.idx = w.column3"
        return int(self._db.execute(sql, [value for one in some for value in one]).fetchone()[0])

    def confirmed(self, ends: Sequence[End]) -> Collection[str]:
        try:
            with coded():
                found: list[tuple[str]] = []
                for at in range(0, len(ends), KEYS_A_QUERY):
                    some = ends[at : at + KEYS_A_QUERY]
                    values = ",".join(["(?,?,?,?,?)"] * len(some))
                    sql = f"SELECT w.column1 FROM (VALUES {values}) AS w{_IS_HEAD}"  # noqa: S608 -- only "(?,?,?,?,?)"
                    found += self._db.execute(sql, [value for one in some for value in one])
                return {stream for (stream,) in found}
        except StoreDamaged:
            return ()

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()
