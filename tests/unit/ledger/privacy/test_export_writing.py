"""How an export is written: as its rows are read, out of everybody's sight, whole or not at all."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from ledger.privacy import errors
from ledger.privacy.exports import archive, sealing, spool, stream
from ledger.privacy.exports.writer import Exporter
from ledger.privacy.vault import Vault
from tests.support.exports import FIGURES, KEY, settle
from tests.support.privacy import Crash, Ledger, Log

pytestmark = pytest.mark.slow  # takes seconds


async def test_the_disclosure_is_on_record_before_anything_can_be_read(
    vault: Vault, ledger: Ledger, tmp_path: Path
) -> None:
    """While it is recorded, the export is in files without names whose octets are of no use to who finds them."""
    ledger.add("evu-1", FIGURES)
    log, seen = Log(), list[bytes]()

    async def record(said: Any) -> Any:
        seen.append(b"".join(unnamed()))
        return await log.record(said)

    done = await settle(Exporter(vault, record, key=KEY, controller="cso-1"), ledger, tmp_path / "export.tar")
    (found,) = seen
    assert len(found) > done.path.stat().st_size / 2
    assert ledger.made[0][1][0].text.encode() in done.path.read_bytes()
    assert ledger.made[0][1][0].text.encode() not in found
    assert b"records" not in found


async def test_what_could_not_be_recorded_leaves_nothing(vault: Vault, ledger: Ledger, tmp_path: Path) -> None:
    ledger.add("evu-1", FIGURES)
    before, log = len(unnamed()), Log(crash_before=0)
    with pytest.raises(Crash):
        await settle(Exporter(vault, log.record, key=KEY, controller="cso-1"), ledger, tmp_path / "export.tar")
    assert list(tmp_path.glob("export*")) == []  # noqa: ASYNC240 -- a folder of this test
    assert len(unnamed()) == before


async def test_an_export_that_was_cut_off_does_not_verify(exporter: Exporter, ledger: Ledger, tmp_path: Path) -> None:
    """Neither in clear nor sealed, wherever it breaks off: no half of it is taken for the whole."""
    for number in range(60):
        ledger.add(f"evu-{number}", FIGURES)
    key = x25519.X25519PrivateKey.generate()
    plain = (await settle(exporter, ledger, tmp_path / "export.tar")).path.read_bytes()
    sealed = (await settle(exporter, ledger, tmp_path / "sealed", seal_to=key.public_key())).path.read_bytes()
    assert len(plain) > 2 * stream.CHUNK_BYTES
    front = len(sealed) - stream.encrypted_size(len(plain))
    whole_chunk = stream.CHUNK_BYTES + stream.TAG_BYTES
    cuts = {front, front + 1, front + whole_chunk, front + 2 * whole_chunk, len(sealed) - 1}
    for cut in cuts:
        with pytest.raises(errors.SealingRefused):
            sealing.open_sealed(sealed[:cut], key)
    swapped = (
        sealed[:front]
        + sealed[front + whole_chunk : front + 2 * whole_chunk]
        + sealed[front : front + whole_chunk]
        + sealed[front + 2 * whole_chunk :]
    )
    with pytest.raises(errors.SealingRefused):
        sealing.open_sealed(swapped, key)
    with pytest.raises(errors.SealingRefused):
        sealing.open_sealed(sealed + sealed[-whole_chunk:], key)
    for cut in range(0, len(plain), 10_007):
        with pytest.raises(errors.ExportMalformed):
            archive.read(plain[:cut])


def unnamed() -> list[bytes]:
    """What is in the files that this process has open and that have no name."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if " (deleted)" in str(link.readlink()):
                found.append(link.read_bytes())
    return found


@pytest.mark.parametrize("size", [0, 1, stream.CHUNK_BYTES - 1, stream.CHUNK_BYTES, stream.CHUNK_BYTES + 1, 300_000])
def test_a_spool_gives_back_what_was_written(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    made = spool.Spool("records.jsonl")
    with contextlib.closing(made):
        for at in range(0, size, 7_919):
            made.write(data[at : at + 7_919])
        line = made.finish()
        assert (line.size, line) == (size, made.finish())
        assert b"".join(made.pieces()) == b"".join(made.pieces()) == data
    with pytest.raises(ValueError, match="closed"):
        next(made.pieces())


def test_lines_are_those_that_were_written() -> None:
    made = spool.Spool("records.jsonl")
    with contextlib.closing(made):
        wanted = [b"x" * length for length in (0, 1, stream.CHUNK_BYTES, 70_000, 3)]
        for line in wanted:
            made.write(line + b"\n")
        made.finish()
        assert list(made.lines()) == wanted


def test_memory_does_not_grow_with_the_rows() -> None:
    """Peak memory of the process while it makes and sends an export of 500 rows, and one of 5,000: provable, research."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.export_memory", "500", "5000"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = re.findall(r"^(\w+) (\d+) rows: peak (\d+) KiB, archive (\d+) KiB$", ran.stdout, re.MULTILINE)
    assert [(kind, rows) for kind, rows, _, _ in found] == [
        ("provable", "500"),
        ("provable", "5000"),
        ("research", "500"),
        ("research", "5000"),
    ]
    for small, large in (found[:2], found[2:]):
        assert int(large[2]) - int(small[2]) < BOUND_KIB, ran.stdout
    grown = int(found[1][3]) - int(found[0][3])
    assert grown > 2 * BOUND_KIB, "an export that was held in memory would not have been seen"


BOUND_KIB = 6_144
