"""The gateway as its users meet it: curl in front, a real service with mutual TLS behind."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import marked
from tests.support.serving import PATIENCE_S, Serving, flexledger, lay_out

pytestmark = pytest.mark.slow  # starts a service and gateways

EVSE = {
    "evse_id": "FI*NGC*E1",
    "station_id": "DEPOT-7-E1",
    "connector": 1,
    "kind": "DC",
    "max_charge_w": 22_000,
    "max_discharge_w": 22_000,
    "services": ["CONGESTION"],
    "response_time_ms": 500,
    "meter": {
        "serial": "M-1",
        "key_spki_sha256": "1" * 64,
        "accuracy_ppm": 10_000,
        "resolution_milliwh": 100,
        "sample_period_ms": 1_000,
    },
    "key_spki_sha256": "2" * 64,
    "firmware_sha256": "3" * 64,
}
SITE = {
    "site_id": "DEPOT-7",
    "version": 1,
    "import_limit_w": 50_000,
    "export_limit_w": 50_000,
    "congestion_point": "CP-1",
    "region": "FI",
    "evses": [EVSE],
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("gateway")
    running = Serving(lay_out(folder), folder)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


def party_file(serving: Serving, folder: Path, party: str, **changes: str) -> Path:
    """The folder that `init` made for a party, copied as it would be handed out; the service's port is the real one."""
    shutil.copytree(serving.config.parent / "credentials" / "parties" / party, folder, dirs_exist_ok=True)
    path = folder / "party.toml"
    wanted = {"service": f"https://localhost:{serving.where['port']}", **changes}
    kept = [line for line in path.read_text().splitlines() if line.partition(" ")[0] not in wanted]
    text = "\n".join([*(f'{name} = "{value}"' for name, value in wanted.items()), *kept]) + "\n"
    path.write_text(text)
    return path


@dataclass
class Running:
    process: subprocess.Popen[str]
    folder: Path
    http: httpx2.Client


def start(party: Path, *options: str) -> Running:
    process = subprocess.Popen(
        [*marked.COMMAND, "gateway", str(party), *options],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = process.stderr.readline()
    assert told.startswith("speaking for"), told + process.stderr.read()
    address = process.stderr.readline().split()[-1]
    if "--port" in options:
        http = httpx2.Client(base_url=address.removesuffix("/readyz"), trust_env=False)
    else:
        transport = httpx2.HTTPTransport(uds=str(party.parent / "gateway.sock"))
        http = httpx2.Client(base_url="http://gateway", transport=transport)
    return Running(process, party.parent, http)


def stop(running: Running) -> int:
    running.http.close()
    running.process.send_signal(signal.SIGTERM)
    code = running.process.wait(PATIENCE_S)
    if running.process.stderr is not None:
        running.process.stderr.close()
    return code


@pytest.fixture(scope="module")
def operator(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The CSO's gateway on a Unix socket."""
    running = start(party_file(serving, tmp_path_factory.mktemp("cso"), "FI-NGC"))
    yield running
    assert stop(running) == 0


def say(running: Running, body: Any, **more: Any) -> httpx2.Response:
    return running.http.post("/state", json=body, **more)


def curl(socket_file: Path, path: str, *options: str) -> Any:
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--unix-socket", str(socket_file), f"http://gateway{path}", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return json.loads(done.stdout)


def test_plain_json_becomes_a_signed_statement_with_a_verified_receipt(serving: Serving, operator: Running) -> None:
    told = curl(
        operator.folder / "gateway.sock",
        "/state",
        "--json",
        json.dumps({"type": "site.configured", "record": SITE}),
    )
    assert (told["status"], told.get("verified")) == (201, True), told
    entry = json.loads(serving.http.get(f"/v1/entries/{told['accepted']['index']}").content)
    assert (entry["type"], entry["stream"], entry["sub"]["party"]) == ("site.configured", "site/DEPOT-7", "FI-NGC")
    assert list((operator.folder / "checkpoints").glob("*.checkpoint"))  # what was seen is kept, as evidence


def test_what_is_read_comes_through_as_it_is(serving: Serving, operator: Running) -> None:
    assert operator.http.get("/checkpoint").content == serving.http.get("/checkpoint").content
    listed = operator.http.get("/v1/requests?limit=5")
    assert (listed.status_code, listed.json()["requests"]) == (200, [])
    refused = operator.http.get("/v1/requests?limit=0")
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert refused.json()["code"] == "api/request-malformed"


def test_a_refusal_is_handed_back_unchanged_and_the_others_of_a_batch_stand(operator: Running) -> None:
    again = {"type": "site.configured", "record": {**SITE, "version": 9}}
    evses = [{**EVSE, "evse_id": "FI*NGC*E2"}]
    other = {"type": "site.configured", "record": {**SITE, "site_id": "DEPOT-8", "evses": evses}}
    told = say(operator, [again, other]).json()
    assert [one["status"] for one in told] == [409, 201]
    assert told[0]["problem"]["code"].startswith("rules/")
    assert told[1]["verified"] is True


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "no.such", "record": {}}, 400, "ledger/record-type-unknown"),
        ({"type": "site.configured", "record": {"site_id": 5}}, 400, "ledger/record-malformed"),
        ({"type": "site.configured"}, 400, "api/body-malformed"),
        ({"type": "site.configured", "record": SITE, "surplus": 1}, 400, "api/body-malformed"),
        ([], 400, "api/body-malformed"),
        ("text", 400, "api/body-malformed"),
    ],
)
def test_what_cannot_be_said_is_a_problem_and_nothing_is_sent(
    serving: Serving, operator: Running, body: Any, status: int, code: str
) -> None:
    size = serving.checkpoint().size
    answer = say(operator, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert serving.checkpoint().size == size


def test_paths_and_methods_that_are_none_are_refused(operator: Running) -> None:
    for method, path, status in (
        ("GET", "/state", 405),
        ("DELETE", "/v1/requests", 405),
        ("GET", "/etc/passwd", 404),
        ("GET", "/", 404),
        ("GET", "/v1/events", 404),  # never ends: not for a process that answers whole
    ):
        assert operator.http.request(method, path).status_code == status


def test_a_body_beyond_the_limit_is_refused(operator: Running) -> None:
    answer = operator.http.post("/state", content=b"[" + b" " * (5 << 20) + b"]")
    assert (answer.status_code, answer.json()["code"]) == (413, "api/body-too-large")


def test_the_socket_is_its_owners_alone(operator: Running) -> None:
    mode = (operator.folder / "gateway.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_port_wants_the_secret(serving: Serving, tmp_path: Path) -> None:
    running = start(party_file(serving, tmp_path, "FI-AUR"), "--port", "0")
    try:
        secret = tmp_path / "gateway.secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": secret.read_text().strip()}):
            answer = running.http.get("/v1/requests", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "api/gateway-secret")
        good = {"authorization": f"Bearer {secret.read_text().strip()}"}
        assert running.http.get("/v1/requests", headers=good).status_code == 200
    finally:
        assert stop(running) == 0


def test_a_service_that_is_away_is_a_503_problem(serving: Serving, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    running = start(party_file(serving, tmp_path, "FI-AUR", service=f"https://localhost:{port}"))
    try:
        answer = running.http.get("/v1/requests", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (503, "api/unreachable")
    finally:
        assert stop(running) == 0


def _refused(party: Path, *options: str) -> str:
    done = flexledger("gateway", party, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"service": "http://localhost:1"}, "api/party-file"),
        ({"surplus": "x"}, "api/party-file"),
        ({"ca": "absent.pem"}, "api/party-file"),
        ({"role": "fo"}, "api/party-file"),
    ],
)
def test_a_party_file_that_does_not_fit_is_refused(
    serving: Serving, tmp_path: Path, change: dict[str, str], code: str
) -> None:
    assert code in _refused(party_file(serving, tmp_path, "FI-AUR", **change))


def test_who_has_no_signing_key_reads_and_states_nothing(serving: Serving, tmp_path: Path) -> None:
    party = party_file(serving, tmp_path, "FI-AUR")
    party.write_text(party.read_text().partition("\n[signing]")[0])
    running = start(party)
    try:
        assert running.http.get("/v1/requests").status_code == 200
        answer = say(running, {"type": "site.configured", "record": SITE})
        assert (answer.status_code, answer.json()["code"]) == (400, "api/party-file")
    finally:
        assert stop(running) == 0


def test_a_key_that_others_may_read_and_a_place_that_is_taken_are_refused(serving: Serving, tmp_path: Path) -> None:
    party = party_file(serving, tmp_path, "FI-AUR")
    key = tmp_path / "signing.key.pem"
    key.chmod(0o644)
    assert "pki/key-file-mode" in _refused(party)
    key.chmod(0o600)
    (tmp_path / "gateway.sock").write_text("precious")
    assert "api/gateway-socket" in _refused(party)
    assert (tmp_path / "gateway.sock").read_text() == "precious"
    (tmp_path / "gateway.secret").write_text("short")
    (tmp_path / "gateway.secret").chmod(0o644)
    assert "api/gateway-secret-file" in _refused(party, "--port", "0")
    assert "api/party-file" in _refused(tmp_path / "absent.toml")


def test_a_socket_left_behind_by_a_kill_is_replaced(serving: Serving, tmp_path: Path) -> None:
    party = party_file(serving, tmp_path, "FI-AUR")
    killed = start(party)
    killed.http.close()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(PATIENCE_S)
    if killed.process.stderr is not None:
        killed.process.stderr.close()
    again = start(party)
    assert again.http.get("/v1/requests").status_code == 200
    assert stop(again) == 0
