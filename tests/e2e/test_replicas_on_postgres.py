"""Two services on one log: the same settings, one PostgreSQL server for log and vault; statements through both."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.client.checkpoints import Checkpoints, MemoryCheckpoints
from api.client.client import AsyncClient
from api.client.errors import RemoteProblem
from api.client.http import AsyncTransport
from api.client.signer import StatementSigner
from ledger.clock import SystemClock
from ledger.records.contracts import HoldersAsked
from ledger.records.services import Service
from ledger.store.postgres_reads import PostgresReader
from ledger.tlog import note
from tests.e2e.test_init_serve import CEREMONY, ORIGIN, Serving, flexledger, init
from tests.support import oracle, rulebook
from tests.support.postgres import Server, free_port, is_answering
from tests.support.serving import PATIENCE_S

pytestmark = pytest.mark.slow

SCHEMA = "e2e"
VAULT_OF_ITS_OWN = '[vault]\nschema = "not_begun_vault"\nkeys_schema = "not_begun_keys"'


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Path:
    folder = tmp_path_factory.mktemp("replicas")
    ceremony = folder / "ceremony.toml"
    ceremony.write_text(CEREMONY)
    made = init(folder / "svc", ceremony)
    assert made.returncode == 0, made.stderr
    path = folder / "svc" / "flexledger.toml"
    text = re.sub(r"^port = \d+$", "port = 0", path.read_text(), flags=re.MULTILINE)
    # Stations belong to one replica; here to none.
    text = re.sub(r"\[ocpp_listen\].*?(?=\n\[)", "", text, flags=re.DOTALL)
    text = text.replace("[vault]\n", '[vault]\ndsn_file = "keys/dsn"\nkeys_dsn_file = "keys/dsn"\n')
    path.write_text(f'{text}\n[store]\nengine = "postgres"\ndsn_file = "keys/dsn"\nschema = "{SCHEMA}"\n')
    dsn = folder / "svc" / "keys" / "dsn"
    dsn.touch(mode=0o600)
    dsn.write_text(postgres_server.dsn + "\n")
    return path


@pytest.fixture
def both(config: Path, tmp_path: Path) -> Iterator[tuple[Serving, Serving]]:
    running: list[Serving] = []
    try:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            running.append(Serving(config, tmp_path / name))
        yield running[0], running[1]
    finally:
        for one in running:
            one.stop()


def test_the_doctor_of_a_service_on_a_server_finds_nothing_wrong_before_the_first_start(
    config: Path, tmp_path: Path, postgres_server: Server
) -> None:
    unbegun = copied(config, tmp_path)
    unbegun.write_text(unbegun.read_text().replace(f'"{SCHEMA}"', '"not_begun"').replace("[vault]", VAULT_OF_ITS_OWN))
    found = flexledger("doctor", unbegun)
    assert found.returncode == 0, found.stdout
    assert "the servers of the vault answer; the first start makes it" in found.stdout
    assert "doctor/standby-none" in found.stdout


def test_the_doctor_says_of_a_server_that_is_not_there_that_nothing_was_found_out(config: Path, tmp_path: Path) -> None:
    alone = copied(config, tmp_path)
    dsn = alone.parent / "keys" / "dsn"
    dsn.write_text("postgresql://test:canary-password@127.0.0.1:1/postgres")
    found = flexledger("doctor", alone)
    assert found.returncode == 1
    assert found.stdout.count("nothing was found out about the log") == found.stdout.count("ledger/store-unreachable")
    assert "restore" not in found.stdout
    dsn.write_text("canary-password@127.0.0.1")
    found = flexledger("doctor", alone)
    assert found.stdout.count("correct the file with the server's address") == found.stdout.count("address-unfit") > 0
    dsn.unlink()
    found = flexledger("doctor", alone)
    assert "doctor/unreadable: dsn: No such file or directory" in found.stdout
    assert "canary-password" not in found.stdout + found.stderr


def copied(config: Path, folder: Path) -> Path:
    shutil.copytree(config.parent, folder / "svc")
    return folder / "svc" / config.name


def client(config: Path, replica: Serving, party: str, seen: Checkpoints) -> AsyncClient:
    """The party's own client of one replica; it checks that every checkpoint agrees with those it saw before."""
    folder = config.parent / "credentials" / "parties" / party
    pair = {name: folder / name for name in ("tls_client.crt.pem", "tls_client.key.pem")}
    return AsyncClient(
        AsyncTransport(
            f"https://localhost:{replica.where['port']}",
            ca=config.parent / "pki" / "root.pem",
            cert=pair["tls_client.crt.pem"],
            key=pair["tls_client.key.pem"],
        ),
        signer=StatementSigner.load(
            party=party,
            key=folder / "signing.key.pem",
            certificate=folder / "signing.crt.pem",
            audience=ORIGIN,
        ),
        checkpoints=seen,
        clock=SystemClock(),
    )


def test_one_replica_serves_the_stations_and_the_other_takes_over_when_it_is_killed(
    config: Path, tmp_path: Path, postgres_server: Server
) -> None:
    del postgres_server
    port = free_port()
    with_stations = config.with_name("stations.toml")
    text = config.read_text()
    (of_listen,) = re.findall(r"\[listen\]\nport = 0\n(.*?)\n\[", text, flags=re.DOTALL)
    with_stations.write_text(f"{text}\n[ocpp_listen]\nport = {port}\n{of_listen}\n")
    running: list[Serving] = []
    try:
        for name in ("holder", "waiting"):
            (tmp_path / name).mkdir()
            running.append(Serving(with_stations, tmp_path / name))
        assert [one.where["ocpp_port"] for one in running] == [port, None]
        assert "flexledger_stations_served 1.0" in running[0].ops("/metrics").text
        assert "flexledger_stations_served 0.0" in running[1].ops("/metrics").text
        assert "a replica serves the stations" in flexledger("doctor", with_stations).stdout
        running[0].stop(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while "flexledger_stations_served 1.0" not in running[1].ops("/metrics").text:
            assert time.monotonic() < deadline, "nobody took over"
            time.sleep(0.2)
        assert is_answering(port)
    finally:
        for one in running:
            one.stop()
    assert "no replica serves the stations now" in flexledger("doctor", with_stations).stdout


async def test_two_replicas_serve_one_log(both: tuple[Serving, Serving], config: Path, postgres_server: Server) -> None:
    one, other = both
    seen = Checkpoints(ORIGIN, [note.parse_vkey(one.where["vkey"])], MemoryCheckpoints())
    async with (
        client(config, one, "FI-NGC", seen) as port,
        client(config, other, "FI-NGC", seen) as port_too,
        client(config, other, "FI-AUR", seen) as operator,
    ):
        first = await port.post_statement("/v1/sites", rulebook.site(site_id="depot-7"), "site/depot-7")
        # The other replica judges by what the first one wrote: version 1 is taken, version 2 follows it.
        with pytest.raises(RemoteProblem) as refused:
            await port_too.post_statement("/v1/sites", rulebook.site(site_id="depot-7"), "site/depot-7")
        assert refused.value.status == 409
        second = await port_too.post_statement("/v1/sites", rulebook.site(version=2, site_id="depot-7"), "site/depot-7")
        third = await port.post_statement("/v1/sites", rulebook.site(version=3, site_id="depot-7"), "site/depot-7")
        assert (first.seq, third.seq - second.seq) == (1, 1)
        now_ms = SystemClock().now_ms()
        for number in range(10):
            asked = HoldersAsked(
                query_id=f"query-{number}",
                site_id="depot-7",
                service=Service.CONGESTION,
                start_at_ms=now_ms,
                end_at_ms=now_ms + 3_600_000,
            )
            await operator.post_statement("/v1/contracts/discovery", asked, f"discovery/query-{number}")
    assert one.http.get("/readyz").status_code == other.http.get("/readyz").status_code == 200
    found = flexledger("doctor", config, "--json")
    assert "doctor/standby-none" in found.stdout
    assert "the vault and its keys answer" in found.stdout
    assert "doctor/vault-local" not in found.stdout
    assert not list((config.parent / "vault").glob("*.db"))
    assert found.returncode == 0, found.stdout
    audited = flexledger("audit", config)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert f"log {ORIGIN}: VERIFIED" in audited.stdout
    reader = PostgresReader.open(postgres_server.dsn, schema=SCHEMA)
    entries = oracle.require_sound(reader, ORIGIN)
    reader.close()
    assert [entry["type"] for entry in entries].count("log.policy-adopted") == 1


def apart(config: Path, folder: Path) -> Path:
    """The settings of a replica that has a key folder of its own, as on another machine."""
    shutil.copytree(config.parent / "keys", folder / "keys")
    text = config.read_text().replace('log_key = "keys/log.key"', f'log_key = "{folder / "keys" / "log.key"}"')
    assert str(folder) in text
    path = config.with_name("apart.toml")
    path.write_text(text)
    return path


def status_of(replica: Serving) -> int:
    return replica.ops("/readyz").status_code


def until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.1)


async def test_a_new_key_and_the_end_of_the_log_reach_every_replica(config: Path, tmp_path: Path) -> None:
    running: list[Serving] = []
    try:
        (tmp_path / "one").mkdir()
        (tmp_path / "other").mkdir()
        one = Serving(config, tmp_path / "one")
        running.append(one)
        other = Serving(apart(config, tmp_path), tmp_path / "other")
        running.append(other)
        assert (status_of(one), status_of(other)) == (200, 200)

        # The key is announced by the replica that has it; the other one signs nothing until it has it too.
        rotated = flexledger("log", "rotate-key", config, "--overlap-days", "1")
        assert rotated.returncode == 0, rotated.stderr
        until(lambda: status_of(other) == 503)
        assert other.ops("/readyz").json()["found"] == "log"
        assert "ledger/log-key-missing" in other.log.read_text()
        assert other.http.get("/checkpoint").status_code == 200
        shutil.copy(config.parent / "keys" / "log.key", tmp_path / "keys" / "log.key")
        until(lambda: status_of(other) == 200)
        old, new = (note.parse_vkey(line) for line in (config.parent / "data" / "vkey").read_text().split())
        for replica in running:
            signed = replica.http.get("/checkpoint").content
            assert {line.key_id for line in note.parse(signed).signatures} == {old.key_id, new.key_id}

        # One command ends the log for all of them.
        frozen = flexledger("log", "freeze", config, "--reason", "period-end", "--out", tmp_path / "last")
        assert frozen.returncode == 0, frozen.stderr
        last = (tmp_path / "last").read_bytes()
        seen = Checkpoints(ORIGIN, [old, new], MemoryCheckpoints())
        for replica in running:
            async with client(config, replica, "FI-NGC", seen) as port:
                with pytest.raises(RemoteProblem) as refused:
                    await port.post_statement("/v1/sites", rulebook.site(site_id="late"), "site/late")
                assert (refused.value.status, refused.value.code) == (409, "rules/log-frozen")
            assert replica.http.get("/checkpoint").content == last
            assert status_of(replica) == 200
    finally:
        for replica in running:
            replica.stop()
    audited = flexledger("audit", config)
    assert audited.returncode == 0, audited.stdout + audited.stderr
