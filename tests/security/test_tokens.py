"""Access tokens over HTTP: they narrow, they are bound, and they make nobody somebody."""

from typing import Any

import pytest

from api.cli.demo import cast
from pki.roles import Purpose
from tests.support.house import House, require_problem

CAN_READ = {"scope": ["read"]}
BOTH = {"scope": ["read", "write"]}


async def token(door: House, who: str = cast.FO, wanted: Any = None) -> str:
    reply = await door.post(who, "/v1/tokens", wanted or CAN_READ)
    assert reply.status == 201
    assert reply.headers["cache-control"] == "no-store"
    found = reply.json()
    assert found["token_type"] == "Bearer"
    assert 0 < found["expires_in"] <= 300
    return str(found["access_token"])


def bearer(text: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {text}")]


async def test_a_reading_token_reads_and_does_not_write(door: House) -> None:
    text = await token(door)
    assert (await door.ask(cast.FO, "GET", "/v1/requests", headers=bearer(text))).status == 200
    await door.attack(cast.FO, "/v1/requests", {}, status=403, code="api/scope-exceeded", headers=bearer(text))


async def test_a_widened_scope_is_refused(door: House) -> None:
    text = await token(door)
    await door.attack(cast.FO, "/v1/tokens", BOTH, status=403, code="api/scope-exceeded", headers=bearer(text))
    both = await token(door, wanted=BOTH)
    reply = await door.ask(cast.FO, "POST", "/v1/tokens", b'{"scope":["read"]}', headers=bearer(both))
    assert reply.json()["scope"] == "read"


async def test_a_token_without_its_certificate_is_nothing(door: House) -> None:
    text = await token(door)
    for who, code in ((None, "api/credential-missing"), (cast.CSO, "api/token-refused")):
        reply = await door.ask(who, "GET", "/v1/requests", headers=bearer(text))
        require_problem(reply, 401, code)


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Basic Zm86YmFy")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer a.b.c")],
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
    ],
)
async def test_a_header_that_is_not_one_token_is_refused_and_not_ignored(
    door: House, headers: list[tuple[str, str]]
) -> None:
    require_problem(await door.ask(cast.FO, "GET", "/v1/requests", headers=headers), 401, "api/token-refused")
    assert (await door.ask(cast.FO, "GET", "/livez", headers=headers)).status == 200


async def test_a_revocation_ends_every_token(door: House) -> None:
    text = await token(door)
    issued = door.issued(cast.FO, Purpose.TLS_CLIENT)
    door.service.directory.evidence_moved()
    reply = await door.ask(cast.FO, "GET", "/v1/requests", headers=bearer(text))
    require_problem(reply, 401, "api/token-refused")
    fresh = await token(door)
    chain = door.service.directory.validate(
        issued.chain[0],
        issued.certificate.not_valid_before_utc.timestamp().__trunc__() * 1000 + 600_000,
        purpose=Purpose.TLS_CLIENT,
    )
    door.service.directory.revoke(chain.issuer_key_sha256, chain.serial, 0)
    reply = await door.ask(cast.FO, "GET", "/v1/requests", headers=bearer(fresh))
    require_problem(reply, 401, "api/credential-refused")


@pytest.mark.parametrize(
    "wanted",
    [{}, {"scope": []}, {"scope": ["admin"]}, {"scope": ["read"], "lifetime_s": 301}, {"scope": ["read"], "sub": "x"}],
)
async def test_a_wish_for_another_token_is_refused(door: House, wanted: Any) -> None:
    await door.attack(cast.FO, "/v1/tokens", wanted, status=400, code="api/body-malformed")


async def test_nobody_gets_a_token_without_a_certificate(door: House) -> None:
    await door.attack(None, "/v1/tokens", CAN_READ, status=401, code="api/credential-missing")
