"""What is PostgreSQL's own in the vault; everything else is asked of both engines by the files beside this one."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import asyncpg
import pytest

from ledger.privacy import tables
from ledger.privacy.database import SqliteDatabase
from ledger.privacy.errors import VaultAbsent, VaultMalformed
from ledger.privacy.postgres import PostgresDatabase
from ledger.store.errors import StoreDamaged, StoreDenied, StoreUnreachable
from tests.support.postgres import Server

_names = count(1)
VERSIONS = ("CREATE TABLE thing (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, body BLOB) STRICT",)


@pytest.fixture
def schema() -> str:
    return f"own_{next(_names)}"


@pytest.fixture
def database(postgres_server: Server, schema: str) -> Iterator[PostgresDatabase]:
    opened = PostgresDatabase(postgres_server.dsn, schema, VERSIONS, create=True)
    yield opened
    opened.close()


def put(database: PostgresDatabase, name: str) -> None:
    database.execute("INSERT INTO thing (name) VALUES (?)", (name,))


def names(database: PostgresDatabase) -> list[str]:
    return [row[0] for row in database.rows("SELECT name FROM thing ORDER BY id")]


def test_a_schema_that_is_not_there_is_absent(postgres_server: Server) -> None:
    with pytest.raises(VaultAbsent):
        PostgresDatabase(postgres_server.dsn, "nowhere", VERSIONS, create=False)


async def test_a_replica_that_starts_while_another_makes_the_schema_waits_for_it(
    postgres_server: Server, schema: str
) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    other, watch = await asyncpg.connect(postgres_server.dsn), await asyncpg.connect(postgres_server.dsn)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", schema)
        await other.execute(f"CREATE SCHEMA {schema}")
        late = asyncio.create_task(
            asyncio.to_thread(PostgresDatabase, postgres_server.dsn, schema, VERSIONS, create=True)
        )
        async with asyncio.timeout(30):
            while not await watch.fetchval(waiting):  # noqa: ASYNC110 -- the server has no event for it
                await asyncio.sleep(0.01)
    made = await late
    put(made, "mine")
    assert names(made) == ["mine"]
    made.close()
    await other.close()
    await watch.close()


def test_a_later_version_is_refused_and_an_earlier_one_brought_up(
    database: PostgresDatabase, postgres_server: Server, schema: str
) -> None:
    put(database, "kept")
    later = (*VERSIONS, "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY) STRICT")
    brought_up = PostgresDatabase(postgres_server.dsn, schema, later, create=False)
    assert (names(brought_up), brought_up.rows("SELECT * FROM other")) == (["kept"], [])
    brought_up.close()
    with pytest.raises(VaultMalformed) as refused:
        PostgresDatabase(postgres_server.dsn, schema, VERSIONS, create=False)
    assert (refused.value.expected, refused.value.found) == ("1", "2")


def test_somebody_elses_schema_is_refused(database: PostgresDatabase, postgres_server: Server, schema: str) -> None:
    database.execute("UPDATE about SET application = 'else'")
    with pytest.raises(VaultMalformed):
        PostgresDatabase(postgres_server.dsn, schema, VERSIONS, create=False)


def test_what_fails_in_a_transaction_leaves_nothing(database: PostgresDatabase) -> None:
    def half() -> None:
        with database.transaction():
            put(database, "half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    put(database, "whole")
    assert names(database) == ["whole"]


def test_a_transaction_that_the_server_gave_up_is_not_called_done(database: PostgresDatabase) -> None:
    """A statement that failed inside, whoever caught that, makes COMMIT a rollback."""

    def swallowing() -> None:
        with database.transaction():
            put(database, "first")
            with suppress(StoreDamaged):
                database.execute("SELECT 1 / 0")

    with pytest.raises(StoreUnreachable):
        swallowing()
    assert names(database) == []


async def end_sessions(server: Server, schema: str) -> None:
    killer = await asyncpg.connect(server.dsn)
    await killer.execute(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid = "
        "(hashtextextended($1, 0) & 4294967295)::bigint",
        f"flexledger {schema}",
    )
    await killer.close()


async def test_a_transaction_whose_connection_is_lost_is_not_continued_on_another(
    database: PostgresDatabase, postgres_server: Server, schema: str
) -> None:
    """Its first half would be lost and its second half stand alone."""

    async def both_halves() -> None:
        with database.transaction():
            put(database, "first half")
            await end_sessions(postgres_server, schema)
            put(database, "second half")

    with pytest.raises(StoreUnreachable):
        await both_halves()
    put(database, "after")
    assert names(database) == ["after"]


async def test_rows_that_an_older_session_still_sees_are_not_called_gone(
    database: PostgresDatabase, postgres_server: Server, schema: str
) -> None:
    """A23 on a server: the tombstone waits for the reader."""
    put(database, "gone")
    reader = await asyncpg.connect(postgres_server.dsn, server_settings={"search_path": schema})
    held = reader.transaction(isolation="repeatable_read")
    await held.start()
    assert await reader.fetchval("SELECT count(*) FROM thing") == 1
    database.execute("DELETE FROM thing")
    assert not database.empty_log()
    await held.rollback()
    await reader.close()
    assert database.empty_log()


async def test_a_session_of_another_role_that_still_sees_them_counts_though_its_state_is_hidden(
    postgres_server: Server, schema: str
) -> None:
    dsn = await postgres_server.make_role(f"CREATE SCHEMA {schema} AUTHORIZATION {{role}}")
    database = PostgresDatabase(dsn, schema, VERSIONS, create=True)
    put(database, "gone")
    reader = await asyncpg.connect(postgres_server.dsn, server_settings={"search_path": schema})
    held = reader.transaction(isolation="repeatable_read")
    await held.start()
    assert await reader.fetchval("SELECT count(*) FROM thing") == 1
    database.execute("DELETE FROM thing")
    assert not database.empty_log()
    await held.rollback()
    await reader.close()
    assert database.empty_log()
    database.close()


async def test_a_role_that_does_not_own_the_vaults_tables_is_refused_for_it_could_not_vacuum(
    database: PostgresDatabase, postgres_server: Server, schema: str
) -> None:
    dsn = await postgres_server.make_role(
        f"GRANT USAGE ON SCHEMA {schema} TO {{role}}", f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {{role}}"
    )
    for create in (False, True):
        with pytest.raises(StoreDenied, match="another role's; expected a role that owns them"):
            PostgresDatabase(dsn, schema, VERSIONS, create=create)
    put(database, "still there")
    assert names(database) == ["still there"]


async def test_a_role_that_owns_its_schema_and_nothing_else_makes_the_vault_in_it(
    postgres_server: Server, schema: str
) -> None:
    dsn = await postgres_server.make_role(f"CREATE SCHEMA {schema} AUTHORIZATION {{role}}")
    for _ in range(2):
        opened = PostgresDatabase(dsn, schema, VERSIONS, create=True)
        put(opened, "kept")
        opened.close()
    with pytest.raises(StoreDenied):
        PostgresDatabase(dsn, f"{schema}_other", VERSIONS, create=True)


def test_one_script_makes_the_same_tables_on_both(
    postgres_server: Server, schema: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = PostgresDatabase(postgres_server.dsn, schema, tables.VERSIONS, create=True)
    file = SqliteDatabase(tmp_path_factory.mktemp("both") / "vault.db", tables.VERSIONS, create=True)
    theirs = server.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ? AND table_name <> 'about'",
        (schema,),
    )
    ours = file.rows("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'")
    assert sorted(theirs) == sorted(ours)
    assert len(ours) > 40
    server.close()
    file.close()
