"""Spans of an audit shared among processes: this one works too, and while it does it hands the others their next span.

Processes are spawned, never forked: a lock that a thread holds would stay locked in a fork, and SQLite may not be
carried across one.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

from ledger.audit.blocks import SpanResult, Task, audit_span
from ledger.audit.source import LogSource
from ledger.errors import Busy, LedgerError
from ledger.verify import Resolve

TELL_EVERY: Final = 4096
"""Entries between two messages about progress."""

STOP_TIMEOUT_S: Final = 5.0
"""How long a process that was asked to end is waited for before it is killed."""

WAIT_S: Final = 0.2
"""How often it is looked whether the others still live, once this process has nothing left to do."""

Told = Callable[[int], None]


class WorkerLost(Busy):
    """A process that shared the audit ended before it was done; nothing was found out, and nothing was changed."""

    code = "ledger/audit-worker-lost"
    title = "Audit was interrupted"


def share(
    source: LogSource, tasks: list[Task], resolve: Resolve | None, progress: Told | None, jobs: int
) -> Iterator[SpanResult]:
    """What `audit_span` says of each task, in their order, `jobs` at a time; raises WorkerLost, or what a span raises.

    Whatever happens here, no process outlives this call.
    """
    crew = _Crew(source, tasks, resolve, progress)
    try:
        crew.begin(min(jobs, len(tasks)) - 1)
        return iter(crew.work())
    finally:
        crew.end()


class _Crew:
    """The processes of one audit."""

    def __init__(self, source: LogSource, tasks: list[Task], resolve: Resolve | None, progress: Told | None) -> None:
        self._source = source
        self._resolve = resolve
        self._progress = progress
        self._tasks = tasks
        self._next = 0
        self._results: dict[int, SpanResult] = {}
        self._crew: list[tuple[Connection, BaseProcess]] = []
        self._busy: dict[int, int] = {}
        """Worker -> the task that it has."""

    def begin(self, count: int) -> None:
        """Starts so many processes, each with a task."""
        context = multiprocessing.get_context("spawn")
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._source, self._resolve), daemon=True)
            process.start()
            theirs.close()
            self._crew.append((ours, process))
            self._hand(number)

    def work(self) -> list[SpanResult]:
        """Works until everything is done."""
        while (at := self._take()) is not None:
            self._results[at] = audit_span(self._source, self._tasks[at], self._resolve, self._done_here)
        while self._busy:
            self._listen(WAIT_S)
        return [self._results[at] for at in range(len(self._tasks))]

    def end(self) -> None:
        """No process is left."""
        for number, (ours, process) in enumerate(self._crew):
            if number in self._busy:
                process.terminate()
            else:
                with suppress(OSError):
                    ours.send(None)
            process.join(STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()
            ours.close()

    def _take(self) -> int | None:
        if self._next == len(self._tasks):
            return None
        self._next += 1
        return self._next - 1

    def _hand(self, number: int) -> None:
        at = self._take()
        if at is None:
            self._busy.pop(number, None)
            return
        self._busy[number] = at
        self._crew[number][0].send(self._tasks[at])

    def _done_here(self, entries: int) -> None:
        self._tell(entries)
        self._listen(0)

    def _tell(self, entries: int) -> None:
        if self._progress is not None:
            self._progress(entries)

    def _listen(self, timeout_s: float) -> None:
        """Takes what the others say, and hands out what is next."""
        for number in list(self._busy):
            ours, process = self._crew[number]
            try:
                while ours.poll(timeout_s):
                    self._hear(number, ours.recv())
                    if number not in self._busy:
                        break
            except (EOFError, OSError):
                process.join(STOP_TIMEOUT_S)
                raise WorkerLost("a process of the audit ended too early", found=process.exitcode) from None

    def _hear(self, number: int, said: "int | SpanResult | LedgerError") -> None:
        if isinstance(said, int):
            self._tell(said)
        elif isinstance(said, LedgerError):
            raise said
        else:
            self._results[self._busy[number]] = said
            self._hand(number)


def _serve(theirs: Connection, source: LogSource, resolve: Resolve | None) -> None:
    """What a process does: takes tasks, says how far it is, and what it found, until there are no more."""
    # An interrupt from the keyboard goes to the whole group; who started us ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = 0

    def tell(entries: int) -> None:
        nonlocal told
        told += entries
        if told >= TELL_EVERY:
            theirs.send(told)
            told = 0

    try:
        while (task := theirs.recv()) is not None:
            result = audit_span(source, task, resolve, tell)
            theirs.send(told)
            told = 0
            theirs.send(result)
        source.close()
    except LedgerError as error:
        # An error cannot be sent as it is: its class takes other arguments than it has.
        theirs.send(WorkerLost(f"{error.code}: {error}"))
    except (BrokenPipeError, EOFError):
        os._exit(1)  # nobody listens any more
    finally:
        theirs.close()
