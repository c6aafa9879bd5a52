"""Webhook subscriptions on disk: who is told where, from which index of the log on, and how that goes.

Operational, not evidence: nothing of it is an entry. The position is durable, so a restart loses nothing; it only moves
once a receiver has answered.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from ledger.privacy.database import Database, Row, SqliteDatabase

FILE: Final = "webhooks.db"
SCHEMA: Final = """
CREATE TABLE webhook (
    id TEXT PRIMARY KEY,
    party TEXT NOT NULL,
    role TEXT NOT NULL,
    leaf BLOB NOT NULL,
    url TEXT NOT NULL,
    types TEXT NOT NULL,
    stream TEXT NOT NULL,
    challenge TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since_ms INTEGER NOT NULL DEFAULT 0,
    next_at_ms INTEGER NOT NULL DEFAULT 0,
    last_code TEXT NOT NULL DEFAULT '',
    created_at_ms INTEGER NOT NULL,
    lease_until_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX webhook_party ON webhook (party, role)
"""
_COLUMNS: Final = (
    "id, party, role, leaf, url, types, stream, challenge, position, state, attempts, failing_since_ms, next_at_ms, "
    "last_code, created_at_ms"
)


class State(StrEnum):
    """How a subscription stands."""

    UNCONFIRMED = "UNCONFIRMED"
    """The receiver has not shown yet that it wants this; it is told of nothing."""
    ACTIVE = "ACTIVE"
    """Told of every entry; between attempts after a failure too."""
    SUSPENDED = "SUSPENDED"
    """The credential behind it no longer holds; it goes on once the party resumes it over a connection of its own."""
    DEAD = "DEAD"
    """Given up. The position stands, so nothing is lost when it is resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One receiver of a party."""

    id: str
    party: str
    role: str
    leaf: bytes = field(repr=False)
    """DER of the certificate on whose connection it was made or last resumed."""
    url: str = field(repr=False)
    types: tuple[str, ...]
    """Record types that it is told of; all if empty."""
    stream: str
    """Beginning of the streams that it is told of."""
    challenge: str = field(repr=False)
    position: int
    """Index of the last entry that it need not be told of; -1 before the first."""
    state: State
    attempts: int
    failing_since_ms: int
    next_at_ms: int
    last_code: str
    created_at_ms: int


class Subscriptions:
    """The file; calls are short and synchronous. Several processes may have it open."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at `path`, made if it is not there; raises what `SqliteDatabase` raises."""
        return cls(SqliteDatabase(path, (SCHEMA,), create=True))

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def add(self, one: Subscription, *, of_party: int, at_all: int) -> bool:
        """It is durable; False, with nothing written, where the party or the service has as many as it may."""
        with self._database.transaction():
            if self._database.scalar("SELECT count(*) FROM webhook") >= at_all:
                return False
            mine = "SELECT count(*) FROM webhook WHERE party = ? AND role = ?"
            if self._database.scalar(mine, (one.party, one.role)) >= of_party:
                return False
            self._database.execute(
                f"INSERT INTO webhook ({_COLUMNS}) VALUES ({', '.join('?' * 15)})",  # noqa: S608 -- our own names
                _row(one),
            )
        return True

    def of(self, party: str, role: str) -> list[Subscription]:
        """A party's own, oldest first."""
        found = self._database.rows(
            f"SELECT {_COLUMNS} FROM webhook WHERE party = ? AND role = ? ORDER BY created_at_ms, id",  # noqa: S608
            (party, role),
        )
        return [_read(row) for row in found]

    def get(self, name: str) -> Subscription | None:
        """The subscription, or None."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM webhook WHERE id = ?", (name,))  # noqa: S608
        return None if row is None else _read(row)

    def remove(self, name: str) -> None:
        """It is gone; removing twice is removing once."""
        self._database.execute("DELETE FROM webhook WHERE id = ?", (name,))

    def due(self, now_ms: int) -> list[Subscription]:
        """Those that may be told of something now, longest waiting first."""
        found = self._database.rows(
            f"SELECT {_COLUMNS} FROM webhook WHERE state IN (?, ?) AND next_at_ms <= ? AND lease_until_ms <= ? "  # noqa: S608
            "ORDER BY next_at_ms, id",
            (State.UNCONFIRMED, State.ACTIVE, now_ms, now_ms),
        )
        return [_read(row) for row in found]

    def lease(self, name: str, now_ms: int, until_ms: int) -> bool:
        """Whether this process is the one that delivers until then; of several, one is."""
        sql = "UPDATE webhook SET lease_until_ms = ? WHERE id = ? AND lease_until_ms <= ?"
        return self._database.execute(sql, (until_ms, name, now_ms)) == 1

    def release(self, name: str) -> None:
        """Others may deliver again."""
        self._database.execute("UPDATE webhook SET lease_until_ms = 0 WHERE id = ?", (name,))

    def change(self, name: str, **changes: Any) -> None:
        """The named columns have these values, durably; a subscription that was removed stays so."""
        names = ", ".join(f"{column} = ?" for column in changes)
        values = [value.value if isinstance(value, State) else value for value in changes.values()]
        self._database.execute(f"UPDATE webhook SET {names} WHERE id = ?", (*values, name))  # noqa: S608 -- our own names

    def count(self) -> dict[State, int]:
        """How many stand how."""
        found: dict[str, int] = dict(self._database.rows("SELECT state, count(*) FROM webhook GROUP BY state"))
        return {state: found.get(state.value, 0) for state in State}


def _row(one: Subscription) -> tuple[Any, ...]:
    return (
        one.id,
        one.party,
        one.role,
        one.leaf,
        one.url,
        ",".join(one.types),
        one.stream,
        one.challenge,
        one.position,
        one.state.value,
        one.attempts,
        one.failing_since_ms,
        one.next_at_ms,
        one.last_code,
        one.created_at_ms,
    )


def _read(row: Row) -> Subscription:
    return Subscription(
        id=row[0],
        party=row[1],
        role=row[2],
        leaf=row[3],
        url=row[4],
        types=tuple(row[5].split(",")) if row[5] else (),
        stream=row[6],
        challenge=row[7],
        position=row[8],
        state=State(row[9]),
        attempts=row[10],
        failing_since_ms=row[11],
        next_at_ms=row[12],
        last_code=row[13],
        created_at_ms=row[14],
    )
