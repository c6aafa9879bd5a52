"""Issuing: profile, throw-away signature, lint, intent, the one real signature, own check, store, record.

An authority never signs what its linter has not seen or its journal has not recorded; whatever happens between intent
and issuance stays visible as a gap.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import binding, keys, names, path, profiles, revocation, tbs
from pki.asn1 import flexrole
from pki.csr import OpenedCsr
from pki.errors import Broken, Refused
from pki.journal import Intent, Journal
from pki.lint.examine import examine
from pki.lint.subject import Examined
from pki.profiles import AuthorityProfile, Profile
from pki.roles import Group, Service
from pki.status import Scope
from pki.store.records import CertificateStore, Issued, Reason, Revocation
from pki.tbs import InfrastructureOrder, LeafOrder, Window
from pki.trust import encoded, require_root

_ROOT_PROFILE = "ROOT/v1"
_SERIAL_BITS = 158
_SERIAL_TOP = 1 << _SERIAL_BITS  # so that every serial number has the same, full length


class KeyReused(Refused):
    """The key of a request stands in a certificate of another party or for another purpose already, or was revoked."""

    code = "pki/key-reused"
    title = "Key already in use"


class LifetimeRefused(Refused):
    """The asked-for end is not after the start, or later than the profile or the authority allows."""

    code = "pki/lifetime"
    title = "Lifetime not allowed"


class WrongAuthority(Refused):
    """This authority does not issue that profile."""

    code = "pki/wrong-authority"
    title = "Wrong authority"


class NotAsLinted(Broken):
    """The signed bytes are not those that were linted and recorded."""

    code = "pki/not-as-linted"
    title = "Signed certificate differs from the linted one"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The party or station that a certificate is for, as the register knows it, not as a request says it."""

    party_id: str
    organisation: str = ""
    services: frozenset[Service] = frozenset()
    delegated_by: str | None = None
    dns_names: tuple[str, ...] = ()
    station_id: str | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """One certification authority with its key: the root (`group` None) or an issuing one, whose root is `root`."""

    certificate: x509.Certificate
    signer: keys.Signer
    root: x509.Certificate
    group: Group | None
    zone: str
    development: bool
    store: CertificateStore
    journal: Journal
    key_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """The key belongs to the certificate, or WrongAuthority."""
        name = keys.spki_sha256(keys.require_authority_key(self.certificate.public_key()))
        if keys.spki_sha256(self.signer.public_key()) != name:
            raise WrongAuthority("the key is not the one in the certificate")
        object.__setattr__(self, "key_sha256", name)

    @property
    def online(self) -> bool:
        """Whether its private key can be asked; if not, it neither issues nor signs revocation lists here."""
        return not isinstance(self.signer, keys.OfflineKey)

    def issue(
        self,
        csr: OpenedCsr,
        *,
        profile: Profile,
        subscriber: Subscriber,
        now_ms: int,
        not_after_ms: int | None = None,
    ) -> x509.Certificate:
        """A certificate for the key in `csr`, which passed our own validation, stored and recorded.

        Raises WrongAuthority, KeyReused, LifetimeRefused, `names.BadName`, `LintFailed`.
        """
        if profile.group is not self.group:
            raise WrongAuthority("this authority does not issue that", expected=self.group, found=profile.name)
        identity = names.Identity(profile.role, subscriber.party_id, subscriber.station_id)
        self._require_fresh_key(csr.spki_sha256, profile, identity)
        order = LeafOrder(
            profile=profile,
            public_key=csr.public_key,
            identity=identity,
            organisation=subscriber.organisation,
            role=flexrole.FlexRole(profile.role, subscriber.party_id, subscriber.services, subscriber.delegated_by),
            hosts=subscriber.dns_names,
            zone=self.zone,
            development=self.development,
        )
        builder = tbs.leaf(
            order, issuer=self.certificate, serial=new_serial(), window=self._window(profile, now_ms, not_after_ms)
        )
        certificate = self.sign_once(builder, asked=order, profile_name=profile.name, now_ms=now_ms)
        self._require_own_check(certificate, profile, now_ms)
        self.keep(certificate, profile_name=profile.name, now_ms=now_ms, profile=profile, identity=identity)
        return certificate

    def sign_once(
        self,
        builder: x509.CertificateBuilder,
        *,
        asked: LeafOrder | InfrastructureOrder | AuthorityProfile,
        profile_name: str,
        now_ms: int,
    ) -> x509.Certificate:
        """Lint a copy that a throw-away key signed, record the intent, then sign the very same bytes for real."""
        keys.require_online(self.signer)
        throw_away = ec.generate_private_key(self.signer.curve)
        digest = tbs.digest_for(self.signer)
        linted = builder.sign(throw_away, digest)
        examine(Examined(linted, self.certificate, asked, self.development))
        tbs_sha256 = hashlib.sha256(linted.tbs_certificate_bytes).hexdigest()
        self.journal.intent(Intent(tbs_sha256, profile_name, self.key_sha256, linted.serial_number, now_ms))
        certificate = builder.sign(self.signer, digest)
        if certificate.tbs_certificate_bytes != linted.tbs_certificate_bytes:
            raise NotAsLinted("the signed bytes are not those that were linted")
        return certificate

    def keep(
        self,
        certificate: x509.Certificate,
        *,
        profile_name: str,
        now_ms: int,
        profile: Profile | None = None,
        identity: names.Identity | None = None,
    ) -> None:
        """Store and record a certificate of ours. A crash before this leaves an intent without issuance."""
        issued = Issued(
            issuer_key_sha256=self.key_sha256,
            serial=certificate.serial_number,
            der=encoded(certificate),
            profile=profile_name,
            role=None if profile is None else profile.role,
            purpose=None if profile is None else profile.purpose,
            party_id=None if identity is None else identity.party_id,
            station_id=None if identity is None else identity.station_id,
            spki_sha256=keys.spki_sha256(keys.require_leaf_key(certificate.public_key())),
            tbs_sha256=hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest(),
            not_before_ms=path.not_before_ms(certificate),
            not_after_ms=path.not_after_ms(certificate),
            issued_at_ms=now_ms,
        )
        self.store.put(issued)
        self.journal.issued(issued)

    def revoke(self, serial: int, reason: Reason, at_ms: int) -> Revocation:
        """The certificate is revoked from `at_ms` on; its CRLs say so from the next one on."""
        return revocation.revoke(self.store, self.journal, Revocation(self.key_sha256, serial, at_ms, reason))

    def crl(self, now_ms: int) -> bytes:
        """The next CRL (DER) as of `now_ms`; `keys.KeyOffline` without the authority's key."""
        keys.require_online(self.signer)
        is_root = self.group is None
        return revocation.published(
            self.store,
            issuer=self.certificate,
            signer=self.signer,
            scope=Scope.AUTHORITY if is_root else Scope.USER,
            now_ms=now_ms,
            lifetime_ms=revocation.ROOT_CRL_LIFETIME_MS if is_root else revocation.CRL_LIFETIME_MS,
            allow_earlier=self.development,
        )

    def _window(self, profile: Profile, now_ms: int, not_after_ms: int | None) -> Window:
        path.require_window(self.certificate, now_ms)
        if not_after_ms is None:
            return tbs.window_from(now_ms, profile.default_lifetime_ms, self.certificate)
        latest_ms = min(now_ms + profile.max_lifetime_ms, path.not_after_ms(self.certificate))
        if not now_ms < not_after_ms <= latest_ms:
            raise LifetimeRefused("the end is not allowed", expected=f"up to {latest_ms}", found=not_after_ms)
        return tbs.window_from(now_ms, not_after_ms - now_ms, self.certificate)

    def _require_fresh_key(self, spki_sha256: str, profile: Profile, identity: names.Identity) -> None:
        """A key serves one party and one purpose, and no more once it was revoked (but superseded may come back)."""
        for held in self.store.find(spki_sha256=spki_sha256):
            same = (held.role, held.party_id, held.station_id, held.purpose) == (
                identity.role,
                identity.party_id,
                identity.station_id,
                profile.purpose,
            )
            standing = self.store.revocation_of(held.issuer_key_sha256, held.serial)
            if not same or (standing is not None and standing.reason is not Reason.SUPERSEDED):
                raise KeyReused("the key is in use for something else, or was revoked")

    def _require_own_check(self, certificate: x509.Certificate, profile: Profile, now_ms: int) -> None:
        """Both stages of our own check accept it; status is left out, for it is younger than any CRL."""
        chain = path.build(encoded(certificate), [encoded(self.certificate)], [self.root], at_ms=now_ms)
        binding.bind(
            chain,
            purpose=profile.purpose,
            roles=frozenset({profile.role}),
            allow_development=self.development,
        )


def new_serial() -> int:
    """159 bits, 158 of them random, so that every serial number has 20 octets and none tells how many there are."""
    return _SERIAL_TOP | secrets.randbits(_SERIAL_BITS)


def create_root(
    *,
    organisation: str,
    zone: str,
    now_ms: int,
    store: CertificateStore,
    journal: Journal,
    development: bool = False,
    signer: keys.Signer | None = None,
) -> Authority:
    """A new root for 20 years; `signer` is a P-384 key, made here if none is given."""
    key = keys.generate_root() if signer is None else signer
    subject = names.authority(organisation, f"{organisation} {_label(development)}Root G1"[: names.MAX_ORGANISATION])
    window = tbs.window_from(now_ms, profiles.ROOT_LIFETIME_MS)
    builder = tbs.root(
        public_key=key.public_key(), subject=subject, serial=new_serial(), window=window, development=development
    )
    digest = tbs.digest_for(key)
    linted = builder.sign(ec.generate_private_key(key.curve), digest)
    examine(Examined(linted, None, None, development))
    name = keys.spki_sha256(key.public_key())
    tbs_sha256 = hashlib.sha256(linted.tbs_certificate_bytes).hexdigest()
    journal.intent(Intent(tbs_sha256, _ROOT_PROFILE, name, linted.serial_number, now_ms))
    certificate = builder.sign(key, digest)
    require_root(certificate)
    root = Authority(certificate, key, certificate, None, zone, development, store, journal)
    root.keep(certificate, profile_name=_ROOT_PROFILE, now_ms=now_ms)
    return root


def create_issuing(
    root: Authority, group: Group, *, organisation: str, now_ms: int, signer: keys.Signer | None = None
) -> Authority:
    """A new issuing authority of `group` for 5 years; `signer` is a P-256 key, made here if none is given."""
    key = keys.generate() if signer is None else signer
    authority = profiles.AUTHORITIES[group]
    common = f"{organisation} {_label(root.development)}{group} CA G1"[: names.MAX_ORGANISATION]
    builder = tbs.issuing(
        authority,
        public_key=key.public_key(),
        subject=names.authority(organisation, common),
        root=root.certificate,
        zone=root.zone,
        serial=new_serial(),
        window=tbs.window_from(now_ms, profiles.ISSUING_LIFETIME_MS, root.certificate),
        development=root.development,
    )
    profile_name = f"{group}/AUTHORITY/v1"
    certificate = root.sign_once(builder, asked=authority, profile_name=profile_name, now_ms=now_ms)
    root.keep(certificate, profile_name=profile_name, now_ms=now_ms)
    return Authority(certificate, key, root.certificate, group, root.zone, root.development, root.store, root.journal)


def _label(development: bool) -> str:
    return "DEVELOPMENT " if development else ""
