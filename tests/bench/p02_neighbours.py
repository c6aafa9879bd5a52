"""P2: the same appends as P1, beside what others have: pymerkle's tree on SQLite, and hypercore, where npm has put it."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from tests.bench.frame import NeighbourAbsent, Row, speed
from tests.bench.p01_append import Write, row

PYMERKLE: Final = "pymerkle's SqliteTree (WAL, synchronous=FULL) given the same bytes in the same commits; it keeps no streams and no rules"
HYPERCORE: Final = (
    "hypercore 10 (npm), an append-only log with a signed Merkle tree, given the same bytes in the same batches by its own clock; "
    "it never syncs its files, so what it says is written a power loss can take"
)
HERE: Final = Path(__file__).parent / "hypercore"
INSTALLED: Final = Path(sys.prefix) / "hypercore"
INSTALL: Final = "mkdir -p .venv/hypercore; cp tests/bench/hypercore/package*.json .venv/hypercore; npm ci --prefix .venv/hypercore --ignore-scripts"
NS_PER_S: Final = 1_000_000_000
LEAVE_TIMEOUT_S: Final = 30


@contextmanager
def _pymerkle(path: Path) -> Iterator[Write]:
    """A stranger's tree on SQLite: a leaf hash and an insert an entry; no streams, no rules, no signed head."""
    from pymerkle import SqliteTree

    with SqliteTree(str(path)) as tree:
        tree.con.execute("PRAGMA journal_mode=WAL")
        tree.con.execute("PRAGMA synchronous=FULL")

        def write(batch: Sequence[bytes]) -> None:
            tree.append_entries(batch)

        yield write


@contextmanager
def _hypercore(path: Path) -> Iterator[Write]:
    """A core in a process of node; each batch takes as long as that process says, the way to it left out."""
    node = shutil.which("node")
    if node is None or not (INSTALLED / "node_modules" / "hypercore").is_dir():
        raise NeighbourAbsent(f"no node, or no hypercore in the virtual environment ({INSTALL})")
    command = [node, str(HERE / "append.cjs"), str(INSTALLED), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as core:
        assert core.stdin is not None
        assert core.stdout is not None
        into: IO[bytes] = core.stdin
        out: IO[bytes] = core.stdout

        def write(batch: Sequence[bytes]) -> float:
            framed = b"".join(struct.pack(">I", len(one)) + one for one in batch)
            into.write(struct.pack(">I", len(batch)) + framed)
            into.flush()
            return int(out.readline()) / NS_PER_S

        try:
            yield write
        finally:
            into.close()
            core.wait(LEAVE_TIMEOUT_S)


ROWS = tuple(
    Row(
        id="P2",
        what=f"append discovery.asked, {writers} writer{'' if writers == 1 else 's'}, beside {name}",
        floor=floor,
        goal=speed(0.60),
        prepare=row(writers, 1, each, beside=beside),
        in_quick=False,
    )
    for name, floor, beside in (("pymerkle", PYMERKLE, _pymerkle), ("hypercore", HYPERCORE, _hypercore))
    for writers, each in ((1, (400, 80)), (64, (20, 4)))
)
