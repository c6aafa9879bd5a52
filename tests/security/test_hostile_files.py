"""Files that somebody handed over cost what they may, and no more: sparse ones, growing ones, crooked databases."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli import audit_places
from api.cli.audit import audit
from api.client.tls import client_context
from api.verification.errors import BundleUnusable
from ledger import plain_file
from ledger.audit import run as audits
from ledger.audit import static_source, store_source
from ledger.audit.report import Code, Report
from ledger.audit.source import LogSource
from ledger.audit.sqlite_source import MAX_VALUE_BYTES, SqliteSource
from ledger.audit.static_source import StaticSource
from ledger.store import sqlite
from ledger.store.errors import StoreDamaged, StoreForeign
from ledger.store.sqlite import SqliteReader, SqliteStore
from ledger.tlog import checkpoint, tiles
from pki import plain_file as pki_plain_file
from tests.support import logs

TERABYTES = 4 * 2**40
CPU_S = 1.0

READERS: dict[str, Callable[[Path], Any]] = {
    "ledger": plain_file.read,
    "pki": pki_plain_file.read,
    "library": plain_file.require,
    "TLS": client_context,
}


@pytest.fixture
def sparse(tmp_path: Path) -> Iterator[Path]:
    """Terabytes in which nothing is written."""
    file = tmp_path / "ca" / "sparse.pem"
    file.parent.mkdir()
    file.touch()
    try:
        os.truncate(file, TERABYTES)
    except OSError:
        pytest.skip("no sparse files of this size here")
    yield file
    file.unlink()


@pytest.mark.parametrize("reader", READERS)
def test_a_sparse_file_is_refused_before_it_is_read(sparse: Path, reader: str) -> None:
    began = time.process_time()
    with pytest.raises(OSError, match="larger than 67108864 bytes"):
        READERS[reader](sparse)
    assert time.process_time() - began < CPU_S


@pytest.mark.parametrize("module", [plain_file, pki_plain_file])
def test_a_file_of_the_largest_size_is_read_and_one_that_grows_meanwhile_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert module.read(file, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        module.read(file, 4)
    monkeypatch.setattr(module, "_require_size", lambda *_: None)
    with pytest.raises(OSError, match="larger than 4 bytes"):
        module.read(file, 4)


def test_a_folder_of_too_many_files_is_not_listed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    whole = Path.rglob

    def counted(folder: Path, pattern: str) -> Any:
        for one in whole(folder, pattern):
            seen.append(one)
            yield one

    monkeypatch.setattr(audit_places, "MAX_FILES", 2)
    monkeypatch.setattr(Path, "rglob", counted)
    (tmp_path / "ca").mkdir()
    for number in range(2):
        (tmp_path / "ca" / f"{number}.pem").touch()
    assert audit_places.credentials(tmp_path, None).certificates == {}
    for number in range(2, 9):
        (tmp_path / "ca" / f"{number}.pem").touch()
    seen.clear()
    with pytest.raises(BundleUnusable):
        audit_places.credentials(tmp_path, None)
    assert len(seen) == 3


def test_a_block_that_is_cut_off_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "cut.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n")
    assert audit_places.credentials(tmp_path, None).certificates == {}


# Databases


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "ledger.db"
    store = SqliteStore.open(file, create=True)
    store.begin_log("log.example/x")
    store.close()
    (tmp_path / "vkey").write_text("log.example/x+00000000+AAAA\n")
    return file


def crooked(file: Path, script: str) -> None:
    with sqlite3.connect(file) as db:
        db.executescript(script)
    db.close()


CROOKED = {
    "a view": "DROP TABLE entry; CREATE VIEW entry AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)"
    " SELECT i AS idx, x'00' AS data, x'00' AS leaf, NULL AS previous_idx, 0 AS actor FROM n WHERE i < 0;",
    "a computed column": "DROP TABLE entry; CREATE TABLE entry (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL,"
    " previous_idx INTEGER, actor INTEGER NOT NULL, data BLOB AS (zeroblob(900000000)) VIRTUAL) STRICT;",
    "a stored computed column": "DROP TABLE head; CREATE TABLE head (id INTEGER PRIMARY KEY, origin TEXT,"
    " size INTEGER AS (id + 1) STORED, frontier BLOB, rec_ms INTEGER, projected TEXT) STRICT;",
    "a virtual table": "DROP TABLE tag; CREATE VIRTUAL TABLE tag USING fts5(idx, name);",
}


@pytest.mark.parametrize("kind", CROOKED)
def test_a_database_that_computes_what_is_read_is_refused(database: Path, kind: str) -> None:
    SqliteReader.open(database).close()
    try:
        crooked(database, CROOKED[kind])
    except sqlite3.OperationalError as error:
        pytest.skip(f"not in this SQLite: {error}")
    for opened in (SqliteReader.open, SqliteSource, SqliteStore.open, lambda file: audit(file.parent, None)):
        with pytest.raises(StoreForeign):
            opened(database)


def test_a_value_that_is_too_large_is_not_loaded(database: Path) -> None:
    row = "INSERT INTO entry VALUES (0, zeroblob({}), x'00', NULL, 0)"
    larger = database.with_name("larger.db")
    shutil.copy(database, larger)
    crooked(database, row.format(MAX_VALUE_BYTES - 4_096))
    crooked(larger, row.format(MAX_VALUE_BYTES + 1))
    for file, found in ((database, ()), (larger, ("entry",))):
        source = SqliteSource(file)
        block = source.block(0, 1)
        assert tuple(fault.table for fault in block.faults) == found
        assert (block.rows[0][1] is None) == bool(found)
        source.close()


def test_a_piece_of_evidence_may_be_larger_and_not_without_end(database: Path) -> None:
    row = "INSERT INTO evidence_blob VALUES ('00', 'x', zeroblob({}))"
    crooked(database, row.format(sqlite.MAX_VALUE_BYTES // 2))
    source = SqliteSource(database)
    assert [finding.table for finding in source.faults(())] == ["evidence_blob"]
    source.close()
    crooked(database, "DROP TRIGGER evidence_blob_no_update")
    crooked(database, f"UPDATE evidence_blob SET data = zeroblob({sqlite.MAX_VALUE_BYTES + 1})")  # noqa: S608
    source = SqliteSource(database)
    with pytest.raises(StoreDamaged):
        list(source.faults(()))
    source.close()


# Logs that say of themselves that they never end


NEVER = 9 * 10**18


def checkpoint_of(size: int) -> bytes:
    return checkpoint.sign(checkpoint.Checkpoint(logs.ORIGIN, size, bytes(32)), [logs.signer()])


def audited(source: LogSource) -> Report:
    return audits.audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN)


def bundle(folder: Path, index: int, width: int = 256) -> None:
    file = folder / tiles.entries_path(index, width)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")


def test_a_static_log_ends_where_its_files_do_whatever_its_checkpoint_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint").write_bytes(checkpoint_of(NEVER))
    source = StaticSource(tmp_path)
    assert source.size() == 0
    bundle(tmp_path, 0)
    bundle(tmp_path, 1, 7)
    assert source.size() == 512
    report = audited(source)
    assert report.counts[Code.TRUNCATED.value] == 1
    assert [one.index for one in report.findings if one.code is Code.TRUNCATED] == [512]
    # So many may be missing in between; behind more nothing is looked for.
    monkeypatch.setattr(static_source, "MAX_MISSING", 3 * 256)
    bundle(tmp_path, 5)
    assert source.size() == 6 * 256
    bundle(tmp_path, 1_000)
    bundle(tmp_path, NEVER // 256)
    assert source.size() == 6 * 256
    for index in range(6, 1_000):
        bundle(tmp_path, index)
    bundle(tmp_path, 1_234_067)
    assert source.size() == 1_001 * 256
    (tmp_path / "checkpoint").write_bytes(checkpoint_of(1_002 * 256 + 1))
    assert source.size() == 1_002 * 256 + 1


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(checkpoint_of(NEVER))
    bundle(tmp_path, 1_000)
    for name in range(2, 1_000):
        (tmp_path / "tile/entries" / f"x{name:03d}").symlink_to(".")
        (tmp_path / "tile/entries/x001" / f"x{name:03d}").symlink_to(".")
    began = time.process_time()
    assert StaticSource(tmp_path).size() == 1_001 * 256
    assert time.process_time() - began < CPU_S


def test_a_database_ends_where_its_rows_do_whatever_the_last_one_is_called(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_source, "MAX_MISSING", 10)

    def size_with(*indices: int) -> int:
        rows = ",".join(f"({index}, x'00', x'00', NULL, 0)" for index in indices)
        crooked(database, f"INSERT INTO entry VALUES {rows}")  # noqa: S608
        source = SqliteSource(database)
        try:
            return source.size()
        finally:
            source.close()

    assert size_with(0, 1, 2) == 3
    assert size_with(12, 13) == 14
    assert size_with(16) == 14
    assert size_with(NEVER, NEVER + 1) == 14
    report = audited(source := SqliteSource(database))
    source.close()
    missing = [one for one in report.findings if one.code is Code.ENTRY_MISSING and one.found is not None]
    assert [(one.index, one.found) for one in missing] == [(14, str(NEVER + 1))]


def test_a_database_whose_only_row_is_the_last_of_all_has_no_entries(database: Path) -> None:
    crooked(database, f"INSERT INTO entry VALUES ({NEVER}, x'00', x'00', NULL, 0)")  # noqa: S608
    source = SqliteSource(database)
    assert source.size() == 0
    assert audited(source).counts[Code.ENTRY_MISSING.value] == 1
    source.close()


def test_a_database_that_cannot_be_counted_has_no_more_entries_than_there_is_room_for(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: object) -> int:
        raise StoreDamaged("the database refused")

    monkeypatch.setattr(SqliteReader, "entry_count", damaged)
    crooked(database, f"INSERT INTO entry VALUES ({NEVER}, x'00', x'00', NULL, 0)")  # noqa: S608
    source = SqliteSource(database)
    assert source.size() == database.stat().st_size // 8
    source.close()
