"""An audit of a log that is in use, cut short, left by a kill, or on a medium that cannot be written."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ledger.audit.report import Report
from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.errors import LedgerError
from tests.crash.test_kill import run
from tests.support import logs


def audited(path: Path, **options: object) -> Report:
    source = SqliteSource(path)
    try:
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, **options)
    finally:
        source.close()


async def test_a_log_that_is_written_meanwhile_is_audited_as_of_one_moment(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(*range(300))
    await log.publisher.publish()
    is_done = False

    async def write() -> None:
        number = 300
        while not is_done:
            await log.add(*range(number, number + 7))
            await log.publisher.publish()
            number += 7
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    sizes = []
    for _ in range(5):
        report = await asyncio.to_thread(audited, tmp_path / "log.db", resolve=logs.resolve)
        assert report.ok, report.findings[:3]
        sizes.append(report.size)
    is_done = True
    await writing
    await log.close()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


@pytest.mark.slow
async def test_a_second_process_sees_a_later_moment_and_accuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.audit.run.MIN_BLOCKS", 1)
    log = await logs.begin(tmp_path)
    await log.add(*range(600))
    await log.publisher.publish()
    source = SqliteSource(tmp_path / "log.db")
    # The open tile of the moment that is audited is full before the other process opens the log.
    await log.add(*range(600, 800))
    await log.publisher.publish()
    try:
        report = audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, jobs=2)
    finally:
        source.close()
    await log.close()
    assert report.ok, report.findings[:3]
    assert report.size == 600


@pytest.mark.parametrize("part", [1, 4, 9])
async def test_a_file_that_was_cut_short_is_never_clean(tmp_path: Path, part: int) -> None:
    path = await logs.build(tmp_path, 600)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * part // 10)
    assert answer(path) != "clean"


def answer(path: Path) -> str:
    """Findings, or the code of an error; any other exception is one too many."""
    try:
        return "clean" if audited(path).ok else "findings"
    except LedgerError as error:
        return error.code


@pytest.mark.slow
def test_a_log_that_a_kill_left_is_audited_with_its_wal_and_not_changed(tmp_path: Path) -> None:
    acknowledged, _ = run(tmp_path, "after-commit", 10, 50)
    wal = tmp_path / "log.db-wal"
    before = (tmp_path / "log.db").read_bytes(), wal.read_bytes()
    assert before[1]
    report = audited(tmp_path / "log.db", resolve=logs.resolve)
    report.raise_for_findings()
    assert report.size == len(acknowledged) + 10
    assert ((tmp_path / "log.db").read_bytes(), wal.read_bytes()) == before


async def test_a_copy_on_a_read_only_medium_is_audited_and_nothing_is_written_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await logs.build(tmp_path, 300)
    copied = tmp_path / "medium"
    copied.mkdir()
    shutil.copy(path, copied / "log.db")
    # Whoever runs as root may write anywhere, so the medium is only said to be read-only.
    monkeypatch.setattr("ledger.store.sqlite.os.access", lambda *_: False)
    assert audited(copied / "log.db", resolve=logs.resolve).ok
    assert [one.name for one in copied.iterdir()] == ["log.db"]
