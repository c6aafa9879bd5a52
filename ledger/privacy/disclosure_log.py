"""Who received what of whom, for what, under which pseudonym: kept beside the subject, and erased with it.

The ledger's `DataDisclosed` says that an export left; only this log says whose data was in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.privacy.errors import ExportStale
from ledger.privacy.vault import Vault


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


def add(vault: Vault, lines: Sequence[Disclosed], *, despite_restriction: bool = False) -> None:
    """Every line is durable; raises `ExportStale`, keeping none, if a subject was erased or restricted meanwhile."""
    with vault.database.transaction():
        for uid in {line.uid for line in lines}:
            row = vault.database.row("SELECT tag, restriction FROM subject WHERE uid = ?", (uid,))
            if row is None or row[0] is None or (row[1] is not None and not despite_restriction):
                raise ExportStale("a subject was erased or restricted meanwhile")
        vault.database.execute_many(
            "INSERT INTO disclosed (uid, manifest, recipient, purpose, profile, pseudonym, at_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (one.uid, one.manifest_sha256, one.recipient, one.purpose, one.profile, one.pseudonym, one.at_ms)
                for one in lines
            ],
        )


def of(vault: Vault, subject: str) -> tuple[Disclosed, ...]:
    """Who received what of a subject, oldest first (GDPR Art. 15(1)(c)); raises `SubjectUnknown`."""
    found = vault.database.rows(
        "SELECT uid, manifest, recipient, purpose, profile, pseudonym, at_ms FROM disclosed WHERE uid = ? ORDER BY id",
        (vault.uid_of(subject),),
    )
    return tuple(Disclosed(*row) for row in found)
