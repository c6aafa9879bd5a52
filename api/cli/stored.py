"""Where a command finds a log that is stored: a data folder with a file of SQLite, or a folder and a PostgreSQL server.

The address of a server has a password in it, so it comes from a file, never from the command line, which everybody on
the machine can read.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.verification.errors import BundleUnusable
from ledger.audit.source import LogSource
from ledger.audit.sqlite_source import SqliteSource
from ledger.store.sqlite import SqliteReader

if TYPE_CHECKING:
    from ledger.store.postgres_reads import PostgresReader

LOG_FILE: Final = "ledger.db"
DATA_FOLDER: Final = "data"
SETTINGS_SUFFIX: Final = ".toml"
SCHEMA: Final = "flexledger"


@dataclass(frozen=True, slots=True)
class Stored:
    """A log in a database, and the folder with what belongs to it: its key, its signer's memory, certificates."""

    folder: Path
    dsn_file: Path | None = None
    """File with the URI of a PostgreSQL server; None where the log is a file in the folder."""
    schema: str = SCHEMA
    keys: Path | None = None
    """Folder with the signer's memory; `keys` beside the folder where nobody says otherwise."""

    def reader(self) -> "SqliteReader | PostgresReader":
        """To be read while a service writes; raises StoreAbsent, StoreForeign, StoreUnreachable, `DriverMissing`."""
        if self.dsn_file is None:
            return SqliteReader.open(self.folder / LOG_FILE)
        from api import engines

        return engines.postgres_reader(self.dsn_file, self.schema)

    def source(self) -> LogSource:
        """For an audit, in this process or another; raises as `reader`."""
        if self.dsn_file is None:
            return SqliteSource(self.folder / LOG_FILE)
        from api import engines

        return engines.postgres_source(self.dsn_file, self.schema)


def stored(place: Path, dsn_file: Path | None = None, schema: str = SCHEMA) -> Stored | None:
    """What is stored at a place: a service's folder, its data folder, or its settings file; None if nothing is.

    With `dsn_file` the log is on that server, and the place is the folder beside it. Raises `SettingsInvalid`, and
    `BundleUnusable` for two addresses at once.
    """
    if place.suffix == SETTINGS_SUFFIX and not place.is_dir():
        return _of_settings(place, dsn_file)
    if dsn_file is not None:
        inside = place / DATA_FOLDER
        return Stored(inside if inside.is_dir() else place, dsn_file, schema)
    for data in (place, place / DATA_FOLDER):
        if (data / LOG_FILE).is_file():
            return Stored(data)
    return None


def _of_settings(place: Path, dsn_file: Path | None) -> Stored:
    from api import settings

    if dsn_file is not None:
        raise BundleUnusable("the settings say where the log is", expected="a settings file, or --dsn-file")
    found = settings.load(place, os.environ)
    return Stored(found.data_dir, found.store.dsn_file, found.store.schema, keys=found.log_key.parent)
