"""P8: proofs from a store, warm, beside verifying them; and how they grow with the log."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.reader import Reader
from ledger.store import schema
from ledger.store.nodes import OpenTiles
from ledger.store.sqlite import SqliteReader
from ledger.tlog import merkle
from ledger.tlog.frontier import Frontier
from ledger.tlog.tiles import TILE_WIDTH
from tests.bench.frame import Pair, Row, Scale, over, time

ORIGIN = "log.example/proofs"
PLACES = 64
"""Entries that are asked for, and old sizes; few enough for their tiles to stay warm."""
SMALL = 1_000


def _leaf(index: int) -> bytes:
    return sha256(index.to_bytes(8, "big")).digest()


def _write(path: Path, size: int) -> None:
    """A store with the tree of `size` entries: every full tile, and of the entries only those no full tile holds."""
    frontier, open_tiles = Frontier(), OpenTiles()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(schema.script())
        for index in range(size):
            leaf = _leaf(index)
            for level, place, hashes, root in open_tiles.add(frontier.append(leaf)):
                db.execute(
                    "INSERT INTO tile VALUES (?, ?, ?)", (level << schema.TILE_LEVEL_SHIFT | place, hashes, root)
                )
            if index >= size - size % TILE_WIDTH:
                db.execute("INSERT INTO entry VALUES (?, x'', ?, NULL, 1)", (index, leaf))
        db.execute("INSERT INTO head VALUES (1, ?, ?, ?, 0, NULL)", (ORIGIN, size, frontier.dump()))
        db.commit()


def _store(scale: Scale, size: int) -> Path:
    def make() -> Path:
        path = scale.fresh() / "tree.db"
        _write(path, size)
        return path

    path: Path = scale.shared(f"tree of {size}", make)
    return path


@contextmanager
def _reader(scale: Scale, size: int) -> Iterator[Reader]:
    with closing(SqliteReader.open(_store(scale, size))) as store:
        yield Reader(store)


def _places(size: int) -> list[int]:
    return [size * number // PLACES for number in range(PLACES)]


def _large(scale: Scale) -> int:
    return scale.of(1_000_000, 100_000)


@contextmanager
def _inclusion(scale: Scale) -> Iterator[Pair]:
    size = _large(scale)
    with _reader(scale, size) as reader:
        root = reader.root(size)
        asked = _places(size) * scale.of(20, 5)
        proofs = [(index, reader.inclusion(index, size), _leaf(index)) for index in asked]

        def verified(one: tuple[int, list[bytes], bytes]) -> None:
            merkle.verify_inclusion(one[1], index=one[0], size=size, leaf_hash=one[2], root=root)

        yield Pair(over(lambda index: reader.inclusion(index, size), asked), over(verified, proofs))


@contextmanager
def _consistency(scale: Scale) -> Iterator[Pair]:
    size = _large(scale)
    with _reader(scale, size) as reader:
        root = reader.root(size)
        asked = [max(1, place - 77) for place in _places(size)] * scale.of(20, 5)
        proofs = [(old, reader.consistency(old, size), reader.root(old)) for old in asked]

        def verified(one: tuple[int, list[bytes], bytes]) -> None:
            merkle.verify_consistency(one[1], old_size=one[0], new_size=size, old_root=one[2], new_root=root)

        yield Pair(over(lambda old: reader.consistency(old, size), asked), over(verified, proofs))


def _growth(kind: str) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        size = _large(scale)
        with _reader(scale, size) as large, _reader(scale, SMALL) as small:
            yield Pair(*(_asking(kind, reader, of, scale) for reader, of in ((large, size), (small, SMALL))))

    return prepare


def _asking(kind: str, reader: Reader, size: int, scale: Scale) -> Any:
    ask = getattr(reader, kind)
    # The tree of 1,000 has fewer tiles than places: both are warm after the first round.
    asked = _places(size)[1:] * scale.of(20, 5)
    return over((lambda at: ask(at, size)), asked)


ROWS = (
    Row(
        id="P8",
        what="inclusion proof at 1,000,000 entries (quick: 100,000)",
        floor="verifying the same proofs",
        goal=time(2.0),
        prepare=_inclusion,
    ),
    Row(
        id="P8",
        what="consistency proof at 1,000,000 entries (quick: 100,000)",
        floor="verifying the same proofs",
        goal=time(2.0),
        prepare=_consistency,
    ),
    Row(
        id="P8",
        what="inclusion proof, growth",
        floor="the same at 1,000 entries",
        goal=time(2.2),
        prepare=_growth("inclusion"),
    ),
    Row(
        id="P8",
        what="consistency proof, growth",
        floor="the same at 1,000 entries",
        goal=time(2.2),
        prepare=_growth("consistency"),
    ),
)
