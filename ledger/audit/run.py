"""The audit of a whole log: parts on every core, then the joints, the tree, the checkpoints and the projections."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ledger.audit import processes, stitch
from ledger.audit.blocks import Task
from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import Report
from ledger.audit.segments import MAX_SEGMENTS
from ledger.audit.shares import Part, Shares
from ledger.audit.source import LogSource, SignedNote
from ledger.tlog import note
from ledger.tlog.tiles import TILE_WIDTH
from ledger.verify import Resolve

MIN_BLOCKS: Final = 64
"""A shorter span, of 16,384 entries, is not worth a process."""

MIN_SIGNED_BLOCKS: Final = 8
"""The same where signatures are checked, which takes most of the time."""

AT_ONCE: Final = 16
AT_ONCE_SIGNED: Final = 2
"""Blocks that are handed out at once: some hundredths of a second."""

PARTS_EACH: Final = 4
"""Parts of the log for each process, at most: each is another place where streams are cut in two."""

Progress = Callable[[int, int], None]
"""Told (entries done, entries in all)."""


def audit(
    source: LogSource,
    *,
    vkeys: Sequence[str],
    origin: str,
    resolve: Resolve | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
    held: Sequence[SignedNote] = (),
    copies: Sequence[KeptTiles] = (),
) -> Report:
    """Everything about the log of `origin`, derived again from its stored bytes; all faults, not the first.

    `vkeys` are the log's keys, as the auditor knows them. With `resolve`, every statement's signature is checked
    under the actor that it gives. `held` are checkpoints that the auditor got elsewhere, from a witness or an older
    visit: a log that was made anew does not contain them. `copies` are tiles that lie elsewhere: they name each entry
    that was replaced, also where tree and chains were made anew. `jobs` processes share the work; with more than one,
    `source` and `resolve` must be picklable and the caller's main module importable anew.

    A process keeps one block, the ends of at most `MAX_SEGMENTS` parts of streams (the rest is sorted in a temporary
    file), and this one 32 octets for each 256 entries, so what it takes hardly grows with the log.
    Streams whose stored head is as the log has it are let go early. If the table of streams turns out to be wrong,
    everything is read once more with all streams at hand, so that what is at fault is named; `progress` starts over.
    Raises what opening a source raises, KeyMalformed, and WorkerLost; a fault of the log is never raised but reported.
    """
    verifiers = [note.parse_vkey(vkey) for vkey in vkeys]
    size = source.size()
    blocks = -(-size // TILE_WIDTH)
    worth, at_once = (MIN_BLOCKS, AT_ONCE) if resolve is None else (MIN_SIGNED_BLOCKS, AT_ONCE_SIGNED)
    auditors = max(1, min(jobs, size // TILE_WIDTH // worth))
    most_parts = 1 if auditors == 1 else auditors * PARTS_EACH
    with processes.Crew(source, resolve, auditors - 1) as crew:
        notes = [*source.notes(), *held, *(one.note for one in copies)]
        for settles in (True, False):
            whole = stitch.Whole(source, origin, size, verifiers)
            whole.source_faults(tuple(vkeys))
            whole.open_checkpoints(notes)
            with TemporaryDirectory(prefix="flexledger-audit-") as folder, _without_collector():
                begin = _Begin(size, origin, whole.cuts(), Path(folder), MAX_SEGMENTS // most_parts, settles=settles)
                told = None if progress is None else _Teller(progress, size).add
                shares = Shares(blocks, auditors, at_once=at_once, most_parts=most_parts)
                for result in crew.audit(shares, begin.task, told):
                    whole.join(result)
                if not whole.has_doubt():
                    return whole.report(copies)
    raise AssertionError("with every stream at hand there is no doubt")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here makes cycles, and looking for them is a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Teller:
    """Adds up what is done."""

    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._size = size
        self._done = 0

    def add(self, entries: int) -> None:
        self._done += entries
        self._progress(self._done, self._size)


class _Begin:
    """Makes the tasks of the parts of one log."""

    def __init__(
        self, size: int, origin: str, cuts: Sequence[int], folder: Path, max_segments: int, *, settles: bool
    ) -> None:
        self._size = size
        self._origin = origin
        self._cuts = cuts
        self._folder = folder
        self._max_segments = max_segments
        self._settles = settles

    def task(self, part: Part) -> Task:
        """What the part is judged by."""
        first, stop = part
        return Task(
            first,
            stop,
            self._size,
            self._origin,
            tuple(cut for cut in self._cuts if first * TILE_WIDTH < cut <= stop * TILE_WIDTH),
            self._folder / f"streams-{first}",
            self._max_segments,
            self._settles,
        )
