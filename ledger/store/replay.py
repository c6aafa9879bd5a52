"""What a restart reads: the facts of every entry, as the rules saw them, and the open end of the tree."""

from collections.abc import Iterator, Mapping
from typing import Final

from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.statement import Statement
from ledger.rules.fact import Fact
from ledger.store.errors import StoreDamaged
from ledger.store.nodes import Nodes, OpenTiles
from ledger.store.protocol import Head, ReadStore
from ledger.tlog import merkle

YIELD_EVERY: Final = 256
BLOCK: Final = 1024


def fact(index: int, made: Entry, statement: Statement, actor: Actor, tags: Mapping[str, str]) -> Fact:
    """What the rules remember an entry by: only what the store keeps, at the time that the entry carries."""
    return Fact(index=index, entry=made, statement=statement, actor=actor, now_ms=made.rec, tags=tags, evidence=None)


def facts(store: ReadStore) -> Iterator[Fact]:
    """One fact an entry, in order. Statements were opened when they came and are only parsed here.

    Raises StoreDamaged if an entry is missing, EntryMalformed or StatementMalformed if one cannot be read.
    """
    size = store.head().size
    actors = store.actors()
    for start in range(0, size, BLOCK):
        stop = min(size, start + BLOCK)
        tags = store.tags(start, stop)
        index = start
        for row in store.entries(start, stop):
            actor = actors.get(row.actor_id)
            if row.index != index or actor is None:
                raise StoreDamaged("an entry or its actor is missing", index=index)
            made = entries.decode(row.data)
            yield fact(index, made, statements.parse_statement(made.stmt), actor, tags.get(index, {}))
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
