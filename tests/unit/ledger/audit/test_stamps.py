"""Recording times beside time stamps: what contradicts them is named by its entry, on every engine, and nothing else."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from ledger.audit import stamps
from ledger.audit.report import Code, Finding
from ledger.audit.stamps import TOLERANCE_MS, Stamp
from ledger.records.log import TimeStamped
from tests.support import attacks, logs
from tests.support.logs import START_MS
from tests.support.tamper import audited, source_of, tampered

SIZE, EVERY, STAMPED = 300, 50, 150
TEN_MINUTES_MS = 600_000
ACCURACY_MS = 1_000
MARGIN_MS = ACCURACY_MS + TOLERANCE_MS


async def build(directory: Path, *, ahead: tuple[int, int] = (0, 0)) -> None:
    """A log that tells of a stamp over its first 150 entries at entry 200; from one entry to another its clock is ten
    minutes ahead.
    """
    log = await logs.begin(directory)
    for start in range(0, SIZE, EVERY):
        if start == 200:
            told = TimeStamped(size=STAMPED, token_sha256="ab" * 32)
            await log.appender.append(logs.submitted(logs.said(9_999, stream="log/timestamps", what=told)))
        log.clock.set_ms(START_MS + 1_000 * start + TEN_MINUTES_MS * (ahead[0] <= start < ahead[1]))
        await log.add(*range(start, start + EVERY), streams=7)
        await log.publisher.publish()
    await log.close()


def found(directory: Path, *, at_ms: int, told_ms: int) -> list[Finding]:
    """What is said of the one stamp, made at `at_ms` and told of at `told_ms`."""
    report = audited(directory)
    assert report.stamped == (200,)
    one = Stamp(index=200, rec_ms=told_ms, size=STAMPED, at_ms=at_ms, accuracy_ms=ACCURACY_MS)
    with closing(source_of(directory)) as source:
        return list(stamps.compare(source, [one, one]))


@pytest.mark.usefixtures("engine")
def test_a_clock_that_was_ahead_is_named_by_the_first_entry_that_existed_before_it_was_recorded(tmp_path: Path) -> None:
    asyncio.run(build(tmp_path, ahead=(100, 150)))
    truly_ms = START_MS + 1_000 * 150
    (late,) = found(tmp_path, at_ms=truly_ms, told_ms=truly_ms)
    assert (late.code, late.index, late.window_end) == (Code.RECORDED_AFTER_STAMP, 100, STAMPED)
    assert late.found == str(START_MS + 1_000 * 100 + TEN_MINUTES_MS)
    assert late.expected == f"at most {truly_ms + MARGIN_MS}"


@pytest.mark.usefixtures("engine")
def test_who_tells_of_a_stamp_before_it_was_made_is_named(tmp_path: Path) -> None:
    asyncio.run(build(tmp_path))
    told_ms = START_MS + 1_000 * 150
    first, second = found(tmp_path, at_ms=told_ms + TEN_MINUTES_MS, told_ms=told_ms)
    assert first == second
    assert (first.code, first.index) == (Code.RECORDED_BEFORE_STAMP, 200)
    assert first.expected == f"at least {told_ms + TEN_MINUTES_MS - MARGIN_MS}"


@pytest.mark.usefixtures("engine")
def test_entries_that_came_in_while_the_stamp_was_on_its_way_contradict_nothing(tmp_path: Path) -> None:
    """Entries 150 to 199 are older than the stamp and not under it, and so they may be."""
    asyncio.run(build(tmp_path))
    assert found(tmp_path, at_ms=START_MS + 1_000 * 199, told_ms=START_MS + 1_000 * 200) == []


def test_what_differs_by_no_more_than_the_clocks_may_is_left_alone(tmp_path: Path) -> None:
    asyncio.run(build(tmp_path))
    last_ms = START_MS + 1_000 * 100  # when entries 100 to 149 were recorded
    assert found(tmp_path, at_ms=last_ms - MARGIN_MS, told_ms=last_ms) == []
    (late,) = found(tmp_path, at_ms=last_ms - MARGIN_MS - 1, told_ms=last_ms)
    assert (late.code, late.index) == (Code.RECORDED_AFTER_STAMP, 100)
    assert found(tmp_path, at_ms=last_ms, told_ms=last_ms - MARGIN_MS) == []
    assert {one.code for one in found(tmp_path, at_ms=last_ms, told_ms=last_ms - MARGIN_MS - 1)} == {
        Code.RECORDED_BEFORE_STAMP
    }


@pytest.mark.usefixtures("engine")
def test_a_stamp_is_seen_in_a_block_with_faults_too_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    asyncio.run(build(tmp_path))
    with tampered(tmp_path) as db:
        attacks.body(db, 30)
        db.execute("UPDATE entry SET data = ? WHERE idx = ?", (b"{", STAMPED - 1))
    assert audited(tmp_path).stamped == (200,)
    assert found(tmp_path, at_ms=0, told_ms=0) == []
