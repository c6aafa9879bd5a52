"""The keys of the house are issued like every other, and pass for nobody's."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import binding, infrastructure, keys, oids, profiles
from pki.authority import WrongAuthority
from pki.errors import Refused
from pki.lint.rules import RULES
from pki.lint.subject import Examined
from pki.profiles import CHECKPOINT_SIGNER, DAY_MS, OCSP_SIGNER
from pki.roles import Group, Purpose
from pki.store.records import Issued
from pki.tbs import InfrastructureOrder
from pki.trust import encoded

pytestmark = pytest.mark.slow  # takes seconds


def _issued(world: Any, group: Group | None, profile: profiles.InfrastructureProfile) -> infrastructure.Held:
    hierarchy = world.made.hierarchy
    authority = hierarchy.root if group is None else hierarchy.issuing[group]
    return infrastructure.issue(authority, profile, now_ms=world.tls_at_ms)


@pytest.mark.parametrize("group", [None, *Group])
def test_every_authority_issues_its_own_ocsp_signer_for_seven_days(own_world: Any, group: Group | None) -> None:
    held = _issued(own_world, group, OCSP_SIGNER)
    extensions = held.certificate.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert not extensions.get_extension_for_class(x509.OCSPNoCheck).critical
    assert oids.FLEX_ROLE not in {extension.oid for extension in extensions}
    life = held.certificate.not_valid_after_utc - held.certificate.not_valid_before_utc
    assert life.total_seconds() * 1000 == 7 * DAY_MS + profiles.BACKDATE_MS
    assert held.signer.curve.name == "secp256r1"


def test_the_checkpoint_signer_comes_from_the_infrastructure_authority_alone(own_world: Any) -> None:
    held = _issued(own_world, Group.INFRA, CHECKPOINT_SIGNER)
    extensions = held.certificate.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [oids.KP_LEDGER_CHECKPOINT]
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert {policy.policy_identifier for policy in policies} == {oids.CP_INFRASTRUCTURE, oids.CP_TEST}
    assert extensions.get_extension_for_class(x509.CRLDistributionPoints)
    with pytest.raises(WrongAuthority):
        _issued(own_world, Group.FO, CHECKPOINT_SIGNER)


def test_what_was_issued_is_stored_and_recorded_and_can_be_revoked(own_world: Any) -> None:
    held = _issued(own_world, Group.INFRA, CHECKPOINT_SIGNER)
    authority = own_world.made.hierarchy.issuing[Group.INFRA]
    stored: Issued = authority.store.get(authority.key_sha256, held.certificate.serial_number)
    assert (stored.profile, stored.role, stored.party_id) == ("CHECKPOINT/SIGNING/v1", None, None)
    assert stored.der == encoded(held.certificate)


@pytest.mark.parametrize("profile", [OCSP_SIGNER, CHECKPOINT_SIGNER], ids=lambda profile: profile.name)
@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_key_of_the_house_is_no_credential(
    own_world: Any, profile: profiles.InfrastructureProfile, purpose: Purpose
) -> None:
    held = _issued(own_world, Group.INFRA, profile)
    chain = (encoded(held.certificate), encoded(own_world.made.hierarchy.issuing[Group.INFRA].certificate))
    with pytest.raises(Refused):
        own_world.check(chain, purpose, at_ms=own_world.tls_at_ms)


def _signed(world: Any, held: infrastructure.Held, group: Group, **changes: Any) -> x509.Certificate:
    authority = world.made.hierarchy.issuing[group]
    return x509.load_der_x509_certificate(world.forge(encoded(held.certificate), authority, **changes)[0])


def _usage(**more: bool) -> tuple[x509.ExtensionType, bool]:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: more.get(name, name == "digital_signature") for name in names}), True


NO_CHECK = (x509.OCSPNoCheck(), False)
ROLE = (x509.UnrecognizedExtension(oids.FLEX_ROLE, b"\x30\x00"), False)
POLICY = (x509.CertificatePolicies([x509.PolicyInformation(oids.CP_INFRASTRUCTURE, None)]), False)
BOTH = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
CA = (x509.BasicConstraints(ca=True, path_length=None), True)
SPOILED: dict[str, tuple[dict[str, Any], type[Refused]]] = {
    "a second usage": ({"replaced": {x509.ExtendedKeyUsage.oid: BOTH}}, binding.RoleMismatch),
    "no usage": ({"replaced": {x509.ExtendedKeyUsage.oid: None}}, binding.BadProfile),
    "a policy of a role": ({"replaced": {x509.CertificatePolicies.oid: POLICY}}, binding.RoleMismatch),
    "no nocheck": ({"replaced": {x509.OCSPNoCheck.oid: None}}, binding.BadProfile),
    "a role": ({"added": (ROLE,)}, binding.BadProfile),
    "an authority": ({"replaced": {x509.BasicConstraints.oid: CA}}, binding.BadProfile),
    "no basic constraints": ({"replaced": {x509.BasicConstraints.oid: None}}, binding.BadProfile),
    "may sign CRLs": ({"replaced": {x509.KeyUsage.oid: _usage(crl_sign=True)}}, binding.BadProfile),
}


@pytest.mark.parametrize("what", sorted(SPOILED))
def test_an_ocsp_signer_that_is_more_or_less_than_its_profile_is_refused(own_world: Any, what: str) -> None:
    changes, refused = SPOILED[what]
    held = _issued(own_world, Group.FO, OCSP_SIGNER)
    issuer = own_world.made.hierarchy.issuing[Group.FO].certificate
    binding.require_infrastructure(_signed(own_world, held, Group.FO), issuer, OCSP_SIGNER)
    with pytest.raises(refused):
        binding.require_infrastructure(_signed(own_world, held, Group.FO, **changes), issuer, OCSP_SIGNER)


def test_a_checkpoint_signer_of_another_authority_is_refused(own_world: Any) -> None:
    held = _issued(own_world, Group.INFRA, CHECKPOINT_SIGNER)
    foreign = own_world.made.hierarchy.issuing[Group.CSO].certificate
    with pytest.raises(binding.RoleMismatch):
        binding.require_infrastructure(_signed(own_world, held, Group.CSO), foreign, CHECKPOINT_SIGNER)


LINTED: dict[str, tuple[dict[str, Any], str]] = {
    "a second usage": ({"replaced": {x509.ExtendedKeyUsage.oid: BOTH}}, "extended-key-usage"),
    "a policy of a role": ({"replaced": {x509.CertificatePolicies.oid: POLICY}}, "policies"),
    "no nocheck": ({"replaced": {x509.OCSPNoCheck.oid: None}}, "status"),
    "a role": ({"added": (ROLE,)}, "extensions"),
    "an authority": ({"replaced": {x509.BasicConstraints.oid: CA}}, "basic-constraints"),
    "may sign CRLs": ({"replaced": {x509.KeyUsage.oid: _usage(crl_sign=True)}}, "key-usage"),
    "a P-384 key": ({"public_key": keys.generate_root().public_key()}, "key"),
}


@pytest.mark.parametrize("what", sorted(LINTED))
def test_the_linter_knows_the_profile_of_an_ocsp_signer(own_world: Any, what: str) -> None:
    changes, rule = LINTED[what]
    held = _issued(own_world, Group.FO, OCSP_SIGNER)
    issuer = own_world.made.hierarchy.issuing[Group.FO].certificate
    order = InfrastructureOrder(OCSP_SIGNER, held.signer.public_key(), "Flexledger", "n", "flexledger.example", True)

    def found(certificate: x509.Certificate) -> set[str]:
        examined = Examined(certificate, issuer, order, development=True)
        return {one.name for one in RULES for _ in one.check(examined)}

    assert found(_signed(own_world, held, Group.FO)) == set()
    assert rule in found(_signed(own_world, held, Group.FO, **changes))
