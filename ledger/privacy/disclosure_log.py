"""Who received what of whom, for what, under which pseudonym: kept beside the subject, and erased with it.

The ledger's `DataDisclosed` says that an export left; only this log says whose data was in it.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ledger.privacy.errors import ExportStale
from ledger.privacy.vault import Vault

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One line: a subject, a recipient, and the name under which that recipient knows the subject."""

    uid: bytes = field(repr=False)
    manifest_sha256: str
    recipient: str
    """The organisation; empty where the subject itself received it."""
    purpose: str
    profile: str
    pseudonym: str
    """Empty in an unlinkable export, which names nobody."""
    at_ms: int


def add(vault: Vault, lines: Iterable[Disclosed], *, despite_restriction: bool = False) -> None:
    """Every line is durable; raises `ExportStale`, keeping none, if a subject was erased or restricted meanwhile."""
    left = iter(lines)
    with vault.database.transaction():
        while part := tuple(itertools.islice(left, BATCH)):
            _require_living(vault, {line.uid for line in part}, despite_restriction=despite_restriction)
            vault.database.execute_many(
                "INSERT INTO disclosed (uid, manifest, recipient, purpose, profile, pseudonym, at_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.uid, one.manifest_sha256, one.recipient, one.purpose, one.profile, one.pseudonym, one.at_ms)
                    for one in part
                ],
            )


def _require_living(vault: Vault, uids: set[bytes], *, despite_restriction: bool) -> None:
    rows = vault.asked("SELECT uid FROM subject WHERE tag IS NOT NULL AND uid IN ({places})", uids)
    gone = uids - {bytes(row[0]) for row in rows}
    if gone or (not despite_restriction and vault.restricted(uids)):
        raise ExportStale("a subject was erased or restricted meanwhile")


def of(vault: Vault, subject: str) -> tuple[Disclosed, ...]:
    """Who received what of a subject, oldest first (GDPR Art. 15(1)(c)); raises `SubjectUnknown`."""
    found = vault.database.rows(
        "SELECT uid, manifest, recipient, purpose, profile, pseudonym, at_ms FROM disclosed WHERE uid = ? ORDER BY id",
        (vault.uid_of(subject),),
    )
    return tuple(Disclosed(*row) for row in found)
