"""A writer that is killed at a labelled point: `python -m tests.crash.child DIRECTORY POINT BATCH COUNT [DSN]`.

Prints `ack NUMBER INDEX` for every statement that was acknowledged, and dies by SIGKILL at the point.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ledger.appender import Appended, Appender
from ledger.rules.tables import Row
from ledger.store.postgres import PostgresStore
from ledger.store.protocol import Batch
from ledger.store.signer_state import SignerState
from tests.support import logs
from tests.support.kept import Tally

KILL_AT_COMMIT = 3
"""The third commit of the run dies, so that there is something acknowledged before it."""


class Dying:
    """Counts down to the end."""

    def __init__(self, point: str) -> None:
        self.point = point.removesuffix("-unheld")
        self.commits = 0
        self.is_held = self.point == point

    def at(self, point: str, ahead: int = 0) -> None:
        if point == self.point and self.commits + ahead == KILL_AT_COMMIT:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingStore:
    """Mixed into either store."""

    dying: Dying

    async def begin(self) -> None:
        self.dying.at("before-begin", ahead=1)
        if self.dying.is_held:
            self._contended = 1
        await super().begin()
        self.dying.at("after-lock", ahead=1)

    async def commit(self, batch: Batch) -> None:
        self.dying.commits += 1
        await super().commit(batch)
        self.dying.at("after-commit")

    def _insert(self, *what: object) -> object:
        if isinstance(self, PostgresStore):
            return self._insert_and_die(*what)
        super()._insert(*what)
        self.dying.at("after-insert")
        return None

    async def _insert_and_die(self, *what: object) -> None:
        await super()._insert(*what)
        # Where the head is not held, this statement was the commit.
        self.dying.at("after-insert" if self._is_held else "after-commit")

    async def replace_projections(self, rows: Iterable[Row], version: str) -> None:
        def dying() -> Iterator[Row]:
            for row in rows:
                yield row
                self.dying.at("in-rebuild", ahead=KILL_AT_COMMIT)

        await super().replace_projections(dying(), version)
        self.dying.at("after-rebuild", ahead=KILL_AT_COMMIT)

    def put_checkpoint(self, checkpoint: object) -> None:
        self.dying.at("before-publish")
        super().put_checkpoint(checkpoint)


class DyingState(SignerState):
    dying: Dying

    def swap(self, expected: bytes | None, signed: bytes) -> None:
        self.dying.at("before-swap")
        super().swap(expected, signed)
        self.dying.at("after-swap")

    def _replace(self, signed: bytes) -> None:
        self.dying.at("in-swap")
        super()._replace(signed)


async def main(directory: Path, point: str, batch: int, count: int, dsn: str | None) -> None:
    dying = Dying(point)
    medium = logs.Postgres(dsn) if dsn else logs.Sqlite()
    store = medium.open(directory, DyingStore)
    store.dying = dying
    acknowledge = Appender._acknowledge

    def dying_acknowledge(self: Appender, taken: list, answers: list) -> None:
        dying.at("before-ack")
        acknowledge(self, taken, answers)

    Appender._acknowledge = dying_acknowledge
    log = await logs.begin(directory, store=store, rules=Tally())
    state = DyingState(directory / "signer" / "state")
    state.dying = dying
    log.publisher._state = state
    size = store.head().size
    for start in range(size, size + count, batch):
        numbers = range(start, start + batch)
        outcomes = await log.appender.append_many([logs.submitted(logs.dealt(number)) for number in numbers])
        for number, outcome in zip(numbers, outcomes, strict=True):
            assert isinstance(outcome, Appended)
            print("ack", number, outcome.index, flush=True)
        signed = await log.publisher.publish()
        print("note", signed.split(b"\n")[1].decode(), flush=True)
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), (sys.argv[5:] or [None])[0]))
