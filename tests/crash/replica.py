"""One replica of a log on PostgreSQL: `python -m tests.crash.replica DSN SCHEMA NAME COUNT WRITERS`.

Waits for a line on its input, then sells `COUNT` EVSEs in an order of its own, several at once. Prints
`ack EVSE INDEX` for what was acknowledged and `sold EVSE` for what the rule refused, and ends when all are answered.
"""

import asyncio
import random
import sys

from ledger.appender import Appender, QueueFull
from ledger.clock import SetClock
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.rules.fact import Fact
from ledger.rules.tables import Plain, Table, Tables
from ledger.store.postgres import PostgresStore
from tests.support import logs

STREAMS = 5
PATIENCE_S = 60.0


class OneBuyer:
    """Each EVSE is sold once, whoever sells it: a rule across streams, like the one about capacity.

    Who bought what is kept in rows, so that a replica learns of the others' sales from there.
    """

    version = "one-buyer/1"

    def __init__(self) -> None:
        self.tables = Tables()
        self.sold: Table[int] = self.tables.new(Plain("sold", int))

    def check(self, fact: Fact) -> None:
        if fact.tags["evse"] in self.sold:
            raise logs.RefusedForTest("sold already")

    def apply(self, fact: Fact) -> None:
        self.tables.is_folding = True
        self.sold[fact.tags["evse"]] = fact.index
        self.tables.is_folding = False


def sale(name: str, evse: int):
    """The statement by which this replica sells an EVSE: its own words, in a stream that all share."""
    what = ExecutionNoted(
        n_id=f"note-{name}-{evse}", fsr_id="fsr-1", participation="part-1", kind=ExecutionKind.STARTED
    )
    number = int.from_bytes(name.encode(), "big") << 32 | evse
    stated = logs.said(number, stream=f"fsr/s{evse % STREAMS}", what=what)
    return logs.submitted(stated, tags={"evse": f"evse-{evse}"})


async def main(dsn: str, schema: str, name: str, count: int, writers: int) -> None:
    store = PostgresStore.open(dsn, schema=schema, create=True)
    appender = await Appender.start(
        store, origin=logs.ORIGIN, clock=SetClock(logs.START_MS), rules=OneBuyer(), patience_s=PATIENCE_S
    )
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    order = list(range(count))
    random.Random(name).shuffle(order)
    left = iter(order)

    async def sell() -> None:
        for evse in left:
            try:
                appended = await appender.append(sale(name, evse))
                print("ack", evse, appended.index, flush=True)
            except logs.RefusedForTest:
                print("sold", evse, flush=True)
            except QueueFull:
                print("full", evse, flush=True)

    await asyncio.gather(*(sell() for _ in range(writers)))
    await appender.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], *(int(one) for one in sys.argv[4:6])))
