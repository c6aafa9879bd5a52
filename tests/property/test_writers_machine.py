"""Several writers at once against a model: whatever is raced, repeated, cut off, failed or killed, the log is one story.

The model knows what was said, what was acknowledged, and what a failure left open. What the log then is has to be a
history that explains every answer: dense, nothing acknowledged lost, each statement once and at one index.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ledger.appender import (
    Appended,
    Appender,
    JtiReused,
    Outcome,
    StatementReordered,
    StreamEnded,
    StreamMiscounted,
    StreamMoved,
)
from ledger.clock import SetClock
from ledger.errors import Busy
from ledger.records import entry as entries
from ledger.records.statement import Statement
from ledger.store.errors import AppenderClosed, OutcomeUnknown, StoreFull
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.postgres import Server

pytestmark = pytest.mark.slow  # takes seconds

STREAMS = ("fsr/a", "fsr/b", "fsr/c", "fsr/d")
REPLICAS = 3


class Fault(StrEnum):
    """What becomes of a commit."""

    FULL = "full"
    """Nothing is kept, and it is said so."""
    LOST_BEFORE = "lost before"
    """Nothing is kept, and nobody knows."""
    LOST_AFTER = "lost after"
    """All is kept, and nobody knows."""


class Faulty:
    """Meets these faults, one a commit."""

    faults: tuple[Fault, ...] = ()

    async def commit(self, batch) -> None:
        fault, self.faults = (self.faults[0], self.faults[1:]) if self.faults else (None, ())
        if fault in (None, Fault.LOST_AFTER):
            await super().commit(batch)
        else:
            await self.unlock()
        if fault is Fault.FULL:
            raise StoreFull("the test says no")
        if fault is not None:
            raise OutcomeUnknown("the test cuts the wire")


class Act(StrEnum):
    """What a client does next."""

    SAY = "say"
    LIST = "list"
    FOLLOW = "follow"
    """Says what holds only if the stream has not moved since."""
    REPEAT = "repeat"
    """Says again what somebody said before, or says right now."""
    REUSE = "reuse"
    """Says other words under the same id."""
    CLOSE = "close"
    GIVE_UP = "give up"
    """Hands a statement in and does not wait for the answer."""


ACTS = st.tuples(st.sampled_from(Act), st.sampled_from(STREAMS), st.sampled_from(logs.PARTIES), st.integers(0, 1 << 20))
CLIENTS = st.lists(st.lists(ACTS, min_size=1, max_size=5), min_size=2, max_size=6)
Key = tuple[str, str]


class WritersMachine(RuleBasedStateMachine):
    """Clients of one sequencer, on SQLite."""

    replicas = 1

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="log"))
        self.patches = mock.patch("ledger.appender.PAUSE_S", (0.0, 0.0))
        self.patches.start()
        self.runner = asyncio.Runner()
        self.said: list[Statement] = []
        self.acknowledged: dict[str, Appended] = {}
        """By the words that were said."""
        self.fresh: Counter[str] = Counter()
        """How often somebody was told that the words were new."""
        self.not_there: set[str] = set()
        """Words that were refused and that no failure can have left in the log."""
        self.next = 0
        self.heads: dict[str, str] = {}
        """What a client may believe to be the last leaf of a stream."""
        self.clock = SetClock(logs.START_MS)
        self.stores = []
        self.appenders: list[Appender] = []
        self.open()

    def medium(self) -> logs.Sqlite | logs.Postgres:
        return logs.Sqlite()

    def open(self) -> None:
        self.stores = [self.medium().open(self.directory, Faulty) for _ in range(self.replicas)]
        self.appenders = [
            self.runner.run(Appender.start(store, origin=logs.ORIGIN, clock=self.clock, rules=Tally(), patience_s=5.0))
            for store in self.stores
        ]

    # What clients do

    def statement(self, act: Act, stream: str, party: str, choice: int) -> Statement:
        """The words of an act."""
        # Mostly what was said a moment ago, by somebody who has no answer yet.
        before = self.said[-1 - choice % min(len(self.said), 12)] if self.said else None
        if act is Act.REPEAT and before is not None:
            return before
        self.next += 1
        number = self.next
        if act is Act.REUSE and before is not None:
            number = int(before.claims.jti, 16)
            party = before.claims.iss
            made = logs.said(number, stream=stream, party=party, audience=logs.ORIGIN, actor_seq=(1 << 40) + self.next)
        elif act is Act.FOLLOW:
            made = logs.said(number, stream=stream, party=party, exp_prev=self.heads.get(stream, entries.NO_PREVIOUS))
        elif act is Act.CLOSE:
            count = max(1, sum(row.stream == stream for row in self.entries()))
            made = logs.closing(number, stream, count)
        else:
            made = logs.said(number, stream=stream, party=party)
        self.said.append(made)
        return made

    async def client(self, appender: Appender, acts: list[tuple[Act, list[Statement]]]) -> None:
        for act, whats in acts:
            submissions = [logs.submitted(what) for what in whats]
            if act is Act.GIVE_UP:
                asked = asyncio.ensure_future(appender.append(submissions[0]))
                await asyncio.sleep(0)
                asked.cancel()
                await asyncio.wait({asked})
                if not asked.cancelled():
                    self.hear(whats[0], asked.exception() or asked.result())
                continue
            outcomes: list[Outcome]
            if act is Act.LIST:
                outcomes = await appender.append_many(submissions)
            else:
                outcomes = await asyncio.gather(appender.append(submissions[0]), return_exceptions=True)
            for what, outcome in zip(whats, outcomes, strict=True):
                self.hear(what, outcome)

    def hear(self, what: Statement, outcome: object) -> None:
        """An answer, which has to be possible at all; what it says of the log is compared with the log afterwards."""
        words = what.raw
        if isinstance(outcome, Appended):
            first = self.acknowledged.setdefault(words, outcome)
            assert (outcome.index, outcome.leaf_hash, outcome.seq) == (first.index, first.leaf_hash, first.seq)
            assert outcome.stream == what.claims.stream
            assert outcome.index < outcome.tree_size
            self.fresh[words] += not outcome.duplicate
        elif isinstance(outcome, Busy):
            assert isinstance(outcome, StoreFull | OutcomeUnknown | AppenderClosed), outcome
        else:
            possible = [StreamEnded, JtiReused]
            possible += [StatementReordered] if what.claims.actor_seq is not None else []
            possible += [StreamMoved] if what.claims.exp_prev is not None else []
            possible += [StreamMiscounted] if what.claims.type == entries.STREAM_CLOSED else []
            assert isinstance(outcome, tuple(possible)), repr(outcome)
            self.not_there.add(words)

    def plan(self, clients: list[list[tuple[Act, str, str, int]]]) -> list[list[tuple[Act, list[Statement]]]]:
        planned = []
        for acts in clients:
            mine = []
            for act, stream, party, choice in acts:
                amount = 3 if act is Act.LIST else 1
                whats = [self.statement(act, stream, party, choice) for _ in range(amount)]
                mine.append((act, whats))
            planned.append(mine)
        return planned

    async def together(self, planned: list[list[tuple[Act, list[Statement]]]]) -> None:
        await asyncio.gather(
            *(self.client(self.appenders[number % self.replicas], acts) for number, acts in enumerate(planned))
        )

    @rule(
        clients=CLIENTS,
        faults=st.lists(st.tuples(st.integers(0, REPLICAS), st.sampled_from(Fault)), max_size=3),
    )
    def race(self, clients: list[list[tuple[Act, str, str, int]]], faults: list[tuple[int, Fault]]) -> None:
        for where, fault in faults:
            self.stores[where % self.replicas].faults += (fault,)
        self.runner.run(self.together(self.plan(clients)))
        for store in self.stores:
            store.faults = ()

    @rule(clients=CLIENTS, turns=st.integers(1, 12))
    def crash(self, clients: list[list[tuple[Act, str, str, int]]], turns: int) -> None:
        """Every process ends in the middle of what it does; only what the store has remains."""
        planned = self.plan(clients)

        async def cut() -> None:
            racing = asyncio.ensure_future(self.together(planned))
            for _ in range(turns):
                await asyncio.sleep(0)
            ending = [racing, *(appender._task for appender in self.appenders)]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

        self.runner.run(cut())
        for store in self.stores:
            store.close()
        self.open()

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule(by_ms=st.integers(-10_000, 10_000))
    def set_clock(self, by_ms: int) -> None:
        self.clock.set_ms(self.clock.now_ms() + by_ms)

    @rule(stream=st.sampled_from(STREAMS))
    def look(self, stream: str) -> None:
        """A client learns where a stream stands, for what it says next, or much later."""
        head = self.stores[0].stream_head(stream)
        if head is not None:
            self.heads[stream] = head.leaf.hex()

    def close(self) -> None:
        for appender, store in zip(self.appenders, self.stores, strict=True):
            self.runner.run(appender.close())
            store.close()

    # What the log is

    def entries(self) -> list[entries.Entry]:
        store = self.stores[0]
        return [entries.decode(row.data) for row in store.entries(0, store.head().size)]

    @invariant()
    def the_log_explains_every_answer(self) -> None:
        # Dense, chained, in the tree, in time: by an implementation of its own.
        found = oracle.require_sound(self.stores[0])
        store = self.stores[0]
        rows = list(store.entries(0, store.head().size))
        words = [entries.decode(row.data).stmt for row in rows]
        assert len(found) == len(rows)
        assert len(set(words)) == len(words), "a statement stands twice"
        claims = [what.claims for what in self.said_in(words)]
        counted = [(one.iss, one.actor_seq) for one in claims if one.actor_seq is not None]
        # A party has one key here, so its counter grows through the whole log.
        assert sorted(set(counted)) == sorted(counted, key=lambda one: one[0]), "a counter went back"
        for raw, appended in self.acknowledged.items():
            assert words[appended.index] == raw, "an acknowledged statement is not where it was said to be"
            assert rows[appended.index].leaf == appended.leaf_hash
        assert not (self.not_there & self.acknowledged.keys()) - set(words)
        assert max(self.fresh.values(), default=0) <= 1, "two were told that they were first"

    def said_in(self, words: list[str]) -> Iterator[Statement]:
        said = {what.raw: what for what in self.said}
        assert said.keys() >= set(words), "what nobody said is in the log"
        return (said[one] for one in words)

    @invariant()
    def the_rules_know_what_a_fresh_fold_knows(self) -> None:
        store = self.stores[0]
        size = store.head().size
        statements = [entries.decode(row.data) for row in store.entries(0, size)]
        said = {what.raw: what for what in self.said}
        counted = Counter(one.stream for one in statements)
        indices = {said[one.stmt].claims.jti: index for index, one in enumerate(statements)}
        kept = {(kind, key): int(value) for kind, key, value, *_ in store.projections()}
        assert kept == {("count", stream): count for stream, count in counted.items()} | {
            ("said", jti): index for jti, index in indices.items()
        }
        for appender in self.appenders:
            # A replica that has not met the others' newest entries yet is as old as its head says.
            assert appender.head.size <= size
            if appender.head.size == size:
                for stream in STREAMS:
                    assert appender.rules.counts.get(stream) == counted.get(stream)

    def teardown(self) -> None:
        self.close()
        self.patches.stop()
        self.runner.close()
        shutil.rmtree(self.directory)


def checked(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )


WritersMachine.TestCase.settings = checked(15, 10)
TestWriters = WritersMachine.TestCase


def test_replicas_over_one_database(postgres_server: Server) -> None:
    class ReplicasMachine(WritersMachine):
        """The same clients, dealt out over replicas that do not know of each other."""

        replicas = REPLICAS

        def medium(self) -> logs.Postgres:
            return logs.Postgres(postgres_server.dsn)

    run_state_machine_as_test(ReplicasMachine, settings=checked(5, 8))
