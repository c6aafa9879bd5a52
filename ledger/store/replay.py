"""What a restart reads, and a writer whom others overtook: the fact of each entry, and the open end of the tree."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ledger.records import statement as statements
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.statement import Statement
from ledger.rules.fact import Fact
from ledger.store.errors import StoreDamaged
from ledger.store.nodes import Nodes, OpenTiles
from ledger.store.protocol import Head, ReadStore, StoredEntry, Tail
from ledger.tlog import hashing, merkle

_decode = msgspec.json.Decoder(Entry).decode

BLOCK: Final = 256
"""Entries that are folded before anyone else may run."""


def fact(index: int, made: Entry, statement: Statement, actor: Actor, tags: Mapping[str, str]) -> Fact:
    """What the rules remember an entry by: only what the store keeps, at the time that the entry carries."""
    return Fact(index, made, statement, actor, made.rec, tags, None)


def reread(row: StoredEntry) -> Entry:
    """An entry that was checked when it was written; raises StoreDamaged unless its bytes are still those of its leaf.

    Whether they are canonical, and what tree they are in, is the audit's question.
    """
    if hashing.leaf(row.data) != row.leaf:
        raise StoreDamaged("an entry's bytes are not those of its leaf", index=row.index)
    try:
        return _decode(row.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreDamaged("an entry cannot be read", index=row.index, found=type(error).__name__) from error


def facts(tail: Tail, start: int, stop: int, actors: Mapping[int, Actor]) -> Iterator[Fact]:
    """One fact an entry start <= index < stop, in order. Statements were opened when they came and are only parsed.

    Raises StoreDamaged if an entry is missing or changed, StatementMalformed if one cannot be read.
    """
    index = start
    for row in tail.entries:
        actor = actors.get(row.actor_id)
        if row.index != index or actor is None:
            raise StoreDamaged("an entry or its actor is missing", index=index)
        made = reread(row)
        yield fact(index, made, statements.parse_statement(made.stmt), actor, tail.tags.get(index, {}))
        index += 1
    if index != stop:
        raise StoreDamaged("an entry is missing", index=index)


def open_tiles(store: ReadStore, head: Head) -> OpenTiles:
    """The open tiles at the head, after comparing the stored tree's root with the head's.

    Reads a few hundred hashes, whatever the size; raises StoreDamaged.
    """
    found = merkle.root_at(head.size, Nodes(store).read)
    if found != head.frontier.root() or head.frontier.size != head.size:
        raise StoreDamaged(
            "the stored tree is not the head's", expected=head.frontier.root().hex(), found=found.hex(), size=head.size
        )
    return OpenTiles.load(store, head.size)
