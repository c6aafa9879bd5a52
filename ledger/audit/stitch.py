"""Joins what the ranges say: streams across their ends, the tree above the blocks, checkpoints, derived tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.audit import projections
from ledger.audit.blocks import Difference, RangeResult, split, subtree_root
from ledger.audit.chain import Segment, follows
from ledger.audit.report import Code, Finding, Findings, Report
from ledger.audit.said import SUM_MODULUS
from ledger.audit.source import LogSource, Projections, SignedNote
from ledger.errors import LedgerError
from ledger.records.entry import NO_PREVIOUS
from ledger.tlog import checkpoint, hashing, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier
from ledger.tlog.tiles import TILE_WIDTH


class Whole:
    """The log as far as it was looked at; ranges are joined in order, then `report` is asked for once."""

    def __init__(
        self, source: LogSource, origin: str, size: int, verifiers: Sequence[note.Verifier], key: bytes
    ) -> None:
        """Nothing is looked at yet."""
        self._source = source
        self._origin = origin
        self._size = size
        self._verifiers = verifiers
        self.key = key
        self._findings = Findings()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._differences: list[Difference] = []
        self._derived: list[bytes] = []
        self._stored: list[bytes] = []
        self._edges: dict[int, tuple[bytes, ...]] = {}
        self._streams: dict[str, Segment] = {}
        self._counters: dict[tuple[str, str], int] = {}
        self._last_rec = 0
        self._sum = 0
        self._statements = 0
        self._signatures = 0

    def source_faults(self, vkeys: tuple[str, ...]) -> None:
        """Takes what the source itself notices."""
        for finding in self._source.faults(vkeys):
            self._findings.add(finding)

    def open_checkpoints(self, found: Iterable[SignedNote]) -> None:
        """Opens every checkpoint; those that our key did not sign are findings."""
        largest = self._source.committed_size()
        for signed in found:
            opened = self._opened(signed)
            if opened is None:
                continue
            largest = max(largest, opened.size)
            before = self._checkpoints.setdefault(opened.size, opened)
            if before.root != opened.root:
                self._add(
                    Code.ROOT_MISMATCH,
                    "the log signed two roots for one size",
                    window_start=0,
                    window_end=opened.size,
                    expected=before.root.hex(),
                    found=opened.root.hex(),
                    file=signed.file,
                )
        if largest > self._size:
            self._add(
                Code.TRUNCATED,
                "the log is shorter than what was signed or committed",
                index=self._size,
                expected=str(largest),
                found=str(self._size),
            )
        if not self._checkpoints and largest:
            self._add(Code.CHECKPOINT_MISSING, "nothing verified that the entries could be compared with")

    def cuts(self) -> list[int]:
        """The sizes at which a root is wanted."""
        return sorted({*(size for size in self._checkpoints if size <= self._size), self._size})

    def join(self, result: RangeResult) -> None:
        """Takes the next range."""
        self._findings.take(result.findings)
        self._differences += result.differences
        self._derived += result.derived_roots
        self._stored += result.stored_roots
        self._edges.update(result.edges)
        self._sum = (self._sum + result.statements_sum) % SUM_MODULUS
        self._statements += result.statements
        self._signatures += result.signatures
        for key, seq in result.counters.items():
            self._counters[key] = max(self._counters.get(key, 0), seq)
        if result.first_rec is not None:
            if result.first_rec < self._last_rec:
                self._add(
                    Code.REC_DECREASED,
                    "recorded before the entry in front of it",
                    index=result.first_rec_index,
                    expected=str(self._last_rec),
                    found=str(result.first_rec),
                )
            self._last_rec = max(self._last_rec, result.last_rec)
        for stream, segment in result.streams.items():
            self._join_stream(stream, segment)

    def report(self) -> Report:
        """Judges the tree and the derived tables, and says everything."""
        roots = self._roots_at(self.cuts())
        signed_size = self._checkpoint_roots(roots)
        self._settle_differences(signed_size)
        self._upper_tiles()
        stored = self._source.projections()
        if stored is not None:
            try:
                self._compare(stored, roots[self._size])
            except LedgerError as error:
                self._add(Code.PROJECTION_DIFFERS, error.detail, found=error.code)
        return Report(
            origin=self._origin,
            size=self._size,
            root=roots[self._size].hex(),
            checkpoints=len(self._checkpoints),
            signed_size=signed_size,
            signatures=self._signatures,
            findings=self._findings.ordered(),
            counts=dict(self._findings.counts),
        )

    def _add(self, code: Code, detail: str, **where: Any) -> None:
        self._findings.add(Finding(code=code, detail=detail, **where))

    def _compare(self, stored: Projections, root: bytes) -> None:
        # A root that differs because of the entries is a finding already, and not the head's fault.
        is_root_right = not self._differences and not self._findings.counts[Code.ROOT_MISMATCH.value]
        derived = projections.Derived(
            size=self._size,
            root=root if is_root_right else None,
            rec_ms=self._last_rec,
            streams=self._streams,
            counters=self._counters,
            statements_sum=self._sum,
            statements=self._statements,
        )
        for finding in projections.compare(self._source, stored, derived, self.key):
            self._findings.add(finding)

    def _opened(self, signed: SignedNote) -> Checkpoint | None:
        try:
            opened = checkpoint.open_checkpoint(signed.note, self._origin, self._verifiers).checkpoint
        except LedgerError as error:
            self._add(
                Code.CHECKPOINT_UNVERIFIED,
                f"{error.detail} ({error.code})",
                window_end=signed.size,
                file=signed.file,
            )
            return None
        if signed.size not in (None, opened.size):
            self._add(
                Code.CHECKPOINT_UNVERIFIED,
                "the checkpoint is filed under another size",
                window_end=signed.size,
                expected=str(signed.size),
                found=str(opened.size),
            )
        return opened

    def _join_stream(self, stream: str, segment: Segment) -> None:
        before = self._streams.get(stream)
        self._streams[stream] = segment
        if before is not None:
            for finding in follows(
                before,
                segment.first_index,
                stream,
                segment.first_seq,
                segment.first_prev,
                segment.first_previous_index,
                segment.has_link,
            ):
                self._findings.add(finding)
            return
        place = {"index": segment.first_index, "stream": stream, "seq": segment.first_seq}
        if segment.first_seq != 1:
            self._add(
                Code.SEQ_GAP, "the stream's beginning is missing", expected="1", found=str(segment.first_seq), **place
            )
        elif segment.first_prev != NO_PREVIOUS:
            self._add(
                Code.CHAIN_BROKEN,
                "the first entry of a stream has no previous one",
                expected=NO_PREVIOUS,
                found=segment.first_prev,
                **place,
            )
        if segment.has_link and segment.first_seq == 1 and segment.first_previous_index is not None:
            self._add(
                Code.PROJECTION_DIFFERS,
                "the first entry of a stream has no previous one",
                found=str(segment.first_previous_index),
                table="entry.previous_idx",
                **place,
            )

    def _roots_at(self, sizes: list[int]) -> dict[int, bytes]:
        """The root over the derived leaf hashes at each of these sizes."""
        roots: dict[int, bytes] = {}
        blocks = Frontier()
        for size in sizes:
            while blocks.size < size // TILE_WIDTH:
                blocks.append(self._derived[blocks.size])
            edge = [*blocks.edge, *(self._edges[size] if size % TILE_WIDTH else ())]
            root = edge.pop() if edge else hashing.EMPTY_ROOT
            while edge:
                root = hashing.node(edge.pop(), root)
            roots[size] = root
        return roots

    def _checkpoint_roots(self, roots: dict[int, bytes]) -> int:
        """Compares with every checkpoint; returns the largest size up to which the entries are the signed ones."""
        good = 0
        bad = [
            size for size in sorted(self._checkpoints) if size in roots and self._checkpoints[size].root != roots[size]
        ]
        for size in sorted(self._checkpoints):
            if size not in roots or size in bad:
                continue
            good = max(good, size)
        if bad:
            # A root that is right again later proves everything before it, so what is wrong then is the checkpoint.
            first = next((size for size in bad if size > good), None)
            for size in bad:
                if size < good:
                    self._add(
                        Code.CHECKPOINT_UNVERIFIED,
                        "a later signed tree holds these entries, and has another root at this size",
                        window_end=size,
                    )
            if first is not None:
                later = sum(1 for size in bad if size > first)
                self._add(
                    Code.ROOT_MISMATCH,
                    f"the tree over the entries is not the signed one, nor at {later} later checkpoints",
                    window_start=good,
                    window_end=first,
                    expected=self._checkpoints[first].root.hex(),
                    found=roots[first].hex(),
                )
        return good

    def _settle_differences(self, signed_size: int) -> None:
        for one in self._differences:
            is_signed = one.index < signed_size
            where: dict[str, Any] = {"index": one.index, "stream": one.stream, "seq": one.seq}
            derived = one.derived.hex()
            is_leaf_wrong = one.leaf is not None and one.leaf != one.derived
            is_slot_wrong = one.slot is not None and one.slot != one.derived
            if is_leaf_wrong and (is_signed or one.slot == one.derived):
                assert one.leaf is not None  # noqa: S101 -- is_leaf_wrong says so
                self._add(
                    Code.LEAF_MISMATCH,
                    "the stored leaf hash is not that of the entry",
                    expected=derived,
                    found=one.leaf.hex(),
                    **where,
                )
            elif is_leaf_wrong or (one.leaf is None and not is_signed):
                stored = one.leaf if one.leaf is not None else one.slot
                self._add(
                    Code.BODY_EDITED,
                    "the entry's bytes are not those that were hashed",
                    expected=None if stored is None else stored.hex(),
                    found=derived,
                    file=one.file,
                    **where,
                )
                if one.leaf is None or one.slot == one.leaf:
                    continue
            if is_slot_wrong:
                assert one.slot is not None  # noqa: S101 -- is_slot_wrong says so
                self._add(
                    Code.TILE_MISMATCH,
                    "the tile holds another leaf hash than the entry has"
                    + ("; the entry is the signed one" if is_signed else "; the tile may be what was signed"),
                    level=0,
                    tile=one.index // TILE_WIDTH,
                    expected=derived,
                    found=one.slot.hex(),
                    file=one.tile_file,
                    **where,
                )

    def _upper_tiles(self) -> None:
        """Every hash in a tile above the leaves must be the root of the tile beneath, derived or stored."""
        self._tile_roots(0, self._derived, self._stored)
        below = [{derived, stored} for derived, stored in zip(self._derived, self._stored, strict=True)]
        level = 1
        while below:
            above: list[set[bytes]] = []
            for tile in range(-(-len(below) // TILE_WIDTH)):
                children = below[tile * TILE_WIDTH : (tile + 1) * TILE_WIDTH]
                known = self._upper_tile(level, tile, children)
                if len(children) == TILE_WIDTH:
                    above.append(known)
            below = above
            level += 1

    def _tile_roots(self, level: int, derived: list[bytes], stored: list[bytes]) -> None:
        for at, (ours, theirs) in enumerate(zip(derived, stored, strict=True)):
            tile = self._source.tile(level, at, TILE_WIDTH)
            if tile is not None and tile.root is not None and tile.root not in (ours, theirs):
                self._add(
                    Code.TILE_MISMATCH,
                    "the stored root of the tile is not the root over its hashes",
                    index=at * TILE_WIDTH,
                    level=level,
                    tile=at,
                    expected=theirs.hex(),
                    found=tile.root.hex(),
                )

    def _upper_tile(self, level: int, tile: int, children: list[set[bytes]]) -> set[bytes]:
        """Compares one tile with the tiles beneath; returns the roots that may stand for it one level up."""
        derived = [next(iter(child)) for child in children]
        roots = {subtree_root(derived)} if len(children) == TILE_WIDTH else set()
        found = self._source.tile(level, tile, len(children))
        if found is None:
            return roots
        width = TILE_WIDTH**level
        first_index = tile * TILE_WIDTH * width
        if len(found.hashes) != len(children) * hashing.HASH_SIZE:
            self._add(
                Code.TILE_MISMATCH,
                "the tile is missing or has another length",
                index=first_index,
                level=level,
                tile=tile,
                expected=f"{len(children) * hashing.HASH_SIZE} octets",
                found=f"{len(found.hashes)} octets",
                file=found.file,
            )
            return roots
        hashes = split(found.hashes)
        for at, (slot, child) in enumerate(zip(hashes, children, strict=True)):
            if slot not in child:
                self._add(
                    Code.TILE_MISMATCH,
                    f"hash {at} of the tile is not the root of the tile beneath, which begins with this entry",
                    index=first_index + at * width,
                    level=level,
                    tile=tile,
                    expected=min(child).hex(),
                    found=slot.hex(),
                    file=found.file,
                )
        if len(children) == TILE_WIDTH:
            roots.add(subtree_root(hashes))
            if found.root is not None and found.root not in roots:
                self._add(
                    Code.TILE_MISMATCH,
                    "the stored root of the tile is not the root over its hashes",
                    index=first_index,
                    level=level,
                    tile=tile,
                    found=found.root.hex(),
                )
        return roots
