"""Replicas of one log on PostgreSQL, each a process of its own, as services are: told what to write, and when to begin."""

import asyncio
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, Final

from ledger.appender import Appender, Outcome, Submission
from ledger.clock import SetClock
from ledger.records import statement
from ledger.records.actor import Actor
from ledger.records.entry import Submitter
from ledger.rules.fact import Evidence
from ledger.rules.state import LogState
from ledger.store.postgres import PostgresStore
from tests.bench import ground
from tests.support import world as stage

PATIENCE_S: Final = 60
CAUGHT_UP_S: Final = 0.5
"""More than twice as long as an idle replica waits before it looks what the others wrote."""
Words = list[list[tuple[str, Actor, Submitter, int]]]
"""By writer: statements, and what the door found of them."""


async def written(appenders: Sequence[Appender], dealt: Sequence[Sequence[Submission]]) -> list[Outcome]:
    """Each writer hands in the next statement when the one before is durable; they are dealt out over the replicas."""

    async def one(appender: Appender, said: Sequence[Submission]) -> list[Outcome]:
        return [await appender.append(submission) for submission in said]

    done = await asyncio.gather(*(one(appenders[at % len(appenders)], said) for at, said in enumerate(dealt)))
    return [outcome for outcomes in done for outcome in outcomes]


async def _replica(pipe: Connection, dsn: str, schema: str, now_ms: int) -> None:
    store = PostgresStore.open(dsn, schema=schema)
    appender = await Appender.start(store, origin=stage.ORIGIN, clock=SetClock(now_ms), rules=LogState())

    async def told() -> Any:
        # The loop goes on meanwhile, so an idle replica follows the others.
        return await asyncio.to_thread(pipe.recv)

    pipe.send("open")
    while (words := await told()) is not None:
        dealt = [[_submission(*one) for one in said] for said in words]
        pipe.send("ready")
        await told()
        outcomes = await written([appender], dealt)
        pipe.send(len([ground.appended(one) for one in outcomes]))
    await appender.close()
    store.close()


def _submission(raw: str, actor: Actor, submitter: Submitter, now_ms: int) -> Submission:
    """What the door hands over: opened and verified, which is not measured here."""
    return Submission(
        statement=statement.parse_statement(raw), actor=actor, submitter=submitter, now_ms=now_ms, evidence=Evidence()
    )


def _serve(pipe: Connection, dsn: str, schema: str, now_ms: int) -> None:
    with asyncio.Runner(loop_factory=ground.loop_factory()) as runner:
        runner.run(_replica(pipe, dsn, schema, now_ms))


class Replicas:
    """Open replicas of one log."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def write(self, dealt: Sequence[Sequence[Submission]]) -> float:
        """Seconds an entry until the last writer has its last answer."""
        for at, pipe in enumerate(self._pipes):
            mine = dealt[at :: len(self._pipes)]
            pipe.send([[(one.statement.raw, one.actor, one.submitter, one.now_ms) for one in said] for said in mine])
        self.hear()
        started = perf_counter()
        for pipe in self._pipes:
            pipe.send("go")
        done = self.hear()
        took = perf_counter() - started
        if sum(done) != sum(map(len, dealt)):
            raise AssertionError(f"{done} of {sum(map(len, dealt))} statements are in the log")
        return took / sum(done)

    def hear(self) -> list[Any]:
        heard = []
        for pipe in self._pipes:
            if not pipe.poll(PATIENCE_S):
                raise TimeoutError("a replica says nothing")
            heard.append(pipe.recv())
        return heard


@contextmanager
def opened(dsn: str, schema: str, now_ms: int, count: int) -> Iterator[Replicas]:
    """So many replicas of a log that has begun."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pipes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, dsn, schema, now_ms), daemon=True)
            process.start()
            theirs.close()
            stack.callback(_end, process, ours)
            pipes.append(ours)
        replicas = Replicas(pipes)
        replicas.hear()
        yield replicas


def _end(process: Any, pipe: Connection) -> None:
    if process.is_alive():
        pipe.send(None)
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
    pipe.close()
