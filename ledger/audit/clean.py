"""A block in which nothing is wrong, found so at the least cost; any doubt is left to the careful judge of `blocks`.

All entries of a block are decoded and encoded again in one call each, a line for each. That is as strict as one by one:
an encoded entry has no line break in it, so the same bytes again, from as many entries as rows, mean that each row is
one entry in canonical form.
"""

import re
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from ledger.audit import said
from ledger.audit.segments import Segment
from ledger.audit.source import Block, LogSource
from ledger.records import canonical
from ledger.records import entry as entries
from ledger.records.entry import NO_PREVIOUS, STREAM_CLOSED, TIME_STAMPED, Entry, Submitter

MAX_SEEN: Final = 10_000
"""Different submitters that one span remembers as well-formed."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_STREAM: Final = re.compile(r"[a-z]{1,16}/[A-Za-z0-9._-]{1,80}")
_Whole = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INT)]


class LeanSubmitter(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`Submitter` without its patterns, which are looked at once for each that is different."""

    cert: str
    party: str
    role: str


class LeanEntry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`Entry` without its patterns, members in canonical order."""

    log: str
    pol: _Whole
    prev: str
    rec: _Whole
    seq: _Whole
    stmt: str
    stream: str
    sub: LeanSubmitter
    type: str
    v: _Whole


_decode_lines = msgspec.json.Decoder(LeanEntry).decode_lines
_encode_lines = msgspec.json.Encoder().encode_lines

Last = tuple[int, int, bytes, bool]
"""(index, seq, leaf, is closed) of a stream's last entry."""


class Cleared(msgspec.Struct):
    """What a block without faults says; taken over only once all of it was found so."""

    leaves: list[bytes]
    made: list[LeanEntry]
    last_rec: int
    begun: list[tuple[str, Segment]]
    """The streams whose first entry of this span is in this block."""
    ends: dict[str, Last]
    counters: dict[tuple[str, str], int]
    stamped: list[int]
    """Entries that tell of time stamps."""


class Clearing(msgspec.Struct):
    """Looks at blocks for one span; `seen` are submitters that are well-formed."""

    source: LogSource
    origin: str
    seen: set[tuple[str, str, str]] = msgspec.field(default_factory=set)
    hints: dict[str, str] = msgspec.field(default_factory=dict)

    def hint(self, header: str) -> str:
        """The `x5t#S256` of a header; a log has few different ones. Raises what `said.hint` raises."""
        known = self.hints.get(header)
        if known is None:
            known = said.hint(header)
            if len(self.hints) < MAX_SEEN:
                self.hints[header] = known
        return known

    def block(self, block: Block, streams: dict[str, Segment], last_rec: int) -> Cleared | None:
        """What the block says, or None if anything in it may be wrong; `streams` are those of the span so far."""
        try:
            cleared = self._bytes(block)
            if cleared is None:
                return None
            cleared.last_rec = last_rec
            if self._links(block, cleared, streams) and self._statements(block, cleared):
                return cleared
        except (TypeError, ValueError, msgspec.MsgspecError, RecursionError):
            pass
        return None

    def _bytes(self, block: Block) -> Cleared | None:
        """Canonical form, leaf hashes and tile."""
        rows = block.rows
        data = [row[1] for row in rows]
        if block.faults or None in data:
            return None
        lines = b"\n".join([*data, b""])  # type: ignore[list-item]  # None was looked for
        made = _decode_lines(lines)
        leaves = [sha256(b"\x00" + one).digest() for one in data]  # type: ignore[operator]
        if (
            len(made) != len(rows)
            or _encode_lines(made) != lines
            or len(max(data, key=len)) > entries.MAX_ENTRY_BYTES  # type: ignore[arg-type]
            or (block.parties is not None and [row[2] for row in rows] != leaves)
            or (block.slots is not None and block.slots != b"".join(leaves))
        ):
            return None
        return Cleared(leaves, made, 0, [], {}, {}, [])

    def _links(self, block: Block, cleared: Cleared, streams: dict[str, Segment]) -> bool:
        """Origin, times and chains."""
        ends, made, has_links = cleared.ends, cleared.made, block.parties is not None
        times = [cleared.last_rec, *[one.rec for one in made]]
        if times != sorted(times) or {one.log for one in made} != {self.origin}:
            return False
        cleared.last_rec = times[-1]
        sub: LeanSubmitter | None = None
        for (index, _, _, previous, _), one, leaf in zip(block.rows, made, cleared.leaves, strict=True):
            stream, seq, prev = one.stream, one.seq, one.prev
            kind = one.type
            closes = kind == STREAM_CLOSED
            if kind == TIME_STAMPED:
                cleared.stamped.append(index)
            before = ends.get(stream)
            if before is None and (known := streams.get(stream)) is not None:
                before = (known.last_index, known.last_seq, known.last_leaf, known.is_closed)
            if before is None:
                if (
                    seq < 1
                    or (prev != NO_PREVIOUS and _HASH.fullmatch(prev) is None)
                    or _STREAM.fullmatch(stream) is None
                ):
                    return False
                cleared.begun.append((stream, Segment(index, seq, prev, previous, index, seq, leaf, closes)))
            elif seq != before[1] + 1 or prev != before[2].hex() or before[3] or (has_links and previous != before[0]):
                return False
            ends[stream] = (index, seq, leaf, closes)
            if one.sub != sub:
                sub = one.sub
                if (sub.cert, sub.party, sub.role) not in self.seen:
                    self._see(sub)
        return True

    def _see(self, sub: LeanSubmitter) -> None:
        """Raises msgspec.ValidationError unless the submitter is well-formed."""
        msgspec.convert(msgspec.structs.asdict(sub), Submitter)
        if len(self.seen) < MAX_SEEN:
            self.seen.add((sub.cert, sub.party, sub.role))

    def _statements(self, block: Block, cleared: Cleared) -> bool:
        """What the entries say of their statements, and the rows that say which statement is where."""
        parties, counters = block.parties, cleared.counters
        headers, payloads = [], []
        for one in cleared.made:
            header, payload, _ = one.stmt.split(".")
            headers.append(header)
            payloads.append(payload)
        every = said.all_claims(payloads)
        recorded: list[tuple[str, str, int]] = []
        for row, one, claims, header in zip(block.rows, cleared.made, every, headers, strict=True):
            if (claims.aud, claims.stream, claims.type, claims.v) != (one.log, one.stream, one.type, one.v):
                return False
            party = claims.iss
            if parties is not None and parties.get(row[4]) != party:  # type: ignore[arg-type]
                return False
            recorded.append((party, claims.jti, row[0]))
            if (seq := claims.actor_seq) is not None:
                key = (party, self.hint(header))
                if seq > counters.get(key, 0):
                    counters[key] = seq
            if one.type == STREAM_CLOSED:
                closing = said.closing(said.decode_part(one.stmt.split(".")[1]))
                if (closing.closed, closing.n) != (one.stream, one.seq - 1):
                    return False
        return self.source.recorded(recorded) in (None, len(recorded))


def entry_of(lean: LeanEntry) -> Entry:
    """The entry that was found well-formed."""
    sub = Submitter(cert=lean.sub.cert, party=lean.sub.party, role=lean.sub.role)
    return Entry(
        log=lean.log,
        pol=lean.pol,
        prev=lean.prev,
        rec=lean.rec,
        seq=lean.seq,
        stmt=lean.stmt,
        stream=lean.stream,
        sub=sub,
        type=lean.type,
        v=lean.v,
    )
