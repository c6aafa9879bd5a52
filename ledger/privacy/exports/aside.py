"""What must be known whole before it is written, put aside in a database of no name: SQLite's own temporary file.

SQLite unlinks it as soon as it is made, so that nothing of it outlives the process; it has internal ids, pseudonyms and
values, and never a natural id.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

CACHE_KIB: Final = 4_096
"""What stays in memory; the rest is on disk."""

_PRAGMAS: Final = (
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "PRAGMA temp_store = FILE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
)


def database() -> sqlite3.Connection:
    """An empty database on disk that is gone when it is closed. One thread at a time, whichever."""
    made = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for pragma in _PRAGMAS:
        made.execute(pragma)
    return made


class Named:
    """Internal ids and the pseudonyms under which they stand in an export, each pair once. Close it."""

    def __init__(self) -> None:
        """None yet."""
        self._db = database()
        self._db.execute(
            "CREATE TABLE named (uid BLOB NOT NULL, pseudonym TEXT NOT NULL, PRIMARY KEY (uid, pseudonym)) "
            "STRICT, WITHOUT ROWID"
        )

    def add(self, pairs: set[tuple[bytes, str]]) -> None:
        """These are in the export too."""
        self._db.executemany("INSERT OR IGNORE INTO named VALUES (?, ?)", sorted(pairs))

    def __iter__(self) -> Iterator[tuple[bytes, str]]:
        """All of them, in order."""
        return iter(self._db.execute("SELECT uid, pseudonym FROM named ORDER BY uid, pseudonym"))

    def close(self) -> None:
        """All are gone."""
        self._db.close()
