"""What is about PostgreSQL alone: schemas, fences, versions, and that no error says where the server is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from ledger.store.errors import StoreAbsent, StoreDamaged, StoreForeign, StoreUnreachable
from ledger.store.postgres import PostgresReader, PostgresStore, SchemaNameUnfit
from ledger.store.protocol import Batch, Head
from ledger.store.schema import APPEND_ONLY
from ledger.tlog.merkle import Frontier
from tests.support import logs, oracle
from tests.support.postgres import Server, free_port


@pytest.fixture
def medium(postgres_server: Server) -> logs.Postgres:
    return logs.Postgres(postgres_server.dsn)


async def sql(medium: logs.Postgres, directory: Path, text: str) -> str:
    """Runs SQL as the owner of the schema would."""
    connection = await asyncpg.connect(medium.dsn, server_settings={"search_path": medium.schema(directory)})
    try:
        return str(await connection.execute(text))
    finally:
        await connection.close()


async def filled(medium: logs.Postgres, directory: Path, size: int) -> logs.Log:
    log = await logs.begin(directory, store=medium.open(directory))
    await log.add(*range(size))
    return log


@pytest.mark.parametrize("table", [*APPEND_ONLY, "checkpoint"])
async def test_the_second_fence_refuses_to_change_what_was_written(
    medium: logs.Postgres, tmp_path: Path, table: str
) -> None:
    log = await filled(medium, tmp_path, 3)
    await log.publisher.publish()
    column = {"checkpoint": "note", "entry": "data", "idempotency": "idx", "tile": "root", "actor": "value"}
    column |= {"tag": "tag", "certificate": "der", "evidence_blob": "data"}
    value = "'\\x00'::bytea" if table == "checkpoint" else column[table]
    update = f"UPDATE {table} SET {column[table]} = {value}"  # noqa: S608 -- our own names
    for act in (update, f"DELETE FROM {table}", f"TRUNCATE {table}"):  # noqa: S608 -- as above
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
            await sql(medium, tmp_path, act)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never goes back"):
        await sql(medium, tmp_path, "UPDATE head SET size = size - 1")
    await log.close()


async def test_rows_of_a_whole_table_are_read_in_one_moment(medium: logs.Postgres, tmp_path: Path) -> None:
    log = await filled(medium, tmp_path, 700)
    reader = PostgresReader.open(medium.dsn, schema=medium.schema(tmp_path))
    with reader.snapshot():
        assert reader.head().size == 700
        await log.add(700)
        assert reader.head().size == 700
        assert len(list(reader.statements())) == 700
        assert [name for name, _ in reader.stream_heads()] == ["fsr/s0", "fsr/s1", "fsr/s2"]
    assert reader.head().size == 701
    assert len(list(reader.statements())) == 701
    oracle.require_sound(reader)
    reader.close()
    await log.close()


async def test_a_batch_of_any_size_is_one_commit(medium: logs.Postgres, tmp_path: Path) -> None:
    log = await filled(medium, tmp_path, 501)
    await log.add(*range(501, 1001))
    await log.publisher.publish()
    oracle.require_sound(log.store)
    oracle.require_audited(log.store, tmp_path, logs.signer().vkey)
    await log.close()


def test_a_schema_that_holds_no_log_is_not_opened(medium: logs.Postgres, tmp_path: Path) -> None:
    for kind in (PostgresReader, PostgresStore):
        with pytest.raises(StoreAbsent):
            kind.open(medium.dsn, schema=medium.schema(tmp_path))


@pytest.mark.parametrize("change", ["version = 99", "application = 'other'"])
async def test_another_schema_version_is_not_opened(medium: logs.Postgres, tmp_path: Path, change: str) -> None:
    medium.open(tmp_path).close()
    await sql(medium, tmp_path, f"UPDATE about SET {change}")  # noqa: S608 -- our own text
    for kind in (PostgresReader, PostgresStore):
        with pytest.raises(StoreForeign):
            await asyncio.to_thread(kind.open, medium.dsn, schema=medium.schema(tmp_path))


def test_replicas_that_start_at_once_make_one_schema(medium: logs.Postgres, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: medium.open(tmp_path), range(4)))
    heads = {store.begin_log(logs.ORIGIN).size for store in opened}
    assert heads == {0}
    with pytest.raises(StoreForeign):
        opened[0].begin_log("log.example/other")
    for store in opened:
        store.close()


@pytest.mark.parametrize("name", ["", "A", "a b", 'a"; DROP', "a" * 64, "1a"])
def test_a_schema_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(SchemaNameUnfit):
        PostgresStore.open("postgresql://nobody@127.0.0.1/none", schema=name)


@pytest.mark.parametrize(
    "dsn", ["postgresql://someone:s3cret@127.0.0.1:{port}/db", "s3cret://x", "postgresql://s3cret@127.0.0.1:x/db"]
)
def test_no_error_says_where_the_server_is_nor_with_which_password(dsn: str) -> None:
    with pytest.raises(StoreUnreachable) as refused:
        PostgresStore.open(dsn.format(port=free_port()))
    error: BaseException | None = refused.value
    assert "s3cret" not in str(error)
    assert "127.0.0.1" not in str(error)
    assert refused.value.__suppress_context__ or refused.value.__cause__ is None


async def test_a_commit_on_top_of_another_head_is_refused_as_a_whole(medium: logs.Postgres, tmp_path: Path) -> None:
    log = await filled(medium, tmp_path, 3)
    frontier = Frontier()
    frontier.append(bytes(32))
    await log.store.lock()
    with pytest.raises(StoreDamaged):
        await log.store.commit(Batch(Head(logs.ORIGIN, 1, frontier, 1), entries=[(900, b"data", bytes(32), None, 1)]))
    assert log.store.head().size == 3
    await log.add(3)
    oracle.require_sound(log.store)
    await log.close()


async def test_a_reader_cannot_write(medium: logs.Postgres, tmp_path: Path) -> None:
    log = await filled(medium, tmp_path, 1)
    reader = PostgresReader.open(medium.dsn, schema=medium.schema(tmp_path))
    with reader.snapshot(), pytest.raises(StoreUnreachable):
        reader._one("UPDATE settled SET times = 0 RETURNING 1")
    reader.close()
    await log.close()
