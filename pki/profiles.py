"""What may be issued: one frozen profile for each role and purpose, one for each issuing authority, one for the root.

Every leaf has exactly the key usages, extended key usages and policy of its profile; the checks in `binding` compare
with the same table, so that what is issued and what is believed cannot drift apart. A profile is never edited: what
changes is another version under another name (`docs/spec/credential-profile.md`).
"""

from enum import StrEnum

import msgspec
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import oids
from pki.errors import Refused
from pki.roles import ACTOR_ROLE_NUMBER, GROUP_OF_ROLE, Group, Purpose, Role

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 366 * DAY_MS
BACKDATE_MS = 300_000  # a certificate starts 5 minutes before it is made: clocks differ
SHORT_LIVED_MS = 7 * DAY_MS  # the longest life without revocation status that we accept

ROOT_LIFETIME_MS = 20 * YEAR_MS
ISSUING_LIFETIME_MS = 5 * YEAR_MS


class Hosts(StrEnum):
    """Whether a certificate names hosts."""

    NONE = "NONE"
    OPTIONAL = "OPTIONAL"
    REQUIRED = "REQUIRED"


class KeyKind(StrEnum):
    """The public keys that stand in certificates, by their names in the ASN.1 of algorithms and curves."""

    P256 = "secp256r1"
    P384 = "secp384r1"
    ED25519 = "ed25519"


class NoProfile(Refused):
    """Nothing is ever issued for this role and purpose."""

    code = "pki/no-profile"
    title = "No certificate profile"


class Profile(msgspec.Struct, frozen=True):
    """A leaf certificate; `name` with its version is what is recorded when one is issued."""

    name: str
    role: Role
    purpose: Purpose
    ekus: tuple[ObjectIdentifier, ...]
    default_lifetime_ms: int
    max_lifetime_ms: int
    hosts: Hosts = Hosts.NONE
    crl_sign: bool = False
    no_rev_avail: bool = False
    keys: tuple[KeyKind, ...] = (KeyKind.P256, KeyKind.P384, KeyKind.ED25519)

    @property
    def group(self) -> Group:
        """The issuing authority that issues it."""
        return GROUP_OF_ROLE[self.role]

    @property
    def policy(self) -> ObjectIdentifier:
        """The one policy that it and its issuing authority carry."""
        return POLICY_OF_GROUP[self.group]


class InfrastructureProfile(msgspec.Struct, frozen=True):
    """A key of the house itself: it speaks for no party, so it has no role extension and names nobody."""

    name: str
    group: Group | None
    """The only authority that issues it; None: each issues its own."""
    eku: ObjectIdentifier
    policy: ObjectIdentifier | None
    lifetime_ms: int
    no_check: bool = False
    """Nobody asks whether it was revoked (id-pkix-ocsp-nocheck, RFC 6960 section 4.2.2.2.1), so it lives briefly."""
    keys: tuple[KeyKind, ...] = (KeyKind.P256,)


class AuthorityProfile(msgspec.Struct, frozen=True):
    """An issuing authority: one policy, path length 0, and the usages of its leaves and of its OCSP signer."""

    group: Group
    policy: ObjectIdentifier
    ekus: tuple[ObjectIdentifier, ...]
    lifetime_ms: int = ISSUING_LIFETIME_MS
    keys: tuple[KeyKind, ...] = (KeyKind.P256,)  # too many verifiers refuse Ed25519 authorities

    @property
    def name(self) -> str:
        """What is recorded when one is issued."""
        return f"{self.group}/AUTHORITY/v1"


class RootProfile(msgspec.Struct, frozen=True):
    """A self-signed root over issuing authorities."""

    name: str
    lifetime_ms: int
    keys: tuple[KeyKind, ...]


POLICY_OF_GROUP: dict[Group, ObjectIdentifier] = {
    Group.FO: oids.CP_FO,
    Group.CSO: oids.CP_CSO,
    Group.CSP: oids.CP_CSP,
    Group.EVU: oids.CP_EVU,
    Group.THING: oids.CP_THING,
    Group.CB: oids.CP_CONFORMITY_BODY,
    Group.INFRA: oids.CP_INFRASTRUCTURE,
}

_TLS_EKU: dict[Role, ObjectIdentifier] = {
    Role.FO: oids.KP_FO_CLIENT,
    Role.CSO: oids.KP_CSO_FCSBE,
    Role.CSP: oids.KP_CSP_CLIENT,
    Role.EVU: oids.KP_EVU,
    Role.STATION: oids.KP_EVSE,
    Role.CB: oids.KP_CB_CLIENT,
    Role.AUD: oids.KP_AUD_CLIENT,
    Role.DPO: oids.KP_DPO_CLIENT,
    Role.OPS: oids.KP_OPS_CLIENT,
}


def _client(role: Role, days: int, most: int, hosts: Hosts = Hosts.OPTIONAL) -> Profile:
    return Profile(
        name=f"{role}/TLS_CLIENT/v1",
        role=role,
        purpose=Purpose.TLS_CLIENT,
        ekus=(ExtendedKeyUsageOID.CLIENT_AUTH, _TLS_EKU[role]),
        default_lifetime_ms=days * DAY_MS,
        max_lifetime_ms=most * DAY_MS,
        hosts=hosts,
        no_rev_avail=role is Role.EVU,
    )


def _signing(role: Role, days: int, most: int) -> Profile:
    return Profile(
        name=f"{role}/SIGNING/v1",
        role=role,
        purpose=Purpose.SIGNING,
        ekus=(oids.signing(ACTOR_ROLE_NUMBER[role]),),
        default_lifetime_ms=days * DAY_MS,
        max_lifetime_ms=most * DAY_MS,
        no_rev_avail=role is Role.EVU,
    )


_ALL = (
    _client(Role.FO, 30, 90),
    _client(Role.CSO, 30, 90),
    _client(Role.CSP, 30, 90),
    _client(Role.EVU, 7, 7, Hosts.NONE),
    _client(Role.CB, 30, 90),
    _client(Role.AUD, 30, 90),
    _client(Role.DPO, 30, 90),
    _client(Role.OPS, 30, 90),
    _client(Role.STATION, 90, 366, Hosts.NONE),
    Profile(
        name="CSO/TLS_SERVER/v1",
        role=Role.CSO,
        purpose=Purpose.TLS_SERVER,
        ekus=(ExtendedKeyUsageOID.SERVER_AUTH, oids.KP_CSO_FCSBE),
        default_lifetime_ms=30 * DAY_MS,
        max_lifetime_ms=90 * DAY_MS,
        hosts=Hosts.REQUIRED,
    ),
    Profile(
        name="CB/ATTRIBUTE/v1",
        role=Role.CB,
        purpose=Purpose.ATTRIBUTE,
        ekus=(oids.KP_CONFORMITY_AA,),
        default_lifetime_ms=YEAR_MS,
        max_lifetime_ms=2 * YEAR_MS,
        crl_sign=True,  # it says itself which of its attribute certificates are revoked (RFC 5280 section 5)
    ),
    _signing(Role.EVU, 7, 7),
    *(_signing(role, 90, 366) for role in Role if role is not Role.EVU),
)

PROFILES: dict[tuple[Role, Purpose], Profile] = {(profile.role, profile.purpose): profile for profile in _ALL}

BY_USAGES: dict[tuple[Role, frozenset[ObjectIdentifier]], Profile] = {
    (profile.role, frozenset(profile.ekus)): profile for profile in reversed(_ALL)
}
"""The profile that a leaf of a role is of, by its extended key usages: no two of a role have the same."""

OCSP_SIGNER = InfrastructureProfile(
    name="OCSP/SIGNING/v1",
    group=None,
    eku=ExtendedKeyUsageOID.OCSP_SIGNING,
    policy=None,
    lifetime_ms=7 * DAY_MS,
    no_check=True,
)
CHECKPOINT_SIGNER = InfrastructureProfile(
    name="CHECKPOINT/SIGNING/v1",
    group=Group.INFRA,
    eku=oids.KP_LEDGER_CHECKPOINT,
    policy=oids.CP_INFRASTRUCTURE,
    lifetime_ms=YEAR_MS,
)
INFRASTRUCTURE = (OCSP_SIGNER, CHECKPOINT_SIGNER)
ROOT = RootProfile(name="ROOT/v1", lifetime_ms=ROOT_LIFETIME_MS, keys=(KeyKind.P384,))

AUTHORITIES: dict[Group, AuthorityProfile] = {
    group: AuthorityProfile(
        group=group,
        policy=POLICY_OF_GROUP[group],
        # clientAuth always: verifiers that walk for a TLS client want it in the authority too.
        ekus=tuple(
            sorted(
                {eku for profile in _ALL if profile.group is group for eku in profile.ekus}
                | {profile.eku for profile in INFRASTRUCTURE if profile.group in {group, None}}
                | {ExtendedKeyUsageOID.CLIENT_AUTH},
                key=lambda oid: oid.dotted_string,
            )
        ),
    )
    for group in Group
}


def get(role: Role, purpose: Purpose) -> Profile:
    """The profile for `role` and `purpose`; NoProfile if there is none, such as a grid operator's TLS client."""
    profile = PROFILES.get((role, purpose))
    if profile is None:
        raise NoProfile("nothing is issued for this role and purpose", role=role, purpose=purpose)
    return profile
