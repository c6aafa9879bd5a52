"""A static log over HTTP: the right bytes with the right words for caches, and nothing else of the machine."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from api.web import conditional, server, transport
from api.web.static_log import CHUNK_OCTETS, _open_first, static_app
from ledger import mirror
from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from ledger.tlog import tiles
from tests.support import logs

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZE = 300
FULL_BUNDLE = "tile/entries/000"
PARTIAL_BUNDLE = "tile/entries/001.p/44"
FULL_TILE = "tile/0/000"
PATIENCE_S = 30


@dataclass(frozen=True)
class Told:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Served:
    directory: Path
    port: int

    async def raw(self, data: bytes) -> bytes:
        """Everything that is answered until the server hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            heard = await reader.read(-1)
        writer.close()
        return heard

    async def ask(self, path: str, *, method: str = "GET", **headers: str) -> Told:
        asked = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{asked}\r\n"
        head, _, body = (await self.raw(request.encode())).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        return Told(int(status.split()[1]), {name.lower(): value for name, value in fields}, body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A mirror of 300 entries, and a file beside its tiles that nobody may have."""
    folder = tmp_path_factory.mktemp("static")
    log = await logs.build(folder, SIZE)
    store = SqliteReader.open(log)
    mirror.update(Reader(store), folder / "mirror", origin=logs.ORIGIN, vkeys=logs.signer().vkey + "\n")
    store.close()
    (folder / "mirror" / "tile" / "secret.txt").write_text("secret")
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        server.serve_plain(
            static_app(folder / "mirror"),
            host="127.0.0.1",
            port=0,
            on_started=lambda _, port: ready.set_result(port),
            stop=stop,
        )
    )
    yield Served(folder / "mirror", await ready)
    stop.set()
    await serving


async def test_every_file_of_a_mirror_is_served_as_it_is(served: Served) -> None:
    names = [one.path for one in (*tiles.tiles_for(SIZE), *tiles.bundles_for(SIZE))]
    assert len(names) == 5
    for name in (*names, "checkpoint", "vkey"):
        told = await served.ask(f"/{name}")
        assert (told.status, told.body) == (200, (served.directory / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "cache"),
    [
        (FULL_TILE, conditional.IMMUTABLE),
        (FULL_BUNDLE, conditional.IMMUTABLE),
        (PARTIAL_BUNDLE, conditional.REVALIDATE),
        ("tile/0/001.p/44", conditional.REVALIDATE),
        ("checkpoint", conditional.REVALIDATE),
        ("vkey", conditional.REVALIDATE),
    ],
)
async def test_what_never_changes_may_be_kept_for_ever_and_nothing_else(served: Served, name: str, cache: str) -> None:
    assert (await served.ask(f"/{name}")).headers["cache-control"] == cache


async def test_bundles_come_in_gzip_for_whoever_wants_that_and_caches_are_told(served: Served) -> None:
    for name in (FULL_BUNDLE, PARTIAL_BUNDLE):
        plain = await served.ask(f"/{name}")
        packed = await served.ask(f"/{name}", accept_encoding="br, gzip;q=0.5")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body) / 2
        assert plain.headers["etag"] != packed.headers["etag"]
    told = await served.ask(f"/{FULL_TILE}", accept_encoding="gzip")
    assert "content-encoding" not in told.headers


async def test_a_copy_without_compressed_files_is_served_plain(served: Served, tmp_path: Path) -> None:
    packed = served.directory / f"{FULL_BUNDLE}{mirror.GZIP_SUFFIX}"
    aside = tmp_path / "aside.gz"
    packed.rename(aside)
    try:
        told = await served.ask(f"/{FULL_BUNDLE}", accept_encoding="gzip")
    finally:
        aside.rename(packed)
    assert "content-encoding" not in told.headers
    assert told.body == (served.directory / FULL_BUNDLE).read_bytes()


@pytest.mark.parametrize("headers", [{}, {"accept_encoding": "gzip"}])
async def test_who_has_a_file_gets_304_and_head_says_the_same_without_it(
    served: Served, headers: dict[str, str]
) -> None:
    for name in (FULL_BUNDLE, "checkpoint"):
        whole = await served.ask(f"/{name}", **headers)
        again = await served.ask(f"/{name}", if_none_match=whole.headers["etag"], **headers)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == whole.headers["etag"]
        head = await served.ask(f"/{name}", method="HEAD", **headers)
        assert (head.status, head.body) == (200, b"")
        compared = ("etag", "content-length", "cache-control", "content-type", "content-encoding", "vary")
        assert {key: head.headers.get(key) for key in compared} == {key: whole.headers.get(key) for key in compared}


async def test_a_new_checkpoint_is_not_taken_for_the_old_one(served: Served) -> None:
    path = served.directory / "checkpoint"
    before, data = await served.ask("/checkpoint"), path.read_bytes()
    beside = path.with_name("checkpoint.part")
    beside.write_bytes(data[:-2] + b"?\n")
    beside.replace(path)
    told = await served.ask("/checkpoint", if_none_match=before.headers["etag"])
    beside.write_bytes(data)
    beside.replace(path)
    assert (told.status, told.body) == (200, data[:-2] + b"?\n")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/tile",
        "/tile/secret.txt",
        "/tile/../tile/0/000",
        "/../mirror/checkpoint",
        "/tile/0/%2e%2e/0/000",
        "/tile/0/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/tile/entries/000.gz",
        "/tile/entries/000%00",
        "/tile/0/0",
        "/tile/0/x000/000",
        "/tile/0/000.p/256",
        "/tile/0/000.p/0",
        "/tile/64/000",
        "/tile/0/002",
        "/tile/0/000/",
        "/checkpoint/",
        "/tile/0/" + "x999/" * 40 + "999",
    ],
)
async def test_no_path_reaches_another_file(served: Served, path: str) -> None:
    told = await served.ask(path)
    assert (told.status, told.headers["cache-control"]) == (404, "no-store")
    assert b'"code":"api/route-unknown"' in told.body


async def test_a_pipe_or_a_folder_in_the_place_of_a_tile_is_no_file(served: Served) -> None:
    pipe, folder = served.directory / "tile/0/005", served.directory / "tile/0/006"
    os.mkfifo(pipe)
    folder.mkdir()
    try:
        assert [(await served.ask(f"/tile/0/00{number}")).status for number in (5, 6)] == [404, 404]
    finally:
        pipe.unlink()
        folder.rmdir()


async def test_a_link_that_leads_out_of_the_copy_is_no_file_and_one_within_it_is(
    served: Served, tmp_path: Path
) -> None:
    """A copy that was taken of a stranger's may bring links along; the operator's own link to the whole copy is fine."""
    (tmp_path / "private.key").write_text("not yours")
    for target, status in ((tmp_path / "private.key", 404), (tmp_path, 404), (served.directory / FULL_TILE, 200)):
        link = served.directory / "tile/1/000"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        told = await served.ask("/tile/1/000")
        link.unlink()
        assert told.status == status
        assert b"not yours" not in told.body
    (tmp_path / "000").write_text("not yours")
    folder = served.directory / "tile/2"
    folder.symlink_to(tmp_path)
    assert (await served.ask("/tile/2/000")).status == 404
    folder.unlink()
    (tmp_path / "copy").symlink_to(served.directory)
    found = _open_first(tmp_path / "copy", [FULL_TILE])
    assert found is not None
    found[1].close()
    (tmp_path / "copy" / "vkey.gz").symlink_to("vkey.gz")
    assert _open_first(tmp_path / "copy", ["vkey.gz"]) is None
    (tmp_path / "copy" / "vkey.gz").unlink()


async def test_nothing_is_written_and_no_body_is_taken(served: Served) -> None:
    told = await served.ask("/checkpoint", method="DELETE")
    assert (told.status, told.headers["allow"]) == (405, "GET, HEAD")
    for more in ({"content_length": "5"}, {"transfer_encoding": "chunked"}):
        told = await served.ask("/checkpoint", method="POST", **more)
        assert (told.status, told.headers["connection"]) == (400, "close")


async def test_what_cannot_be_parsed_or_is_too_long_ends_the_connection(served: Served) -> None:
    head = b"GET /checkpoint HTTP/1.1\r\nhost: a\r\nx: "
    for data in (b"\x16\x03\x01 hello\r\n\r\n", head + b"a" * (transport.MAX_HEAD_OCTETS + 1)):
        assert (await served.raw(data)).startswith(b"HTTP/1.1 400 ")
    assert (await served.ask("/checkpoint")).status == 200


async def test_a_client_that_takes_nothing_is_cut_off_and_others_are_served(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TAKING_TIMEOUT_S", 0.05)
    # Longer than any buffer between two sockets of one machine.
    large = served.directory / "tile/entries/007"
    with large.open("wb") as file:
        file.truncate(64 * CHUNK_OCTETS)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    writer.write(b"GET /tile/entries/007 HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert (await served.ask("/checkpoint")).status == 200
    await asyncio.sleep(0.3)
    got = 0
    async with asyncio.timeout(PATIENCE_S):
        try:
            while chunk := await reader.read(CHUNK_OCTETS):
                got += len(chunk)
        except ConnectionResetError:
            pass
    writer.close()
    large.unlink()
    assert got < 64 * CHUNK_OCTETS


async def test_a_body_that_goes_on_after_its_answer_holds_no_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "REST_TIMEOUT_S", 0.05)
    head = b"POST /checkpoint HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
    assert (await served.raw(head + b"drip")).startswith(b"HTTP/1.1 400 ")
