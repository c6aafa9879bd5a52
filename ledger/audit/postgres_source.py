"""A log's PostgreSQL schema as the source of an audit: one snapshot of any of the hosts, a standby too."""

from contextlib import ExitStack
from typing import Self

from ledger.audit.store_source import StoreSource
from ledger.store.postgres_reads import PostgresReader
from ledger.store.postgres_schema import APPLICATION


class PostgresSource(StoreSource):
    """Open for one audit; the replicas may go on meanwhile."""

    def __init__(self, dsn: str, schema: str = APPLICATION) -> None:
        """Raises StoreUnreachable, StoreAbsent, StoreForeign."""
        self._place = (dsn, schema)
        self._open = ExitStack()
        reader = PostgresReader.open(dsn, schema=schema)
        self._open.callback(reader.close)
        try:
            self._open.enter_context(reader.snapshot())
            super().__init__(reader)
        except BaseException:
            self._open.close()
            raise

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Another process connects for itself."""
        return type(self), self._place

    def close(self) -> None:
        """Hangs up."""
        self._open.close()
