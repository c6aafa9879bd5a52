"""A witness's memory: one step from one head to the next, whoever else tries at the same moment."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ledger.store.errors import StoreBusy, StoreDamaged, StoreForeign
from ledger.witness import memory as memories
from ledger.witness.cosign import Fork, Head
from ledger.witness.memory import WitnessMemory

ORIGIN = "example.com/log"


def head(size: int) -> Head:
    return Head(size, bytes([size]) * 32, b"note %d" % size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "witness.db"
    WitnessMemory.open(path, create=True).close()
    return path


def test_a_head_is_kept_over_a_restart(path: Path) -> None:
    memory = WitnessMemory.open(path)
    assert memory.latest(ORIGIN) is None
    assert memory.compare_and_set(ORIGIN, None, head(1))
    memory.close()
    memory = WitnessMemory.open(path)
    assert memory.latest(ORIGIN) == head(1)
    assert memory.heads() == {ORIGIN: head(1)}
    memory.close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_head_moves_only_from_what_was_expected(path: Path) -> None:
    memory = WitnessMemory.open(path)
    assert memory.compare_and_set(ORIGIN, None, head(1))
    assert not memory.compare_and_set(ORIGIN, None, head(2))
    assert not memory.compare_and_set(ORIGIN, head(3), head(4))
    assert memory.compare_and_set(ORIGIN, head(1), head(2))
    assert memory.compare_and_set("example.com/other", None, head(9))
    assert memory.latest(ORIGIN) == head(2)
    memory.close()


def test_of_many_who_step_at_once_one_does(path: Path) -> None:
    won: list[int] = []

    def step(number: int) -> None:
        memory = WitnessMemory.open(path)
        if memory.compare_and_set(ORIGIN, None, head(number)):
            won.append(number)
        memory.close()

    threads = [threading.Thread(target=step, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    memory = WitnessMemory.open(path)
    assert len(won) == 1
    assert memory.latest(ORIGIN) == head(won[0])
    memory.close()


def test_a_fork_is_kept_once_and_not_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MAX_FORKS", 2)
    memory = WitnessMemory.open(path)
    forks = [Fork(ORIGIN, b"first", b"second %d" % number) for number in range(3)]
    for fork in [forks[0], *forks]:
        memory.keep_fork(fork)
    assert memory.forks() == forks[:2]
    memory.close()


def test_a_memory_that_is_gone_is_never_made_anew(tmp_path: Path) -> None:
    with pytest.raises(StoreForeign):
        WitnessMemory.open(tmp_path / "witness.db")
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_no_memory(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE head (origin)")
    with pytest.raises(StoreForeign):
        WitnessMemory.open(tmp_path / "other.db", create=True)
    (tmp_path / "text").write_bytes(b"x" * 5000)
    with pytest.raises(StoreDamaged):
        WitnessMemory.open(tmp_path / "text")


def test_a_memory_that_somebody_holds_is_busy_and_nothing_is_moved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "BUSY_TIMEOUT_S", 0.05)
    memory = WitnessMemory.open(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy):
            memory.compare_and_set(ORIGIN, None, head(1))
        other.execute("ROLLBACK")
    assert memory.latest(ORIGIN) is None
    memory.close()
