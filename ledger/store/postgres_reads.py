"""The log in one schema of a PostgreSQL database, read over one connection."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

from ledger.errors import Refused
from ledger.store import postgres_seat
from ledger.store.errors import StoreForeign
from ledger.store.postgres_link import Link
from ledger.store.postgres_schema import APPLICATION, SCHEMA_VERSION
from ledger.store.reads import SqlReads

SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
EACH_ROWS: Final = 1000

STANDBY: Final = "SELECT current_setting('synchronous_standby_names')"
_STATEMENTS: Final = """SELECT w.party, w.jti, i.idx FROM unnest($1::text[], $2::text[]) AS w (party, jti),
 LATERAL (SELECT idx FROM idempotency WHERE party = w.party AND jti = w.jti LIMIT 1) AS i"""


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

    @classmethod
    def of_primary(cls, dsn: str, *, schema: str = APPLICATION) -> Self:
        """Asks the host that takes writes: only it knows of locks and standbys. The schema need not be there yet."""
        return cls(Link(dsn, named(schema), is_writer=True, is_replica=False))

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
        return str(self._one(STANDBY)[0])

    def is_seated(self) -> bool:
        """Whether some replica has the seat of who serves the stations."""
        return bool(self._one(postgres_seat.HELD, (postgres_seat.name_of(self._link.schema),))[0])

    def find_statements(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        rows = self._all(_STATEMENTS, columns(wanted, 2))
        return {(party, jti): index for party, jti, index in rows}


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
