"""What an attacker who owns the database can do to it, in six depths (reference: ledger, section 6.3)."""

import sqlite3

import msgspec

from ledger.records import entry as entries
from ledger.store.nodes import OpenTiles
from ledger.tlog import hashing
from ledger.tlog.merkle import Frontier
from tests.support import logs


def edited(data: bytes) -> bytes:
    """The entry with another submitter: still canonical, and not a byte of the statement is touched."""
    made = entries.decode(data)
    return entries.encode(msgspec.structs.replace(made, sub=logs.Submitter(cert="ef" * 32, party="XX", role="FO")))


def body(db: sqlite3.Connection, index: int) -> None:
    """A: the body only."""
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    db.execute("UPDATE entry SET data = ? WHERE idx = ?", (edited(data), index))


def body_and_leaf(db: sqlite3.Connection, index: int) -> None:
    """B: the body and its stored leaf hash."""
    body(db, index)
    (data,) = db.execute("SELECT data FROM entry WHERE idx = ?", (index,)).fetchone()
    db.execute("UPDATE entry SET leaf = ? WHERE idx = ?", (hashing.leaf(data), index))


def body_and_tree(db: sqlite3.Connection, index: int) -> None:
    """C: the body, and the whole tree made again over it."""
    body(db, index)
    rebuild_tree(db)


def body_tree_and_chain(db: sqlite3.Connection, index: int) -> None:
    """D: as C, and the chain of the entry's stream repaired forward."""
    body(db, index)
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


def delete_and_renumber(db: sqlite3.Connection, index: int) -> None:
    """E: one entry is taken out, those after it move up, the tree is made again."""
    db.execute("DELETE FROM entry WHERE idx = ?", (index,))
    db.execute("UPDATE entry SET idx = -idx WHERE idx > ?", (index,))
    db.execute("UPDATE entry SET idx = -idx - 1 WHERE idx < 0")
    db.execute("DELETE FROM idempotency WHERE idx = ?", (index,))
    db.execute("UPDATE idempotency SET idx = idx - 1 WHERE idx > ?", (index,))
    db.execute("UPDATE stream_head SET idx = idx - 1 WHERE idx > ?", (index,))
    rebuild_tree(db)


def cut_tail(db: sqlite3.Connection, count: int) -> None:
    """F: the last entries are taken off, and everything is tidied up behind."""
    (size,) = db.execute("SELECT size FROM head").fetchone()
    db.execute("DELETE FROM entry WHERE idx >= ?", (size - count,))
    db.execute("DELETE FROM idempotency WHERE idx >= ?", (size - count,))
    db.execute("DELETE FROM tile")
    rebuild_tree(db)


def rebuild_tree(db: sqlite3.Connection) -> None:
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
        db.execute("INSERT OR REPLACE INTO stream_head VALUES (?, ?, ?, ?, ?)", (made.stream, made.seq, leaf, at, 0))
        last[made.stream] = at
        rec_ms = made.rec
    db.execute("UPDATE head SET size = ?, frontier = ?, rec_ms = ?", (frontier.size, frontier.dump(), rec_ms))
