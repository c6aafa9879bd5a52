"""What a bundle shows of personal data: disclosures, openings, documents; each remembered when it was needed."""

import msgspec

from api.verification.bundle_errors import EvidenceAbsent, EvidenceErased, EvidenceForeign
from api.verification.bundle_format import Bundle, sha256
from ledger.errors import LedgerError
from ledger.privacy import openings
from ledger.privacy.openings import ErasureOpening
from ledger.records import canonical, disclosure, record
from ledger.records.disclosure import Disclosure
from ledger.records.privacy import ErasureExecuted
from ledger.records.record import Part, Record
from ledger.records.statement import Statement


class Room:
    """The evidence beside the entries."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises `DisclosureMalformed` with the position."""
        self._disclosures: dict[str, tuple[int, Disclosure]] = {}
        for position, text in enumerate(bundle.disclosures):
            try:
                opened = disclosure.parse(text)
            except LedgerError as error:
                error.where.update(list="disclosures", position=position)
                raise
            self._disclosures[opened.digest] = (position, opened)
        self._erasures = {one.digest: (position, one) for position, one in enumerate(bundle.erasures)}
        self._attachments = {one.sha256: (position, one.data) for position, one in enumerate(bundle.attachments)}
        self._erased: set[str] = set()
        self._used_disclosures: set[str] = set()
        self._used_erasures: set[str] = set()
        self._used_attachments: set[str] = set()
        self._used_handles: set[str] = set()

    def require_attachments(self) -> int:
        """How many documents there are, each with the digest that it is filed under; raises `EvidenceForeign`."""
        for name, (position, data) in self._attachments.items():
            found = sha256(data)
            if found != name:
                raise EvidenceForeign(
                    "the document has another digest", expected=name, found=found, list="attachments", position=position
                )
        return len(self._attachments)

    def open_erasure(self, position: int, tombstones: dict[str, ErasureExecuted]) -> None:
        """From now on the digest counts as erased; raises `EvidenceAbsent`, `EvidenceForeign`, `OpeningInvalid`."""
        one = next(found for at, found in self._erasures.values() if at == position)
        tombstone = tombstones.get(one.handle)
        if tombstone is None:
            raise EvidenceAbsent("no authentic tombstone with this handle is in the bundle", found=one.handle)
        if one.digest in self._disclosures:
            raise EvidenceForeign("what is erased is disclosed as well", found=one.digest)
        opening = ErasureOpening(handle=one.handle, salt=one.salt, index=one.index, path=one.path)
        openings.verify_opening(opening, one.digest, tombstone.manifest_root, tombstone.manifest_size)
        self._erased.add(one.digest)

    # Revealing

    def reveal(self, opened: Statement) -> Record:
        """The record with its personal members as far as they are disclosed; they count as needed after `use`.

        Raises `DisclosureForeign`, `RecordMalformed`.
        """
        event = opened.claims.event
        found = [self._disclosures[one][1] for one in record.digests(event) if one in self._disclosures]
        if not found:
            return opened.record
        return canonical.convert(record.reveal(event, found), type(opened.record), opened.claims.type)

    def use(self, opened: Statement) -> None:
        """Everything disclosed or erased of this statement is needed."""
        for one in record.digests(opened.claims.event):
            if one in self._disclosures:
                self._used_disclosures.add(one)
            if one in self._erasures:
                self._need_erasure(one)

    def require(self, part: Part, *fields: str) -> None:
        """These personal members are there; raises `EvidenceErased` or `EvidenceAbsent`."""
        missing = [field for field in fields if getattr(part, field) is msgspec.UNSET]
        if not missing:
            return
        erased = sum(1 for one in part.sd if one in self._erased)
        if erased >= len(missing):
            raise EvidenceErased("the values were erased", found=", ".join(missing))
        raise EvidenceAbsent("the values are not disclosed", found=", ".join(missing))

    def erased_in(self, part: Part) -> bool:
        """Whether something of the part was erased."""
        return any(one in self._erased for one in part.sd)

    def attachment(self, name: str, what: str) -> bytes:
        """The document with this digest; raises `EvidenceErased` or `EvidenceAbsent`."""
        found = self._attachments.get(name)
        if found is not None:
            self._used_attachments.add(name)
            return found[1]
        if name in self._erased:
            self._need_erasure(name)
            raise EvidenceErased(f"{what} was erased", found=name)
        raise EvidenceAbsent(f"{what} is not in the bundle", expected=name)

    def _need_erasure(self, digest: str) -> None:
        self._used_erasures.add(digest)
        self._used_handles.add(self._erasures[digest][1].handle)

    # What nothing needed

    def unused(self) -> dict[str, list[int]]:
        """Positions by list."""
        return {
            "disclosures": [at for one, (at, _) in self._disclosures.items() if one not in self._used_disclosures],
            "erasures": [at for one, (at, _) in self._erasures.items() if one not in self._used_erasures],
            "attachments": [at for one, (at, _) in self._attachments.items() if one not in self._used_attachments],
        }

    @property
    def used_handles(self) -> frozenset[str]:
        """Handles of the tombstones that explain something."""
        return frozenset(self._used_handles)
