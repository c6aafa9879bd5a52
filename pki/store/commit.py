"""Group commit: whoever holds the database writes for all who wait, in one transaction with one sync to disk."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from pki.store.records import StoreUnavailable

T = TypeVar("T")

MAX_TOGETHER = 256
"""How many writes share one transaction at most, so that none waits for ever behind the others."""


class _Waiting:
    """One write that waits for a leader, and what became of it."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], object]) -> None:
        self.work = work
        self.result: object = None
        self.error: BaseException | None = None
        self.done = False


class GroupWriter:
    """Runs writes on one connection, each atomic and durable on return, those that come together in one transaction.

    There is no thread of its own: the first caller to get the lock does the work of all who queued meanwhile.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._queue: deque[_Waiting] = deque()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, once it is durable; what it raises, and then it has changed nothing.

        It may be done twice, the first time taken back: it changes the database and nothing else.
        """
        waiting = _Waiting(work)
        self._queue.append(waiting)
        while not waiting.done:
            with self._lock:
                if not waiting.done:
                    self._lead()
        if isinstance(waiting.error, sqlite3.Error):
            raise StoreUnavailable("the write was not taken") from waiting.error
        if waiting.error is not None:
            raise waiting.error
        result: Any = waiting.result
        return result  # type: ignore[no-any-return]  # what its own work returned

    def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work`, which changes nothing, finds on the writing connection while nobody writes."""
        with self._lock:
            return work(self._database)

    def later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """`work` is done with the next write, or by `flush`; for what may be lost and found again."""
        self._queue.append(_Waiting(work))

    def flush(self) -> None:
        """All that was asked for is durable."""
        if self._queue:
            self.run(lambda _: None)

    def alone(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """`work` is done outside a transaction, while nobody writes."""
        with self._lock:
            work(self._database)

    def close(self) -> None:
        """Everything is written, and the connection closed."""
        self.flush()
        with self._lock:
            self._database.close()

    def _lead(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_TOGETHER))]
        try:
            if not self._all(batch):
                self._each(batch)
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            for waiting in batch:
                waiting.error = error
            if not isinstance(error, sqlite3.Error):
                raise
        finally:
            for waiting in batch:
                waiting.done = True

    def _all(self, batch: list[_Waiting]) -> bool:
        """Every write, if each of them succeeds, as nearly always; else nothing has changed, and it is False."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for waiting in batch:
                waiting.result = waiting.work(self._database)
        except Exception:  # noqa: BLE001  # whose it is, and for whom, is found out by `_each`
            if self._database.in_transaction:  # of some failures SQLite has taken everything back itself
                self._database.execute("ROLLBACK")
            return False
        self._database.execute("COMMIT")
        return True

    def _each(self, batch: list[_Waiting]) -> None:
        """A write that fails takes back what it did, and nothing of the others."""
        self._database.execute("BEGIN IMMEDIATE")
        for waiting in batch:
            self._database.execute("SAVEPOINT one")
            try:
                waiting.result = waiting.work(self._database)
            except Exception as error:  # noqa: BLE001  # it is raised again in the thread that asked
                self._database.execute("ROLLBACK TO one")
                waiting.error = error
            self._database.execute("RELEASE one")
        self._database.execute("COMMIT")
