"""What a restart reads, and a writer whom others overtook: the fact of each entry, and the open end of the tree."""

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
from ledger.store.protocol import Head, ReadStore, Tail
from ledger.tlog import merkle

BLOCK: Final = 256
"""Entries that are folded before anyone else may run."""


def fact(index: int, made: Entry, statement: Statement, actor: Actor, tags: Mapping[str, str]) -> Fact:
    """What the rules remember an entry by: only what the store keeps, at the time that the entry carries."""
    return Fact(index=index, entry=made, statement=statement, actor=actor, now_ms=made.rec, tags=tags, evidence=None)


def facts(tail: Tail, start: int, stop: int, actors: Mapping[int, Actor]) -> Iterator[Fact]:
    """One fact an entry start <= index < stop, in order. Statements were opened when they came and are only parsed.

    Raises StoreDamaged if an entry is missing, EntryMalformed or StatementMalformed if one cannot be read.
    """
    index = start
    for row in tail.entries:
        actor = actors.get(row.actor_id)
        if row.index != index or actor is None:
            raise StoreDamaged("an entry or its actor is missing", index=index)
        made = entries.decode(row.data)
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
