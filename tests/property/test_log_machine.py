"""A log against a model of it: whatever is said, repeated, refused, failed or restarted, the audit stays silent."""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.appender import Appended
from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.records import entry as entries
from ledger.records.statement import Statement
from ledger.store.errors import StoreFull
from ledger.store.sqlite import SqliteStore
from ledger.tlog import merkle
from tests.support import logs
from tests.support.kept import Tally

pytestmark = pytest.mark.slow  # takes seconds

STREAMS = st.sampled_from(["fsr/a", "fsr/b", "fsr/c"])
PARTIES = st.sampled_from(logs.PARTIES)


class Failing(SqliteStore):
    fails = False

    def _commit(self) -> None:
        if self.fails:
            self.fails = False
            raise StoreFull("the test says no")
        super()._commit()


class LogMachine(RuleBasedStateMachine):
    """The model: the statements in order, and the streams that are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="log"))
        self.runner = asyncio.Runner()
        self.said: list[Statement] = []
        self.closed: set[str] = set()
        self.next = 0
        self.last_rec = 0
        self.log = self.open()

    def open(self) -> logs.Log:
        path = self.directory / "log.db"
        store = Failing.open(path, create=not path.exists())
        return self.runner.run(logs.begin(self.directory, store=store, rules=self.new_rules()))

    def new_rules(self) -> object:
        """Those of a new process."""
        return logs.RecordingRules()

    def append(self, whats: list[Statement]) -> list[object]:
        return list(self.runner.run(self.log.appender.append_many([logs.submitted(what) for what in whats])))

    def number(self) -> int:
        self.next += 1
        return self.next

    def expect(self, what: Statement, outcome: object) -> None:
        if what.claims.stream in self.closed:
            assert getattr(outcome, "code", None) == "ledger/stream-closed"
            return
        assert isinstance(outcome, Appended), outcome
        assert outcome.index == len(self.said)
        self.said.append(what)
        assert outcome.seq == sum(one.claims.stream == what.claims.stream for one in self.said)
        assert outcome.rec_ms >= self.last_rec
        self.last_rec = outcome.rec_ms

    @rule(whats=st.lists(st.tuples(STREAMS, PARTIES), min_size=1, max_size=40))
    def say(self, whats: list[tuple[str, str]]) -> None:
        batch = [logs.said(self.number(), stream=stream, party=party) for stream, party in whats]
        for what, outcome in zip(batch, self.append(batch), strict=True):
            self.expect(what, outcome)

    @rule(choice=st.integers(min_value=0))
    def repeat(self, choice: int) -> None:
        if self.said:
            index = choice % len(self.said)
            (outcome,) = self.append([self.said[index]])
            assert isinstance(outcome, Appended)
            assert (outcome.index, outcome.duplicate) == (index, True)

    @rule(stream=STREAMS)
    def close_stream(self, stream: str) -> None:
        count = sum(one.claims.stream == stream for one in self.said)
        if count:
            what = logs.closing(self.number(), stream, count)
            (outcome,) = self.append([what])
            self.expect(what, outcome)
            self.closed.add(stream)

    @rule(stream=STREAMS)
    def fail(self, stream: str) -> None:
        if stream in self.closed:
            return
        what = logs.said(self.number(), stream=stream)
        self.log.store.fails = True
        (outcome,) = self.append([what])
        assert isinstance(outcome, StoreFull)

    @rule(by_ms=st.integers(-10_000, 10_000))
    def set_clock(self, by_ms: int) -> None:
        self.log.clock.set_ms(self.log.clock.now_ms() + by_ms)

    @rule()
    def publish(self) -> None:
        signed = self.runner.run(self.log.publisher.publish())
        assert int(signed.split(b"\n")[1]) == len(self.said)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.log.close())
        self.log = self.open()

    @invariant()
    def the_log_is_what_was_said(self) -> None:
        rows = list(self.log.store.entries(0, len(self.said) + 1))
        assert [entries.decode(row.data).stmt for row in rows] == [what.raw for what in self.said]
        assert self.log.appender.head.frontier.root() == merkle.root([row.leaf for row in rows])
        self.require_rules()

    def require_rules(self) -> None:
        """The rules have seen what was said."""
        applied = [fact.statement.claims.jti for fact in self.log.appender.rules.applied]
        # After a failed commit the rules are loaded again with the next batch, not before.
        assert applied[: len(self.said)] == [what.claims.jti for what in self.said]

    def teardown(self) -> None:
        self.runner.run(self.log.publisher.publish())
        self.runner.run(self.log.close())
        source = SqliteSource(self.directory / "log.db")
        report = audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=logs.resolve)
        source.close()
        self.runner.close()
        shutil.rmtree(self.directory)
        report.raise_for_findings()


class KeptMachine(LogMachine):
    """The same with a state that is kept in rows: at any moment they are those of the statements that are there."""

    def new_rules(self) -> Tally:
        self.before, self.first = len(self.said), self.next
        return Tally()

    @rule()
    def forget(self) -> None:
        """Memory is short of room."""
        self.log.appender.rules.tables.forget_all()

    def require_rules(self) -> None:
        rules = self.log.appender.rules
        # Nothing is folded but what was said to this very process, whether it could be committed or not.
        assert rules.folded >= len(self.said) - self.before
        assert rules.folded <= self.next - self.first
        kept = {(kind, key): int(value) for kind, key, value, *_ in self.log.store.projections()}
        counted = Counter(what.claims.stream for what in self.said)
        assert kept == {("count", stream): count for stream, count in counted.items()} | {
            ("said", what.claims.jti): index for index, what in enumerate(self.said)
        }
        for stream, count in counted.items():
            assert rules.counts.get(stream) == count


for machine in (LogMachine, KeptMachine):
    machine.TestCase.settings = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
TestLog = LogMachine.TestCase
TestKept = KeptMachine.TestCase
