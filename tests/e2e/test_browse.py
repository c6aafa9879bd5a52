"""`flexledger browse` as an auditor meets it: a real service behind mutual TLS, and Chromium in front where there is one."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support import marked
from tests.support.serving import PATIENCE_S, Serving, lay_out

pytestmark = pytest.mark.slow  # starts a service, a process of pages, and a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

AUDITOR = """
[[parties]]
id = "FI-AUD"
role = "AUD"
organisation = "Auditors"
"""


@dataclass
class Browsing:
    process: subprocess.Popen[str]
    address: str


def party_file(serving: Serving, folder: Path, party: str) -> Path:
    """The folder that `init` made for a party, with the service's real port."""
    shutil.copytree(serving.config.parent / "credentials" / "parties" / party, folder, dirs_exist_ok=True)
    path = folder / "party.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("service")]
    path.write_text("\n".join([f'service = "https://localhost:{serving.where["port"]}"', *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("browse")
    running = Serving(lay_out(folder, AUDITOR), folder)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def browsing(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsing]:
    party = party_file(serving, tmp_path_factory.mktemp("reader"), "FI-AUD")
    process = subprocess.Popen(
        [*marked.COMMAND, "browse", str(party), "--development"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    told = process.stdout.readline()
    assert told.startswith("reading ledger.example/e2e as FI-AUD"), told + process.stdout.read()
    yield Browsing(process, process.stdout.readline().strip())
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def test_the_address_alone_opens_the_log_and_the_rest_of_the_machine_gets_nothing(browsing: Browsing) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/[A-Za-z0-9_-]{32}/", browsing.address)
    with httpx2.Client(trust_env=False) as http:
        found = http.get(browsing.address)
        assert found.status_code == 200
        assert "VERIFIED" in found.text
        assert http.get("/".join(browsing.address.split("/")[:3]) + "/").status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "The checkpoint below is signed"),
        ("entries/0", "PROVEN"),
        ("credentials", "TLS_CLIENT"),
        ("streams", "log/"),
    ],
)
def test_a_browser_shows_the_pages_and_has_nothing_to_complain_of(
    browsing: Browsing, path: str, expected: str, tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={tmp_path}",
            "--enable-logging=stderr",
            "--dump-dom",
            browsing.address + path,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert expected in done.stdout, done.stderr[-2000:]
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
