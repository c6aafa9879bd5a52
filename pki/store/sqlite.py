"""A certificate store in one SQLite file, or in memory."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from pki.roles import Purpose, Role
from pki.store.records import (
    MAX_FOUND,
    CertificateAbsent,
    CrlTimeWentBack,
    Issued,
    Reason,
    Revocation,
    SerialReused,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL,
    der BLOB NOT NULL,
    profile TEXT NOT NULL,
    role TEXT,
    purpose TEXT,
    party_id TEXT,
    station_id TEXT,
    spki_sha256 TEXT NOT NULL,
    tbs_sha256 TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_sha256, serial)
) STRICT;
CREATE INDEX IF NOT EXISTS issued_by_party ON issued (party_id, role);
CREATE INDEX IF NOT EXISTS issued_by_key ON issued (spki_sha256);
CREATE TABLE IF NOT EXISTS revoked (
    issuer_key_sha256 TEXT NOT NULL,
    serial TEXT NOT NULL,
    revoked_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (issuer_key_sha256, serial)
) STRICT;
CREATE TABLE IF NOT EXISTS crl (
    issuer_key_sha256 TEXT NOT NULL,
    number INTEGER NOT NULL,
    this_update_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_sha256, number)
) STRICT;
"""
_COLUMNS = (
    "issuer_key_sha256, serial, der, profile, role, purpose, party_id, station_id, spki_sha256, tbs_sha256,"
    " not_before_ms, not_after_ms, issued_at_ms"
)
_Row = tuple[str, str, bytes, str, str | None, str | None, str | None, str | None, str, str, int, int, int]


class SqliteStore:
    """`CertificateStore` on SQLite; serial numbers are kept as hex, for they exceed 64 bits."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or create the file; without a path, in memory."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
        )
        if path is not None:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("PRAGMA secure_delete=ON")
        self._database.executescript(_SCHEMA)

    def copy_to(self, path: Path) -> None:
        """Write all that is held into a new file; what is at `path` already is replaced."""
        with self._lock, closing(sqlite3.connect(path)) as target:
            self._database.backup(target)

    def forget(self, role: Role, *, party_id: str | None = None, ended_before_ms: int | None = None) -> int:
        """Delete the certificates of `role` that match what is given, and every trace of them in the file; how many.

        Who issued them, their serial numbers and their digests stay in the journal, which names nobody.
        """
        given = {"party_id = ?": party_id, "not_after_ms < ?": ended_before_ms}
        asked = {test: value for test, value in given.items() if value is not None}
        where = " AND ".join(["role = ?", *asked])
        with self._lock:
            gone = self._database.execute(
                f"DELETE FROM issued WHERE {where}",  # noqa: S608  # constants only
                (role, *asked.values()),
            ).rowcount
            if gone:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        with self._lock:
            self._database.close()

    def put(self, issued: Issued) -> None:
        """Keep `issued`; SerialReused if the name is taken by another certificate, nothing if by the same."""
        row: _Row = (
            issued.issuer_key_sha256,
            _name(issued.serial),
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
        with self._lock:
            try:
                self._database.execute(f"INSERT INTO issued ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608  # constants only
            except sqlite3.IntegrityError as error:
                held = self._one(issued.issuer_key_sha256, issued.serial)
                if held is None or held.der != issued.der:
                    raise SerialReused("two certificates of one authority have one serial number") from error

    def get(self, issuer_key_sha256: str, serial: int) -> Issued:
        """The certificate of this name, or CertificateAbsent."""
        with self._lock:
            found = self._one(issuer_key_sha256, serial)
        if found is None:
            raise CertificateAbsent("no such certificate was issued", serial=_name(serial))
        return found

    def find(
        self,
        *,
        role: Role | None = None,
        party_id: str | None = None,
        spki_sha256: str | None = None,
        valid_at_ms: int | None = None,
        limit: int = MAX_FOUND,
    ) -> list[Issued]:
        """Those that match all that is given, oldest first, at most `limit`."""
        given: dict[str, str | int | None] = {
            "role = ?": role,
            "party_id = ?": party_id,
            "spki_sha256 = ?": spki_sha256,
            "not_before_ms <= ?": valid_at_ms,
            "not_after_ms >= ?": valid_at_ms,
        }
        asked = {test: value for test, value in given.items() if value is not None}
        where = " AND ".join(["1", *asked])
        query = f"SELECT {_COLUMNS} FROM issued WHERE {where} ORDER BY issued_at_ms, rowid LIMIT ?"  # noqa: S608  # constants only
        with self._lock:
            rows = self._database.execute(query, (*asked.values(), min(limit, MAX_FOUND))).fetchall()
        return [_issued(row) for row in rows]

    def revoke(self, revocation: Revocation) -> Revocation:
        """Revoke; a second time changes nothing. The revocation that stands, or CertificateAbsent."""
        self.get(revocation.issuer_key_sha256, revocation.serial)
        with self._lock:
            self._database.execute(
                "INSERT INTO revoked VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
                (
                    revocation.issuer_key_sha256,
                    _name(revocation.serial),
                    revocation.revoked_at_ms,
                    revocation.reason,
                ),
            )
        standing = self.revocation_of(revocation.issuer_key_sha256, revocation.serial)
        return revocation if standing is None else standing

    def revocation_of(self, issuer_key_sha256: str, serial: int) -> Revocation | None:
        """The revocation of this certificate, if it was revoked."""
        with self._lock:
            row = self._database.execute(
                "SELECT revoked_at_ms, reason FROM revoked WHERE issuer_key_sha256 = ? AND serial = ?",
                (issuer_key_sha256, _name(serial)),
            ).fetchone()
        return None if row is None else Revocation(issuer_key_sha256, serial, row[0], Reason(row[1]))

    def revocations(self, issuer_key_sha256: str, until_ms: int) -> list[Revocation]:
        """Those of one authority that count at `until_ms`, by serial number."""
        with self._lock:
            rows = self._database.execute(
                "SELECT serial, revoked_at_ms, reason FROM revoked"
                " WHERE issuer_key_sha256 = ? AND revoked_at_ms <= ? ORDER BY serial",
                (issuer_key_sha256, until_ms),
            ).fetchall()
        return [Revocation(issuer_key_sha256, int(row[0], 16), row[1], Reason(row[2])) for row in rows]

    def next_crl_number(self, issuer_key_sha256: str, this_update_ms: int, *, allow_earlier: bool) -> int:
        """A number never given before, higher than all of CRLs with an earlier or equal time; see the contract."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            before, after = self._database.execute(
                "SELECT max(number) FILTER (WHERE this_update_ms <= ?1), min(number) FILTER (WHERE this_update_ms > ?1)"
                " FROM crl WHERE issuer_key_sha256 = ?2",
                (this_update_ms, issuer_key_sha256),
            ).fetchone()
            number = this_update_ms if before is None else max(this_update_ms, before + 1)
            if after is not None and (number >= after or not allow_earlier):
                raise CrlTimeWentBack("there is a later CRL already", found=this_update_ms)
            self._database.execute("INSERT INTO crl VALUES (?,?,?)", (issuer_key_sha256, number, this_update_ms))
        return int(number)

    def _one(self, issuer_key_sha256: str, serial: int) -> Issued | None:
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM issued WHERE issuer_key_sha256 = ? AND serial = ?",  # noqa: S608  # constants only
            (issuer_key_sha256, _name(serial)),
        ).fetchone()
        return None if row is None else _issued(row)


def _name(serial: int) -> str:
    return f"{serial:040x}"


def _issued(row: _Row) -> Issued:
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
