"""Rows on their way into an export: a few at a time, without what is restricted, each with whose it is."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.privacy.errors import ExportStale, ExportTooLarge
from ledger.privacy.exports.policy import Policy, ProvablePolicy
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.vault import Vault

MAX_EXPORT_ROWS: Final = 200_000
MAX_EXPORT_BYTES: Final = 2**30
BATCH_ROWS: Final = 256
"""Rows that are in memory together, and about which the vault is asked at once."""
BATCH_BYTES: Final = 2**22

Rows = Iterable[ExportRow] | AsyncIterable[ExportRow]


@dataclass(frozen=True, slots=True)
class Owned:
    """A row, and whose each of its disclosures is; one that the vault does not have (any more) is left out."""

    row: ExportRow
    owners: Mapping[str, bytes | None]
    """By disclosure, of all rows of its batch."""

    def persons(self, texts: Iterable[str]) -> set[bytes]:
        """Everybody of whom these say something, and the row's subject; raises `ExportStale` for what is not there."""
        found = {self.row.subject}
        for text in texts:
            if text not in self.owners:
                raise ExportStale("a disclosure is not in the vault (any more)", index=self.row.index)
            found.add(self.owners[text])
        return {uid for uid in found if uid is not None}


async def batches(rows: Rows, vault: Vault, policy: Policy) -> AsyncIterator[list[Owned]]:
    """The rows, in their order, whose processing is not restricted; raises `ExportTooLarge`."""
    despite_restriction = isinstance(policy, ProvablePolicy) and policy.despite_restriction
    batch: list[ExportRow] = []
    count = size = held = 0
    async for row in _each(rows):
        length = len(row.entry_bytes) + sum(len(one) for one in row.disclosures)
        count, size, held = count + 1, size + length, held + length
        if count > MAX_EXPORT_ROWS or size > MAX_EXPORT_BYTES:
            raise ExportTooLarge(
                "too much for one export", expected=f"at most {MAX_EXPORT_ROWS} rows and {MAX_EXPORT_BYTES} bytes"
            )
        batch.append(row)
        if len(batch) >= BATCH_ROWS or held >= BATCH_BYTES:
            yield _owned(batch, vault, despite_restriction=despite_restriction)
            batch, held = [], 0
    if batch:
        yield _owned(batch, vault, despite_restriction=despite_restriction)


def _owned(rows: Sequence[ExportRow], vault: Vault, *, despite_restriction: bool) -> list[Owned]:
    known = vault.owners_of(text for row in rows for text in row.disclosures)
    if despite_restriction:
        return [Owned(row, known) for row in rows]
    persons = {row.subject for row in rows} | set(known.values())
    restricted = vault.restricted(uid for uid in persons if uid is not None)
    kept = []
    for row in rows:
        if row.subject is not None and row.subject in restricted:
            continue
        if restricted:
            # Another person in the same entry may be restricted: the row stays, what is theirs does not.
            texts = tuple(one for one in row.disclosures if known.get(one) not in restricted)
            row = replace(row, disclosures=texts)
        kept.append(Owned(row, known))
    return kept


async def _each(rows: Rows) -> AsyncIterator[ExportRow]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
