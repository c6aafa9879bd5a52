"""The seat of who serves the stations: one holder at a time, on either engine, and the next one after its end."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from ledger.errors import Busy
from ledger.store.errors import StoreLocked, StoreUnreachable
from ledger.store.postgres import PostgresStore
from ledger.store.postgres_seat import PostgresSeat
from ledger.store.seat import SeatTaken
from ledger.store.sqlite import SqliteStore
from tests.support import logs
from tests.support.postgres import Server

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture
def schema(postgres_server: Server, tmp_path: Path) -> str:
    return logs.Postgres(postgres_server.dsn).schema(tmp_path)


async def test_the_seat_of_a_log_on_a_server_has_one_holder_and_then_the_next(
    postgres_server: Server, schema: str
) -> None:
    store = PostgresStore.open(postgres_server.dsn, schema=schema, create=True)
    first, second = store.seat(), store.seat()
    elsewhere = PostgresSeat(postgres_server.dsn, f"{schema}_other")
    assert not store.is_seated()
    await first.take()
    assert store.is_seated()
    with pytest.raises(SeatTaken, match="another replica") as taken:
        await second.take()
    assert taken.value.code == "ledger/seat-taken"
    await first.confirm()
    await first.leave()
    assert not store.is_seated()
    await second.take()
    await second.confirm()
    assert store.is_seated()
    await second.leave()
    await elsewhere.leave()
    store.close()


async def test_a_holder_whose_connection_ends_holds_nothing_and_knows_it(postgres_server: Server, schema: str) -> None:
    store = PostgresStore.open(postgres_server.dsn, schema=schema, create=True)
    holder, next_one = store.seat(), store.seat()
    await holder.take()
    other = await asyncpg.connect(postgres_server.dsn)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    )
    await other.close()
    with pytest.raises(Busy):
        await holder.confirm()
    await next_one.take()
    with pytest.raises(SeatTaken):
        await holder.take()
    await next_one.leave()
    await holder.leave()
    store.close()


async def test_a_server_that_cannot_be_reached_gives_nobody_the_seat(schema: str) -> None:
    with pytest.raises(StoreUnreachable):
        await PostgresSeat("postgresql://nobody@127.0.0.1:1/none", schema).take()


async def test_a_server_that_no_longer_answers_costs_the_seat_in_time(
    postgres_server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.store.postgres_seat.ANSWER_WITHIN_S", 0.1)
    PostgresStore.open(postgres_server.dsn, schema=schema, create=True).close()
    seat = PostgresSeat(postgres_server.dsn, schema)
    await seat.take()
    assert seat._connection is not None
    hanging = asyncio.ensure_future(seat._connection.fetchval("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await seat.confirm()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    with pytest.raises(SeatTaken):
        await seat.confirm()


async def test_whoever_has_a_log_in_a_file_has_its_seat_and_nobody_else_has_the_log(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "ledger.db", create=True)
    seat = store.seat()
    await seat.take()
    await seat.confirm()
    with pytest.raises(StoreLocked):
        SqliteStore.open(tmp_path / "ledger.db")
    await seat.leave()
    store.close()
