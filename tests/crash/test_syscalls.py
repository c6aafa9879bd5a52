"""System calls that fail under the writer: nothing acknowledged is missing, nothing false is signed, the log is sound.

Faults are injected with strace, and by a small file system of our own; both are skipped where they are not possible.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.tlog import checkpoint
from tests.support import logs
from tests.support.vectors import REPOSITORY

pytestmark = pytest.mark.slow

BATCHES = 12
FAULTS = (
    ("fdatasync", "EIO", "12"),
    ("fdatasync", "EIO", "20+3"),
    ("fdatasync", "ENOSPC", "16"),
    ("fsync", "EIO", "5"),
    ("fsync", "EIO", "12+5"),
    ("pwrite64", "EIO", "120"),
    ("pwrite64", "ENOSPC", "120"),
    ("pwrite64", "ENOSPC", "120+40"),
    ("ftruncate", "EIO", "2"),
)


def written(directory: Path, *prefix: str, batches: int = BATCHES) -> list[list[str]]:
    """What the writer says, line by line; it ends by itself, whatever fails."""
    child = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.crash.faulty", str(directory), str(batches)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return [line.split() for line in child.stdout.splitlines()]


def require_kept(directory: Path, said: list[list[str]]) -> int:
    """The log is sound, dense, and holds what was acknowledged where it was; its size."""
    source = SqliteSource(directory / "log.db")
    try:
        report = audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=logs.resolve)
        report.raise_for_findings()
        for _, number, index in (line for line in said if line[0] == "ack"):
            party = logs.dealt(int(number)).claims.iss
            assert source.place_of(party, logs.jti(int(number))) == int(index)
    finally:
        source.close()
    return report.size


async def require_goes_on(directory: Path, said: list[list[str]]) -> None:
    """Opened again it takes what was not acknowledged, once, and signs on from what it signed before."""
    before = [int(line[1]) for line in said if line[0] == "note"]
    log = await logs.begin(directory)
    for number in range(BATCHES * 5, BATCHES * 5 + 3):
        outcome = await log.appender.append(logs.submitted(logs.dealt(number)))
        assert outcome.index == log.appender.head.size - 1
    signed = checkpoint.open_checkpoint(await log.publisher.publish(), logs.ORIGIN, [logs.signer().verifier])
    assert signed.checkpoint.size == log.appender.head.size > max(before, default=0)
    await log.close()
    require_kept(directory, said)


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("no strace")
    tried = subprocess.run(
        [found, "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if tried.returncode != 0:
        pytest.skip("no permission to trace, or no injection")
    return found


@pytest.mark.parametrize(("call", "error", "when"), FAULTS, ids="-".join)
async def test_a_failing_system_call_loses_nothing_acknowledged(
    strace: str, tmp_path: Path, call: str, error: str, when: str
) -> None:
    fault = f"inject={call}:error={error}:when={when}"
    told = tmp_path / "trace"
    (tmp_path / "log").mkdir()
    said = written(tmp_path / "log", strace, "-f", "-qq", "-o", str(told), "-e", f"trace={call}", "-e", fault)
    assert "(INJECTED)" in told.read_text(), "the fault did not happen"
    assert not [line for line in said if line[0] in ("failed", "unsigned") and not line[1].startswith("ledger/")]
    size = require_kept(tmp_path / "log", said)
    acknowledged = sum(line[0] == "ack" for line in said)
    assert size >= acknowledged > 0
    await require_goes_on(tmp_path / "log", said)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of two MiB, where we may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root mounts")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False, timeout=60
    )
    if made.returncode != 0:
        pytest.skip("no permission to mount")
    try:
        yield place
    finally:
        with suppress(subprocess.CalledProcessError):
            subprocess.run([shutil.which("umount") or "umount", place], check=True, capture_output=True, timeout=60)


def grow(place: Path) -> None:
    """There is room again."""
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-o", "remount,size=16m", place], check=True, capture_output=True, timeout=60)


async def test_a_disk_that_is_full_refuses_whole_batches_and_the_log_goes_on_when_there_is_room(small: Path) -> None:
    said = written(small, batches=400)
    assert ["failed", "ledger/store-full"] in said
    # The service stays up, and what it could not write down it did not sign.
    assert not [line for line in said if line[0] == "halted"]
    assert require_kept(small, said) == sum(line[0] == "ack" for line in said) > 50
    grow(small)
    log = await logs.begin(small)
    size = log.appender.head.size
    await log.add(*range(5_000, 5_020))
    await log.publisher.publish()
    assert log.appender.head.size == size + 20
    await log.close()
    require_kept(small, said)
