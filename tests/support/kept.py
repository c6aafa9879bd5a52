"""A state that is kept by key, over a log that is a list: whatever a fold does has to survive being forgotten."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ledger.rules.fact import Fact
from ledger.rules.state import LogState
from ledger.rules.tables import Plain, Row, Table, Tables


@dataclass
class Memory:
    """A `Source` over facts and rows in memory."""

    facts_said: list[Fact] = field(default_factory=list)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def value(self, kind: str, key: str) -> bytes | None:
        row = self.rows.get((kind, key))
        return None if row is None else row.value

    def keys(self, kind: str, after: str | None = None) -> Iterator[str]:
        born = [row for row in self.rows.values() if row.kind == kind and row.value and row.born is not None]
        names = [row.key for row in sorted(born, key=lambda row: (row.born, row.key))]
        return iter(names if after is None else names[names.index(after) + 1 :])

    def keys_until(self, kind: str, after_ms: int) -> Iterator[str]:
        return (row.key for row in self.rows.values() if row.kind == kind and row.value and row.until_ms > after_ms)

    def stream(self, name: str) -> tuple[int, bool] | None:
        said = self.facts_of(name)
        return (len(said), said[-1].statement.claims.type == "log.stream-closed") if said else None

    def facts(self, indices: Sequence[int]) -> list[Fact]:
        return [self.facts_said[index] for index in sorted(set(indices))]

    def facts_of(self, stream: str) -> list[Fact]:
        return [fact for fact in self.facts_said if fact.entry.stream == stream]


class Tally:
    """Allows everything but the ids in `refused`; counts entries by stream, in rows that are kept with them."""

    version = "tally/1"

    def __init__(self) -> None:
        self.tables = Tables()
        self.counts: Table[int] = self.tables.new(Plain("count", int))
        self.said: Table[int] = self.tables.new(Plain("said", int))
        """Index by statement id."""
        self.folded = 0
        """Entries that this object has seen, which a restart must not have to show it."""

    def check(self, fact: Fact) -> None:
        if fact.statement.claims.jti in self.said:
            raise AssertionError("the sequencer lets a statement come twice")

    def apply(self, fact: Fact) -> None:
        self.folded += 1
        self.tables.is_folding = True
        self.counts[fact.entry.stream] = self.counts.get(fact.entry.stream, 0) + 1
        self.said[fact.statement.claims.jti] = fact.index
        self.tables.is_folding = False


class Forgetful:
    """A `LogState` that forgets everything after each entry, beside one that has all in memory."""

    def __init__(self) -> None:
        self.source = Memory()
        self.state = LogState()
        self.state.tables.source = self.source

    def fold(self, fact: Fact) -> None:
        """The fact was written, at the second attempt: its rows are kept, and all else is forgotten."""
        self.state.apply(fact)
        self.state.tables.changes()
        # As a batch that another replica overtook: it must leave nothing behind.
        self.state.tables.undo([fact.entry.stream])
        self.state.apply(fact)
        self.source.rows.update({(row.kind, row.key): row for row in self.state.tables.changes()})
        # As a restart has it: what the door knew beside is not in the log.
        self.source.facts_said.append(msgspec.structs.replace(fact, evidence=None, now_ms=fact.entry.rec))
        self.state.tables.forget_all()

    def require_same(self, whole: LogState) -> None:
        """Every row and every value is what the state in memory makes of it."""
        wanted = {(row.kind, row.key): row for row in whole.tables.rows()}
        assert {key: row for key, row in self.source.rows.items() if row.value is not None} == wanted
        for kind in whole.tables.kinds:
            theirs = whole.tables[kind]
            for key in theirs:
                assert plain(self.state.tables[kind].get(key)) == plain(theirs.get(key)), (kind, key)


def plain(value: Any) -> Any:
    """The value without the way to its contracts, which is another one in another state; nothing for nothing."""
    if hasattr(value, "contracts"):
        return msgspec.structs.replace(value, contracts=None)
    return value or None
