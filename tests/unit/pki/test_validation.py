"""Every single disagreement is refused with its own code; what agrees gives a credential."""

import datetime as dt
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import binding, oids, path, profiles, status, trust
from pki.asn1 import der, flexrole
from pki.errors import Refused
from pki.keys import WeakKey
from pki.roles import Group, Purpose, Role, Service
from pki.status import Scope, StatusSet
from pki.trust import TrustAnchors
from pki.validation import validate
from tests.support import pki_world

FO = "FI-AUR"
CLIENT = Purpose.TLS_CLIENT
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    "party", ["FI-AUR", "FI-NGC", "FI-VOL", "FI-DSO", "FI-LAB", "FI-AUDIT", "FI-DPO", "FI-OPS", "evu-1", "E1"]
)
def test_every_credential_of_the_hierarchy_is_good_for_its_own_purpose_only(world: Any, party: str) -> None:
    holder = world.made.parties.get(party) or world.made.stations[party]
    for purpose, issued in holder.credentials.items():
        credential = world.check(issued.chain, purpose)
        assert (credential.role, credential.party_id) == (holder.role, holder.party_id)
        assert credential.purpose is purpose
        assert credential.development
        for other in set(Purpose) - {purpose}:
            with pytest.raises(binding.WrongPurpose):
                world.check(issued.chain, other, at_ms=world.at_ms(purpose))


def test_a_credential_says_what_the_certificate_says(world: Any) -> None:
    chain = world.chain(FO, CLIENT)
    credential = world.check(chain, CLIENT)
    certificate = x509.load_der_x509_certificate(chain[0])
    assert credential.services == frozenset({"DROOP", "FFR"})
    assert credential.organisation == "Aurora Flex"
    assert credential.serial == certificate.serial_number
    assert credential.tbs_sha256 == hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()
    assert credential.chain == chain
    assert len(credential.status_digests) == 2
    assert credential.status_valid_until_ms <= credential.not_after_ms
    assert world.check(world.chain("FI-VOL", CLIENT), CLIENT).delegated_by == "FI-NGC"
    station = world.check(world.chain("E1", CLIENT), CLIENT)
    assert (station.party_id, station.station_id) == ("FI-NGC", "E1")


def test_an_evu_is_a_pseudonym_that_needs_no_crl_of_its_own(world: Any) -> None:
    chain = world.chain("evu-1", CLIENT)
    certificate = x509.load_der_x509_certificate(chain[0])
    assert [attribute.oid.dotted_string for attribute in certificate.subject] == ["2.5.4.65"]
    assert b"evu-1" not in chain[0]
    assert len(world.check(chain, CLIENT).status_digests) == 1


def _policies(*found: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in found]), False


def _role(role: Role, party: str = FO, services: frozenset[Service] = frozenset()) -> tuple[x509.ExtensionType, bool]:
    value = flexrole.encode(flexrole.FlexRole(role, party, services))
    return x509.UnrecognizedExtension(oids.FLEX_ROLE, value), False


def _usages(*found: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(found), False


def _names(*found: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(found), False


URI = x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")
EKU = x509.ExtendedKeyUsage.oid
POLICIES = x509.CertificatePolicies.oid
NAMES = x509.SubjectAlternativeName.oid
USAGE = x509.KeyUsage.oid


def _key_usage(**given: bool) -> tuple[x509.ExtensionType, bool]:
    empty = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**empty, **given}), True


SINGLE_CHANGES: list[tuple[str, dict[x509.ObjectIdentifier, Any], type[Refused]]] = [
    ("policy of another role", {POLICIES: _policies(oids.CP_CSO)}, binding.RoleMismatch),
    ("two policies", {POLICIES: _policies(oids.CP_FO, oids.CP_CSO)}, binding.RoleMismatch),
    ("any policy", {POLICIES: _policies(x509.ObjectIdentifier("2.5.29.32.0"))}, binding.RoleMismatch),
    ("no policy", {POLICIES: None}, path.Untrusted),
    ("role extension of another role", {oids.FLEX_ROLE: _role(Role.CSO)}, binding.RoleMismatch),
    ("role extension of another party", {oids.FLEX_ROLE: _role(Role.FO, "FI-OTHER")}, binding.RoleMismatch),
    ("no role extension", {oids.FLEX_ROLE: None}, binding.RoleMismatch),
    (
        "usage of another role",
        {EKU: _usages(ExtendedKeyUsageOID.CLIENT_AUTH, oids.KP_CSP_CLIENT)},
        binding.RoleMismatch,
    ),
    ("only the general usage", {EKU: _usages(ExtendedKeyUsageOID.CLIENT_AUTH)}, binding.RoleMismatch),
    ("no usage", {EKU: None}, path.Untrusted),
    ("any usage", {EKU: _usages(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)}, path.Untrusted),
    (
        "client and server",
        {EKU: _usages(*binding.profiles.get(Role.FO, CLIENT).ekus, ExtendedKeyUsageOID.SERVER_AUTH)},
        binding.RoleMismatch,
    ),
    ("no names", {NAMES: None}, path.Untrusted),
    ("another party's name", {NAMES: _names(x509.UniformResourceIdentifier(URI.value + "2"))}, binding.RoleMismatch),
    ("two identities", {NAMES: _names(URI, x509.UniformResourceIdentifier(URI.value + "2"))}, binding.BadProfile),
    (
        "a foreign zone",
        {NAMES: _names(x509.UniformResourceIdentifier("https://id.evil.example/fo/FI-AUR"))},
        binding.RoleMismatch,
    ),
    ("an address", {NAMES: _names(URI, x509.RFC822Name("a@fo.flexledger.example"))}, Refused),
    ("a host outside the zone", {NAMES: _names(URI, x509.DNSName("a.cso.flexledger.example"))}, path.Untrusted),
    ("a wildcard", {NAMES: _names(URI, x509.DNSName("*.fo.flexledger.example"))}, Refused),
    ("key usage missing", {USAGE: None}, path.Untrusted),
    ("may sign certificates", {USAGE: _key_usage(digital_signature=True, key_cert_sign=True)}, Refused),
    ("may agree on keys", {USAGE: _key_usage(digital_signature=True, key_agreement=True)}, binding.BadProfile),
    ("an authority as leaf", {x509.BasicConstraints.oid: (x509.BasicConstraints(True, None), True)}, Refused),
    (
        "no status at all",
        {x509.CRLDistributionPoints.oid: (x509.UnrecognizedExtension(oids.NO_REV_AVAIL, b"\x05\x00"), False)},
        binding.BadProfile,
    ),
]


@pytest.mark.parametrize(("what", "replaced", "error"), SINGLE_CHANGES, ids=[change[0] for change in SINGLE_CHANGES])
def test_a_single_disagreement_is_refused(
    world: Any, what: str, replaced: dict[x509.ObjectIdentifier, Any], error: type[Refused]
) -> None:
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[Group.FO], replaced=replaced)
    with pytest.raises(error):
        world.check(chain, CLIENT)


def test_the_forger_changes_nothing_by_herself(world: Any) -> None:
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[Group.FO])
    assert world.check(chain, CLIENT).party_id == FO


@pytest.mark.parametrize("group", sorted(set(Group) - {Group.FO}))
def test_the_authority_of_another_role_proves_nothing(world: Any, group: Group) -> None:
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[group])
    with pytest.raises(binding.RoleMismatch):
        world.check(chain, CLIENT)


def test_a_role_that_may_not_do_this_is_refused(world: Any) -> None:
    with pytest.raises(binding.RoleNotAllowed):
        world.check(world.chain(FO, CLIENT), CLIENT, roles={Role.CSO})
    assert world.check(world.chain(FO, CLIENT), CLIENT, roles={Role.CSO, Role.FO}).role is Role.FO


def test_two_role_extensions_are_refused(world: Any) -> None:
    leaf = world.chain(FO, CLIENT)[0]
    good = flexrole.encode(flexrole.FlexRole(Role.FO, FO, frozenset({Service.DROOP, Service.FFR})))
    assert good in leaf
    with pytest.raises(der.MalformedDer):
        flexrole.decode(good + good)


def test_an_unknown_extension_is_refused_whether_critical_or_not(world: Any) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    issuing = world.made.hierarchy.issuing[Group.FO]
    for critical, error in ((False, binding.BadProfile), (True, path.Untrusted)):
        with pytest.raises(error):
            world.check(world.forge(world.chain(FO, CLIENT)[0], issuing, added=((odd, critical),)), CLIENT)


def test_a_second_common_name_is_refused(world: Any) -> None:
    name = x509.NameAttribute(x509.NameOID.COMMON_NAME, "FI-AUR")
    model = x509.load_der_x509_certificate(world.chain(FO, CLIENT)[0]).subject
    chain = world.forge(
        world.chain(FO, CLIENT)[0],
        world.made.hierarchy.issuing[Group.FO],
        subject=x509.Name([*model, name]),
    )
    with pytest.raises(Refused) as caught:
        world.check(chain, CLIENT)
    assert caught.value.code == "pki/bad-name"


def test_expired_and_not_yet_valid_have_their_own_codes(world: Any) -> None:
    chain = world.chain(FO, CLIENT)
    certificate = x509.load_der_x509_certificate(chain[0])
    last_ms = path.not_after_ms(certificate)
    first_ms = path.not_before_ms(certificate)
    with pytest.raises(path.Expired):
        world.check(chain, CLIENT, at_ms=last_ms + 1000)
    with pytest.raises(path.NotYetValid):
        world.check(chain, CLIENT, at_ms=first_ms - 1)
    assert path.build(chain[0], chain[1:], world.made.anchors.certificates, at_ms=last_ms + 999)
    assert path.build(chain[0], chain[1:], world.made.anchors.certificates, at_ms=first_ms)


def test_an_expired_authority_is_expired_and_not_merely_untrusted(world: Any) -> None:
    issuing = world.made.hierarchy.issuing[Group.FO]
    after = issuing.certificate.not_valid_after_utc + dt.timedelta(days=30)
    before = issuing.certificate.not_valid_after_utc - dt.timedelta(days=1)
    chain = world.forge(world.chain(FO, CLIENT)[0], issuing, not_before=before, not_after=after)
    late_ms = path.not_after_ms(issuing.certificate) + DAY_MS
    with pytest.raises(path.Expired):
        world.check(chain, CLIENT, at_ms=late_ms)
    with pytest.raises(binding.OutlivesIssuer):
        world.check(chain, CLIENT, at_ms=late_ms - DAY_MS - 1000)


def test_a_leaf_that_lives_longer_than_its_profile_is_refused(world: Any) -> None:
    model = x509.load_der_x509_certificate(world.chain(FO, CLIENT)[0])
    longest = dt.timedelta(milliseconds=profiles.get(Role.FO, CLIENT).max_lifetime_ms + profiles.BACKDATE_MS)
    issuing = world.made.hierarchy.issuing[Group.FO]
    edge = model.not_valid_before_utc + longest
    assert world.check(world.forge(world.chain(FO, CLIENT)[0], issuing, not_after=edge), CLIENT)
    with pytest.raises(binding.BadProfile):
        world.check(world.forge(world.chain(FO, CLIENT)[0], issuing, not_after=edge + dt.timedelta(seconds=1)), CLIENT)


def _weak_keys() -> list[Any]:
    return [
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        ec.generate_private_key(ec.SECP224R1()).public_key(),
        dsa.generate_private_key(2048).public_key(),
    ]


def test_weak_and_unknown_leaf_keys_are_refused(world: Any) -> None:
    issuing = world.made.hierarchy.issuing[Group.FO]
    for key in _weak_keys():
        with pytest.raises(WeakKey):
            world.check(world.forge(world.chain(FO, CLIENT)[0], issuing, public_key=key), CLIENT)


def test_an_ed25519_leaf_is_accepted(world: Any) -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[Group.FO], public_key=key)
    assert world.check(chain, CLIENT).public_key == key


def test_size_and_number_are_capped_before_anything_is_parsed(world: Any) -> None:
    leaf, issuing = world.chain(FO, CLIENT)
    big = trust.MAX_CERTIFICATE_BYTES
    with pytest.raises(path.Oversize):
        world.check((leaf + bytes(big + 1 - len(leaf)), issuing), CLIENT)
    with pytest.raises(path.Malformed):
        world.check((leaf + bytes(big - len(leaf)), issuing), CLIENT)
    assert world.check((leaf, *[issuing] * path.MAX_INTERMEDIATES), CLIENT)
    with pytest.raises(path.Oversize):
        world.check((leaf, *[issuing] * (path.MAX_INTERMEDIATES + 1)), CLIENT)


def test_a_chain_to_another_root_is_untrusted(world: Any, own_world: Any) -> None:
    with pytest.raises(path.Untrusted):
        own_world.check(world.chain(FO, CLIENT), CLIENT)
    with pytest.raises(path.Untrusted):
        world.check(world.chain(FO, CLIENT)[:1], CLIENT)


def test_a_leaf_straight_under_the_root_is_refused(world: Any) -> None:
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.root)
    with pytest.raises(Refused):
        world.check(chain, CLIENT)


def test_a_leaf_of_a_leaf_is_refused(world: Any) -> None:
    leaf = x509.load_der_x509_certificate(world.chain(FO, CLIENT)[0])
    issued = world.made.parties[FO].credentials[CLIENT]

    class _Rogue:
        certificate, signer = leaf, issued.key

    chain = world.forge(world.chain(FO, CLIENT)[0], _Rogue())
    with pytest.raises(path.Untrusted):
        world.check((*chain, world.chain(FO, CLIENT)[1]), CLIENT)


def test_a_development_root_is_not_trusted_in_production(world: Any) -> None:
    with pytest.raises(trust.DevelopmentCredential):
        TrustAnchors(world.made.anchors.roots)


def test_a_development_credential_under_a_production_root_is_refused(world: Any, spec: Any) -> None:
    from msgspec.structs import replace

    from pki import ceremony

    real = ceremony.perform(
        replace(spec, development=False, parties=spec.parties[:1], stations=()),
        tls_now_ms=world.tls_at_ms,
        signing_now_ms=world.signing_at_ms,
    )
    chain = real.parties[FO].credentials[CLIENT].chain
    assert not world.check(chain, CLIENT, anchors=real.anchors, status=StatusSet(real.crls)).development
    marked = world.forge(
        chain[0],
        real.hierarchy.issuing[Group.FO],
        replaced={POLICIES: _policies(oids.CP_FO, oids.CP_TEST)},
    )
    with pytest.raises(trust.DevelopmentCredential):
        world.check(marked, CLIENT, anchors=real.anchors, status=StatusSet(real.crls))


def test_the_second_encoding_of_a_signature_has_the_same_name_in_records(world: Any) -> None:
    """s and n - s both verify: the fingerprint differs, everything that records go by is the same."""
    leaf, issuing = world.chain(FO, CLIENT)
    twin = pki_world.twin(leaf)
    assert twin != leaf
    first, second = world.check((leaf, issuing), CLIENT), world.check((twin, issuing), CLIENT)
    assert first.x5t_s256 != second.x5t_s256
    assert first.tbs_sha256 == second.tbs_sha256
    assert (first.issuer_key_sha256, first.serial) == (second.issuer_key_sha256, second.serial)


def test_without_crls_nothing_is_known(world: Any) -> None:
    with pytest.raises(status.StatusIndeterminate):
        world.check(world.chain(FO, CLIENT), CLIENT, status=StatusSet())
    only_root = [
        data
        for data in world.made.crls
        if x509.load_der_x509_crl(data).issuer == world.made.hierarchy.root.certificate.subject
    ]
    with pytest.raises(status.StatusIndeterminate):
        world.check(world.chain(FO, CLIENT), CLIENT, status=StatusSet(only_root))


def test_a_stale_crl_is_indeterminate_from_the_second_after_its_next_update(world: Any) -> None:
    chain = world.chain(FO, CLIENT)
    issuing = world.made.hierarchy.issuing[Group.FO].certificate
    until_ms = world.status.crl_for(issuing, world.tls_at_ms, Scope.USER).next_update_ms
    assert world.check(chain, CLIENT, at_ms=until_ms)
    with pytest.raises(status.StatusIndeterminate):
        world.check(chain, CLIENT, at_ms=until_ms + 1)


AUTHORITY_CHANGES: list[tuple[str, dict[x509.ObjectIdentifier, Any], type[Refused]]] = [
    ("nothing", {}, type(None)),
    ("two policies", {POLICIES: _policies(oids.CP_FO, oids.CP_CSO)}, binding.RoleMismatch),
    ("an unknown policy", {POLICIES: _policies(x509.ObjectIdentifier("1.2.3.4"))}, binding.RoleMismatch),
    ("no policy", {POLICIES: None}, binding.BadProfile),
    (
        "a qualified policy",
        {POLICIES: (x509.CertificatePolicies([x509.PolicyInformation(oids.CP_FO, ["https://x.example"])]), False)},
        binding.BadProfile,
    ),
    ("usages of another", {EKU: _usages(*profiles.AUTHORITIES[Group.CSO].ekus)}, binding.RoleMismatch),
    ("no usages", {EKU: None}, binding.BadProfile),
    ("no name constraints", {x509.NameConstraints.oid: None}, binding.BadProfile),
    (
        "name constraints not critical",
        {
            x509.NameConstraints.oid: (
                x509.NameConstraints([x509.DNSName("fo.flexledger.example")], None),
                False,
            )
        },
        path.Untrusted,
    ),
    (
        "another zone",
        {x509.NameConstraints.oid: (x509.NameConstraints([x509.DNSName("fo.other.example")], None), True)},
        binding.RoleMismatch,
    ),
    ("no path length", {x509.BasicConstraints.oid: (x509.BasicConstraints(True, None), True)}, binding.BadProfile),
    ("no authority", {x509.BasicConstraints.oid: (x509.BasicConstraints(False, None), True)}, path.Untrusted),
    ("may not sign", {USAGE: _key_usage(crl_sign=True)}, path.Untrusted),
    (
        "an alternative name",
        {x509.CRLDistributionPoints.oid: _names(x509.DNSName("fo.flexledger.example"))},
        binding.BadProfile,
    ),
]


@pytest.mark.parametrize(
    ("what", "replaced", "error"), AUTHORITY_CHANGES, ids=[change[0] for change in AUTHORITY_CHANGES]
)
def test_an_authority_that_is_not_as_it_must_be_proves_nothing(
    world: Any, what: str, replaced: dict[x509.ObjectIdentifier, Any], error: type[Refused]
) -> None:
    """The FO authority's own key and name, certified by the root in another form."""
    leaf, issuing = world.chain(FO, CLIENT)
    forged = world.forge(issuing, world.made.hierarchy.root, replaced=replaced)[0]
    if what == "nothing":
        assert world.check((leaf, forged), CLIENT).party_id == FO
        return
    with pytest.raises(error):
        world.check((leaf, forged), CLIENT)


def test_a_server_is_checked_against_the_name_that_was_dialled(world: Any) -> None:
    leaf, issuing = world.chain("FI-NGC", Purpose.TLS_SERVER)
    given = {
        "anchors": world.made.anchors,
        "status": world.status,
        "at_ms": world.tls_at_ms,
        "purpose": Purpose.TLS_SERVER,
    }
    assert validate(leaf, [issuing], server_name="localhost", **given).role is Role.CSO
    with pytest.raises(path.Untrusted):
        validate(leaf, [issuing], server_name="example.com", **given)
    with pytest.raises(Refused) as caught:
        validate(leaf, [issuing], server_name="LOCALHOST\n", **given)
    assert caught.value.code == "pki/bad-name"


def test_an_evu_with_a_place_to_ask_for_status_is_refused(world: Any) -> None:
    place = x509.DistributionPoint([x509.UniformResourceIdentifier("http://x.example/a.crl")], None, None, None)
    chain = world.forge(
        world.chain("evu-1", CLIENT)[0],
        world.made.hierarchy.issuing[Group.EVU],
        added=((x509.CRLDistributionPoints([place]), False),),
    )
    with pytest.raises(binding.BadProfile):
        world.check(chain, CLIENT)


def test_an_evu_that_lives_longer_than_a_week_is_refused(world: Any) -> None:
    model = x509.load_der_x509_certificate(world.chain("evu-1", CLIENT)[0])
    late = model.not_valid_before_utc + dt.timedelta(days=8)
    chain = world.forge(world.chain("evu-1", CLIENT)[0], world.made.hierarchy.issuing[Group.EVU], not_after=late)
    with pytest.raises(binding.BadProfile):
        world.check(chain, CLIENT)


def test_a_serial_number_is_positive_and_short_enough(world: Any) -> None:
    issuing = world.made.hierarchy.issuing[Group.FO]
    widest = (1 << path.MAX_SERIAL_BITS) - 1
    assert world.check(world.forge(world.chain(FO, CLIENT)[0], issuing, serial=widest), CLIENT).serial == widest
    good = world.forge(world.chain(FO, CLIENT)[0], issuing, serial=0x11223344)[0]
    negative = good.replace(bytes.fromhex("020411223344"), bytes.fromhex("020491223344"))
    zero = good.replace(bytes.fromhex("020411223344"), bytes.fromhex("020400000000"))
    for wrong in (negative, zero):
        with pytest.raises(path.Malformed):
            world.check((wrong, world.chain(FO, CLIENT)[1]), CLIENT)


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE-----\n", b"x" * (trust.MAX_ANCHOR_BYTES + 1)]
)
def test_what_is_no_root_is_not_trusted(data: bytes) -> None:
    with pytest.raises(trust.BadAnchor):
        TrustAnchors([data], allow_development=True)


def test_only_sound_self_signed_authorities_are_roots(world: Any) -> None:
    with pytest.raises(trust.BadAnchor):
        TrustAnchors([])
    for certificate in world.chain(FO, CLIENT):
        with pytest.raises(trust.BadAnchor):
            TrustAnchors([certificate], allow_development=True)
    root = world.made.hierarchy.root
    mute = world.forge(trust.encoded(root.certificate), root, replaced={USAGE: _key_usage(key_cert_sign=True)})
    with pytest.raises(trust.BadAnchor):
        TrustAnchors(mute[:1], allow_development=True)
    pem = root.certificate.public_bytes(Encoding.PEM)
    assert TrustAnchors([pem], allow_development=True).roots == world.made.anchors.roots
