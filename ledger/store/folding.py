"""How a sequencer comes by the state of its rules: from rows that are kept with the entries, or by folding the log.

Rules that can be written down by key (`Kept`) are: then a start reads no entry, whatever the log's size. Any others are
folded over the whole log at each start.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Protocol, runtime_checkable

from ledger.records.actor import Actor
from ledger.rules.fact import Fact
from ledger.rules.tables import Tables
from ledger.store import replay
from ledger.store.errors import ProjectionsOther
from ledger.store.projected import Projected
from ledger.store.protocol import Batch, Head, Store, StreamHead

Follower = Callable[[Fact], None]


class Rules(Protocol):
    """What may be written, when, and by whom; a fold of the whole log.

    `check` sees the submission as it came. `apply` sees what a restart will see: `now_ms` is the entry's own time and
    `evidence` is None, so that a rebuilt state can never differ from the one that was running.
    """

    def check(self, fact: Fact) -> None:
        """Raises a Refused if the fact may not be written; changes nothing."""
        ...

    def apply(self, fact: Fact) -> None:
        """The fact has been written."""
        ...


@runtime_checkable
class KeptRules(Protocol):
    """Rules whose state can be written down by key, beside the two calls of `Rules`."""

    @property
    def version(self) -> str:
        """By which rules, and in which shape; rows of another version are made anew."""
        ...

    def check(self, fact: Fact) -> None:
        """As in `Rules`."""
        ...

    def apply(self, fact: Fact) -> None:
        """As in `Rules`."""
        ...

    @property
    def tables(self) -> Tables:
        """Everything that they remember, by key."""
        ...


class Folded:
    """Rules that are in memory as a whole."""

    version: str | None = None

    def __init__(self, store: Store, rules: Rules) -> None:
        """`rules` must be fresh."""
        self._store = store
        self._fresh = deepcopy(rules)
        self.rules: Rules = rules
        self._is_fresh = True

    async def load(self, head: Head, hear: Follower) -> dict[Actor, int]:
        """The rules are folded over the log up to this head; `hear` is told each entry. Returns the actors' numbers."""
        self.rules = self.rules if self._is_fresh else deepcopy(self._fresh)
        self._is_fresh = False
        return await _each(self._store, 0, head.size, self.rules.apply, hear)

    async def follow(self, start: int, facts: Sequence[Fact]) -> None:
        """Others wrote these entries."""
        del start
        for fact in facts:
            self.rules.apply(fact)

    def require_ours(self, head: Head) -> None:
        """Nothing is kept that others could spoil."""

    def look(self, heads: Mapping[str, StreamHead | None]) -> None:
        """These heads of streams are known."""

    def write(self, batch: Batch) -> None:
        """Puts what is kept of the state into the batch."""

    def settle(self) -> None:
        """The batch is committed."""

    def undo(self, batch: Batch) -> None:
        """The batch is known not to be written; the state is of no use until it is loaded again."""

    def drop(self) -> None:
        """The batch is not committed, or nobody knows; the state is of no use until it is loaded again."""


class Kept:
    """Rules whose state stands in the store, by key."""

    def __init__(self, store: Store, rules: KeptRules) -> None:
        """`rules` must be fresh."""
        self._store = store
        self._fresh = deepcopy(rules)
        self.rules = rules
        self.version: str | None = rules.version
        self._source = Projected(store)

    async def load(self, head: Head, hear: Follower) -> dict[Actor, int]:
        """As in `Folded`, but nothing is read of the log unless the rows are of another version."""
        del hear
        if head.size and head.projected != self.version:
            await self._rebuild()
        self.drop()
        self.rules.tables.source = self._source
        found = (await self._store.tail(head.size, head.size, known_actors=0)).actors
        self._source.actors = found
        return {actor: number for number, actor in found.items()}

    async def _rebuild(self) -> None:
        """The rows are made anew from the log, while nobody writes."""
        await self._store.lock(is_long=True)
        try:
            rules = deepcopy(self._fresh)
            head = await self._store.peek()
            await _each(self._store, 0, head.size, rules.apply, lambda _: None)
        except BaseException:
            await self._store.unlock()
            raise
        await self._store.replace_projections(rules.tables.rows(), self._fresh.version)

    async def follow(self, start: int, facts: Sequence[Fact]) -> None:
        """Others wrote these entries: what they know of them is in the rows, so here it is only forgotten."""
        keys = await self._store.changed(start)
        self.rules.tables.forget(keys, {fact.entry.stream for fact in facts})

    def look(self, heads: Mapping[str, StreamHead | None]) -> None:
        """These heads of streams are known, until the batch is settled."""
        self._source.heads = heads

    def write(self, batch: Batch) -> None:
        """The rows that the batch changes go with it."""
        last = batch.head.size - 1
        batch.projections = [
            (row.kind, row.key, row.value, last, row.born, row.until_ms) for row in self.rules.tables.changes()
        ]

    def settle(self) -> None:
        """The batch is committed."""
        self._source.heads = {}
        self.rules.tables.make_room()

    def undo(self, batch: Batch) -> None:
        """The batch is known not to be written: what it changed is fetched again, and all else is as it was.

        So is what was read of each stream that it named: a head that was taken for absent may be there.
        """
        streams = {*batch.streams, *self._source.heads}
        self._source.heads = {}
        self.rules.tables.undo(streams)

    def drop(self) -> None:
        """The batch is not committed, or nobody knows: everything is fetched again when it is asked for."""
        self._source.heads = {}
        self.rules.tables.forget_all()

    def require_ours(self, head: Head) -> None:
        """Raises ProjectionsOther if another writer keeps rows by other rules."""
        if head.size and head.projected != self.version:
            raise ProjectionsOther(
                "another writer keeps the projections by other rules", expected=self.version, found=head.projected
            )


def folding(store: Store, rules: Rules | KeptRules) -> Folded | Kept:
    """The way that fits the rules."""
    return Kept(store, rules) if isinstance(rules, KeptRules) else Folded(store, rules)


async def _each(store: Store, start: int, stop: int, *hear: Follower) -> dict[Actor, int]:
    """Tells each of `hear` every entry start <= index < stop; returns the actors' numbers."""
    actors: dict[int, Actor] = {}
    for first in range(start, stop, replay.BLOCK):
        last = min(stop, first + replay.BLOCK)
        tail = await store.tail(first, last, known_actors=len(actors))
        actors.update(tail.actors)
        for fact in replay.facts(tail, first, last, actors):
            for one in hear:
                one(fact)
        await asyncio.sleep(0)
    return {actor: number for number, actor in actors.items()}


async def hear_all(store: Store, start: int, stop: int, hear: Follower) -> None:
    """Tells `hear` every entry start <= index < stop, in order."""
    await _each(store, start, stop, hear)
