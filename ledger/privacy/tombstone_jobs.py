"""The vault's side of an erasure: each stage is one transaction, so that a crash leaves a stage and never a mixture."""

import contextlib
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ledger.privacy import held, months, shelf, tombstones, vault
from ledger.privacy import keys as keyring
from ledger.privacy.database import Row
from ledger.privacy.errors import LostData, NoticeUnknown, TamperedData, VaultMalformed
from ledger.privacy.keys import framed
from ledger.records import jws
from ledger.records.privacy import ErasureBasis, ErasureExecuted, Profile, RefusalGround

MAX_PERIOD_LEAVES: Final = 16_384
"""A month that expires is cut into tombstones of this size, so that one opening is made in milliseconds."""

HOLD_CLASS: Final = "hold"
"""The key class of what outlives its retention under a legal hold."""


class Stage(StrEnum):
    """How far an erasure is."""

    INTENDED = "intended"
    FENCED = "fenced"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Job:
    """One erasure under way."""

    handle: str
    request: str
    uid: bytes | None = field(repr=False)
    basis: ErasureBasis
    stage: Stage
    retention: str | None
    period: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One recipient to be told of an erasure, under the pseudonym that this recipient knows."""

    number: int
    handle: str
    recipient: str
    purpose: str
    manifest_sha256: str
    pseudonym: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment that falls under a tombstone."""

    tag: bytes = field(repr=False)
    sha256: str | None
    """None for one that does not open: it is erased, but has no leaf."""


_COLUMNS: Final = "handle, request, uid, basis, stage, retention, period"


class Jobs:
    """Erasures under way, kept in the vault."""

    def __init__(self, of: vault.Vault) -> None:
        """Works on this vault."""
        self._vault = of
        self._database = of.database

    def intend(self, uid: bytes, basis: ErasureBasis, request: str) -> Job:
        """The wish is durable; a wish for the same subject that is already under way is that one."""
        with self._database.transaction():
            handle = self._database.scalar("SELECT handle FROM subject WHERE uid = ?", (uid,))
            self._database.execute(
                "INSERT INTO erasure (handle, request, uid, basis, stage) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (handle, request, uid, basis.value, Stage.INTENDED.value),
            )
            return self._job(handle)

    def unfinished(self) -> tuple[Job, ...]:
        """Every erasure that has begun and is not closed."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM erasure ORDER BY handle")  # noqa: S608 -- a constant
        return tuple(_read(row) for row in rows)

    def reload(self, job: Job) -> Job:
        """The job as the vault has it."""
        return self._job(job.handle)

    def drop(self, job: Job) -> None:
        """The job is over without an erasure."""
        with self._database.transaction():
            self._database.execute("DELETE FROM erasure WHERE handle = ?", (job.handle,))

    def name(self, job: Job) -> str:
        """The natural id of the subject, for the hold check."""
        return self._vault.name_of(job.uid or b"")

    def hold_on(self, job: Job) -> RefusalGround | None:
        """The ground of a legal hold that the vault knows."""
        found = self._database.scalar("SELECT hold FROM subject WHERE uid = ?", (job.uid,))
        return None if found is None else RefusalGround(found)

    def fence(self, job: Job) -> bool:
        """From here on the erasure happens: the name is gone, the digests answer ERASED. False under a hold."""
        with self._database.transaction():
            if self.hold_on(job) is not None:
                return False
            self._fence(job.handle, job.uid or b"")
            self._database.execute("UPDATE erasure SET stage = ? WHERE handle = ?", (Stage.FENCED.value, job.handle))
        return True

    def refence(self, handle: str) -> bool:
        """Fences a subject that a restored vault brought back; False where it did not."""
        with self._database.transaction():
            uid = self._database.scalar("SELECT uid FROM subject WHERE handle = ?", (handle,))
            if uid is None:
                return self._database.scalar("SELECT 1 FROM erasure WHERE handle = ?", (handle,)) is not None
            self._fence(handle, uid)
            self._database.execute(
                "INSERT INTO erasure (handle, request, uid, basis, stage) VALUES (?1, ?1, ?2, ?3, ?4) "
                "ON CONFLICT (handle) DO UPDATE SET stage = ?4",
                (handle, uid, ErasureBasis.LEGAL_OBLIGATION.value, Stage.FENCED.value),
            )
        return True

    def _fence(self, handle: str, uid: bytes) -> None:
        # Without a tag nobody finds the subject: who writes about the same person now makes a new one.
        self._database.execute("UPDATE subject SET tag = NULL WHERE uid = ?", (uid,))
        digests = [row[0] for row in self._database.rows("SELECT digest FROM facet WHERE uid = ?", (uid,))]
        self._lay_stone(handle, digests, self._attachments("uid = ?", (uid,)))
        self._database.execute(
            "INSERT INTO notice (handle, recipient, purpose, manifest, pseudonym) "
            "SELECT DISTINCT ?, recipient, purpose, manifest, pseudonym FROM disclosed "
            "WHERE uid = ? AND pseudonym != '' AND profile != ?",
            (handle, uid, Profile.ACCESS.value),
        )
        self._database.execute("DELETE FROM disclosed WHERE uid = ?", (uid,))

    def _lay_stone(self, handle: str, digests: Sequence[bytes], attached: Sequence[Attached]) -> None:
        named = [jws.encode_base64url(one) for one in digests]
        named += [one.sha256 for one in attached if one.sha256 is not None]
        tree = tombstones.grow(self._vault.keys, handle, named)
        tombstones.store(self._database, handle, tree)
        self._database.execute_many(
            "INSERT INTO erased VALUES (?, ?) ON CONFLICT DO NOTHING", [(one, handle) for one in digests]
        )
        self._database.execute_many(
            "INSERT INTO erased_attachment VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(one.tag, handle) for one in attached],
        )

    def _attachments(self, where: str, parameters: Sequence[object]) -> list[Attached]:
        rows = self._database.rows(
            "SELECT id, tag, uid, category, retention, period, key_retention, key_period, body "  # noqa: S608
            f"FROM attachment WHERE {where}",
            parameters,
        )
        found: list[Attached] = []
        for identity, tag, uid, category, retention, period, key_retention, key_period, body in rows:
            label = held.attachment_label(uid, identity, category, retention, period)
            try:
                data = self._vault.unseal(uid, (key_retention, key_period), label, body)
            except (LostData, TamperedData):
                found.append(Attached(tag, None))
            else:
                found.append(Attached(tag, hashlib.sha256(data).hexdigest()))
        return sorted(found, key=lambda one: one.tag)

    def delete_rows(self, job: Job) -> None:
        """Rows and the link to the person are gone; what is left is the tombstone's tree and unsent notices."""
        with self._database.transaction():
            if job.uid is not None:
                for table in ("facet", "attachment", "disclosed", "subject"):
                    self._database.execute(f"DELETE FROM {table} WHERE uid = ?", (job.uid,))  # noqa: S608
            else:
                self._database.execute(
                    "DELETE FROM facet WHERE digest IN (SELECT digest FROM erased WHERE handle = ?)", (job.handle,)
                )
                self._database.execute(
                    "DELETE FROM attachment WHERE tag IN (SELECT tag FROM erased_attachment WHERE handle = ?) "
                    "AND retention = ? AND period = ? AND NOT EXISTS "
                    "(SELECT 1 FROM subject s WHERE s.uid = attachment.uid AND s.hold IS NOT NULL)",
                    (job.handle, job.retention, job.period),
                )
            self._database.execute(
                "UPDATE erasure SET stage = ?, uid = NULL WHERE handle = ?", (Stage.DESTROYED.value, job.handle)
            )

    def tree(self, handle: str) -> tuple[str, int]:
        """Root and size of a tombstone."""
        row = self._database.row("SELECT root, size FROM tombstone WHERE handle = ?", (handle,))
        if row is None:
            raise VaultMalformed("an erasure has no tombstone", handle=handle)
        return row[0], row[1]

    def correct(self, handle: str, recorded: ErasureExecuted | None) -> None:
        """Where a restored vault leads to another tree than the log's, the log's stands, and there are no openings."""
        if recorded is None or self.tree(handle) == (recorded.manifest_root, recorded.manifest_size):
            return
        with self._database.transaction():
            self._database.execute(
                "UPDATE tombstone SET leaves = ?, root = ?, size = ? WHERE handle = ?",
                (b"", recorded.manifest_root, recorded.manifest_size, handle),
            )

    def close(self, handle: str, entry: int | None) -> None:
        """The erasure is over; `entry` is where its tombstone stands in the log."""
        with self._database.transaction():
            self._database.execute("UPDATE tombstone SET entry = coalesce(?, entry) WHERE handle = ?", (entry, handle))
            self._database.execute("DELETE FROM erasure WHERE handle = ?", (handle,))

    def due_periods(self, now_ms: int) -> tuple[tuple[str, str], ...]:
        """Every (retention class, month) whose data has been kept long enough."""
        places = {place for place in self._vault.keys.periods() if place[0] not in (HOLD_CLASS, shelf.IDENTITY[0])}
        for table in ("facet", "attachment"):
            places |= {
                (row[0], row[1])
                for row in self._database.rows(
                    f"SELECT DISTINCT t.retention, t.period FROM {table} t "  # noqa: S608
                    "LEFT JOIN subject s ON s.uid = t.uid WHERE s.hold IS NULL"
                )
            }
        return tuple(sorted(place for place in places if months.due_at_ms(*place) <= now_ms))

    def fence_period(self, retention: str, period: str) -> tuple[Job, ...]:
        """Fixes the tombstones of one class and month; what is under a legal hold moves to a key of its own."""
        with self._database.transaction():
            self._move_held(retention, period)
            where = (
                "retention = ?1 AND period = ?2 AND "
                "NOT EXISTS (SELECT 1 FROM subject s WHERE s.uid = {0}.uid AND s.hold IS NOT NULL)"
            )
            digests = [
                row[0]
                for row in self._database.rows(
                    f"SELECT digest FROM facet WHERE {where.format('facet')} "  # noqa: S608
                    "AND digest NOT IN (SELECT digest FROM erased) ORDER BY digest",
                    (retention, period),
                )
            ]
            fresh = "tag NOT IN (SELECT tag FROM erased_attachment)"
            attached = self._attachments(" AND ".join([where.format("attachment"), fresh]), (retention, period))
            for at in range(0, len(digests), MAX_PERIOD_LEAVES):
                self._fence_batch(retention, period, digests[at : at + MAX_PERIOD_LEAVES], [])
            for at in range(0, len(attached), MAX_PERIOD_LEAVES):
                self._fence_batch(retention, period, [], attached[at : at + MAX_PERIOD_LEAVES])
            rows = self._database.rows(
                f"SELECT {_COLUMNS} FROM erasure WHERE retention = ? AND period = ? ORDER BY handle",  # noqa: S608
                (retention, period),
            )
        return tuple(_read(row) for row in rows)

    def _fence_batch(self, retention: str, period: str, digests: Sequence[bytes], attached: Sequence[Attached]) -> None:
        first = digests[0] if digests else attached[0].tag
        # The same batch has the same handle: a restored vault that expires it again meets its own tombstone.
        message = framed(b"flexledger period handle v1", retention.encode(), period.encode(), first)
        handle = hmac.digest(self._vault.keys.service_key(keyring.TOMBSTONE), message, "sha256")[
            : shelf.HANDLE_BYTES
        ].hex()
        self._lay_stone(handle, digests, attached)
        self._database.execute(
            "INSERT INTO erasure (handle, request, basis, stage, retention, period) "
            "VALUES (?1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            (handle, ErasureBasis.STORAGE_LIMITATION.value, Stage.FENCED.value, retention, period),
        )

    def _move_held(self, retention: str, period: str) -> None:
        place = (HOLD_CLASS, months.month_of(self._vault.clock.now_ms()))
        for table, key, label_of in (
            ("facet", "digest", held.facet_label),
            ("attachment", "id", held.attachment_label),
        ):
            rows = self._database.rows(
                f"SELECT t.{key}, t.uid, t.category, t.body FROM {table} t "  # noqa: S608
                "JOIN subject s ON s.uid = t.uid WHERE s.hold IS NOT NULL "
                "AND t.retention = ?1 AND t.period = ?2 AND t.key_retention = ?1 AND t.key_period = ?2",
                (retention, period),
            )
            for name, uid, category, body in rows:
                label = label_of(uid, name, category, retention, period)
                with contextlib.suppress(LostData, TamperedData):
                    data = self._vault.unseal(uid, (retention, period), label, body)
                    again = self._vault.seal(uid, place, label, data)
                    self._database.execute(
                        f"UPDATE {table} SET key_retention = ?, key_period = ?, body = ? WHERE {key} = ?",  # noqa: S608
                        (*place, again, name),
                    )

    def forget_empty(self) -> bool:
        """Subjects of whom nothing is kept any more are forgotten, key, name and disclosure log; True if there were."""
        with self._database.transaction():
            empty = [
                row[0]
                for row in self._database.rows(
                    "SELECT uid FROM subject WHERE hold IS NULL AND restriction IS NULL AND tag IS NOT NULL "
                    "AND NOT EXISTS (SELECT 1 FROM facet f WHERE f.uid = subject.uid) "
                    "AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.uid = subject.uid)"
                )
            ]
            for uid in empty:
                self._vault.keys.destroy_subject_key(uid)
                self._database.execute("DELETE FROM disclosed WHERE uid = ?", (uid,))
                self._database.execute("DELETE FROM erasure WHERE uid = ?", (uid,))
                self._database.execute("DELETE FROM subject WHERE uid = ?", (uid,))
            self._retire_hold_keys()
        return bool(empty)

    def _retire_hold_keys(self) -> None:
        this_month = months.month_of(self._vault.clock.now_ms())
        for retention, period in self._vault.keys.periods():
            if retention != HOLD_CLASS or period >= this_month:
                continue
            used = self._database.scalar(
                "SELECT 1 FROM facet WHERE key_retention = ?1 AND key_period = ?2 "
                "UNION ALL SELECT 1 FROM attachment WHERE key_retention = ?1 AND key_period = ?2",
                (retention, period),
            )
            if used is None:
                self._vault.keys.destroy_period_key(retention, period)

    def notices(self) -> tuple[Notice, ...]:
        """Every notice that is not sent."""
        rows = self._database.rows("SELECT id, handle, recipient, purpose, manifest, pseudonym FROM notice ORDER BY id")
        return tuple(Notice(*row) for row in rows)

    def forget_notice(self, number: int) -> None:
        """The notice was sent; raises `NoticeUnknown` if none of this number is still to be."""
        with self._database.transaction():
            if not self._database.execute("DELETE FROM notice WHERE id = ?", (number,)):
                raise NoticeUnknown("no such notice is to be sent", found=number)

    def _job(self, handle: str) -> Job:
        row = self._database.row(f"SELECT {_COLUMNS} FROM erasure WHERE handle = ?", (handle,))  # noqa: S608
        if row is None:
            raise VaultMalformed("an erasure under way is not in the vault", handle=handle)
        return _read(row)


def _read(row: Row) -> Job:
    handle, request, uid, basis, stage, retention, period = row
    return Job(handle, request, uid, ErasureBasis(basis), Stage(stage), retention, period)
