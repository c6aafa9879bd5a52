"""The audit of a whole log: ranges on every core, then the joints, the tree, the checkpoints and the projections."""

import multiprocessing
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Final

from ledger.audit import stitch
from ledger.audit.blocks import RangeResult, Task, audit_range
from ledger.audit.report import Report
from ledger.audit.source import LogSource, SignedNote
from ledger.tlog import note
from ledger.tlog.tiles import TILE_WIDTH
from ledger.verify import Resolve

BLOCKS_A_RANGE: Final = 64
"""16,384 entries: enough to forget the cost of handing it out, little enough to show progress."""

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
    held: Sequence[bytes] = (),
) -> Report:
    """Everything about the log of `origin`, derived again from its stored bytes; all faults, not the first.

    `vkeys` are the log's keys, as the auditor knows them. With `resolve`, every statement's signature is checked
    under the actor that it gives. `held` are checkpoints that the auditor got elsewhere, from a witness or an older
    visit: a log that was made anew does not contain them. `jobs` processes share the work; with more than one,
    `resolve` must be usable in a forked or spawned process.
    Raises what opening a source raises, and KeyMalformed; a fault of the log is never raised but reported.
    """
    verifiers = [note.parse_vkey(vkey) for vkey in vkeys]
    size = source.size()
    whole = stitch.Whole(source, origin, size, verifiers, secrets.token_bytes(16))
    whole.source_faults(tuple(vkeys))
    whole.open_checkpoints([*source.notes(), *(SignedNote(signed, None, "held") for signed in held)])
    tasks = _tasks(size, origin, whole.cuts(), whole.key)
    if jobs > 1 and len(tasks) > 1:
        results = _in_processes(source, tasks, resolve, progress, jobs, size)
        for result in results:
            whole.join(result)
    else:
        done = 0
        for task in tasks:
            before = done
            told = None if progress is None else _teller(progress, before, size)
            whole.join(audit_range(source, task, resolve, told))
            done = min(size, task.stop_block * TILE_WIDTH)
    return whole.report()


def _teller(progress: Progress, before: int, size: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, size)


def _tasks(size: int, origin: str, cuts: Sequence[int], key: bytes) -> list[Task]:
    blocks = -(-size // TILE_WIDTH)
    tasks = []
    for first in range(0, blocks, BLOCKS_A_RANGE):
        stop = min(blocks, first + BLOCKS_A_RANGE)
        inside = tuple(cut for cut in cuts if first * TILE_WIDTH < cut <= stop * TILE_WIDTH)
        tasks.append(Task(first, stop, size, origin, inside, key))
    return tasks


_worker: tuple[LogSource, Resolve | None] | None = None


def _begin_worker(source: LogSource, resolve: Resolve | None) -> None:
    global _worker  # noqa: PLW0603 -- a process of the pool serves one audit
    _worker = (source.reopened(), resolve)


def _one_task(task: Task) -> RangeResult:
    if _worker is None:
        raise RuntimeError("the worker was not begun")
    source, resolve = _worker
    return audit_range(source, task, resolve)


def _in_processes(
    source: LogSource,
    tasks: list[Task],
    resolve: Resolve | None,
    progress: Progress | None,
    jobs: int,
    size: int,
) -> list[RangeResult]:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    results: dict[int, RangeResult] = {}
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker, initargs=(source, resolve)) as pool:
        waiting: dict[Future[RangeResult], int] = {pool.submit(_one_task, task): at for at, task in enumerate(tasks)}
        done_entries = 0
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                at = waiting.pop(future)
                results[at] = future.result()
                done_entries += (tasks[at].stop_block - tasks[at].first_block) * TILE_WIDTH
                if progress is not None:
                    progress(min(done_entries, size), size)
    return [results[at] for at in range(len(tasks))]
