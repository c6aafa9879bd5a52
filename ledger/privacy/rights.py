"""Restriction of processing (GDPR Art. 18) and legal holds: flags of the vault that exports and erasure obey."""

import secrets
from dataclasses import dataclass

from ledger.privacy.erasure import Recorder
from ledger.privacy.errors import SubjectNotHeld, SubjectNotRestricted, SubjectUnknown
from ledger.privacy.shelf import HANDLE_BYTES
from ledger.privacy.vault import Vault
from ledger.records.privacy import (
    HoldLifted,
    HoldPlaced,
    RefusalGround,
    RestrictionGround,
    RestrictionLifted,
    RestrictionSet,
)


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
        # Only this one: while it was being recorded, it may have been lifted by somebody else and another have come.
        sql = "UPDATE subject SET restriction = NULL WHERE uid = ? AND restriction = ?"
        vault.database.execute(sql, (uid, handle))
    return str(handle)


async def hold(vault: Vault, record: Recorder, subject: str, *, ground: RefusalGround) -> str:
    """Neither erasure nor the end of retention touches the subject until `release`; the handle of the hold.

    It is in force before it is recorded: a crash in between leaves it in force, and whoever holds or releases again
    records it then. Where a hold stands already, that one stays, with its ground. Raises `SubjectUnknown`.
    """
    uid = vault.uid_of(subject)
    with vault.database.transaction():
        vault.database.execute(
            "UPDATE subject SET hold = coalesce(hold, ?), hold_handle = coalesce(hold_handle, ?) WHERE uid = ?",
            (ground.value, secrets.token_hex(HANDLE_BYTES), uid),
        )
        standing = _hold_on(vault, uid)
    if standing is None or standing.handle is None:
        raise SubjectUnknown("the vault holds nothing of that subject")
    await record(HoldPlaced(handle=standing.handle, ground=standing.ground))
    return standing.handle


async def release(vault: Vault, record: Recorder, subject: str) -> str | None:
    """The hold is over, recorded before it is; what outlived its retention under it goes with the next expiry.

    Its handle; None for one of before holds were on record. Raises `SubjectUnknown`, `SubjectNotHeld`.
    """
    uid = vault.uid_of(subject)
    standing = _hold_on(vault, uid)
    if standing is None:
        raise SubjectNotHeld("no hold stands")
    if standing.handle is not None:
        # The same record again is the same entry: a crash may have come before it was written.
        await record(HoldPlaced(handle=standing.handle, ground=standing.ground))
        await record(HoldLifted(handle=standing.handle))
    with vault.database.transaction():
        # Only this one: while it was being recorded, it may have been released by somebody else and another have come.
        sql = "UPDATE subject SET hold = NULL, hold_handle = NULL WHERE uid = ? AND coalesce(hold_handle, '') = ?"
        vault.database.execute(sql, (uid, standing.handle or ""))
    return standing.handle


@dataclass(frozen=True, slots=True)
class _Hold:
    ground: RefusalGround
    handle: str | None


def _hold_on(vault: Vault, uid: bytes) -> _Hold | None:
    row = vault.database.row("SELECT hold, hold_handle FROM subject WHERE uid = ?", (uid,))
    return None if row is None or row[0] is None else _Hold(RefusalGround(row[0]), row[1])
