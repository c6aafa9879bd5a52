"""The parts of streams that lie in one span of a log, in bounded memory: what is too much is sorted in a file."""

import heapq
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from ledger.audit.source import End
from ledger.records.entry import NO_PREVIOUS

MAX_SEGMENTS: Final = 12_288
"""Parts of streams that all spans of an audit together keep in memory, at about half a kilobyte each."""

SORTING_KIB: Final = 512
"""What SQLite may keep in memory while it sorts."""

_TABLE: Final = """CREATE TABLE segment (
  stream TEXT, first_index INTEGER, first_seq INTEGER, first_prev TEXT, first_previous INTEGER,
  last_index INTEGER, last_seq INTEGER, last_leaf BLOB, closed INTEGER)"""


class Segment(msgspec.Struct, gc=False):
    """A part of a stream: its first entry's claims on what came before, and its last entry."""

    first_index: int
    first_seq: int
    first_prev: str
    first_previous_index: int | None
    last_index: int
    last_seq: int
    last_leaf: bytes
    is_closed: bool


Named = tuple[str, Segment]
Confirmed = Callable[[Sequence[End]], Collection[str]]


class Segments:
    """The streams of one span as far as it was looked at."""

    def __init__(self, spill: Path | None, limit: int = MAX_SEGMENTS, confirmed: Confirmed | None = None) -> None:
        """Nothing yet; more than `limit` go to the file `spill`, or stay where there is none.

        A stream that is here from its first entry and of which `confirmed` says that its head is stored so is counted
        and let go.
        """
        self.open: dict[str, Segment] = {}
        """The last part of each stream; one that went to the file begins anew."""
        self.settled = 0
        """Streams that were let go."""
        self._confirmed = confirmed
        self._spill = spill
        self._limit = limit
        self._has_spilled = False

    def make_room(self) -> None:
        """Lets go of what is settled, and writes the rest to the file, if it is too much."""
        if self._spill is not None and len(self.open) > self._limit:
            self._settle()
            # Little room would have all of them looked up again a block later.
            if len(self.open) > self._limit // 2:
                self._write(self._spill)

    def finish(self) -> list[Named] | Path:
        """All that is not settled, in order of stream and index: a list, or the file."""
        self._settle()
        if self._spill is None or not self._has_spilled:
            return sorted(self.open.items(), key=itemgetter(0))
        self._write(self._spill)
        return self._spill

    def _settle(self) -> None:
        if self._confirmed is None:
            return
        whole = [end_of(stream, one) for stream, one in self.open.items() if _is_beginning(one)]
        for stream in self._confirmed(whole):
            del self.open[stream]
            self.settled += 1

    def _write(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            if not self._has_spilled:
                db.execute(_TABLE)
            rows = ((stream, *msgspec.structs.astuple(one)) for stream, one in self.open.items())
            db.executemany("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        self._has_spilled = True
        self.open.clear()


def end_of(stream: str, one: Segment) -> End:
    """The last entry, as a stream's head has it."""
    return stream, one.last_seq, one.last_leaf, one.last_index, one.is_closed


def _is_beginning(one: Segment) -> bool:
    """Whether it begins as a stream must."""
    return one.first_seq == 1 and one.first_prev == NO_PREVIOUS and one.first_previous_index is None


def merged(parts: Iterable[list[Named] | Path]) -> Iterator[Named]:
    """The segments of all spans, in order of stream and index; spans are given in order."""
    return heapq.merge(*(_named(one) for one in parts), key=_order)


def _order(named: Named) -> tuple[str, int]:
    return named[0], named[1].first_index


def _named(part: list[Named] | Path) -> Iterator[Named]:
    if isinstance(part, list):
        yield from part
        return
    with closing(sqlite3.connect(part)) as db:
        db.execute(f"PRAGMA cache_size = -{SORTING_KIB}")
        db.execute("PRAGMA temp_store = FILE")
        for stream, one, two, prev, previous, index, seq, leaf, closed in db.execute(
            "SELECT * FROM segment ORDER BY stream, first_index"
        ):
            yield stream, Segment(one, two, prev, previous, index, seq, leaf, bool(closed))
