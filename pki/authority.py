"""Issuing: request, profile, lint of what is to be signed, intent, one signature, own check, store, record.

An authority never signs what its linter has not seen or its journal has not recorded; whatever happens between intent
and issuance stays visible as a gap.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509

from pki import binding, blocklist, issuance, keys, names, path, profiles, revocation, tbs
from pki.asn1 import flexrole
from pki.blocklist import Blocklist
from pki.bounded import BoundedKey
from pki.certify import Asked, Issuer, certify
from pki.csr import OpenedCsr
from pki.errors import Refused
from pki.journal import Journal
from pki.known import KnownAuthorities
from pki.lint.second_opinion import SecondOpinion
from pki.opened import OpenedCertificate, reopened
from pki.profiles import Profile
from pki.roles import Group, Service
from pki.status import Scope
from pki.store.records import CertificateStore, Intent, KeyUse, Reason, Revocation
from pki.tbs import LeafOrder, Window
from pki.trust import require_root

_ROOT_PROFILE = "ROOT/v1"
_SERIAL_BITS = 158
_SERIAL_TOP = 1 << _SERIAL_BITS  # so that every serial number has the same, full length


class KeyReused(Refused):
    """The key of a request stands in a certificate of another party or for another purpose already, or was revoked."""

    code = "pki/key-reused"
    title = "Key already in use"


class AuthorityRetired(Refused):
    """A later generation of this authority issues in its place."""

    code = "pki/authority-retired"
    title = "Authority has a successor"


class LifetimeRefused(Refused):
    """The asked-for end is not after the start, or later than the profile or the authority allows."""

    code = "pki/lifetime"
    title = "Lifetime not allowed"


class WrongAuthority(Refused):
    """This authority does not issue that profile."""

    code = "pki/wrong-authority"
    title = "Wrong authority"


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
    """One certification authority with its key: the root (`group` None) or an issuing one, whose root is `root`.

    `blocked` holds public keys that are never certified; `second_opinion` blocks what it does not like, after our lint.
    One that is `retired` has a successor: it issues no more, and signs lists and status while its certificates live.
    """

    certificate: x509.Certificate
    signer: keys.Signer
    root: x509.Certificate
    group: Group | None
    zone: str
    development: bool
    store: CertificateStore
    journal: Journal
    blocked: Blocklist = blocklist.NOTHING
    second_opinion: SecondOpinion | None = None
    retired: bool = False
    key_sha256: str = field(init=False)
    opened: OpenedCertificate = field(init=False, repr=False, compare=False)
    known: KnownAuthorities = field(init=False, repr=False, compare=False, default_factory=KnownAuthorities)
    """That `root` signed `certificate` is verified for the first leaf; its own signature and all windows for each."""

    def __post_init__(self) -> None:
        """The key belongs to the certificate, or WrongAuthority; a key elsewhere is waited for only so long."""
        name = keys.spki_sha256(keys.require_authority_key(self.certificate.public_key()))
        if keys.spki_sha256(self.signer.public_key()) != name:
            raise WrongAuthority("the key is not the one in the certificate")
        object.__setattr__(self, "key_sha256", name)
        object.__setattr__(self, "opened", reopened(self.certificate))
        if isinstance(self.signer, keys.OutsideKey) and not isinstance(self.signer, keys.OfflineKey | BoundedKey):
            object.__setattr__(self, "signer", BoundedKey(self.signer))

    @property
    def online(self) -> bool:
        """Whether its private key can be asked; if not, it neither issues nor signs revocation lists here."""
        return not isinstance(self.signer, keys.OfflineKey)

    @property
    def generation(self) -> int:
        """1 for the first of its kind, 2 for the one that took over from it, and so on."""
        return names.generation(self.certificate.subject)

    @property
    def name(self) -> str:
        """What its files and lists are called: "root", "fo", "fo-g2"."""
        return names.published("root" if self.group is None else self.group.lower(), self.certificate.subject)

    def issue(
        self,
        csr: OpenedCsr,
        *,
        profile: Profile,
        subscriber: Subscriber,
        now_ms: int,
        not_after_ms: int | None = None,
        order_id: str | None = None,
    ) -> x509.Certificate:
        """A certificate for the key in `csr`, which passed our own validation, stored and recorded.

        The same `order_id` with the same key, party and profile gets the same certificate, however often it is given.
        Raises WrongAuthority, AuthorityRetired, KeyBlocked, KeyReused, LifetimeRefused, `names.BadName`, `LintFailed`,
        `path.Expired` once the authority has ended, and what `issuance.carry_out` and `issuance.repeated` raise.
        """
        if profile.group is not self.group:
            raise WrongAuthority("this authority does not issue that", expected=self.group, found=profile.name)
        if self.retired:
            raise AuthorityRetired("a successor issues in its place", found=self.name)
        self.blocked.require_free(csr.spki_sha256)
        identity = names.Identity(profile.role, subscriber.party_id, subscriber.station_id)
        if order_id is not None:
            asked = (csr.spki_sha256, profile.name, identity.party_id, identity.station_id)
            held = issuance.repeated(
                self.store,
                self.journal,
                order_id,
                lambda held: (held.spki_sha256, held.profile, held.party_id, held.station_id) == asked,
            )
            if held is not None:
                return x509.load_der_x509_certificate(held.der)
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
        draft = tbs.leaf(
            order, issuer=self.certificate, serial=new_serial(), window=self._window(profile, now_ms, not_after_ms)
        )
        return self.certify(
            draft,
            asked=order,
            profile_name=profile.name,
            now_ms=now_ms,
            check=lambda signed: self._require_own_check(signed, profile, now_ms),
            order_id=order_id,
        )

    def certify(
        self,
        draft: tbs.Draft,
        *,
        asked: Asked,
        profile_name: str,
        now_ms: int,
        check: Callable[[OpenedCertificate], None],
        order_id: str | None = None,
    ) -> x509.Certificate:
        """What `draft` says, signed by this authority: linted before anything is recorded, signed once.

        `check` looks at it before it is stored. Raises what `certify.certify` raises, KeyReused, and `path.Expired` or
        `path.NotYetValid` if the authority itself is not valid.
        """
        path.require_valid(self.opened, now_ms)
        issuer = Issuer(
            self.signer,
            self.key_sha256,
            self.certificate,
            self.development,
            self.store,
            self.journal,
            self.second_opinion,
        )
        return certify(
            draft,
            issuer,
            asked=asked,
            profile_name=profile_name,
            now_ms=now_ms,
            check=check,
            order_id=order_id,
            admit=_require_fresh_key if isinstance(asked, LeafOrder) else None,
        )

    def revoke(self, serial: int, reason: Reason, at_ms: int, *, invalid_from_ms: int | None = None) -> Revocation:
        """The certificate is revoked from `at_ms` on; its CRLs say so from the next one on, OCSP at once.

        With `invalid_from_ms` they also say from when its key was not to be trusted. A serial number that was only
        intended can be revoked too, as a precaution. Raises `revocation.InvalidityRefused`.
        """
        wanted = Revocation(self.key_sha256, serial, at_ms, reason, invalid_from_ms)
        return revocation.revoke(self.store, self.journal, wanted)

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
        path.require_valid(self.opened, now_ms)
        if not_after_ms is None:
            return tbs.window_from(now_ms, profile.default_lifetime_ms, self.certificate)
        latest_ms = min(now_ms + profile.max_lifetime_ms, self.opened.not_after_ms)
        if not now_ms < not_after_ms <= latest_ms:
            raise LifetimeRefused("the end is not allowed", expected=f"up to {latest_ms}", found=not_after_ms)
        return tbs.window_from(now_ms, not_after_ms - now_ms, self.certificate)

    def _require_own_check(self, signed: OpenedCertificate, profile: Profile, now_ms: int) -> None:
        """Both stages of our own check accept it; status is left out, for it is younger than any CRL."""
        chain = self.known.build(signed, [self.opened.der], [self.root], at_ms=now_ms)
        binding.bind(
            chain,
            purpose=profile.purpose,
            roles=frozenset({profile.role}),
            allow_development=self.development,
        )


def _require_fresh_key(uses: Sequence[KeyUse], intent: Intent) -> None:
    """A key serves one party and one purpose, and no more once it was revoked (but superseded may come back)."""
    wanted = (intent.role, intent.party_id, intent.station_id, intent.purpose)
    for use in uses:
        same = (use.role, use.party_id, use.station_id, use.purpose) == wanted
        if not same or use.revoked not in {None, Reason.SUPERSEDED}:
            raise KeyReused("the key is in use for something else, or was revoked")


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
    generation: int = 1,
    lifetime_ms: int = profiles.ROOT_LIFETIME_MS,
    blocked: Blocklist = blocklist.NOTHING,
    second_opinion: SecondOpinion | None = None,
    order_id: str | None = None,
) -> Authority:
    """A new root, for 20 years if nothing else is said; `signer` is a P-384 key, made here if none is given.

    The same `order_id` with the same key gets the same certificate. LifetimeRefused beyond 20 years.
    """
    _require_lifetime(lifetime_ms, profiles.ROOT_LIFETIME_MS)
    key = keys.generate_root() if signer is None else signer
    held = _held(store, journal, order_id, key)
    if held is not None:
        return Authority(held, key, held, None, zone, development, store, journal, blocked, second_opinion)
    draft = tbs.root(
        public_key=key.public_key(),
        subject=names.authority_of(organisation, f"{_label(development)}Root", generation),
        serial=new_serial(),
        window=tbs.window_from(now_ms, lifetime_ms),
        development=development,
    )
    certificate = certify(
        draft,
        Issuer(key, keys.spki_sha256(key.public_key()), None, development, store, journal, second_opinion),
        asked=None,
        profile_name=_ROOT_PROFILE,
        now_ms=now_ms,
        check=lambda made: require_root(made.certificate),
        order_id=order_id,
    )
    return Authority(certificate, key, certificate, None, zone, development, store, journal, blocked, second_opinion)


def create_issuing(
    root: Authority,
    group: Group,
    *,
    organisation: str,
    now_ms: int,
    signer: keys.Signer | None = None,
    generation: int = 1,
    lifetime_ms: int = profiles.ISSUING_LIFETIME_MS,
    order_id: str | None = None,
) -> Authority:
    """A new issuing authority of `group`, for 5 years if nothing else is said, never longer than `root`.

    `signer` is a P-256 key, made here if none is given. The same `order_id` with the same key gets the same
    certificate.
    """
    _require_lifetime(lifetime_ms, profiles.ISSUING_LIFETIME_MS)
    key = keys.generate() if signer is None else signer
    held = _held(root.store, root.journal, order_id, key)
    if held is not None:
        return replace(root, certificate=held, signer=key, root=root.certificate, group=group)
    authority = profiles.AUTHORITIES[group]
    draft = tbs.issuing(
        authority,
        public_key=key.public_key(),
        subject=names.authority_of(organisation, f"{_label(root.development)}{group} CA", generation),
        root=root.certificate,
        zone=root.zone,
        serial=new_serial(),
        window=tbs.window_from(now_ms, lifetime_ms, root.certificate),
        development=root.development,
    )
    certificate = root.certify(
        draft,
        asked=authority,
        profile_name=f"{group}/AUTHORITY/v1",
        now_ms=now_ms,
        check=lambda made: made.certificate.verify_directly_issued_by(root.certificate),
        order_id=order_id,
    )
    return replace(root, certificate=certificate, signer=key, root=root.certificate, group=group)


def _held(store: CertificateStore, journal: Journal, order_id: str | None, key: keys.Signer) -> x509.Certificate | None:
    """What the order made before, for this very key; None for a new order, or for none."""
    if order_id is None:
        return None
    name = keys.spki_sha256(key.public_key())
    held = issuance.repeated(store, journal, order_id, lambda one: one.spki_sha256 == name)
    return None if held is None else x509.load_der_x509_certificate(held.der)


def _require_lifetime(lifetime_ms: int, most_ms: int) -> None:
    if not 0 < lifetime_ms <= most_ms:
        raise LifetimeRefused("the lifetime is not allowed", expected=f"up to {most_ms}", found=lifetime_ms)


def _label(development: bool) -> str:
    return "DEVELOPMENT " if development else ""
