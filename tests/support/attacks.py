"""What an attacker who owns the database can do to it, in six depths (reference: ledger, section 6.3)."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from ledger.records import entry as entries
from ledger.records import jws
from ledger.store.nodes import OpenTiles
from ledger.tlog import hashing
from ledger.tlog.merkle import Frontier
from tests.support import logs


class Rows(Protocol):
    """What a query answered."""

    def fetchone(self) -> Any:
        """The first row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Every row."""
        ...


class Tampered(Protocol):
    """A database in the hands of its owner, on any engine: a `sqlite3.Connection`, or what acts like one."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Runs it; placeholders are question marks."""
        ...


_STREAM_HEAD = """INSERT INTO stream_head VALUES (?, ?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE
  SET seq = excluded.seq, leaf = excluded.leaf, idx = excluded.idx, closed = excluded.closed"""


def edited(data: bytes) -> bytes:
    """The entry with another submitter: still canonical, and not a byte of the statement is touched."""
    made = entries.decode(data)
    return entries.encode(msgspec.structs.replace(made, sub=logs.Submitter(cert="ef" * 32, party="XX", role="FO")))


def body(db: Tampered, index: int) -> None:
    """A: the body only."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    db.execute("UPDATE entry SET data = ? WHERE idx = ?", (edited(data), index))


def body_and_leaf(db: Tampered, index: int) -> None:
    """B: the body and its stored leaf hash."""
    body(db, index)
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    db.execute("UPDATE entry SET leaf = ? WHERE idx = ?", (hashing.leaf(data), index))


def body_and_tree(db: Tampered, index: int) -> None:
    """C: the body, and the whole tree made again over it."""
    body(db, index)
    rebuild_tree(db)


def body_tree_and_chain(db: Tampered, index: int) -> None:
    """D: as C, and the chain of the entry's stream repaired forward."""
    body(db, index)
    repair_chain(db, index)


def repair_chain(db: Tampered, index: int) -> None:
    """The stream of an entry follows from what the entry is now, and the tree is made again."""
    rows = db.execute("SELECT idx, data FROM entry WHERE idx >= ? ORDER BY idx", (index,)).fetchall()
    stream = entries.decode(rows[0][1]).stream
    prev = hashing.leaf(rows[0][1]).hex()
    for at, data in rows[1:]:
        made = entries.decode(data)
        if made.stream == stream:
            repaired = entries.encode(msgspec.structs.replace(made, prev=prev))
            db.execute("UPDATE entry SET data = ? WHERE idx = ?", (repaired, at))
            prev = hashing.leaf(repaired).hex()
    rebuild_tree(db)


def words_tree_and_chain(db: Tampered, index: int) -> None:
    """D, of the words themselves: the statement says otherwise under the signature that it had."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    made = entries.decode(data)
    header, payload, signature = made.stmt.split(".")
    words = jws.decode_base64url(payload).replace(b'"n_id":"', b'"n_id":"X')
    rewrite(db, index, stmt=f"{header}.{jws.encode_base64url(words)}.{signature}")
    repair_chain(db, index)


def delete_and_renumber(db: Tampered, index: int) -> None:
    """E: one entry is taken out, those after it move up, the tree is made again."""
    db.execute("DELETE FROM entry WHERE idx = ?", (index,))
    db.execute("UPDATE entry SET idx = -idx WHERE idx > ?", (index,))
    db.execute("UPDATE entry SET idx = -idx - 1 WHERE idx < 0")
    db.execute("DELETE FROM idempotency WHERE idx = ?", (index,))
    db.execute("UPDATE idempotency SET idx = idx - 1 WHERE idx > ?", (index,))
    db.execute("UPDATE stream_head SET idx = idx - 1 WHERE idx > ?", (index,))
    rebuild_tree(db)


def cut_tail(db: Tampered, count: int) -> None:
    """F: the last entries are taken off, and everything is tidied up behind."""
    (size,) = db.execute("SELECT size FROM head").fetchone()
    db.execute("DELETE FROM entry WHERE idx >= ?", (size - count,))
    db.execute("DELETE FROM idempotency WHERE idx >= ?", (size - count,))
    db.execute("DELETE FROM tile")
    rebuild_tree(db)


def rebuild_tree(db: Tampered) -> None:
    """Leaf hashes, links, tiles, stream heads and head, all made again from the bodies."""
    db.execute("DELETE FROM tile")
    db.execute("DELETE FROM stream_head")
    frontier, tiles = Frontier(), OpenTiles()
    last: dict[str, int] = {}
    rec_ms = 0
    for at, data in db.execute("SELECT idx, data FROM entry ORDER BY idx").fetchall():
        made = entries.decode(data)
        leaf = hashing.leaf(data)
        db.execute("UPDATE entry SET leaf = ?, previous_idx = ? WHERE idx = ?", (leaf, last.get(made.stream), at))
        for level, tile, hashes, root in tiles.add(frontier.append(leaf)):
            db.execute("INSERT INTO tile VALUES (?, ?, ?)", (level << 48 | tile, hashes, root))
        db.execute(_STREAM_HEAD, (made.stream, made.seq, leaf, at, 0))
        last[made.stream] = at
        rec_ms = made.rec
    db.execute("UPDATE head SET size = ?, frontier = ?, rec_ms = ?", (frontier.size, frontier.dump(), rec_ms))


def swap_entries(db: Tampered, first: int, second: int) -> None:
    """Two entries change places, with nothing else made again."""
    rows = [db.execute("SELECT data FROM entry WHERE idx = ?", (at,)).fetchone()[0] for at in (first, second)]
    for at, data in zip((second, first), rows, strict=True):
        db.execute("UPDATE entry SET data = ? WHERE idx = ?", (data, at))


def change_link(db: Tampered, index: int) -> None:
    """The chain link in an entry's bytes says that it followed something else; the tree is made again."""
    rewrite(db, index, prev="ef" * 32)
    rebuild_tree(db)


def set_clock_back(db: Tampered, index: int) -> None:
    """An entry claims to be recorded a day before; the tree is made again."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    rewrite(db, index, rec=entries.decode(data).rec - 86_400_000)
    rebuild_tree(db)


def replay(db: Tampered, index: int) -> None:
    """The statement of an entry is appended once more, in its chain, under a tree made again."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    made = entries.decode(data)
    (size,) = db.execute("SELECT size FROM head").fetchone()
    seq, leaf = db.execute("SELECT seq, leaf FROM stream_head WHERE stream = ?", (made.stream,)).fetchone()
    (actor,) = db.execute("SELECT actor FROM entry WHERE idx = ?", (index,)).fetchone()
    (rec,) = db.execute("SELECT rec_ms FROM head").fetchone()
    again = entries.encode(msgspec.structs.replace(made, seq=seq + 1, prev=leaf.hex(), rec=rec))
    db.execute("INSERT INTO entry VALUES (?, ?, ?, NULL, ?)", (size, again, bytes(32), actor))
    rebuild_tree(db)


def edit_tile(db: Tampered, slot: int) -> None:
    """One hash of the first tile."""
    (hashes,) = db.execute("SELECT hashes FROM tile WHERE place = 0").fetchone()
    db.execute(
        "UPDATE tile SET hashes = ? WHERE place = 0", (hashes[: slot * 32] + bytes(32) + hashes[slot * 32 + 32 :],)
    )


def swap_checkpoints(db: Tampered, first: int, second: int) -> None:
    """Each of two signed notes is filed under the other's size."""
    notes = [db.execute("SELECT note FROM checkpoint WHERE size = ?", (at,)).fetchone()[0] for at in (first, second)]
    for at, note in zip((second, first), notes, strict=True):
        db.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (note, at))


def rewrite(db: Tampered, index: int, **changed: Any) -> None:
    """An entry says otherwise in these members; nothing else is made again."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    other = entries.encode(msgspec.structs.replace(entries.decode(data), **changed))
    db.execute("UPDATE entry SET data = ? WHERE idx = ?", (other, index))
