"""The tasks of one run: what wakes it, and the first failure of any of them."""

import asyncio
from collections.abc import Coroutine

from api.execution.waiting import SleepUntil

GRACE_S = 0.1


class Tasks:
    """What a run does at the same time; its length is how many of them are not done."""

    def __init__(self, sleep_until_ms: SleepUntil) -> None:
        self._sleep_until_ms = sleep_until_ms
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def wake(self) -> None:
        """Whoever waits in `until` looks again at what there is to do."""
        self._wake.set()

    async def until(self, at_ms: int) -> bool:
        """Wait for a moment; True when it came, False when something else woke it first."""
        self.raise_failure()
        self._wake.clear()
        sleeping = asyncio.ensure_future(self._sleep_until_ms(at_ms))
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
            came = sleeping.done()
        finally:
            for task in (sleeping, waking):
                task.cancel()
            await asyncio.gather(sleeping, waking, return_exceptions=True)
        self.raise_failure()
        return came

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """`work` is being done; its failure is kept, and wakes the run."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The first failure is kept, and wakes the run."""
        self._failure = self._failure or error
        self._wake.set()

    def raise_failure(self) -> None:
        """Raises the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """What still waits for an answer no longer does; commands whose time has passed may say so first."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
