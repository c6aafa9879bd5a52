"""The privacy officer's acts: erase a person, make an export; each on record before it has an effect outside."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from api.flows.desk import Desk
from api.flows.memory import Memory
from ledger.privacy.erasure import Appended, Eraser, ErasureReceipt
from ledger.privacy.exports.policy import Column, Hierarchy, ProvablePolicy, UnlinkablePolicy
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.writer import Exporter, Released
from ledger.privacy.opened import State
from ledger.reader import Reader
from ledger.records import canonical, jws, record, statement
from ledger.records import entry as entries
from ledger.records.privacy import ErasureBasis, ErasureExecuted, LegalBasis, Profile, Purpose
from ledger.records.record import Record
from ledger.records.work import ServiceRecorded
from ledger.rules.errors import LogIsFrozen

SETTLEMENT = ProvablePolicy(
    version=1,
    profile=Profile.SETTLEMENT,
    disclose=frozenset({"periods", "energy_import_milliwh", "energy_export_milliwh"}),
)
"""What a settlement partner gets: energies of each participation, provable, under one pseudonym a request."""

RESEARCH = UnlinkablePolicy(
    version=1,
    k=2,
    max_suppressed_permille=500,
    columns=(
        Column(name="energy_wh", path="energy_import_milliwh", hierarchy=Hierarchy.ENERGY, least=1, divisor=1000),
        Column(name="exported_wh", path="energy_export_milliwh", hierarchy=Hierarchy.ENERGY, least=1, divisor=1000),
    ),
)
"""What research gets: energies in bands, each shared by at least k persons; no time, no place, no proof."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry that already says the same."""

    index: int


class PrivacyOffice:
    """Erasure and exports over one log and one vault."""

    def __init__(
        self, desk: Desk, memory: Memory, reader: Reader, *, also_forget: Callable[[str], None] | None = None
    ) -> None:
        """`also_forget` deletes what another store holds of a person; it is done first, and may be done again."""
        self._also_forget = also_forget
        self._desk = desk
        self._memory = memory
        self._reader = reader
        self._eraser = Eraser(desk.engines.vault, self._record)

    async def catch_up(self, stored: Iterable[bytes]) -> None:
        """A vault restored from a backup is erased again, and what a crash interrupted is finished."""
        tombstones: list[str | ErasureExecuted] = []
        known: set[str] = set()
        for data in stored:
            opened = statement.parse_statement(entries.decode(data).stmt)
            known.update(record.digests(opened.claims.event))
            if isinstance(opened.record, ErasureExecuted):
                tombstones.append(opened.record)
        await self._eraser.reapply(tombstones)
        if self._desk.state.frozen_at is None:
            await self._eraser.resume()
        with self._desk.engines.store.is_alone() as alone:
            # Another replica may be about to append what it has just put into the vault.
            if alone:
                self._desk.engines.vault.forget_orphans(known.__contains__)

    async def erase(self, person: str, basis: ErasureBasis) -> ErasureReceipt:
        """Nothing of the person can be read any longer; every proof and signature in the log still verifies.

        Raises `LogIsFrozen`, having erased nothing: a log that has ended takes no tombstone.
        """
        if self._desk.state.frozen_at is not None:
            raise LogIsFrozen("no tombstone can be written into this log", index=self._desk.state.frozen_at)
        if self._also_forget is not None:
            self._also_forget(person)
        receipt = await self._eraser.erase(person, basis=basis)
        self._memory.forget_person(person)
        return receipt

    async def export(self, path: Path, profile: Profile, recipient: str | None) -> Released:
        """The export is at `path` and the log says so; nothing is released before that."""
        note = await self._desk.publisher.publish()
        size = self._desk.appender.head.size
        provable = profile is Profile.SETTLEMENT
        # Of whom the vault no longer knows anything, research gets nothing, not even that there was somebody.
        rows = [row for row in self._rows(size) if provable or row.subject is not None]
        exporter = Exporter(
            self._desk.engines.vault,
            self._record,
            key=self._desk.engines.service_key.key,
            controller=self._desk.me.party,
        )
        return await exporter.make(
            rows,
            path,
            policy=SETTLEMENT if provable else RESEARCH,
            recipient=recipient,
            purpose=Purpose.SETTLEMENT if provable else Purpose.RESEARCH,
            legal_basis=LegalBasis.CONTRACT if provable else LegalBasis.LEGITIMATE_INTERESTS,
            checkpoint=note if provable else None,
        )

    def _rows(self, size: int) -> Iterable[ExportRow]:
        """Every detailed service record, with what the vault still opens of it."""
        vault = self._desk.engines.vault
        for row in self._desk.engines.store.entries(0, size):
            index, data = row.index, row.data
            entry = entries.decode(data)
            if entry.type != ServiceRecorded.TYPE:
                continue
            opened = vault.open_many(record.digests(statement.parse_statement(entry.stmt).claims.event))
            texts = [one for one in opened.values() if one.state is State.TEXT and one.text is not None]
            persons = {one.uid for one in texts if one.uid is not None}
            yield ExportRow(
                index=index,
                entry_bytes=data,
                disclosures=tuple(one.text for one in texts if one.text is not None),
                subject=next(iter(persons), None),
                proof=tuple(self._reader.inclusion(index, size)),
                transaction=entry.stream,
            )

    async def _record(self, said: Record) -> Appended:
        digest = hashlib.sha256(canonical.encode(said)).digest()
        # The same record again is the same statement: a resumed act finds the entry that it already made.
        jti = jws.encode_base64url(digest)
        known = self._desk.engines.store.find_statement(self._desk.me.party, jti)
        if known is not None:
            return _Known(known)
        return await self._desk.say(said, f"privacy/{said.TYPE.partition('.')[2]}", jti=jti)
