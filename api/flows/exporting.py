"""Exports read from the log, with what the vault still opens, in pieces, so that others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from api.flows.desk import Desk
from api.flows.errors import PolicyUnknown
from api.flows.progress import Work
from ledger.privacy.erasure import Recorder
from ledger.privacy.exports import access
from ledger.privacy.exports.generalise import Places
from ledger.privacy.exports.policies import PolicyFile
from ledger.privacy.exports.policy import ACCESS, PORTABILITY, ProvablePolicy
from ledger.privacy.exports.rows import ExportRow, Read, read
from ledger.privacy.exports.sealing import PublicKey
from ledger.privacy.exports.writer import Exporter, Release, Terms
from ledger.privacy.opened import Opened, State
from ledger.reader import Reader
from ledger.records import entry as entries
from ledger.records import record, statement
from ledger.records.privacy import EntryRectified, LegalBasis, Profile, Purpose

PIECE: Final = 128
"""Entries between two looks at what else there is to do."""
RECTIFIED: Final = f"privacy/{EntryRectified.TYPE.partition('.')[2]}"
"""The stream of all corrections."""

Choice = Callable[[Read], bool]


class Exports:
    """Makes exports over one log and one vault; each is on record before it is released."""

    def __init__(
        self, desk: Desk, reader: Reader, recorder: Recorder, *, policies: dict[str, PolicyFile], work: Work
    ) -> None:
        self._desk = desk
        self._reader = reader
        self._recorder = recorder
        self._work = work
        self.policies = policies

    def policy(self, name: str) -> PolicyFile:
        """The policy of that name; raises `PolicyUnknown`."""
        found = self.policies.get(name)
        if found is None:
            raise PolicyUnknown("no policy of this name", expected=", ".join(sorted(self.policies)))
        return found

    async def release(self, chosen: PolicyFile, recipient: str, *, seal_to: PublicKey | None = None) -> Release:
        """The export is ready, and the log says so; nothing of it can be read before that."""
        note = await self._desk.publisher.publish()
        size = self._desk.appender.head.size
        provable = isinstance(chosen.policy, ProvablePolicy)
        corrected = self._corrected()

        def wanted(said: Read) -> bool:
            return said.entry.type in chosen.records

        rows = self._rows(size, wanted, proven=provable)
        if not provable:
            # A wrong value proves nothing to anybody here, and a right one has no place in a generalised row.
            rows = _without(rows, corrected)
        return await self._exporter().make(
            rows,
            Terms(chosen.policy, recipient, chosen.purpose, chosen.legal_basis, seal_to),
            checkpoint=note if provable else None,
            places=None if provable else self._places(),
        )

    async def to_subject(self, subject: str, profile: Profile, *, seal_to: PublicKey | None = None) -> Release:
        """The subject's own copy (Art. 15), or what it may take elsewhere (Art. 20), is ready, and on record.

        Raises `SubjectUnknown`, the same for who was never here and who was erased.
        """
        vault = self._desk.engines.vault
        uid = vault.uid_of(subject)
        note = await self._desk.publisher.publish()
        is_access = profile is Profile.ACCESS
        basis = LegalBasis.ACCESS_RIGHT if is_access else LegalBasis.PORTABILITY_RIGHT
        papers = vault.attachments_of(subject) if is_access else ()
        return await self._exporter().make(
            self._rows_of(self._desk.appender.head.size, uid),
            Terms(ACCESS if is_access else PORTABILITY, None, Purpose.SUBJECT_RIGHTS, basis, seal_to),
            checkpoint=note,
            about=access.about(vault, subject) if is_access else None,
            papers=(vault.attachment(one, despite_restriction=True) for one in papers),
        )

    def _exporter(self) -> Exporter:
        engines = self._desk.engines
        return Exporter(engines.vault, self._recorder, key=engines.service_key.key, controller=self._desk.me.party)

    async def _rows(self, size: int, wanted: Choice, *, proven: bool) -> AsyncIterator[ExportRow]:
        """The wanted entries with what the vault opens of them; where they are proven, their later corrections too."""
        async for piece in self._pieces(size):
            taken = [
                (index, data, said)
                for index, data, said in piece
                if wanted(said) or (proven and self._corrects(said, wanted))
            ]
            digests = [one for _, _, said in taken for one in record.digests(said.claims.event)]
            opened = self._desk.engines.vault.open_many(digests)
            for index, data, said in taken:
                row = self._row(index, data, said, opened, size if proven else None)
                if proven or row.subject is not None:
                    yield row

    async def _rows_of(self, size: int, uid: bytes) -> AsyncIterator[ExportRow]:
        """Every entry that says something of one person, with that: what it says of others is not theirs (15(4))."""
        vault = self._desk.engines.vault
        async for piece in self._pieces(size):
            digests = {index: list(record.digests(said.claims.event)) for index, _, said in piece}
            owners = vault.owners(one for those in digests.values() for one in those)
            mine = {one for one, owner in owners.items() if owner == uid}
            opened = vault.open_many(mine, despite_restriction=True)
            for index, data, said in piece:
                if not mine.isdisjoint(digests[index]):
                    yield self._row(index, data, said, opened, size)

    async def _pieces(self, size: int) -> AsyncIterator[list[tuple[int, bytes, Read]]]:
        """The whole log, a few entries at a time."""
        with self._work.doing("reading the log", size) as doing:
            for start in range(0, size, PIECE):
                entries = self._reader.entries(start, min(start + PIECE, size))
                yield [(index, data, read(data)) for index, data in enumerate(entries, start)]
                doing.at(min(start + PIECE, size))
                await asyncio.sleep(0)

    def _row(
        self, index: int, data: bytes, said: Read, opened: Mapping[str, Opened], proven_at: int | None
    ) -> ExportRow:
        found = [opened[one] for one in record.digests(said.claims.event) if one in opened]
        texts = [one for one in found if one.state is State.TEXT and one.text is not None]
        return ExportRow(
            index,
            data,
            tuple(one.text for one in texts if one.text is not None),
            next((one.uid for one in texts if one.uid is not None), None),
            () if proven_at is None else tuple(self._reader.inclusion(index, proven_at)),
            transaction=said.entry.stream,
            read=said,
        )

    def _corrects(self, said: Read, wanted: Choice) -> bool:
        """True for the correction of a wanted entry, or of a correction of one."""
        while said.entry.type == EntryRectified.TYPE:
            said = read(self._reader.entry(said.claims.event["corrects"]))
            if wanted(said):
                return True
        return False

    def _corrected(self) -> frozenset[int]:
        if self._desk.engines.store.stream_head(RECTIFIED) is None:
            return frozenset()
        said = (
            statement.parse_statement(entries.decode(data).stmt).record for _, data in self._reader.stream(RECTIFIED)
        )
        return frozenset(one.corrects for one in said if isinstance(one, EntryRectified))

    def _places(self) -> Places:
        """Around each EVSE: its site, its point of the grid, its country."""
        return {
            evse.evse_id: (site.configured.site_id, site.configured.congestion_point, site.configured.region)
            for site in self._desk.state.sites()
            for evse in site.configured.evses
        }


async def _without(rows: AsyncIterator[ExportRow], left_out: frozenset[int]) -> AsyncIterator[ExportRow]:
    async for row in rows:
        if row.index not in left_out:
            yield row
