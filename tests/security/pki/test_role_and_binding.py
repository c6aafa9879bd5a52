"""Roles that are claimed and not held, each under the name that the catalogue of attacks gives it."""

import base64
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyasn1.type import univ

from api import engines
from api.cli import serve
from api.cli.demo import cast
from api.execution.errors import StationRefused
from api.settings import OcppListen
from api.verification.actors import Directory, actor_of
from pki import binding, oids, path, profiles, trust
from pki.asn1 import der, flexrole
from pki.asn1.flexrole import FlexRole
from pki.authority import Subscriber
from pki.ceremony import Ceremony
from pki.errors import Refused
from pki.roles import Group, Purpose, Role, Service
from pki.trust import TrustAnchors
from tests.support import house as houses
from tests.support import pki_world
from tests.support.house import House
from tests.support.house_acts import FSR, request

FO, CSP, CSO = "FI-AUR", "FI-VOL", "FI-NGC"
CLIENT = Purpose.TLS_CLIENT
GOOD = FlexRole(Role.FO, FO, frozenset({Service.DROOP, Service.FFR}))


@pytest.fixture(scope="session")
def made() -> Ceremony:
    return houses.perform()


def _role(value: bytes) -> dict[x509.ObjectIdentifier, Any]:
    return {oids.FLEX_ROLE: (x509.UnrecognizedExtension(oids.FLEX_ROLE, value), False)}


def _refused(world: Any, error: type[Refused], group: Group = Group.FO, **changes: Any) -> str:
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[group], **changes)
    with pytest.raises(error) as caught:
        world.check(chain, CLIENT)
    return caught.value.code


# One of four says something else


def test_csp_role_under_fo_ca_rejected(world: Any) -> None:
    """Policy, usages and authority say FO; the role extension says CSP."""
    _refused(world, binding.RoleMismatch, replaced=_role(flexrole.encode(FlexRole(Role.CSP, FO))))


def test_csp_policy_under_fo_ca_rejected(world: Any) -> None:
    found = x509.CertificatePolicies(
        [x509.PolicyInformation(oids.CP_CSP, None), x509.PolicyInformation(oids.CP_TEST, None)]
    )
    _refused(world, binding.RoleMismatch, replaced={found.oid: (found, False)})


def test_csp_eku_under_fo_ca_rejected(world: Any) -> None:
    found = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, oids.KP_CSP_CLIENT])
    _refused(world, binding.RoleMismatch, replaced={found.oid: (found, False)})


def test_fo_role_policy_and_eku_under_csp_ca_rejected(world: Any) -> None:
    _refused(world, binding.RoleMismatch, group=Group.CSP)


def test_roles_of_one_authority_are_told_apart_too(world: Any) -> None:
    """Auditor, privacy officer, operator and grid operator share an authority and a policy, but no usage."""
    infra = world.made.hierarchy.issuing[Group.INFRA]
    leaf = world.chain("FI-AUDIT", CLIENT)[0]
    assert world.check(world.forge(leaf, infra), CLIENT).role is Role.AUD
    dpo = x509.ExtendedKeyUsage(profiles.get(Role.DPO, CLIENT).ekus)
    for replaced in (_role(flexrole.encode(FlexRole(Role.DPO, "FI-AUDIT"))), {dpo.oid: (dpo, False)}):
        with pytest.raises(binding.RoleMismatch):
            world.check(world.forge(leaf, infra, replaced=replaced), CLIENT)


# The role extension


def test_two_role_extensions_rejected(world: Any) -> None:
    def twice(body: Any) -> None:
        extensions = body["extensions"]
        place = next(i for i, one in enumerate(extensions) if str(one["extnID"]) == oids.FLEX_ROLE.dotted_string)
        second = extensions[place].clone(cloneValueFlag=True)
        second["extnValue"] = univ.OctetString(flexrole.encode(FlexRole(Role.CSO, CSO)))
        extensions[len(extensions)] = second

    leaf, issuing = world.chain(FO, CLIENT)
    forged = pki_world.resigned(leaf, world.made.hierarchy.issuing[Group.FO].signer, twice)
    with pytest.raises(path.Malformed):
        world.check((forged, issuing), CLIENT)


def _flexrole(content: bytes) -> bytes:
    return b"\x30" + bytes([len(content)]) + content


PARTY = b"\x0c\x06FI-AUR"
SPOILT = {
    "trailing_bytes": flexrole.encode(GOOD) + b"\x00",
    "second_value": flexrole.encode(GOOD) * 2,
    "non_der_long_length": b"\x30\x81\x0b\x02\x01\x01" + PARTY,
    "non_der_indefinite_length": b"\x30\x80\x02\x01\x01" + PARTY + b"\x00\x00",
    "non_der_padded_integer": _flexrole(b"\x02\x02\x00\x01" + PARTY),
    "non_der_trailing_zero_bits": _flexrole(b"\x02\x01\x01" + PARTY + b"\x81\x02\x04\x60"),
    "encoded_default_version": _flexrole(b"\xa0\x03\x02\x01\x01\x02\x01\x01" + PARTY),
    "unknown_role": _flexrole(b"\x02\x01\x7f" + PARTY),
    "role_zero": _flexrole(b"\x02\x01\x00" + PARTY),
    "version_2": _flexrole(b"\xa0\x03\x02\x01\x02\x02\x01\x01" + PARTY),
    "unknown_service_bit": _flexrole(b"\x02\x01\x01" + PARTY + b"\x81\x05\x00\x00\x00\x00\x01"),
    "empty_party": _flexrole(b"\x02\x01\x01\x0c\x00"),
    "nothing": b"",
}


@pytest.mark.parametrize("which", sorted(SPOILT))
def test_flex_role_trailing_bytes_non_der_unknown_role_and_version_2_rejected(world: Any, which: str) -> None:
    assert _refused(world, der.MalformedDer, replaced=_role(SPOILT[which])) == "pki/malformed-der"


def test_flex_role_oversize_rejected(world: Any) -> None:
    long = b"\x0c\x82\x10\x00" + b"a" * 0x1000
    content = b"\x02\x01\x01" + long
    value = b"\x30\x82" + len(content).to_bytes(2) + content
    assert _refused(world, der.OversizeDer, replaced=_role(value)) == "pki/oversize-der"


# Development where only real credentials count


def test_policy_oid_of_tests_in_production_rejected(world: Any) -> None:
    """The chain is good, its root is trusted, and yet: marked is marked."""
    anchors = TrustAnchors(world.made.anchors.roots, allow_development=True)
    object.__setattr__(anchors, "allow_development", False)  # as if somebody had trusted the root by mistake
    with pytest.raises(trust.DevelopmentCredential):
        world.check(world.chain(FO, CLIENT), CLIENT, anchors=anchors)


def test_devcerts_root_trusted_in_production_refuses_to_start(
    tmp_path: Path, made: Ceremony, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = houses.lay_out(tmp_path, made)
    assert settings.development
    config = next((tmp_path / "service").glob("*.toml"))
    text = config.read_text(encoding="utf-8")
    real = "\n".join(line for line in text.splitlines() if not line.startswith(("development", "clock_file")))
    config.write_text(real, encoding="utf-8")
    assert serve.run(config, ready_file=None) == 2
    assert "cannot start: pki/development-credential" in capsys.readouterr().err
    assert not (settings.data_dir / engines.LOG_FILE).exists()


# Over HTTP


async def test_fo_cert_on_cso_endpoint_rejected(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as house:
        good = house.said(cast.FO, request(), f"fsr/{FSR}")
        await house.attack(cast.FO, "/v1/sites", good, status=403, code="api/role-not-allowed")
        await house.attack(cast.FO, "/v1/checks", good, status=403, code="api/role-not-allowed")
        await house.attack(cast.CSO, "/v1/requests", good, status=403, code="api/role-not-allowed")


async def test_party_id_in_request_differs_from_certificate_rejected(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made) as house:
        signer = house.signer(cast.FO, party="FI-OTHER")
        signed = signer.sign(request(), f"fsr/{FSR}", now_ms=house.clock.now_ms())
        submitted = house.submission(cast.FO, signed)
        await house.attack(cast.FO, "/v1/requests", submitted, status=400, code="ledger/signature-invalid")
        other = house.said(cast.CSP, request(), f"fsr/{FSR}")
        await house.attack(cast.FO, "/v1/requests", other, status=403, code="api/party-mismatch")


@pytest.mark.parametrize("how", ["X-SSL-Cert", "X-SSL-Client-Cert", "Client-Cert", "X-Forwarded-Client-Cert"])
async def test_certificate_smuggled_in_a_header_makes_nobody_somebody(tmp_path: Path, made: Ceremony, how: str) -> None:
    """There is no trusted proxy: who is calling is what the handshake proved (RFC 9440 section 4)."""
    leaf = made.parties[cast.FO].credentials[CLIENT].chain[0]
    pem = ssl.DER_cert_to_PEM_cert(leaf).replace("\n", " ")
    shown = {"Client-Cert": f":{base64.b64encode(leaf).decode()}:", "X-Forwarded-Client-Cert": f'Cert="{pem}"'}
    async with House.open(tmp_path, made) as house:
        body = house.said(cast.FO, request(), f"fsr/{FSR}")
        headers = [(how, shown.get(how, pem)), ("X-SSL-Client-Verify", "SUCCESS")]
        await house.attack(None, "/v1/requests", body, status=401, code="api/credential-missing", headers=headers)
        cso = house.issued(cast.CSO, CLIENT).chain[0]
        await house.attack(cso, "/v1/requests", body, status=403, code="api/role-not-allowed", headers=headers)


def test_evse_of_another_cso_rejected(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station of another operator has a good credential, and is not let in here."""
    held: dict[str, Any] = {}
    monkeypatch.setattr(serve, "StationListener", lambda **given: held.update(given))
    monkeypatch.setattr(serve, "server_context", lambda *_files, **_how: None)
    here = Path()
    place = OcppListen(certificate=here, key=here, client_ca=here, allowed_origins=("https://own.example",))
    clock = SimpleNamespace(now_ms=lambda: world.tls_at_ms)
    monkeypatch.setattr(serve, "SystemClock", lambda: clock)
    issuers = [pki_world.encoded(one.certificate) for one in world.made.hierarchy.authorities()[1:]]
    directory = Directory(world.made.anchors, issuers, world.status)
    leaf = world.chain("E1", CLIENT)[0]
    for operator, let_in in ((CSO, True), ("FI-OTHER", False)):
        settings: Any = SimpleNamespace(ocpp_listen=place, signing=SimpleNamespace(party=operator))
        serve.station_listener(settings, SimpleNamespace(clock=clock), directory)  # type: ignore[arg-type]
        assert held["origins"] == ("https://own.example",)
        if let_in:
            assert held["authenticate"](leaf, None).station_id == "E1"
        else:
            with pytest.raises(StationRefused):
                held["authenticate"](leaf, None)


def test_evse_that_names_another_operator_than_its_uri_rejected(world: Any) -> None:
    thing = world.made.hierarchy.issuing[Group.THING]
    chain = world.forge(
        world.chain("E1", CLIENT)[0], thing, replaced=_role(flexrole.encode(FlexRole(Role.STATION, "FI-OTHER")))
    )
    with pytest.raises(binding.RoleMismatch):
        world.check(chain, CLIENT)


def test_delegated_by_without_delegation_record_rejected(own_world: Any) -> None:
    """Who acts for whom is what the authority's register says; a certificate without it gives no say."""
    delegate = actor_of(own_world.check(own_world.chain(CSP, Purpose.SIGNING), Purpose.SIGNING))
    assert delegate.delegated_by == CSO
    key = pki_world.keys.generate()
    asking = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    wished = flexrole.encode(FlexRole(Role.CSP, "FI-LONE", frozenset(), CSO))
    asking = asking.add_extension(x509.UnrecognizedExtension(oids.FLEX_ROLE, wished), critical=False)
    asked = pki_world.csr.open_csr(pki_world.encoded_request(asking, key))
    leaf = own_world.made.hierarchy.issue(
        Role.CSP,
        Purpose.SIGNING,
        asked,
        subscriber=Subscriber(party_id="FI-LONE", organisation="Alone"),
        now_ms=pki_world.SIGNING_AT_MS,
    )
    chain = (pki_world.encoded(leaf), own_world.chain(CSP, Purpose.SIGNING)[1])
    alone = actor_of(own_world.check(chain, Purpose.SIGNING))
    assert alone.delegated_by is None
    assert CSO not in (alone.party, alone.delegated_by)
