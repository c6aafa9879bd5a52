"""Retention: a month of a class expires for everybody by one key; a legal hold keeps what it names."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.privacy import errors, months, openings, rights, tombstone_jobs
from ledger.privacy.erasure import Eraser
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis, ErasureExecuted, RefusalGround
from tests.support.privacy import NOW_MS, Crash, Log, digest_of, held

DAY_MS = 86_400_000
TWO_YEARS_MS = 2 * 366 * DAY_MS


def states(vault: Vault, *digests: str) -> list[State]:
    return [one.state for one in vault.open_many(digests).values()]


@pytest.mark.parametrize(
    ("retention", "month", "due"),
    [
        ("P1M", "2026-11", "2027-01-01"),
        ("P2Y", "2026-11", "2028-12-01"),
        ("P1M", "2026-12", "2027-02-01"),
        ("P12M", "2026-12", "2028-01-01"),
        ("P90D", "2026-11", "2027-03-01"),
    ],
)
def test_a_period_is_due_when_its_last_day_was_kept_long_enough(retention: str, month: str, due: str) -> None:
    assert months.due_at_ms(retention, month) == int(datetime.fromisoformat(f"{due}T00:00:00+00:00").timestamp()) * 1000


@pytest.mark.parametrize("retention", ["", "P0D", "2Y", "P2W", "P10000D", "P2Y ", "P２Y", "p2y"])
def test_what_is_no_retention_class_is_refused(retention: str) -> None:
    with pytest.raises(errors.RetentionMalformed):
        months.require_retention(retention)


def test_retention_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(errors.RetentionMalformed):
        months.due_at_ms("P9999Y", "2026-11")


async def test_nothing_expires_early(vault: Vault, eraser: Eraser, clock: SetClock) -> None:
    one = held("x", "evu-1", retention="P1M")
    vault.keep([one])
    clock.set_ms(months.due_at_ms("P1M", "2026-11") - 1)
    assert await eraser.expire() == ()
    assert vault.open_digest(digest_of(one)) == one.text


async def test_a_month_of_a_class_expires_for_everybody_and_nothing_else_does(
    vault: Vault, eraser: Eraser, log: Log, clock: SetClock
) -> None:
    """A22: storage limitation by one key, with a tombstone that says which class and month, and openings."""
    short = [held(n, f"evu-{n}", retention="P1M") for n in range(3)]
    staff = held("operator", None, retention="P1M", category=Category.STAFF)
    long = held("y", "evu-0", retention="P2Y")
    vault.keep([*short, staff, long])
    sha256 = vault.attach(b"meter", subject="evu-1", category=Category.METER, retention="P1M")
    clock.set_ms(months.due_at_ms("P1M", "2026-11"))
    receipts = await eraser.expire()
    assert states(vault, *(digest_of(one) for one in [*short, staff])) == [State.ERASED] * 4
    assert vault.open_digest(digest_of(long)) == long.text
    with pytest.raises(errors.ErasedData):
        vault.attachment(sha256)
    executed = [one for one in log.of(ErasureExecuted) if isinstance(one, ErasureExecuted)]
    assert {(one.basis, one.retention, one.period) for one in executed} == {
        (ErasureBasis.STORAGE_LIMITATION, "P1M", "2026-11")
    }
    assert [receipt.root for receipt in receipts] == [one.manifest_root for one in executed]
    by_handle = {one.handle: one for one in executed}
    for digest in (digest_of(staff), sha256):
        opening = eraser.opening(digest)
        said = by_handle[opening.handle]
        openings.verify_opening(opening, digest, said.manifest_root, said.manifest_size)
    assert {one.handle for one in vault.subjects()} == {vault.subjects()[0].handle}
    assert await eraser.expire() == ()


async def test_a_person_of_whom_nothing_is_left_is_forgotten(vault: Vault, eraser: Eraser, clock: SetClock) -> None:
    """Storage limitation reaches the identity too: key, name and link go with the last facet."""
    vault.keep([held("x", "evu-1", retention="P1M")])
    uid = vault.uid_of("evu-1")
    clock.set_ms(months.due_at_ms("P1M", "2026-11"))
    await eraser.expire()
    assert vault.subjects() == ()
    assert vault.keys.is_fenced(uid)


async def test_a_legal_hold_keeps_only_what_it_names_and_only_while_it_lasts(
    vault: Vault, eraser: Eraser, clock: SetClock, log: Log
) -> None:
    """A22: held facets move to a key of their own; after the release they expire, with a tombstone of their own."""
    kept, goes = held("x", "evu-1", retention="P1M"), held("y", "evu-2", retention="P1M")
    vault.keep([kept, goes])
    sha256 = vault.attach(b"meter", subject="evu-1", category=Category.METER, retention="P1M")
    await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.LEGAL_CLAIMS)
    clock.set_ms(months.due_at_ms("P1M", "2026-11"))
    (first,) = await eraser.expire()
    assert states(vault, digest_of(kept), digest_of(goes)) == [State.TEXT, State.ERASED]
    assert vault.attachment(sha256) == b"meter"
    assert ("P1M", "2026-11") not in vault.keys.periods()
    assert await eraser.expire() == ()
    await rights.release(vault, log.record, "evu-1")
    clock.set_ms(clock.now_ms() + 40 * DAY_MS)
    later = await eraser.expire()
    assert states(vault, digest_of(kept)) == [State.ERASED]
    assert first.handle not in {one.handle for one in later}
    assert [place for place in vault.keys.periods() if place[0] == tombstone_jobs.HOLD_CLASS] == []


async def test_a_crash_while_a_month_expires_converges_to_one_tombstone(
    vault: Vault, log: Log, clock: SetClock, reopen: Callable[[], Vault]
) -> None:
    """A5."""
    one = held("x", "evu-1", retention="P1M")
    vault.keep([one])
    clock.set_ms(months.due_at_ms("P1M", "2026-11"))
    log.crash_after = 1
    with pytest.raises(Crash):
        await Eraser(vault, log.record, recorded=log.recorded, pause_s=0).expire()
    vault.close()
    again = reopen()
    eraser = Eraser(again, log.record, recorded=log.recorded, pause_s=0)
    await eraser.resume()
    await eraser.expire()
    assert len(log.records) == 1
    assert states(again, digest_of(one)) == [State.ERASED]


async def test_an_expired_month_that_a_backup_brings_back_is_erased_again(
    vault: Vault, log: Log, clock: SetClock, folder: Path, tmp_path: Path, reopen: Callable[[], Vault]
) -> None:
    """A6: the tombstone names class and month, so a restored vault finds them by it."""
    one, stays = held("x", "evu-1", retention="P1M"), held("y", "evu-1")
    vault.keep([one, stays])
    vault.keys.empty_log()
    vault.database.empty_log()
    shutil.copytree(folder, tmp_path / "backup")
    clock.set_ms(months.due_at_ms("P1M", "2026-11"))
    await Eraser(vault, log.record, pause_s=0).expire()
    vault.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    restored = reopen()
    assert states(restored, digest_of(one)) == [State.TEXT]
    eraser = Eraser(restored, log.record, recorded=log.recorded, pause_s=0)
    executed = [said for said in log.of(ErasureExecuted) if isinstance(said, ErasureExecuted)]
    assert await eraser.reapply(executed) == 1
    assert states(restored, digest_of(one), digest_of(stays)) == [State.ERASED, State.TEXT]
    opening = eraser.opening(digest_of(one))
    openings.verify_opening(opening, digest_of(one), executed[0].manifest_root, executed[0].manifest_size)
    assert await eraser.resume() == ()
    assert await eraser.expire() == ()
    assert len(log.records) == 1


async def test_a_large_month_is_cut_into_tombstones(
    vault: Vault, eraser: Eraser, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstone_jobs, "MAX_PERIOD_LEAVES", 16)
    ones = [held(n, "evu-1", retention="P1M") for n in range(33)]
    vault.keep(ones)
    clock.set_ms(NOW_MS + TWO_YEARS_MS)
    receipts = await eraser.expire()
    assert [receipt.size for receipt in receipts] == [16, 16, 16]
    by_handle = {receipt.handle: receipt for receipt in receipts}
    for one in ones:
        opening = eraser.opening(digest_of(one))
        said = by_handle[opening.handle]
        openings.verify_opening(opening, digest_of(one), said.root, said.size)
