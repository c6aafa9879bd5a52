"""Joins what the spans say: streams across their ends, the tree above the blocks, checkpoints, derived tables."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ledger.audit import kept_tiles, projections, upper
from ledger.audit.blocks import Difference, SpanResult
from ledger.audit.chain import begins, follows
from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import MAX_STAMPS, Code, Finding, Findings, Report
from ledger.audit.segments import Named, end_of, merged
from ledger.audit.source import LogSource, Projections, SignedNote
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, hashing, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier
from ledger.tlog.tiles import TILE_WIDTH

ENDS_AT_ONCE: Final = 4096
"""Streams that are looked up together at the end."""


class Whole:
    """The log as far as it was looked at; spans are joined in order, then `report` is asked for once."""

    def __init__(self, source: LogSource, origin: str, size: int, verifiers: Sequence[note.Verifier]) -> None:
        """Nothing is looked at yet."""
        self._source = source
        self._origin = origin
        self._size = size
        self._verifiers = verifiers
        self._findings = Findings()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._differences: list[Difference] = []
        self._derived = bytearray()
        self._stored: dict[int, bytes] = {}
        self._edges: dict[int, tuple[bytes, ...]] = {}
        self._streams: list[list[Named] | Path] = []
        self._settled = 0
        self._counters: dict[tuple[str, str], int] = {}
        self._last_rec = 0
        self._recorded = 0
        self._signatures = 0
        self._stamped: list[int] = []

    def source_faults(self, vkeys: tuple[str, ...]) -> None:
        """Takes what the source itself notices."""
        for finding in self._source.faults(vkeys):
            self._findings.add(finding)

    def open_checkpoints(self, found: Iterable[SignedNote]) -> None:
        """Opens every checkpoint; those that our key did not sign are findings."""
        largest, shown_by = self._source.committed_size(), "head"
        states: list[tuple[SignedNote, Checkpoint]] = []
        for signed in found:
            opened = self._opened(signed)
            if opened is None:
                continue
            if signed.is_latest:
                states.append((signed, opened))
                continue
            if opened.size > largest:
                largest, shown_by = opened.size, signed.file or "checkpoint"
            before = self._checkpoints.setdefault(opened.size, opened)
            if before.root != opened.root:
                self._add(
                    Code.CHECKPOINT_FORKED,
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
                f"the log is shorter than {shown_by} says",
                index=self._size,
                expected=str(largest),
                found=str(self._size),
                file=None if shown_by in ("head", "checkpoint") else shown_by,
                table=shown_by if shown_by in ("head", "checkpoint") else None,
            )
        for signed, opened in states:
            last = max(self._checkpoints, default=0)
            if opened.size < last:
                self._add(
                    Code.SIGNER_STATE_BEHIND,
                    "the signer remembers less than it signed",
                    window_start=opened.size,
                    window_end=last,
                    expected=str(last),
                    found=str(opened.size),
                    file=signed.file,
                )
        if not self._checkpoints and largest:
            self._add(Code.CHECKPOINT_MISSING, "nothing verified that the entries could be compared with")

    def cuts(self) -> list[int]:
        """The sizes at which a root is wanted."""
        return sorted({*(size for size in self._checkpoints if size <= self._size), self._size})

    def join(self, result: SpanResult) -> None:
        """Takes the next span."""
        self._findings.take(result.findings)
        self._differences += result.differences
        self._derived += result.derived_roots
        self._stored.update(result.stored_roots)
        self._edges.update(result.edges)
        self._streams.append(result.streams)
        self._settled += result.settled
        self._recorded += result.recorded
        self._signatures += result.signatures
        self._stamped += result.stamped[: MAX_STAMPS - len(self._stamped)]
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

    def has_doubt(self) -> bool:
        """Whether spans let go of streams and the table of streams is not as they had to suppose.

        What is at fault can be said only with every stream at hand then. Without doubt no stream has a fault: those let
        go are as many heads, each of another entry; the rest was joined and is as many others; and there are no more.
        A second beginning of a stream that was let go, or what follows it, would have another last entry than its head.
        """
        if not self._settled:
            return False
        joints = Findings()
        left = 0
        ends = (end_of(*named) for named in self._joined(joints, has_links=True))
        while some := list(islice(ends, ENDS_AT_ONCE)):
            left += len(some)
            if joints.counts or len(self._source.confirmed(some)) != len(some):
                return True
        stored = self._source.projections()
        try:
            return bool(joints.counts) or stored is None or stored.stream_count() != self._settled + left
        except LedgerError:
            return True

    def report(self, copies: Sequence[KeptTiles]) -> Report:
        """Judges the tree and the derived tables, and says everything; asked for only if there is no doubt."""
        roots = self._roots_at(self.cuts())
        signed_size = self._checkpoint_roots(roots)
        self._settle_differences(signed_size)
        for finding in upper.faults(self._source, self._derived, self._stored):
            self._findings.add(finding)
        stored = self._source.projections()
        streams = None if self._settled else self._joined(self._findings, has_links=stored is not None)
        try:
            if stored is not None:
                self._compare(stored, streams, roots[self._size])
        except LedgerError as error:
            self._add(Code.PROJECTION_DIFFERS, error.detail, found=error.code)
        for _ in streams or ():
            pass  # whatever was not compared with a table is joined still
        agreeing = {one.name: size for one in copies if (size := self._agreeing(one))}
        return Report(
            origin=self._origin,
            size=self._size,
            root=roots[self._size].hex(),
            checkpoints=len(self._checkpoints),
            signed_size=signed_size,
            signatures=self._signatures,
            stamped=tuple(self._stamped),
            agreeing=agreeing,
            findings=self._findings.ordered(),
            counts=dict(self._findings.counts),
        )

    def _add(self, code: Code, detail: str, **where: Any) -> None:
        self._findings.add(Finding(code=code, detail=detail, **where))

    def _agreeing(self, kept: KeptTiles) -> int:
        """How many entries are those of the copy; 0 if any is not, or if the log's key did not sign its checkpoint."""
        try:
            head = checkpoint.open_checkpoint(kept.note.note, self._origin, self._verifiers).checkpoint
        except LedgerError:
            return 0
        agreeing = min(head.size, self._size)
        for finding in kept_tiles.faults(self._source, kept, head, self._derived, self._size):
            self._findings.add(finding)
            agreeing = 0
        return agreeing

    def _compare(self, stored: Projections, streams: Iterator[Named] | None, root: bytes) -> None:
        # A root that differs because of the entries is a finding already, and not the head's fault.
        is_root_right = not self._differences and not self._findings.counts[Code.ROOT_MISMATCH.value]
        derived = projections.Derived(
            origin=self._origin,
            size=self._size,
            root=root if is_root_right else None,
            rec_ms=self._last_rec,
            streams=streams,
            counters=self._counters,
            recorded=self._recorded,
        )
        for finding in projections.compare(self._source, stored, derived):
            self._findings.add(finding)

    def _joined(self, findings: Findings, *, has_links: bool) -> Iterator[Named]:
        """The last part of each stream, in order of name, after looking at the joints between its parts."""
        before: Named | None = None
        for stream, segment in merged(self._streams):
            if before is not None and before[0] == stream:
                faults = follows(before[1], segment, stream, has_links=has_links)
            else:
                if before is not None:
                    yield before
                faults = begins(segment, stream, has_links=has_links)
            for finding in faults:
                findings.add(finding)
            before = (stream, segment)
        if before is not None:
            yield before

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

    def _roots_at(self, sizes: list[int]) -> dict[int, bytes]:
        """The root over the derived leaf hashes at each of these sizes."""
        roots: dict[int, bytes] = {}
        blocks = Frontier()
        for size in sizes:
            while blocks.size < size // TILE_WIDTH:
                blocks.append(self._root_of(blocks.size))
            edge = [*blocks.edge, *(self._edges[size] if size % TILE_WIDTH else ())]
            root = edge.pop() if edge else hashing.EMPTY_ROOT
            while edge:
                root = hashing.node(edge.pop(), root)
            roots[size] = root
        return roots

    def _root_of(self, block: int) -> bytes:
        """The root over the leaf hashes of a full block."""
        return bytes(self._derived[block * hashing.HASH_SIZE : (block + 1) * hashing.HASH_SIZE])

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
