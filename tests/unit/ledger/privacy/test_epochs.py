"""Rotations that were killed go on, copies are opened before anything is destroyed, and no other process keeps keys."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.privacy import epochs, errors, keys
from ledger.privacy.database import SqliteDatabase
from ledger.privacy.erasure import Eraser
from ledger.privacy.kekring import KekRingFile
from ledger.privacy.keys import Keys
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records.privacy import ErasureBasis
from tests.support.privacy import digest_of, held


class Killed(Exception):
    """The process ends here."""


def test_a_rotation_that_was_killed_goes_on_under_the_epoch_that_it_had_begun(
    vault: Vault, reopen: Callable[[], Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A35: what was re-wrapped is not re-wrapped again."""
    monkeypatch.setattr(keys, "REWRAP_BATCH", 2)
    ones = [held(n, f"evu-{n}") for n in range(7)]
    vault.keep(ones)

    def die(done: int, _total: int) -> None:
        if done >= 4:
            raise Killed

    with pytest.raises(Killed):
        vault.keys.rotate(die)
    again = reopen()
    seen: list[tuple[int, int]] = []
    assert again.keys.rotate(lambda done, total: seen.append((done, total))) == 2
    # Seven persons and the organisation: four were done before the kill.
    assert seen[-1] == (4, 4)
    assert again.keys.check() == 8
    again.keys.destroy_epoch(1)
    again.keys.purge()
    assert all(again.open_digest(digest_of(one)) == one.text for one in ones)
    assert again.keys.rotate() == 3


def test_a_copy_is_opened_key_by_key_before_it_counts(vault: Vault, tmp_path: Path) -> None:
    vault.keep([held(n, f"evu-{n}") for n in range(5)])
    assert epochs.back_up(vault, tmp_path / "copies", progress=None) == 6
    copy = tmp_path / "copies" / "keys-epoch-1.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    vault.keep([held("more", "evu-more")])
    assert epochs.back_up(vault, tmp_path / "copies", progress=None) == 7
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [copy.name]


def test_a_copy_with_a_key_that_does_not_open_is_no_backup(vault: Vault, folder: Path, tmp_path: Path) -> None:
    vault.keep([held("x", "evu-1")])
    epochs.back_up(vault, tmp_path / "copies", progress=None)
    before = (tmp_path / "copies" / "keys-epoch-1.db").read_bytes()
    connection = sqlite3.connect(folder / "keys.db", isolation_level=None)
    connection.execute("UPDATE subject_key SET wrapped = zeroblob(60) WHERE uid = ?", (vault.uid_of("evu-1"),))
    connection.close()
    with pytest.raises(errors.TamperedData):
        epochs.back_up(vault, tmp_path / "copies", progress=None)
    assert (tmp_path / "copies" / "keys-epoch-1.db").read_bytes() == before


def test_the_tested_copy_restores_and_an_older_one_is_dead(
    vault: Vault, folder: Path, tmp_path: Path, clock: SetClock
) -> None:
    """A7."""
    one = held("x", "evu-1")
    vault.keep([one])
    epochs.back_up(vault, tmp_path / "copies", progress=None)
    vault.keys.rotate()
    epochs.back_up(vault, tmp_path / "copies", progress=None)
    vault.keys.destroy_epoch(1)
    vault.close()
    for epoch, state in ((2, State.TEXT), (1, State.LOST)):
        for left in folder.glob("keys.db*"):
            left.unlink()
        shutil.copyfile(tmp_path / "copies" / f"keys-epoch-{epoch}.db", folder / "keys.db")
        if state is State.LOST:
            with pytest.raises(errors.KekEpochAbsent):
                Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")
            continue
        restored = Vault.open(folder, clock=clock, kek_path=tmp_path / "kek.ring")
        assert restored.open_many([digest_of(one)])[digest_of(one)].state is state
        restored.close()


async def test_a_key_that_another_process_derived_opens_nothing_that_was_erased(
    vault: Vault, eraser: Eraser, reopen: Callable[[], Vault]
) -> None:
    """A28: the rows are gone at once; derived keys go with the tombstone, or after a minute."""
    one = held("x", "evu-1")
    vault.keep([one])
    other = reopen()
    uid = other.uid_of("evu-1")
    assert other.open_digest(digest_of(one)) == one.text
    await eraser.erase("evu-1", basis=ErasureBasis.OBJECTION)
    assert other.open_many([digest_of(one)])[digest_of(one)].state is State.ERASED
    assert [place for place in other.keys._cache if place[0] == uid] != []
    other.keys.purge()
    assert other.keys.facet_cipher(uid, "P2Y", "2026-11") is None
    with pytest.raises(errors.SubjectUnknown):
        other.uid_of("evu-1")


def test_keys_of_a_copy_need_the_same_ring(vault: Vault, tmp_path: Path, clock: SetClock) -> None:
    vault.keep([held("x", "evu-1")])
    vault.keys.backup(tmp_path / "copy.db")
    copy = Keys(
        SqliteDatabase(tmp_path / "copy.db", keys.VERSIONS, create=False),
        KekRingFile.create(tmp_path / "other.ring"),
        clock=clock,
    )
    with pytest.raises(errors.TamperedData):
        copy.check()
    copy.close()
