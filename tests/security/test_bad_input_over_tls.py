"""The same over real sockets: a process of its own, mutual TLS, and clients that do not mean well."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from api.cli.demo import cast, stage
from api.client.client import AsyncClient, submission
from api.client.errors import HandshakeRefused, RemoteProblem, Unreachable
from api.client.http import NO_RETRY, AsyncTransport, Request
from pki import ceremony
from pki.ceremony import Ceremony
from tests.support import house as houses
from tests.support.house import CANARY
from tests.support.house_acts import FSR, cancelled
from tests.support.street import open_street

pytestmark = pytest.mark.slow


@dataclass
class Street:
    """A running server, seen from outside."""

    folder: Path
    made: Ceremony
    server: stage.Server
    clients: dict[str, AsyncClient]

    async def post(self, who: str, body: bytes) -> RemoteProblem:
        """What the party is told; raises AssertionError if it is not refused."""
        try:
            await self.clients[who].transport.request(Request("POST", f"/v1/requests/{FSR}/cancellation", body))
        except RemoteProblem as problem:
            return problem
        raise AssertionError("it was not refused")

    async def size(self) -> int:
        """Entries in the log, by its own checkpoint."""
        return (await self.clients[cast.AUD].checkpoint()).checkpoint.size


@pytest_asyncio.fixture
async def street(tmp_path: Path, made: Ceremony) -> AsyncIterator[Street]:
    async with open_street(tmp_path, made) as (server, clients):
        yield Street(tmp_path, made, server, clients)


async def test_bad_input_over_tls_is_refused_and_the_service_goes_on(street: Street) -> None:
    before = await street.size()
    signer = street.clients[cast.FO].conversation.signer
    assert signer is not None
    signed = signer.sign(cancelled(), f"fsr/{FSR}", now_ms=cast.at(9))
    good = msgspec.json.encode(submission(signed, None, (), (signer.certificate or b"",)))
    cases = (
        (cast.FO, b"[" * 1_000, 400, "api/body-malformed"),
        (cast.FO, b'{"statement":"' + CANARY.encode() * 500_000 + b'"}', 413, "api/body-too-large"),
        (cast.RIVAL, good, 403, "api/party-mismatch"),
        (cast.CSO, good, 403, "api/role-not-allowed"),
    )
    for who, body, status, code in cases:
        problem = await street.post(who, body)
        assert (problem.status, problem.code) == (status, code)
    assert await street.size() == before
    assert (await street.post(cast.FO, good)).code == "rules/wrong-order"
    assert await street.size() == before + 1
    assert CANARY not in (street.folder / "server.log").read_text()


async def test_a_stranger_with_the_right_names_does_not_get_through_the_handshake(street: Street) -> None:
    rogue = street.folder / "rogue"
    ceremony.save(houses.perform(), rogue, None)
    own = rogue / "parties" / cast.FO
    before = await street.size()
    transport = AsyncTransport(
        f"https://localhost:{street.server.port}",
        ca=street.folder / "service" / "pki" / "root.pem",
        cert=own / "tls_client.crt.pem",
        key=own / "tls_client.key.pem",
        retry=NO_RETRY,
    )
    async with transport:
        with pytest.raises((HandshakeRefused, Unreachable)):
            await transport.request(Request("GET", "/v1/requests"))
    assert await street.size() == before
