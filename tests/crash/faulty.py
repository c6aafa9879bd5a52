"""A writer whose system calls fail now and then: `python -m tests.crash.faulty DIRECTORY BATCHES`, under strace.

Prints `ack NUMBER INDEX` for every statement that was acknowledged, `failed CODE` for every batch that was not, `note
SIZE` for every checkpoint, and `halted CODE` when it gives up.
"""

import asyncio
import sys
from pathlib import Path

from ledger.appender import Appended
from ledger.errors import Broken, LedgerError
from tests.support import logs

A_BATCH = 5


async def write(directory: Path, batches: int) -> None:
    log = await logs.begin(directory)
    number = 0
    for _ in range(batches):
        outcomes = await log.appender.append_many(
            [logs.submitted(logs.dealt(one)) for one in range(number, number + A_BATCH)]
        )
        number += A_BATCH
        for at, outcome in enumerate(outcomes, start=number - A_BATCH):
            if isinstance(outcome, Appended):
                print("ack", at, outcome.index, flush=True)
        failed = {outcome.code for outcome in outcomes if isinstance(outcome, LedgerError)}
        for code in failed:
            print("failed", code, flush=True)
        try:
            signed = await log.publisher.publish()
        except (LedgerError, OSError) as error:
            print("unsigned", getattr(error, "code", type(error).__name__), flush=True)
        else:
            print("note", signed.split(b"\n")[1].decode(), flush=True)
        if any(isinstance(outcome, Broken) for outcome in outcomes):
            print("halted", *failed, flush=True)
            return
    await log.close()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
