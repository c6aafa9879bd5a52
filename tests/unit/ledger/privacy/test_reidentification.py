"""Two persons, once, in time, and on record before the answer; the vault keeps no table to look it up in."""

import pytest

from ledger.clock import SetClock
from ledger.privacy.errors import (
    ReidentificationNotApproved,
    ReidentificationNotYours,
    ReidentificationTooOften,
    ReidentificationUnknown,
)
from ledger.privacy.pseudonyms import Pseudonyms, transaction_epoch
from ledger.privacy.reidentification import LIFETIME_MS, MAX_A_DAY, Asked, Reidentification, commitment
from ledger.privacy.vault import Vault
from ledger.records.privacy import (
    Purpose,
    ReidentificationClosed,
    ReidentificationGround,
    ReidentificationOutcome,
    ReidentificationRequested,
)
from tests.support.privacy import Crash, Log, held

EPOCH = transaction_epoch("fsr/fsr-1")


@pytest.fixture
def desk(vault: Vault, log: Log) -> Reidentification:
    vault.keep([held("x", "evu-1"), held("y", "evu-2")])
    return Reidentification(vault, log.record)


def pseudonym(vault: Vault, name: str = "evu-1") -> str:
    return Pseudonyms(vault.keys).of(vault.uid_of(name), recipient="fo-1", purpose="SETTLEMENT", epoch=EPOCH)


async def ask(desk: Reidentification, name: str) -> Asked:
    return await desk.ask(
        name,
        recipient="fo-1",
        purpose=Purpose.SETTLEMENT,
        epoch=EPOCH,
        ground=ReidentificationGround.DISPUTE,
        officer="dpo-1",
    )


async def test_one_answer_to_who_asked_after_somebody_elses_approval(
    desk: Reidentification, vault: Vault, log: Log
) -> None:
    asked = await ask(desk, pseudonym(vault))
    with pytest.raises(ReidentificationNotApproved):
        await desk.answer(asked.request, officer="dpo-1")
    with pytest.raises(ReidentificationNotYours):
        await desk.approve(asked.request, approver="dpo-1")
    await desk.approve(asked.request, approver="ops-1")
    with pytest.raises(ReidentificationNotYours):
        await desk.answer(asked.request, officer="dpo-2")
    seen: list[tuple[int, int]] = []
    answer = await desk.answer(asked.request, officer="dpo-1", progress=lambda done, total: seen.append((done, total)))
    assert answer.subject == "evu-1"
    assert seen[-1] == (2, 2)
    assert "evu-1" not in repr(answer)
    with pytest.raises(ReidentificationUnknown):
        await desk.answer(asked.request, officer="dpo-1")
    assert [one.TYPE.partition("-")[2] for one in log.records] == ["requested", "approved", "closed"]


async def test_the_log_commits_to_the_pseudonym_and_the_vault_forgets_it(
    desk: Reidentification, vault: Vault, log: Log
) -> None:
    name = pseudonym(vault)
    asked = await ask(desk, name)
    salt = vault.database.scalar("SELECT salt FROM reidentification")
    (said,) = log.of(ReidentificationRequested)
    assert isinstance(said, ReidentificationRequested)
    assert said.commitment == commitment(salt, name) != commitment(bytes(32), name)
    await desk.approve(asked.request, approver="ops-1")
    await desk.answer(asked.request, officer="dpo-1")
    assert vault.database.rows("SELECT pseudonym, salt, closed FROM reidentification") == [("", b"", 1)]


async def test_a_crash_costs_the_answer_and_never_gives_a_second(
    desk: Reidentification, vault: Vault, log: Log
) -> None:
    """A20: whatever is up to its record or beyond, it is used up."""
    for before in (True, False):
        asked = await ask(desk, pseudonym(vault))
        await desk.approve(asked.request, approver="ops-1")
        count = len(log.records)
        log.crash_before, log.crash_after = (count, None) if before else (None, count + 1)
        with pytest.raises(Crash):
            await desk.answer(asked.request, officer="dpo-1")
        with pytest.raises(ReidentificationUnknown):
            await desk.answer(asked.request, officer="dpo-1")


async def test_a_request_is_over_after_a_day_and_recorded_as_such(
    desk: Reidentification, vault: Vault, log: Log, clock: SetClock
) -> None:
    asked = await ask(desk, pseudonym(vault))
    await desk.approve(asked.request, approver="ops-1")
    clock.set_ms(clock.now_ms() + LIFETIME_MS)
    assert desk.pending() == ()
    with pytest.raises(ReidentificationUnknown):
        await desk.answer(asked.request, officer="dpo-1")
    (closed,) = log.of(ReidentificationClosed)
    assert isinstance(closed, ReidentificationClosed)
    assert closed.outcome is ReidentificationOutcome.EXPIRED


async def test_a_days_requests_are_bounded_answered_ones_included(
    desk: Reidentification, vault: Vault, clock: SetClock
) -> None:
    for _ in range(MAX_A_DAY):
        await desk.refuse((await ask(desk, pseudonym(vault))).request)
    with pytest.raises(ReidentificationTooOften):
        await ask(desk, pseudonym(vault))
    clock.set_ms(clock.now_ms() + LIFETIME_MS)
    assert (await ask(desk, pseudonym(vault))).approver is None


@pytest.mark.parametrize("name", ["", "P1", "P1" + "a" * 32, "P2" + "A" * 32, "P1" + "A" * 33, "P1" + "A" * 32 + "\n"])
async def test_what_cannot_be_a_pseudonym_is_not_asked_for(desk: Reidentification, log: Log, name: str) -> None:
    with pytest.raises(ReidentificationUnknown):
        await ask(desk, name)
    assert log.records == []
