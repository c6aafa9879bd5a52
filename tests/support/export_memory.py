"""How much memory exports take: run as a module with numbers of rows, prints the peak of each in turn."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from ledger.clock import SetClock
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.writer import Exporter, Terms
from ledger.privacy.held import Held
from ledger.privacy.vault import Vault
from ledger.records.marks import Category
from ledger.records.privacy import LegalBasis, Purpose
from tests.support.exports import KEY, PLACES, RESEARCH, SETTLEMENT
from tests.support.privacy import NOW_MS, Ledger, Log

PERSONS = 50
PIECE = 250
PROOF = (bytes(32),) * 20
"""As long as that of a log with a million entries; only a verifier looks at it."""


async def rows(vault: Vault, clock: SetClock, count: int) -> AsyncIterator[ExportRow]:
    """Entries that are made as they are read, so that it is the export alone that could gather them."""
    ledger = Ledger(vault, clock)
    for start in range(0, count, PIECE):
        held = []
        for index in range(start, min(start + PIECE, count)):
            values = {"energy_import_milliwh": index % 9 * 1_000_000, "evse_id": f"DE*ABC*E{index % 3}"}
            ledger.add(f"evu-{index % PERSONS}", values, keep=False)
            person, made = ledger.made[-1]
            held += [Held(one.text, person, Category.METER, "P2Y") for one in made]
        # One durable commit for all of them, or the disk is what takes the time.
        vault.keep(held)
        for index, (data, (person, made)) in enumerate(zip(ledger.entries, ledger.made, strict=True), start):
            yield ExportRow(index, data, tuple(one.text for one in made), vault.uid_of(person), PROOF)
        ledger.entries.clear()
        ledger.made.clear()


def forget_peak() -> None:
    """As proc(5) says of clear_refs."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_kib() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


async def measured(vault: Vault, clock: SetClock, kind: str, count: int) -> str:
    exporter = Exporter(vault, Log().record, key=KEY, controller="cso-1")
    checkpoint = Ledger(vault, clock)
    checkpoint.entries.append(b"{}")
    forget_peak()
    if kind == "provable":
        terms = Terms(SETTLEMENT, "fo-1", Purpose.SETTLEMENT, LegalBasis.CONTRACT)
        made = await exporter.make(rows(vault, clock, count), terms, checkpoint=checkpoint.checkpoint())
    else:
        terms = Terms(RESEARCH, "uni-1", Purpose.RESEARCH, LegalBasis.PUBLIC_TASK)
        made = await exporter.make(rows(vault, clock, count), terms, places=PLACES)
    with closing(made):
        sent = sum(len(piece) for piece in made.pieces())
    assert sent == made.size
    return f"{kind} {made.rows} rows: peak {peak_kib()} KiB, archive {sent // 1024} KiB"


async def main(counts: list[int]) -> None:
    clock = SetClock(NOW_MS)
    for kind in ("provable", "research"):
        with tempfile.TemporaryDirectory() as folder:
            vault = Vault.open(Path(folder) / "vault", clock=clock, create=True)
            with closing(vault):
                await measured(vault, clock, kind, counts[0])
                for count in counts:
                    print(await measured(vault, clock, kind, count))


if __name__ == "__main__":
    asyncio.run(main([int(one) for one in sys.argv[1:]]))
