"""SIGKILL at every point of a commit: nothing acknowledged is missing, and a retry gives the same index."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ledger.appender import Appended
from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.records import entry as entries
from ledger.records import statement
from tests.support import logs, oracle
from tests.support.kept import Tally
from tests.support.vectors import REPOSITORY

pytestmark = pytest.mark.usefixtures("engine")
COMMIT_POINTS = ("before-begin", "after-lock", "after-insert", "after-commit", "before-ack")
UNHELD_POINTS = ("after-lock-unheld", "after-commit-unheld", "before-ack-unheld")
"""On PostgreSQL, where nobody else writes and the head is not held while a batch is judged."""
SIGNER_POINTS = ("before-swap", "in-swap", "after-swap", "before-publish")


def run(directory: Path, point: str, batch: int, count: int) -> tuple[dict[int, int], list[int]]:
    """What the child acknowledged, and the sizes that it published."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.crash.child", str(directory), point, str(batch), str(count), *where()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    wanted = 0 if point == "never" else -signal.SIGKILL
    assert child.returncode == wanted, child.stderr
    lines = [line.split() for line in child.stdout.splitlines()]
    acknowledged = {int(line[1]): int(line[2]) for line in lines if line[0] == "ack"}
    return acknowledged, [int(line[1]) for line in lines if line[0] == "note"]


def where() -> list[str]:
    """What tells the child where its log lies."""
    return [logs.medium.dsn] if isinstance(logs.medium, logs.Postgres) else []


def require_sound(directory: Path) -> int:
    if isinstance(logs.medium, logs.Postgres):
        store = logs.medium.open(directory)
        size = len(oracle.require_sound(store))
        store.close()
        return size
    source = SqliteSource(directory / "log.db")
    report = audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=logs.resolve)
    source.close()
    report.raise_for_findings()
    return report.size


def require_rows(directory: Path, version: str | None = Tally.version) -> None:
    """The rows that are kept are those of the entries that are there, whatever was killed when."""
    store = logs.medium.open(directory)
    head = store.head()
    said = [entries.decode(row.data) for row in store.entries(0, head.size)]
    found = {(kind, key): int(value) for kind, key, value, *_ in store.projections()}
    store.close()
    assert head.projected == version
    if version is not None:
        ids = (statement.parse_statement(one.stmt).claims.jti for one in said)
        wanted = {("count", stream): count for stream, count in Counter(one.stream for one in said).items()}
        assert found == wanted | {("said", jti): index for index, jti in enumerate(ids)}


@pytest.mark.slow
@pytest.mark.parametrize("point", COMMIT_POINTS + UNHELD_POINTS)
@pytest.mark.parametrize("batch", [1, 100])
async def test_a_kill_in_a_commit_loses_nothing_acknowledged(tmp_path: Path, point: str, batch: int) -> None:
    acknowledged, _ = run(tmp_path, point, batch, 5 * batch)
    assert acknowledged == {number: number for number in range(2 * batch)}
    require_rows(tmp_path)
    size = require_sound(tmp_path)
    assert size == (3 if point.removesuffix("-unheld") in ("after-commit", "before-ack") else 2) * batch

    # The caller that never got its answer asks again.
    rules = logs.RecordingRules()
    log = await logs.begin(tmp_path, rules=rules)
    assert len(rules.applied) == size
    outcomes = await log.appender.append_many([logs.submitted(logs.dealt(number)) for number in range(3 * batch)])
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Appended)
        assert (outcome.index, outcome.duplicate) == (number, number < size)
    await log.publisher.publish()
    await log.close()
    assert require_sound(tmp_path) == 3 * batch


@pytest.mark.slow
@pytest.mark.parametrize("point", SIGNER_POINTS)
async def test_a_kill_while_signing_never_forks_the_log(tmp_path: Path, point: str) -> None:
    _, published = run(tmp_path, point, 10, 50)
    assert published == [10, 20]
    log = await logs.begin(tmp_path)
    await log.publisher.publish()
    await log.add(*range(30, 40))
    signed = await log.publisher.publish()
    assert signed.split(b"\n")[1] == b"40"
    await log.close()
    assert require_sound(tmp_path) == 40


@pytest.mark.slow
async def test_kills_one_after_another_are_survived(tmp_path: Path) -> None:
    seen: dict[int, int] = {}
    for point in ("after-insert", "after-commit", "before-begin", "before-ack", "after-swap", "never"):
        acknowledged, _ = run(tmp_path, point, 7, 35)
        assert not seen.keys() & acknowledged.keys()
        seen |= acknowledged
        require_rows(tmp_path)
        size = require_sound(tmp_path)
        assert all(index == number < size for number, index in seen.items())


@pytest.mark.slow
@pytest.mark.parametrize("point", ["in-rebuild", "after-rebuild"])
async def test_a_kill_while_rows_are_made_anew_leaves_the_old_ones_or_all_new_ones(tmp_path: Path, point: str) -> None:
    log = await logs.begin(tmp_path)
    await log.add(*range(30))
    await log.close()
    require_rows(tmp_path, None)
    assert run(tmp_path, point, 10, 10) == ({}, [])
    require_rows(tmp_path, Tally.version if point == "after-rebuild" else None)
    acknowledged, _ = run(tmp_path, "never", 10, 10)
    assert acknowledged == {number: number for number in range(30, 40)}
    require_rows(tmp_path)
    assert require_sound(tmp_path) == 40
