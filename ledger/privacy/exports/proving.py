"""Provable rows, written as they are read: a line of records, a line of proofs, and then the table over all columns."""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from ledger.privacy.errors import ExportRowInvalid
from ledger.privacy.exports import contents, manifest, table
from ledger.privacy.exports.aside import Named
from ledger.privacy.exports.intake import Owned, Rows, batches
from ledger.privacy.exports.policy import Epoch, ProvablePolicy
from ledger.privacy.exports.rows import FIRST_COLUMNS, ExportRow, ProofLine, Read, opened, read, revealed, shown
from ledger.privacy.exports.spool import Spool, Spools
from ledger.privacy.months import month_of
from ledger.privacy.pseudonyms import Pseudonyms, month_epoch, transaction_epoch
from ledger.privacy.vault import Vault
from ledger.records import jws, record, registry
from ledger.records.disclosure import Disclosure
from ledger.records.privacy import Purpose

PAUSE_EVERY: Final = 256
"""Lines of the table between two looks at what else there is to do."""


class Proving:
    """One provable export under way."""

    def __init__(
        self,
        vault: Vault,
        policy: ProvablePolicy,
        recipient: str | None,
        purpose: Purpose,
        spools: Spools,
        named: Named,
    ) -> None:
        """Nothing is written yet."""
        self._vault = vault
        self._policy = policy
        self._spools = spools
        self._named = named
        self._pseudonyms = Pseudonyms(vault.keys).of_many(recipient=recipient or "", purpose=purpose.value)
        self._portable: dict[tuple[str, int], frozenset[str]] = {}
        self._columns: set[str] = set()
        self._flat = spools.aside()
        self._last = -1
        self._rows = 0

    async def write(self, rows: Rows) -> int:
        """Every file but the manifest is in the spools; how many rows there are.

        Raises `ExportRowInvalid`, `ExportStale`, `ExportTooLarge`.
        """
        records, proofs = self._spools.new(manifest.RECORDS), self._spools.new(manifest.PROOFS)
        async for batch in batches(rows, self._vault, self._policy):
            disclosed: set[tuple[bytes, str]] = set()
            for one in batch:
                self._write(one, records, proofs, disclosed)
            self._named.add(disclosed)
        self._spools.whole(manifest.SCHEMA, contents.provable_schema())
        self._spools.whole(manifest.README, contents.PROVABLE_README.encode())
        await self._tabulate()
        return self._rows

    def _write(self, owned: Owned, records: Spool, proofs: Spool, disclosed: set[tuple[bytes, str]]) -> None:
        row = owned.row
        if row.index <= self._last:
            raise ExportRowInvalid("rows come in the log's order, and an entry once", index=row.index)
        self._last = row.index
        said = row.read or read(row.entry_bytes)
        permitted = self._permitted(row, said)
        if self._policy.portable_only and not permitted:
            return
        event = revealed(said.claims, permitted)
        names = self._names(owned, said, permitted)
        disclosed.update(names.items())
        subject = names.get(row.subject) if row.subject is not None else None
        line = shown(row.index, said, event, subject)
        flat = table.flatten(line)
        if not flat.keys() <= self._columns:
            self._columns.update(flat)
            table.columns([self._columns], FIRST_COLUMNS)
        self._flat.write(msgspec.json.encode(flat) + b"\n")
        records.write(contents.line(line))
        proofs.write(contents.line(_proof(row, permitted)))
        self._rows += 1

    def _permitted(self, row: ExportRow, said: Read) -> list[Disclosure]:
        """The disclosures of a row that the policy lets out, sorted."""
        names = self._policy.disclose
        if self._policy.portable_only:
            names = self._portable_names(said.entry.type, said.entry.v)
        return [one for one in opened(sorted(row.disclosures)) if names is None or one.name in names]

    def _portable_names(self, kind: str, version: int) -> frozenset[str]:
        if (kind, version) not in self._portable:
            self._portable[kind, version] = portable(kind, version)
        return self._portable[kind, version]

    def _names(self, owned: Owned, said: Read, permitted: Iterable[Disclosure]) -> dict[bytes, str]:
        row = owned.row
        epoch = (
            month_epoch(month_of(said.entry.rec))
            if self._policy.epoch is Epoch.MONTH
            else transaction_epoch(row.transaction or said.entry.stream)
        )
        return {uid: self._pseudonyms(uid, epoch) for uid in owned.persons(one.text for one in permitted)}

    async def _tabulate(self) -> None:
        """The table needs the columns of all rows, so it is written when they are known."""
        names = table.columns([self._columns], FIRST_COLUMNS)
        made = self._spools.new(manifest.TABLE)
        self._flat.finish()
        rows = (msgspec.json.decode(line) for line in self._flat.lines())
        for number, line in enumerate(table.lines(names, rows)):
            made.write(line)
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)


def portable(kind: str, version: int) -> frozenset[str]:
    """The members of a record that its subject may take elsewhere (Art. 20)."""
    known = record.personal_marks(registry.kind(kind, version))
    return frozenset(name for name, mark in known.items() if mark.portable)


def _proof(row: ExportRow, permitted: Iterable[Disclosure]) -> ProofLine:
    return ProofLine(
        index=row.index,
        entry=jws.encode_base64url(row.entry_bytes),
        disclosures=tuple(one.text for one in permitted),
        path=tuple(one.hex() for one in row.proof),
    )
