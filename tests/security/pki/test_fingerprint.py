"""An ECDSA certificate has a second valid encoding: whoever goes by its whole fingerprint can be walked around."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from api.cli.demo import cast, story
from pki import status
from pki.clock import SystemClock
from pki.roles import Group, Purpose
from pki.status import StatusSet
from pki.store.records import Reason
from tests.support import house as houses
from tests.support import pki_world
from tests.support.house import House
from tests.support.house_acts import FSR, request

CLIENT = Purpose.TLS_CLIENT


def test_ecdsa_s_to_n_minus_s_twin_hits_the_same_deny_list_entry(own_world: Any) -> None:
    leaf, issuing = own_world.chain("FI-AUR", CLIENT)
    twin = pki_world.twin(leaf)
    assert hashlib.sha256(twin).digest() != hashlib.sha256(leaf).digest()
    one, other = (own_world.check((data, issuing), CLIENT) for data in (leaf, twin))
    assert (one.issuer_key_sha256, one.serial) == (other.issuer_key_sha256, other.serial)
    assert (one.tbs_sha256, one.spki_sha256) == (other.tbs_sha256, other.spki_sha256)

    authority = own_world.made.hierarchy.issuing[Group.FO]
    authority.revoke(one.serial, Reason.KEY_COMPROMISE, own_world.tls_at_ms)
    denied = StatusSet(own_world.made.crls_at(own_world.tls_at_ms))
    for data in (leaf, twin):
        with pytest.raises(status.Revoked):
            own_world.check((data, issuing), CLIENT, status=denied)


async def test_ecdsa_s_to_n_minus_s_twin_makes_the_same_ledger_record(tmp_path: Path) -> None:
    made = houses.perform()
    leaf = made.parties[cast.FO].credentials[CLIENT].chain[0]
    tbs_sha256 = hashlib.sha256(x509.load_der_x509_certificate(leaf).tbs_certificate_bytes).hexdigest()
    async with House.open(tmp_path, made) as house:
        await story.open_the_day(house.play())
        house.clock.set_ms(cast.at(14))
        for number, der in enumerate((leaf, pki_world.twin(leaf))):
            fsr = f"{FSR}-{number}"
            reply = await house.post(der, "/v1/requests", house.said(cast.FO, request(fsr), f"fsr/{fsr}"))
            assert reply.status == 201, reply.body
        submitters = [house.entry(index).sub for index in (house.size() - 2, house.size() - 1)]
        assert [one.cert for one in submitters] == [tbs_sha256, tbs_sha256]


async def test_ecdsa_s_to_n_minus_s_twin_of_a_revoked_certificate_is_not_let_in(tmp_path: Path) -> None:
    made = houses.perform()
    issued = made.parties[cast.FO].credentials[CLIENT]
    now_ms = SystemClock().now_ms()
    made.hierarchy.issuing[Group.FO].revoke(issued.certificate.serial_number, Reason.KEY_COMPROMISE, now_ms)
    published = dataclasses.replace(made, crls=(*made.crls, *made.crls_at(now_ms)))
    async with House.open(tmp_path, published) as house:
        for der in (issued.chain[0], pki_world.twin(issued.chain[0])):
            reply = await house.post(der, "/v1/requests", house.said(cast.FO, request(), f"fsr/{FSR}"))
            houses.require_problem(reply, 401, "api/credential-refused")
