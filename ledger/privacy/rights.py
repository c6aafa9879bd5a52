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
    is recorded: a crash in between leaves it in force, and `resume`, or whoever restricts or lifts again, records it
    then. Where one stands already, that one stays, with its ground. Returns its handle; raises `SubjectUnknown`.
    """
    uid = vault.uid_of(subject)
    with vault.database.transaction():
        vault.database.execute(
            "UPDATE subject SET restriction = ?, restriction_ground = ? WHERE uid = ? AND restriction IS NULL",
            (secrets.token_hex(HANDLE_BYTES), ground.value, uid),
        )
        standing = _restriction_on(vault, uid)
    if standing is None:
        raise SubjectUnknown("the vault holds nothing of that subject")
    await _record_restriction(record, standing)
    return standing.handle


async def lift_restriction(vault: Vault, record: Recorder, subject: str) -> str:
    """The subject's data is processed again; recorded before it is. Raises `SubjectUnknown`, `SubjectNotRestricted`."""
    uid = vault.uid_of(subject)
    standing = _restriction_on(vault, uid)
    if standing is None:
        raise SubjectNotRestricted("the subject is not restricted")
    await _record_restriction(record, standing)
    await record(RestrictionLifted(handle=standing.handle))
    with vault.database.transaction():
        # Only this one: while it was being recorded, it may have been lifted by somebody else and another have come.
        sql = "UPDATE subject SET restriction = NULL, restriction_ground = NULL WHERE uid = ? AND restriction = ?"
        vault.database.execute(sql, (uid, standing.handle))
    return standing.handle


async def resume(vault: Vault, record: Recorder) -> None:
    """Every restriction and every hold in force is on record: what a crash prevented is written now.

    The same record again is the same entry, so what is on record already is not said twice.
    """
    for handle, ground in vault.database.rows(
        "SELECT restriction, restriction_ground FROM subject WHERE restriction_ground IS NOT NULL ORDER BY restriction"
    ):
        await record(RestrictionSet(handle=handle, ground=RestrictionGround(ground)))
    for handle, ground in vault.database.rows(
        "SELECT hold_handle, hold FROM subject WHERE hold_handle IS NOT NULL ORDER BY hold_handle"
    ):
        await record(HoldPlaced(handle=handle, ground=RefusalGround(ground)))


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


@dataclass(frozen=True, slots=True)
class _Restriction:
    handle: str
    ground: RestrictionGround | None
    """None for one of before grounds were kept, which is on record."""


def _restriction_on(vault: Vault, uid: bytes) -> _Restriction | None:
    row = vault.database.row("SELECT restriction, restriction_ground FROM subject WHERE uid = ?", (uid,))
    if row is None or row[0] is None:
        return None
    return _Restriction(row[0], None if row[1] is None else RestrictionGround(row[1]))


async def _record_restriction(record: Recorder, standing: _Restriction) -> None:
    if standing.ground is not None:
        await record(RestrictionSet(handle=standing.handle, ground=standing.ground))
