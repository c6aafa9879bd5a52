"""Which keys sign: what the log says, among those at hand; a key that was only put beside it signs nothing."""

from pathlib import Path

import pytest

from ledger.clock import SetClock
from ledger.records.log import KeyRotated
from ledger.store.errors import LogKeyMissing, SignerStateAbsent
from ledger.store.log_keys import LogKeys
from ledger.tlog import checkpoint, note
from ledger.tlog.errors import KeyMalformed, NoteUnverified
from ledger.tlog.note import NoteSigner
from tests.support import logs

OLD = logs.signer()
NEW = NoteSigner(logs.ORIGIN, logs.key_of("the next key"))
FOREIGN = NoteSigner("other.example/log", logs.key_of("foreign"))
UNTIL_MS = logs.START_MS + 1_000
CHANGE = KeyRotated(vkey=NEW.vkey, follows=OLD.vkey, until_ms=UNTIL_MS)


def followed(held: list[NoteSigner], *changes: KeyRotated, now_ms: int = logs.START_MS) -> LogKeys:
    keys = LogKeys(held)
    keys.follow(lambda: changes, SetClock(now_ms))
    return keys


def test_a_key_that_the_log_does_not_announce_waits() -> None:
    keys = followed([OLD, NEW])
    assert keys.signers() == (OLD,)
    assert keys.next() == (OLD, NEW)
    assert keys.vkeys() == (OLD.vkey,)


def test_both_sign_until_the_announced_time_and_then_the_new_one_alone() -> None:
    for now_ms, signers in ((UNTIL_MS - 1, (OLD, NEW)), (UNTIL_MS, (NEW,)), (UNTIL_MS + 1, (NEW,))):
        keys = followed([OLD, NEW], CHANGE, now_ms=now_ms)
        assert keys.signers() == signers
        assert keys.next() is None
    assert followed([NEW], CHANGE).signers() == (NEW,)
    assert followed([NEW], CHANGE).vkeys() == (OLD.vkey, NEW.vkey)


def test_nothing_is_signed_without_the_key_in_force() -> None:
    with pytest.raises(LogKeyMissing):
        followed([OLD], CHANGE).signers()


@pytest.mark.parametrize("held", [[], [OLD, OLD], [OLD, FOREIGN], [OLD, NEW, FOREIGN]])
def test_what_are_not_one_or_two_keys_of_one_log_are_not_taken(held: list[NoteSigner]) -> None:
    keys = LogKeys([OLD])
    with pytest.raises(KeyMalformed):
        keys.take(held)
    assert keys.held == (OLD,)


async def test_a_checkpoint_in_the_overlap_opens_under_either_key(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    changes: list[KeyRotated] = []
    keys = LogKeys([OLD, NEW])
    keys.follow(lambda: changes, log.clock)
    log.publisher._keys = keys
    await log.add(0)
    with pytest.raises(NoteUnverified):
        checkpoint.open_checkpoint(await log.publisher.publish(), logs.ORIGIN, [NEW.verifier])
    changes.append(CHANGE)
    await log.add(1)
    signed = await log.publisher.publish()
    for known in ([OLD.verifier], [NEW.verifier], [OLD.verifier, NEW.verifier]):
        assert checkpoint.open_checkpoint(signed, logs.ORIGIN, known).checkpoint.size == 2
    assert log.publisher.root_key == OLD.verifier
    log.clock.set_ms(UNTIL_MS)
    await log.add(2)
    alone = note.parse(await log.publisher.publish())
    assert [line.key_id for line in alone.signatures] == [NEW.verifier.key_id]
    assert log.publisher.root_key == NEW.verifier
    await log.close()


async def test_a_key_that_was_taken_away_too_early_finds_no_memory_of_its_own(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(0)
    await log.publisher.publish()
    keys = LogKeys([NEW])
    keys.follow(lambda: [CHANGE], log.clock)
    log.publisher._keys = keys
    await log.add(1)
    with pytest.raises(SignerStateAbsent):
        await log.publisher.publish()
    await log.close()
