"""The key database: wrapped subject keys, wrapped period keys, and the fences that keep destroyed ones destroyed.

A facet is encrypted under HKDF(subject key, period key). Destroying the subject key forgets one person; destroying a
period key lets one month of one retention class expire for everybody; neither touches the other's data.
"""

import hashlib
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.clock import Clock
from ledger.privacy.database import Database
from ledger.privacy.errors import KekEpochInUse, PeriodLapsed, VaultMalformed
from ledger.privacy.kekring import KEY_BYTES, KekProvider

UID_BYTES: Final = 16
ORGANISATION: Final = bytes(UID_BYTES)
"""Stands for the organisation itself where personal data has no one subject to be erased with."""

CACHE_TTL_MS: Final = 60_000
MAX_CACHED: Final = 4_096
REWRAP_BATCH: Final = 1_000

VERSIONS: Final = (
    """
CREATE TABLE subject_key (
    uid BLOB NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_key_epoch ON subject_key (epoch);
CREATE TABLE period_key (
    retention TEXT NOT NULL, period TEXT NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (retention, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE service_key (
    name TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fence (uid_hash BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE lapsed (retention TEXT NOT NULL, period TEXT NOT NULL, PRIMARY KEY (retention, period))
    STRICT, WITHOUT ROWID;
CREATE TABLE state (only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), epoch INTEGER NOT NULL) STRICT
""",
)
"""The tables of keys.db, one script a version, as in `ledger.privacy.tables`."""

LOOKUP: Final = "lookup"
ATTACHMENT: Final = "attachment"
PSEUDONYM: Final = "pseudonym"
TOMBSTONE: Final = "tombstone"
_SERVICE_KEYS: Final = (LOOKUP, ATTACHMENT, PSEUDONYM, TOMBSTONE)


Progress = Callable[[int, int], None]
"""How many are done, and of how many."""


def framed(label: bytes, *parts: bytes) -> bytes:
    """`label` and the parts, each behind its length, so that no two lists of parts give the same bytes."""
    return b"".join(struct.pack(">I", len(part)) + part for part in (label, *parts))


class Keys:
    """The key database, opened under a provider of key-encryption keys."""

    def __init__(self, database: Database, provider: KekProvider, *, clock: Clock, create: bool = False) -> None:
        """Takes the database over; with `create` an empty one gets its first keys. Raises `KekEpochAbsent`."""
        self._database = database
        self._provider = provider
        self._clock = clock
        self._cache: dict[tuple[bytes, str, str], tuple[AESGCM, int]] = {}
        self._services: dict[str, bytes] = {}
        if create and database.scalar("SELECT epoch FROM state") is None:
            self._initialise()

    def __repr__(self) -> str:
        """Names the file, never a key."""
        return f"Keys({self._database.name!r})"

    def __reduce__(self) -> str:
        """Raises TypeError: keys are not pickled."""
        raise TypeError("keys are not pickled")

    def _initialise(self) -> None:
        epoch = self._provider.epochs()[-1]
        with self._database.transaction():
            if self._database.scalar("SELECT epoch FROM state") is not None:
                # Another replica was first.
                return
            self._database.execute("INSERT INTO state VALUES (1, ?)", (epoch,))
            for name in _SERVICE_KEYS:
                wrapped = self._provider.wrap(epoch, secrets.token_bytes(KEY_BYTES), _service_label(name))
                self._database.execute("INSERT INTO service_key VALUES (?, ?, ?)", (name, epoch, wrapped))
            self._insert_subject_key(ORGANISATION)

    def service_key(self, name: str) -> bytes:
        """One of the vault's own keys: `LOOKUP`, `ATTACHMENT`, `PSEUDONYM`, `TOMBSTONE`."""
        if name not in self._services:
            row = self._database.row("SELECT epoch, wrapped FROM service_key WHERE name = ?", (name,))
            if row is None:
                raise VaultMalformed("a service key is missing", name=name)
            self._services[name] = self._provider.unwrap(row[0], row[1], _service_label(name))
        return self._services[name]

    def create_subject_key(self, uid: bytes) -> None:
        """A key for a new subject. Durable when it returns."""
        with self._database.transaction():
            self._insert_subject_key(uid)

    def _insert_subject_key(self, uid: bytes) -> None:
        if self.is_fenced(uid):
            raise VaultMalformed("a destroyed subject key may not come back")
        # The epoch is read in the same transaction: a rotation in another process is never missed.
        epoch = self._epoch()
        wrapped = self._provider.wrap(epoch, secrets.token_bytes(KEY_BYTES), _subject_label(uid, 1))
        self._database.execute("INSERT INTO subject_key VALUES (?, 1, ?, ?)", (uid, epoch, wrapped))

    def facet_cipher(self, uid: bytes, retention: str, period: str) -> AESGCM | None:
        """The cipher of one subject's facets of one class and month; None where either key is gone.

        Raises `KekEpochAbsent` where the keys are there but the epoch that wraps them is not.
        """
        place = (uid, retention, period)
        now_ms = self._clock.now_ms()
        cached = self._cache.get(place)
        if cached is not None and 0 <= now_ms - cached[1] < CACHE_TTL_MS:
            return cached[0]
        subject = self._subject_key(uid)
        of_period = self._period_key(retention, period)
        if subject is None or of_period is None:
            self._cache.pop(place, None)
            return None
        info = framed(b"flexledger facet v1", retention.encode(), period.encode())
        derived = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(subject + of_period)
        cipher = AESGCM(derived)
        while len(self._cache) >= MAX_CACHED:
            self._cache.pop(next(iter(self._cache)))
        self._cache[place] = (cipher, now_ms)
        return cipher

    def require_period(self, retention: str, period: str) -> None:
        """There is a period key, made now if need be; raises `PeriodLapsed` for a period that has expired."""
        if self._database.scalar("SELECT 1 FROM period_key WHERE retention = ? AND period = ?", (retention, period)):
            return
        with self._database.transaction():
            if self._database.scalar("SELECT 1 FROM lapsed WHERE retention = ? AND period = ?", (retention, period)):
                raise PeriodLapsed("this period has expired for everybody", retention=retention, period=period)
            epoch = self._epoch()
            wrapped = self._provider.wrap(epoch, secrets.token_bytes(KEY_BYTES), _period_label(retention, period))
            self._database.execute(
                "INSERT INTO period_key VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (retention, period, epoch, wrapped)
            )

    def periods(self) -> tuple[tuple[str, str], ...]:
        """Every (retention class, month) that has a key."""
        found = self._database.rows("SELECT retention, period FROM period_key ORDER BY retention, period")
        return tuple((row[0], row[1]) for row in found)

    def is_fenced(self, uid: bytes) -> bool:
        """True once the subject's key was destroyed."""
        return self._database.scalar("SELECT 1 FROM fence WHERE uid_hash = ?", (_fence(uid),)) is not None

    def destroy_subject_key(self, uid: bytes) -> None:
        """The subject's key is gone and stays gone; idempotent."""
        with self._database.transaction():
            self._database.execute("INSERT INTO fence VALUES (?) ON CONFLICT DO NOTHING", (_fence(uid),))
            wrapped = self._database.scalar("SELECT wrapped FROM subject_key WHERE uid = ?", (uid,))
            if wrapped is not None:
                # Overwritten in its place, where the engine does that: a page may move before it is cleared.
                zeros = bytes(len(wrapped))
                self._database.execute("UPDATE subject_key SET wrapped = ? WHERE uid = ?", (zeros, uid))
            self._database.execute("DELETE FROM subject_key WHERE uid = ?", (uid,))
        self.purge(uid)

    def destroy_period_key(self, retention: str, period: str) -> None:
        """The period's key is gone, and the period takes no more writes; idempotent."""
        with self._database.transaction():
            self._database.execute("INSERT INTO lapsed VALUES (?, ?) ON CONFLICT DO NOTHING", (retention, period))
            self._database.execute("DELETE FROM period_key WHERE retention = ? AND period = ?", (retention, period))
        for place in [place for place in self._cache if place[1:] == (retention, period)]:
            del self._cache[place]

    def purge(self, uid: bytes | None = None) -> None:
        """Forgets derived keys of one subject, or all of them."""
        for place in [place for place in self._cache if uid is None or place[0] == uid]:
            del self._cache[place]

    def rotate(self, progress: Progress | None = None) -> int:
        """A new epoch; every key is wrapped under it when this returns. The old epochs still exist.

        What a kill interrupted is gone on with, under the epoch that it had begun: keys are re-wrapped in batches, each
        durable, and new keys use the new epoch from the first moment.
        """
        with self._database.transaction():
            epoch, left = self._epoch(), self._left()
            if left == 0:
                epoch = self._provider.new_epoch()
                self._database.execute("UPDATE state SET epoch = ?", (epoch,))
        left, done = self._left(), 0
        while count := self._rewrap_subjects(epoch):
            done += count
            if progress is not None:
                progress(done, max(done, left))
        with self._database.transaction():
            for retention, period, old, wrapped in self._database.rows(
                "SELECT retention, period, epoch, wrapped FROM period_key WHERE epoch != ?", (epoch,)
            ):
                again = self._rewrapped(old, epoch, wrapped, _period_label(retention, period))
                self._database.execute(
                    "UPDATE period_key SET epoch = ?, wrapped = ? WHERE retention = ? AND period = ?",
                    (epoch, again, retention, period),
                )
            for name, old, wrapped in self._database.rows(
                "SELECT name, epoch, wrapped FROM service_key WHERE epoch != ?", (epoch,)
            ):
                again = self._rewrapped(old, epoch, wrapped, _service_label(name))
                self._database.execute(
                    "UPDATE service_key SET epoch = ?, wrapped = ? WHERE name = ?", (epoch, again, name)
                )
        if progress is not None:
            progress(done, done)
        return epoch

    def _left(self) -> int:
        """Keys that are not wrapped under the epoch in force."""
        epoch = self._epoch()
        counts = [
            self._database.scalar(f"SELECT count(*) FROM {table} WHERE epoch != ?", (epoch,))  # noqa: S608 -- ours
            for table in ("subject_key", "period_key", "service_key")
        ]
        return int(sum(counts))

    def check(self, progress: Progress | None = None) -> int:
        """Unwraps every key, so that it is known that this database restores under this ring; how many there are.

        Raises `KekEpochAbsent`, `TamperedData`.
        """
        total = self._database.scalar("SELECT count(*) FROM subject_key")
        done, after = 0, b""
        while rows := self._database.rows(
            "SELECT uid, generation, epoch, wrapped FROM subject_key WHERE uid > ? ORDER BY uid LIMIT ?",
            (after, REWRAP_BATCH),
        ):
            for uid, generation, epoch, wrapped in rows:
                self._provider.unwrap(epoch, wrapped, _subject_label(uid, generation))
            done, after = done + len(rows), rows[-1][0]
            if progress is not None:
                progress(done, total)
        for retention, period in self.periods():
            if self._period_key(retention, period) is None:
                raise VaultMalformed("a period key went away while it was looked at")
        for name in _SERVICE_KEYS:
            self.service_key(name)
        return done

    def destroy_epoch(self, epoch: int) -> None:
        """The epoch's key is destroyed; raises `KekEpochInUse` while it wraps anything, `KekEpochAbsent`."""
        with self._database.transaction():
            if epoch == self._epoch() or any(
                self._database.scalar(sql, (epoch,))
                for sql in (
                    "SELECT 1 FROM subject_key WHERE epoch = ? LIMIT 1",
                    "SELECT 1 FROM period_key WHERE epoch = ? LIMIT 1",
                    "SELECT 1 FROM service_key WHERE epoch = ? LIMIT 1",
                )
            ):
                raise KekEpochInUse("keys are wrapped under this epoch", epoch=epoch)
            self._provider.destroy(epoch)
        self.purge()

    @property
    def epoch(self) -> int:
        """The epoch under which new keys are wrapped."""
        return self._epoch()

    def epochs(self) -> tuple[int, ...]:
        """The epochs that exist, oldest first."""
        return self._provider.epochs()

    def provider(self) -> KekProvider:
        """Where the key-encryption keys are."""
        return self._provider

    def backup(self, path: Path) -> None:
        """As `Database.backup`."""
        self._database.backup(path)

    def empty_log(self) -> bool:
        """As `Database.empty_log`."""
        return self._database.empty_log()

    def close(self) -> None:
        """Forgets every derived key and closes the file."""
        self._cache.clear()
        self._services.clear()
        self._database.close()

    def _epoch(self) -> int:
        found = self._database.scalar("SELECT epoch FROM state")
        if found is None:
            raise VaultMalformed("the key database has no epoch")
        return int(found)

    def _rewrap_subjects(self, epoch: int) -> int:
        with self._database.transaction():
            found = self._database.rows(
                "SELECT uid, generation, epoch, wrapped FROM subject_key WHERE epoch != ? LIMIT ?",
                (epoch, REWRAP_BATCH),
            )
            self._database.execute_many(
                "UPDATE subject_key SET epoch = ?, wrapped = ? WHERE uid = ?",
                [
                    (epoch, self._rewrapped(old, epoch, wrapped, _subject_label(uid, generation)), uid)
                    for uid, generation, old, wrapped in found
                ],
            )
        return len(found)

    def _rewrapped(self, old: int, new: int, wrapped: bytes, label: bytes) -> bytes:
        return self._provider.wrap(new, self._provider.unwrap(old, wrapped, label), label)

    def _subject_key(self, uid: bytes) -> bytes | None:
        row = self._database.row("SELECT generation, epoch, wrapped FROM subject_key WHERE uid = ?", (uid,))
        if row is None:
            return None
        return self._provider.unwrap(row[1], row[2], _subject_label(uid, row[0]))

    def _period_key(self, retention: str, period: str) -> bytes | None:
        row = self._database.row(
            "SELECT epoch, wrapped FROM period_key WHERE retention = ? AND period = ?", (retention, period)
        )
        if row is None:
            return None
        return self._provider.unwrap(row[0], row[1], _period_label(retention, period))


def _fence(uid: bytes) -> bytes:
    """A uid is 128 random bits: its hash tells nobody who it was."""
    return hashlib.sha256(b"flexledger fence v1\0" + uid).digest()


def _subject_label(uid: bytes, generation: int) -> bytes:
    return framed(b"flexledger subject key v1", uid, generation.to_bytes(4, "big"))


def _period_label(retention: str, period: str) -> bytes:
    return framed(b"flexledger period key v1", retention.encode(), period.encode())


def _service_label(name: str) -> bytes:
    return framed(b"flexledger service key v1", name.encode())
