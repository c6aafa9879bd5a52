"""The command line as processes, and a service that runs in one."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from api.client.tls import client_context
from ledger.tlog import checkpoint, note
from tests.support import marked
from tests.support.pages import Page
from tests.support.vectors import REPOSITORY

ORIGIN = "ledger.example/e2e"
PAGE = Page(REPOSITORY / "docs" / "how-to" / "run-a-service.md")
(CEREMONY,) = PAGE.blocks("toml")
PATIENCE_S = 60


def flexledger(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*marked.COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, **environment},
    )


def started(folder: Path, *words: str | Path) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """A command that serves, once it accepts, and what it says of where; its words go to `server.log`."""
    ready, said = folder / "ready.json", folder / "server.log"
    ready.unlink(missing_ok=True)
    command = [*marked.COMMAND, *map(str, words), "--ready-file", str(ready)]
    with said.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    give_up = time.monotonic() + PATIENCE_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            process.kill()
            process.wait(PATIENCE_S)
            raise AssertionError(said.read_text())
        time.sleep(0.05)
    return process, json.loads(ready.read_text())


@contextmanager
def mirror(directory: Path, folder: Path, *options: str | Path) -> Iterator[str]:
    """The URL of a static log that the command serves until the block ends; then it has to end well."""
    words = ("mirror", "serve", directory, "--listen", "127.0.0.1:0", *options)
    process, where = started(folder, *words)
    try:
        yield f"{'https' if options else 'http'}://127.0.0.1:{where['port']}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait(PATIENCE_S)


class Serving:
    """A service in a process of its own."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.config = config
        self.log = folder / "server.log"
        self.process, self.where = started(folder, "serve", config)
        self.http = httpx2.Client(
            base_url=f"https://localhost:{self.where['port']}",
            verify=client_context(config.parent / "pki" / "root.pem"),
            trust_env=False,
        )

    def ops(self, path: str) -> httpx2.Response:
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.where['ops_port']}", trust_env=False) as client:
            return client.get(path)

    def checkpoint(self) -> checkpoint.Checkpoint:
        answer = self.http.get("/checkpoint")
        assert answer.status_code == 200
        return checkpoint.open_checkpoint(answer.content, ORIGIN, [note.parse_vkey(self.where["vkey"])]).checkpoint

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        if hasattr(self, "http"):
            self.http.close()
        return self.process.wait(PATIENCE_S)


def lay_out(folder: Path, more: str = "") -> Path:
    """The settings file of a service of the page's ceremony with `more` parties, on ports that the system chooses."""
    folder.mkdir(parents=True, exist_ok=True)
    ceremony = folder / "ceremony.toml"
    ceremony.write_text(CEREMONY + more)
    service = folder / "svc"
    made = flexledger("init", service, "--ceremony", ceremony, "--party", "FI-NGC", "--origin", ORIGIN)
    assert made.returncode == 0, made.stderr
    config = service / "flexledger.toml"
    text = config.read_text()
    for port in (8443, 9443, 9464):
        assert f"port = {port}\n" in text
        text = text.replace(f"port = {port}\n", "port = 0\n")
    config.write_text(text)
    return config
