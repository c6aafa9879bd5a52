"""A log on any engine, built, tampered with by whoever owns the database, and audited."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from ledger.audit.postgres_source import PostgresSource
from ledger.audit.report import Report
from ledger.audit.run import audit
from ledger.audit.source import SignedNote
from ledger.audit.sqlite_source import SqliteSource
from ledger.store.postgres_reads import numbered
from tests.support import logs
from tests.support.attacks import Tampered


class Answered(list[Any]):
    """Rows as `sqlite3` gives them."""

    def fetchone(self) -> Any:
        """The first row, or None."""
        return self[0] if self else None

    def fetchall(self) -> list[Any]:
        """Every row."""
        return list(self)


@dataclass
class Connected:
    """A PostgreSQL connection that acts like one of `sqlite3`."""

    runner: asyncio.Runner
    connection: Any

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answered:
        """Runs it; placeholders are question marks."""
        return Answered(self.runner.run(self.connection.fetch(numbered(sql), *values)))


@contextmanager
def tampered(directory: Path) -> Iterator[Tampered]:
    """The database of the log in this directory as its owner may write it: without our triggers."""
    if isinstance(logs.medium, logs.Sqlite):
        with logs.unfenced(directory / "log.db") as db:
            yield db
        return
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(logs.medium.dsn))
        try:
            db = Connected(runner, connection)
            schema = logs.medium.schema(directory)
            db.execute(f"SET search_path TO {schema}")
            for (table,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (schema,)):
                db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield db
        finally:
            runner.run(connection.close())


def source_of(directory: Path) -> SqliteSource | PostgresSource:
    """The log in this directory as the source of an audit, on whatever engine it is."""
    if isinstance(logs.medium, logs.Sqlite):
        return SqliteSource(directory / "log.db")
    return PostgresSource(logs.medium.dsn, logs.medium.schema(directory))


def audited(directory: Path, *, held: Sequence[bytes] = (), **options: Any) -> Report:
    """What an audit of the log in this directory says."""
    with closing(source_of(directory)) as source:
        notes = [SignedNote(one, None, "held") for one in held]
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, held=notes, **options)
