"""A certificate store in one SQLite file, or in memory."""

import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from pki.roles import Role
from pki.store import intents, rows, schema
from pki.store.commit import GroupWriter
from pki.store.records import (
    MAX_FOUND,
    CeremonyRecord,
    CeremonyReplayed,
    CertificateAbsent,
    CrlTimeWentBack,
    Followed,
    Gap,
    Intent,
    Issued,
    KeyUse,
    Noted,
    OrderUnderWay,
    Page,
    Query,
    Reason,
    Revocation,
    StoreUnreadable,
)

T = TypeVar("T")


class SqliteStore:
    """`CertificateStore` on SQLite: one connection writes, in groups, and in a file another one reads.

    What is written is durable when the call returns (WAL, `synchronous=FULL`), but for `recorded`, which may be lost
    in a crash: the journal is then told again, and knows.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open, create or migrate the file; without a path, in memory. StoreUnreadable."""
        database = _connect(path)
        try:
            if path is not None:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA secure_delete=ON")
            schema.prepare(database)
        except sqlite3.DatabaseError as error:
            database.close()
            raise StoreUnreadable("not a certificate store") from error
        except StoreUnreadable:
            database.close()
            raise
        self._writer = GroupWriter(database)
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        if path is None:
            # What is in memory only ends with the store; nobody has to close it.
            weakref.finalize(self, database.close)
        else:
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only=ON")

    def copy_to(self, path: Path) -> None:
        """Write all that is held into a new file; what is at `path` already is replaced."""

        def copy(database: sqlite3.Connection) -> None:
            with closing(sqlite3.connect(path)) as target:
                database.backup(target)

        self._writer.flush()
        self._writer.alone(copy)

    def forget(self, role: Role, *, party_id: str | None = None, ended_before_ms: int | None = None) -> int:
        """Delete the certificates of `role` that match what is given, and every trace of them in the file; how many.

        Who issued them, their serial numbers and their digests stay in the journal, which names nobody.
        """
        gone = self._writer.run(
            lambda database: rows.forget(database, role, party_id=party_id, ended_before_ms=ended_before_ms)
        )
        if gone:
            with self._reading:  # the log of writes is emptied only while nobody reads from it
                self._writer.alone(lambda database: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        return gone

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        if self._reader is not None:
            with self._reading:
                self._reader.close()
        self._writer.close()

    def put(self, issued: Issued) -> None:
        """Keep `issued`; SerialReused if the name is taken by another certificate, nothing if by the same."""
        self._writer.run(lambda database: rows.insert(database, issued))

    def get(self, issuer_key_sha256: str, serial: int) -> Issued:
        """The certificate of this name, or CertificateAbsent."""
        found = self._read(lambda database: rows.one(database, issuer_key_sha256, serial))
        if found is None:
            raise CertificateAbsent("no such certificate was issued", serial=rows.name_of(serial))
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
        query = Query(role=role, party_id=party_id, spki_sha256=spki_sha256, valid_at_ms=valid_at_ms)
        return [listed.issued for listed in self.page(query, limit=limit).found]

    def page(self, query: Query, *, cursor: str | None = None, limit: int = MAX_FOUND) -> Page:
        """Those that match, at most `limit`, oldest first, after `cursor`; BadCursor."""
        capped = max(1, min(limit, MAX_FOUND))
        return self._read(lambda database: rows.page(database, query, cursor=cursor, limit=capped))

    def expiring(self, before_ms: int, *, now_ms: int, limit: int = MAX_FOUND) -> list[Issued]:
        """Valid at `now_ms`, ending before `before_ms`, not revoked, and without a successor that ends later."""
        capped = min(limit, MAX_FOUND)
        return self._read(lambda database: rows.expiring(database, before_ms, now_ms, capped))

    def plan(
        self,
        intent: Intent,
        *,
        order_id: str | None = None,
        clock_tolerance_ms: int | None = None,
        admit: Callable[[Sequence[KeyUse]], None] | None = None,
    ) -> None:
        """Keep `intent` before anything is signed; see the contract."""
        self._writer.run(
            lambda database: intents.plan(
                database, intent, order_id=order_id, clock_tolerance_ms=clock_tolerance_ms, admit=admit
            )
        )

    def release(self, intent: Intent) -> None:
        """The order of `intent` may be given again, if no certificate is stored for it; the intent stays a gap."""
        self._writer.run(lambda database: intents.release(database, intent))

    def finish(self, issued: Issued) -> None:
        """Keep the certificate of an intent; IntentWithdrawn if a repair was faster, and then it is not kept."""
        self._writer.run(lambda database: intents.finish(database, issued))

    def recorded(self, issuer_key_sha256: str, serial: int) -> None:
        """The journal has the certificate. Written with the next write, not waited for."""
        self._writer.later(lambda database: intents.recorded(database, issuer_key_sha256, serial))

    def order(self, order_id: str) -> Issued | None:
        """The certificate that was issued for this order; OrderUnderWay if there is none yet."""

        def look(database: sqlite3.Connection) -> Issued | None:
            query = "SELECT issuer_key_sha256, serial FROM ordered WHERE order_id = ?"
            row = database.execute(query, (order_id,)).fetchone()
            if row is None:
                return None
            found = rows.one(database, row[0], int(row[1], 16))
            if found is None:
                raise OrderUnderWay("the order was given before and is being carried out")
            return found

        return self._read(look)

    def require_named(self, issuer_key_sha256: str, serial: int) -> None:
        """A certificate of this name was issued or intended; or CertificateAbsent."""
        if not self._read(lambda database: intents.is_named(database, issuer_key_sha256, serial)):
            raise CertificateAbsent("no such certificate was issued", serial=rows.name_of(serial))

    def gaps(self, before_ms: int | None = None) -> list[Gap]:
        """Issuances that are not complete, oldest first; with `before_ms`, only those begun earlier."""
        self._writer.flush()
        return self._read(lambda database: intents.gaps(database, before_ms))

    def withdraw(self, intent: Intent) -> bool:
        """From now on `finish` refuses it. False if it was finished, or its serial number revoked, meanwhile."""
        return self._writer.run(lambda database: intents.withdraw(database, intent))

    def followed(self) -> Followed:
        """How far the one who follows this store has come."""
        self._writer.flush()
        query = "SELECT issued, revoked FROM followed"
        row = self._read(lambda database: database.execute(query).fetchone())
        return Followed() if row is None else Followed(*row)

    def follow(self, followed: Followed) -> None:
        """Written with the next write, not waited for."""
        row = (followed.issued, followed.revoked)
        statement = "INSERT INTO followed VALUES (1,?,?) ON CONFLICT DO UPDATE SET issued = ?1, revoked = ?2"
        self._writer.later(lambda database: database.execute(statement, row))

    def ceremony(self, ceremony_id: str) -> CeremonyRecord | None:
        """The ceremony of this id, if it was performed."""
        query = "SELECT * FROM ceremony WHERE ceremony_id = ?"
        row = self._read(lambda database: database.execute(query, (ceremony_id,)).fetchone())
        return None if row is None else CeremonyRecord(*row)

    def add_ceremony(self, record: CeremonyRecord) -> None:
        """Keep it; CeremonyReplayed if its id or its file is there already."""

        def add(database: sqlite3.Connection) -> None:
            row = (record.ceremony_id, record.spec_sha256, record.at_ms, record.transcript)
            try:
                database.execute("INSERT INTO ceremony VALUES (?,?,?,?)", row)
            except sqlite3.IntegrityError as error:
                raise CeremonyReplayed("this ceremony was performed before", found=record.ceremony_id) from error

        self._writer.run(add)

    def revoke(self, revocation: Revocation) -> Revocation:
        """Revoke what was issued or intended; a second time changes nothing.

        The revocation that stands, or CertificateAbsent.
        """

        def revoke(database: sqlite3.Connection) -> Revocation:
            issuer, serial = revocation.issuer_key_sha256, revocation.serial
            if not intents.revoked(database, issuer, serial) and rows.one(database, issuer, serial) is None:
                raise CertificateAbsent("no such certificate was issued", serial=rows.name_of(serial))
            database.execute(
                f"INSERT INTO revoked (issuer_key_sha256, serial, {rows.REVOKED}) VALUES (?,?,?,?,?)"  # noqa: S608  # constants only
                " ON CONFLICT DO NOTHING",
                (
                    issuer,
                    rows.name_of(serial),
                    revocation.revoked_at_ms,
                    revocation.reason,
                    revocation.invalid_from_ms,
                ),
            )
            return rows.standing(database, issuer, serial) or revocation

        return self._writer.run(revoke)

    def revocation_of(self, issuer_key_sha256: str, serial: int) -> Revocation | None:
        """The revocation of this certificate, if it was revoked."""
        return self._read(lambda database: rows.standing(database, issuer_key_sha256, serial))

    def noted(self, issuer_key_sha256: str, serial: int) -> Noted:
        """Whether a certificate of this name is held, and its revocation; in one look, for it is asked most."""
        return self._read(lambda database: rows.noted(database, issuer_key_sha256, serial))

    def revocations(
        self, issuer_key_sha256: str, until_ms: int, *, after: int = -1, limit: int | None = None
    ) -> list[Revocation]:
        """Those of one authority that count at `until_ms`, by serial number: those beyond `after`, at most `limit`."""
        query = (
            f"SELECT serial, {rows.REVOKED} FROM revoked"  # noqa: S608  # constants only
            " WHERE issuer_key_sha256 = ? AND revoked_at_ms <= ? AND serial > ? ORDER BY serial LIMIT ?"
        )
        beyond = rows.name_of(after) if after >= 0 else ""
        asked = (issuer_key_sha256, until_ms, beyond, -1 if limit is None else limit)
        found = self._read(lambda database: database.execute(query, asked).fetchall())
        return [
            Revocation(issuer_key_sha256, int(serial, 16), at_ms, Reason(reason), invalid_ms)
            for serial, at_ms, reason, invalid_ms in found
        ]

    def next_crl_number(self, issuer_key_sha256: str, this_update_ms: int, *, allow_earlier: bool) -> int:
        """A number never given before, higher than all of CRLs with an earlier or equal time; see the contract."""

        def next_number(database: sqlite3.Connection) -> int:
            before, after = database.execute(
                "SELECT max(number) FILTER (WHERE this_update_ms <= ?1), min(number) FILTER (WHERE this_update_ms > ?1)"
                " FROM crl WHERE issuer_key_sha256 = ?2",
                (this_update_ms, issuer_key_sha256),
            ).fetchone()
            number = this_update_ms if before is None else max(this_update_ms, int(before) + 1)
            if after is not None and (number >= after or not allow_earlier):
                raise CrlTimeWentBack("there is a later CRL already", found=this_update_ms)
            database.execute("INSERT INTO crl VALUES (?,?,?)", (issuer_key_sha256, number, this_update_ms))
            return number

        return self._writer.run(next_number)

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:  # in memory there is one connection, and no disk to wait for
            return self._writer.look(look)
        with self._reading:
            return look(self._reader)


def _connect(path: Path | None) -> sqlite3.Connection:
    try:
        return sqlite3.connect(":memory:" if path is None else path, check_same_thread=False, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise StoreUnreadable("the file cannot be opened") from error
