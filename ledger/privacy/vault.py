"""The vault: everything personal that the log commits to, encrypted, byte for byte as it was hashed.

Write order: the vault first, then the log. A disclosure without an entry is collected at the next start; a digest in
the log whose disclosure was never stored could not be opened by anybody, ever.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from ledger.clock import Clock
from ledger.privacy import keys as keyring
from ledger.privacy import opened, openings, tables, tombstones
from ledger.privacy.database import Database, Row, SqliteDatabase
from ledger.privacy.errors import (
    AttachmentAbsent,
    ErasedData,
    LostData,
    RestrictedData,
    TamperedData,
)
from ledger.privacy.held import Held, Paper, attachment_label, facet_label
from ledger.privacy.kekring import KekProvider, KekRingFile
from ledger.privacy.keys import ORGANISATION, Keys
from ledger.privacy.opened import Opened, State
from ledger.privacy.shelf import Shelf
from ledger.privacy.taking import Taken, Taking
from ledger.records import jws
from ledger.records.marks import Category

VAULT_FILE: Final = "vault.db"
KEYS_FILE: Final = "keys.db"
KEK_FILE: Final = "kek.ring"

_FACETS: Final = (
    "SELECT f.digest, f.uid, f.category, f.retention, f.period, f.key_retention, f.key_period, f.body, s.restriction "
    "FROM facet f LEFT JOIN subject s ON s.uid = f.uid WHERE f.digest IN ({places})"
)
_OWNERS: Final = (
    "SELECT digest, uid FROM facet f WHERE digest IN ({places}) "
    "AND NOT EXISTS (SELECT 1 FROM erased e WHERE e.digest = f.digest)"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One person as the vault knows them: by random numbers."""

    uid: bytes = field(repr=False)
    handle: str
    held: bool
    restricted: bool


class Vault(Shelf):
    """An open vault. Calls are synchronous and their transactions short."""

    def __repr__(self) -> str:
        """Says nothing of what is in it."""
        return "Vault()"

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        clock: Clock,
        kek_path: Path | None = None,
        create: bool = False,
        provider: KekProvider | None = None,
    ) -> Self:
        """The vault in `directory`; `create` makes what is missing of a new one.

        The key ring belongs outside the directory and its backups: without `kek_path` it stands in it, which is fit
        for development only. Raises `VaultAbsent`, `VaultMalformed`, `KekRingExposed`, `KekEpochAbsent`.
        """
        if create:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if provider is None:
            path = kek_path or directory / KEK_FILE
            # A new ring beside old keys could open nothing and would hide that the old ring is missing.
            make = create and not path.exists() and not (directory / KEYS_FILE).exists()
            provider = KekRingFile.create(path) if make else KekRingFile.open(path)
        return cls.over(
            lambda: SqliteDatabase(directory / VAULT_FILE, tables.VERSIONS, create=create),
            lambda: SqliteDatabase(directory / KEYS_FILE, keyring.VERSIONS, create=create),
            provider,
            clock=clock,
            create=create,
        )

    @classmethod
    def over(
        cls,
        database: Callable[[], Database],
        keys_database: Callable[[], Database],
        provider: KekProvider,
        *,
        clock: Clock,
        create: bool = False,
    ) -> Self:
        """The vault over two databases, the keys' opened first; what was opened is closed if the rest cannot be."""
        opened_keys = keys_database()
        try:
            keys = Keys(opened_keys, provider, clock=clock, create=create)
            keys.service_key(keyring.LOOKUP)
            return cls(database(), keys, clock=clock)
        except BaseException:
            opened_keys.close()
            raise

    def close(self) -> None:
        """Closes both files and forgets every derived key."""
        self.database.close()
        self.keys.close()

    # Writing

    def keep(self, disclosures: Sequence[Held]) -> None:
        """Every disclosure is durable when this returns; call it before the entry is appended. Idempotent.

        A digest that was erased stays erased, whoever hands its disclosure in again. Raises `SubjectNameRefused`,
        `RetentionMalformed`, `PeriodLapsed`, `DisclosureMalformed`; then nothing is kept.
        """
        with self.database.transaction():
            Taking(self).keep(disclosures)

    def take_in(self, disclosures: Sequence[Held], papers: Sequence[Paper], undisclosed: Iterable[str]) -> Taken:
        """Everything that comes with one statement, durable in one commit; which rows are new, which were there.

        Raises what `keep` and `attach` raise; then nothing is kept.
        """
        with self.database.transaction():
            taking = Taking(self)
            for paper in papers:
                taking.attach(paper)
            taking.keep(disclosures)
            taking.note_undisclosed(undisclosed)
        return taking.taken()

    def note_undisclosed(self, digests: Iterable[str]) -> None:
        """Remembers digests that came without a disclosure (decoys, or values kept back), so that none looks lost."""
        with self.database.transaction():
            Taking(self).note_undisclosed(digests)

    def settled(self, origin: str) -> int:
        """The size of that log when `forget_orphans` was last told of it: what is not settled has no entry below."""
        return int(self.database.scalar("SELECT size FROM settled WHERE origin = ?", (origin,)) or 0)

    def forget_orphans(self, known: Callable[[str], bool], *, origin: str = "", size: int = 0) -> int:
        """Deletes disclosures whose digest is in no entry.

        Call at start, before anything is appended: between `keep` and the append every disclosure looks like an
        orphan. What is known once is not asked about again; with `origin`, the log has that size now. The number of
        disclosures deleted.
        """
        with self.database.transaction():
            pending = [row[0] for row in self.database.rows("SELECT digest FROM facet WHERE settled = 0")]
            orphans = [(one,) for one in pending if not known(jws.encode_base64url(one))]
            self.database.execute_many("DELETE FROM facet WHERE digest = ?", orphans)
            self.database.execute("UPDATE facet SET settled = 1 WHERE settled = 0")
            if origin:
                self.database.execute(
                    "INSERT INTO settled VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size",
                    (origin, size),
                )
        return len(orphans)

    def attach(self, data: bytes, *, subject: str | None, category: Category, retention: str) -> str:
        """Keeps `data` and returns its SHA-256 in hex, by which it is found again. Idempotent.

        The same bytes about two persons are kept twice, so that erasing one of them takes nothing from the other.
        The digest is not stored: the digest of a predictable document would identify it. Raises
        `AttachmentTooLarge` and what `keep` raises.
        """
        with self.database.transaction():
            return Taking(self).attach(Paper(data, subject, category, retention))

    # Reading

    def open_digest(self, digest: str, *, despite_restriction: bool = False) -> str:
        """The disclosure's text, which hashes to `digest`.

        Raises `ErasedData`, `LostData`, `TamperedData`, `UndisclosedData`, and `RestrictedData` unless the caller
        acts `despite_restriction` (for the subject's own access, or for legal claims).
        """
        found = self.open_many([digest], despite_restriction=despite_restriction)[digest]
        if found.text is None:
            opened.refuse(found, digest)
        return found.text

    def open_many(self, digests: Iterable[str], *, despite_restriction: bool = False) -> dict[str, Opened]:
        """What became of each digest, as a value; nothing is raised for what cannot be opened.

        Asks the databases once for many digests: a caller with many does not ask for them one by one.
        """
        keys = {one: openings.digest_bytes(one) for one in digests}
        # Erased comes first: between the fence and the deletion the row is still there, and must not be served.
        erased: dict[bytes, str] = dict(
            self.asked("SELECT digest, handle FROM erased WHERE digest IN ({places})", keys.values())
        )
        living = [key for key in keys.values() if key not in erased]
        rows = {row[0]: row[1:] for row in self.asked(_FACETS, living)}
        noted = self.present("undisclosed", "digest", [key for key in living if key not in rows])
        found: dict[str, Opened] = {}
        for digest, key in keys.items():
            if key in erased:
                stone = tombstones.load(self.database, self.keys, erased[key], digest)
                # A row that points at no tombstone, or at another's, erased nothing: a loss is to look lawful.
                is_false = stone is None or stone.excludes
                found[digest] = Opened(State.LOST) if is_false else Opened(State.ERASED, tombstone=stone)
            elif key in rows:
                found[digest] = self._opened(key, rows[key], despite_restriction=despite_restriction)
            else:
                found[digest] = Opened(State.UNDISCLOSED if key in noted else State.LOST)
        return found

    def _opened(self, key: bytes, row: Row, *, despite_restriction: bool) -> Opened:
        uid, category, retention, period, key_retention, key_period, body, restriction = row
        who = None if uid == ORGANISATION else uid
        if restriction is not None and not despite_restriction:
            return Opened(State.RESTRICTED, uid=who)
        try:
            label = facet_label(uid, key, category, retention, period)
            plain = self.unseal(uid, (key_retention, key_period), label, body)
            if hashlib.sha256(plain).digest() != key:
                return Opened(State.TAMPERED, uid=who)
            return Opened(State.TEXT, text=plain.decode("ascii"), uid=who)
        except (TamperedData, UnicodeDecodeError):
            return Opened(State.TAMPERED, uid=who)
        except LostData:
            return Opened(State.LOST, uid=who)

    def attachment(self, sha256: str, *, despite_restriction: bool = False) -> bytes:
        """The attachment with that digest; raises `ErasedData`, `LostData`, `TamperedData`, `AttachmentAbsent`.

        `RestrictedData` as with `open_digest`.
        """
        tag = self.attachment_tag(sha256)
        handle = self.database.scalar("SELECT handle FROM erased_attachment WHERE tag = ?", (tag,))
        if handle is not None and tombstones.load(self.database, self.keys, handle, sha256) is None:
            raise LostData("erased without a tombstone", sha256=sha256)
        rows = self._copies(tag, is_erased=handle is not None)
        if not rows:
            if handle is not None:
                raise ErasedData("erased lawfully", sha256=sha256, tombstone=handle)
            raise AttachmentAbsent("no such attachment", sha256=sha256)
        free = [row for row in rows if row[8] is None or despite_restriction]
        if not free:
            raise RestrictedData("processing of this subject's data is restricted", sha256=sha256)
        identity, uid, category, retention, period, key_retention, key_period, body, _ = free[0]
        label = attachment_label(uid, identity, category, retention, period)
        data = self.unseal(uid, (key_retention, key_period), label, body)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise TamperedData("the attachment is not what its digest says", sha256=sha256)
        return data

    def _copies(self, tag: bytes, *, is_erased: bool) -> list[Row]:
        """Every copy that may be served. Where one owner was erased, another's own copy still may.

        Between the fence and the deletion an erased copy is still there: its owner has no name any more, or its
        period is being erased.
        """
        rows = self.database.rows(
            "SELECT a.id, a.uid, a.category, a.retention, a.period, a.key_retention, a.key_period, a.body, "
            "s.restriction FROM attachment a LEFT JOIN subject s ON s.uid = a.uid WHERE a.tag = ?1 "
            "AND (?2 = 0 OR (s.tag IS NOT NULL AND NOT EXISTS (SELECT 1 FROM erasure e "
            "WHERE e.retention = a.retention AND e.period = a.period))) ORDER BY a.id",
            (tag, int(is_erased)),
        )
        if not is_erased:
            return rows
        return [row for row in rows if self.keys.facet_cipher(row[1], row[5], row[6]) is not None]

    def tombstone_of(self, digest: str) -> opened.Tombstone | None:
        """The tombstone under which a disclosure (base64url digest) or an attachment (hex) fell, or None."""
        handle = self.database.scalar("SELECT handle FROM erased WHERE digest = ?", (openings.digest_bytes(digest),))
        if handle is None:
            tag = self.attachment_tag(openings.digest_bytes(digest).hex())
            handle = self.database.scalar("SELECT handle FROM erased_attachment WHERE tag = ?", (tag,))
        return None if handle is None else tombstones.load(self.database, self.keys, handle, digest)

    # Subjects

    def subjects(self) -> tuple[Subject, ...]:
        """Every subject that can still be found by name."""
        found = self.database.rows(
            "SELECT uid, handle, hold IS NOT NULL, restriction IS NOT NULL FROM subject "
            "WHERE tag IS NOT NULL ORDER BY handle"
        )
        return tuple(Subject(row[0], row[1], bool(row[2]), bool(row[3])) for row in found)

    def digests_of(self, subject: str) -> tuple[str, ...]:
        """The digests of everything disclosed of a subject; raises `SubjectUnknown`."""
        found = self.database.rows("SELECT digest FROM facet WHERE uid = ? ORDER BY digest", (self.uid_of(subject),))
        return tuple(jws.encode_base64url(row[0]) for row in found)

    def attachments_of(self, subject: str) -> tuple[str, ...]:
        """The digests of a subject's attachments, read out of them; raises `SubjectUnknown` and as `attachment`."""
        uid = self.uid_of(subject)
        names = self.database.rows("SELECT id FROM attachment WHERE uid = ?", (uid,))
        # One after the other: together they may be more than there is memory.
        return tuple(sorted(self._digest_of_attachment(uid, row[0]) for row in names))

    def _digest_of_attachment(self, uid: bytes, identity: bytes) -> str:
        row = self.database.row(
            "SELECT category, retention, period, key_retention, key_period, body FROM attachment WHERE id = ?",
            (identity,),
        )
        if row is None:
            raise LostData("an attachment went away while it was read")
        label = attachment_label(uid, identity, row[0], row[1], row[2])
        return hashlib.sha256(self.unseal(uid, (row[3], row[4]), label, row[5])).hexdigest()

    def owners(self, digests: Iterable[str]) -> dict[str, bytes | None]:
        """Whose each digest is, None for what is nobody's in particular; digests that are not here are left out."""
        return self._owners({one: openings.digest_bytes(one) for one in digests})

    def owners_of(self, texts: Iterable[str]) -> dict[str, bytes | None]:
        """As `owners`, by the disclosures themselves."""
        return self._owners({one: hashlib.sha256(one.encode("ascii")).digest() for one in texts})

    def _owners(self, keys: Mapping[str, bytes]) -> dict[str, bytes | None]:
        known: dict[bytes, bytes] = dict(self.asked(_OWNERS, keys.values()))
        return {
            one: None if known[key] == ORGANISATION else bytes(known[key]) for one, key in keys.items() if key in known
        }

    def restricted(self, uids: Iterable[bytes]) -> set[bytes]:
        """Which of these subjects may not be processed."""
        found = self.asked("SELECT uid FROM subject WHERE restriction IS NOT NULL AND uid IN ({places})", uids)
        return {bytes(row[0]) for row in found}
