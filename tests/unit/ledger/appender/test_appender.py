"""The sequencer: what it writes, what it refuses, and that it answers only after COMMIT."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from ledger.appender import (
    COARSE_MS,
    MAX_LIST,
    Appended,
    Appender,
    AppenderBroken,
    AppenderClosed,
    JtiReused,
    ListTooLong,
    QueueFull,
    StatementReordered,
    StreamEnded,
    StreamMiscounted,
    StreamMoved,
)
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records.log import StreamClosed
from ledger.records.record import Record
from ledger.rules.fact import Fact
from ledger.store.errors import OutcomeUnknown, StoreDamaged, StoreForeign, StoreFull, StoreIo
from ledger.tlog import hashing, merkle
from tests.support import logs

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.slow]  # takes seconds
SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For what is about the file itself."""


@pytest.fixture
async def log(engine: str, tmp_path: Path):
    log = await logs.begin(tmp_path)
    yield log
    await log.close()


async def test_an_entry_links_to_the_one_before_it_in_its_stream(log: logs.Log) -> None:
    first = await log.appender.append(logs.submitted(logs.said(1)))
    other = await log.appender.append(logs.submitted(logs.said(2, stream="fsr/two")))
    second = await log.appender.append(logs.submitted(logs.said(3)))
    assert [(one.index, one.seq, one.tree_size) for one in (first, other, second)] == [(0, 1, 1), (1, 1, 2), (2, 2, 3)]
    stored = entries.decode(log.store.entry(2).data)
    assert stored.prev == first.leaf_hash.hex()
    assert entries.decode(log.store.entry(1).data).prev == entries.NO_PREVIOUS
    assert hashing.leaf(log.store.entry(2).data) == second.leaf_hash
    assert not second.duplicate
    assert log.appender.head.frontier.root() == merkle.root(log.store.leaves(0, 3))


async def test_what_waits_together_is_one_transaction(tmp_path: Path) -> None:
    store = logs.medium.open(tmp_path, Counting)
    log = await logs.begin(tmp_path, store=store)
    answers = await asyncio.gather(*(log.appender.append(logs.submitted(logs.dealt(number))) for number in range(64)))
    assert [answer.index for answer in answers] == list(range(64))
    assert {answer.tree_size for answer in answers} == {64}
    assert store.commits == [64]
    await log.close()


async def test_a_list_is_one_transaction_and_each_of_it_stands_alone(tmp_path: Path) -> None:
    store = logs.medium.open(tmp_path, Counting)
    rules = logs.RecordingRules(refused={logs.jti(2)})
    log = await logs.begin(tmp_path, rules=rules, store=store)
    outcomes = await log.appender.append_many([logs.submitted(logs.said(number)) for number in (1, 2, 3)])
    assert [outcome.index if isinstance(outcome, Appended) else outcome.code for outcome in outcomes] == [
        0,
        "rules/refused-for-test",
        1,
    ]
    assert store.commits == [2]
    assert [fact.statement.claims.jti for fact in rules.applied] == [logs.jti(1), logs.jti(3)]
    assert await log.appender.append_many([]) == []
    await log.close()


async def test_a_rule_that_refuses_leaves_nothing(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=logs.RecordingRules(refused={logs.jti(1)}))
    with pytest.raises(logs.RefusedForTest):
        await log.appender.append(logs.submitted(logs.said(1)))
    assert log.store.head().size == 0
    await log.close()


async def test_the_same_statement_gives_the_same_answer(log: logs.Log) -> None:
    first = await log.appender.append(logs.submitted(logs.said(1)))
    await log.appender.append(logs.submitted(logs.said(2)))
    again = await log.appender.append(logs.submitted(logs.said(1)))
    assert again == Appended(0, first.leaf_hash, "fsr/one", 1, first.rec_ms, 2, duplicate=True)
    assert log.store.head().size == 2


async def test_the_same_statement_twice_in_one_batch_is_one_entry(log: logs.Log) -> None:
    first, again = await log.appender.append_many([logs.submitted(logs.said(1)), logs.submitted(logs.said(1))])
    assert isinstance(first, Appended)
    assert isinstance(again, Appended)
    assert (first.index, first.duplicate, again.index, again.duplicate) == (0, False, 0, True)
    assert again.tree_size == 1


@pytest.mark.parametrize("together", [True, False])
async def test_an_id_that_was_used_for_other_words_is_refused(log: logs.Log, together: bool) -> None:
    one, other = logs.submitted(logs.said(1)), logs.submitted(logs.said(1, stream="fsr/two"))
    if together:
        outcome = (await log.appender.append_many([one, other]))[1]
    else:
        await log.appender.append(one)
        outcome = (await log.appender.append_many([other]))[0]
    assert isinstance(outcome, JtiReused)
    assert outcome.where["index"] == 0
    assert log.store.head().size == 1


async def test_another_party_may_use_the_same_id(log: logs.Log) -> None:
    await log.appender.append(logs.submitted(logs.said(1)))
    assert (await log.appender.append(logs.submitted(logs.said(1, party="NL-FO")))).index == 1


async def test_a_statement_made_for_another_head_is_refused_with_the_head(log: logs.Log) -> None:
    with pytest.raises(StreamMoved) as refused:
        await log.appender.append(logs.submitted(logs.said(1, exp_prev="aa" * 32)))
    assert refused.value.found == entries.NO_PREVIOUS
    first = await log.appender.append(logs.submitted(logs.said(2, exp_prev=entries.NO_PREVIOUS)))
    with pytest.raises(StreamMoved) as refused:
        await log.appender.append(logs.submitted(logs.said(3, exp_prev=entries.NO_PREVIOUS)))
    assert refused.value.found == first.leaf_hash.hex()
    await log.appender.append(logs.submitted(logs.said(4, exp_prev=first.leaf_hash.hex())))


async def test_a_closed_stream_takes_nothing_more(log: logs.Log) -> None:
    await log.appender.append(logs.submitted(logs.said(1)))
    await log.appender.append(logs.submitted(logs.closing(2, "fsr/one", 1)))
    with pytest.raises(StreamEnded):
        await log.appender.append(logs.submitted(logs.said(3)))
    await log.appender.append(logs.submitted(logs.said(4, stream="fsr/two")))


async def test_a_stream_closed_in_the_same_batch_takes_nothing_more(log: logs.Log) -> None:
    closing, late = logs.submitted(logs.closing(2, "fsr/one", 1)), logs.submitted(logs.said(3))
    outcomes = await log.appender.append_many([logs.submitted(logs.said(1)), closing, late])
    assert isinstance(outcomes[2], StreamEnded)


@pytest.mark.parametrize(("closed", "n"), [("fsr/one", 2), ("fsr/one", 3), ("fsr/two", 1)])
async def test_a_closing_record_must_count_its_own_stream(log: logs.Log, closed: str, n: int) -> None:
    await log.appender.append(logs.submitted(logs.said(1)))
    with pytest.raises(StreamMiscounted):
        await log.appender.append(logs.submitted(logs.said(2, what=StreamClosed(closed=closed, n=n))))


async def test_an_actors_counter_must_grow(log: logs.Log) -> None:
    await log.appender.append(logs.submitted(logs.said(1, actor_seq=5)))
    for number, counter in ((2, 5), (3, 4)):
        with pytest.raises(StatementReordered):
            await log.appender.append(logs.submitted(logs.said(number, actor_seq=counter)))
    await log.appender.append(logs.submitted(logs.said(4, actor_seq=1, party="NL-FO")))
    await log.appender.append(logs.submitted(logs.said(5, actor_seq=7)))
    outcomes = await log.appender.append_many(
        [logs.submitted(logs.said(6, actor_seq=9)), logs.submitted(logs.said(7, actor_seq=8))]
    )
    assert isinstance(outcomes[1], StatementReordered)


async def test_a_refused_statement_does_not_move_the_counter(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=logs.RecordingRules(refused={logs.jti(1)}))
    outcomes = await log.appender.append_many([logs.submitted(logs.said(n, actor_seq=9 - n)) for n in (1, 2)])
    assert isinstance(outcomes[0], LedgerError)
    assert isinstance(outcomes[1], Appended)
    await log.close()


async def test_time_never_goes_back(log: logs.Log) -> None:
    first = await log.appender.append(logs.submitted(logs.said(1)))
    log.clock.set_ms(logs.START_MS - 3_600_000)
    second = await log.appender.append(logs.submitted(logs.said(2)))
    log.clock.set_ms(logs.START_MS + 1)
    third = await log.appender.append(logs.submitted(logs.said(3)))
    assert [one.rec_ms - logs.START_MS for one in (first, second, third)] == [0, 0, 1]


async def test_a_record_whose_moment_is_personal_carries_the_quarter_of_an_hour(log: logs.Log) -> None:
    coarse = msgspec.structs.replace(logs.said(1), record=NothingSaid())
    first = await log.appender.append(logs.submitted(coarse))
    assert first.rec_ms == logs.START_MS - logs.START_MS % COARSE_MS
    second = await log.appender.append(logs.submitted(logs.said(2)))
    third = await log.appender.append(logs.submitted(msgspec.structs.replace(logs.said(3), record=NothingSaid())))
    assert (second.rec_ms, third.rec_ms) == (logs.START_MS, logs.START_MS)


class NothingSaid(Record, frozen=True, kw_only=True):
    TYPE = "test.coarse"
    STREAM = "fsr"
    COARSE = True


async def test_rules_are_asked_with_the_entrys_own_time_and_apply_what_a_restart_sees(tmp_path: Path) -> None:
    rules = logs.RecordingRules()
    log = await logs.begin(tmp_path, rules=rules)
    for number in range(300):
        what = logs.submitted(logs.dealt(number), now_ms=logs.START_MS - 5, tags={"evse": f"tag-{number}"})
        await log.appender.append(what)
    await log.close()
    # Not with the time at which it came: what was admitted before a deadline must look so to every later audit.
    assert rules.checked[0].now_ms == logs.START_MS
    assert rules.applied[0].now_ms == logs.START_MS
    again = logs.RecordingRules()
    log = await logs.begin(tmp_path, rules=again)
    assert again.applied == rules.applied
    assert again.applied[7].actor == logs.actor_of("NL-FO")
    assert again.applied[7].tags == {"evse": "tag-7"}
    await log.add(300)
    assert log.store.entry(300).actor_id in {1, 2}
    await log.close()


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(*range(700))
    await log.close()
    log = await logs.begin(tmp_path)
    await log.add(*range(700, 1500))
    leaves = log.store.leaves(0, 1500)
    assert log.appender.head.frontier.root() == merkle.root(leaves)
    assert log.store.tile(0, 4).hashes == b"".join(leaves[1024:1280])
    with pytest.raises(StatementReordered):
        await log.appender.append(logs.submitted(logs.said(9000, party="NL-CSO", actor_seq=3)))
    await log.close()


async def test_another_logs_store_is_not_taken(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    with pytest.raises(StoreForeign):
        await Appender.start(log.store, origin="log.example/other", clock=log.clock, rules=logs.RecordingRules())
    await log.close()


@SQLITE
async def test_a_damaged_tree_is_not_continued(tmp_path: Path) -> None:
    path = await logs.build(tmp_path, 300)
    with logs.unfenced(path) as db:
        db.execute("UPDATE entry SET leaf = zeroblob(32) WHERE idx = 299")
    with pytest.raises(StoreDamaged):
        await logs.begin(tmp_path)


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    store = logs.medium.open(tmp_path)
    clock = logs.SetClock(logs.START_MS)
    appender = await Appender.start(store, origin=logs.ORIGIN, clock=clock, rules=logs.RecordingRules(), queue_limit=3)
    waiting = [asyncio.create_task(appender.append(logs.submitted(logs.said(number)))) for number in range(4)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(outcome, QueueFull) for outcome in outcomes] == [False, False, False, True]
    await appender.append(logs.submitted(logs.said(9)))
    await appender.close()
    store.close()


async def test_a_list_is_bounded(log: logs.Log) -> None:
    one = logs.submitted(logs.said(1))
    with pytest.raises(ListTooLong):
        await log.appender.append_many([one] * (MAX_LIST + 1))
    outcomes = await log.appender.append_many([one] * MAX_LIST)
    assert len(outcomes) == MAX_LIST
    assert log.store.head().size == 1


async def test_what_was_queued_before_closing_is_written_and_nothing_after(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    waiting = asyncio.create_task(log.appender.append(logs.submitted(logs.said(1))))
    await asyncio.sleep(0)
    await log.appender.close()
    assert (await waiting).index == 0
    with pytest.raises(AppenderClosed):
        await log.appender.append(logs.submitted(logs.said(2)))
    log.store.close()


async def test_a_caller_that_gives_up_does_not_stop_the_batch(log: logs.Log) -> None:
    gone = asyncio.create_task(log.appender.append(logs.submitted(logs.said(1))))
    stays = asyncio.create_task(log.appender.append(logs.submitted(logs.said(2))))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).index == 1
    assert (await log.appender.append(logs.submitted(logs.said(1)))).duplicate


class Counting:
    commits: list[int]

    async def commit(self, batch) -> None:
        if not hasattr(self, "commits"):
            self.commits = []
        await super().commit(batch)
        self.commits.append(len(batch.entries))


class Failing:
    """Fails the next commits with these errors, before anything of them is kept."""

    failures: list[Exception]
    room = True

    async def commit(self, batch) -> None:
        if getattr(self, "failures", None):
            await self.unlock()
            raise self.failures.pop(0)
        await super().commit(batch)

    def require_room(self) -> None:
        if not self.room:
            raise StoreFull("no room")
        super().require_room()


async def test_a_failed_commit_keeps_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    store = logs.medium.open(tmp_path, Failing)
    rules = logs.RecordingRules()
    log = await logs.begin(tmp_path, rules=rules, store=store)
    await log.add(0, 1)
    store.failures = [StoreFull("no room")]
    outcomes = await log.appender.append_many([logs.submitted(logs.dealt(2)), logs.submitted(logs.dealt(3))])
    assert [outcome.code for outcome in outcomes] == ["ledger/store-full"] * 2
    assert log.store.head().size == 2
    assert log.appender.head.size == 2
    store.room = False
    with pytest.raises(StoreFull):
        await log.appender.append(logs.submitted(logs.dealt(2)))
    store.room = True
    again = await log.appender.append(logs.submitted(logs.dealt(2)))
    assert (again.index, again.duplicate) == (2, False)
    assert [fact.index for fact in log.appender.rules.applied] == [0, 1, 2]
    await log.close()


async def test_after_a_failed_sync_only_a_restart_writes_again(tmp_path: Path) -> None:
    store = logs.medium.open(tmp_path, Failing)
    log = await logs.begin(tmp_path, store=store)
    store.failures = [StoreIo("the disk is gone")]
    for number in (0, 1):
        with pytest.raises(StoreIo):
            await log.appender.append(logs.submitted(logs.dealt(number)))
    assert log.store.head().size == 0
    await log.close()
    log = await logs.begin(tmp_path)
    await log.add(0)
    await log.close()


async def test_a_bug_in_the_rules_fails_the_batch_and_not_the_log(tmp_path: Path) -> None:
    class Buggy(logs.RecordingRules):
        def apply(self, fact) -> None:
            if fact.statement.claims.jti == logs.jti(1):
                raise KeyError("a bug")
            super().apply(fact)

    log = await logs.begin(tmp_path, rules=Buggy())
    with pytest.raises(AppenderBroken):
        await log.appender.append(logs.submitted(logs.said(1)))
    assert (await log.appender.append(logs.submitted(logs.said(2)))).index == 0
    await log.close()


@pytest.mark.parametrize(("limit", "commits"), [(9, [9, 1]), (10, [10])])
async def test_a_transaction_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, commits: list[int]
) -> None:
    monkeypatch.setattr("ledger.appender.MAX_BATCH", limit)
    store = logs.medium.open(tmp_path, Counting)
    log = await logs.begin(tmp_path, store=store)
    await asyncio.gather(*(log.appender.append(logs.submitted(logs.dealt(number))) for number in range(10)))
    assert store.commits == commits
    await log.close()


async def test_streams_that_are_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.appender.CACHED_STREAMS", 2)
    log = await logs.begin(tmp_path)
    for number in range(30):
        await log.add(number, streams=5)
        assert len(log.appender._streams) <= 2
    assert [entries.decode(log.store.entry(index).data).seq for index in range(25, 30)] == [6] * 5
    await log.close()


async def test_rules_that_cannot_be_loaded_again_are_said_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    class Forgetful(logs.RecordingRules):
        def apply(self, fact: Fact) -> None:
            if len(self.applied) == fact.index == 1:
                raise KeyError("a bug")
            super().apply(fact)

    store = logs.medium.open(tmp_path, Failing)
    log = await logs.begin(tmp_path, rules=Forgetful(), store=store)
    await log.add(0)
    for number in (1, 2):
        with pytest.raises(AppenderBroken):
            await log.appender.append(logs.submitted(logs.dealt(number)))
    assert log.store.head().size == 1
    await log.close()


async def test_a_log_that_cannot_be_replayed_is_said_and_nobody_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = logs.medium.open(tmp_path, Failing)
    log = await logs.begin(tmp_path, store=store)
    await log.add(0)
    store.failures = [StoreFull("no room")]
    with pytest.raises(StoreFull):
        await log.appender.append(logs.submitted(logs.dealt(1)))
    with monkeypatch.context() as patched:
        patched.setattr("ledger.store.replay.facts", lambda *_: 1 / 0)
        with pytest.raises(AppenderBroken, match="loaded again"):
            await log.appender.append(logs.submitted(logs.dealt(1)))
    assert (await log.appender.append(logs.submitted(logs.dealt(1)))).index == 1
    await log.close()


async def test_of_two_who_say_the_same_while_the_answer_is_lost_one_was_first(tmp_path: Path) -> None:
    class Cut:
        is_cut = True

        async def commit(self, batch) -> None:
            await super().commit(batch)
            if self.is_cut:
                self.is_cut = False
                raise OutcomeUnknown("the wire is cut after COMMIT")

    log = await logs.begin(tmp_path, store=logs.medium.open(tmp_path, Cut))
    same = logs.submitted(logs.said(1))
    outcomes = await log.appender.append_many([same, same])
    assert [(outcome.index, outcome.duplicate) for outcome in outcomes] == [(0, False), (0, True)]
    await log.close()


async def test_whose_answer_was_lost_is_not_told_that_there_was_no_room(tmp_path: Path) -> None:
    """The second attempt meets a full store, but the first one may have been kept, as it was here."""

    class Cut(Failing):
        is_cut = True

        async def commit(self, batch) -> None:
            await super().commit(batch)
            if self.is_cut:
                self.is_cut = self.room = False
                raise OutcomeUnknown("the wire is cut after COMMIT")

    store = logs.medium.open(tmp_path, Cut)
    log = await logs.begin(tmp_path, store=store)
    with pytest.raises(OutcomeUnknown) as told:
        await log.appender.append(logs.submitted(logs.said(1)))
    assert told.value.found == "ledger/store-full"
    with pytest.raises(StoreFull):
        await log.appender.append(logs.submitted(logs.said(2)))
    store.room = True
    again = await log.appender.append(logs.submitted(logs.said(1)))
    assert (again.index, again.duplicate) == (0, True)
    await log.close()
