"""The rules' state as a store has it, by key: its rows, and the entries that they speak of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ledger.records import statement as statements
from ledger.records.actor import Actor
from ledger.rules.fact import Fact
from ledger.store import replay
from ledger.store.errors import StoreDamaged
from ledger.store.protocol import ReadStore, StreamHead

_UNREAD: Final[Any] = object()


class Projected:
    """A `ledger.rules.tables.Source` over the committed state of a store."""

    def __init__(self, store: ReadStore) -> None:
        """Reads nothing yet."""
        self._store = store
        self.actors: Mapping[int, Actor] = {}
        """By number; whoever keeps them says so here, and those that are not among them are read anew."""
        self.heads: Mapping[str, StreamHead | None] = {}
        """Stream heads that were read already for the batch that is judged; None for a stream that has no entry."""

    def value(self, kind: str, key: str) -> bytes | None:
        return self._store.projection(kind, key)

    def keys(self, kind: str, after: str | None = None) -> Iterator[str]:
        return self._store.projection_keys(kind, after)

    def keys_until(self, kind: str, after_ms: int) -> Iterator[str]:
        return self._store.projection_keys_until(kind, after_ms)

    def stream(self, name: str) -> tuple[int, bool] | None:
        head = self.heads.get(name, _UNREAD)
        if head is _UNREAD:
            head = self._store.stream_head(name)
        return None if head is None else (head.seq, head.is_closed)

    def facts_of(self, stream: str) -> list[Fact]:
        if stream in self.heads and self.heads[stream] is None:
            return []
        return self.facts(self._store.stream_indices(stream))

    def facts(self, indices: Sequence[int]) -> list[Fact]:
        rows = self._store.entries_at(indices)
        if len(rows) != len(set(indices)):
            raise StoreDamaged(
                "entries that a projection speaks of are missing", expected=len(indices), found=len(rows)
            )
        tags = self._store.tags_at(indices)
        found = []
        for row in rows:
            made = replay.reread(row)
            actor = self._actor(row.actor_id)
            found.append(
                replay.fact(row.index, made, statements.parse_statement(made.stmt), actor, tags.get(row.index, {}))
            )
        return found

    def _actor(self, number: int) -> Actor:
        actor = self.actors.get(number)
        if actor is None:
            self.actors = self._store.actors()
            actor = self.actors.get(number)
        if actor is None:
            raise StoreDamaged("an entry's actor is missing", found=number)
        return actor
