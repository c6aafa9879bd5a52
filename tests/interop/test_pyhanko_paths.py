"""pyhanko-certvalidator, a whole RFC 5280 validator by others, sees the same chains: what we accept, it accepts.

It is the wider of the two: it follows policies, delta CRLs and names as the RFC says, and knows no roles. So it may accept
what we refuse. The other way round would be a hole.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError

from pki import oids
from pki.errors import Refused
from pki.roles import Group, Purpose, Role
from pki.status import StatusSet
from pki.store.records import Reason
from pki.trust import encoded
from tests.support import pki_world
from tests.support.pki_world import World

CLIENT = Purpose.TLS_CLIENT
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def world() -> World:
    return pki_world.perform()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """It logs every refusal with its trace."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _theirs(
    world: World,
    chain: Sequence[bytes],
    purpose: Purpose,
    *,
    crls: Sequence[bytes] | None = None,
    at_ms: int | None = None,
) -> str | None:
    """None if they accept it, else the name of what they raise."""
    moment = world.at_ms(purpose) if at_ms is None else at_ms
    context = ValidationContext(
        trust_roots=[asn1.Certificate.load(encoded(world.made.hierarchy.root.certificate))],
        crls=list(world.made.crls if crls is None else crls),
        moment=dt.datetime.fromtimestamp(moment // 1000, tz=dt.UTC),
        allow_fetching=False,
        revocation_mode="require" if _asks(chain[0]) else "hard-fail",
    )
    try:
        validator = CertificateValidator(
            asn1.Certificate.load(chain[0]),
            intermediate_certs=[asn1.Certificate.load(der) for der in chain[1:]],
            validation_context=context,
        )
        asyncio.run(validator.async_validate_usage({"digital_signature"}))
    except (PathError, ValidationError, ValueError, TypeError, KeyError) as error:
        return type(error).__name__
    return None


def _asks(leaf: bytes) -> bool:
    """Whether there is revocation to ask about (RFC 9608 says not to where noRevAvail stands)."""
    return b"\x06\x03\x55\x1d\x38" not in leaf


def _ours(world: World, chain: tuple[bytes, ...], purpose: Purpose, **more: Any) -> str | None:
    """None if we accept it, else the code."""
    try:
        world.check(chain, purpose, **more)
    except Refused as refusal:
        return refusal.code
    return None


def _everyone(world: World) -> Iterator[tuple[str, Purpose, tuple[bytes, ...]]]:
    for holder in (*world.made.parties.values(), *world.made.stations.values()):
        for purpose, issued in holder.credentials.items():
            yield holder.id, purpose, issued.chain


def test_both_accept_every_chain_of_a_ceremony(world: World) -> None:
    seen = 0
    for who, purpose, chain in _everyone(world):
        assert (_ours(world, chain, purpose), _theirs(world, chain, purpose)) == (None, None), (who, purpose)
        seen += 1
    assert seen > 20


@pytest.mark.parametrize("moved_days", [-400, 2000])
def test_both_refuse_every_chain_out_of_its_time(world: World, moved_days: int) -> None:
    for _who, purpose, chain in _everyone(world):
        at_ms = world.at_ms(purpose) + moved_days * 86_400_000
        assert _ours(world, chain, purpose, at_ms=at_ms)
        assert _theirs(world, chain, purpose, at_ms=at_ms)


def test_both_see_a_revoked_leaf_and_a_revoked_authority() -> None:
    world = pki_world.perform()
    hierarchy = world.made.hierarchy
    leaf, other = world.chain("FI-AUR", CLIENT), world.chain("FI-VOL", CLIENT)
    hierarchy.issuing[Group.FO].revoke(
        x509.load_der_x509_certificate(leaf[0]).serial_number, Reason.KEY_COMPROMISE, world.tls_at_ms - 5000
    )
    hierarchy.root.revoke(
        hierarchy.issuing[Group.CSP].certificate.serial_number, Reason.CA_COMPROMISE, world.tls_at_ms - 5000
    )
    crls = world.made.crls_at(world.tls_at_ms - 1000)
    status = StatusSet(crls)
    for chain in (leaf, other):
        assert _ours(world, chain, CLIENT, status=status) == "pki/revoked"
        assert _theirs(world, chain, CLIENT, crls=crls) is not None
    good = world.chain("FI-NGC", CLIENT)
    assert (_ours(world, good, CLIENT, status=status), _theirs(world, good, CLIENT, crls=crls)) == (None, None)


def test_both_refuse_without_any_list(world: World) -> None:
    chain = world.chain("FI-AUR", CLIENT)
    assert _ours(world, chain, CLIENT, status=StatusSet()) == "pki/status-indeterminate"
    assert _theirs(world, chain, CLIENT, crls=()) is not None


URI = x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def _usage(on: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in on for name in USAGES}, encipher_only=False, decipher_only=False)


POLICIES = [oids.CP_FO, oids.CP_CSO, oids.CP_TEST, x509.ObjectIdentifier("2.5.29.32.0")]
EKUS = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH, oids.KP_FO_CLIENT, oids.KP_CSP_CLIENT]
HOSTS = [
    "a.fo.flexledger.example",
    "fo.flexledger.example",
    "a.cso.flexledger.example",
    "evil.example",
    "*.fo.flexledger.example",
]
variants = st.one_of(
    st.frozensets(st.sampled_from(USAGES)).map(_usage),
    st.lists(st.sampled_from(POLICIES), min_size=1, max_size=3, unique=True).map(
        lambda found: x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in found])
    ),
    st.lists(st.sampled_from(EKUS), min_size=1, max_size=4, unique=True).map(x509.ExtendedKeyUsage),
    st.lists(st.sampled_from(HOSTS), max_size=2, unique=True).map(
        lambda found: x509.SubjectAlternativeName([URI, *map(x509.DNSName, found)])
    ),
    st.builds(x509.BasicConstraints, ca=st.booleans(), path_length=st.none()),
    st.builds(x509.PolicyConstraints, st.integers(0, 1), st.none()),
    st.just(x509.InhibitAnyPolicy(0)),
    st.just(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
)
changes = st.lists(st.tuples(variants, st.booleans()), max_size=3, unique_by=lambda pair: pair[0].oid)
gone = st.sampled_from([None, None, None, ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, oids.FLEX_ROLE])


def _changed(original: bytes, found: list[tuple[x509.ExtensionType, bool]], without: Any) -> dict[str, Any]:
    there = {one.oid for one in x509.load_der_x509_certificate(original).extensions}
    replaced: dict[Any, Any] = {value.oid: (value, critical) for value, critical in found if value.oid in there}
    if without is not None:
        replaced[without] = None
    return {"replaced": replaced, "added": tuple(pair for pair in found if pair[0].oid not in there)}


@pytest.mark.slow
@given(found=changes, without=gone)
@SETTINGS
def test_of_a_leaf_that_its_real_authority_signed_in_any_form_we_accept_no_more_than_they_do(
    world: World, found: list[tuple[x509.ExtensionType, bool]], without: Any
) -> None:
    original = world.chain("FI-AUR", CLIENT)[0]
    chain = world.forge(original, world.made.hierarchy.authority_of(Role.FO), **_changed(original, found, without))
    if _ours(world, chain, CLIENT) is None:
        assert _theirs(world, chain, CLIENT) is None


@pytest.mark.slow
@given(found=changes, without=gone)
@SETTINGS
def test_of_an_authority_that_the_real_root_signed_in_any_form_we_accept_no_more_than_they_do(
    world: World, found: list[tuple[x509.ExtensionType, bool]], without: Any
) -> None:
    leaf, issuing = world.chain("FI-AUR", CLIENT)
    forged = world.forge(issuing, world.made.hierarchy.root, **_changed(issuing, found, without))[0]
    if _ours(world, (leaf, forged), CLIENT) is None:
        assert _theirs(world, (leaf, forged), CLIENT) is None


def test_they_refuse_what_the_comparison_changes_too(world: World) -> None:
    """So that agreement means something: some of the forged chains displease both."""
    original = world.chain("FI-AUR", CLIENT)[0]
    authority = world.made.hierarchy.authority_of(Role.FO)
    spoilt: list[dict[str, Any]] = [
        {"added": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)},
        {"replaced": {ExtensionOID.KEY_USAGE: (_usage(frozenset({"key_agreement"})), True)}},
    ]
    for change in spoilt:
        chain = world.forge(original, authority, **change)
        assert _ours(world, chain, CLIENT) is not None
        assert _theirs(world, chain, CLIENT) is not None
