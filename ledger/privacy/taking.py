"""Writing into the vault, within one transaction of the caller's: disclosures, documents, and who they are about."""

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.privacy import keys as keyring
from ledger.privacy import months, openings
from ledger.privacy.errors import AttachmentTooLarge, SubjectUnknown
from ledger.privacy.held import Held, Paper, attachment_label, facet_label, name_label
from ledger.privacy.identifiers import normalise
from ledger.privacy.keys import ORGANISATION
from ledger.privacy.shelf import HANDLE_BYTES, IDENTITY, Shelf
from ledger.records import disclosure
from ledger.records.errors import DisclosureMalformed

MAX_ATTACHMENT_BYTES: Final = 16_777_216

Place = tuple[str, bytes]
"""A table of the vault and the key of a row in it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking something in."""

    new: frozenset[Place]
    met: frozenset[Place]
    """Rows of the very same that were there before."""


class Taking:
    """One statement's way into the vault; use it inside a transaction and throw it away."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._database = shelf.database
        self._period = months.month_of(shelf.clock.now_ms())
        self._uids: dict[str | None, bytes] = {None: ORGANISATION}
        self._sealers: dict[tuple[bytes, str], Callable[[bytes, bytes], bytes]] = {}
        self._new: set[Place] = set()
        self._met: set[Place] = set()

    def taken(self) -> Taken:
        """What was new and what was met so far."""
        return Taken(frozenset(self._new), frozenset(self._met))

    def keep(self, disclosures: Sequence[Held]) -> None:
        """As `Vault.keep`."""
        wanted: dict[bytes, Held] = {}
        for held in disclosures:
            if not held.text.isascii() or len(held.text) > disclosure.MAX_DISCLOSURE_BYTES:
                raise DisclosureMalformed("not a transmitted disclosure")
            months.require_retention(held.retention)
            wanted.setdefault(hashlib.sha256(held.text.encode("ascii")).digest(), held)
        if not wanted:
            return
        there, gone = self._shelf.present_in(("facet", "erased"), wanted)
        self._met.update(("facet", one) for one in there)
        rows = []
        for digest, held in wanted.items():
            if digest in there and held.subject is not None:
                with contextlib.suppress(SubjectUnknown):
                    self._met.add(("subject", self._shelf.uid_of(held.subject)))
            if digest in there or digest in gone:
                continue
            uid = self._uid(held.subject)
            place = (held.retention, self._period)
            body = self._seal(uid, held.retention, facet_label(uid, digest, held.category, *place), held.text.encode())
            rows.append((digest, uid, held.category.value, *place, *place, 0, body))
        self._new.update(("facet", row[0]) for row in rows)
        self._database.execute_many("INSERT INTO facet VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute_many("DELETE FROM undisclosed WHERE digest = ?", [(row[0],) for row in rows])

    def note_undisclosed(self, digests: Iterable[str]) -> None:
        """As `Vault.note_undisclosed`."""
        wanted = [openings.digest_bytes(one) for one in digests]
        if not wanted:
            return
        there, gone, kept = self._shelf.present_in(("undisclosed", "erased", "facet"), wanted)
        known = there | gone | kept
        fresh = [one for one in dict.fromkeys(wanted) if one not in known]
        self._database.execute_many("INSERT INTO undisclosed VALUES (?)", [(one,) for one in fresh])
        self._new.update(("undisclosed", one) for one in fresh)
        self._met.update(("undisclosed", one) for one in there)

    def attach(self, paper: Paper) -> str:
        """As `Vault.attach`."""
        if len(paper.data) > MAX_ATTACHMENT_BYTES:
            found = len(paper.data)
            raise AttachmentTooLarge("too large", expected=f"at most {MAX_ATTACHMENT_BYTES} bytes", found=found)
        sha256 = hashlib.sha256(paper.data).hexdigest()
        tag = self._shelf.attachment_tag(sha256)
        if self._database.scalar("SELECT 1 FROM erased_attachment WHERE tag = ?", (tag,)):
            return sha256
        uid = self._uid(paper.subject)
        known = self._database.scalar("SELECT id FROM attachment WHERE tag = ? AND uid = ?", (tag, uid))
        if known is not None:
            self._met.add(("attachment", bytes(known)))
            return sha256
        place = (months.require_retention(paper.retention), self._period)
        identity = secrets.token_bytes(keyring.UID_BYTES)
        body = self._seal(uid, paper.retention, attachment_label(uid, identity, paper.category, *place), paper.data)
        self._database.execute(
            "INSERT INTO attachment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (identity, tag, uid, paper.category.value, *place, *place, body),
        )
        self._new.add(("attachment", identity))
        return sha256

    def _seal(self, uid: bytes, retention: str, label: bytes, data: bytes) -> bytes:
        sealer = self._sealers.get((uid, retention))
        if sealer is None:
            sealer = self._sealers[uid, retention] = self._shelf.sealer(uid, (retention, self._period))
        return sealer(label, data)

    def _uid(self, subject: str | None) -> bytes:
        """The uid under which to keep; a person who was erased gets a new one."""
        known = self._uids.get(subject)
        if known is None:
            assert subject is not None  # noqa: S101 -- None is there from the beginning
            with contextlib.suppress(SubjectUnknown):
                known = self._shelf.uid_of(subject)
                self._met.add(("subject", known))
            known = self._uids[subject] = known or self._introduce(subject)
        return known

    def _introduce(self, subject: str) -> bytes:
        uid = secrets.token_bytes(keyring.UID_BYTES)
        # The key is durable before the subject: a crash between the two leaves a key that opens nothing.
        self._shelf.keys.create_subject_key(uid)
        name = self._shelf.seal(uid, IDENTITY, name_label(uid), normalise(subject).encode("ascii"))
        handle = secrets.token_hex(HANDLE_BYTES)
        self._database.execute(
            "INSERT INTO subject (uid, tag, name, handle) VALUES (?, ?, ?, ?)",
            (uid, self._shelf.subject_tag(subject), name, handle),
        )
        self._new.add(("subject", uid))
        return uid
