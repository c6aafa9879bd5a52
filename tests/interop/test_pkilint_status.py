"""pkilint's judges of CRLs (`lint_crl`) and of OCSP responses (`lint_ocsp_response`) find nothing in ours.

They know RFC 5280 and RFC 6960 and nothing but the one document, and check no signature. There is no false positive to
excuse: what we publish draws no finding of any severity.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from cryptography import x509

from pki import ocsp, revocation
from pki.asn1 import ocsp as octets
from pki.asn1.ocsp import ResponseStatus
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.status import Scope
from pki.store.records import Reason, Revocation
from tests.support import crls, pki_world
from tests.support.crls import HOUR_MS, REMOVE, Line
from tests.support.ocsp import Forged, delegate
from tests.support.pki_world import World

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pkilint") is None, reason="pkilint is not installed")
FO = "FI-AUR"
Findings = list[tuple[str, str]]


@pytest.fixture(scope="module")
def world() -> World:
    return pki_world.perform()


def _decoders() -> list[Any]:
    pkix, name, extension = (import_module(f"pkilint.{one}") for one in ("pkix", "pkix.name", "pkix.extension"))
    return [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ]


def _findings(validator: Any, document: Any) -> Findings:
    """Everything that it says, in every severity: code and severity."""
    return [
        (found.finding.code, found.finding.severity.name)
        for result in validator.validate(document.root)
        for found in result.finding_descriptions
    ]


@pytest.fixture(scope="module")
def of_list() -> Callable[[bytes], Findings]:
    """What `lint_crl --profile PKIX` says."""
    crl = import_module("pkilint.pkix.crl")
    validator = crl.create_pkix_crl_validator_container(
        _decoders(),
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
    return lambda der: _findings(validator, import_module("pkilint.loader").load_crl(der, "linted"))


@pytest.fixture(scope="module")
def of_answer() -> Callable[[bytes], Findings]:
    """What `lint_ocsp_response` says."""
    theirs = import_module("pkilint.pkix.ocsp")
    validator = theirs.create_pkix_ocsp_response_validator_container(
        [theirs.create_response_decoder(), *_decoders()], []
    )
    return lambda der: _findings(validator, import_module("pkilint.loader").load_ocsp_response(der, "linted"))


def _serial(world: World) -> int:
    return int(world.made.parties[FO].credentials[Purpose.TLS_CLIENT].certificate.serial_number)


def test_no_list_of_a_ceremony_displeases_it(world: World, of_list: Callable[[bytes], Findings]) -> None:
    assert len(world.made.crls) > 8  # of every authority, and of the body for its claims
    for der in world.made.crls:
        assert of_list(der) == []


@pytest.mark.parametrize("scope", list(Scope))
def test_no_list_with_a_line_of_every_reason_displeases_it(
    world: World, of_list: Callable[[bytes], Findings], scope: Scope
) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    lines = [
        Revocation(authority.key_sha256, (1 << 158) + place, world.tls_at_ms - HOUR_MS, reason)
        for place, reason in enumerate(Reason)
    ]
    der = revocation.crl(
        issuer=authority.certificate,
        signer=authority.signer,
        scope=scope,
        revocations=lines,
        number=7,
        this_update_ms=world.tls_at_ms,
        lifetime_ms=HOUR_MS,
    )
    assert len(x509.load_der_x509_crl(der)) == len(Reason)
    assert of_list(der) == []


@pytest.mark.parametrize("with_nonce", [True, False])
def test_no_answer_of_our_responder_displeases_it(of_answer: Callable[[bytes], Findings], with_nonce: bool) -> None:
    world = pki_world.perform()
    authority = world.made.hierarchy.issuing[Group.FO]
    revoked = int(world.made.parties[FO].credentials[Purpose.SIGNING].certificate.serial_number)
    authority.revoke(revoked, Reason.KEY_COMPROMISE, world.tls_at_ms - 5000)
    answering = Responder(world.made.hierarchy.authorities())
    answering.rotate(world.tls_at_ms)
    for serials in ((_serial(world),), (revoked,), (7,), (_serial(world), revoked, 7)):
        asked = ocsp.ask(authority.certificate, serials, with_nonce=with_nonce)
        answer = answering.answer(asked.der, world.tls_at_ms)
        assert answer.status is ResponseStatus.SUCCESSFUL
        assert of_answer(answer.der) == []


@pytest.mark.parametrize("status", [one for one in ResponseStatus if one is not ResponseStatus.SUCCESSFUL])
def test_no_refusal_of_our_responder_displeases_it(
    of_answer: Callable[[bytes], Findings], status: ResponseStatus
) -> None:
    assert of_answer(octets.unsuccessful(status)) == []


NUMBER = x509.UnrecognizedExtension(x509.CRLNumber.oid, b"\x02\x01\x07")
# With what it says of each; where it says nothing, ours must (tests/security/pki/test_revocation.py).
LISTS: dict[str, tuple[dict[str, Any], str]] = {
    "no number": ({"number": None}, "pkix.crl_number_missing"),
    "critical number": ({"number": None, "more": ((NUMBER, True),)}, "pkix.crl_number_extension_critical"),
    "delta that is not critical": ({"number": 8, "base": 7, "critical": False}, ""),
    "critical pointer to deltas": ({"freshest": True}, ""),
    "pointer to deltas in a delta": ({"number": 8, "base": 7, "freshest": False}, ""),
    "indirect": ({"indirect": True}, ""),
    "removal in a complete list": ({"lines": [Line(5, pki_world.TLS_AT_MS, REMOVE)]}, ""),
}


@pytest.mark.parametrize("what", sorted(LISTS))
def test_it_finds_in_spoilt_lists_what_is_said_here(
    world: World, of_list: Callable[[bytes], Findings], what: str
) -> None:
    """So that its silence about ours means something; if it learns more, or forgets, this says so."""
    changes, code = LISTS[what]
    der = crls.made(world.made.hierarchy.issuing[Group.FO], world.tls_at_ms, **{"number": 7, **changes})
    assert of_list(der) == ([(code, "ERROR")] if code else [])


def test_it_finds_a_list_without_an_end(world: World, of_list: Callable[[bytes], Findings]) -> None:
    der = crls.without_next_update(world.made.hierarchy.issuing[Group.FO], world.tls_at_ms)
    assert of_list(der) == [("pkix.validity_period_end_value_missing", "ERROR")]


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "ends before it begins": ({"next_ms": pki_world.TLS_AT_MS - HOUR_MS}, "pkix.ocsp_negative_validity_period"),
    "no end": ({"next_ms": None}, ""),
    "nonce of no octets": ({"nonce": b""}, ""),
    "nonce of 129 octets": ({"nonce": bytes(129)}, ""),
    "made before it was known": ({"produced_ms": pki_world.TLS_AT_MS - HOUR_MS}, ""),
}


@pytest.mark.parametrize("what", sorted(ANSWERS))
def test_it_finds_in_spoilt_answers_what_is_said_here(
    world: World, of_answer: Callable[[bytes], Findings], what: str
) -> None:
    changes, code = ANSWERS[what]
    authority, at_ms = world.made.hierarchy.issuing[Group.FO], world.tls_at_ms // 1000 * 1000
    right = Forged(authority, at_ms, (_serial(world),), by=delegate(authority, at_ms))
    assert of_answer(right.der()) == []
    assert of_answer(replace(right, **changes).der()) == ([(code, "ERROR")] if code else [])
