"""Generalised rows: everybody is counted first, on disk, and then what hides them all is written."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ledger.privacy.errors import ExportRowInvalid
from ledger.privacy.exports import contents, manifest
from ledger.privacy.exports.anonymity import Crowd
from ledger.privacy.exports.intake import Owned, Rows, batches
from ledger.privacy.exports.manifest import Generalised
from ledger.privacy.exports.policy import PERMILLE, Column, UnlinkablePolicy
from ledger.privacy.exports.rows import RECORDED_AT, opened, read, revealed, value_at
from ledger.privacy.exports.spool import Spool, Spools
from ledger.privacy.vault import Vault

PAUSE_EVERY: Final = 256


async def write(
    rows: Rows, vault: Vault, policy: UnlinkablePolicy, spools: Spools, crowd: Crowd
) -> tuple[int, Generalised]:
    """Every file but the manifest is in the spools; how many rows there are, and how coarse.

    Raises `ExportRowInvalid`, `ExportStale`, `ExportTooLarge`, `AnonymityUnreachable`.
    """
    async for batch in batches(rows, vault, policy):
        for one in batch:
            _add(one, policy, crowd)
    # Seconds of pure computation: beside the event loop, not on it.
    found = await asyncio.to_thread(crowd.anonymise)
    generalised = Generalised(
        k=policy.k,
        l=policy.l,
        columns=tuple(column.name for column in policy.columns),
        levels=tuple(found.levels[column.name] for column in policy.columns),
        suppressed_permille=-(-found.suppressed * PERMILLE // (found.kept + found.suppressed)),
    )
    records, made = spools.new(manifest.RECORDS), spools.new(manifest.TABLE)
    for number, line in enumerate(contents.unlinkable_table(_written(records, crowd.rows()), generalised)):
        made.write(line)
        if number % PAUSE_EVERY == 0:
            await asyncio.sleep(0)
    spools.whole(manifest.SCHEMA, contents.unlinkable_schema(generalised))
    spools.whole(manifest.README, contents.UNLINKABLE_README.encode())
    return found.kept, generalised


def _written(records: Spool, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        records.write(contents.line(row))
        yield row


def _add(owned: Owned, policy: UnlinkablePolicy, crowd: Crowd) -> None:
    row = owned.row
    if owned.persons(row.disclosures) - {row.subject}:
        raise ExportRowInvalid("a row says something of another person than its subject", index=row.index)
    if row.subject is None:
        raise ExportRowInvalid("a row without a subject hides nobody", index=row.index)
    said = row.read or read(row.entry_bytes)
    event = revealed(said.claims, opened(row.disclosures))
    crowd.add(
        row.subject,
        {
            column.name: _scaled(said.entry.rec if column.path == RECORDED_AT else value_at(event, column.path), column)
            for column in policy.columns
        },
    )


def _scaled(value: Any, column: Column) -> Any:
    return value // column.divisor if isinstance(value, int) and not isinstance(value, bool) else value
