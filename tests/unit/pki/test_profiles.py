"""A profile is never edited: what it makes is pinned, and a change is another version under another name."""

import dataclasses
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pki import oids, profiles, tbs
from pki.lint.examine import examine
from pki.lint.subject import Examined
from pki.profiles import Profile
from pki.roles import ACTOR_ROLE_NUMBER, Group, Purpose, Role
from tests.support import profile_samples
from tests.support.credentials_reference import module_names
from tests.support.profile_samples import AnyProfile, Sample
from tests.support.vectors import REPOSITORY

PINS: dict[str, str] = tomllib.loads(Path(__file__).with_name("profile_pins.toml").read_text(encoding="utf-8"))
SAMPLES = profile_samples.samples()


def _bounds(profile: AnyProfile) -> str:
    """What a profile allows beyond what its sample shows."""
    fields = msgspec.structs.asdict(profile)
    return repr([(name, _plain(value)) for name, value in sorted(fields.items())])


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.dotted_string if isinstance(value, x509.ObjectIdentifier) else str(value)


def _digest(sample: Sample) -> str:
    """Over the bounds and every signed byte of a certificate of this profile."""
    content = _bounds(sample.profile).encode() + sample.certificate.tbs_certificate_bytes
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_a_profile_makes_is_pinned(name: str) -> None:
    """If this fails you changed a profile in use: give it a new version instead (docs/spec/credential-profile.md)."""
    assert PINS.get(name) == _digest(SAMPLES[name])


def test_there_is_no_pin_without_a_profile() -> None:
    """A version that was once in use stays, so that its certificates can still be judged."""
    assert set(PINS) == set(SAMPLES)


def test_the_pin_moves_with_every_bound_and_every_byte() -> None:
    sample = SAMPLES["FO/TLS_CLIENT/v1"]
    assert isinstance(sample.profile, Profile)
    longer = msgspec.structs.replace(sample.profile, max_lifetime_ms=sample.profile.max_lifetime_ms + 1)
    assert _digest(dataclasses.replace(sample, profile=longer)) != _digest(sample)
    other = SAMPLES["FO/SIGNING/v1"].certificate
    assert _digest(dataclasses.replace(sample, certificate=other)) != _digest(sample)


def test_every_profile_has_a_version_in_its_name_and_no_name_is_used_twice() -> None:
    every = [
        profiles.ROOT,
        *profiles.AUTHORITIES.values(),
        *profiles.PROFILES.values(),
        *profiles.INFRASTRUCTURE,
    ]
    names = [profile.name for profile in every]
    assert len(names) == len(set(names)) == len(SAMPLES)
    assert [name for name in names if not re.fullmatch(r"([A-Z_]+/)+v[1-9]\d*", name)] == []


def test_a_profile_cannot_be_changed_while_running() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        profiles.get(Role.FO, Purpose.SIGNING).max_lifetime_ms = 1  # type: ignore[misc]


def test_what_is_recorded_when_something_is_issued_is_the_name_of_a_profile(own_world: Any) -> None:
    held = own_world.made.store.find()
    assert {one.profile for one in held} <= set(SAMPLES)
    assert {"ROOT/v1", "FO/AUTHORITY/v1", "EVU/TLS_CLIENT/v1"} <= {one.profile for one in held}


@pytest.mark.parametrize("development", [False, True])
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_sample_of_every_profile_passes_the_lint(name: str, development: bool) -> None:
    sample = profile_samples.samples(development=development)[name]
    examine(Examined(sample.certificate, sample.issuer, sample.asked, development))


@pytest.mark.parametrize("profile", list(profiles.PROFILES.values()), ids=lambda profile: profile.name)
def test_no_two_profiles_have_the_same_usages(profile: Profile) -> None:
    """So that the usages alone say what a key is for, and one key cannot be passed off as another."""
    same = [other.name for other in profiles.PROFILES.values() if set(other.ekus) == set(profile.ekus)]
    assert same == [profile.name]
    assert len(profile.ekus) == len(set(profile.ekus))


def test_only_credentials_that_live_a_week_go_without_revocation() -> None:
    """RFC 9608, and the limit that this project sets for it."""
    silent = [profile for profile in profiles.PROFILES.values() if profile.no_rev_avail]
    assert {profile.role for profile in silent} == {Role.EVU}
    assert max(profile.max_lifetime_ms for profile in silent) <= profiles.SHORT_LIVED_MS
    unasked = [profile for profile in profiles.INFRASTRUCTURE if profile.no_check]
    assert max(profile.lifetime_ms for profile in unasked) <= profiles.SHORT_LIVED_MS


def _places(certificate: x509.Certificate) -> dict[str, str]:
    """Where the certificate says that its status is told, by kind; empty if it says nothing."""
    found: dict[str, str] = {}
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            found["crl"] = (extension.value[0].full_name or [])[0].value
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            found |= {one.access_method._name: one.access_location.value for one in extension.value}
    return found


def test_every_certificate_that_can_be_revoked_says_where_to_ask_and_no_other_does() -> None:
    base = "http://pki.flexledger.example"
    silent = {"ROOT/v1", "OCSP/SIGNING/v1", "EVU/TLS_CLIENT/v1", "EVU/SIGNING/v1"}
    for name, sample in SAMPLES.items():
        if name in silent:
            assert _places(sample.certificate) == {}
            continue
        authority = isinstance(sample.profile, profiles.AuthorityProfile)
        group = "root" if authority else str(sample.profile.group).lower()  # type: ignore[union-attr]
        wanted = {"crl": f"{base}/crl/{group}.crl", "caIssuers": f"{base}/pki/{group}.crt"}
        # A root's key is not where requests arrive.
        assert _places(sample.certificate) == wanted | ({} if authority else {"OCSP": f"{base}/pki/ocsp"})


def test_nothing_outlives_what_is_above_it() -> None:
    longest = max(
        [profile.max_lifetime_ms for profile in profiles.PROFILES.values()]
        + [profile.lifetime_ms for profile in profiles.INFRASTRUCTURE]
    )
    issuing = {authority.lifetime_ms for authority in profiles.AUTHORITIES.values()}
    assert longest < min(issuing)
    assert max(issuing) < profiles.ROOT.lifetime_ms


def test_every_role_can_sign_and_every_group_has_an_authority() -> None:
    assert {role for role, purpose in profiles.PROFILES if purpose is Purpose.SIGNING} == set(Role)
    assert set(profiles.AUTHORITIES) == set(Group) == set(profiles.POLICY_OF_GROUP)
    assert {authority.policy for authority in profiles.AUTHORITIES.values()} == set(oids.ROLE_POLICIES)
    with pytest.raises(profiles.NoProfile):
        profiles.get(Role.SO, Purpose.TLS_CLIENT)


def test_every_identifier_of_the_code_is_the_one_of_the_asn1_module() -> None:
    module = set(module_names())
    code = {
        value.dotted_string
        for name, value in vars(oids).items()
        if isinstance(value, x509.ObjectIdentifier) and value.dotted_string.startswith(oids.ARC)
    } | {oids.signing(number).dotted_string for number in ACTOR_ROLE_NUMBER.values()}
    assert code <= module
    assert len(code) > 25


def test_the_arc_is_written_once() -> None:
    """ADR 0011: whoever has a registered arc changes one line."""
    number = oids.ARC.split(".")[-2]
    spelling = [
        path.relative_to(REPOSITORY).as_posix()
        for package in ("pki", "ledger", "api", "devcerts")
        for path in (REPOSITORY / package).rglob("*.py")
        if number in path.read_text(encoding="utf-8")
    ]
    assert spelling == ["pki/oids.py"]


UNDER_ANOTHER_ARC = """
import importlib.util, pathlib, sys
spec = importlib.util.find_spec("pki.oids")
source = pathlib.Path(spec.origin).read_text().replace(sys.argv[1], "1.3.6.1.4.1.32473.99")
module = importlib.util.module_from_spec(spec)
sys.modules["pki.oids"] = module
exec(compile(source, spec.origin, "exec"), module.__dict__)
import pki
pki.oids = module
from pki.errors import Refused
from tests.support import pki_world
from pki.roles import Purpose
world = pki_world.perform()
for who in ("FI-AUR", "evu-1", "E1"):
    assert world.check(world.chain(who, Purpose.TLS_CLIENT), Purpose.TLS_CLIENT)
assert sys.argv[1].encode() not in world.chain("FI-AUR", Purpose.TLS_CLIENT)[0]
print(world.check(world.chain("FI-AUR", Purpose.SIGNING), Purpose.SIGNING).role)
"""


@pytest.mark.slow
def test_a_hierarchy_under_another_arc_is_whole() -> None:
    result = subprocess.run(
        [sys.executable, "-c", UNDER_ANOTHER_ARC, oids.ARC],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        check=False,
    )
    assert (result.returncode, result.stdout.strip()) == (0, "FO"), result.stderr


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_octets_of_every_profile_are_those_that_the_library_writes(name: str) -> None:
    written = SAMPLES[name].certificate
    again = x509.CertificateBuilder(
        issuer_name=written.issuer,
        subject_name=written.subject,
        public_key=written.public_key(),  # type: ignore[arg-type]  # the keys of our profiles are all of its kinds
        serial_number=written.serial_number,
        not_valid_before=written.not_valid_before_utc.replace(tzinfo=None),
        not_valid_after=written.not_valid_after_utc.replace(tzinfo=None),
        extensions=list(written.extensions),
    )
    curve = ec.SECP384R1() if written.signature_hash_algorithm == hashes.SHA384() else ec.SECP256R1()
    key = ec.generate_private_key(curve)
    assert again.sign(key, tbs.digest_for(key)).tbs_certificate_bytes == written.tbs_certificate_bytes


def test_the_linted_copy_bears_a_signature_that_no_key_makes() -> None:
    sample = SAMPLES["FO/TLS_CLIENT/v1"]
    assert sample.issuer is not None
    octets = tbs.unsigned(sample.certificate.tbs_certificate_bytes, sample.certificate.signature_algorithm_oid)
    copy = x509.load_der_x509_certificate(octets)
    assert copy.tbs_certificate_bytes == sample.certificate.tbs_certificate_bytes
    assert decode_dss_signature(copy.signature) == (0, 0)
    sample.certificate.verify_directly_issued_by(sample.issuer)
    with pytest.raises(InvalidSignature):
        copy.verify_directly_issued_by(sample.issuer)
