"""What stage 1 refuses beyond the library: rules about policies, and more intermediates than are looked at."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec.structs import replace

from pki import keys, oids, path
from pki.roles import Group, Purpose
from pki.status import Signing, StatusIndeterminate, StatusSet

FO = "FI-AUR"
CLIENT = Purpose.TLS_CLIENT
CONSTRAINTS = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
# SEQUENCE { SEQUENCE { 1.2.3.4, 1.2.3.5 } }
MAPPINGS = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), bytes.fromhex("300c300a06032a030406032a0305"))
RULES = {"constraints": CONSTRAINTS, "mappings": MAPPINGS, "inhibit-any": x509.InhibitAnyPolicy(0)}


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("what", RULES)
def test_a_rule_about_policies_is_refused_on_an_authority(world: Any, what: str, critical: bool) -> None:
    """RFC 5280 sections 4.2.1.5, 4.2.1.11, 4.2.1.14: whoever does not follow them must not accept the path."""
    leaf, issuing = world.chain(FO, CLIENT)
    forged = world.forge(issuing, world.made.hierarchy.root, added=((RULES[what], critical),))[0]
    with pytest.raises(path.Untrusted):
        world.check((leaf, forged), CLIENT)


@pytest.mark.parametrize("what", RULES)
def test_a_rule_about_policies_is_refused_on_a_leaf(world: Any, what: str) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    forged = world.forge(world.chain(FO, CLIENT)[0], authority, added=((RULES[what], False),))
    with pytest.raises(path.Untrusted):
        world.check(forged, CLIENT)


def _build(world: Any, intermediates: int, rules: path.Rules = path.ROLES) -> int:
    leaf, issuing = world.chain(FO, CLIENT)
    between = [issuing] * intermediates
    roots = world.made.anchors.certificates
    return len(path.build(leaf, between, roots, at_ms=world.tls_at_ms, rules=rules))


def test_as_many_intermediates_as_the_cap_are_looked_at_and_no_more(world: Any) -> None:
    assert _build(world, path.MAX_INTERMEDIATES) == 3
    with pytest.raises(path.Oversize):
        _build(world, path.MAX_INTERMEDIATES + 1)
    assert _build(world, 6, replace(path.ROLES, max_intermediates=6)) == 3
    with pytest.raises(path.Oversize):
        _build(world, 7, replace(path.ROLES, max_intermediates=6))


def test_a_crl_is_believed_only_with_an_algorithm_that_is_allowed(world: Any) -> None:
    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    crls = world.made.crls
    allowed = Signing(keys.require_authority_key, frozenset({oids.ECDSA_WITH_SHA256}))
    assert StatusSet(crls, signing=allowed).crl_for(issuer, world.tls_at_ms).next_update_ms > world.tls_at_ms
    other = Signing(keys.require_authority_key, frozenset({oids.ECDSA_WITH_SHA384}))
    with pytest.raises(StatusIndeterminate):
        StatusSet(crls, signing=other).crl_for(issuer, world.tls_at_ms)


def test_the_key_of_the_issuer_is_asked_about_too(world: Any) -> None:
    def no_key(key: object) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        raise keys.WeakKey("the key is not allowed", found=type(key).__name__)

    issuer = world.made.hierarchy.issuing[Group.FO].certificate
    none = Signing(no_key, frozenset({oids.ECDSA_WITH_SHA256}))
    with pytest.raises(keys.WeakKey):
        StatusSet(world.made.crls, signing=none).crl_for(issuer, world.tls_at_ms)
