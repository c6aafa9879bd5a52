"""The archive: any tar reads it; our reader takes nothing else."""

import io
import tarfile
from pathlib import Path

import pytest

from ledger.privacy import errors
from ledger.privacy.exports import archive

FILES = {"manifest.json": b"{}", "records.jsonl": b"x" * 1025, "proofs.jsonl": b""}


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o644
    return info


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    data = archive.write(FILES)
    assert archive.write(dict(reversed(FILES.items()))) == data
    assert archive.read(data) == FILES


def test_a_stranger_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive.write(FILES)), mode="r:") as file:
        found = {info.name: file.extractfile(info) for info in file.getmembers()}
        assert {name: one.read() for name, one in found.items() if one is not None} == FILES
        assert {info.mtime for info in file.getmembers()} == {0}


@pytest.mark.parametrize(
    "name",
    [
        "../manifest.json",
        "/etc/passwd",
        "a/b.json",
        "..",
        "",
        "MANIFEST.JSON",
        "a.json\n",
        "a\\b.json",
        ".json",
        "a" * 40,
    ],
)
def test_a_path_out_of_the_folder_is_refused(name: str) -> None:
    """A33: neither written nor read."""
    with pytest.raises(errors.ExportMalformed):
        archive.write({name: b"x"})
    with pytest.raises(errors.ExportMalformed):
        archive.read(tar((member(name or "x"), b"x")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_are_refused(kind: bytes) -> None:
    """A33."""
    with pytest.raises(errors.ExportMalformed):
        archive.read(tar((member("a.json", kind, "/etc/passwd"), b"")))


def test_extension_headers_are_refused() -> None:
    """A33: a pax header could rename what follows it."""
    info = member("a.json")
    info.pax_headers = {"path": "../../evil.json"}
    with pytest.raises(errors.ExportMalformed):
        archive.read(tar((info, b"x"), form=tarfile.PAX_FORMAT))


def test_a_repeated_member_is_refused() -> None:
    """A33: which of the two was verified would depend on the reader."""
    one = archive.write({"a.json": b"1"})[: 2 * archive.BLOCK]
    with pytest.raises(errors.ExportMalformed):
        archive.read(one + one + bytes(2 * archive.BLOCK))


def test_cut_padded_or_trailing_bytes_are_refused() -> None:
    data = archive.write(FILES)
    for other in (b"", data[:100], data[:-1], data[:-512], data + bytes(512), data[: 512 * 3], b"\xff" * 1024):
        with pytest.raises(errors.ExportMalformed):
            archive.read(other)
    for at in (0, 100, 130, 156, 300, 513):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert archive.read(changed) != FILES
        except errors.ExportMalformed:
            continue


def test_there_is_a_greatest_number_of_files(tmp_path: Path) -> None:
    files = {f"a{n}.json": b"" for n in range(archive.MAX_FILES)}
    assert archive.read(archive.write(files)) == files
    with pytest.raises(errors.ExportMalformed):
        archive.read(archive.write({**files, "b.json": b""}))


def test_there_is_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive.write(FILES)
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", len(data))
    assert archive.read(data) == FILES
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", len(data) - 1)
    with pytest.raises(errors.ExportTooLarge):
        archive.read(data)
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1024)
    with pytest.raises(errors.ExportTooLarge):
        archive.write(FILES)
