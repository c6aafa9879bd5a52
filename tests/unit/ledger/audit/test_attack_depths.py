"""The six depths of an attack, at the head, in the middle and at the tail, on every engine; with a kept mirror and without.

What an audit of the database alone can say of each is exact, or a window between two checkpoints; beside tiles that lie
elsewhere every replaced entry is named, whatever was made anew.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger import mirror
from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import AuditFailed, Code, Finding, Report, listed
from ledger.reader import Reader
from tests.support import attacks, logs
from tests.support.attacks import Tampered
from tests.support.tamper import audited, tampered

pytestmark = pytest.mark.slow  # takes seconds

SIZE, EVERY, STREAMS = 300, 50, 7
PLACES = {"head": 3, "middle": 110, "tail": 290}
"""The last one lies in the open tile, which no database stores; each has a follower in its stream."""
TABLES = ("head", "entry", "tile", "checkpoint", "stream_head", "idempotency", "actor_counter")


class Bench:
    """A log that is put back after each attack, and a mirror of what it was."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        asyncio.run(self._build())
        self.kept = KeptTiles(directory / "mirror")
        with tampered(directory) as db:
            for table in TABLES:
                db.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608 -- names of ours

    async def _build(self) -> None:
        log = await logs.begin(self.directory)
        for start in range(0, SIZE, EVERY):
            await log.add(*range(start, start + EVERY), streams=STREAMS)
            log.clock.set_ms(log.clock.now_ms() + 1000)
            await log.publisher.publish()
        vkeys = logs.signer().vkey + "\n"
        mirror.update(Reader(log.store), self.directory / "mirror", origin=logs.ORIGIN, vkeys=vkeys)
        await log.close()

    @contextmanager
    def after(self, act: Callable[[Tampered], object]) -> Iterator[tuple[Report, Report]]:
        """What an audit says after the attack: of the database alone, and beside the mirror."""
        with tampered(self.directory) as db:
            act(db)
        try:
            yield (
                audited(self.directory, resolve=logs.resolve),
                audited(self.directory, resolve=logs.resolve, copies=[self.kept]),
            )
        finally:
            with tampered(self.directory) as db:
                for table in TABLES:
                    db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names of ours
                    db.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608 -- names of ours


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One log an engine for all tests here."""
    before = logs.medium
    if request.param == "postgres":
        logs.medium = logs.Postgres(request.getfixturevalue("postgres_server").dsn)
    try:
        yield Bench(tmp_path_factory.mktemp("depths"))
    finally:
        logs.medium = before


def only(report: Report, code: Code) -> Finding:
    (finding,) = listed(report.findings, code)
    return finding


def replaced(report: Report) -> list[tuple[int | None, int | None]]:
    """The runs of entries that are not those of the mirror."""
    found = listed(report.findings, Code.ENTRY_REPLACED)
    assert all(one.index == one.window_start and one.file == "mirror" for one in found)
    return [(one.window_start, one.window_end) for one in found]


def of_stream(index: int) -> list[tuple[int, int]]:
    """The entry and all that follow it in its stream, each a run of its own."""
    return [(at, at + 1) for at in range(index, SIZE, STREAMS)]


def require_more(alone: Report, beside: Report) -> None:
    """The mirror adds what it knows and takes nothing away."""
    assert set(beside.counts) - set(alone.counts) <= {Code.ENTRY_REPLACED.value, Code.TRUNCATED.value}
    assert set(alone.findings) <= set(beside.findings)
    assert (alone.agreeing, beside.agreeing) == ({}, {})


def test_a_log_that_nobody_touched_is_the_one_that_was_mirrored(bench: Bench) -> None:
    with bench.after(lambda _db: None) as (alone, beside):
        assert (alone.ok, beside.ok) == (True, True)
        assert (alone.agreeing, beside.agreeing) == ({}, {"mirror": SIZE})


def test_an_edited_body_is_named(bench: Bench) -> None:
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.body(db, at)) as (alone, beside):
            assert only(alone, Code.BODY_EDITED).index == index
            assert only(alone, Code.CHAIN_BROKEN).previous_index == index
            assert replaced(beside) == [(index, index + 1)]
            require_more(alone, beside)
            with pytest.raises(AuditFailed):
                alone.raise_for_findings()


def test_an_edited_body_with_its_leaf_hash_is_named(bench: Bench) -> None:
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.body_and_leaf(db, at)) as (alone, beside):
            assert only(alone, Code.CHAIN_BROKEN).previous_index == index
            tile = [one.index for one in listed(alone.findings, Code.TILE_MISMATCH)]
            assert tile == ([index] if index < 256 else [])
            assert replaced(beside) == [(index, index + 1)]
            require_more(alone, beside)


def test_an_edited_body_with_a_new_tree_is_named_by_the_chain(bench: Bench) -> None:
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.body_and_tree(db, at)) as (alone, beside):
            assert only(alone, Code.CHAIN_BROKEN).previous_index == index
            assert set(alone.counts) == {"ledger/chain-broken", "ledger/root-mismatch"}
            assert replaced(beside) == [(index, index + 1)]
            require_more(alone, beside)


def test_an_edited_body_with_a_new_tree_and_chain_is_named_by_the_mirror_with_all_its_followers(bench: Bench) -> None:
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.body_tree_and_chain(db, at)) as (alone, beside):
            window = only(alone, Code.ROOT_MISMATCH)
            start = index // EVERY * EVERY
            assert (window.window_start, window.window_end) == (start, start + EVERY)
            assert set(alone.counts) == {"ledger/root-mismatch"}
            assert replaced(beside) == of_stream(index)
            named = listed(beside.findings, Code.ENTRY_REPLACED)
            assert {(one.stream, one.seq) for one in named} == {
                (f"fsr/s{at % STREAMS}", at // STREAMS + 1) for at in range(index, SIZE, STREAMS)
            }
            require_more(alone, beside)


def test_changed_words_with_a_new_tree_and_chain_are_named_by_their_authors_signature(bench: Bench) -> None:
    """The strongest evidence: who owns the database has no party's key."""
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.words_tree_and_chain(db, at)) as (alone, beside):
            assert only(alone, Code.SIGNATURE_INVALID).index == index
            assert set(alone.counts) == {"ledger/signature-invalid", "ledger/root-mismatch"}
            assert replaced(beside) == of_stream(index)
            require_more(alone, beside)


def test_a_deleted_entry_leaves_a_gap_in_its_stream_and_moves_all_behind_it(bench: Bench) -> None:
    for index in PLACES.values():
        with bench.after(lambda db, at=index: attacks.delete_and_renumber(db, at)) as (alone, beside):
            gap = listed(alone.findings, Code.SEQ_GAP)[0]
            assert (gap.index, gap.stream) == (index + STREAMS - 1, f"fsr/s{index % STREAMS}")
            assert gap.expected == str(index // STREAMS + 1)
            assert only(alone, Code.TRUNCATED).found == str(SIZE - 1)
            assert replaced(beside) == [(index, SIZE - 1)]
            require_more(alone, beside)


def test_a_tail_that_was_cut_with_its_checkpoints_is_counted_by_the_mirror(bench: Bench) -> None:
    for count in (1, EVERY - 1, EVERY, SIZE - 1):

        def cut(db: Tampered, count: int = count) -> None:
            attacks.cut_tail(db, count)
            db.execute("DELETE FROM checkpoint WHERE size > ?", (SIZE - count,))
            db.execute("DELETE FROM actor_counter")

        with bench.after(cut) as (alone, beside):
            assert "ledger/truncated" not in alone.counts
            found = only(beside, Code.TRUNCATED)
            assert (found.index, found.expected, found.file) == (SIZE - count, str(SIZE), "mirror")
            # What was left is what it was.
            assert replaced(beside) == []
            assert beside.agreeing == {"mirror": SIZE - count}
