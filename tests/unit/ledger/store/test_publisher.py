"""The log's key signs no second history, whatever was restored from where."""

import shutil
from pathlib import Path

import pytest

from ledger.store.errors import (
    CheckpointAbsent,
    HistoryDiffers,
    RolledBack,
    SignerRaced,
    SignerStateAbsent,
    StoreLocked,
)
from ledger.store.lock import WriterLock
from ledger.store.signer_state import SignerState
from ledger.tlog import checkpoint, note
from ledger.tlog.note import Cosigner, NoteSigner
from tests.support import attacks, logs

pytestmark = pytest.mark.slow  # takes seconds


def opened(signed: bytes) -> checkpoint.Checkpoint:
    return checkpoint.open_checkpoint(signed, logs.ORIGIN, [note.parse_vkey(logs.signer().vkey)]).checkpoint


def state_of(directory: Path) -> SignerState:
    return SignerState(directory / "signer" / "state")


async def test_a_checkpoint_is_of_the_committed_head(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    with pytest.raises(CheckpointAbsent):
        log.publisher.latest()
    assert opened(await log.publisher.publish()).size == 0
    await log.add(*range(10))
    signed = await log.publisher.publish()
    assert opened(signed) == checkpoint.Checkpoint(logs.ORIGIN, 10, log.appender.head.frontier.root())
    assert log.publisher.latest() == signed == state_of(tmp_path).read()
    assert await log.publisher.publish() == signed
    await log.close()


async def test_a_restored_old_copy_is_read_and_not_signed(tmp_path: Path) -> None:
    await logs.build(tmp_path, 300)
    shutil.copy(tmp_path / "log.db", tmp_path / "backup.db")
    log = await logs.begin(tmp_path)
    await log.add(*range(300, 310))
    await log.publisher.publish()
    await log.close()
    shutil.copy(tmp_path / "backup.db", tmp_path / "log.db")
    log = await logs.begin(tmp_path)
    with pytest.raises(RolledBack) as refused:
        await log.publisher.publish()
    assert refused.value.code == "ledger/rolled-back"
    assert refused.value.found == "300"
    assert opened(state_of(tmp_path).read() or b"").size == 310
    assert log.store.entry(299).index == 299
    await log.add(*range(400, 420))
    with pytest.raises(HistoryDiffers):
        await log.publisher.publish()
    await log.close()


async def test_a_changed_history_is_not_signed(tmp_path: Path) -> None:
    path = await logs.build(tmp_path, 300)
    with logs.unfenced(path) as db:
        attacks.body_tree_and_chain(db, 7)
    log = await logs.begin(tmp_path)
    for number in (300, 301):
        with pytest.raises(HistoryDiffers):
            await log.publisher.publish()
        await log.add(number)
    await log.close()


async def test_a_signer_that_forgot_does_not_sign(tmp_path: Path) -> None:
    await logs.build(tmp_path, 10)
    (tmp_path / "signer" / "state").unlink()
    log = await logs.begin(tmp_path)
    with pytest.raises(SignerStateAbsent):
        await log.publisher.publish()
    await log.close()


@pytest.mark.parametrize("content", [b"", b"rubbish", NoteSigner(logs.ORIGIN, logs.key_of("thief")).vkey.encode()])
async def test_a_state_that_is_no_checkpoint_of_ours_is_not_believed(tmp_path: Path, content: bytes) -> None:
    await logs.build(tmp_path, 10)
    (tmp_path / "signer" / "state").write_bytes(content)
    log = await logs.begin(tmp_path)
    with pytest.raises(SignerStateAbsent):
        await log.publisher.publish()
    await log.close()


async def test_a_crash_between_remembering_and_publishing_costs_nothing(tmp_path: Path) -> None:
    await logs.build(tmp_path, 20)
    log = await logs.begin(tmp_path)
    await log.add(20)
    signed = await log.publisher.publish()
    await log.close()
    with logs.unfenced(tmp_path / "log.db") as db:
        db.execute("DELETE FROM checkpoint WHERE size = 21")
    log = await logs.begin(tmp_path)
    assert await log.publisher.publish() == signed
    assert log.publisher.latest() == signed
    await log.close()


def test_the_state_moves_only_from_what_was_expected(tmp_path: Path) -> None:
    state = SignerState(tmp_path / "state")
    state.swap(None, b"one")
    with pytest.raises(SignerRaced):
        state.swap(None, b"two")
    state.swap(b"one", b"two")
    assert state.read() == b"two"
    assert [found.name for found in tmp_path.iterdir() if not found.name.endswith(".lock")] == ["state"]
    lock = WriterLock(tmp_path / "state.lock")
    with pytest.raises(StoreLocked):
        state.swap(b"two", b"three")
    lock.release()


def test_a_state_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(SignerStateAbsent):
        SignerState(tmp_path / "state").read()


async def test_witnesses_lines_are_kept_beside_the_note(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(1, 2)
    signed = await log.publisher.publish()
    witness = Cosigner("witness.example/w", logs.key_of("witness"), log.clock)
    cosigned = note.add_signatures(signed, [witness.sign(note.parse(signed).text)])
    log.publisher.add_cosignatures(2, cosigned)
    assert log.publisher.latest() == cosigned
    assert await log.publisher.publish() == cosigned
    with pytest.raises(CheckpointAbsent):
        log.publisher.add_cosignatures(1, cosigned)
    await log.close()
