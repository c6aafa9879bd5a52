"""Statements that were met already, in bounded memory: for a log that keeps no table of them."""

import sqlite3
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

CACHE_KIB: Final = 4096


class Seen:
    """A temporary file of (party, jti); gone when the block ends."""

    def __init__(self) -> None:
        """Nothing was met yet."""
        self._folder = TemporaryDirectory(prefix="flexledger-audit-")
        self._db = sqlite3.connect(f"{self._folder.name}/seen", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute(
            "CREATE TABLE seen (party TEXT, jti TEXT, idx INTEGER, PRIMARY KEY (party, jti)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go of the file."""
        self._db.close()
        self._folder.cleanup()

    def before(self, party: str, jti: str, index: int) -> int | None:
        """Where the statement was met first, or None: this is the first time, and remembered."""
        if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (party, jti, index)).rowcount:
            return None
        row = self._db.execute("SELECT idx FROM seen WHERE party = ? AND jti = ?", (party, jti)).fetchone()
        return int(row[0])
