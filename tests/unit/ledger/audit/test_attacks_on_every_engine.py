"""What the owner of a database can do to a log beside the six depths, on every engine: each attack is named, and its place."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.audit.report import Code, Finding
from tests.support import attacks, logs
from tests.support.attacks import Tampered
from tests.support.tamper import audited, tampered

pytestmark = pytest.mark.slow  # takes seconds

SIZE, EVERY, STREAMS = 300, 50, 7
AT = 110
"""In the middle of the full tile and between two checkpoints, 100 and 150."""


@dataclass(frozen=True)
class Attack:
    """What is done, and the finding that must be among those of the audit."""

    name: str
    act: Callable[[Tampered], object]
    code: Code
    where: dict[str, object] = field(default_factory=dict)


def run(sql: str, *values: object) -> Callable[[Tampered], object]:
    return lambda db: db.execute(sql, values)


ATTACKS = (
    Attack("entry_removed", run("DELETE FROM entry WHERE idx = ?", AT), Code.ENTRY_MISSING, {"index": AT}),
    Attack("first_of_two_swapped", lambda db: attacks.swap_entries(db, AT, AT + 1), Code.BODY_EDITED, {"index": AT}),
    Attack(
        "second_of_two_swapped", lambda db: attacks.swap_entries(db, AT, AT + 1), Code.BODY_EDITED, {"index": AT + 1}
    ),
    Attack(
        "statement_replayed",
        lambda db: attacks.replay(db, AT),
        Code.STATEMENT_REPLAYED,
        {"index": SIZE, "previous_index": AT},
    ),
    Attack("tail_cut", lambda db: attacks.cut_tail(db, 3), Code.TRUNCATED, {"index": SIZE - 3, "found": str(SIZE - 3)}),
    Attack(
        "chain_link_changed",
        lambda db: attacks.change_link(db, AT),
        Code.CHAIN_BROKEN,
        {"index": AT, "previous_index": AT - STREAMS},
    ),
    Attack(
        "stored_link_changed",
        run("UPDATE entry SET previous_idx = 4 WHERE idx = ?", AT),
        Code.PROJECTION_DIFFERS,
        {"index": AT, "table": "entry.previous_idx"},
    ),
    Attack("tile_edited", lambda db: attacks.edit_tile(db, AT), Code.TILE_MISMATCH, {"index": AT, "level": 0}),
    Attack("tile_removed", run("DELETE FROM tile WHERE place = 0"), Code.TILE_MISMATCH, {"index": 0, "tile": 0}),
    Attack(
        "checkpoint_swapped",
        lambda db: attacks.swap_checkpoints(db, 100, 150),
        Code.CHECKPOINT_UNVERIFIED,
        {"window_end": 100, "expected": "100", "found": "150"},
    ),
    Attack("checkpoints_removed", run("DELETE FROM checkpoint"), Code.CHECKPOINT_MISSING),
    Attack(
        "projection_row_edited",
        run("UPDATE stream_head SET seq = seq + 1 WHERE stream = 'fsr/s3'"),
        Code.PROJECTION_DIFFERS,
        {"stream": "fsr/s3", "table": "stream_head"},
    ),
    Attack(
        "projection_row_removed",
        run("DELETE FROM stream_head WHERE stream = 'fsr/s3'"),
        Code.PROJECTION_DIFFERS,
        {"stream": "fsr/s3", "table": "stream_head"},
    ),
    Attack(
        "idempotency_row_removed",
        run("DELETE FROM idempotency WHERE idx = ?", AT),
        Code.PROJECTION_DIFFERS,
        {"index": AT, "table": "idempotency"},
    ),
    Attack(
        "idempotency_row_invented",
        run("INSERT INTO idempotency VALUES ('NL-CSO', 'never', ?)", AT),
        Code.PROJECTION_DIFFERS,
        {"index": AT, "table": "idempotency"},
    ),
    Attack(
        "counter_set_back",
        run("UPDATE actor_counter SET seq = 1 WHERE party = 'NL-FO'"),
        Code.PROJECTION_DIFFERS,
        {"table": "actor_counter"},
    ),
    Attack("clock_set_back", lambda db: attacks.set_clock_back(db, AT), Code.REC_DECREASED, {"index": AT}),
    Attack(
        "attachment_edited",
        run("INSERT INTO evidence_blob VALUES (?, 'crl', ?)", "ab" * 32, b"other"),
        Code.ATTACHMENT_DIFFERS,
        {"expected": "ab" * 32, "table": "evidence_blob"},
    ),
    Attack("head_changed", run("UPDATE head SET rec_ms = 1"), Code.PROJECTION_DIFFERS, {"table": "head"}),
)


async def build(directory: Path) -> bytes:
    """A closed log; returns its last checkpoint."""
    log = await logs.begin(directory)
    note = b""
    for start in range(0, SIZE, EVERY):
        await log.add(*range(start, start + EVERY), streams=STREAMS)
        log.clock.set_ms(log.clock.now_ms() + 1000)
        note = await log.publisher.publish()
    await log.close()
    return note


@pytest.mark.usefixtures("engine")
def test_an_untouched_log_has_no_findings(tmp_path: Path) -> None:
    asyncio.run(build(tmp_path))
    report = audited(tmp_path, resolve=logs.resolve)
    report.raise_for_findings()
    assert (report.size, report.signed_size, report.signatures) == (SIZE, SIZE, SIZE)


@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_every_attack_is_named_with_its_place(tmp_path: Path) -> None:
    """One log an engine: after each attack the tables are put back."""
    asyncio.run(build(tmp_path))
    with tampered(tmp_path) as db:
        for table in TABLES:
            db.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608 -- names of ours
    missed = []
    for attack in ATTACKS:
        with tampered(tmp_path) as db:
            attack.act(db)
        report = audited(tmp_path)
        if not any(is_named(attack, one) for one in report.findings):
            missed.append((attack.name, report.findings[:4]))
        with tampered(tmp_path) as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of ours
                db.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608 -- names of ours
    assert missed == []
    assert audited(tmp_path).ok


@pytest.mark.usefixtures("engine")
def test_a_tail_cut_with_its_checkpoints_is_named_by_one_that_was_kept(tmp_path: Path) -> None:
    kept = asyncio.run(build(tmp_path))
    with tampered(tmp_path) as db:
        attacks.cut_tail(db, EVERY)
        db.execute("DELETE FROM checkpoint WHERE size > ?", (SIZE - EVERY,))
        db.execute("DELETE FROM actor_counter")
    assert "ledger/truncated" not in audited(tmp_path).counts
    (cut,) = [one for one in audited(tmp_path, held=[kept]).findings if one.code is Code.TRUNCATED]
    assert (cut.index, cut.file, cut.expected) == (SIZE - EVERY, "held", str(SIZE))


TABLES = ("head", "entry", "tile", "checkpoint", "stream_head", "idempotency", "actor_counter", "evidence_blob")


def is_named(attack: Attack, finding: Finding) -> bool:
    return finding.code is attack.code and all(getattr(finding, name) == value for name, value in attack.where.items())
