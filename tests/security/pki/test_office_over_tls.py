"""The office over real sockets: connections end with the credential, and strangers' tools enrol."""

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import websockets.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from api.cli.demo import cast, stage
from api.client import party as parties
from api.client.client import AsyncClient
from api.client.http import Request
from api.client.tls import client_context
from ledger.clock import SystemClock
from pki import keys
from pki.ceremony import Ceremony
from pki.roles import Purpose
from tests.support.street import open_street

pytestmark = pytest.mark.slow

WITHIN_S = 1.0
"""How soon a revocation is felt by a connection that is open."""


@dataclass
class Street:
    """A running server, seen from outside."""

    folder: Path
    made: Ceremony
    server: stage.Server
    clients: dict[str, AsyncClient]

    @property
    def root(self) -> Path:
        return self.folder / "service" / "pki" / "root.pem"

    def context(self, who: str, kind: str = "parties") -> ssl.SSLContext:
        certificate, key = stage.credentials(self.folder, kind, who, Purpose.TLS_CLIENT)
        return client_context(self.root, certificate, key)

    def name(self, who: str, kind: str = "parties") -> str:
        holder = (self.made.parties if kind == "parties" else self.made.stations)[who]
        issued = holder.credentials[Purpose.TLS_CLIENT]
        issuer = x509.load_der_x509_certificate(issued.chain[1]).public_key()
        return f"{keys.spki_sha256(keys.require_authority_key(issuer))}.{issued.certificate.serial_number:040x}"

    async def post(self, who: str, path: str, body: object) -> Any:
        answer = await self.clients[who].transport.request(Request("POST", path, msgspec.json.encode(body)))
        return answer.json()

    async def revoke(self, who: str, kind: str = "parties") -> float:
        """When it was asked for; the answer has come."""
        asked = time.monotonic()
        await self.post(cast.OPS, f"/v1/credentials/{self.name(who, kind)}/revocation", {"reason": "keyCompromise"})
        return asked


@pytest_asyncio.fixture
async def street(tmp_path: Path, made: Ceremony) -> AsyncIterator[Street]:
    async with open_street(tmp_path, made) as (server, clients):
        yield Street(tmp_path, made, server, clients)


async def opened(street: Street, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of the rival's on which one request was made and answered, or begun to be."""
    reader, writer = await asyncio.open_connection("localhost", street.server.port, ssl=street.context(cast.RIVAL))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> float:
    """When the other side had closed."""
    try:
        while await reader.read(65_536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic()


async def test_revoked_in_the_middle_of_a_tls_session(street: Street) -> None:
    """Idle, in the middle of an answer without an end, and as a station: each is over within a second."""
    idle, first = await opened(street, "/v1/requests")
    endless, second = await opened(street, "/v1/events")
    station = await connect(
        f"wss://localhost:{street.server.ocpp_port}/ocpp/CS-E1",
        ssl=street.context("CS-E1", "stations"),
        subprotocols=[Subprotocol("ocpp2.1")],
        proxy=None,
    )
    others = await street.clients[cast.FO].get_json("/v1/requests")
    assert "requests" in others

    async def dropped() -> float:
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            await station.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        return time.monotonic()

    waiting = [asyncio.create_task(ended(idle)), asyncio.create_task(ended(endless))]
    asked = await street.revoke(cast.RIVAL)
    async with asyncio.timeout(5):
        for task in waiting:
            assert await task - asked < WITHIN_S
    waiting = [asyncio.create_task(dropped())]
    asked = await street.revoke("CS-E1", "stations")
    async with asyncio.timeout(5):
        assert await waiting[0] - asked < WITHIN_S
    # Everybody else goes on over the connections that they have.
    assert (await street.clients[cast.FO].get_json("/v1/requests"))["requests"] == others["requests"]
    for writer in (first, second):
        writer.close()


HANDOVER = r"""
name=$1
spki=$(openssl pkey -in new.key.pem -pubout -outform DER | sha256sum | cut -d' ' -f1)
printf 'flexledger key handover v1\n%s\n%s\n' "$name" "$spki" | openssl dgst -sha256 -sign old.key.pem \
  | base64 -w0 > handover.b64
"""


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "openssl"))), reason="there is no curl or no openssl command")
async def test_curl_and_openssl_enrol_and_renew(street: Street) -> None:
    wanted = ["TLS_CLIENT", "SIGNING"]
    newcomer = {"role": "FO", "party_id": "FI-NEW", "organisation": "Newcomer Oy", "purposes": wanted}
    code = (await street.post(cast.OPS, "/v1/credentials/invitations", newcomer))["code"]
    url = f"https://localhost:{street.server.port}/.well-known/est"

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [str(one) for one in arguments], cwd=street.folder, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def unpack(answer: str) -> None:
        run("openssl", "base64", "-d", "-in", answer, "-out", f"{answer}.p7")
        run("openssl", "pkcs7", "-inform", "DER", "-in", f"{answer}.p7", "-print_certs", "-out", f"{answer}.pem")

    curl = ("curl", "--silent", "--show-error", "--fail", "--cacert", street.root, "-o")
    run(*curl, "cacerts", f"{url}/cacerts")
    unpack("cacerts")
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "new.key")
    run("openssl", "req", "-new", "-key", "new.key", "-subj", "/CN=whatever", "-outform", "DER", "-out", "new.der")
    run("openssl", "base64", "-in", "new.der", "-out", "new.b64")
    sent = ("-H", "content-type: application/pkcs10", "--data-binary", "@new.b64")
    run(*curl, "enrolled", "-u", code, *sent, f"{url}/tls-client/simpleenroll")
    unpack("enrolled")
    run("openssl", "verify", "-CAfile", "cacerts.pem", "-purpose", "sslclient", "enrolled.pem")
    mine = ("--cert", "enrolled.pem", "--key", "new.key")
    listed = run(*curl, "-", *mine, f"https://localhost:{street.server.port}/v1/requests")
    assert '"requests"' in listed
    held = x509.load_pem_x509_certificate((street.folder / "enrolled.pem").read_bytes())
    request = x509.CertificateSigningRequestBuilder().subject_name(held.subject)
    again = request.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER)
    (street.folder / "new.der").write_bytes(again)
    run("openssl", "base64", "-in", "new.der", "-out", "new.b64")
    run(*curl, "renewed", *mine, *sent, f"{url}/simplereenroll")
    unpack("renewed")
    renewed = x509.load_pem_x509_certificate((street.folder / "renewed.pem").read_bytes())
    assert renewed.subject == held.subject
    assert renewed.serial_number != held.serial_number
    # The key that signs hands over to another one, as docs/how-to/enrol-and-revoke.md says it.
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "old.key.pem")
    run("openssl", "req", "-new", "-key", "old.key.pem", "-subj", "/", "-outform", "DER", "-out", "new.der")
    run("openssl", "base64", "-in", "new.der", "-out", "new.b64")
    run(*curl, "signing", "-u", code, *sent, f"{url}/signing/simpleenroll")
    listed = json.loads(run(*curl, "-", *mine, f"https://localhost:{street.server.port}/v1/credentials"))
    (name,) = [one["name"] for one in listed["credentials"] if one["purpose"] == "SIGNING"]
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "new.key.pem")
    run("openssl", "req", "-new", "-key", "new.key.pem", "-subj", "/", "-outform", "DER", "-out", "new.der")
    run("openssl", "base64", "-in", "new.der", "-out", "new.b64")
    run("sh", "-c", HANDOVER, "sh", name)
    proof = ("-H", f"key-handover: {(street.folder / 'handover.b64').read_text()}")
    run(*curl, "handed", *mine, *sent, *proof, f"{url}/signing/simplereenroll")
    unpack("handed")
    followed = x509.load_pem_x509_certificate((street.folder / "handed.pem").read_bytes())
    assert (
        followed.public_key() == load_pem_private_key((street.folder / "new.key.pem").read_bytes(), None).public_key()
    )


def renew(party: Path) -> subprocess.CompletedProcess[str]:
    """`flexledger renew`, in a process of its own."""
    command = [sys.executable, "-m", "api", "renew", str(party)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def test_enroll_fetches_what_the_code_is_for_and_says_where_it_is(street: Street) -> None:
    newcomer = {
        "role": "FO",
        "party_id": "FI-NEW",
        "organisation": "Newcomer Oy",
        "purposes": ["TLS_CLIENT", "SIGNING"],
    }
    code = (await street.post(cast.OPS, "/v1/credentials/invitations", newcomer))["code"]
    out = street.folder / "new"
    service = f"https://localhost:{street.server.port}"

    def enroll(shown: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "api",
            "enroll",
            shown,
            "--service",
            service,
            "--ca",
            street.root,
            "--out",
            out,
        ]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)

    wrong = enroll(f"{code[:-1]}x")
    assert (wrong.returncode, "api/code-refused" in wrong.stderr) == (2, True), wrong.stderr
    assert not (out / "party.toml").exists()
    # Its keys are there already, and go with the right code.
    done = enroll(code)
    assert done.returncode == 0, done.stderr
    party = parties.load(out / parties.FILE)
    assert (party.party, party.role, party.origin) == ("FI-NEW", "FO", cast.ORIGIN)
    assert party.vkeys == (street.server.vkey,)
    assert party.signing is not None
    for pair in (party.tls, party.signing):
        assert pair.key.stat().st_mode & 0o077 == 0
    async with parties.connect(party, out / parties.CHECKPOINTS, clock=SystemClock()) as client:
        assert (await client.get_json("/v1/requests"))["requests"] == []
        assert (await client.checkpoint()).checkpoint.origin == cast.ORIGIN
    assert enroll(code).returncode == 2
    # Before they end, new keys follow: the one that signs by the word of the one before it.
    renewed = renew(out / parties.FILE)
    assert renewed.returncode == 0, renewed.stderr
    later = parties.load(out / parties.FILE)
    assert later.signing is not None
    for old, new in ((party.tls, later.tls), (party.signing, later.signing)):
        assert old.key.exists()
        assert new.key.read_bytes() != old.key.read_bytes()
        assert new.key.stat().st_mode & 0o077 == 0
    assert list(out.glob("*.next.*")) == []
    async with parties.connect(later, out / parties.CHECKPOINTS, clock=SystemClock()) as client:
        assert (await client.get_json("/v1/requests"))["requests"] == []
    (out / parties.FILE).write_text(
        (out / parties.FILE).read_text().replace(later.signing.key.name, later.tls.key.name)
    )
    refused = renew(out / parties.FILE)
    assert (refused.returncode, "pki/handover-unproven" in refused.stderr) == (2, True), refused.stderr
    assert parties.load(out / parties.FILE).tls == later.tls
