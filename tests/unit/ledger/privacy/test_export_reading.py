"""An export is verified as it is read: in the memory of a piece, wherever it lies, and whatever becomes of it meanwhile."""

import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from api.cli import export_verify as command
from ledger.privacy import errors, export_verify
from ledger.privacy.export_verify import verify_parts
from ledger.privacy.exports import archive, contents, manifest, stream
from ledger.privacy.exports.parts import FileOctets, InMemory
from ledger.privacy.exports.writer import Exporter
from tests.support.exports import FIGURES, KEY, load, self_signed, settle
from tests.support.privacy import NOW_MS, ORIGIN, Ledger

pytestmark = pytest.mark.slow  # takes seconds

BOUND_KIB = 3_072


def test_memory_does_not_grow_with_the_export_that_is_verified() -> None:
    """Peak memory of a process that verifies an export of 50 rows, and one of 1,000: as archive, folder, and sealed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.export_memory", "verify", "50", "1000"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = re.findall(r"^(\w+) (\d+) rows: peak (\d+) KiB, files (\d+) KiB$", ran.stdout, re.MULTILINE)
    assert [(kind, rows) for kind, rows, _, _ in found] == [
        (kind, rows) for rows in ("50", "1000") for kind in ("archive", "folder", "sealed")
    ]
    for small, large in zip(found[:3], found[3:], strict=True):
        assert int(large[2]) - int(small[2]) < BOUND_KIB, ran.stdout
        grown = int(large[3]) - int(small[3])
        assert grown > 4 * BOUND_KIB, "an export that was held in memory would not have been seen"


class Changing(InMemory):
    """Files on a disk that somebody else writes to: from its n-th reading on, one of them is another."""

    def __init__(self, files: dict[str, bytes], name: str, after: int, then: bytes) -> None:
        super().__init__(files)
        self.left = {name: after}
        self.then = InMemory({**files, name: then})

    def pieces(self, name: str) -> Iterator[bytes]:
        if name in self.left:
            self.left[name] -= 1
            if self.left[name] < 0:
                return self.then.pieces(name)
        return super().pieces(name)


@pytest.mark.parametrize("name", [manifest.RECORDS, manifest.PROOFS, manifest.TABLE])
async def test_a_file_that_changes_between_two_readings_is_refused(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, name: str
) -> None:
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    readings = {manifest.RECORDS: 3, manifest.PROOFS: 2, manifest.TABLE: 2}[name]
    arguments = {"signer_key": KEY.public_key(), "vkeys": [ledger.signer.verifier], "origin": ORIGIN}
    for then in (files[name] + files[name], files[name].replace(b"11500000", b"99500000"), files[name][:-1] + b" "):
        if then == files[name]:
            continue
        for after in range(readings):
            with pytest.raises((errors.ExportFileMismatch, errors.ExportRowMismatch, errors.ExportMalformed)):
                verify_parts(Changing(files, name, after, then), **arguments)  # type: ignore[arg-type]
        assert verify_parts(Changing(files, name, readings, then), **arguments).manifest.rows == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, stream.CHUNK_BYTES, stream.CHUNK_BYTES + 1, 3 * stream.CHUNK_BYTES])
def test_what_is_enciphered_is_read_anywhere_and_refused_wherever_it_was_changed(size: int) -> None:
    key, data = bytes(32), bytes(at % 251 for at in range(size))
    sealed = b"".join(stream.encrypted(key, [data]))

    def chunks(octets: bytes) -> stream.Chunks:
        return stream.Chunks(key, len(octets), FileOctets(io.BytesIO(octets)).read_at)

    opened = chunks(sealed)
    assert opened.size == size
    for at in (0, size // 2, max(0, size - 1), size):
        for length in (0, 1, 1_000, stream.CHUNK_BYTES + 5, size + 5):
            assert opened.at(at, length) == data[at : at + length]
    whole_chunk = stream.CHUNK_BYTES + stream.TAG_BYTES
    wrong = [sealed[:-1], sealed + b"x", sealed[: len(sealed) - whole_chunk], sealed + sealed[-whole_chunk:], b""]
    wrong.append(bytes([sealed[0] ^ 1]) + sealed[1:])
    for octets in wrong:
        with pytest.raises(InvalidTag):
            chunks(octets).at(0, len(octets))


def test_a_member_of_negative_length_and_members_out_of_order_are_refused() -> None:
    files = {"a.json": b"1", "b.json": b"2"}
    data = archive.write(files)
    first, second = data[:1024], data[1024:2048]
    with pytest.raises(errors.ExportMalformed):
        archive.read(second + first + data[2048:])
    header = archive._header("a.json", -1)
    with pytest.raises(errors.ExportMalformed):
        archive.read(header + data[1024:])


def test_papers_come_one_after_the_other_and_each_once() -> None:
    one, two = b"x" * (contents.PAPER_PART_BYTES + 1), b"y"
    lines = list(contents.paper_lines([one, two, b""]))
    digests = [hashlib.sha256(paper).hexdigest() for paper in (one, two, b"")]
    assert export_verify.papers(b"".join(lines)) == dict(zip(digests, (one, two, b""), strict=True))
    for wrong in (
        [lines[0], lines[2], lines[1]],
        [lines[1], lines[0]],
        lines[:1],
        [lines[2], lines[2]],
        [lines[0], lines[1], lines[0], lines[1]],
        [lines[2].replace(b'"parts":1', b'"parts":2')],
        [lines[2].replace(digests[1].encode(), digests[0].encode())],
    ):
        with pytest.raises(errors.ExportRowMismatch):
            export_verify.papers(b"".join(wrong))


async def test_a_signature_that_is_longer_than_any_is_not_held(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add("evu-1", FIGURES)
    files = load((await settle(exporter, ledger, tmp_path / "export.tar")).path)
    arguments = {"signer_key": KEY.public_key(), "vkeys": [ledger.signer.verifier], "origin": ORIGIN}
    size = len(files[manifest.SIGNATURE])
    monkeypatch.setattr(export_verify, "MAX_SIGNATURE_BYTES", size)
    assert verify_parts(InMemory(files), **arguments).manifest.rows == 1  # type: ignore[arg-type]
    monkeypatch.setattr(export_verify, "MAX_SIGNATURE_BYTES", size - 1)
    with pytest.raises(errors.ExportTooLarge):
        verify_parts(InMemory(files), **arguments)  # type: ignore[arg-type]


async def test_what_could_not_be_looked_at_is_unusable_and_not_refuted(
    exporter: Exporter, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.add("evu-1", FIGURES)
    made = (await settle(exporter, ledger, tmp_path / "export.tar")).path
    (tmp_path / "signer.pem").write_bytes(self_signed(KEY))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()

    def run(file: Path, **other: Any) -> tuple[int, str]:
        arguments = {"vkey": ledger.signer.verifier.vkey, "origin": ORIGIN, "key": None, "at_ms": NOW_MS, "json": False}
        found = command.run(file, signer=tmp_path / "signer.pem", **{**arguments, **other})
        told = capsys.readouterr()
        return found, (told.out + told.err).partition(": ")[2].partition(": ")[0]

    assert run(made)[0] == 0
    assert run(made, vkey="") == (2, "ledger/export-log-unnamed")
    assert run(made, origin="") == (2, "ledger/export-log-unnamed")
    assert run(tmp_path / "absent") == (2, "api/file-unusable")
    assert run(tmp_path / "pipe") == (2, "api/file-unusable")
    assert run(tmp_path / "empty") == (1, "ledger/export-malformed")
    assert run(made, vkey="x") == (2, "ledger/note-key-malformed")
