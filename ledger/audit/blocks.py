"""A range of whole blocks, judged on its own: everything that needs no other part of the log.

Ranges are independent, so they run on as many cores as there are; `stitch` joins what they say of their ends.
"""

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from ledger.audit import said
from ledger.audit.chain import Segment, follows
from ledger.audit.report import Code, Finding, Findings
from ledger.audit.source import Block, LogSource, Row
from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.entry import Entry
from ledger.records.log import StreamClosed
from ledger.tlog import hashing
from ledger.tlog.merkle import Frontier
from ledger.tlog.tiles import TILE_WIDTH, width_at
from ledger.verify import Resolve, require_agreement

_HASH: Final = hashing.HASH_SIZE
_decoder = msgspec.json.Decoder(Entry)
_encode = msgspec.json.Encoder(order="sorted").encode

MAX_HINTS: Final = 10_000
"""Different headers that one range remembers."""

MAX_DIFFERENCES: Final = 100_000
"""Differing entries that one range remembers; far more than a report lists."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry whose bytes, stored leaf hash and tile do not agree; once the roots are known it is decided who errs."""

    index: int
    derived: bytes
    leaf: bytes | None
    slot: bytes | None
    file: str | None
    tile_file: str | None
    stream: str | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class Task:
    """What one range is judged by; everything in it can go to another process."""

    first_block: int
    stop_block: int
    size: int
    origin: str
    cuts: tuple[int, ...]
    """Sizes of checkpoints that end inside a block of this range."""
    key: bytes
    """Random, of this audit: the sums that compare tables cannot be aimed at."""


@dataclass(slots=True)
class RangeResult:
    """What one range says."""

    findings: Findings = field(default_factory=Findings)
    differences: list[Difference] = field(default_factory=list)
    derived_roots: list[bytes] = field(default_factory=list)
    """One a full block, over the leaf hashes of the stored bytes."""
    stored_roots: list[bytes] = field(default_factory=list)
    """One a full block, over the hashes in the stored tile."""
    edges: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """cut -> the complete subtrees of its open block."""
    streams: dict[str, Segment] = field(default_factory=dict)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    first_rec: int | None = None
    first_rec_index: int = 0
    last_rec: int = 0
    statements_sum: int = 0
    statements: int = 0
    signatures: int = 0


def audit_range(
    source: LogSource, task: Task, resolve: Resolve | None, progress: Callable[[int], None] | None = None
) -> RangeResult:
    """Judges the blocks first_block <= n < stop_block; `progress` is told how many entries are done."""
    result = RangeResult()
    one = _Judge(task, result, resolve)
    done = 0
    for index in range(task.first_block, task.stop_block):
        width = width_at(0, index, task.size)
        block = source.block(index, width)
        for fault in block.faults:
            result.findings.add(fault)
        leaves = [one.leaf(row, block, at) for at, row in enumerate(block.rows)]
        one.slots(block, leaves, index)
        _roots(result, block, leaves, index * TILE_WIDTH, task.cuts)
        done += width
        if progress is not None:
            progress(done)
    return result


def subtree_root(hashes: list[bytes]) -> bytes:
    """The root over 256 hashes."""
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes), 2)]
    return hashes[0]


def split(hashes: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH)]


def _roots(result: RangeResult, block: Block, leaves: list[bytes], start: int, cuts: tuple[int, ...]) -> None:
    inside = {cut - start for cut in cuts if start < cut <= start + len(leaves) and cut % TILE_WIDTH}
    if inside:
        frontier = Frontier()
        for count, leaf in enumerate(leaves, start=1):
            frontier.append(leaf)
            if count in inside:
                result.edges[start + count] = frontier.edge
    if len(leaves) == TILE_WIDTH:
        root = subtree_root(leaves)
        result.derived_roots.append(root)
        is_same = block.slots is None or block.slots == b"".join(leaves) or len(block.slots) != TILE_WIDTH * _HASH
        result.stored_roots.append(root if is_same else subtree_root(split(block.slots or b"")))


class _Judge:
    """Judges entries one by one, in order."""

    def __init__(self, task: Task, result: RangeResult, resolve: Resolve | None) -> None:
        self._origin = task.origin
        self._key = task.key
        self._result = result
        self._add = result.findings.add
        self._streams = result.streams
        self._resolve = resolve
        self._hints: dict[str, str] = {}

    def leaf(self, row: Row, block: Block, at: int) -> bytes:
        """Judges one entry; returns its leaf hash, derived from its bytes, or the stored one of a missing entry."""
        data = row.data
        if data is None:
            self._add(
                Finding(code=Code.ENTRY_MISSING, detail="there is no such entry", index=row.index, file=block.file)
            )
            slot = b"" if block.slots is None else block.slots[at * _HASH : at * _HASH + _HASH]
            return slot if len(slot) == _HASH else bytes(_HASH)
        leaf = sha256(b"\x00" + data).digest()
        made = self._read(row.index, data, block.file)
        if made is not None:
            self._judge(row, made, leaf)
        if row.leaf is not None and row.leaf != leaf:
            slot = b"" if block.slots is None else block.slots[at * _HASH : at * _HASH + _HASH]
            self._differs(row, leaf, slot or None, block, made)
        return leaf

    def slots(self, block: Block, leaves: list[bytes], index: int) -> None:
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
            if slot != leaf and (row.leaf is None or row.leaf == leaf) and row.data is not None:
                self._differs(row, leaf, slot, block, None)

    def _differs(self, row: Row, leaf: bytes, slot: bytes | None, block: Block, made: Entry | None) -> None:
        if made is None and row.data is not None:
            try:
                made = _decoder.decode(row.data)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                made = None
        stream, seq = (None, None) if made is None else (made.stream, made.seq)
        if len(self._result.differences) < MAX_DIFFERENCES:
            self._result.differences.append(
                Difference(row.index, leaf, row.leaf, slot, block.file, block.tile_file, stream, seq)
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

    def _judge(self, row: Row, made: Entry, leaf: bytes) -> None:
        result = self._result
        index = row.index
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
        is_closing = made.type == StreamClosed.TYPE
        self._follow(row, made, leaf, is_closing=is_closing)
        self._statement(row, made, is_closing=is_closing)

    def _follow(self, row: Row, made: Entry, leaf: bytes, *, is_closing: bool) -> None:
        before = self._streams.get(made.stream)
        index = row.index
        if before is None:
            self._streams[made.stream] = Segment(
                index, made.seq, made.prev, row.previous_index, row.has_link, index, made.seq, leaf, is_closing
            )
            return
        for finding in follows(before, index, made.stream, made.seq, made.prev, row.previous_index, row.has_link):
            self._add(finding)
        before.last_index, before.last_seq, before.last_leaf = index, made.seq, leaf
        before.is_closed = is_closing

    def _statement(self, row: Row, made: Entry, *, is_closing: bool) -> None:
        result = self._result
        index = row.index
        try:
            header, payload, _ = made.stmt.split(".")
            payload_bytes = said.decode_part(payload)
            claims = said.claims(payload_bytes)
            if claims.actor_seq is not None:
                key = (claims.iss, self._hint(header))
                result.counters[key] = max(result.counters.get(key, 0), claims.actor_seq)
            closing = said.closing(payload_bytes) if is_closing else None
        except (ValueError, binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
            self._fault(Code.ENTRY_MALFORMED, "the statement cannot be read", index, made, found=type(error).__name__)
            return
        result.statements_sum += said.statement_sum(self._key, claims.iss, claims.jti, index)
        result.statements += 1
        if (claims.aud, claims.stream, claims.type, claims.v) != (made.log, made.stream, made.type, made.v):
            self._fault(Code.STATEMENT_DIFFERS, "the entry says otherwise than its statement", index, made)
        if row.party is not None and row.party != claims.iss:
            self._fault(
                Code.PROJECTION_DIFFERS,
                "the stored actor is another party than the statement's",
                index,
                made,
                expected=claims.iss,
                found=row.party,
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
        if self._resolve is not None:
            self._signature(index, made)

    def _hint(self, header: str) -> str:
        """The `x5t#S256` of a header; a log has few different ones."""
        known = self._hints.get(header)
        if known is None:
            known = said.hint(header)
            if len(self._hints) < MAX_HINTS:
                self._hints[header] = known
        return known

    def _signature(self, index: int, made: Entry) -> None:
        assert self._resolve is not None  # noqa: S101 -- the caller looked
        try:
            hinted = statements.parse_statement(made.stmt)
        except LedgerError as error:
            self._fault(Code.ENTRY_MALFORMED, error.detail, index, made, found=error.code)
            return
        try:
            actor = self._resolve(hinted.header.x5t, made)
        except LedgerError as error:
            self._fault(Code.SIGNER_UNKNOWN, error.detail, index, made, found=error.code)
            return
        try:
            require_agreement(index, made, statements.open_statement(made.stmt, actor))
        except LedgerError as error:
            self._fault(Code.SIGNATURE_INVALID, error.detail, index, made, expected=error.expected, found=error.code)
            return
        self._result.signatures += 1
