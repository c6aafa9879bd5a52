"""A span of whole blocks, judged on its own: everything that needs no other part of the log.

Spans are independent, so they are judged on as many cores as there are; `stitch` joins what they say of their ends.
A block without faults is passed by `clean`; one with any doubt is judged here, entry by entry, so that each fault is
named.
"""

import binascii
from bisect import bisect_right
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ledger.audit import said
from ledger.audit.chain import follows
from ledger.audit.clean import Cleared, Clearing, LeanEntry, entry_of
from ledger.audit.report import MAX_STAMPS, Code, Finding, Findings
from ledger.audit.segments import MAX_SEGMENTS, Named, Segment, Segments
from ledger.audit.source import Block, LogSource, Row
from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.records import entry as entries
from ledger.records.actor import Actor
from ledger.records.entry import STREAM_CLOSED, TIME_STAMPED, Entry
from ledger.tlog import hashing
from ledger.tlog.tiles import TILE_WIDTH, width_at

if TYPE_CHECKING:
    from ledger.audit.signatures import Signatures
    from ledger.verify import Resolve

_HASH: Final = hashing.HASH_SIZE
_decoder = msgspec.json.Decoder(Entry)
_encode = msgspec.json.Encoder(order="sorted").encode

MAX_DIFFERENCES: Final = 100_000
"""Differing entries that one span remembers; far more than a report lists."""


MAX_SHOWN: Final = 400
"""Characters of a stored actor that a finding shows."""


class Difference(msgspec.Struct, frozen=True):
    """An entry whose bytes, stored leaf hash and tile do not agree; once the roots are known it is decided who errs."""

    index: int
    derived: bytes
    leaf: bytes | None
    slot: bytes | None
    file: str | None
    tile_file: str | None
    stream: str | None
    seq: int | None


class Task(msgspec.Struct, frozen=True):
    """What one span is judged by; everything in it can go to another process."""

    first_block: int
    stop_block: int
    """Where it ends at the latest: another process may take over the last part of it."""
    size: int
    origin: str
    cuts: tuple[int, ...]
    """Sizes of checkpoints that end inside a block of this span, in order."""
    spill: Path | None = None
    """Where streams go that are too many for memory."""
    max_segments: int = MAX_SEGMENTS
    settles: bool = False
    """Whether streams whose stored head is confirmed are counted and let go."""


class SpanResult(msgspec.Struct):
    """What one span says."""

    findings: Findings = msgspec.field(default_factory=Findings)
    differences: list[Difference] = msgspec.field(default_factory=list)
    derived_roots: bytearray = msgspec.field(default_factory=bytearray)
    """One hash a full block, over the leaf hashes of the stored bytes."""
    stored_roots: dict[int, bytes] = msgspec.field(default_factory=dict)
    """Block -> the root over the hashes in its stored tile, where that is another one."""
    edges: dict[int, tuple[bytes, ...]] = msgspec.field(default_factory=dict)
    """cut -> the complete subtrees of its open block."""
    streams: list[Named] | Path = msgspec.field(default_factory=list)
    settled: int = 0
    """Streams that are in no other span if the table of streams is right: whole, and as their stored head says."""
    counters: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    first_rec: int | None = None
    first_rec_index: int = 0
    last_rec: int = 0
    recorded: int = 0
    """Statements whose row is right."""
    signatures: int = 0
    stamped: list[int] = msgspec.field(default_factory=list)
    """Entries that tell of time stamps, at most `MAX_STAMPS`."""


class Span:
    """A span that is judged a few blocks at a time, so that what is left of it can be given to somebody else."""

    def __init__(self, source: LogSource, task: Task, resolve: "Resolve | None") -> None:
        """Nothing is judged yet."""
        self._source = source
        self._size = task.size
        self._next = task.first_block
        self._judge = _Judge(source, task, resolve)

    def go_on(self, stop_block: int, progress: Callable[[int], None] | None = None) -> None:
        """Judges the blocks before `stop_block` that were not judged; `progress` is told how many entries each time."""
        while self._next < stop_block:
            width = width_at(0, self._next, self._size)
            self._judge.block(self._source.block(self._next, width), self._next)
            self._next += 1
            if progress is not None:
                progress(width)

    def finish(self) -> SpanResult:
        """Everything that was found."""
        return self._judge.finish()


def subtrees(hashes: list[bytes]) -> list[list[bytes]]:
    """The complete subtrees over at most 256 hashes: a list for each level, these hashes first."""
    rows = [hashes]
    while len(hashes) > 1:
        pairs = iter(hashes)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        rows.append(hashes)
    return rows


def edge(rows: list[list[bytes]], count: int) -> tuple[bytes, ...]:
    """The complete subtrees that make up the first `count` hashes, widest first."""
    found = []
    start = 0
    for level in range(count.bit_length() - 1, -1, -1):
        if count >> level & 1:
            found.append(rows[level][start >> level])
            start += 1 << level
    return tuple(found)


def subtree_root(hashes: list[bytes]) -> bytes:
    """The root over 256 hashes."""
    return subtrees(hashes)[-1][0]


def split(hashes: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH)]


class _Judge:
    """Judges the blocks of one span, in order."""

    def __init__(self, source: LogSource, task: Task, resolve: "Resolve | None") -> None:
        self._source = source
        self._origin = task.origin
        self._cuts = task.cuts
        self._result = SpanResult()
        self._add = self._result.findings.add
        self._segments = Segments(task.spill, task.max_segments, source.confirmed if task.settles else None)
        self._clearing = Clearing(source, task.origin)
        self._signatures = None if resolve is None else _signatures(resolve)

    def block(self, block: Block, index: int) -> None:
        """Takes one block."""
        cleared = self._clearing.block(block, self._segments.open, self._result.last_rec)
        if cleared is not None:
            self._take(block, cleared)
            leaves = cleared.leaves
        else:
            for fault in block.faults:
                self._add(fault)
            leaves = [self._leaf(_normal(row), block, at) for at, row in enumerate(block.rows)]
            self._slots(block, leaves, index)
        self._roots(block, leaves, index)
        self._segments.make_room()

    def finish(self) -> SpanResult:
        """Everything that was found."""
        self._result.streams = self._segments.finish()
        self._result.settled = self._segments.settled
        return self._result

    def _take(self, block: Block, cleared: Cleared) -> None:
        """Takes over what a block without faults says."""
        result = self._result
        if result.first_rec is None:
            result.first_rec, result.first_rec_index = cleared.made[0].rec, block.rows[0][0]
        result.last_rec = cleared.last_rec
        streams = self._segments.open
        streams.update(cleared.begun)
        for stream, last in cleared.ends.items():
            one = streams[stream]
            one.last_index, one.last_seq, one.last_leaf, one.is_closed = last
        for key, seq in cleared.counters.items():
            result.counters[key] = max(result.counters.get(key, 0), seq)
        result.recorded += len(cleared.made)
        for index in cleared.stamped:
            self._stamped(index)
        if self._signatures is not None:
            for row, made in zip(block.rows, cleared.made, strict=True):
                self._signature(row, made, block)

    def _stamped(self, index: int) -> None:
        if len(self._result.stamped) < MAX_STAMPS:
            self._result.stamped.append(index)

    def _roots(self, block: Block, leaves: list[bytes], index: int) -> None:
        result, start = self._result, index * TILE_WIDTH
        cuts = self._cuts[bisect_right(self._cuts, start) : bisect_right(self._cuts, start + len(leaves))]
        inside = {cut - start for cut in cuts if cut % TILE_WIDTH}
        if not inside and len(leaves) != TILE_WIDTH:
            return
        rows = subtrees(leaves)
        for count in inside:
            result.edges[start + count] = edge(rows, count)
        if len(leaves) != TILE_WIDTH:
            return
        root = stored = rows[-1][0]
        result.derived_roots += root
        if block.slots is not None and len(block.slots) == TILE_WIDTH * _HASH and block.slots != b"".join(leaves):
            stored = result.stored_roots[index] = subtree_root(split(block.slots))
        if block.root is not None and block.root not in (root, stored):
            self._add(
                Finding(
                    code=Code.TILE_MISMATCH,
                    detail="the stored root of the tile is not the root over its hashes",
                    index=start,
                    level=0,
                    tile=index,
                    expected=stored.hex(),
                    found=block.root.hex(),
                )
            )

    def _leaf(self, row: Row, block: Block, at: int) -> bytes:
        """Judges one entry; returns its leaf hash, derived from its bytes, or the stored one of a missing entry."""
        index, data, stored, _, _ = row
        slot = b"" if block.slots is None else block.slots[at * _HASH : at * _HASH + _HASH]
        if data is None:
            self._add(Finding(code=Code.ENTRY_MISSING, detail="there is no such entry", index=index, file=block.file))
            return slot if len(slot) == _HASH else bytes(_HASH)
        leaf = sha256(b"\x00" + data).digest()
        made = self._read(index, data, block.file)
        if made is not None:
            self._entry(row, made, leaf, block)
        if block.parties is not None and stored != leaf:
            self._differs(row, leaf, slot or None, block, made)
        return leaf

    def _slots(self, block: Block, leaves: list[bytes], index: int) -> None:
        """Compares the stored tile with the derived hashes, and names every entry where they differ."""
        slots = block.slots
        if slots is None or slots == b"".join(leaves):
            return
        if len(slots) != len(leaves) * _HASH:
            self._add(
                Finding(
                    code=Code.TILE_MISMATCH,
                    detail="the tile is missing or has another length",
                    index=index * TILE_WIDTH,
                    level=0,
                    tile=index,
                    expected=f"{len(leaves) * _HASH} octets",
                    found=f"{len(slots)} octets",
                    file=block.tile_file,
                )
            )
            return
        for at, (row, leaf) in enumerate(zip(block.rows, leaves, strict=True)):
            slot = slots[at * _HASH : at * _HASH + _HASH]
            is_named = block.parties is not None and row[2] != leaf
            if slot != leaf and not is_named and row[1] is not None:
                self._differs(row, leaf, slot, block, None)

    def _differs(self, row: Row, leaf: bytes, slot: bytes | None, block: Block, made: Entry | None) -> None:
        if made is None and row[1] is not None:
            try:
                made = _decoder.decode(row[1])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                made = None
        stream, seq = (None, None) if made is None else (made.stream, made.seq)
        stored = (row[2] or b"") if block.parties is not None else None
        if len(self._result.differences) < MAX_DIFFERENCES:
            self._result.differences.append(
                Difference(row[0], leaf, stored, slot, block.file, block.tile_file, stream, seq)
            )

    def _read(self, index: int, data: bytes, file: str | None) -> Entry | None:
        try:
            made = _decoder.decode(data)
            if _encode(made) == data and made.v <= canonical.MAX_INT and len(data) <= entries.MAX_ENTRY_BYTES:
                if made.log == self._origin:
                    return made
                self._malformed(index, "the entry is another log's", self._origin, made.log, file)
                return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        try:
            entries.decode(data)
            detail, expected, found = "not an entry", None, None
        except LedgerError as error:
            detail, expected, found = error.detail, error.expected, error.found
        self._malformed(index, detail, expected, found, file)
        return None

    def _malformed(self, index: int, detail: str, expected: Any, found: Any, file: str | None) -> None:
        self._add(
            Finding(code=Code.ENTRY_MALFORMED, detail=detail, index=index, expected=expected, found=found, file=file)
        )

    def _fault(
        self, code: Code, detail: str, index: int, made: Entry, *, expected: Any = None, found: Any = None, **more: Any
    ) -> None:
        self._add(
            Finding(
                code=code,
                detail=detail,
                index=index,
                stream=made.stream,
                seq=made.seq,
                expected=None if expected is None else str(expected),
                found=None if found is None else str(found),
                **more,
            )
        )

    def _entry(self, row: Row, made: Entry, leaf: bytes, block: Block) -> None:
        result = self._result
        index = row[0]
        if result.first_rec is None:
            result.first_rec, result.first_rec_index = made.rec, index
        elif made.rec < result.last_rec:
            self._fault(
                Code.REC_DECREASED,
                "recorded before the entry in front of it",
                index,
                made,
                expected=result.last_rec,
                found=made.rec,
            )
        result.last_rec = max(result.last_rec, made.rec)
        is_closing = made.type == STREAM_CLOSED
        if made.type == TIME_STAMPED:
            self._stamped(index)
        after = Segment(index, made.seq, made.prev, row[3], index, made.seq, leaf, is_closing)
        before = self._segments.open.setdefault(made.stream, after)
        if before is not after:
            for finding in follows(before, after, made.stream, has_links=block.parties is not None):
                self._add(finding)
            before.last_index, before.last_seq, before.last_leaf = index, made.seq, leaf
            before.is_closed = is_closing
        self._statement(row, made, block, is_closing=is_closing)

    def _statement(self, row: Row, made: Entry, block: Block, *, is_closing: bool) -> None:
        result = self._result
        index = row[0]
        try:
            header, payload, _ = made.stmt.split(".")
            payload_bytes = said.decode_part(payload)
            claims = said.claims(payload_bytes)
            if claims.actor_seq is not None:
                key = (claims.iss, self._clearing.hint(header))
                result.counters[key] = max(result.counters.get(key, 0), claims.actor_seq)
            closing = said.closing(payload_bytes) if is_closing else None
        except (ValueError, binascii.Error, msgspec.MsgspecError, UnicodeError):
            self._fault(Code.ENTRY_MALFORMED, "the statement cannot be read", index, made)
            return
        self._recorded(index, made, claims)
        if (claims.aud, claims.stream, claims.type, claims.v) != (made.log, made.stream, made.type, made.v):
            self._fault(Code.STATEMENT_DIFFERS, "the entry says otherwise than its statement", index, made)
        party = None if block.parties is None or row[4] is None else block.parties.get(row[4], "")
        if block.parties is not None and party != claims.iss:
            self._fault(
                Code.PROJECTION_DIFFERS,
                "the stored actor is another party than the statement's",
                index,
                made,
                expected=claims.iss,
                found=party,
                table="actor",
            )
        if closing is not None and (closing.closed, closing.n) != (made.stream, made.seq - 1):
            self._fault(
                Code.STREAM_MISCLOSED,
                "the closing record names another stream or count",
                index,
                made,
                expected=f"{made.stream} after {made.seq - 1}",
                found=f"{closing.closed} after {closing.n}",
            )
        if self._signatures is not None:
            self._signature(row, made, block)

    def _recorded(self, index: int, made: Entry, claims: said.SaidClaims) -> None:
        """The row that says where the statement is."""
        found = self._source.recorded([(claims.iss, claims.jti, index)])
        if found is None:
            return
        if found:
            self._result.recorded += 1
            return
        elsewhere = self._source.place_of(claims.iss, claims.jti)
        if elsewhere is not None and elsewhere < index and self._says(elsewhere, claims):
            self._fault(
                Code.STATEMENT_REPLAYED,
                "the statement is in the log already",
                index,
                made,
                previous_index=elsewhere,
            )
            return
        self._fault(
            Code.PROJECTION_DIFFERS,
            f"the entry's statement, of {claims.iss}, has no row or a wrong one",
            index,
            made,
            expected=index,
            found=elsewhere,
            table="idempotency",
        )

    def _says(self, index: int, claims: said.SaidClaims) -> bool:
        """Whether the entry there holds a statement of the same party and id."""
        block, at = divmod(index, TILE_WIDTH)
        data = self._source.block(block, at + 1).rows[at][1]
        there = claims_in(data)
        return there is not None and (there.iss, there.jti) == (claims.iss, claims.jti)

    def _signature(self, row: Row, made: Entry | LeanEntry, block: Block) -> None:
        if self._signatures is None:
            return
        whole = made if isinstance(made, Entry) else entry_of(made)
        judged = self._signatures.judge(whole)
        if isinstance(judged, tuple):
            code, error = judged
            self._fault(code, error.detail, row[0], whole, expected=error.expected, found=error.code)
            return
        self._result.signatures += 1
        if block.actors is None or row[4] is None:
            return
        stored = block.actors.get(row[4])
        # Another party was named by whoever compared the claims.
        if stored is not None and stored != judged and stored.party == judged.party:
            self._fault(
                Code.PROJECTION_DIFFERS,
                "the stored actor is not the one that the certificate shows",
                row[0],
                whole,
                expected=_shown(judged, stored),
                found=_shown(stored, judged),
                table="actor",
            )


def _shown(actor: Actor, other: Actor) -> str:
    """The members in which it differs from the other."""
    mine, theirs = (msgspec.to_builtins(one, order="sorted") for one in (actor, other))
    return " ".join(f"{name}={value}" for name, value in mine.items() if value != theirs[name])[:MAX_SHOWN]


def _signatures(resolve: "Resolve") -> "Signatures":
    """Loaded where signatures are checked: all record types with their schemas take longer than the rest together."""
    from ledger.audit.signatures import Signatures

    return Signatures(resolve)


def claims_in(data: object) -> said.SaidClaims | None:
    """What the statement in an entry's bytes says, or None if there are none or they cannot be read."""
    return said.claims_of(data) if isinstance(data, bytes) else None


def _normal(row: Row) -> Row:
    """The row with None for what is no octets: who owns the medium can put anything into a column."""
    index, data, leaf, previous, actor = row
    return index, _octets(data), _octets(leaf), previous, actor


def _octets(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None
