"""What a replica knows of the log at the head that it wrote last, so that it need not ask for it again."""

from collections.abc import Mapping
from itertools import islice
from typing import Final, TypeVar

from ledger.store.protocol import Batch, Found, Head, StreamHead, Wanted

K = TypeVar("K")
V = TypeVar("V")

KEPT: Final = 16_384
"""Streams, counters and statement ids that are remembered, of each; half of them go when there are more."""


class Memory:
    """True at one head: whoever sees another head forgets all of it."""

    def __init__(self) -> None:
        """Knows nothing."""
        self.head: Head | None = None
        self._statements: dict[tuple[str, str], int] = {}
        self._streams: dict[str, StreamHead] = {}
        self._counters: dict[tuple[str, str], int] = {}

    def forget(self) -> None:
        """Nothing is known."""
        self.head = None
        for known in (self._statements, self._streams, self._counters):
            known.clear()

    def see(self, head: Head) -> bool:
        """The log's head is this one; False if it was another that was remembered, which is forgotten then."""
        is_same = self.head is None or (
            self.head.size == head.size
            and self.head.projected == head.projected
            and self.head.frontier == head.frontier
        )
        if not is_same:
            self.forget()
        return is_same

    def learn(self, found: Found) -> None:
        """This was found at the log's head; raises nothing."""
        self.see(found.head)
        self.head = found.head
        self._keep(found.statements, found.streams, found.counters)

    def write(self, batch: Batch) -> None:
        """The batch is committed on top of what is known."""
        self.head = batch.head
        self._keep({(party, jti): index for party, jti, index in batch.statements}, batch.streams, batch.counters)

    def _keep(
        self,
        statements: Mapping[tuple[str, str], int],
        streams: Mapping[str, StreamHead],
        counters: Mapping[tuple[str, str], int],
    ) -> None:
        _put(self._statements, statements)
        _put(self._streams, streams)
        _put(self._counters, counters)

    def answer(self, wanted: Wanted) -> tuple[Found, Wanted] | None:
        """What is known of this, and what of it is not, which may be in the log or not; None if nothing is known."""
        if self.head is None:
            return None
        statements = {key: self._statements[key] for key in wanted.statements if key in self._statements}
        streams = {name: self._streams[name] for name in wanted.streams if name in self._streams}
        counters = {key: self._counters[key] for key in wanted.counters if key in self._counters}
        unasked = Wanted(
            [key for key in wanted.statements if key not in statements],
            [name for name in wanted.streams if name not in streams],
            [key for key in wanted.counters if key not in counters],
        )
        return Found(self.head, statements, streams, counters), unasked


def _put(known: dict[K, V], more: Mapping[K, V]) -> None:
    """These are the youngest now; if there are too many, the oldest go."""
    for key in more.keys() & known.keys():
        del known[key]
    known.update(more)
    if len(known) > KEPT:
        for key in list(islice(known, len(known) - KEPT // 2)):
            del known[key]
