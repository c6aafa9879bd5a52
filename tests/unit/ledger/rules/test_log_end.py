"""A log changes its key in order, ends for ever, and names the one that it continues in its first entry only."""

import msgspec
import pytest

from ledger.records.log import FreezeReason, KeyRotated, LogFrozen, PolicyAdopted, Predecessor
from ledger.records.privacy import HoldPlaced, RefusalGround
from ledger.rules.rules_version import RULES_VERSION
from ledger.tlog import checkpoint
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import NoteSigner
from tests.support import logs
from tests.support.rulebook import AURORA, NORTHGATE, ORIGIN, SOUTHGATE, Judge, refused, site

DAY_MS = 86_400_000


def key(number: int, origin: str = ORIGIN) -> NoteSigner:
    return NoteSigner(origin, logs.key_of(f"log {number}"))


def rotated(judge: Judge, old: int, new: int, *, until_ms: int | None = None) -> KeyRotated:
    until_ms = judge.now_ms + DAY_MS if until_ms is None else until_ms
    return KeyRotated(vkey=key(new).vkey, follows=key(old).vkey, until_ms=until_ms)


def test_keys_follow_one_another_and_overlap_for_a_bounded_time() -> None:
    judge = Judge()
    for until_ms in (judge.now_ms, judge.now_ms - 1, judge.now_ms + 366 * DAY_MS + 1):
        with refused("key-overlap"):
            judge.try_it(rotated(judge, 1, 2, until_ms=until_ms), NORTHGATE, "log/keys")
    judge.try_it(rotated(judge, 1, 2, until_ms=judge.now_ms + 366 * DAY_MS), NORTHGATE, "log/keys")
    judge.admit(rotated(judge, 1, 2), NORTHGATE, "log/keys")
    with refused("key-overlap"):
        judge.try_it(rotated(judge, 2, 3), NORTHGATE, "log/keys")
    judge.now_ms += DAY_MS
    for old, new in ((1, 3), (3, 4), (2, 2), (2, 1)):
        with refused("key-unfit"):
            judge.try_it(rotated(judge, old, new), NORTHGATE, "log/keys")
    judge.admit(rotated(judge, 2, 3), NORTHGATE, "log/keys")
    assert [one.vkey for one in judge.state.rotations] == [key(2).vkey, key(3).vkey]


def test_a_key_of_another_log_or_of_another_kind_is_no_next_key() -> None:
    judge = Judge()
    broken = msgspec.structs.replace(rotated(judge, 1, 2), vkey="a+00000000+AAAA")
    foreign = msgspec.structs.replace(rotated(judge, 1, 2), vkey=key(2, "other.example/log").vkey)
    for what in (broken, foreign, rotated(judge, 1, 1)):
        with refused("key-unfit"):
            judge.try_it(what, NORTHGATE, "log/keys")


def test_only_the_keeper_of_a_log_changes_its_key_or_ends_it() -> None:
    judge = Judge()
    for what in (rotated(judge, 1, 2), LogFrozen(reason=FreezeReason.CLOSED)):
        with refused("wrong-party"):
            judge.try_it(what, SOUTHGATE, "log/keys")
        with refused("writer-role"):
            judge.try_it(what, AURORA, "log/keys")


def test_nothing_follows_the_end_of_a_log() -> None:
    judge = Judge()
    judge.admit(LogFrozen(reason=FreezeReason.PERIOD_END), NORTHGATE, "log/end")
    assert judge.state.frozen_at == 1
    for what, by, stream in (
        (site(), NORTHGATE, None),
        (rotated(judge, 1, 2), NORTHGATE, "log/keys"),
        (LogFrozen(reason=FreezeReason.CLOSED), NORTHGATE, "log/end"),
        (PolicyAdopted(anchors=("1" * 64,), rules=RULES_VERSION), NORTHGATE, "log/policy"),
    ):
        with refused("log-frozen"):
            judge.try_it(what, by, stream)
    # An auditor folds what stands there all the same, and the end stays where it was.
    judge.fold(judge.fact(LogFrozen(reason=FreezeReason.CLOSED), NORTHGATE, "log/end"))
    assert judge.state.frozen_at == 1


@pytest.mark.parametrize("reason", list(FreezeReason))
def test_what_is_done_with_personal_data_follows_the_end_unless_a_key_was_stolen(reason: FreezeReason) -> None:
    judge = Judge()
    judge.admit(LogFrozen(reason=reason), NORTHGATE, "log/end")
    placed = HoldPlaced(handle="a" * 32, ground=RefusalGround.LEGAL_CLAIMS)
    assert judge.state.is_sealed is (reason is FreezeReason.KEY_STOLEN)
    if judge.state.is_sealed:
        with refused("log-frozen"):
            judge.try_it(placed, NORTHGATE, "privacy/hold-placed")
        return
    judge.admit(placed, NORTHGATE, "privacy/hold-placed")
    for what in (site(), LogFrozen(reason=FreezeReason.KEY_STOLEN)):
        with refused("log-frozen"):
            judge.try_it(what, NORTHGATE, None if what.STREAM == "site" else "log/end")


OLD = NoteSigner("old.example/log", logs.key_of("old log"))
LAST = checkpoint.sign(Checkpoint(OLD.verifier.name, 7, b"r" * 32), [OLD]).decode()


def continuing(**changes: object) -> PolicyAdopted:
    named = msgspec.structs.replace(Predecessor(checkpoint=LAST, vkeys=(OLD.vkey,)), **changes)
    return PolicyAdopted(anchors=("0" * 64,), rules=RULES_VERSION, predecessor=named)


def test_the_first_entry_names_the_log_that_is_continued_and_no_later_one_does() -> None:
    judge = Judge(policy=False)
    judge.admit(continuing(), NORTHGATE, "log/policy")
    with refused("predecessor-unfit"):
        judge.try_it(continuing(), NORTHGATE, "log/policy")


OTHER = NoteSigner("old.example/log", logs.key_of("another log"))
OWN = NoteSigner(ORIGIN, logs.key_of("own"))


@pytest.mark.parametrize(
    "changes",
    [
        {"vkeys": (OTHER.vkey,)},
        {"vkeys": (OLD.vkey, OTHER.vkey)},
        {"vkeys": (OLD.vkey, "a+00000000+AAAA")},
        {"checkpoint": LAST.replace("\n7\n", "\n8\n")},
        {"checkpoint": LAST + f"— {OTHER.verifier.name} AAAAAAAA\n"},
        {"checkpoint": "no note"},
        {
            "checkpoint": checkpoint.sign(Checkpoint(ORIGIN, 7, b"r" * 32), [OWN]).decode(),
            "vkeys": (OWN.vkey,),
        },
    ],
    ids=["other-key", "key-without-line", "no-key", "changed", "line-without-key", "no-note", "itself"],
)
def test_a_predecessor_that_its_own_key_did_not_sign_for_is_refused(changes: dict[str, object]) -> None:
    with refused("predecessor-unfit"):
        Judge(policy=False).try_it(continuing(**changes), NORTHGATE, "log/policy")
