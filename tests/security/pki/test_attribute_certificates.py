"""Whoever wants more than its equipment was tested for: claims and links that are borrowed, bent, aged or forged."""

import datetime as dt
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator import asn1_types as asn1_targets
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.validate import async_validate_ac

from pki import binding, conformity, oids, path
from pki.asn1 import attributecert, der
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef
from pki.asn1.links import InstallationLink
from pki.attribute import AttributeAuthority
from pki.conformity import ClaimExpired, ClaimHolder, ClaimUntrusted, VerifiedClaim, VerifiedLink
from pki.coverage import Ask, NotCovered, covers
from pki.errors import Refused
from pki.roles import Group, Purpose, Service
from pki.status import Revoked, StatusIndeterminate, StatusSet
from pki.store.records import Reason
from pki.tbs import Window

EVSE, EV, OTHER = "11" * 32, "22" * 32, "33" * 32
FIRMWARE = "ab" * 32
DAY_MS = 86_400_000
LAB = "FI-LAB"
ITEM = Claim(
    standard="EN 50549-10",
    edition="2022",
    scheme=Scheme.TYPE_TEST,
    cert_number="LAB-1",
    services=frozenset({Service.DROOP}),
    regions=("FI",),
    max_charge_w=11_000,
    max_discharge_w=10_000,
    response_ms=1_000,
    functions=frozenset({DerFunction.FREQUENCY_WATT}),
)
OF_EVSE = ConformityClaims((Thing(ThingKind.EVSE, EVSE),), (ITEM,))
TYPE = TypeRef("Maker", "Model", None, FIRMWARE)
OF_TYPE = ConformityClaims((Thing(ThingKind.EVSE, None, TYPE),), (ITEM,))
ASK = Ask(
    kind="DC",
    generator=True,
    function=Service.DROOP,
    region="FI",
    evse_spki_sha256=EVSE,
    ev_spki_sha256=None,
    at_ms=0,
    charge_w=11_000,
    discharge_w=10_000,
    response_ms=1_000,
    firmware_sha256={EVSE: FIRMWARE},
    operator="FI-NGC",
)


def office(world: Any, party: str = LAB, purpose: Purpose = Purpose.ATTRIBUTE) -> AttributeAuthority:
    body = world.made.parties[party].credentials[purpose]
    return AttributeAuthority(body.certificate, body.key, world.made.store, world.made.hierarchy.root.journal)


def claimed(world: Any, content: ConformityClaims = OF_EVSE, days: int = 30) -> bytes:
    window = Window(world.signing_at_ms, world.signing_at_ms + days * DAY_MS)
    return office(world).issue_claim(content, window=window, now_ms=world.signing_at_ms)


def linked(world: Any, content: InstallationLink) -> VerifiedLink:
    window = Window(world.signing_at_ms, world.signing_at_ms + 30 * DAY_MS)
    data = office(world).issue_link(content, window=window, now_ms=world.signing_at_ms)
    return conformity.open_link(
        data,
        chain=world.chain(LAB, Purpose.ATTRIBUTE),
        anchors=world.made.anchors,
        status=world.status,
        at_ms=world.signing_at_ms,
    )


def opened(
    world: Any,
    data: bytes,
    *,
    chain: tuple[bytes, ...] | None = None,
    status: StatusSet | None = None,
    at_ms: int | None = None,
) -> VerifiedClaim:
    return conformity.open_claim(
        data,
        aa_chain=chain or world.chain(LAB, Purpose.ATTRIBUTE),
        anchors=world.made.anchors,
        status=status or world.status,
        at_ms=world.signing_at_ms if at_ms is None else at_ms,
    )


def missed(world: Any, claim: VerifiedClaim, links: list[VerifiedLink] | None = None, **changes: Any) -> str:
    """The reason why `claim` does not cover the ask with these changes."""
    with pytest.raises(NotCovered) as caught:
        covers([claim], replace(ASK, **{"at_ms": world.signing_at_ms, **changes}), links or [])
    return caught.value.reason


def bent(world: Any, change: Callable[[Any], None], data: bytes | None = None) -> bytes:
    """An attribute certificate with its content changed by a stranger's encoder, and signed by the body all the same."""
    whole = cms.AttributeCertificateV2.load(data or claimed(world))
    info = whole["ac_info"].copy()
    change(info)
    info_der = cms.AttributeCertificateInfoV2.load(info.dump(force=True)).dump()
    key = world.made.parties[LAB].credentials[Purpose.ATTRIBUTE].key
    signed = cms.AttributeCertificateV2(
        {
            "ac_info": cms.AttributeCertificateInfoV2.load(info_der),
            "signature_algorithm": whole["signature_algorithm"],
            "signature": key.sign(info_der, ec.ECDSA(hashes.SHA256())),
        }
    )
    return bytes(signed.dump())


def test_the_forger_forges_nothing_when_it_changes_nothing(world: Any) -> None:
    assert opened(world, bent(world, lambda info: None)).content == OF_EVSE
    assert covers([opened(world, claimed(world))], replace(ASK, at_ms=world.signing_at_ms)).needed


# Whose it is


def test_wrong_holder(world: Any) -> None:
    def other(info: Any) -> None:
        info["holder"]["object_digest_info"]["object_digest"] = core.OctetBitString(bytes.fromhex(OTHER))

    with pytest.raises(ClaimHolder):
        opened(world, bent(world, other))
    assert missed(world, opened(world, claimed(world)), evse_spki_sha256=OTHER) == "no-claim"


def test_holder_key_changed(world: Any) -> None:
    """A station that is re-keyed is another thing: its old claim says nothing of it."""
    claim = opened(world, claimed(world))
    new_key = world.made.stations["E1"].credentials[Purpose.SIGNING].key.public_key()
    from pki import keys

    changed = keys.spki_sha256(new_key)
    assert missed(world, claim, evse_spki_sha256=changed, firmware_sha256={changed: FIRMWARE}) == "no-claim"


def test_claim_about_another_kind(world: Any) -> None:
    content = ConformityClaims((Thing(ThingKind.EV, EVSE),), (ITEM,))
    assert missed(world, opened(world, claimed(world, content))) == "no-claim"
    pair = ConformityClaims((Thing(ThingKind.EVSE, EVSE), Thing(ThingKind.EV, EV)), (ITEM,))
    assert missed(world, opened(world, claimed(world, pair))) == "no-claim"


# Who signed it


def _aa(world: Any, **forged: Any) -> tuple[bytes, ...]:
    """The chain of the body's certificate with something changed, signed by the right authority."""
    chain: tuple[bytes, ...] = world.forge(
        world.chain(LAB, Purpose.ATTRIBUTE)[0], world.made.hierarchy.issuing[Group.CB], **forged
    )
    return chain


def test_aa_without_eku(world: Any) -> None:
    with pytest.raises(Refused):
        opened(world, claimed(world), chain=_aa(world, replaced={x509.ExtendedKeyUsage.oid: None}))
    signing = (x509.ExtendedKeyUsage([oids.signing(5)]), False)
    with pytest.raises(binding.WrongPurpose):
        opened(world, claimed(world), chain=_aa(world, replaced={x509.ExtendedKeyUsage.oid: signing}))


def test_aa_without_policy(world: Any) -> None:
    for wrong in (None, (x509.CertificatePolicies([x509.PolicyInformation(oids.CP_CSO, None)]), False)):
        with pytest.raises(Refused):
            opened(world, claimed(world), chain=_aa(world, replaced={x509.CertificatePolicies.oid: wrong}))


def test_aa_that_is_a_ca(world: Any) -> None:
    authority = (x509.BasicConstraints(ca=True, path_length=0), True)
    with pytest.raises(Refused):
        opened(world, claimed(world), chain=_aa(world, replaced={x509.BasicConstraints.oid: authority}))
    body = world.made.hierarchy.issuing[Group.CB]
    with pytest.raises(Refused):
        opened(
            world, claimed(world), chain=(path.load(world.chain(LAB, Purpose.ATTRIBUTE)[1]).public_bytes(Encoding.DER),)
        )
    assert body.certificate.subject.public_bytes() != attributecert.parse(claimed(world)).info.issuer


@pytest.mark.parametrize("party", ["FI-AUR", "FI-NGC", "FI-DSO"])
def test_another_role_is_no_attribute_authority(world: Any, party: str) -> None:
    with pytest.raises(Refused):
        opened(world, claimed(world), chain=world.chain(party, Purpose.SIGNING))


# When


def test_ac_expired(world: Any) -> None:
    data = claimed(world, days=1)
    last_ms = attributecert.parse(data).info.not_after_ms
    assert opened(world, data, at_ms=last_ms + 999)
    with pytest.raises(ClaimExpired):
        opened(world, data, at_ms=last_ms + 1_000)


def test_ac_revoked(own_world: Any) -> None:
    world = own_world
    data, untouched = claimed(world), claimed(world)
    authority = office(world)
    at_ms = world.signing_at_ms + 3_600_000
    authority.revoke(attributecert.parse(data).info.serial, Reason.PRIVILEGE_WITHDRAWN, at_ms)
    status = StatusSet([*world.made.crls, authority.crl(at_ms, allow_earlier=True)])
    with pytest.raises(Revoked):
        opened(world, data, status=status, at_ms=at_ms)
    assert opened(world, untouched, status=status, at_ms=at_ms)


def test_ac_status_missing(world: Any) -> None:
    body = world.made.parties[LAB].credentials[Purpose.ATTRIBUTE].certificate
    others = [one for one in world.made.crls if x509.load_der_x509_crl(one).issuer != body.subject]
    with pytest.raises(StatusIndeterminate):
        opened(world, claimed(world), status=StatusSet(others))


def test_a_list_about_certificates_says_nothing_about_claims(world: Any) -> None:
    """The authority that issued the body's certificate cannot vouch for the body's claims."""
    authority = world.made.hierarchy.issuing[Group.CB].certificate
    for one in world.made.crls:
        crl = x509.load_der_x509_crl(one)
        point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        assert point.only_contains_attribute_certs is (crl.issuer not in _authorities(world))
        if crl.issuer == authority.subject:
            assert point.only_contains_user_certs


def _authorities(world: Any) -> list[x509.Name]:
    hierarchy = world.made.hierarchy
    return [hierarchy.root.certificate.subject, *(one.certificate.subject for one in hierarchy.issuing.values())]


# What it says


def test_claim_service_bit_not_set(world: Any) -> None:
    content = replace(OF_EVSE, claims=(replace(ITEM, services=frozenset({Service.FFR})),))
    assert missed(world, opened(world, claimed(world, content))) == "function"


@pytest.mark.parametrize("what", ["charge_w", "discharge_w"])
def test_limits_exceeded_by_1_w(world: Any, what: str) -> None:
    claim = opened(world, claimed(world))
    assert covers([claim], replace(ASK, at_ms=world.signing_at_ms)).claims == (claim,)
    assert missed(world, claim, **{what: getattr(ASK, what) + 1}) == "power"


def test_response_time_missed_by_1_ms(world: Any) -> None:
    assert missed(world, opened(world, claimed(world)), response_ms=999) == "response"


def test_type_claim_without_installation_link(world: Any) -> None:
    claim = opened(world, claimed(world, OF_TYPE))
    assert missed(world, claim) == "no-link"
    link = linked(world, InstallationLink(ThingKind.EVSE, EVSE, TYPE))
    assert covers([claim], replace(ASK, at_ms=world.signing_at_ms), [link]).links == (link,)
    foreign = linked(world, InstallationLink(ThingKind.EVSE, OTHER, TYPE))
    assert missed(world, claim, [foreign]) == "no-link"


def test_firmware_digest_changed(world: Any) -> None:
    claim = opened(world, claimed(world, OF_TYPE))
    link = linked(world, InstallationLink(ThingKind.EVSE, EVSE, TYPE))
    assert missed(world, claim, [link], firmware_sha256={EVSE: "cd" * 32}) == "firmware"
    assert missed(world, claim, [link], firmware_sha256={}) == "firmware"
    own = ConformityClaims((Thing(ThingKind.EVSE, EVSE, TYPE),), (ITEM,))
    assert missed(world, opened(world, claimed(world, own)), firmware_sha256={EVSE: "cd" * 32}) == "firmware"


# In which form


def _sha1(info: Any) -> None:
    digest_info = info["holder"]["object_digest_info"]
    digest_info["digest_algorithm"] = {"algorithm": "sha1"}
    digest_info["object_digest"] = core.OctetBitString(b"\x11" * 20)


def _sha1_named_only(info: Any) -> None:
    info["holder"]["object_digest_info"]["digest_algorithm"] = {"algorithm": "sha1"}


def _targeted(info: Any, *, critical: bool = True) -> None:
    # SEQUENCE OF Targets, one target: targetName [0] EXPLICIT dNSName (RFC 5755 section 4.3.2)
    name = b"\x82\x0dother.example"
    value = bytes.fromhex("30133011a00f") + name
    inner = asn1_targets.SequenceOfTargets.load(value)
    info["extensions"].append({"extn_id": "target_information", "critical": critical, "extn_value": inner})


def _twice(info: Any) -> None:
    info["attributes"].append(info["attributes"][0].copy())


def _two_values(info: Any) -> None:
    values = info["attributes"][0]["values"]
    values.append(core.Any(core.Sequence.load(b"\x30\x00")))


def _no_attribute(info: Any) -> None:
    info["attributes"] = []


def _unknown_critical(info: Any) -> None:
    info["extensions"].append({"extn_id": "1.2.3.4", "critical": True, "extn_value": b"\x05\x00"})


def _no_extension(info: Any) -> None:
    info["extensions"] = []


def _version_1(info: Any) -> None:
    info["version"] = "v1"


def _negative_serial(info: Any) -> None:
    info["serial_number"] = -5


def _long_serial(info: Any) -> None:
    info["serial_number"] = 1 << 160


def _by_certificate(info: Any) -> None:
    info["holder"] = cms.Holder({"base_certificate_id": _issuer_serial(info)})


def _by_name(info: Any) -> None:
    name = asn1_x509.GeneralName("directory_name", asn1_x509.Name.build({"common_name": "FI*NGC*E1"}))
    info["holder"] = cms.Holder({"entity_name": [name]})


def _issuer_serial(info: Any) -> Any:
    return cms.IssuerSerial({"issuer": info["issuer"].chosen["issuer_name"], "serial": 1})


FORMS = {
    "objectDigest of SHA-1": _sha1,
    "objectDigest named SHA-1": _sha1_named_only,
    "targeted AC for other verifier": _targeted,
    "two id-at-conformity attributes": _twice,
    "two values": _two_values,
    "no attribute": _no_attribute,
    "unknown critical extension": _unknown_critical,
    "no authority key identifier": _no_extension,
    "version 1": _version_1,
    "negative serial": _negative_serial,
    "serial of 21 bytes": _long_serial,
    "baseCertificateID": _by_certificate,
    "entityName": _by_name,
}


@pytest.mark.parametrize("what", FORMS)
def test_another_form_is_refused(world: Any, what: str) -> None:
    with pytest.raises(der.MalformedDer):
        opened(world, bent(world, FORMS[what]))


def test_object_digest_of_sha1(world: Any) -> None:
    for change in (_sha1, _sha1_named_only):
        with pytest.raises(der.MalformedDer):
            opened(world, bent(world, change))


@pytest.mark.parametrize("critical", [True, False])
def test_targeted_ac_for_other_verifier(world: Any, critical: bool) -> None:
    with pytest.raises(der.MalformedDer):
        opened(world, bent(world, lambda info: _targeted(info, critical=critical)))


def test_two_id_at_conformity_attributes(world: Any) -> None:
    with pytest.raises(der.MalformedDer, match="exactly one attribute"):
        opened(world, bent(world, _twice))


@pytest.mark.slow
@given(at=st.integers(0, 4095), flip=st.integers(1, 255), cut=st.integers(0, 3))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_mutated_claim_is_refused_with_an_error_of_ours(world: Any, at: int, flip: int, cut: int) -> None:
    data = bytearray(_good(world))
    data[at % len(data)] ^= flip
    with pytest.raises(Refused):
        opened(world, bytes(data[: len(data) - cut]))


_made: dict[int, bytes] = {}


def _good(world: Any) -> bytes:
    return _made.setdefault(id(world), claimed(world))


# Strangers


def _for_certificate(world: Any, holder: bytes) -> Callable[[Any], None]:
    certificate = asn1_x509.Certificate.load(holder)
    name = asn1_x509.GeneralName("directory_name", certificate.issuer)

    def change(info: Any) -> None:
        info["holder"] = cms.Holder(
            {"base_certificate_id": cms.IssuerSerial({"issuer": [name], "serial": certificate.serial_number})}
        )

    return change


async def _stranger(world: Any, data: bytes, holder: bytes, at_ms: int, crls: list[bytes]) -> Any:
    context = ValidationContext(
        trust_roots=[
            asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in world.made.anchors.certificates
        ],
        other_certs=[asn1_x509.Certificate.load(one) for one in world.chain(LAB, Purpose.ATTRIBUTE)],
        moment=dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC),
        allow_fetching=False,
        crls=crls,
        revocation_mode="soft-fail",
    )
    loaded = cms.AttributeCertificateV2.load(data)
    return await async_validate_ac(loaded, context, holder_cert=asn1_x509.Certificate.load(holder))


async def test_a_stranger_accepts_and_refuses_the_same_signatures_holders_and_times(world: Any) -> None:
    """pyhanko reads baseCertificateID alone, so the holder is a certificate here; the rest is as we issue it."""
    holder, other = (world.chain(who, Purpose.SIGNING)[0] for who in ("FI-AUR", "FI-NGC"))
    data = bent(world, _for_certificate(world, holder))
    crls = list(world.made.crls)
    result = await _stranger(world, data, holder, world.signing_at_ms, crls)
    assert set(result.approved_attributes) == {oids.AT_CONFORMITY.dotted_string}
    with pytest.raises(ValidationError):
        await _stranger(world, data, other, world.signing_at_ms, crls)
    with pytest.raises((ValidationError, PathError)):
        await _stranger(world, data, holder, world.signing_at_ms + 40 * DAY_MS, crls)
    spoilt = bytearray(data)
    spoilt[-1] ^= 1
    with pytest.raises((ValidationError, ValueError)):
        await _stranger(world, bytes(spoilt), holder, world.signing_at_ms, crls)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_reads_a_claim_and_a_link(world: Any, tmp_path: Path) -> None:
    window = Window(world.signing_at_ms, world.signing_at_ms + DAY_MS)
    link = office(world, "FI-NGC", Purpose.SIGNING).issue_link(
        InstallationLink(ThingKind.EVSE, EVSE, TYPE), window=window, now_ms=world.signing_at_ms
    )
    for data, oid in ((claimed(world), oids.AT_CONFORMITY), (link, oids.AT_INSTALLATION)):
        file = tmp_path / "document.der"
        file.write_bytes(data)
        command = ["openssl", "asn1parse", "-inform", "DER", "-in", str(file)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        assert f":{oid.dotted_string}" in said
        assert ":ecdsa-with-SHA256" in said
        assert (f":{oids.NO_REV_AVAIL.dotted_string}" in said or "No Revocation Available" in said) is (data == link)


def test_a_claim_signed_by_nobody_of_ours_is_refused(world: Any) -> None:
    data = bytearray(claimed(world))
    data[-1] ^= 1
    with pytest.raises((ClaimUntrusted, der.MalformedDer)):
        opened(world, bytes(data))
