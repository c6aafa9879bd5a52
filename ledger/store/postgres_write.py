"""What a batch is on PostgreSQL: one statement that moves the head and inserts everything, or does nothing at all.

It does nothing unless the head is the one that the batch was judged on, and unless what the batch was judged on without
being asked for is not there. It has only those parts of which the batch has rows, so few texts are ever prepared.
"""

# ruff: noqa: S608 -- what is put together are texts of ours and places of parameters, never a value

from typing import Any, Final

from ledger.records import canonical
from ledger.store.postgres_pack import Packed
from ledger.store.protocol import Batch, Head, Wanted
from ledger.store.reads import place
from ledger.tlog.hashing import HASH_SIZE

_STANDBY_IS_SET: Final = " AND current_setting('synchronous_standby_names') <> ''"


def statement(
    batch: Batch, base: Head, unasked: Wanted, *, needs_standby: bool, is_copied: bool
) -> tuple[str, list[Any]]:
    """The SQL and its parameters; the new size is returned by it if the batch was written.

    `base` is the head that the batch was judged on, `unasked` what was taken for absent. With `is_copied` entries
    and statement ids are left out.
    """
    packed = Packed()
    head = batch.head
    moved = (
        f"UPDATE head SET size = {packed.one(head.size)}, frontier = {packed.one(head.frontier.dump())},"
        f" rec_ms = {packed.one(head.rec_ms)}, projected = {packed.one(head.projected)}"
        f" WHERE {_condition(packed, base, unasked, needs_standby=needs_standby)} RETURNING size"
    )
    parts = [f"h AS ({moved})"]
    if not is_copied:
        parts += _entries(packed, batch, base)
    parts += _streams(packed, batch)
    parts += _seldom(packed, batch)
    parts += _projections(packed, batch)
    return f"WITH {', '.join(parts)} SELECT size FROM h", packed.values


def unmoved(base: Head, unasked: Wanted, *, needs_standby: bool) -> tuple[str, list[Any]]:
    """The question, by SQL and parameters, whether a batch that is judged on this could be written: a row if so."""
    packed = Packed()
    condition = _condition(packed, base, unasked, needs_standby=needs_standby)
    return f"SELECT size FROM head WHERE {condition}", packed.values


def look_up(wanted: Wanted) -> tuple[str, list[Any]]:
    """All that a batch is judged on, in one round trip: rows (kind, text, text, number, number, octets, flag)."""
    packed = Packed()
    parts = [
        "SELECT 0, origin, current_setting('synchronous_standby_names'), size, rec_ms, frontier, 0::smallint FROM head",
        f"SELECT {PROJECTED}, coalesce(projected, ''), '', 0, 0, NULL, 0::smallint FROM head",
    ]
    if wanted.statements:
        found = "SELECT idx FROM idempotency WHERE party = w.party AND jti = w.jti LIMIT 1"
        parts.append(
            f"SELECT {STATEMENT}, w.party, w.jti, f.idx, 0, NULL, 0::smallint"
            f" FROM {_pairs(packed, wanted.statements, 'jti')}, LATERAL ({found}) AS f"
        )
    if wanted.streams:
        found = "SELECT seq, idx, leaf, closed FROM stream_head WHERE stream = w.stream LIMIT 1"
        parts.append(
            f"SELECT {STREAM}, w.stream, '', f.seq, f.idx, f.leaf, f.closed"
            f" FROM unnest({packed.texts(wanted.streams)}) AS w (stream), LATERAL ({found}) AS f"
        )
    if wanted.counters:
        found = "SELECT seq FROM actor_counter WHERE party = w.party AND x5t = w.x5t LIMIT 1"
        parts.append(
            f"SELECT {COUNTER}, w.party, w.x5t, f.seq, 0, NULL, 0::smallint"
            f" FROM {_pairs(packed, wanted.counters, 'x5t')}, LATERAL ({found}) AS f"
        )
    return " UNION ALL ".join(parts), packed.values


STATEMENT: Final = 1
STREAM: Final = 2
COUNTER: Final = 3
PROJECTED: Final = 4
"""Kinds of rows of `look_up`; 0 is the head."""


def _pairs(packed: Packed, pairs: list[tuple[str, str]], other: str) -> str:
    """Rows (party, `other`)."""
    parties, others = zip(*pairs, strict=True)
    return f"unnest({packed.texts(parties)}, {packed.texts(others)}) AS w (party, {other})"


def _condition(packed: Packed, base: Head, unasked: Wanted, *, needs_standby: bool) -> str:
    """The head is this one, whole, and nothing of `unasked` is there."""
    # The size alone would not tell a log that a failover cut and another replica went on with.
    text = (
        f"id = 1 AND size = {packed.one(base.size)} AND frontier = {packed.one(base.frontier.dump())}"
        f" AND projected IS NOT DISTINCT FROM {packed.one(base.projected)}"
    )
    if needs_standby:
        text += _STANDBY_IS_SET
    if unasked.statements:
        there = "SELECT 1 FROM idempotency WHERE party = w.party AND jti = w.jti LIMIT 1"
        text += _absent(_pairs(packed, unasked.statements, "jti"), there)
    if unasked.streams:
        there = "SELECT 1 FROM stream_head WHERE stream = w.stream LIMIT 1"
        text += _absent(f"unnest({packed.texts(unasked.streams)}) AS w (stream)", there)
    if unasked.counters:
        there = "SELECT 1 FROM actor_counter WHERE party = w.party AND x5t = w.x5t LIMIT 1"
        text += _absent(_pairs(packed, unasked.counters, "x5t"), there)
    return text


def _absent(rows: str, there: str) -> str:
    # LATERAL and LIMIT leave a planner that knows nothing of the table no other way than by its key.
    return f" AND NOT EXISTS (SELECT 1 FROM {rows}, LATERAL ({there}) AS f)"


def _entries(packed: Packed, batch: Batch, base: Head) -> list[str]:
    """Entries and statement ids: both have a row for each index from the old size on."""
    _, data, leaves, previous, actors = zip(*batch.entries, strict=True)
    parties, jtis, _ = zip(*batch.statements, strict=True)
    whole, starts, lengths = packed.octets(data)
    before = packed.one(base.size)
    first = f"{before}::bigint + u.n - 1"
    return [
        (
            f"e AS (INSERT INTO entry SELECT {first}, substr({whole}, u.start::integer, u.length::integer),"
            f" {_hash(packed, leaves)}, u.previous, u.actor FROM h, unnest({starts}, {lengths},"
            f" {packed.numbers(previous)}, {packed.numbers(actors)})"
            " WITH ORDINALITY AS u (start, length, previous, actor, n))"
        ),
        (
            f"i AS (INSERT INTO idempotency SELECT u.party, u.jti, {first}"
            f" FROM h, unnest({packed.texts(parties)}, {packed.texts(jtis)}) WITH ORDINALITY AS u (party, jti, n))"
        ),
    ]


def _hash(packed: Packed, hashes: tuple[bytes, ...] | list[bytes]) -> str:
    """Row n of hashes, which all have one length."""
    whole = packed.one(b"".join(hashes))
    return f"substr({whole}::bytea, ((u.n - 1) * {HASH_SIZE} + 1)::integer, {HASH_SIZE})"


def _streams(packed: Packed, batch: Batch) -> list[str]:
    if not batch.streams:
        return []
    heads = batch.streams.values()
    columns = ", ".join(
        (
            packed.texts(list(batch.streams)),
            packed.numbers(head.seq for head in heads),
            packed.numbers(head.index for head in heads),
            packed.numbers(int(head.is_closed) for head in heads),
        )
    )
    return [
        (
            f"s AS (INSERT INTO stream_head SELECT u.stream, u.seq, {_hash(packed, [head.leaf for head in heads])},"
            f" u.idx, u.closed FROM h, unnest({columns}) WITH ORDINALITY AS u (stream, seq, idx, closed, n)"
            " ON CONFLICT (stream) DO UPDATE"
            " SET seq = excluded.seq, leaf = excluded.leaf, idx = excluded.idx, closed = excluded.closed)"
        )
    ]


def _seldom(packed: Packed, batch: Batch) -> list[str]:
    """Counters, tags, full tiles and new actors."""
    parts = []
    if batch.counters:
        parties, keys = zip(*batch.counters, strict=True)
        columns = f"{packed.texts(parties)}, {packed.texts(keys)}, {packed.numbers(batch.counters.values())}"
        parts.append(
            f"c AS (INSERT INTO actor_counter SELECT u.* FROM h, unnest({columns}) AS u"
            " ON CONFLICT (party, x5t) DO UPDATE SET seq = excluded.seq)"
        )
    if batch.tags:
        indices, names, tags = zip(*batch.tags, strict=True)
        columns = f"{packed.numbers(indices)}, {packed.texts(names)}, {packed.texts(tags)}"
        parts.append(f"g AS (INSERT INTO tag SELECT u.* FROM h, unnest({columns}) AS u)")
    if batch.tiles:
        places = packed.one([place(level, index) for level, index, _, _ in batch.tiles])
        hashes, roots = packed.one([row[2] for row in batch.tiles]), packed.one([row[3] for row in batch.tiles])
        columns = f"{places}::bigint[], {hashes}::bytea[], {roots}::bytea[]"
        parts.append(f"t AS (INSERT INTO tile SELECT u.* FROM h, unnest({columns}) AS u)")
    if batch.actors:
        numbers = packed.one(list(batch.actors))
        values = packed.one([canonical.encode(actor) for actor in batch.actors.values()])
        parts.append(f"a AS (INSERT INTO actor SELECT u.* FROM h, unnest({numbers}::bigint[], {values}::bytea[]) AS u)")
    return parts


def _projections(packed: Packed, batch: Batch) -> list[str]:
    if not batch.projections:
        return []
    kinds, keys, values, indices, borns, untils = zip(*batch.projections, strict=True)
    whole, starts, lengths = packed.octets(values)
    columns = ", ".join(
        (
            packed.texts(kinds),
            packed.texts(keys),
            starts,
            lengths,
            packed.numbers(indices),
            packed.numbers(borns),
            packed.numbers(untils),
        )
    )
    return [
        (
            f"p AS (INSERT INTO projection SELECT u.kind, u.key, substr({whole}, u.start::integer, u.length::integer),"
            f" u.idx, u.born, u.until_ms FROM h, unnest({columns}) AS u (kind, key, start, length, idx, born, until_ms)"
            " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, idx = excluded.idx, born = excluded.born,"
            " until_ms = excluded.until_ms)"
        )
    ]
