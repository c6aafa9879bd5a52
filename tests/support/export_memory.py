"""How much memory exports take: run as a module with numbers of rows, prints the peak of each in turn.

With `verify` before the numbers, that of verifying them, in an archive, a folder and sealed.
"""

import asyncio
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from ledger import plain_file
from ledger.clock import SetClock
from ledger.privacy.export_verify import verify_parts
from ledger.privacy.exports import sealing
from ledger.privacy.exports.parts import FileOctets, InArchive, InFolder, Parts
from ledger.privacy.exports.policy import ProvablePolicy
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.writer import Exporter, Terms
from ledger.privacy.held import Held
from ledger.privacy.vault import Vault
from ledger.records.marks import Category
from ledger.records.privacy import LegalBasis, Profile, Purpose
from ledger.tlog import note
from tests.support.exports import KEY, PLACES, RESEARCH, SETTLEMENT, settle
from tests.support.privacy import NOW_MS, ORIGIN, Ledger, Log

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


LONG = ProvablePolicy(version=1, profile=Profile.SETTLEMENT, disclose=frozenset({"evse_id"}))


async def make_to_verify(folder: Path, count: int) -> None:
    """Exports of so many rows, each of a long text and with its true proof: an archive, a folder and a sealed one."""
    clock = SetClock(NOW_MS)
    key = x25519.X25519PrivateKey.generate()
    with closing(Vault.open(folder / "vault", clock=clock, create=True)) as vault:
        ledger = Ledger(vault, clock)
        for index in range(count):
            ledger.add("evu-1", {"evse_id": f"{index:08d}" + "x" * 4_000}, keep=False)
        vault.keep([Held(one.text, who, Category.METER, "P2Y") for who, made in ledger.made for one in made])
        exporter = Exporter(vault, Log().record, key=KEY, controller="cso-1")
        await settle(exporter, ledger, folder / "archive", policy=LONG)
        await settle(exporter, ledger, folder / "sealed", policy=LONG, seal_to=key.public_key())
    (folder / "folder").mkdir()
    with tarfile.open(folder / "archive") as file:
        file.extractall(folder / "folder", filter="data")
    (folder / "signer").write_bytes(KEY.public_key().public_bytes_raw())
    (folder / "key").write_bytes(key.private_bytes_raw())
    (folder / "vkey").write_text(ledger.signer.verifier.vkey)


def verify_one(folder: Path, kind: str) -> None:
    """Of a process that does nothing else."""
    signer = ed25519.Ed25519PublicKey.from_public_bytes((folder / "signer").read_bytes())
    key = x25519.X25519PrivateKey.from_private_bytes((folder / "key").read_bytes())
    vkeys = [note.parse_vkey((folder / "vkey").read_text())]
    with ExitStack() as kept:
        files: Parts
        if kind == "folder":
            files = InFolder(folder / kind)
        else:
            octets = FileOctets(kept.enter_context(plain_file.opened(folder / kind)))
            files = InArchive(octets if kind == "archive" else sealing.Opened(octets, key))
        found = verify_parts(files, signer_key=signer, vkeys=vkeys, origin=ORIGIN)
    size = sum(files.sizes.values()) // 1024
    print(f"{kind} {found.manifest.rows} rows: peak {peak_kib()} KiB, files {size} KiB", flush=True)


def main_verifying(counts: list[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(make_to_verify(Path(folder), count))
            for kind in ("archive", "folder", "sealed"):
                subprocess.run([sys.executable, "-m", __spec__.name, "verified", folder, kind], check=True)


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
    match sys.argv[1:]:
        case ["verify", *numbers]:
            main_verifying([int(one) for one in numbers])
        case ["verified", where, what]:
            verify_one(Path(where), what)
        case numbers:
            asyncio.run(main([int(one) for one in numbers]))
