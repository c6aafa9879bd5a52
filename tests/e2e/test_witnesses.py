"""A service and its witnesses as processes: cosigned checkpoints, and a log that went back is caught by who remembers."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from ledger.tlog import checkpoint, note, policy
from ledger.tlog.checkpoint import OpenedCheckpoint
from tests.support.serving import ORIGIN, PATIENCE_S, Serving, flexledger, lay_out, started

pytestmark = pytest.mark.slow  # each test starts processes

PARTIES = ("aurora", "northgate")


class Witnessing:
    """A witness in a process of its own, made and run by command."""

    def __init__(self, folder: Path, name: str, log: str | Path) -> None:
        self.name = name
        self.folder = folder / name
        made = flexledger(
            "witness", "init", self.folder, "--name", f"witness.example/{name}", "--log", log, "--port", "0"
        )
        assert made.returncode == 0, made.stderr
        self.vkey = (self.folder / "vkey").read_text().strip()
        assert self.vkey in made.stdout
        self.start()

    def start(self) -> None:
        self.process, self.where = started(self.folder, "witness", "run", self.folder / "witness.toml")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def until(is_so: Callable[[], bool]) -> None:
    """Waits until it is."""
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def with_witnesses(config: Path, witnesses: list[Witnessing]) -> policy.Policy:
    """The service's settings name the witnesses; the policy that was written."""
    lines = [f"witness {one.name} {one.vkey} http://127.0.0.1:{one.where['port']}" for one in witnesses]
    text = "\n".join([*lines, f"group all all {' '.join(one.name for one in witnesses)}", "quorum all", ""])
    (config.parent / "witnesses.policy").write_text(text)
    stripped = config.read_text().partition("[witnesses]")[0]
    config.write_text(stripped + '[witnesses]\npolicy = "witnesses.policy"\ntimeout_ms = 2000\n')
    return policy.parse(text.encode())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A service that was laid out, on ports that the system chooses."""
    return lay_out(tmp_path)


@pytest.fixture
def witnesses(config: Path, tmp_path: Path) -> Iterator[list[Witnessing]]:
    vkey = config.parent / "data" / "vkey"
    running = [
        Witnessing(tmp_path, name, log) for name, log in zip(PARTIES, (vkey, vkey.read_text().strip()), strict=True)
    ]
    yield running
    for one in running:
        one.process.kill()
        one.process.wait()


def newest(service: Serving, trusted: policy.Policy) -> OpenedCheckpoint:
    keys = [note.parse_vkey(service.where["vkey"]), *trusted.verifiers]
    return checkpoint.open_checkpoint(service.http.get("/checkpoint").content, ORIGIN, keys)


def test_a_checkpoint_is_cosigned_and_a_restored_log_is_caught(
    config: Path, witnesses: list[Witnessing], tmp_path: Path
) -> None:
    trusted = with_witnesses(config, witnesses)
    shutil.copytree(config.parent, tmp_path / "backup")
    service = Serving(config, tmp_path)
    try:
        until(lambda: len(newest(service, trusted).cosignatures) == len(PARTIES))
        assert trusted.require_quorum(newest(service, trusted)) == tuple(name.encode() for name in PARTIES)
        proof = service.http.get("/v1/entries/0/receipt").text
        assert all(f"witness.example/{name}" in proof for name in PARTIES)
        assert 'flexledger_cosignatures_total{result="ok",witness="aurora"}' in service.ops("/metrics").text
    finally:
        assert service.stop() == 0
    # The whole machine comes back from a backup, the signer's memory too: only the witnesses remember.
    for name in ("data", "keys", "vault"):
        shutil.rmtree(config.parent / name)
        shutil.copytree(tmp_path / "backup" / name, config.parent / name)
    service = Serving(config, tmp_path)
    try:
        until(lambda: service.ops("/readyz").status_code == 503)
        assert service.ops("/readyz").json()["found"] == "log"
        assert "flexledger_signing_stopped 1.0" in service.ops("/metrics").text
        assert service.http.get("/v1/entries/0").status_code == 200
        assert newest(service, trusted).checkpoint.size >= 1
        assert "ledger/witness-differs" in service.log.read_text()
    finally:
        service.stop()


def test_a_witness_that_was_away_catches_up_and_keeps_its_word_over_a_restart(
    config: Path, witnesses: list[Witnessing], tmp_path: Path
) -> None:
    trusted = with_witnesses(config, witnesses)
    assert witnesses[1].stop() == 0
    service = Serving(config, tmp_path)
    try:
        until(lambda: len(newest(service, trusted).cosignatures) == 1)
        assert service.ops("/readyz").status_code == 200
    finally:
        service.stop()
    witnesses[1].start()
    with_witnesses(config, witnesses)
    service = Serving(config, tmp_path)
    try:
        until(lambda: len(newest(service, trusted).cosignatures) == len(PARTIES))
    finally:
        service.stop()
    found = flexledger("witness", "forks", witnesses[0].folder / "witness.toml")
    assert (found.returncode, found.stdout.strip()) == (0, "0 forks")


def test_a_witness_listens_to_nothing_but_its_protocol(witnesses: list[Witnessing]) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{witnesses[0].where['port']}", trust_env=False) as client:
        assert client.post("/add-checkpoint", content=b"rubbish").status_code == 400
        assert client.post("/add-checkpoint", content=b"x" * 70_000).status_code == 413
        assert client.get("/metrics").status_code == 404
        assert client.get("/livez").text == "alive\n"


def test_a_witness_is_never_made_over_another(tmp_path: Path, witnesses: list[Witnessing]) -> None:
    key = (witnesses[0].folder / "witness.key").read_bytes()
    made = flexledger("witness", "init", witnesses[0].folder, "--name", "w", "--log", witnesses[0].where["vkey"])
    assert (made.returncode, "api/witness-target-taken" in made.stderr) == (2, True)
    assert (witnesses[0].folder / "witness.key").read_bytes() == key
    made = flexledger("witness", "init", tmp_path / "new", "--name", "w", "--log", witnesses[0].vkey)
    assert (made.returncode, "ledger/note-key-malformed" in made.stderr) == (2, True)
    assert not (tmp_path / "new").exists()
