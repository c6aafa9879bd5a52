"""State that is kept by key: a start reads no entry, rows are those of the committed log, and others' are never used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.appender import Appended
from ledger.rules.tables import Plain, ProjectionUnreadable, Row, Table, Tables
from ledger.store.errors import ProjectionsOther, StoreFull
from ledger.store.protocol import Batch, Tail
from tests.support import logs
from tests.support.kept import Memory, Tally

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.slow]  # takes seconds


class Telling:
    """Says which entries were read for the rules."""

    read = 0

    async def tail(self, start: int, stop: int, *, known_actors: int) -> Tail:
        Telling.read += stop - start
        return await super().tail(start, stop, known_actors=known_actors)


@pytest.fixture(autouse=True)
def nothing_read() -> None:
    Telling.read = 0


def rows(store: Any) -> dict[tuple[str, str], bytes]:
    return {(kind, key): value for kind, key, value, *_ in store.projections()}


async def test_a_start_reads_no_entry_and_knows_all(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=Tally())
    await log.add(*range(600))
    await log.close()
    again = await logs.begin(tmp_path, rules=Tally(), store=logs.medium.open(tmp_path, Telling))
    assert Telling.read == 0
    assert again.appender.rules.folded == 0
    assert again.appender.rules.counts["fsr/s0"] == 200
    await again.add(600)
    assert again.appender.rules.counts["fsr/s0"] == 201
    assert rows(again.store)["count", "fsr/s0"] == b"201"
    await again.close()


@pytest.mark.parametrize("before", [logs.RecordingRules, lambda: other("tally/0")])
async def test_rows_of_another_version_or_of_none_are_made_anew(tmp_path: Path, before: Callable[[], Any]) -> None:
    log = await logs.begin(tmp_path, rules=before())
    await log.add(*range(30))
    await log.close()
    again = await logs.begin(tmp_path, rules=Tally(), store=logs.medium.open(tmp_path, Telling))
    assert Telling.read == 30
    assert rows(again.store)["count", "fsr/s0"] == b"10"
    assert again.store.head().projected == Tally.version
    assert again.appender.rules.folded == 0, "what is used is what is kept, not what made it"
    await again.close()


def other(version: str) -> Tally:
    rules = Tally()
    rules.version = version
    rules.apply = lambda fact: None
    return rules


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_a_replica_stops_when_another_keeps_rows_by_other_rules(tmp_path: Path) -> None:
    old = await logs.begin(tmp_path, rules=other("tally/0"))
    await old.add(*range(3))
    new = await logs.begin(tmp_path, rules=Tally())
    await new.add(3)
    (refused,) = await old.appender.append_many([logs.submitted(logs.dealt(4))])
    assert isinstance(refused, ProjectionsOther)
    (refused,) = await old.appender.append_many([logs.submitted(logs.dealt(4))])
    assert isinstance(refused, ProjectionsOther), "only a restart may write again"
    await new.add(5)
    assert rows(new.store)["count", "fsr/s2"] == b"2"
    await old.close()
    await new.close()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_a_replica_forgets_what_another_changed(tmp_path: Path) -> None:
    one = await logs.begin(tmp_path, rules=Tally())
    two = await logs.begin(tmp_path, rules=Tally())
    for number in range(0, 20, 2):
        await one.add(number, streams=1)
        await two.add(number + 1, streams=1)
    # Each was overtaken once, at most; neither folded what the other wrote.
    assert {one.appender.rules.folded, two.appender.rules.folded} <= {10, 11}
    assert rows(one.store)["count", "fsr/s0"] == b"20"
    await one.close()
    await two.close()


class Full:
    """Has no room for the next batch."""

    is_full = False

    async def commit(self, batch: Batch) -> None:
        if self.is_full:
            await self.unlock()
            raise StoreFull("the test says no")
        await super().commit(batch)


async def test_what_was_not_committed_is_not_remembered(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=Tally(), store=logs.medium.open(tmp_path, Full))
    await log.add(*range(3))
    log.store.is_full = True
    (refused,) = await log.appender.append_many([logs.submitted(logs.dealt(3))])
    assert isinstance(refused, StoreFull)
    assert log.appender.rules.counts["fsr/s0"] == 1
    log.store.is_full = False
    (answer,) = await log.appender.append_many([logs.submitted(logs.dealt(3))])
    assert isinstance(answer, Appended)
    assert rows(log.store)["count", "fsr/s0"] == b"2"
    await log.close()


async def test_memory_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.rules.tables.Shape.max_live", 16)
    log = await logs.begin(tmp_path, rules=Tally())
    for start in range(0, 200, 20):
        await log.add(*range(start, start + 20), streams=100)
    rules = log.appender.rules
    assert len(rules.said._live) <= 16
    assert {key: rules.counts[key] for key in ("fsr/s0", "fsr/s99")} == {"fsr/s0": 2, "fsr/s99": 2}
    await log.close()


def table(source: Memory | None = None) -> Table[Any]:
    tables = Tables()
    tables.source = source
    return tables.new(Plain("k", set[str]))


@pytest.mark.parametrize("source", [None, Memory()], ids=["alone", "with a source"])
def test_a_table_is_a_dict_whatever_stands_behind_it(source: Memory | None) -> None:
    one = table(source)
    assert one.get("a") is None
    assert "a" not in one
    one.setdefault("a", set()).add("x")
    assert one["a"] == {"x"}
    assert one.pop("a") == {"x"}
    assert "a" not in one
    with pytest.raises(KeyError):
        one["a"]
    with pytest.raises(KeyError):
        del one["a"]
    with pytest.raises(KeyError):
        one.peek("a")


def test_what_a_fold_looked_at_is_written_down_and_nothing_else() -> None:
    tables = Tables()
    tables.source = Memory()
    one: Table[set[str]] = tables.new(Plain("k", set[str]))
    one["quiet"] = {"x"}
    tables.is_folding = True
    one.setdefault("loud", set()).add("y")
    one.get("absent")
    tables.is_folding = False
    assert [(row.key, row.value) for row in tables.changes()] == [("loud", b'["y"]')]
    assert tables.changes() == []
    tables.is_folding = True
    one["loud"].discard("y")
    tables.is_folding = False
    assert [(row.key, row.value) for row in tables.changes()] == [("loud", None)], "nothing left is no row's value"


async def test_a_row_in_another_shape_stops_the_log_and_not_the_reader(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path, rules=Tally())
    await log.add(*range(3))
    log.appender.rules.tables.forget_all()
    await log.store.lock()
    await log.store.replace_projections([Row("count", "fsr/s0", b"no number")], Tally.version)
    (refused,) = await log.appender.append_many([logs.submitted(logs.dealt(3))])
    assert isinstance(refused, ProjectionUnreadable)
    assert log.store.head().size == 3
    await log.close()
