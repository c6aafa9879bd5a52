"""The command line as processes, and a service that runs in one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from api.client.tls import client_context
from ledger.tlog import checkpoint, note
from tests.support.pages import Page
from tests.support.vectors import REPOSITORY

ORIGIN = "ledger.example/e2e"
PAGE = Page(REPOSITORY / "docs" / "how-to" / "run-a-service.md")
(CEREMONY,) = PAGE.blocks("toml")
PATIENCE_S = 60


def flexledger(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, **environment},
    )


class Serving:
    """A service in a process of its own."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.config = config
        ready = folder / "ready.json"
        self.log = folder / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "serve", str(config), "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + PATIENCE_S
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.stop(signal.SIGKILL)
                raise AssertionError(self.log.read_text())
            time.sleep(0.05)
        self.where: dict[str, Any] = json.loads(ready.read_text())
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


def lay_out(folder: Path) -> Path:
    """The settings file of a service of the page's ceremony, on ports that the system chooses."""
    folder.mkdir(parents=True, exist_ok=True)
    ceremony = folder / "ceremony.toml"
    ceremony.write_text(CEREMONY)
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
