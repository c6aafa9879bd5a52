"""Certificates that are foreign, for something else, out of time, revoked, or that nobody can judge."""

import asyncio
import dataclasses
from pathlib import Path

import pytest
from cryptography import x509

from api import wire
from api.cli.demo import cast, props, story
from api.flows import office_lists
from ledger.records import statement
from pki import ceremony
from pki.ceremony import Ceremony
from pki.clock import SystemClock
from pki.roles import Purpose
from pki.store.records import Reason
from tests.support import house as houses
from tests.support.house import MINUTE_MS, House
from tests.support.house_acts import (
    FSR,
    refused,
    request,
)

# Certificates


async def test_certificates_of_a_rogue_authority_with_the_same_names_are_refused(door: House) -> None:
    rogue = houses.perform().parties[cast.FO]
    tls, signing = (rogue.credentials[purpose] for purpose in (Purpose.TLS_CLIENT, Purpose.SIGNING))
    good = door.said(cast.FO, request(), f"fsr/{FSR}")
    await door.attack(tls.chain[0], "/v1/requests", good, status=401, code="api/credential-refused")
    signed = statement.sign(
        request(),
        key=signing.key,
        x5t=props.thumbprint(signing.chain[0]),
        party=cast.FO,
        audience=cast.ORIGIN,
        stream=f"fsr/{FSR}",
        now_ms=door.clock.now_ms(),
    )
    unknown = wire.Submission(statement=signed.raw)
    reply = await refused(door, cast.FO, "/v1/requests", unknown)
    assert (reply.status, reply.json()["code"]) == (400, "api/signer-unknown")
    shown = wire.Submission(statement=signed.raw, certificates=(signing.chain[0],))
    reply = await refused(door, cast.FO, "/v1/requests", shown)
    assert reply.status == 400
    assert reply.json()["code"].startswith("pki/")


async def test_a_certificate_for_another_purpose_is_refused(door: House) -> None:
    good = door.said(cast.FO, request(), f"fsr/{FSR}")
    signing = door.issued(cast.FO, Purpose.SIGNING).chain[0]
    await door.attack(signing, "/v1/requests", good, status=401, code="api/credential-refused")
    tls = door.issued(cast.FO, Purpose.TLS_CLIENT)
    signed = statement.sign(
        request(),
        key=tls.key,
        x5t=props.thumbprint(tls.chain[0]),
        party=cast.FO,
        audience=cast.ORIGIN,
        stream=f"fsr/{FSR}",
        now_ms=door.clock.now_ms(),
    )
    shown = wire.Submission(statement=signed.raw, certificates=(tls.chain[0],))
    reply = await refused(door, cast.FO, "/v1/requests", shown)
    assert reply.status == 400
    assert reply.json()["code"].startswith("pki/")


YEAR_MS = 366 * 24 * 60 * MINUTE_MS


@pytest.mark.parametrize(("moved_ms", "code"), [(-40 * YEAR_MS, "pki/not-yet-valid"), (40 * YEAR_MS, "pki/expired")])
async def test_a_signing_certificate_outside_its_time_is_refused(
    tmp_path: Path, made: Ceremony, moved_ms: int, code: str
) -> None:
    async with House.open(tmp_path, made) as house:
        house.clock.set_ms(house.clock.now_ms() + moved_ms)
        reply = await refused(house, cast.FO, "/v1/requests", house.said(cast.FO, request(), f"fsr/{FSR}"))
        assert (reply.status, reply.json()["code"]) == (400, code)


@pytest.mark.parametrize("moved_ms", [-6 * YEAR_MS, 2 * YEAR_MS], ids=["expired", "not yet valid"])
async def test_a_connection_with_a_certificate_outside_its_time_is_refused(tmp_path: Path, moved_ms: int) -> None:
    made = ceremony.perform(
        cast.ceremony(), tls_now_ms=max(SystemClock().now_ms() + moved_ms, cast.CREATED_MS), signing_now_ms=cast.at(8)
    )
    async with House.open(tmp_path, made) as house:
        reply = await house.post(cast.FO, "/v1/requests", house.said(cast.FO, request(), f"fsr/{FSR}"))
        houses.require_problem(reply, 401, "api/credential-refused")
        assert house.size() == house.begun


async def test_a_stale_revocation_list_proves_nothing(tmp_path: Path, made: Ceremony) -> None:
    """Months later the certificates are still valid, and nobody knows whether they were revoked: not PASS."""
    async with House.open(tmp_path, made) as house:
        house.clock.set_ms(house.clock.now_ms() + 60 * 24 * 60 * MINUTE_MS)
        reply = await refused(house, cast.FO, "/v1/requests", house.said(cast.FO, request(), f"fsr/{FSR}"))
        assert (reply.status, reply.json()["code"]) == (503, "pki/status-indeterminate")
        assert int(reply.headers["retry-after"]) > 0


async def test_without_any_revocation_list_nobody_is_let_in(tmp_path: Path, made: Ceremony) -> None:
    signing_only = dataclasses.replace(made, crls=tuple(crl for crl in made.crls if is_of_the_day(crl)))
    async with House.open(tmp_path, signing_only) as house:
        good = house.said(cast.FO, request(), f"fsr/{FSR}")
        reply = await house.post(cast.FO, "/v1/requests", good)
        houses.require_problem(reply, 503, "api/credential-undecided")
        assert house.size() == house.begun


def is_of_the_day(crl: bytes) -> bool:
    """Whether the list is one of the demonstration's day; connections are of now."""
    return x509.load_der_x509_crl(crl).last_update_utc.timestamp() * 1000 < cast.at(9, day=30)


@pytest.mark.parametrize("purpose", [Purpose.TLS_CLIENT, Purpose.SIGNING])
@pytest.mark.slow
async def test_a_revoked_certificate_is_refused_within_seconds(tmp_path: Path, purpose: Purpose) -> None:
    made = houses.perform()
    async with House.open(tmp_path, made) as house:
        await story.open_the_day(house.play())
        revoke(house, cast.FO, purpose)
        code = "api/credential-refused" if purpose is Purpose.TLS_CLIENT else "pki/revoked"
        found = None
        for _ in range(60):
            reply = await house.post(cast.FO, "/v1/requests", house.said(cast.FO, request(), f"fsr/{FSR}"))
            found = reply.json().get("code")
            if found == code:
                break
            await asyncio.sleep(0.1)
        assert found == code
        status = 401 if purpose is Purpose.TLS_CLIENT else 400
        said = house.said(cast.FO, request("fsr-later"), "fsr/fsr-later")
        await house.attack(cast.FO, "/v1/requests", said, status=status, code=code)


def revoke(house: House, who: str, purpose: Purpose) -> None:
    """The authority revokes, publishes, and the lists are dropped into the running service's folder."""
    certificate = house.issued(who, purpose).certificate
    tls_ms = SystemClock().now_ms()
    hierarchy = house.made.hierarchy
    authority = hierarchy.authority_of(house.made.parties[who].role)
    at_ms = tls_ms if purpose is Purpose.TLS_CLIENT else house.clock.now_ms()
    authority.revoke(certificate.serial_number, Reason.KEY_COMPROMISE, at_ms)
    office_lists.write(house.settings.pki.crl_dir, house.made.crls_at(at_ms))
