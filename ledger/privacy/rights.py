"""Restriction of processing (GDPR Art. 18) and legal holds: flags of the vault that exports and erasure obey."""

import secrets

from ledger.privacy.erasure import Recorder
from ledger.privacy.errors import SubjectNotRestricted
from ledger.privacy.shelf import HANDLE_BYTES
from ledger.privacy.vault import Vault
from ledger.records.privacy import RefusalGround, RestrictionGround, RestrictionLifted, RestrictionSet


async def restrict(vault: Vault, record: Recorder, subject: str, *, ground: RestrictionGround) -> str:
    """From here on nothing of the subject is opened or exported, save for itself or for legal claims.

    The restriction has a random handle of its own, so that the log links it to no erasure. It is in force before it
    is recorded; a crash in between leaves it in force. Returns the handle; raises `SubjectUnknown`.
    """
    uid = vault.uid_of(subject)
    handle = secrets.token_hex(HANDLE_BYTES)
    with vault.database.transaction():
        vault.database.execute("UPDATE subject SET restriction = coalesce(restriction, ?) WHERE uid = ?", (handle, uid))
        standing = str(vault.database.scalar("SELECT restriction FROM subject WHERE uid = ?", (uid,)))
    if standing == handle:
        await record(RestrictionSet(handle=handle, ground=ground))
    return standing


async def lift_restriction(vault: Vault, record: Recorder, subject: str) -> str:
    """The subject's data is processed again; recorded before it is. Raises `SubjectUnknown`, `SubjectNotRestricted`."""
    uid = vault.uid_of(subject)
    handle = vault.database.scalar("SELECT restriction FROM subject WHERE uid = ?", (uid,))
    if handle is None:
        raise SubjectNotRestricted("the subject is not restricted")
    await record(RestrictionLifted(handle=handle))
    with vault.database.transaction():
        vault.database.execute("UPDATE subject SET restriction = NULL WHERE uid = ?", (uid,))
    return str(handle)


def hold(vault: Vault, subject: str, *, ground: RefusalGround) -> None:
    """Neither erasure nor the end of retention touches the subject until `release`; raises `SubjectUnknown`."""
    _set_hold(vault, subject, ground.value)


def release(vault: Vault, subject: str) -> None:
    """The hold is over; whatever outlived its retention under it goes with the next expiry."""
    _set_hold(vault, subject, None)


def _set_hold(vault: Vault, subject: str, ground: str | None) -> None:
    uid = vault.uid_of(subject)
    with vault.database.transaction():
        vault.database.execute("UPDATE subject SET hold = ? WHERE uid = ?", (ground, uid))
