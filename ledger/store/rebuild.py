"""The rules' state made anew from the log, beside the rows that a store keeps of it.

Whoever owns the medium can change a row; the log is what it is compared with. A row that was found wrong is mended by
writing all of them again.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.rules.state import LogState
from ledger.rules.tables import Row
from ledger.store import replay
from ledger.store.errors import ProjectionsOther
from ledger.store.protocol import ReadStore, Store, Tail

ABSENT = "no row"


class RowDiffers(msgspec.Struct, frozen=True):
    """A row that is not what the log makes of its key."""

    kind: str
    key: str
    expected: str
    found: str


def fold(store: ReadStore, state: LogState, start: int, stop: int) -> LogState:
    """The state after the entries start <= index < stop as well; raises StoreDamaged."""
    actors = store.actors()
    for first in range(start, stop, replay.BLOCK):
        last = min(stop, first + replay.BLOCK)
        tail = Tail(list(store.entries(first, last)), store.tags(first, last), actors)
        for fact in replay.facts(tail, first, last, actors):
            state.apply(fact)
    return state


def check(store: ReadStore) -> list[RowDiffers]:
    """Every row that the log does not confirm; the store must be read at one moment.

    Raises ProjectionsOther if the rows are of another version, or of none: then they are not used, and a start of the
    service makes them anew. Raises StoreDamaged.
    """
    head = store.head()
    state = LogState()
    if head.size and head.projected != state.version:
        raise ProjectionsOther("kept by another version", expected=state.version, found=head.projected or "none")
    return list(differences(store, fold(store, state, 0, head.size)))


async def mend(store: Store) -> list[RowDiffers]:
    """The rows are what the log says; returns those that were not. Raises StoreDamaged, changing nothing."""
    await store.lock(is_long=True)
    try:
        head = await store.peek()
        state = fold(store, LogState(), 0, head.size)
        wrong = list(differences(store, state))
    except BaseException:
        await store.unlock()
        raise
    await store.replace_projections(state.tables.rows(), state.version)
    return wrong


def differences(store: ReadStore, state: LogState) -> Iterator[RowDiffers]:
    """Every row that a state of the same size does not confirm, and every row that is missing."""
    wanted = {(row.kind, row.key): row for row in state.tables.rows()}
    for kind, key, value, born, until_ms in store.projections():
        expected = wanted.pop((kind, key), None)
        found = Row(kind, key, value, born, until_ms)
        if expected is None or expected.value is None or expected != found:
            yield RowDiffers(kind, key, _shown(expected), _shown(found))
    for row in wanted.values():
        if row.value is not None:
            yield RowDiffers(row.kind, row.key, _shown(row), ABSENT)


def _shown(row: Row | None) -> str:
    """A row in words; a value that somebody else wrote is shown as what it is, never trusted to be text."""
    if row is None or row.value is None:
        return ABSENT
    value: Any = row.value
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else repr(value)
    return f"{text[:200]} (born {row.born}, until {row.until_ms})"
