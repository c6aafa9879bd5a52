"""Erasure: nothing is left, every proof still verifies, and no crash or backup undoes it."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.clock import SetClock
from ledger.privacy import disclosure_log, errors, openings, rights
from ledger.privacy.disclosure_log import Disclosed
from ledger.privacy.erasure import CHECKPOINT_ATTEMPTS, Eraser
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records import canonical, privacy
from ledger.records.marks import Category
from ledger.records.privacy import (
    ErasureBasis,
    ErasureExecuted,
    ErasureRefused,
    ErasureRequested,
    HoldLifted,
    HoldPlaced,
    RefusalGround,
    RestrictionGround,
)
from ledger.records.record import Record, conceal, read, require_marked
from ledger.tlog import hashing, merkle
from tests.support.privacy import NOW_MS, Crash, Ledger, Log, digest_of, held

pytestmark = pytest.mark.slow  # takes seconds

BASIS = ErasureBasis.NO_LONGER_NECESSARY


def state(vault: Vault, digest: str) -> State:
    return vault.open_many([digest])[digest].state


def wrapped_keys(folder: Path) -> set[bytes]:
    connection = sqlite3.connect(f"file:{folder / 'keys.db'}?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute("SELECT wrapped FROM subject_key")}
    finally:
        connection.close()


def everything_in(folder: Path) -> bytes:
    return b"\0".join(file.read_bytes() for file in sorted(folder.iterdir()))


async def test_after_erasure_the_subject_is_gone_and_others_are_not(vault: Vault, eraser: Eraser, log: Log) -> None:
    """A4: other people's data is still readable."""
    mine, yours = held("x", "evu-1"), held("y", "evu-2")
    sha256 = vault.attach(b"meter", subject="evu-1", category=Category.METER, retention="P2Y")
    vault.keep([mine, yours])
    receipt = await eraser.erase("evu-1", basis=BASIS)
    assert state(vault, digest_of(mine)) is State.ERASED
    with pytest.raises(errors.ErasedData):
        vault.attachment(sha256)
    assert vault.open_digest(digest_of(yours)) == yours.text
    with pytest.raises(errors.SubjectUnknown):
        vault.uid_of("evu-1")
    requested, executed = log.records
    assert isinstance(requested, ErasureRequested)
    assert isinstance(executed, ErasureExecuted)
    assert requested.handle == executed.handle == receipt.handle
    assert (executed.manifest_root, executed.manifest_size) == (receipt.root, receipt.size)
    assert receipt.index == 1


async def test_no_entry_and_no_proof_of_the_log_changes(ledger: Ledger, eraser: Eraser) -> None:
    """A4: the chain's head and the tree's root are the same after erasure."""
    ledger.add("evu-1", {"evse_id": "DE*1"})
    ledger.add("evu-2", {"evse_id": "DE*2"})
    before, rows = list(ledger.entries), ledger.rows()
    root = merkle.root([hashing.leaf(one) for one in before])
    await eraser.erase("evu-1", basis=BASIS)
    assert ledger.entries == before
    for row in rows:
        merkle.verify_inclusion(row.proof, index=row.index, size=2, leaf_hash=hashing.leaf(row.entry_bytes), root=root)


async def test_no_byte_of_the_subject_is_left_in_any_file(vault: Vault, eraser: Eraser, folder: Path) -> None:
    """A4, A23: value, name, uid, wrapped key and ciphertext are in no file, nor in a write-ahead log."""
    canary = held("CANARY-EVSE-8471", "canary-person-8471")
    vault.keep([canary, *(held(f"other {n}", f"evu-{n}") for n in range(40))])
    vault.attach(b"CANARY-ATTACHMENT" * 50, subject="canary-person-8471", category=Category.METER, retention="P2Y")
    uid = vault.uid_of("canary-person-8471")
    before = wrapped_keys(folder)
    secrets_of_theirs = [
        uid,
        *(row[0] for row in vault.database.rows("SELECT body FROM facet WHERE uid = ?", (uid,))),
        *(row[0] for row in vault.database.rows("SELECT body FROM attachment WHERE uid = ?", (uid,))),
        *(row[0] for row in vault.database.rows("SELECT name FROM subject WHERE uid = ?", (uid,))),
        *(row[0] for row in vault.database.rows("SELECT tag FROM subject WHERE uid = ?", (uid,))),
    ]
    assert all(one in everything_in(folder) for one in secrets_of_theirs)
    await eraser.erase("canary-person-8471", basis=BASIS)
    (gone,) = before - wrapped_keys(folder)
    left = everything_in(folder)
    for one in (*secrets_of_theirs, gone, canary.text.encode(), b"CANARY", b"canary-person-8471"):
        assert one not in left


async def test_a_concurrent_reader_delays_the_tombstone_until_no_byte_is_left(
    vault: Vault, eraser: Eraser, log: Log, folder: Path
) -> None:
    """A23: while a reader keeps old pages alive there is no tombstone; afterwards there is one, and nothing else."""
    vault.keep([held("x", "evu-1"), held("y", "evu-2")])
    uid = vault.uid_of("evu-1")
    before = wrapped_keys(folder)
    readers = [sqlite3.connect(folder / name, isolation_level=None) for name in ("keys.db", "vault.db")]
    for reader in readers:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
    with pytest.raises(errors.ErasureUnfinished):
        await eraser.erase("evu-1", basis=BASIS)
    assert log.of(ErasureExecuted) == []
    for reader in readers:
        reader.close()
    await eraser.resume()
    assert len(log.of(ErasureExecuted)) == 1
    (gone,) = before - wrapped_keys(folder)
    left = everything_in(folder)
    assert gone not in left
    assert uid not in left


async def test_waiting_for_a_reader_is_bounded(
    vault: Vault, log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.keep([held("x", "evu-1")])
    tries: list[int] = []
    monkeypatch.setattr(vault.keys, "empty_log", lambda: bool(tries.append(1)))
    with pytest.raises(errors.ErasureUnfinished):
        await Eraser(vault, log.record, pause_s=0).erase("evu-1", basis=BASIS)
    assert len(tries) == CHECKPOINT_ATTEMPTS


async def test_a_reader_that_leaves_in_time_delays_nothing(
    vault: Vault, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.keep([held("x", "evu-1")])
    answers = [False] * (CHECKPOINT_ATTEMPTS - 1)
    true_one = vault.keys.empty_log
    monkeypatch.setattr(vault.keys, "empty_log", lambda: answers.pop() if answers else true_one())
    await Eraser(vault, log.record, pause_s=0).erase("evu-1", basis=BASIS)
    assert len(log.of(ErasureExecuted)) == 1


@pytest.mark.parametrize("subjects", [3, 300])
async def test_no_moved_copy_of_a_wrapped_key_stays_in_a_page(
    vault: Vault, eraser: Eraser, folder: Path, subjects: int
) -> None:
    """A23: pages that were split and merged keep no copy of a deleted key either."""
    vault.keep([held(n, f"evu-{n}") for n in range(subjects)])
    before = wrapped_keys(folder)
    for n in range(0, subjects, 7):
        await eraser.erase(f"evu-{n}", basis=BASIS)
    gone = before - wrapped_keys(folder)
    assert len(gone) == len(range(0, subjects, 7))
    left = (folder / "keys.db").read_bytes()
    assert [one for one in gone if one in left] == []


@pytest.mark.parametrize("crash", ["before request", "after request", "before tombstone", "after tombstone"])
async def test_a_crash_around_the_log_converges_to_exactly_one_tombstone(
    vault: Vault, log: Log, reopen: Callable[[], Vault], crash: str
) -> None:
    """A5: whatever was appended when the process died, the next start finishes, once."""
    one = held("x", "evu-1")
    vault.keep([one])
    log.crash_before = {"before request": 0, "before tombstone": 1}.get(crash)
    log.crash_after = {"after request": 1, "after tombstone": 2}.get(crash)
    with pytest.raises(Crash):
        await Eraser(vault, log.record, recorded=log.recorded, pause_s=0).erase("evu-1", basis=BASIS)
    vault.close()
    again = reopen()
    restarted = Eraser(again, log.record, recorded=log.recorded, pause_s=0)
    receipts = await restarted.resume()
    assert [type(said) for said in log.records] == [ErasureRequested, ErasureExecuted]
    assert [receipt.index for receipt in receipts] == [1]
    assert state(again, digest_of(one)) is State.ERASED
    assert await restarted.resume() == ()
    assert len(log.records) == 2


@pytest.mark.parametrize("step", ["keys", "rows", "checkpoint"])
async def test_a_crash_between_the_stores_converges_to_exactly_one_tombstone(
    vault: Vault, log: Log, reopen: Callable[[], Vault], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A5: after the fence, after the key, after the rows; the data answers ERASED at every moment."""
    one = held("x", "evu-1")
    vault.keep([one])
    eraser = Eraser(vault, log.record, recorded=log.recorded, pause_s=0)

    def crash(*_: object) -> None:
        raise Crash

    if step == "keys":
        monkeypatch.setattr(vault.keys, "destroy_subject_key", crash)
    elif step == "rows":
        monkeypatch.setattr(eraser._jobs, "delete_rows", crash)
    else:
        monkeypatch.setattr(vault.database, "empty_log", crash)
    with pytest.raises(Crash):
        await eraser.erase("evu-1", basis=BASIS)
    assert state(vault, digest_of(one)) is State.ERASED
    vault.close()
    again = reopen()
    assert state(again, digest_of(one)) is State.ERASED
    await Eraser(again, log.record, recorded=log.recorded, pause_s=0).resume()
    assert [type(said) for said in log.records] == [ErasureRequested, ErasureExecuted]
    (executed,) = log.of(ErasureExecuted)
    assert isinstance(executed, ErasureExecuted)
    opening = Eraser(again, log.record).opening(digest_of(one))
    openings.verify_opening(opening, digest_of(one), executed.manifest_root, executed.manifest_size)


async def test_without_a_lookup_the_same_record_is_handed_in_again(vault: Vault, log: Log) -> None:
    """An idempotent recorder is enough: a resumed erasure says exactly what it said before."""
    vault.keep([held("x", "evu-1")])
    log.crash_after = 2
    eraser = Eraser(vault, log.record, pause_s=0)
    with pytest.raises(Crash):
        await eraser.erase("evu-1", basis=BASIS)
    await eraser.resume()
    first, second = log.of(ErasureExecuted)
    assert first == second


async def test_a_legal_hold_refuses_and_says_so_in_the_log(vault: Vault, eraser: Eraser, log: Log) -> None:
    """A8: nothing is erased, the refusal and its ground are recorded, and after the hold the erasure works."""
    one = held("x", "evu-1")
    vault.keep([one])
    await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.LEGAL_CLAIMS)
    with pytest.raises(errors.SubjectHeld):
        await eraser.erase("evu-1", basis=BASIS)
    (refused,) = log.of(ErasureRefused)
    assert isinstance(refused, ErasureRefused)
    assert refused.ground is RefusalGround.LEGAL_CLAIMS
    assert vault.open_digest(digest_of(one)) == one.text
    assert [subject.held for subject in vault.subjects()] == [True]
    await rights.release(vault, log.record, "evu-1")
    await eraser.erase("evu-1", basis=BASIS)
    assert state(vault, digest_of(one)) is State.ERASED
    # The second saying of the same hold is the same entry in a log; this one is a list.
    placed, again, lifted = (one for one in log.records if isinstance(one, HoldPlaced | HoldLifted))
    assert placed == again
    assert placed.handle == lifted.handle
    assert "evu-1" not in repr((placed, lifted))


async def test_the_callers_own_check_refuses_too(vault: Vault, eraser: Eraser, log: Log) -> None:
    """A8: an open dispute that only the caller knows of is a hold as well."""
    vault.keep([held("x", "evu-1")])
    asked: list[str] = []

    def check(subject: str) -> RefusalGround:
        asked.append(subject)
        return RefusalGround.LEGAL_OBLIGATION

    with pytest.raises(errors.SubjectHeld) as caught:
        await eraser.erase("EVU-1", basis=BASIS, legal_hold_check=check)
    assert asked == ["evu-1"]
    assert "evu-1" not in str(caught.value)
    assert await eraser.resume() == ()


async def test_a_hold_found_on_resuming_refuses_as_well(vault: Vault, log: Log) -> None:
    """A8: between the request and a restart a hold may have come."""
    vault.keep([held("x", "evu-1")])
    log.crash_after = 1
    eraser = Eraser(vault, log.record, recorded=log.recorded, pause_s=0)
    with pytest.raises(Crash):
        await eraser.erase("evu-1", basis=BASIS)
    await rights.hold(vault, log.record, "evu-1", ground=RefusalGround.PUBLIC_INTEREST)
    assert await eraser.resume() == ()
    assert [type(said) for said in log.records] == [ErasureRequested, HoldPlaced, ErasureRefused]
    assert [subject.held for subject in vault.subjects()] == [True]


async def test_a_restored_backup_is_readable_before_and_dead_after_the_log_is_applied(
    vault: Vault, eraser: Eraser, log: Log, folder: Path, tmp_path: Path, reopen: Callable[[], Vault]
) -> None:
    """A6: restoring an old copy brings erased data back for no longer than it takes to read the log."""
    one, other = held("x", "evu-1"), held("y", "evu-2")
    vault.keep([one, other])
    vault.keys.empty_log()
    vault.database.empty_log()
    shutil.copytree(folder, tmp_path / "backup")
    await eraser.erase("evu-1", basis=BASIS)
    vault.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    restored = reopen()
    uid = restored.uid_of("evu-1")
    assert restored.open_digest(digest_of(one)) == one.text
    tombstones = [said for said in log.of(ErasureExecuted) if isinstance(said, ErasureExecuted)]
    restarted = Eraser(restored, log.record, recorded=log.recorded, pause_s=0)
    assert await restarted.reapply(said.handle for said in tombstones) == 1
    assert state(restored, digest_of(one)) is State.ERASED
    assert restored.open_digest(digest_of(other)) == other.text
    assert uid not in everything_in(folder)
    opening = restarted.opening(digest_of(one))
    openings.verify_opening(opening, digest_of(one), tombstones[0].manifest_root, tombstones[0].manifest_size)
    assert await restarted.resume() == ()
    assert await restarted.reapply(tombstones) == 0
    assert len(log.of(ErasureExecuted)) == 1


async def test_a_backup_older_than_some_of_the_data_is_erased_without_openings(
    vault: Vault, eraser: Eraser, log: Log, folder: Path, tmp_path: Path, reopen: Callable[[], Vault]
) -> None:
    """A6: the restored half leads to another root; it is erased, and no false opening is given for it."""
    early, late = held("x", "evu-1"), held("y", "evu-1")
    vault.keep([early])
    vault.keys.empty_log()
    vault.database.empty_log()
    shutil.copytree(folder, tmp_path / "backup")
    vault.keep([late])
    await eraser.erase("evu-1", basis=BASIS)
    vault.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    restored = reopen()
    restarted = Eraser(restored, log.record, pause_s=0)
    await restarted.reapply(said for said in log.of(ErasureExecuted) if isinstance(said, ErasureExecuted))
    found = restored.open_many([digest_of(early), digest_of(late)])
    assert found[digest_of(early)].state is State.ERASED
    assert found[digest_of(late)].state is State.LOST
    with pytest.raises(errors.LostData):
        restarted.opening(digest_of(early))


async def test_a_restored_vault_with_a_reader_on_it_is_not_served(
    vault: Vault, eraser: Eraser, log: Log, folder: Path, tmp_path: Path, reopen: Callable[[], Vault]
) -> None:
    """A6: what cannot be made to forget is an alarm, not a service."""
    vault.keep([held("x", "evu-1")])
    vault.keys.empty_log()
    vault.database.empty_log()
    shutil.copytree(folder, tmp_path / "backup")
    receipt = await eraser.erase("evu-1", basis=BASIS)
    vault.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    restored = reopen()
    reader = sqlite3.connect(folder / "vault.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM facet").fetchone()
    restarted = Eraser(restored, log.record, pause_s=0)
    with pytest.raises(errors.RestoredVaultOpen):
        await restarted.reapply([receipt.handle])
    reader.close()
    assert await restarted.reapply([receipt.handle]) == 1
    assert await restarted.resume() == ()
    assert len(log.of(ErasureExecuted)) == 1


async def test_destroying_a_key_epoch_kills_old_backups_and_no_survivor(
    vault: Vault, eraser: Eraser, log: Log, folder: Path, tmp_path: Path, clock: SetClock
) -> None:
    """A7: a backup of before the rotation opens nothing, whatever its age and place."""
    gone, stays = held("x", "evu-1"), held("y", "evu-2")
    vault.keep([gone, stays])
    vault.keys.empty_log()
    vault.database.empty_log()
    shutil.copytree(folder, tmp_path / "backup")
    await eraser.erase("evu-1", basis=BASIS)
    old = vault.keys.epoch
    with pytest.raises(errors.KekEpochInUse):
        await eraser.destroy_epoch(old)
    new = await eraser.rotate_kek()
    assert vault.keys.epochs() == (old, new)
    await eraser.destroy_epoch(old)
    assert log.records[-1].TYPE == "privacy.kek-epoch-destroyed"
    assert vault.keys.epochs() == (new,)
    assert vault.open_digest(digest_of(stays)) == stays.text
    with pytest.raises(errors.KekEpochAbsent):
        await eraser.destroy_epoch(old)
    with pytest.raises(errors.KekEpochAbsent):
        Vault.open(tmp_path / "backup", clock=clock, kek_path=tmp_path / "kek.ring")


async def test_a_crash_between_destroying_an_epoch_and_saying_so_is_made_good(
    vault: Vault, eraser: Eraser, log: Log
) -> None:
    """A7: the entry is owed until it is there, and written once."""
    vault.keep([held("x", "evu-1")])
    await eraser.rotate_kek()
    log.crash_before = 0
    with pytest.raises(Crash):
        await eraser.destroy_epoch(1)
    await eraser.destroy_epoch(1)
    assert [said.TYPE for said in log.records] == ["privacy.kek-epoch-destroyed"]
    for epoch in (1, 0, 99):
        with pytest.raises(errors.KekEpochAbsent):
            await eraser.destroy_epoch(epoch)


async def test_asking_again_after_a_crash_is_the_same_request(vault: Vault, eraser: Eraser, log: Log) -> None:
    """A5: the second wish for one subject finds the first, also in the log."""
    vault.keep([held("x", "evu-1")])
    log.crash_after = 1
    with pytest.raises(Crash):
        await eraser.erase("evu-1", basis=BASIS)
    receipt = await eraser.erase("evu-1", basis=BASIS)
    assert [type(said) for said in log.records] == [ErasureRequested, ErasureExecuted]
    asked = log.records[0]
    assert isinstance(asked, ErasureRequested)
    assert asked.request == receipt.request


async def test_a_receipt_opens_one_digest_only(vault: Vault, eraser: Eraser) -> None:
    """A11: valid for its digest, for no other, in a tree whose size is a power of two and says little."""
    mine = [held(n, "evu-1") for n in range(5)]
    vault.keep(mine)
    receipt = await eraser.erase("evu-1", basis=BASIS)
    assert receipt.size == openings.SMALLEST_TREE
    opening = eraser.opening(digest_of(mine[0]))
    assert openings.verify_opening(opening, digest_of(mine[0]), receipt.root, receipt.size) is opening
    for other in mine[1:]:
        with pytest.raises(errors.OpeningInvalid):
            openings.verify_opening(opening, digest_of(other), receipt.root, receipt.size)


@pytest.mark.parametrize(("count", "size"), [(1, 16), (16, 16), (17, 32), (33, 64)])
async def test_trees_are_filled_to_a_power_of_two(vault: Vault, eraser: Eraser, count: int, size: int) -> None:
    """A11: how many leaves are real is hidden."""
    mine = [held(n, "evu-1") for n in range(count)]
    vault.keep(mine)
    receipt = await eraser.erase("evu-1", basis=BASIS)
    assert receipt.size == size
    for one in mine:
        openings.verify_opening(eraser.opening(digest_of(one)), digest_of(one), receipt.root, receipt.size)


async def test_an_attachment_has_an_opening_too(vault: Vault, eraser: Eraser) -> None:
    sha256 = vault.attach(b"meter", subject="evu-1", category=Category.METER, retention="P2Y")
    receipt = await eraser.erase("evu-1", basis=BASIS)
    openings.verify_opening(eraser.opening(sha256), sha256, receipt.root, receipt.size)


async def test_there_is_no_opening_for_what_was_not_erased(vault: Vault, eraser: Eraser) -> None:
    one = held("x", "evu-1")
    vault.keep([one])
    with pytest.raises(errors.LostData):
        eraser.opening(digest_of(one))


async def test_a_changed_opening_is_refused(vault: Vault, eraser: Eraser) -> None:
    one = held("x", "evu-1")
    vault.keep([one])
    receipt = await eraser.erase("evu-1", basis=BASIS)
    true = eraser.opening(digest_of(one))
    flipped = f"{int(true.salt[0], 16) ^ 1:x}{true.salt[1:]}"
    for false in (
        msgspec.structs.replace(true, salt=flipped),
        msgspec.structs.replace(true, salt="00"),
        msgspec.structs.replace(true, salt="zz"),
        msgspec.structs.replace(true, index=(true.index + 1) % receipt.size),
        msgspec.structs.replace(true, index=receipt.size),
        msgspec.structs.replace(true, path=true.path[:-1]),
        msgspec.structs.replace(true, path=(*true.path, "00" * 32)),
        msgspec.structs.replace(true, path=("00" * 32, *true.path[1:])),
    ):
        with pytest.raises(errors.OpeningInvalid):
            openings.verify_opening(false, digest_of(one), receipt.root, receipt.size)
    for root, size in (("00" * 32, receipt.size), (receipt.root, 12), (receipt.root, 0), (receipt.root, 32)):
        with pytest.raises(errors.OpeningInvalid):
            openings.verify_opening(true, digest_of(one), root, size)
    for digest in ("A" * 42, "not base64url!", "zz" * 32):
        with pytest.raises(errors.OpeningInvalid):
            openings.verify_opening(true, digest, receipt.root, receipt.size)


async def test_who_comes_back_is_somebody_new(vault: Vault, eraser: Eraser) -> None:
    """A returning person gets a new uid and handle; what was erased stays erased, whoever hands it in again."""
    one = held("x", "evu-1")
    vault.keep([one])
    old = vault.subjects()[0]
    await eraser.erase("evu-1", basis=BASIS)
    vault.keep([one])
    assert vault.subjects() == ()
    again = held("y", "evu-1")
    vault.keep([again])
    assert vault.open_digest(digest_of(again)) == again.text
    assert state(vault, digest_of(one)) is State.ERASED
    assert vault.subjects()[0].uid != old.uid
    assert vault.subjects()[0].handle != old.handle


async def test_a_destroyed_key_does_not_come_back(vault: Vault, eraser: Eraser) -> None:
    """The fence: nothing makes a new key for an old uid."""
    vault.keep([held("x", "evu-1")])
    uid = vault.uid_of("evu-1")
    await eraser.erase("evu-1", basis=BASIS)
    assert vault.keys.is_fenced(uid)
    with pytest.raises(errors.VaultMalformed):
        vault.keys.create_subject_key(uid)


async def test_erasing_nobody_is_absent(eraser: Eraser, log: Log) -> None:
    with pytest.raises(errors.SubjectUnknown):
        await eraser.erase("nobody", basis=BASIS)
    assert log.records == []


async def test_recipients_are_told_under_their_own_pseudonym_only(vault: Vault, eraser: Eraser) -> None:
    """A37: a notice carries that recipient's pseudonym, nothing of the others, and is forgotten once sent."""
    vault.keep([held("x", "evu-1")])
    uid = vault.uid_of("evu-1")
    disclosure_log.add(
        vault,
        [
            Disclosed(uid, "a" * 64, "fo-1", "SETTLEMENT", "SETTLEMENT", "P1AAA", NOW_MS),
            Disclosed(uid, "b" * 64, "so-1", "AUDIT", "SETTLEMENT", "P1BBB", NOW_MS),
            Disclosed(uid, "c" * 64, "uni-1", "RESEARCH", "RESEARCH", "", NOW_MS),
            Disclosed(uid, "d" * 64, "", "SUBJECT_RIGHTS", "ACCESS", "P1CCC", NOW_MS),
        ],
    )
    assert len(disclosure_log.of(vault, "evu-1")) == 4
    receipt = await eraser.erase("evu-1", basis=BASIS)
    told = {(one.recipient, one.pseudonym) for one in receipt.notices}
    assert told == {("fo-1", "P1AAA"), ("so-1", "P1BBB")}
    assert vault.database.scalar("SELECT count(*) FROM disclosed") == 0
    for one in receipt.notices:
        eraser.notice_sent(one.number)
        with pytest.raises(errors.NoticeUnknown):
            eraser.notice_sent(one.number)
    assert eraser.notices() == ()


async def test_records_about_one_person_share_no_value(vault: Vault, eraser: Eraser, log: Log) -> None:
    """A2: restriction and erasure of one person cannot be joined in the log."""
    vault.keep([held("x", "evu-1")])
    restriction = await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.ACCURACY_CONTESTED)
    assert await rights.restrict(vault, log.record, "evu-1", ground=RestrictionGround.NEEDED_FOR_CLAIMS) == restriction
    assert await rights.lift_restriction(vault, log.record, "evu-1") == restriction
    with pytest.raises(errors.SubjectNotRestricted):
        await rights.lift_restriction(vault, log.record, "evu-1")
    receipt = await eraser.erase("evu-1", basis=BASIS)
    assert receipt.handle != restriction
    # The same record again is the same entry in a log; this one is a list.
    assert list(dict.fromkeys(said.TYPE for said in log.records)) == [
        "privacy.restriction-set",
        "privacy.restriction-lifted",
        "privacy.erasure-requested",
        "privacy.erasure-executed",
    ]


def test_every_privacy_record_is_marked_and_hides_nothing_personal() -> None:
    """A3: these records are public to the last field, and round-trip through the log's grammar."""
    for kind in privacy.KINDS:
        require_marked(kind)
        assert kind.STREAM == "privacy"
    said: Record = ErasureExecuted(handle="0" * 32, basis=BASIS, manifest_root="0" * 64, manifest_size=16)
    concealed = conceal(said, lambda: b"")
    assert concealed.disclosures == ()
    assert read(canonical.decode(canonical.encode(concealed.event)), ErasureExecuted) == said


async def test_a_hold_that_comes_between_check_and_fence_still_refuses(
    vault: Vault, eraser: Eraser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A8: the last look is inside the fence's own transaction."""
    one = held("x", "evu-1")
    vault.keep([one])

    def check(subject: str) -> None:
        # As `rights.hold` in another process begins.
        sql = "UPDATE subject SET hold = ? WHERE uid = ?"
        vault.database.execute(sql, (RefusalGround.LEGAL_OBLIGATION.value, vault.uid_of(subject)))

    with pytest.raises(errors.SubjectHeld):
        await eraser.erase("evu-1", basis=BASIS, legal_hold_check=check)
    (refused,) = log.of(ErasureRefused)
    assert isinstance(refused, ErasureRefused)
    assert refused.ground is RefusalGround.LEGAL_OBLIGATION
    assert vault.open_digest(digest_of(one)) == one.text


async def test_a_tampered_attachment_is_erased_too_but_has_no_opening(
    vault: Vault, eraser: Eraser, folder: Path
) -> None:
    sha256 = vault.attach(b"meter", subject="evu-1", category=Category.METER, retention="P2Y")
    connection = sqlite3.connect(folder / "vault.db", isolation_level=None)
    connection.execute("UPDATE attachment SET body = zeroblob(92)")
    connection.close()
    await eraser.erase("evu-1", basis=BASIS)
    with pytest.raises(errors.ErasedData):
        vault.attachment(sha256)
    with pytest.raises(errors.LostData):
        eraser.opening(sha256)


async def test_nothing_is_logged_as_disclosed_of_who_is_gone_or_restricted(
    vault: Vault, eraser: Eraser, log: Log
) -> None:
    """A17: the last look is inside the disclosure log's own transaction."""
    vault.keep([held("x", "evu-1"), held("y", "evu-2")])
    lines = [
        Disclosed(vault.uid_of(name), "a" * 64, "fo-1", "AUDIT", "SETTLEMENT", "P1A", NOW_MS)
        for name in ("evu-1", "evu-2")
    ]
    await eraser.erase("evu-1", basis=BASIS)
    await rights.restrict(vault, log.record, "evu-2", ground=RestrictionGround.OBJECTION_PENDING)
    for line in lines:
        with pytest.raises(errors.ExportStale):
            disclosure_log.add(vault, [line])
    assert disclosure_log.of(vault, "evu-2") == ()
    disclosure_log.add(vault, lines[1:], despite_restriction=True)
    assert disclosure_log.of(vault, "evu-2") == tuple(lines[1:])
