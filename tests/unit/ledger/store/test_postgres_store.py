"""What is about PostgreSQL alone: schemas, fences, versions, and that no error says where the server is."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from ledger.errors import LedgerError
from ledger.store.errors import HeadMoved, StoreAbsent, StoreDamaged, StoreDenied, StoreForeign, StoreUnreachable
from ledger.store.postgres import PostgresStore
from ledger.store.postgres_link import code_of
from ledger.store.postgres_reads import PostgresReader, SchemaNameUnfit
from ledger.store.protocol import Batch, Found, Head, Wanted
from ledger.store.schema import APPEND_ONLY
from ledger.tlog.merkle import Frontier
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.postgres import Server, free_port

pytestmark = pytest.mark.slow  # takes seconds


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


async def test_a_key_that_no_server_takes_is_not_there(medium: logs.Postgres, tmp_path: Path) -> None:
    log = await filled(medium, tmp_path, 1)
    assert log.store.projection("request", "fsr-\0") is None
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


@pytest.mark.parametrize(("is_held", "refusal"), [(True, StoreDamaged), (False, HeadMoved)])
async def test_a_commit_on_top_of_another_head_is_refused_as_a_whole(
    medium: logs.Postgres, tmp_path: Path, is_held: bool, refusal: type[LedgerError]
) -> None:
    """Under the lock nobody can have moved it; without, another replica did, and the batch is judged again."""
    log = await filled(medium, tmp_path, 3)
    frontier = Frontier()
    frontier.append(bytes(32))
    log.store._contended = int(is_held)
    await log.store.begin()
    await log.store.look_up(Wanted())
    log.store._base = Head(logs.ORIGIN, 0, Frontier(), 0)
    with pytest.raises(refusal):
        await log.store.commit(
            Batch(
                Head(logs.ORIGIN, 1, frontier, 1),
                entries=[(0, b"data", bytes(32), None, 1)],
                statements=[("NL-CSO", "never", 0)],
            )
        )
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


async def test_whoever_was_overtaken_judges_again_under_the_lock(medium: logs.Postgres, tmp_path: Path) -> None:
    one = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    two = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await one.add(0, streams=1)
    look_up = two.store.look_up
    overtaken = []

    async def late(wanted: Wanted) -> Found:
        found = await look_up(wanted)
        if not overtaken:
            overtaken.append(True)
            await one.add(1, streams=1)
        return found

    two.store.look_up = late
    await two.add(2, streams=1)
    assert two.store._contended > 0
    assert [int(value) for kind, _, value, *_ in one.store.projections() if kind == "count"] == [3]
    oracle.require_sound(one.store)
    await one.close()
    await two.close()


async def test_a_refusal_that_was_judged_on_a_head_that_moved_is_judged_again(
    medium: logs.Postgres, tmp_path: Path
) -> None:
    one = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    two = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await one.add(0, streams=1)
    look_up = two.store.look_up
    looks = []

    async def late(wanted: Wanted) -> Found:
        found = await look_up(wanted)
        looks.append(found.head.size)
        if len(looks) == 1:
            await one.add(1, streams=1)
        return found

    two.store.look_up = late
    (again,) = await two.appender.append_many([logs.submitted(logs.dealt(0, 1))])
    assert (again.index, again.duplicate) == (0, True)
    assert looks == [1, 2]
    await one.close()
    await two.close()


async def test_a_role_that_owns_its_schema_and_nothing_else_begins_a_log(
    postgres_server: Server, medium: logs.Postgres, tmp_path: Path
) -> None:
    owned = f"CREATE SCHEMA {medium.schema(tmp_path)} AUTHORIZATION {{role}}"
    narrow = logs.Postgres(await postgres_server.make_role(owned))
    log = await filled(narrow, tmp_path, 2)
    await log.close()
    with pytest.raises(StoreDenied):
        narrow.open(tmp_path / "elsewhere")


async def test_the_rights_that_the_page_lists_are_enough_once_the_tables_are_there(
    postgres_server: Server, medium: logs.Postgres, tmp_path: Path
) -> None:
    begun = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await begun.add(0)
    await begun.close()
    narrow = logs.Postgres(await postgres_server.make_role(*_rights_of_the_page(medium.schema(tmp_path))))
    log = await logs.begin(tmp_path, rules=Tally(), store=narrow.open(tmp_path))
    await log.add(*range(1, 5))
    # Another batch, for rows that are there are changed by another right than new ones; and one large enough for COPY.
    await log.add(*range(5, 700))
    await log.publisher.publish()
    assert log.store.head().size == 700
    assert sum(int(value) for kind, _, value, *_ in log.store.projections() if kind == "count") == 700
    oracle.require_sound(log.store)
    await log.close()


async def test_a_right_that_is_missing_is_said_at_once_and_not_waited_for(
    postgres_server: Server, medium: logs.Postgres, tmp_path: Path
) -> None:
    begun = await logs.begin(tmp_path, rules=Tally(), store=medium.open(tmp_path))
    await begun.add(0)
    await begun.close()
    rights = [one for one in _rights_of_the_page(medium.schema(tmp_path)) if "projection" not in one]
    narrow = logs.Postgres(await postgres_server.make_role(*rights))
    log = await logs.begin(tmp_path, rules=Tally(), store=narrow.open(tmp_path))
    (said,) = await log.appender.append_many([logs.submitted(logs.dealt(1, 3))])
    assert isinstance(said, StoreDenied)
    assert said.found == "InsufficientPrivilegeError"
    assert log.store.head().size == 1
    await log.close()


def _rights_of_the_page(schema: str) -> list[str]:
    """What docs/how-to/run-on-postgresql.md grants to the role `writer`, for a schema of a test."""
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "run-on-postgresql.md").read_text()
    block = page.partition("```sql\nGRANT")[2].partition("```")[0]
    said = f"GRANT{block}".replace("TO writer", "TO {role}").replace("SCHEMA flexledger", f"SCHEMA {schema}")
    return [one.strip().replace("flexledger.", f"{schema}.") for one in said.split(";") if one.strip()]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLCertVerificationError(1, "host db.example"), "no TLS that both accept"),
        (ConnectionError("server at db.example rejected SSL upgrade"), "has no TLS, or broke off"),
        (ConnectionRefusedError(111, "db.example"), "does not answer, or takes no writes"),
        (asyncpg.ClientConfigurationError("db.example"), "the address of the database server cannot be used"),
        (asyncpg.InvalidPasswordError("db.example"), "does not let us in"),
    ],
)
def test_why_a_server_is_not_reached_is_said_without_saying_where_it_is(error: Exception, words: str) -> None:
    said = code_of(error)
    assert isinstance(said, StoreUnreachable)
    assert words in str(said)
    assert "db.example" not in str(said)


async def test_a_parameter_that_the_server_does_not_take_is_no_damage_of_the_log(
    medium: logs.Postgres, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnreachable, match="a parameter of its address"):
        logs.Postgres(f"{medium.dsn}?no_such_setting=1").open(tmp_path)
