"""Intents and orders in SQLite: what is under way, and what was left behind. Every function runs in a transaction."""

import sqlite3
from collections.abc import Callable, Sequence

from pki.roles import Purpose, Role
from pki.store.records import (
    ClockWentBack,
    Gap,
    GapKind,
    Intent,
    IntentWithdrawn,
    Issued,
    KeyUse,
    OrderUnderWay,
    Reason,
    SerialReused,
)
from pki.store.rows import insert, name_of

REVOKED = "REVOKED"
"""The state of an intent whose serial number was revoked as a precaution: no gap any more, and never used again."""
_COLUMNS = (
    "intent.issuer_key_sha256, intent.serial, tbs_sha256, profile, at_ms, spki_sha256, role, purpose, party_id,"
    " station_id, state, order_id"
)


def plan(
    database: sqlite3.Connection,
    intent: Intent,
    *,
    order_id: str | None,
    clock_tolerance_ms: int | None,
    admit: Callable[[Sequence[KeyUse]], None] | None,
) -> None:
    """As `CertificateStore.plan` says."""
    issuer, serial = intent.issuer_key_sha256, name_of(intent.serial)
    if clock_tolerance_ms is not None:
        _require_later(database, intent, clock_tolerance_ms)
    if admit is not None:
        admit(_uses(database, intent.spki_sha256))
    if is_named(database, issuer, intent.serial):
        raise SerialReused("the serial number is taken", expected="a number never given before")
    if order_id is not None:
        try:
            database.execute("INSERT INTO ordered VALUES (?,?,?)", (order_id, issuer, serial))
        except sqlite3.IntegrityError as error:
            raise OrderUnderWay("the order was given before and is being carried out") from error
    database.execute(
        "INSERT INTO intent VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            issuer,
            serial,
            intent.tbs_sha256,
            intent.profile,
            intent.at_ms,
            intent.spki_sha256,
            intent.role,
            intent.purpose,
            intent.party_id,
            intent.station_id,
            GapKind.UNSIGNED,
        ),
    )
    database.execute(
        "INSERT INTO last_intent VALUES (?1,?2) ON CONFLICT DO UPDATE SET at_ms = max(at_ms, ?2)",
        (issuer, intent.at_ms),
    )


def is_named(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> bool:
    """Whether a certificate of this name was issued or intended."""
    query = "SELECT 1 FROM issued WHERE issuer_key_sha256 = ?1 AND serial = ?2"
    query += " UNION ALL SELECT 1 FROM intent WHERE issuer_key_sha256 = ?1 AND serial = ?2"
    return database.execute(query, (issuer_key_sha256, name_of(serial))).fetchone() is not None


def release(database: sqlite3.Connection, intent: Intent) -> None:
    """Its order is free again, unless the certificate was stored after all and only the answer was lost."""
    database.execute(
        "DELETE FROM ordered WHERE issuer_key_sha256 = ?1 AND serial = ?2"
        " AND NOT EXISTS (SELECT 1 FROM issued WHERE issuer_key_sha256 = ?1 AND serial = ?2)",
        (intent.issuer_key_sha256, name_of(intent.serial)),
    )


def finish(database: sqlite3.Connection, issued: Issued) -> None:
    """Stored, if the intent stands; IntentWithdrawn if not."""
    name = (issued.issuer_key_sha256, name_of(issued.serial))
    moved = database.execute(
        "UPDATE intent SET state = ? WHERE issuer_key_sha256 = ? AND serial = ? AND state = ?",
        (GapKind.UNRECORDED, *name, GapKind.UNSIGNED),
    )
    if moved.rowcount != 1:
        raise IntentWithdrawn("the intent was withdrawn meanwhile", expected="another order")
    insert(database, issued)


def recorded(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> None:
    """No gap any more."""
    database.execute(
        "DELETE FROM intent WHERE issuer_key_sha256 = ? AND serial = ? AND state = ?",
        (issuer_key_sha256, name_of(serial), GapKind.UNRECORDED),
    )


def withdraw(database: sqlite3.Connection, intent: Intent) -> bool:
    """From now on `finish` refuses it, and its order is free; False if that is not to be done any more."""
    name = (intent.issuer_key_sha256, name_of(intent.serial))
    moved = database.execute(
        "UPDATE intent SET state = ? WHERE issuer_key_sha256 = ? AND serial = ? AND state IN (?,?)",
        (GapKind.WITHDRAWN, *name, GapKind.UNSIGNED, GapKind.WITHDRAWN),
    )
    if moved.rowcount != 1:
        return False
    release(database, intent)
    return True


def revoked(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> bool:
    """Whether there is an intent of this name without a certificate; from now on it is settled."""
    moved = database.execute(
        "UPDATE intent SET state = ? WHERE issuer_key_sha256 = ? AND serial = ? AND state <> ?",
        (REVOKED, issuer_key_sha256, name_of(serial), GapKind.UNRECORDED),
    )
    return moved.rowcount == 1


def gaps(database: sqlite3.Connection, before_ms: int | None) -> list[Gap]:
    """As `CertificateStore.gaps` says."""
    query = f"SELECT {_COLUMNS} FROM intent LEFT JOIN ordered USING (issuer_key_sha256, serial) WHERE state <> ?"  # noqa: S608  # constants only
    query += " AND (?2 IS NULL OR at_ms < ?2) ORDER BY at_ms, intent.rowid"
    rows = database.execute(query.replace("<> ?", "<> ?1", 1), (REVOKED, before_ms)).fetchall()
    return [Gap(_intent(row), GapKind(row[10]), row[11]) for row in rows]


def _intent(row: tuple[str, str, str, str, int, str, str | None, str | None, str | None, str | None]) -> Intent:
    issuer, serial, tbs, profile, at_ms, spki, role, purpose, party, station = row[:10]
    return Intent(
        tbs_sha256=tbs,
        profile=profile,
        issuer_key_sha256=issuer,
        serial=int(serial, 16),
        at_ms=at_ms,
        spki_sha256=spki,
        role=None if role is None else Role(role),
        purpose=None if purpose is None else Purpose(purpose),
        party_id=party,
        station_id=station,
    )


def _require_later(database: sqlite3.Connection, intent: Intent, tolerance_ms: int) -> None:
    row = database.execute(
        "SELECT at_ms FROM last_intent WHERE issuer_key_sha256 = ?", (intent.issuer_key_sha256,)
    ).fetchone()
    if row is not None and intent.at_ms < row[0] - tolerance_ms:
        raise ClockWentBack("it is earlier than at the last issuance", expected=f"from {row[0]}", found=intent.at_ms)


def _uses(database: sqlite3.Connection, spki_sha256: str) -> list[KeyUse]:
    columns = "role, purpose, party_id, station_id, reason"
    rows = database.execute(
        f"SELECT {columns} FROM issued LEFT JOIN revoked USING (issuer_key_sha256, serial) WHERE spki_sha256 = ?1"  # noqa: S608  # constants only
        f" UNION ALL SELECT {columns} FROM intent LEFT JOIN revoked USING (issuer_key_sha256, serial)"
        " WHERE spki_sha256 = ?1 AND state <> ?2",
        (spki_sha256, GapKind.UNRECORDED),
    ).fetchall()
    return [
        KeyUse(
            role=None if role is None else Role(role),
            purpose=None if purpose is None else Purpose(purpose),
            party_id=party,
            station_id=station,
            revoked=None if reason is None else Reason(reason),
        )
        for role, purpose, party, station, reason in rows
    ]
