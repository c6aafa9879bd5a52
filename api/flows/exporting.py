"""Exports read from the log, with what the vault still opens, in pieces, so that others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from api.flows.desk import Desk
from api.flows.errors import PolicyUnknown
from api.flows.progress import Work
from ledger.privacy.erasure import Recorder
from ledger.privacy.exports import access
from ledger.privacy.exports.generalise import Places
from ledger.privacy.exports.policies import PolicyFile
from ledger.privacy.exports.policy import ACCESS, PORTABILITY, ProvablePolicy
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.sealing import PublicKey
from ledger.privacy.exports.writer import Exporter, Released, permitted
from ledger.privacy.opened import State
from ledger.reader import Reader
from ledger.records import entry as entries
from ledger.records import record, statement
from ledger.records.entry import Entry
from ledger.records.privacy import EntryRectified, LegalBasis, Profile, Purpose
from ledger.records.statement import Statement

PIECE: Final = 128
"""Entries between two looks at what else there is to do."""
RECTIFIED: Final = f"privacy/{EntryRectified.TYPE.partition('.')[2]}"
"""The stream of all corrections."""

Choice = Callable[[Entry, Statement], bool]


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

    async def release(
        self, path: Path, chosen: PolicyFile, recipient: str, *, seal_to: PublicKey | None = None
    ) -> Released:
        """The export is at `path` and the log says so; nothing is released before that."""
        note = await self._desk.publisher.publish()
        size = self._desk.appender.head.size
        provable = isinstance(chosen.policy, ProvablePolicy)
        corrected = self._corrected()

        def wanted(entry: Entry, _opened: Statement) -> bool:
            return entry.type in chosen.records

        rows = self._rows(size, wanted, proven=provable, corrections=provable)
        if not provable:
            # A wrong value proves nothing to anybody here, and a right one has no place in a generalised row.
            rows = _without(rows, corrected)
        return await self._exporter().make(
            rows,
            path,
            policy=chosen.policy,
            recipient=recipient,
            purpose=chosen.purpose,
            legal_basis=chosen.legal_basis,
            checkpoint=note if provable else None,
            places=None if provable else self._places(),
            seal_to=seal_to,
        )

    async def to_subject(
        self, path: Path, subject: str, profile: Profile, *, seal_to: PublicKey | None = None
    ) -> Released:
        """The subject's own copy (Art. 15), or what it may take elsewhere (Art. 20), is at `path`, and on record.

        Raises `SubjectUnknown`, the same for who was never here and who was erased.
        """
        vault = self._desk.engines.vault
        uid = vault.uid_of(subject)
        mine = frozenset(vault.digests_of(subject))
        note = await self._desk.publisher.publish()
        size = self._desk.appender.head.size

        def wanted(_entry: Entry, opened: Statement) -> bool:
            return not mine.isdisjoint(record.digests(opened.claims.event))

        is_access = profile is Profile.ACCESS
        found = [row async for row in self._rows(size, wanted, proven=True, only=uid)]
        papers = [vault.attachment(one, despite_restriction=True) for one in vault.attachments_of(subject)]
        return await self._exporter().make(
            found if is_access else [row for row in found if permitted(row, PORTABILITY)],
            path,
            policy=ACCESS if is_access else PORTABILITY,
            recipient=None,
            purpose=Purpose.SUBJECT_RIGHTS,
            legal_basis=LegalBasis.ACCESS_RIGHT if is_access else LegalBasis.PORTABILITY_RIGHT,
            checkpoint=note,
            about=access.about(vault, subject) if is_access else None,
            papers=papers if is_access else (),
            seal_to=seal_to,
        )

    def _exporter(self) -> Exporter:
        engines = self._desk.engines
        return Exporter(engines.vault, self._recorder, key=engines.service_key.key, controller=self._desk.me.party)

    async def _rows(
        self, size: int, wanted: Choice, *, proven: bool, only: bytes | None = None, corrections: bool = False
    ) -> AsyncIterator[ExportRow]:
        """The wanted entries with what the vault opens of them, and the later corrections of those."""
        taken: set[int] = set()
        with self._work.doing("reading the log", size) as doing:
            for start in range(0, size, PIECE):
                for index, data in enumerate(self._reader.entries(start, min(start + PIECE, size)), start):
                    entry = entries.decode(data)
                    opened = statement.parse_statement(entry.stmt)
                    said = opened.record
                    corrects = corrections and isinstance(said, EntryRectified) and said.corrects in taken
                    if corrects or wanted(entry, opened):
                        row = self._row(index, data, entry, opened, only)
                        if proven or row.subject is not None:
                            taken.add(index)
                            path = tuple(self._reader.inclusion(index, size)) if proven else ()
                            yield ExportRow(
                                index, data, row.disclosures, row.subject, path, transaction=row.transaction
                            )
                doing.at(min(start + PIECE, size))
                await asyncio.sleep(0)

    def _row(self, index: int, data: bytes, entry: Entry, opened: Statement, only: bytes | None) -> ExportRow:
        found = self._desk.engines.vault.open_many(
            record.digests(opened.claims.event), despite_restriction=only is not None
        )
        texts = [one for one in found.values() if one.state is State.TEXT and one.text is not None]
        if only is not None:
            # What an entry says of somebody else is not for this reader (Art. 15(4)).
            texts = [one for one in texts if one.uid == only]
        persons = {one.uid for one in texts if one.uid is not None}
        return ExportRow(
            index,
            data,
            tuple(one.text for one in texts if one.text is not None),
            next(iter(persons), None),
            transaction=entry.stream,
        )

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
