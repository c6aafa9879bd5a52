"""Enrolment codes: whoever shows one may fetch the credentials that it was made for, each of them once.

A code is `<id>:<secret>`, so that it can be handed to HTTP Basic as it is. Of the secret, 160 random bits, only a
SHA-256 is kept: nobody can find it by trying, so a slow hash would protect nothing. The id finds the row; guessing at
a known id ends the code after a few attempts.
"""

import hashlib
import hmac
import secrets
import sqlite3
import threading
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pki.errors import Refused
from pki.roles import Purpose, Role, Service

ID_BYTES: Final = 10
SECRET_BYTES: Final = 20
MAX_ATTEMPTS: Final = 10
MAX_CODE_CHARS: Final = 128
BUSY_TIMEOUT_S: Final = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invitation (
    id TEXT PRIMARY KEY,
    secret_sha256 TEXT NOT NULL,
    grant_json BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS invited (
    id TEXT NOT NULL REFERENCES invitation (id),
    purpose TEXT NOT NULL,
    spki_sha256 TEXT,
    serial TEXT,
    PRIMARY KEY (id, purpose)
) STRICT;
"""


class CodeUnknown(Refused):
    """There is no such code, or its secret is another: the two are not told apart."""

    code = "pki/code-unknown"
    title = "Enrolment code not known"


class CodeSpent(Refused):
    """The code was used for this purpose before, by another key, or was never good for it."""

    code = "pki/code-spent"
    title = "Enrolment code is used up"


class CodeExpired(Refused):
    """The code is too old, or was guessed at too often."""

    code = "pki/code-expired"
    title = "Enrolment code is no longer good"


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a code is good for: credentials of these purposes, in this role, under these names and no others."""

    role: Role
    party_id: str
    purposes: tuple[Purpose, ...]
    organisation: str = ""
    services: tuple[Service, ...] = ()
    delegated_by: str | None = None
    dns_names: tuple[str, ...] = ()
    station_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A purpose of a code, taken by one key. `serial` is that of the certificate which this key was given already."""

    id: str
    purpose: Purpose
    spki_sha256: str
    invitation: Invitation
    serial: int | None


@dataclass(frozen=True, slots=True)
class OpenCode:
    """A code that is still good for these purposes. `id` is its first half, which alone is worth nothing."""

    id: str
    invitation: Invitation
    purposes: tuple[Purpose, ...]
    expires_at_ms: int


class CodeStore:
    """The codes of one office in its database file, or in memory; every method is atomic and for any thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or create the tables; without a path, in memory."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            ":memory:" if path is None else path,
            check_same_thread=False,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
        )
        if path is not None:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("PRAGMA secure_delete=ON")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        with self._lock:
            self._database.close()

    def invite(self, invitation: Invitation, *, expires_at_ms: int) -> str:
        """A new code for `invitation`; it is shown now and never again."""
        name, secret = _random(ID_BYTES), _random(SECRET_BYTES)
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                self._database.execute(
                    "INSERT INTO invitation (id, secret_sha256, grant_json, expires_at_ms) VALUES (?,?,?,?)",
                    (name, _digest(secret), msgspec.json.encode(invitation), expires_at_ms),
                )
                self._database.executemany(
                    "INSERT INTO invited (id, purpose) VALUES (?,?)", [(name, one) for one in invitation.purposes]
                )
        return f"{name}:{secret}"

    def open(self, code: str, now_ms: int) -> tuple[str, Invitation]:
        """The id of a code and what it is good for; raises `CodeUnknown`, `CodeExpired`."""
        name, _, secret = code[:MAX_CODE_CHARS].partition(":")
        with self._lock:
            row = self._database.execute(
                "SELECT secret_sha256, grant_json, expires_at_ms, attempts FROM invitation WHERE id = ?", (name,)
            ).fetchone()
            digest, grant, expires_at_ms, attempts = row or (_digest(""), b"", 0, 0)
            is_right = hmac.compare_digest(digest, _digest(secret))
            if row is None or not is_right:
                # Nobody can guess 160 bits; whoever tries is somebody who should not have the id either.
                self._database.execute("UPDATE invitation SET attempts = attempts + 1 WHERE id = ?", (name,))
                raise CodeUnknown("no such enrolment code")
        if attempts >= MAX_ATTEMPTS:
            raise CodeExpired("somebody guessed at the code", expected=f"fewer than {MAX_ATTEMPTS} wrong attempts")
        if now_ms >= expires_at_ms:
            raise CodeExpired("the code is too old")
        return name, msgspec.json.decode(grant, type=Invitation)

    def claim(self, code: str, purpose: Purpose, spki_sha256: str, now_ms: int) -> Claim:
        """The purpose is this key's from now on; the same key may come again, another is refused.

        Raises `CodeUnknown`, `CodeExpired`, `CodeSpent`.
        """
        name, invitation = self.open(code, now_ms)
        with self._lock:
            # One statement decides: of many at once one finds the place empty.
            self._database.execute(
                "UPDATE invited SET spki_sha256 = ? WHERE id = ? AND purpose = ? AND spki_sha256 IS NULL",
                (spki_sha256, name, purpose),
            )
            row = self._database.execute(
                "SELECT spki_sha256, serial FROM invited WHERE id = ? AND purpose = ?", (name, purpose)
            ).fetchone()
        if row is None:
            raise CodeSpent("the code is for other purposes", expected=" or ".join(invitation.purposes), found=purpose)
        if row[0] != spki_sha256:
            raise CodeSpent("the code was used for this purpose by another key", found=purpose)
        return Claim(name, purpose, spki_sha256, invitation, None if row[1] is None else int(row[1], 16))

    def release(self, claim: Claim) -> None:
        """Nothing was issued for the claim, and nothing will be: the purpose is open again."""
        with self._lock:
            self._database.execute(
                "UPDATE invited SET spki_sha256 = NULL"
                " WHERE id = ? AND purpose = ? AND spki_sha256 = ? AND serial IS NULL",
                (claim.id, claim.purpose, claim.spki_sha256),
            )

    def fulfil(self, claim: Claim, serial: int) -> None:
        """The certificate with this serial number was issued for the claim."""
        with self._lock:
            self._database.execute(
                "UPDATE invited SET serial = ? WHERE id = ? AND purpose = ? AND spki_sha256 = ?",
                (f"{serial:040x}", claim.id, claim.purpose, claim.spki_sha256),
            )

    def stands(self, claim: Claim) -> bool:
        """Whether the claim's code was not withdrawn meanwhile."""
        with self._lock:
            query = "SELECT 1 FROM invited WHERE id = ? AND purpose = ? AND spki_sha256 = ?"
            row = self._database.execute(query, (claim.id, claim.purpose, claim.spki_sha256)).fetchone()
        return row is not None

    def still_open(self, now_ms: int) -> list[OpenCode]:
        """Every code that is good for something now, in the order of their ends."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, grant_json, expires_at_ms, group_concat(purpose) FROM invitation JOIN invited USING (id)"
                " WHERE expires_at_ms > ? AND attempts < ? AND serial IS NULL GROUP BY id ORDER BY expires_at_ms, id",
                (now_ms, MAX_ATTEMPTS),
            ).fetchall()
        return [
            OpenCode(
                id=name,
                invitation=msgspec.json.decode(grant, type=Invitation),
                purposes=tuple(sorted(map(Purpose, left.split(",")))),
                expires_at_ms=expires_at_ms,
            )
            for name, grant, expires_at_ms, left in rows
        ]

    def withdraw(self, code_id: str) -> None:
        """The code is good for nothing any more; CodeUnknown if there is none."""
        with self._lock:
            if self._database.execute("SELECT 1 FROM invitation WHERE id = ?", (code_id,)).fetchone() is None:
                raise CodeUnknown("no such enrolment code")
            self._delete([(code_id,)])

    def withdraw_of(self, role: Role, party_id: str, station_id: str | None) -> int:
        """No code of this party in this role, or of this station, is good for anything any more; how many were."""
        who = (role, party_id, station_id)
        return self._delete_granted(lambda one: (one.role, one.party_id, one.station_id) == who)

    def forget(self, now_ms: int, *, party_id: str | None = None) -> int:
        """Delete codes that are no longer good, or all those of a party; how many."""
        if party_id is not None:
            return self._delete_granted(lambda one: one.party_id == party_id)
        with self._lock:
            rows = self._database.execute("SELECT id FROM invitation WHERE expires_at_ms <= ?", (now_ms,)).fetchall()
            return self._delete(rows)

    def _delete_granted(self, chosen: Callable[[Invitation], bool]) -> int:
        with self._lock:
            rows = self._database.execute("SELECT id, grant_json FROM invitation").fetchall()
            return self._delete(
                [(name,) for name, grant in rows if chosen(msgspec.json.decode(grant, type=Invitation))]
            )

    def _delete(self, rows: list[tuple[str]]) -> int:
        """All of them, or none: in one transaction."""
        if not rows:
            return 0
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany("DELETE FROM invited WHERE id = ?", rows)
            self._database.executemany("DELETE FROM invitation WHERE id = ?", rows)
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(rows)


def _random(octets: int) -> str:
    return b32encode(secrets.token_bytes(octets)).decode().lower()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
