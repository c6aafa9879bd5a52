"""`flexledger dev` as a newcomer meets it: the lines that it prints work as they stand; Ctrl-C leaves nothing."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.demo import dev_request
from api.cli.demo.dev_request import RUNNING_FILE
from tests.support import marked

pytestmark = [pytest.mark.day, pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE_S = 120
SECONDS = dev_request.MIN_SECONDS


class Dev:
    """A running `flexledger dev`."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.output = folder / "dev.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*marked.COMMAND, "dev", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            )

    def wait_for(self, text: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < give_up, self.output.read_text()
            time.sleep(0.1)

    def lines(self, start: str) -> list[str]:
        return [line.strip() for line in self.output.read_text().splitlines() if line.strip().startswith(start)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*marked.COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev") / "here"


@pytest.fixture(scope="module")
def dev(folder: Path) -> Iterator[Dev]:
    running = Dev(folder.parent, "--dir", str(folder))
    try:
        running.wait_for("Ctrl-C stops it.")
        yield running
    finally:
        running.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def asked(dev: Dev, folder: Path) -> subprocess.CompletedProcess[str]:
    """One request, from the question to the bundle."""
    return call("dev-request", folder, "--reduce-w", "20000", "--seconds", str(SECONDS))


def test_the_printed_curl_lines_work_as_they_stand(dev: Dev) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    answers = []
    for line in dev.lines("curl "):
        done = subprocess.run(
            [*shlex.split(line), "--silent", "--show-error", "--fail"], capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        answers.append(done.stdout.decode())
    alive, checkpoint, requests, metrics = answers
    assert json.loads(alive) == {"status": "alive"}
    assert checkpoint.startswith("ledger.example/northgate\n")
    assert "requests" in json.loads(requests)
    assert "flexledger_http_requests_total" in metrics


def test_the_files_of_the_parties_work_as_they_stand(dev: Dev, folder: Path) -> None:
    party = folder / "service" / "credentials" / "parties" / "FI-AUR" / "party.toml"
    listed = call("request", "list", party, "--json")
    assert listed.returncode == 0, listed.stderr
    assert "requests" in json.loads(listed.stdout)


def test_a_request_is_delivered_and_its_bundle_verifies(asked: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "8 of 8 EVSEs pass" in asked.stdout
    assert "proof of work: DELIVERED" in asked.stdout
    (line,) = [line for line in asked.stdout.splitlines() if " verify " in line]
    bundle = Path(shlex.split(line)[-3])
    assert bundle.parent == folder / "bundles"
    verified = call(*shlex.split(line)[shlex.split(line).index("verify") :])
    assert verified.returncode == 0, verified.stdout
    assert "VERIFIED" in verified.stdout.splitlines()[-1]


@pytest.mark.usefixtures("asked")
def test_a_second_request_waits_for_the_first(folder: Path) -> None:
    with subprocess.Popen(
        [*marked.COMMAND, "dev-request", str(folder), "--seconds", str(SECONDS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as first:
        assert first.stdout is not None
        assert "asks for" in first.stdout.readline()
        second = call("dev-request", folder)
        assert second.returncode == 1
        assert "another request is under way" in second.stderr
        assert "DELIVERED" in first.stdout.read()
    assert first.returncode == 0


@pytest.mark.usefixtures("asked")
def test_the_printed_audit_line_finds_the_whole_log_fine(dev: Dev) -> None:
    (line,) = [line for line in dev.output.read_text().splitlines() if " audit " in line]
    audited = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert audited.returncode == 0, audited.stdout + audited.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--seconds", str(dev_request.MIN_SECONDS - 1)],
        ["--seconds", str(dev_request.MAX_SECONDS + 1)],
        ["--reduce-w", "0"],
        ["--reduce-w", "80001"],
    ],
)
def test_what_the_depot_cannot_do_is_not_asked(dev: Dev, folder: Path, options: list[str]) -> None:
    refused = call("dev-request", folder, *options)
    assert refused.returncode == 2
    assert "expected" in refused.stderr


def test_a_folder_in_use_is_not_overwritten(dev: Dev, folder: Path) -> None:
    before = (folder / RUNNING_FILE).read_bytes()
    refused = call("dev", "--dir", folder)
    assert refused.returncode == 2
    assert (folder / RUNNING_FILE).read_bytes() == before


def test_a_request_without_a_running_service_says_so(tmp_path: Path) -> None:
    refused = call("dev-request", tmp_path)
    assert refused.returncode == 2
    assert "flexledger dev" in refused.stderr


def test_ctrl_c_ends_it_cleanly_and_takes_the_temporary_folder_along(tmp_path: Path) -> None:
    running = Dev(tmp_path, TMPDIR=str(tmp_path))
    try:
        running.wait_for("Ctrl-C stops it.")
        (folder,) = tmp_path.glob("flexledger-dev-*")
        where = json.loads((folder / RUNNING_FILE).read_bytes())
        assert running.stop() == 0, running.output.read_text()
    finally:
        running.stop(signal.SIGKILL)
    assert not folder.exists()
    assert "stopped" in running.output.read_text()
    assert where["port"] > 0


def test_it_ends_with_a_reason_when_its_service_dies(tmp_path: Path) -> None:
    running = Dev(tmp_path, "--dir", str(tmp_path / "here"))
    try:
        running.wait_for("Ctrl-C stops it.")
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not say who the children of a process are")
        (server,) = children.read_text().split()
        os.kill(int(server), signal.SIGKILL)
        assert running.process.wait(PATIENCE_S) == 1
    finally:
        running.stop(signal.SIGKILL)
    assert "the service ended by itself" in running.output.read_text()
