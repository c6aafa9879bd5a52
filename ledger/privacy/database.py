"""Where the vault's rows lie: one protocol, and the SQLite file that forgets what it is told to forget.

Statements are written for both engines: `?` and `?1` for values, ON CONFLICT, no function that only one of them has.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from ledger.privacy.errors import VaultAbsent, VaultMalformed

APPLICATION_ID: Final = 0x464C5056
"""`FLPV` in the file's header: this is one of our files."""
BUSY_TIMEOUT_MS: Final = 5_000
FILE_MODE: Final = 0o600

_PRAGMAS: Final = (
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
)

Row = tuple[Any, ...]


class Database(Protocol):
    """One connection, serialised by a lock; transactions are short and explicit, one at a time over all processes."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside happens or nothing does; durable when it returns. Not to be nested."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs one statement; the number of rows that it changed."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each row."""
        ...

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows."""
        ...

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row, if there is one."""
        ...

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        ...

    def empty_log(self) -> bool:
        """What was deleted is gone from where this engine keeps it; False where a reader kept that from happening.

        Does not wait: whoever must have it done tries again.
        """
        ...

    def backup(self, path: Path) -> None:
        """A copy in a new file, where the engine is a file; raises `BackupElsewhere` where it is a server."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


def statements(script: str) -> list[str]:
    """The statements of a script, one by one."""
    return [one for part in script.split(";") if (one := part.strip())]


def listed(count: int) -> str:
    """`count` places for values, for an IN."""
    return ", ".join("?" * count)


class SqliteDatabase:
    """One SQLite file: secure_delete, WAL, and a checkpoint that is checked."""

    def __init__(self, path: Path, versions: Sequence[str], *, create: bool) -> None:
        """Opens the file, or makes it, readable to its owner alone; a file of an earlier version is brought up.

        `versions` is one script a version. Raises `VaultAbsent`, `VaultMalformed`.
        """
        if not create and not path.is_file():
            raise VaultAbsent("no such file", file=path.name)
        if create:
            # SQLite gives the write-ahead log the mode of its database: the mode must be right from the first byte.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
        self.path = path
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        try:
            self._prepare(versions, create=create)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise VaultMalformed("not a database of ours", file=path.name) from error
        except VaultMalformed:
            self._connection.close()
            raise

    def _prepare(self, versions: Sequence[str], *, create: bool) -> None:
        for pragma in _PRAGMAS:
            self._connection.execute(pragma)
        if self.scalar("PRAGMA secure_delete") != 1 or self.scalar("PRAGMA journal_mode") != "wal":
            raise VaultMalformed("this SQLite cannot overwrite what it deletes", file=self.path.name)
        if create and not self.scalar("SELECT count(*) FROM sqlite_master"):
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        elif self.scalar("PRAGMA user_version") == 0:
            raise VaultMalformed("not a file of ours", file=self.path.name)
        if self.scalar("PRAGMA application_id") != APPLICATION_ID:
            raise VaultMalformed("not a file of ours", file=self.path.name)
        with self.transaction():
            # Read under the lock: two processes that start at once bring it up one after the other.
            found = self.scalar("PRAGMA user_version")
            if found > len(versions):
                raise VaultMalformed("another version", expected=len(versions), found=found, file=self.path.name)
            for script in versions[found:]:
                for statement in statements(script):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {len(versions)}")

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens or nothing does; durable when it returns. Not to be nested."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs one statement; the number of rows that it changed."""
        with self._lock:
            return self._connection.execute(sql, parameters).rowcount

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each row."""
        with self._lock:
            self._connection.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row, if there is one."""
        with self._lock:
            found: Row | None = self._connection.execute(sql, parameters).fetchone()
            return found

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, parameters)
        return None if found is None else found[0]

    def empty_log(self) -> bool:
        """Writes the write-ahead log back and cuts it to nothing; False where a reader kept that from happening.

        Does not wait: whoever must have it done tries again.
        """
        with self._lock:
            self._connection.execute("PRAGMA busy_timeout = 0")
            try:
                busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError:
                return False
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            return bool(busy == 0)

    def backup(self, path: Path) -> None:
        """A copy of one moment in a new file of mode 0600; FileExistsError where there is one."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        copy = sqlite3.connect(path, isolation_level=None)
        try:
            with self._lock:
                self._connection.backup(copy)
        finally:
            copy.close()

    def close(self) -> None:
        """Closes the connection; the last one to close empties the write-ahead log."""
        with self._lock:
            self._connection.close()
