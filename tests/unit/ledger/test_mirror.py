"""A mirror is whole at every moment, grows with its log, and outlives what is done to it."""

import functools
import http.server
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from ledger import mirror
from ledger.audit import run as audits
from ledger.audit.static_source import StaticSource
from ledger.mirror import MirrorForeign
from ledger.reader import Reader
from ledger.store.errors import HistoryDiffers, RolledBack
from ledger.store.sqlite import SqliteReader
from ledger.tlog import checkpoint, tiles
from tests.support import attacks, logs

pytestmark = pytest.mark.slow  # takes seconds

VKEYS = logs.signer().vkey + "\n"


def update(log: Path, directory: Path) -> mirror.Mirrored:
    store = SqliteReader.open(log)
    try:
        return mirror.update(Reader(store), directory, origin=logs.ORIGIN, vkeys=VKEYS)
    finally:
        store.close()


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


async def grow(folder: Path, *numbers: int) -> None:
    log = await logs.begin(folder)
    await log.add(*numbers)
    await log.publisher.publish()
    await log.close()


async def test_a_mirror_grows_with_its_log_and_no_file_of_it_ever_changes(tmp_path: Path) -> None:
    log = await logs.build(tmp_path, 300)
    first = update(log, tmp_path / "mirror")
    assert (first.size, first.before) == (300, 0)
    before = files(tmp_path / "mirror")
    await grow(tmp_path, *range(300, 530))
    second = update(log, tmp_path / "mirror")
    assert (second.size, second.before) == (530, 300)
    after = files(tmp_path / "mirror")
    assert {name: after[name] for name in before if name != "checkpoint"} == {
        name: data for name, data in before.items() if name != "checkpoint"
    }
    assert second.written == len(after) - len(before)
    assert update(log, tmp_path / "mirror").written == 0
    report = audits.audit(StaticSource(tmp_path / "mirror"), vkeys=[logs.signer().vkey], origin=logs.ORIGIN)
    assert (report.ok, report.size) == (True, 530)


async def test_a_mirror_that_was_cut_off_is_whole_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await logs.build(tmp_path, 300)
    update(log, tmp_path / "mirror")
    await grow(tmp_path, *range(300, 530))
    write, left = mirror._write, [2]

    def cut_off(path: Path, data: bytes) -> None:
        if not left[0]:
            raise OSError("no power")
        left[0] -= 1
        write(path, data)

    monkeypatch.setattr(mirror, "_write", cut_off)
    with pytest.raises(OSError, match="no power"):
        update(log, tmp_path / "mirror")
    report = audits.audit(StaticSource(tmp_path / "mirror"), vkeys=[logs.signer().vkey], origin=logs.ORIGIN)
    assert (report.ok, report.size) == (True, 300)
    monkeypatch.setattr(mirror, "_write", write)
    assert update(log, tmp_path / "mirror").size == 530


async def test_a_log_that_went_back_or_was_changed_does_not_reach_its_mirror(tmp_path: Path) -> None:
    log = await logs.build(tmp_path, 300)
    shutil.copytree(tmp_path, tmp_path / "old")
    await grow(tmp_path, *range(300, 310))
    update(log, tmp_path / "mirror")
    kept = files(tmp_path / "mirror")
    with pytest.raises(RolledBack):
        update(tmp_path / "old" / "log.db", tmp_path / "mirror")
    await grow(tmp_path / "old", *range(400, 430))
    with pytest.raises(HistoryDiffers):
        update(tmp_path / "old" / "log.db", tmp_path / "mirror")
    with logs.unfenced(log) as db:
        attacks.body_tree_and_chain(db, 7)
    with pytest.raises(HistoryDiffers):
        update(log, tmp_path / "mirror")
    assert files(tmp_path / "mirror") == kept


async def test_a_folder_with_other_files_is_no_mirror(tmp_path: Path) -> None:
    log = await logs.build(tmp_path, 3)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(MirrorForeign):
        update(log, tmp_path / "home")
    assert files(tmp_path / "home") == {"letter.txt": b"dear"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The mirror folder behind Python's own file server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_file_server_serves_it_and_every_entry_is_read_from_there(tmp_path: Path, served: str) -> None:
    log = await logs.build(tmp_path, 300)
    update(log, tmp_path / "mirror")

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(served + path, timeout=10) as answer:  # noqa: S310 -- our own
            data: bytes = answer.read()
        return data

    head = checkpoint.open_checkpoint(fetch("checkpoint"), logs.ORIGIN, [logs.signer().verifier]).checkpoint
    reader = tiles.TileReader(fetch, head.size, root=head.root)
    store = SqliteReader.open(log)
    assert [reader.entry(index) for index in range(300)] == [row.data for row in store.entries(0, 300)]
    store.close()


async def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    log = await logs.build(tmp_path, 30)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(log, data / "ledger.db")
    run = functools.partial(CliRunner().invoke, app, ["mirror", "update", str(data), str(tmp_path / "mirror")])
    result = run()
    assert (result.exit_code, "nothing was mirrored" in result.output) == (2, True)
    (data / "vkey").write_text(VKEYS)
    result = run()
    assert (result.exit_code, result.output) == (0, "30 entries, 0 before; 3 files written\n")
