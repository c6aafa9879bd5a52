"""What the tests call a killed server is one: none of its processes lives, and no other server is touched."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.postgres import Pair, is_answering

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_killed_primary_leaves_no_process_not_even_one_that_notices_nothing(pair: Pair) -> None:
    pair.primary.reconfigure(synchronous_standby_names="")
    connection = await asyncpg.connect(pair.primary.dsn)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    before = pair.primary.living()
    assert backend in before
    assert {parent_of(pid) for pid in before} == {os.getpid(), pair.primary.process.pid}
    # It cannot see that its parent went, as one that waits for the disk does not look.
    os.kill(backend, signal.SIGSTOP)
    others = pair.standby.living()
    assert others
    pair.primary.kill()
    assert pair.primary.living() == []
    assert not is_answering(pair.primary.port)
    assert set(others) & set(pair.standby.living()), "the standby is another server"
    assert is_answering(pair.standby.port)
    connection.terminate()
    pair.primary.start()
    assert is_answering(pair.primary.port)


def test_a_server_that_recovers_is_killed_with_its_startup_process(pair: Pair) -> None:
    (startup,) = [pid for pid in pair.standby.living() if b"startup" in _command(pid)]
    os.kill(startup, signal.SIGSTOP)
    pair.standby.kill()
    assert pair.standby.living() == []
    pair.standby.kill()
    pair.standby.start()
    assert is_answering(pair.standby.port)


def test_what_a_killed_server_had_of_the_machines_memory_is_given_back(pair: Pair) -> None:
    block = int((pair.standby.data / "postmaster.pid").read_text().splitlines()[6].split()[1])
    assert block in _blocks()
    pair.standby.kill()
    assert block not in _blocks()


def test_a_server_that_ended_by_itself_is_not_waited_for(pair: Pair) -> None:
    pair.primary.process.send_signal(signal.SIGINT)
    pair.primary.process.wait(20)
    started = time.monotonic()
    pair.primary.kill()
    assert time.monotonic() - started < 10
    assert pair.primary.living() == []


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _blocks() -> set[int]:
    """The numbers of all blocks of System V shared memory."""
    return {int(line.split()[1]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
