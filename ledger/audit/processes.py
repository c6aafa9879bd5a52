"""An audit shared among processes: this one works too, and while it does it tells the others how far to go on.

Processes are spawned, never forked: a lock that a thread holds would stay locked in a fork, and SQLite may not be
carried across one. They are begun before anything else is done, for they take a tenth of a second to come up.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Self

from ledger.audit.blocks import Span, SpanResult, Task
from ledger.audit.shares import Part, Shares
from ledger.audit.source import LogSource
from ledger.errors import Busy, LedgerError

if TYPE_CHECKING:
    from ledger.verify import Resolve  # it takes as long to import as all that a process without signatures needs

TELL_EVERY: Final = 4096
"""Entries between two messages about progress."""

AHEAD: Final = 2
"""Errands that a process has at a time, so that it never waits for the next one."""

STOP_TIMEOUT_S: Final = 5.0
"""How long a process that was asked to end is waited for before it is killed."""

WAIT_S: Final = 0.2
"""How often it is looked whether the others still live, once this process has nothing left to do."""

Told = Callable[[int], None]
Begin = Callable[[Part], Task]

_FINISH: Final = "finish"
_Errand = Task | int | str
"""What a process is told: begin this span, go on up to this block, or say what was found in the span."""


class WorkerLost(Busy):
    """A process that shared the audit ended before it was done; nothing was found out, and nothing was changed."""

    code = "ledger/audit-worker-lost"
    title = "Audit was interrupted"


class Crew:
    """The processes of one audit. Whatever happens inside the block, none outlives it."""

    def __init__(self, source: LogSource, resolve: "Resolve | None", helpers: int) -> None:
        """Begins so many processes beside this one."""
        self.source = source
        self.resolve = resolve
        self.helpers: list[tuple[Connection, BaseProcess]] = []
        self.busy: dict[int, int] = {}
        """Helper -> the first block of the part that it has."""
        context = multiprocessing.get_context("spawn")
        for _ in range(helpers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, source, resolve), daemon=True)
            process.start()
            theirs.close()
            self.helpers.append((ours, process))

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """No process is left."""
        for number, (ours, process) in enumerate(self.helpers):
            if number in self.busy:
                process.terminate()
            else:
                with suppress(OSError):
                    ours.send(None)
            process.join(STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()
            ours.close()

    def audit(self, shares: Shares, begin: Begin, progress: Told | None) -> Iterator[SpanResult]:
        """What is said of each part, in their order; `begin` makes the task of one. `shares` is for one more than the
        helpers. Raises WorkerLost, or what a span raises.
        """
        work = _Round(self, shares, begin, progress)
        *parts, own = shares.parts()
        for number, part in enumerate(parts):
            work.send(number, part)
        work.here(own)
        while self.busy:
            work.listen(WAIT_S)
        return (result for _, result in sorted(work.results, key=itemgetter(0)))


class _Round:
    """One time through the log."""

    def __init__(self, crew: Crew, shares: Shares, begin: Begin, progress: Told | None) -> None:
        self._crew = crew
        self._shares = shares
        self._begin = begin
        self._progress = progress
        self._ending: set[int] = set()
        """Helpers that were told to say what they found."""
        self.results: list[tuple[int, SpanResult]] = []

    def here(self, part: Part | None) -> None:
        """Works in this process until nothing is left that is worth taking over."""
        mine = len(self._crew.helpers)
        while part is not None:
            span = Span(self._crew.source, self._begin(part), self._crew.resolve)
            while (stop := self._shares.go_on(mine)) is not None:
                span.go_on(stop, self._done_here)
            self.results.append((part.first_block, span.finish()))
            part = self._shares.take_over(mine)

    def send(self, number: int, part: Part) -> None:
        """Has a helper begin a part."""
        self._crew.busy[number] = part.first_block
        self._post(number, self._begin(part))
        for _ in range(AHEAD):
            self._tell_next(number)

    def listen(self, timeout_s: float) -> None:
        """Takes what the others say, and hands out what is next."""
        for number in list(self._crew.busy):
            ours, process = self._crew.helpers[number]
            try:
                while number in self._crew.busy and ours.poll(timeout_s):
                    self._hear(number, ours.recv())
            except (EOFError, OSError):
                raise _lost(process) from None

    def _tell_next(self, number: int) -> None:
        if number in self._ending:
            return
        stop = self._shares.go_on(number)
        if stop is None:
            self._ending.add(number)
        self._post(number, _FINISH if stop is None else stop)

    def _post(self, number: int, errand: _Errand) -> None:
        ours, process = self._crew.helpers[number]
        try:
            ours.send(errand)
        except OSError:
            raise _lost(process) from None

    def _done_here(self, entries: int) -> None:
        self._tell(entries)
        self.listen(0)

    def _tell(self, entries: int) -> None:
        if self._progress is not None and entries:
            self._progress(entries)

    def _hear(self, number: int, said: "tuple[int, bool] | SpanResult | LedgerError") -> None:
        if isinstance(said, LedgerError):
            raise said
        if isinstance(said, SpanResult):
            self.results.append((self._crew.busy.pop(number), said))
            self._ending.discard(number)
            part = self._shares.take_over(number)
            if part is not None:
                self.send(number, part)
            return
        entries, is_done = said
        self._tell(entries)
        if is_done:
            self._tell_next(number)


def _lost(process: BaseProcess) -> WorkerLost:
    process.join(STOP_TIMEOUT_S)
    return WorkerLost("a process of the audit ended too early", found=process.exitcode)


def _serve(theirs: Connection, source: LogSource, resolve: "Resolve | None") -> None:
    """What a process does: takes errands, says how far it is, and what it found, until there are no more."""
    # An interrupt from the keyboard goes to the whole group; who started us ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = 0

    def tell(entries: int) -> None:
        nonlocal told
        told += entries
        if told >= TELL_EVERY:
            theirs.send((told, False))
            told = 0

    span: Span | None = None
    try:
        while (errand := theirs.recv()) is not None:
            if isinstance(errand, Task):
                span = Span(source, errand, resolve)
                continue
            assert span is not None  # noqa: S101 -- a task comes first
            if isinstance(errand, int):
                span.go_on(errand, tell)
                theirs.send((told, True))
                told = 0
            else:
                theirs.send(span.finish())
        source.close()
    except LedgerError as error:
        # An error cannot be sent as it is: its class takes other arguments than it has.
        theirs.send(WorkerLost(f"{error.code}: {error}"))
    except (BrokenPipeError, EOFError):
        os._exit(1)  # nobody listens any more
    finally:
        theirs.close()
