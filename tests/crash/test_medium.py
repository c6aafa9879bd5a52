"""A full disk, and an old copy put back."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from ledger.audit.report import Code, listed
from ledger.audit.run import audit
from ledger.audit.source import SignedNote
from ledger.audit.sqlite_source import SqliteSource
from ledger.store.errors import RolledBack, StoreFull
from ledger.store.sqlite import SqliteStore
from tests.support import logs


def report_of(path: Path, held: list[bytes] | None = None):
    source = SqliteSource(path)
    try:
        return audit(
            source,
            vkeys=[logs.signer().vkey],
            origin=logs.ORIGIN,
            held=[SignedNote(one, None, "held") for one in held or []],
        )
    finally:
        source.close()


async def test_a_full_medium_fails_batches_as_a_whole_until_there_is_room(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(*range(300))
    await log.publisher.publish()
    pages = log.store.connection.execute("PRAGMA page_count").fetchone()[0]
    log.store.connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    kept = 300
    refused = 0
    while refused < 3:
        batch = [logs.submitted(logs.dealt(number)) for number in range(kept, kept + 20)]
        outcomes = await log.appender.append_many(batch)
        if isinstance(outcomes[0], StoreFull):
            assert {type(outcome) for outcome in outcomes} == {StoreFull}
            refused += 1
        else:
            assert [outcome.index for outcome in outcomes] == list(range(kept, kept + 20))
            kept += 20
        assert log.appender.head.size == log.store.head().size == kept
        assert log.store.entry(kept - 1).index == kept - 1
    log.store.connection.execute("PRAGMA max_page_count = 1073741823")
    await log.add(*range(kept, kept + 20))
    await log.publisher.publish()
    await log.close()
    report = report_of(tmp_path / "log.db")
    report.raise_for_findings()
    assert report.size == kept + 20


async def test_an_old_copy_put_back_is_served_and_not_signed_and_the_audit_says_so(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(*range(100))
    await log.publisher.publish()
    backup = sqlite3.connect(tmp_path / "backup.db")
    log.store.connection.backup(backup)
    backup.close()
    await log.add(*range(100, 150))
    held = await log.publisher.publish()
    await log.close()

    shutil.copy(tmp_path / "backup.db", tmp_path / "log.db")
    log = await logs.begin(tmp_path)
    with pytest.raises(RolledBack):
        await log.publisher.publish()
    assert log.store.entry(99).index == 99
    await log.close()
    report_of(tmp_path / "log.db").raise_for_findings()
    (cut,) = listed(report_of(tmp_path / "log.db", [held]).findings, Code.TRUNCATED)
    assert (cut.expected, cut.found) == ("150", "100")


async def test_a_killed_writers_lock_does_not_stay(tmp_path: Path) -> None:
    path = await logs.build(tmp_path, 3)
    assert path.with_name("log.db.lock").exists()
    SqliteStore.open(path).close()
