"""`flexledger mirror serve` as a process: a client reads every entry, over TLS too, also of what is added meanwhile."""

import ssl
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from ledger import mirror
from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from ledger.tlog import checkpoint, tiles
from tests.support import logs, serving
from tests.support.tls_files import Authority


def brought_up_to_date(folder: Path) -> Path:
    store = SqliteReader.open(folder / "log.db")
    mirror.update(Reader(store), folder / "mirror", origin=logs.ORIGIN, vkeys=logs.signer().vkey + "\n")
    store.close()
    return folder / "mirror"


def read_all(url: str, context: ssl.SSLContext | None = None) -> int:
    """How many entries a client reads that believes nothing but the log's key."""

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(f"{url}/{path}", timeout=20, context=context) as answer:  # noqa: S310 -- our own
            data: bytes = answer.read()
        return data

    head = checkpoint.open_checkpoint(fetch("checkpoint"), logs.ORIGIN, [logs.signer().verifier]).checkpoint
    reader = tiles.TileReader(fetch, head.size, root=head.root)
    assert all(reader.entry(index) for index in range(head.size))
    return head.size


@pytest.mark.slow
async def test_a_mirror_is_served_while_it_grows(tmp_path: Path) -> None:
    await logs.build(tmp_path, 300)
    with serving.mirror(brought_up_to_date(tmp_path), tmp_path) as url:
        assert read_all(url) == 300
        log = await logs.begin(tmp_path)
        await log.add(*range(300, 530))
        await log.publisher.publish()
        await log.close()
        assert read_all(url) == 300
        brought_up_to_date(tmp_path)
        assert read_all(url) == 530


@pytest.mark.slow
async def test_a_mirror_is_served_over_tls(tmp_path: Path) -> None:
    await logs.build(tmp_path, 3)
    authority = Authority(tmp_path)
    pair = authority.server()
    context = ssl.create_default_context(cafile=authority.pem)
    with serving.mirror(brought_up_to_date(tmp_path), tmp_path, "--cert", pair.cert, "--key", pair.key) as url:
        assert read_all(url.replace("127.0.0.1", "localhost"), context) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "8446"], "expected host:port, found 8446"),
        (["--listen", "localhost:99999"], "api/bundle-unusable"),
        (["--listen", "::1:8446"], "[::1]:port"),
        (["--cert", "here.pem"], "expected both, or none"),
    ],
)
async def test_what_cannot_be_served_is_said_at_the_start(tmp_path: Path, words: list[str], said: str) -> None:
    await logs.build(tmp_path, 3)
    done = CliRunner().invoke(app, ["mirror", "serve", str(brought_up_to_date(tmp_path)), *words])
    assert (done.exit_code, done.stderr.startswith("cannot start: ")) == (2, True), done.stderr
    assert said in done.stderr


@pytest.mark.slow
async def test_certificates_that_cannot_be_used_are_said_at_the_start(tmp_path: Path) -> None:
    await logs.build(tmp_path, 3)
    here = brought_up_to_date(tmp_path)
    done = serving.flexledger("mirror", "serve", here, "--cert", here / "vkey", "--key", here / "vkey")
    assert (done.returncode, done.stderr.startswith("cannot start: api/input-unfit: ")) == (2, True), done.stderr


def test_a_folder_without_a_log_is_not_served(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mirror", "serve", str(tmp_path)])
    said = (
        "cannot start: api/bundle-unusable: file=checkpoint: the file cannot be read; found No such file or directory\n"
    )
    assert (done.exit_code, done.stderr) == (2, said)
