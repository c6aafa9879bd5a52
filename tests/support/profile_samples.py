"""One certificate of every profile, made from fixed keys, names and times, so that its signed part never varies."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import names, profiles, tbs
from pki.asn1.flexrole import FlexRole
from pki.profiles import AuthorityProfile, Hosts, InfrastructureProfile, Profile, RootProfile
from pki.roles import Group, Role, Service
from pki.tbs import InfrastructureOrder, LeafOrder

AT_MS = 1_768_867_200_000  # 2026-01-20
ZONE = names.DEFAULT_ZONE
ORGANISATION = "Example"
PSEUDONYM = "00112233445566778899aabbccddeeff"
STATION = "E1"
_SERIAL = 1 << 158

AnyProfile = RootProfile | AuthorityProfile | Profile | InfrastructureProfile


@dataclass(frozen=True, slots=True)
class Sample:
    """A certificate of a profile, its issuer (None for the root) and what was asked for, as the lint wants them."""

    profile: AnyProfile
    certificate: x509.Certificate
    issuer: x509.Certificate | None
    asked: LeafOrder | InfrastructureOrder | AuthorityProfile | None


def _key(number: int, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, curve)


@cache
def samples(*, development: bool = False) -> Mapping[str, Sample]:
    """By name of profile: the root, then the authorities, then leaves, then the keys of the house.

    `development` ones differ by one more policy.
    """
    root_key, issuing_key = _key(7, ec.SECP384R1()), _key(11, ec.SECP256R1())
    root_draft = tbs.root(
        public_key=root_key.public_key(),
        subject=names.authority(ORGANISATION, f"{ORGANISATION} Root G1"),
        serial=_SERIAL,
        window=tbs.window_from(AT_MS, profiles.ROOT.lifetime_ms),
        development=development,
    )
    root = _signed(root_draft, root_key)
    made = {profiles.ROOT.name: Sample(profiles.ROOT, root, None, None)}
    issuing: dict[Group, x509.Certificate] = {}
    for authority in profiles.AUTHORITIES.values():
        draft = tbs.issuing(
            authority,
            public_key=issuing_key.public_key(),
            subject=names.authority(ORGANISATION, f"{ORGANISATION} {authority.group} CA G1"),
            root=root,
            zone=ZONE,
            serial=_SERIAL + 1,
            window=tbs.window_from(AT_MS, authority.lifetime_ms, root),
            development=development,
        )
        issuing[authority.group] = _signed(draft, root_key)
        made[authority.name] = Sample(authority, issuing[authority.group], root, authority)
    for profile in profiles.PROFILES.values():
        issuer, asked = issuing[profile.group], order(profile, development=development)
        window = tbs.window_from(AT_MS, profile.default_lifetime_ms, issuer)
        draft = tbs.leaf(asked, issuer=issuer, serial=_SERIAL + 2, window=window)
        made[profile.name] = Sample(profile, _signed(draft, issuing_key), issuer, asked)
    for house in profiles.INFRASTRUCTURE:
        issuer = issuing[house.group or Group.FO]
        key, name = _leaf_key().public_key(), house.name.split("/")[0]
        wanted = InfrastructureOrder(house, key, ORGANISATION, name, ZONE, development)
        window = tbs.window_from(AT_MS, house.lifetime_ms, issuer)
        draft = tbs.infrastructure(wanted, issuer=issuer, serial=_SERIAL + 3, window=window)
        made[house.name] = Sample(house, _signed(draft, issuing_key), issuer, wanted)
    return made


def _signed(draft: tbs.Draft, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return x509.load_der_x509_certificate(tbs.signed(draft.encode(tbs.algorithm_for(key)), key))


def order(profile: Profile, *, development: bool = False) -> LeafOrder:
    """What a leaf of `profile` is asked for here."""
    party = PSEUDONYM if profile.role is Role.EVU else "FI-EX"
    station = STATION if profile.role is Role.STATION else None
    hosts = () if profile.hosts is Hosts.NONE else (f"a.{profile.group.lower()}.{ZONE}",)
    return LeafOrder(
        profile=profile,
        public_key=_leaf_key().public_key(),
        identity=names.Identity(profile.role, party, station),
        organisation="" if profile.role is Role.EVU else ORGANISATION,
        role=FlexRole(profile.role, party, frozenset({Service.DROOP})),
        hosts=hosts,
        zone=ZONE,
        development=development,
    )


def _leaf_key() -> ec.EllipticCurvePrivateKey:
    return _key(13, ec.SECP256R1())
