"""One replica changes the roots of the log; what another one let in at its door before it heard of that is judged anew."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api import wire
from api.client.signer import StatementSigner
from api.flows.desk import Opened
from api.flows.service import Service
from api.principals import Principal
from api.verification.roots_in_time import RootNotInForce
from ledger.records.contracts import HoldersAsked
from ledger.records.services import Service as Kind
from pki import vouching
from pki.roles import Purpose
from tests.support import oracle, rulebook
from tests.support.postgres import Server
from tests.unit.api.cli import test_log_roots as ceremonies
from tests.unit.api.cli.test_log_life import DAY_MS, ORIGIN, Port, audited, beside, pristine, until

__all__ = ["pristine"]
pytestmark = pytest.mark.slow

FO = "FI-AUR"


@pytest.fixture
def port(pristine: Path, tmp_path: Path, postgres_server: Server) -> Port:
    folder = tmp_path / "old"
    shutil.copytree(pristine / "old", folder)
    config = folder / "flexledger.toml"
    text = re.sub(r"\[ocpp_listen\].*?(?=\n\[)", "", config.read_text(), flags=re.DOTALL)
    text = text.replace("[vault]\n", '[vault]\ndsn_file = "keys/dsn"\nkeys_dsn_file = "keys/dsn"\n')
    text = text.replace("[vault]\n", '[vault]\nschema = "roots_vault"\nkeys_schema = "roots_keys"\n')
    config.write_text(f'{text}\n[store]\nengine = "postgres"\ndsn_file = "keys/dsn"\nschema = "roots"\n')
    dsn = folder / "keys" / "dsn"
    dsn.touch(mode=0o600)
    dsn.write_text(postgres_server.dsn + "\n")
    return Port(folder, folder / "clock")


@asynccontextmanager
async def both(port: Port) -> AsyncIterator[tuple[Service, Service]]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(port.running()), await stack.enter_async_context(port.running())


def party(port: Port, purpose: str) -> bytes:
    folder = port.folder / "credentials" / "parties" / FO
    pem = (folder / f"{purpose}.crt.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def opened(port: Port, service: Service, number: int) -> tuple[Opened, Principal]:
    """A question of the operator, let in at the door of this replica and not yet written."""
    now_ms = int(port.clock.read_text())
    folder = port.folder / "credentials" / "parties" / FO
    signer = StatementSigner.load(
        party=FO, key=folder / "signing.key.pem", certificate=folder / "signing.crt.pem", audience=ORIGIN
    )
    asked = HoldersAsked(
        query_id=f"query-{number}",
        site_id="depot-7",
        service=Kind.CONGESTION,
        start_at_ms=now_ms,
        end_at_ms=now_ms + 3_600_000,
    )
    said = signer.sign(asked, f"discovery/query-{number}", now_ms=now_ms)
    credential = service.directory.validate(party(port, "tls_client"), now_ms, purpose=Purpose.TLS_CLIENT)
    principal = Principal.from_credential(credential)
    submitted = wire.Submission(statement=said.raw, certificates=(party(port, "signing"),))
    return service.desk.open(submitted, principal), principal


async def test_a_change_of_roots_through_one_replica_holds_for_what_waits_at_the_door_of_another(port: Port) -> None:
    async with port.running() as alone:
        await alone.desk.say(rulebook.site(site_id="depot-7"), "site/depot-7")
    adopt = f'act = "adopt-root"\nlog = "{ORIGIN}"\nfrom = {ceremonies._at(port, 1)}'
    paper = ceremonies._ceremony(port, "roots", 'act = "follow-root"', adopt)
    assert paper is not None
    first, second = ceremonies._root(port, "root"), ceremonies._root(port, "root-g2")
    async with both(port) as (one, other):
        # Let in before the other replica heard of the change, written after it: proven again, and good.
        waiting, principal = opened(port, other, 1)
        assert waiting.proof is not None
        assert waiting.proof.policy_index == 0
        code, text = await beside("log", "change-roots", port.config, paper)
        assert code == 0, text
        await until(lambda: len(one.directory.roots) == 2)
        accepted = await other.desk.admit(waiting, principal)
        adopted = one.desk.appender.policy_index
        assert accepted.index > adopted > 0
        for service in (one, other):
            await until(lambda service=service: service.directory.policy_index == adopted)  # type: ignore[misc]
            assert [window.certificate for window in service.directory.roots] == [first, second]

    port.later(2 * DAY_MS)
    end = f'act = "retire-root"\nlog = "{ORIGIN}"\nroot = "root"\nuntil = {ceremonies._at(port, 1)}'
    end_paper = ceremonies._ceremony(port, "end", 'act = "follow"\ngroup = "CSO"', end)
    assert end_paper is not None
    ceremonies._renew(port)
    async with both(port) as (one, other):
        waiting, principal = opened(port, other, 2)
        assert waiting.proof is not None
        assert waiting.proof.until_ms > int(port.clock.read_text()) + DAY_MS, "the door knows of no end"
        assert (await beside("log", "change-roots", port.config, end_paper))[0] == 0
        # Not the state of the rules: while a commit is awaited, it is the one after it.
        await until(lambda: one.directory.roots[0].until_ms is not None)
        assert one.desk.state.anchors[vouching.digest(first)].until_ms is not None
        size = one.desk.appender.head.size
        port.later(DAY_MS)
        with pytest.raises(RootNotInForce):
            await other.desk.admit(waiting, principal)
        assert other.desk.appender.head.size == size
        oracle.require_sound(one.engines.store, ORIGIN)
    audited(port.config, "--policy", ceremonies._policy(port, "second", second))
