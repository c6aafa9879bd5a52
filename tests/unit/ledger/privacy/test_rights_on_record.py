"""Restrictions and holds: in force before they are on record, on record whatever crashes, and each its own."""

import pytest

from ledger.privacy import errors, rights
from ledger.privacy.erasure import Eraser
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records.privacy import (
    ErasureBasis,
    HoldLifted,
    HoldPlaced,
    RefusalGround,
    RestrictionGround,
    RestrictionLifted,
    RestrictionSet,
)
from ledger.records.record import Record
from tests.support.privacy import Crash, Entered, Log, digest_of, held

pytestmark = pytest.mark.slow  # takes seconds


def state(vault: Vault, digest: str) -> State:
    return vault.open_many([digest])[digest].state


async def test_a_hold_that_was_not_recorded_is_in_force_and_recorded_by_the_next(vault: Vault, eraser: Eraser) -> None:
    """A crash between the vault and the log leaves it in force; where one stands, it stays with its handle."""
    vault.keep([held("x", "evu-1")])
    log = Log(crash_before=0)
    with pytest.raises(Crash):
        await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.LEGAL_CLAIMS)
    with pytest.raises(errors.SubjectHeld):
        await eraser.erase("evu-1", basis=ErasureBasis.NO_LONGER_NECESSARY)
    handle = await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.PUBLIC_INTEREST)
    assert log.records == [HoldPlaced(handle=handle, ground=RefusalGround.LEGAL_CLAIMS)]
    assert await rights.release(vault, log.record, "evu-1") == handle
    with pytest.raises(errors.SubjectNotHeld):
        await rights.release(vault, log.record, "evu-1")


async def test_a_restriction_that_was_not_recorded_is_in_force_and_recorded_by_the_next(vault: Vault) -> None:
    """A crash between the vault and the log leaves it in force; who asks again records it, with its own ground."""
    one = held("x", "evu-1")
    vault.keep([one])
    log = Log(crash_before=0)
    with pytest.raises(Crash):
        await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    assert state(vault, digest_of(one)) is State.RESTRICTED
    handle = await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.OBJECTION_PENDING)
    said = RestrictionSet(handle=handle, ground=RestrictionGround.ACCURACY_CONTESTED)
    assert log.records == [said]
    assert await rights.lift_restriction(vault, log.record, "evu-1") == handle
    assert log.records == [said, said, RestrictionLifted(handle=handle)]
    assert state(vault, digest_of(one)) is State.TEXT
    again = await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.OBJECTION_PENDING)
    assert log.records[3:] == [RestrictionSet(handle=again, ground=RestrictionGround.OBJECTION_PENDING)]
    with pytest.raises(errors.SubjectUnknown):
        await rights.restrict(vault, log.record, "evu-2", ground=RestrictionGround.OBJECTION_PENDING)


async def test_lifting_records_a_restriction_that_was_not_recorded(vault: Vault) -> None:
    vault.keep([held("x", "evu-1")])
    log = Log(crash_before=0)
    with pytest.raises(Crash):
        await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    handle = await rights.lift_restriction(vault, log.record, "evu-1")
    assert [type(one) for one in log.records] == [RestrictionSet, RestrictionLifted]
    assert {getattr(one, "handle", None) for one in log.records} == {handle}


async def test_what_is_in_force_and_not_on_record_is_recorded_at_the_next_start(vault: Vault) -> None:
    for person in ("evu-1", "evu-2"):
        vault.keep([held("x", person)])
    log = Log(crash_before=0)
    with pytest.raises(Crash):
        await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    with pytest.raises(Crash):
        await rights.hold(vault, Log(crash_before=0).record, "evu-2", ground=RefusalGround.LEGAL_CLAIMS)
    await rights.resume(vault, log.record)
    assert [type(one) for one in log.records] == [RestrictionSet, HoldPlaced]
    vault.database.execute("UPDATE subject SET restriction_ground = NULL, hold = NULL, hold_handle = NULL")
    await rights.resume(vault, log.record)
    assert len(log.records) == 2, "one of before grounds were kept is on record already"


async def test_a_release_that_was_overtaken_leaves_the_hold_that_came_since(
    vault: Vault, eraser: Eraser, log: Log
) -> None:
    """Two officers release one hold; before the slower one is through, another hold is placed: that one stands."""
    vault.keep([held("x", "evu-1")])
    first = await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.LEGAL_CLAIMS)
    since: list[str] = []

    async def overtaken(said: Record) -> Entered:
        if isinstance(said, HoldLifted):
            await rights.release(vault, log.record, "evu-1")
            since.append(await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.PUBLIC_INTEREST))
        return await log.record(said)

    assert await rights.release(vault, overtaken, "evu-1") == first
    with pytest.raises(errors.SubjectHeld):
        await eraser.erase("evu-1", basis=ErasureBasis.NO_LONGER_NECESSARY)
    assert await rights.release(vault, log.record, "evu-1") == since[0] != first


async def test_a_restriction_that_came_since_another_was_lifted_stands(vault: Vault, log: Log) -> None:
    vault.keep([held("x", "evu-1")])
    ground = RestrictionGround.ACCURACY_CONTESTED
    first = await rights.restrict(vault, log.record, "evu-1", ground=ground)
    since: list[str] = []

    async def overtaken(said: Record) -> Entered:
        if isinstance(said, RestrictionLifted):
            await rights.lift_restriction(vault, log.record, "evu-1")
            since.append(await rights.restrict(vault, log.record, "evu-1", ground=ground))
        return await log.record(said)

    assert await rights.lift_restriction(vault, overtaken, "evu-1") == first
    assert await rights.lift_restriction(vault, log.record, "evu-1") == since[0] != first


async def test_a_hold_of_before_holds_were_on_record_is_released_without_an_entry(vault: Vault, log: Log) -> None:
    vault.keep([held("x", "evu-1")])
    vault.database.execute("UPDATE subject SET hold = 'LEGAL_CLAIMS'")
    assert await rights.release(vault, log.record, "evu-1") is None
    assert log.records == []
    assert [one.held for one in vault.subjects()] == [False]
