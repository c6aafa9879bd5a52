"""Certificates as rows, and the queries that find them."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from pki.roles import Purpose, Role
from pki.store.records import BadCursor, Issued, Listed, Noted, Page, Query, Reason, Revocation, SerialReused
from pki.store.schema import ISSUED

_MARKS = ",".join("?" * len(ISSUED.split(",")))
_COLUMNS = ", ".join(f"issued.{column.strip()}" for column in ISSUED.split(","))
_STANDING = "LEFT JOIN revoked USING (issuer_key_sha256, serial)"
_TESTS = {
    "issuer_key_sha256": ("issued.issuer_key_sha256 = ?",),
    "serial": ("issued.serial = ?",),
    "spki_sha256": ("spki_sha256 = ?",),
    "profile": ("profile = ?",),
    "role": ("role = ?",),
    "purpose": ("purpose = ?",),
    "party_id": ("party_id = ?",),
    "station_id": ("station_id = ?",),
    "valid_at_ms": ("not_before_ms <= ?", "not_after_ms >= ?"),
    "ends_from_ms": ("not_after_ms >= ?",),
    "ends_before_ms": ("not_after_ms < ?",),
    "issued_from_ms": ("issued_at_ms >= ?",),
    "issued_before_ms": ("issued_at_ms < ?",),
}
REVOKED = "revoked_at_ms, reason, invalid_from_ms"
_NOTED = (
    f"SELECT issued.seq, {REVOKED} FROM (SELECT ?1 AS issuer_key_sha256, ?2 AS serial)"  # noqa: S608  # constants only
    " LEFT JOIN issued USING (issuer_key_sha256, serial) LEFT JOIN revoked USING (issuer_key_sha256, serial)"
)
_MAX_CURSOR_DIGITS = 18


def name_of(serial: int) -> str:
    """Serial numbers as they are kept: hex, for they exceed 64 bits."""
    return f"{serial:040x}"


def insert(database: sqlite3.Connection, issued: Issued) -> None:
    """Keep `issued`; SerialReused if the name is taken by another certificate, nothing if by the same."""
    row = (
        issued.issuer_key_sha256,
        name_of(issued.serial),
        issued.der,
        issued.profile,
        issued.role,
        issued.purpose,
        issued.party_id,
        issued.station_id,
        issued.spki_sha256,
        issued.tbs_sha256,
        issued.not_before_ms,
        issued.not_after_ms,
        issued.issued_at_ms,
    )
    try:
        database.execute(f"INSERT INTO issued ({ISSUED}) VALUES ({_MARKS})", row)  # noqa: S608  # constants only
    except sqlite3.IntegrityError as error:
        held = one(database, issued.issuer_key_sha256, issued.serial)
        if held is None or held.der != issued.der:
            raise SerialReused("two certificates of one authority have one serial number") from error


def one(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> Issued | None:
    """The certificate of this name."""
    row = database.execute(
        f"SELECT {_COLUMNS} FROM issued WHERE issuer_key_sha256 = ? AND serial = ?",  # noqa: S608  # constants only
        (issuer_key_sha256, name_of(serial)),
    ).fetchone()
    return None if row is None else issued_of(row)


def noted(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> Noted:
    """What is known of this name."""
    held, *standing = database.execute(_NOTED, (issuer_key_sha256, name_of(serial))).fetchone()
    return Noted(held is not None, revocation_of(issuer_key_sha256, serial, standing))


def standing(database: sqlite3.Connection, issuer_key_sha256: str, serial: int) -> Revocation | None:
    """The revocation of this name."""
    return noted(database, issuer_key_sha256, serial).revocation


def revocation_of(issuer_key_sha256: str, serial: int, row: Sequence[Any]) -> Revocation | None:
    """A row in the order of `REVOKED`; None if its reason is absent."""
    revoked_at_ms, reason, invalid_from_ms = row
    if reason is None:
        return None
    return Revocation(issuer_key_sha256, serial, revoked_at_ms, Reason(reason), invalid_from_ms)


def page(database: sqlite3.Connection, query: Query, *, cursor: str | None, limit: int) -> Page:
    """As `CertificateStore.page` says; `limit` is at least 1."""
    where, values = _where(query)
    rows = database.execute(
        f"SELECT {_COLUMNS}, {REVOKED}, seq FROM issued {_STANDING}"  # noqa: S608  # constants only
        f" WHERE seq > ? AND {where} ORDER BY seq LIMIT ?",
        (_position(cursor), *values, limit + 1),
    ).fetchall()
    found = tuple(_listed(row) for row in rows[:limit])
    return Page(found, str(rows[limit - 1][-1]) if len(rows) > limit else None)


def expiring(database: sqlite3.Connection, before_ms: int, now_ms: int, limit: int) -> list[Issued]:
    """As `CertificateStore.expiring` says."""
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM issued {_STANDING}"  # noqa: S608  # constants only
        " WHERE not_after_ms >= ?1 AND not_after_ms < ?2 AND not_before_ms <= ?1 AND reason IS NULL AND NOT EXISTS ("
        " SELECT 1 FROM issued AS later LEFT JOIN revoked AS gone ON gone.issuer_key_sha256 = later.issuer_key_sha256"
        " AND gone.serial = later.serial WHERE gone.serial IS NULL AND issued.spki_sha256 <> ''"
        " AND later.party_id IS issued.party_id"
        # What has no party, an authority or an OCSP signer, is followed by one of the same issuer.
        " AND (issued.party_id IS NOT NULL OR later.issuer_key_sha256 = issued.issuer_key_sha256)"
        " AND later.profile = issued.profile AND later.station_id IS issued.station_id"
        " AND later.not_after_ms > issued.not_after_ms) ORDER BY not_after_ms, seq LIMIT ?3",
        (now_ms, before_ms, limit),
    ).fetchall()
    return [issued_of(row) for row in rows]


def forget(database: sqlite3.Connection, role: Role, *, party_id: str | None, ended_before_ms: int | None) -> int:
    """Delete certificates with their orders, and name nobody in the serial numbers that were withdrawn; how many."""
    given = {"party_id = ?": party_id, "not_after_ms < ?": ended_before_ms}
    asked = {test: value for test, value in given.items() if value is not None}
    where = " AND ".join(["role = ?", *asked])
    values = (role, *asked.values())
    names = f"SELECT issuer_key_sha256, serial FROM issued WHERE {where}"  # noqa: S608  # constants only
    database.execute(f"DELETE FROM ordered WHERE (issuer_key_sha256, serial) IN ({names})", values)  # noqa: S608  # constants only
    database.execute(f"DELETE FROM intent WHERE (issuer_key_sha256, serial) IN ({names})", values)  # noqa: S608  # constants only
    withdrawn = where.replace("not_after_ms", "at_ms")
    unnamed = "UPDATE intent SET party_id = NULL, station_id = NULL, spki_sha256 = ''"
    database.execute(f"{unnamed} WHERE {withdrawn} AND state = 'REVOKED'", values)
    return database.execute(f"DELETE FROM issued WHERE {where}", values).rowcount  # noqa: S608  # constants only


def issued_of(row: tuple[Any, ...]) -> Issued:
    """A row in the order of `schema.ISSUED`."""
    issuer, serial, der, profile, role, purpose, party_id, station_id, spki, tbs, not_before, not_after, at = row
    return Issued(
        issuer_key_sha256=issuer,
        serial=int(serial, 16),
        der=der,
        profile=profile,
        role=None if role is None else Role(role),
        purpose=None if purpose is None else Purpose(purpose),
        party_id=party_id,
        station_id=station_id,
        spki_sha256=spki,
        tbs_sha256=tbs,
        not_before_ms=not_before,
        not_after_ms=not_after,
        issued_at_ms=at,
    )


def _listed(row: tuple[Any, ...]) -> Listed:
    issued = issued_of(row[:-4])
    return Listed(issued, revocation_of(issued.issuer_key_sha256, issued.serial, row[-4:-1]))


def _where(query: Query) -> tuple[str, list[str | int]]:
    tests, values = ["1"], []
    for field, conditions in _TESTS.items():
        value = getattr(query, field)
        if value is not None:
            tests += conditions
            values += [name_of(value) if field == "serial" else value] * len(conditions)
    if query.revoked is not None:
        tests.append("reason IS NOT NULL" if query.revoked else "reason IS NULL")
    return " AND ".join(tests), values


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= _MAX_CURSOR_DIGITS):
        raise BadCursor("not a cursor of an earlier page")
    return int(cursor)
