"""What a witness remembers, in one SQLite file of its own: the last checkpoint that it cosigned for each log.

The file must never be restored from an older copy: a witness that forgot would cosign a second history.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Self

from ledger.errors import LedgerError
from ledger.store.errors import StoreBusy, StoreDamaged, StoreForeign, StoreFull, StoreIo
from ledger.witness.cosign import Fork, Head

APPLICATION_ID: Final = 0x464C5749
SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 5.0
MAX_FORKS: Final = 1_000
"""Proven forks kept a log; the first one convicts it, the rest is noise."""

_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE head (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    signed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fork (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    cosigned BLOB NOT NULL,
    refused BLOB NOT NULL,
    UNIQUE (origin, cosigned, refused)
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

_FULL, _IO, _BUSY, _LOCKED = 13, 10, 5, 6


class WitnessMemory:
    """One file; `compare_and_set` is one transaction, durable when it returns. Threads and processes may share it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Takes the connection over; use `open`."""
        self._db = connection
        self._lock = Lock()

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """The memory in the file; a new one only with `create`, for one that is missing was lost.

        Raises StoreForeign for a file that is something else or is not there.
        """
        if not create and not path.is_file():
            raise StoreForeign("the witness's memory is not there", expected="the file that it was made with")
        with _coded():
            # Every statement of ours is its own transaction unless it begins one.
            db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            memory = cls(db)
            try:
                memory._prepare(create)
            except BaseException:
                db.close()
                raise
        path.chmod(0o600)
        return memory

    def _prepare(self, create: bool) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = DELETE")
        # EXTRA also syncs the folder after the journal is gone, so that no crash brings an older head back.
        db.execute("PRAGMA synchronous = EXTRA")
        if create and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            db.executescript(_SCHEMA)
        found = (db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0])
        if found != (APPLICATION_ID, SCHEMA_VERSION):
            raise StoreForeign("not a witness's memory", expected=f"version {SCHEMA_VERSION}")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def latest(self, origin: str) -> Head | None:
        """The head stored last for the log, None if there never was one."""
        with self._lock, _coded():
            return self._latest(origin)

    def compare_and_set(self, origin: str, expected: Head | None, new: Head) -> bool:
        """`new` is stored durably if `expected` is still there; False, changing nothing, if it is not."""
        with self._lock, _coded():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                is_expected = self._latest(origin) == expected
                if is_expected:
                    self._db.execute(
                        "INSERT INTO head VALUES (?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE"
                        " SET size = excluded.size, root = excluded.root, signed = excluded.signed",
                        (origin, new.size, new.root, new.signed),
                    )
                # From here on the head is permanent; a crash before the answer costs the log one more question.
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        return is_expected

    def keep_fork(self, fork: Fork) -> None:
        """The two notes are kept for ever, each pair once, at most MAX_FORKS a log."""
        with self._lock, _coded():
            self._db.execute(
                "INSERT INTO fork (origin, cosigned, refused) SELECT ?, ?, ?"
                " WHERE (SELECT count(*) FROM fork WHERE origin = ?) < ? ON CONFLICT DO NOTHING",
                (fork.origin, fork.cosigned, fork.refused, fork.origin, MAX_FORKS),
            )

    def forks(self) -> list[Fork]:
        """Every proven fork, in the order in which they were found."""
        with self._lock, _coded():
            rows = self._db.execute("SELECT origin, cosigned, refused FROM fork ORDER BY id").fetchall()
        return [Fork(*row) for row in rows]

    def heads(self) -> dict[str, Head]:
        """The last cosigned head of every log."""
        with self._lock, _coded():
            rows = self._db.execute("SELECT origin, size, root, signed FROM head ORDER BY origin").fetchall()
        return {row[0]: Head(*row[1:]) for row in rows}

    def _latest(self, origin: str) -> Head | None:
        row = self._db.execute("SELECT size, root, signed FROM head WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Head(*row)


@contextmanager
def _coded() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _code_of(error) from error


def _code_of(error: sqlite3.Error) -> LedgerError:
    code = getattr(error, "sqlite_errorcode", 1) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == _FULL:
        return StoreFull("no room for the witness's memory", found=name)
    if code in (_BUSY, _LOCKED):
        return StoreBusy("the witness's memory is locked", found=name)
    if code == _IO:
        return StoreIo("the medium of the witness's memory failed", found=name)
    return StoreDamaged("the witness's memory refused", found=name)
