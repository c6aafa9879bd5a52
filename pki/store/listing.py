"""Reading what was issued, page by page, in the order of issuance; beside the store that writes, never in its way."""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pki.roles import Purpose, Role
from pki.store.records import Issued, Reason, Revocation, StoreUnavailable
from pki.store.rows import revocation_of

MAX_PAGE: Final = 1_000
BUSY_TIMEOUT_S: Final = 5.0

_COLUMNS = (
    "i.issuer_key_sha256, i.serial, i.der, i.profile, i.role, i.purpose, i.party_id, i.station_id, i.spki_sha256,"
    " i.tbs_sha256, i.not_before_ms, i.not_after_ms, i.issued_at_ms"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One certificate with its place in the order of issuance, and its revocation if it was revoked."""

    number: int
    issued: Issued
    revocation: Revocation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What a page holds: all that match everything that is not None."""

    role: Role | None = None
    party_id: str | None = None
    purpose: Purpose | None = None
    valid_at_ms: int | None = None
    ending_before_ms: int | None = None
    is_revoked: bool | None = None


class Listing:
    """A reader of a `SqliteStore`'s file."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.OperationalError where there is no such file."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        )

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        with self._lock:
            self._database.close()

    def page(self, sought: Sought = Sought(), *, after: int = 0, limit: int = MAX_PAGE) -> list[Listed]:
        """At most `limit` of those that were issued after number `after`, oldest first."""
        tests: dict[str, str | int | None] = {
            "i.role = ?": sought.role,
            "i.party_id = ?": sought.party_id,
            "i.purpose = ?": sought.purpose,
            "i.not_before_ms <= ?": sought.valid_at_ms,
            "i.not_after_ms >= ?": sought.valid_at_ms,
            "i.not_after_ms < ?": sought.ending_before_ms,
        }
        asked = {test: value for test, value in tests.items() if value is not None}
        where = " AND ".join(["i.rowid > ?", *asked, *_standing(sought.is_revoked)])
        query = (
            f"SELECT i.rowid, r.revoked_at_ms, r.reason, r.invalid_from_ms, {_COLUMNS}"  # noqa: S608  # constants only
            " FROM issued i LEFT JOIN revoked r USING (issuer_key_sha256, serial)"
            f" WHERE {where} ORDER BY i.rowid LIMIT ?"
        )
        rows = self._ask(query, (after, *asked.values(), min(limit, MAX_PAGE)))
        return [_listed(row) for row in rows]

    def _ask(self, query: str, values: tuple[str | int | None, ...] = ()) -> list[Any]:
        """The rows; StoreUnavailable if the file does not answer."""
        try:
            with self._lock:
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable("the store cannot be read now") from error

    def version(self) -> int:
        """Another number after every write to the file, whoever wrote: `PRAGMA data_version`."""
        return int(self._ask("PRAGMA data_version")[0][0])

    def last_revoked(self) -> int:
        """The place of the last revocation; it goes back when persons are forgotten."""
        return int(self._ask("SELECT coalesce(max(rowid), 0) FROM revoked")[0][0])

    def revocations(self, *, after: int = 0, limit: int = MAX_PAGE) -> list[tuple[int, Revocation]]:
        """At most `limit` revocations behind place `after`, in the order of their writing, each with its place."""
        query = (
            "SELECT rowid, issuer_key_sha256, serial, revoked_at_ms, reason, invalid_from_ms FROM revoked"
            " WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        rows = self._ask(query, (after, min(limit, MAX_PAGE)))
        return [
            (place, Revocation(issuer, int(serial, 16), at_ms, Reason(reason), invalid_ms))
            for place, issuer, serial, at_ms, reason, invalid_ms in rows
        ]

    def all(self, sought: Sought = Sought()) -> list[Listed]:
        """Every one that matches, read in pages."""
        found: list[Listed] = []
        while page := self.page(sought, after=found[-1].number if found else 0):
            found += page
        return found


def _standing(is_revoked: bool | None) -> tuple[str, ...]:
    if is_revoked is None:
        return ()
    return ("r.serial IS NOT NULL",) if is_revoked else ("r.serial IS NULL",)


def _listed(row: tuple[object, ...]) -> Listed:
    number, revoked_at_ms, reason, invalid_ms, issuer, serial, der, profile, role, purpose, party, station, *rest = row
    spki, tbs, not_before_ms, not_after_ms, issued_at_ms = rest
    issued = Issued(
        issuer_key_sha256=str(issuer),
        serial=int(str(serial), 16),
        der=bytes(der),  # type: ignore[call-overload]
        profile=str(profile),
        role=None if role is None else Role(str(role)),
        purpose=None if purpose is None else Purpose(str(purpose)),
        party_id=None if party is None else str(party),
        station_id=None if station is None else str(station),
        spki_sha256=str(spki),
        tbs_sha256=str(tbs),
        not_before_ms=int(str(not_before_ms)),
        not_after_ms=int(str(not_after_ms)),
        issued_at_ms=int(str(issued_at_ms)),
    )
    revocation = revocation_of(issued.issuer_key_sha256, issued.serial, (revoked_at_ms, reason, invalid_ms))
    return Listed(int(str(number)), issued, revocation)
