"""The audit of a whole log: spans on every core, then the joints, the tree, the checkpoints and the projections."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ledger.audit import processes, stitch
from ledger.audit.blocks import Task, audit_span
from ledger.audit.report import Report
from ledger.audit.segments import MAX_SEGMENTS
from ledger.audit.source import LogSource, SignedNote
from ledger.tlog import note
from ledger.tlog.tiles import TILE_WIDTH
from ledger.verify import Resolve

MIN_BLOCKS: Final = 64
"""A shorter span, of 16,384 entries, is not worth a process."""

MIN_SIGNED_BLOCKS: Final = 8
"""The same where signatures are checked, which takes most of the time."""

SPANS_A_JOB: Final = 4
"""More would level out cores of different speed, and cut more streams in two."""

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
) -> Report:
    """Everything about the log of `origin`, derived again from its stored bytes; all faults, not the first.

    `vkeys` are the log's keys, as the auditor knows them. With `resolve`, every statement's signature is checked
    under the actor that it gives. `held` are checkpoints that the auditor got elsewhere, from a witness or an older
    visit: a log that was made anew does not contain them. `jobs` processes share the work; with more than one,
    `source` and `resolve` must be picklable and the caller's main module importable anew.

    A process keeps one block, the ends of at most `MAX_SEGMENTS` parts of streams (the rest is sorted in a temporary
    file), and this one 32 octets for each 256 entries, so what it takes hardly grows with the log.
    Streams whose stored head is as the log has it are let go early. If the table of streams turns out to be wrong,
    everything is read once more with all streams at hand, so that what is at fault is named; `progress` starts over.
    Raises what opening a source raises, KeyMalformed, and WorkerLost; a fault of the log is never raised but reported.
    """
    verifiers = [note.parse_vkey(vkey) for vkey in vkeys]
    size = source.size()
    notes = [*source.notes(), *held]
    for settles in (True, False):
        whole = stitch.Whole(source, origin, size, verifiers)
        whole.source_faults(tuple(vkeys))
        whole.open_checkpoints(notes)
        with TemporaryDirectory(prefix="flexledger-audit-") as folder, _without_collector():
            spans = _spans(size, jobs, MIN_BLOCKS if resolve is None else MIN_SIGNED_BLOCKS)
            tasks = [replace(task, settles=settles) for task in _tasks(size, origin, whole.cuts(), spans, Path(folder))]
            told = None if progress is None else _Teller(progress, size).add
            if jobs > 1 and len(tasks) > 1:
                results = processes.share(source, tasks, resolve, told, jobs)
            else:
                results = (audit_span(source, task, resolve, told) for task in tasks)
            for result in results:
                whole.join(result)
            if not whole.has_doubt():
                return whole.report()
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


def _spans(size: int, jobs: int, min_blocks: int) -> int:
    """How many: one where there is one process, some for each where there are more and the log is long enough."""
    return 1 if jobs == 1 else max(1, min(jobs * SPANS_A_JOB, size // TILE_WIDTH // min_blocks))


def _tasks(size: int, origin: str, cuts: Sequence[int], spans: int, folder: Path) -> list[Task]:
    """Spans of whole blocks, about as long as each other."""
    blocks = -(-size // TILE_WIDTH)
    starts = [blocks * at // spans for at in range(spans + 1)] if blocks else []
    return [
        Task(
            first,
            stop,
            size,
            origin,
            tuple(cut for cut in cuts if first * TILE_WIDTH < cut <= stop * TILE_WIDTH),
            folder / f"streams-{first}",
            MAX_SEGMENTS // spans,
        )
        for first, stop in pairwise(starts)
    ]
