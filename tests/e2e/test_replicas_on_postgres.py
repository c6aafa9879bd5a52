"""Two services on one log: the same settings, one PostgreSQL server for log and vault; statements through both."""

import re
from collections.abc import Iterator
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
from ledger.store.postgres import PostgresReader
from ledger.tlog import note
from tests.e2e.test_init_serve import CEREMONY, ORIGIN, Serving, flexledger, init
from tests.support import oracle, rulebook
from tests.support.postgres import Server

pytestmark = pytest.mark.slow

SCHEMA = "e2e"


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
