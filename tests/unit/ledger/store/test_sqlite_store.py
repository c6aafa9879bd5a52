import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from ledger.store.errors import (
    EntryAbsent,
    StoreAbsent,
    StoreDamaged,
    StoreExists,
    StoreForeign,
    StoreFull,
    StoreLocked,
)
from ledger.store.protocol import Batch, Head, Wanted
from ledger.store.schema import APPEND_ONLY, VERSIONS
from ledger.store.sqlite import SqliteReader, SqliteStore
from ledger.tlog.merkle import Frontier
from tests.support import logs

pytestmark = pytest.mark.slow  # takes seconds


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return await logs.build(tmp_path, 300)


def test_nobody_but_its_owner_may_read_it_whatever_folder_it_lies_in(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        store = SqliteStore.open(tmp_path / "new.db", create=True)
    finally:
        os.umask(mask)
    store.begin_log(logs.ORIGIN)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    store.close()
    assert set(modes) == {"new.db", "new.db-wal", "new.db-shm", "new.db.lock"}
    assert set(modes.values()) == {0o600}, modes


def test_a_second_writer_is_refused_until_the_first_is_gone(path: Path) -> None:
    first = SqliteStore.open(path)
    with pytest.raises(StoreLocked):
        SqliteStore.open(path)
    first.close()
    SqliteStore.open(path).close()


def test_a_new_log_is_never_written_over_a_file(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreExists):
        SqliteStore.open(path, create=True)
    with pytest.raises(StoreAbsent):
        SqliteStore.open(tmp_path / "none.db")
    with pytest.raises(StoreAbsent):
        SqliteReader.open(tmp_path / "none.db")


@pytest.mark.parametrize("pragma", ["user_version = 99", "application_id = 7"])
def test_another_schema_is_not_opened(path: Path, pragma: str) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA {pragma}")
    db.close()
    for kind in (SqliteReader, SqliteStore):
        with pytest.raises(StoreForeign):
            kind.open(path)


def test_a_file_of_the_first_version_is_brought_up_by_its_writer_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    db = sqlite3.connect(path)
    db.executescript(f"{VERSIONS[0]} PRAGMA user_version = 1;")
    db.execute("INSERT INTO head VALUES (1, ?, 0, ?, 0)", (logs.ORIGIN, Frontier().dump()))
    db.commit()
    db.close()
    with pytest.raises(StoreForeign):
        SqliteReader.open(path)
    store = SqliteStore.open(path)
    assert store.begin_log(logs.ORIGIN).projected is None
    assert list(store.projections()) == []
    store.close()
    SqliteReader.open(path).close()


def test_a_file_that_is_no_database_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDamaged):
        SqliteReader.open(tmp_path / "log.db")


@pytest.mark.parametrize("table", [*APPEND_ONLY, "checkpoint"])
def test_the_second_fence_refuses_to_change_what_was_written(path: Path, table: str) -> None:
    store = SqliteStore.open(path)
    store.put_certificate("x", b"der")
    store.put_evidence("00", "crl", b"data")
    store.connection.execute("INSERT INTO tag VALUES (1, 'evse', 'tag')")
    column = {"checkpoint": "note", "entry": "data", "idempotency": "idx"}.get(table, "rowid")
    column = {"tag": "tag", "certificate": "der"}.get(table, column)
    for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):  # noqa: S608 -- our own names
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store.connection.execute(change)
    with pytest.raises(sqlite3.IntegrityError, match="never goes back"):
        store.connection.execute("UPDATE head SET size = size - 1")
    store.close()


def test_a_reader_cannot_write(path: Path) -> None:
    reader = SqliteReader.open(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute("INSERT INTO room VALUES (x'00')")
    reader.close()


def test_a_reader_reads_a_copy_that_lies_on_a_read_only_medium(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.sqlite.os.access", lambda *_: False)
    reader = SqliteReader.open(path)
    assert reader.head().size == 300
    reader.close()
    assert not list(path.parent.glob("*-wal"))


def test_durability_is_full(path: Path) -> None:
    store = SqliteStore.open(path)
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


async def test_a_commit_on_top_of_another_head_is_refused_as_a_whole(path: Path) -> None:
    store = SqliteStore.open(path)
    frontier = Frontier()
    frontier.append(bytes(32))
    batch = Batch(Head(logs.ORIGIN, 1, frontier, 1), entries=[(900, b"data", bytes(32), None, 1)])
    with pytest.raises(StoreDamaged):
        await store.commit(batch)
    with pytest.raises(EntryAbsent):
        store.entry(900)
    store.close()


def test_a_full_medium_keeps_what_was_there_and_stays_readable(tmp_path: Path) -> None:
    async def play() -> None:
        log = await logs.begin(tmp_path)
        await log.add(*range(20))
        pages = log.store.connection.execute("PRAGMA page_count").fetchone()[0]
        log.store.connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        kept = 20
        for number in range(20, 200):
            try:
                await log.appender.append(logs.submitted(logs.dealt(number)))
            except StoreFull:
                break
            kept += 1
        assert kept < 200
        assert log.store.head().size == log.appender.head.size == kept
        with pytest.raises(StoreFull):
            await log.appender.append(logs.submitted(logs.dealt(kept)))
        assert log.store.entry(kept - 1).index == kept - 1
        log.store.connection.execute("PRAGMA max_page_count = 1000000")
        assert (await log.appender.append(logs.submitted(logs.dealt(kept)))).index == kept
        await log.close()

    asyncio.run(play())


def test_evidence_is_kept_by_digest_and_once(path: Path) -> None:
    store = SqliteStore.open(path)
    assert store.certificate("x") is None
    store.put_certificate("x", b"first")
    store.put_certificate("x", b"second")
    assert store.certificate("x") == b"first"
    store.put_evidence_many([("00", "crl", b"a"), ("01", "ca", b"b"), ("00", "crl", b"c")])
    assert store.evidence("00") == ("crl", b"a")
    assert store.evidence("02") is None
    store.close()


def test_rows_are_read_across_the_size_of_a_page(path: Path) -> None:
    reader = SqliteReader.open(path)
    assert [row.index for row in reader.entries(3, 299)] == list(range(3, 299))
    assert [row.index for row in reader.entries(290, 400)] == list(range(290, 300))
    with pytest.raises(EntryAbsent):
        reader.entry(300)
    assert dict(reader.stream_heads())["fsr/s1"].seq == 43
    with reader.snapshot():
        assert reader.head().size == 300
    reader.close()


@pytest.mark.parametrize("change", ["size = size + 1", "frontier = x'00'", "rec_ms = 1", "projected = 'rules/0'"])
async def test_a_head_that_was_changed_under_its_writer_stops_the_next_batch(tmp_path: Path, change: str) -> None:
    log = await logs.begin(tmp_path)
    await log.add(1, 2, 3)
    log.store.connection.execute(f"UPDATE head SET {change}")  # noqa: S608 -- our own words
    (outcome,) = await log.appender.append_many([logs.submitted(logs.dealt(4))])
    assert isinstance(outcome, StoreDamaged)
    assert log.store.last_index() == 2
    await log.close()


async def test_a_list_and_a_lone_statement_find_the_same(path: Path) -> None:
    store = SqliteStore.open(path)
    known, new = logs.dealt(5, 7).claims, logs.dealt(301, 7).claims
    keys = [(one.iss, one.jti) for one in (known, new)]
    names = ["fsr/s5", "fsr/none"]
    together = await store.look_up(Wanted(statements=keys, streams=names))
    apart = [
        await store.look_up(Wanted(statements=[key], streams=[name])) for key, name in zip(keys, names, strict=True)
    ]
    assert together.statements == {keys[0]: 5}
    assert [one.statements for one in apart] == [{keys[0]: 5}, {}]
    assert set(together.streams) == {"fsr/s5"}
    assert [one.streams for one in apart] == [together.streams, {}]
    store.close()
