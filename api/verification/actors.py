"""From certificates to actors: who may be believed to have signed a statement, at the time it was recorded."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from api.verification.errors import SignerUnknown
from api.verification.roots_in_time import RootNotInForce, RootsInTime, RootWindow
from ledger.records import jws
from ledger.records.actor import Actor, SignerProof
from ledger.records.actor import Role as LedgerRole
from pki import keys, validation
from pki.asn1 import attributecert
from pki.asn1.der import MalformedDer, child
from pki.conformity import VerifiedClaim, VerifiedLink, open_document
from pki.credential import Credential
from pki.errors import PkiError
from pki.known import KnownAuthorities
from pki.path import Untrusted
from pki.roles import Purpose, Role
from pki.status import Revoked, StatusSet
from pki.trust import TrustAnchors

MAX_CACHED = 4096
_ISSUER_PLACE, _SUBJECT_PLACE = 3, 5
"""After version, serial number and algorithm; and after the validity too."""
SigningKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def thumbprint(der: bytes) -> str:
    """base64url SHA-256 of a certificate: `x5t#S256`, a look-up hint."""
    return jws.encode_base64url(hashlib.sha256(der).digest())


def _name(certificate: bytes, place: int) -> bytes:
    """The name at that place of a certificate of version 3, as it stands there; or MalformedDer."""
    return child(child(certificate, 0, "certificate"), place, "certificate")


def actor_of(credential: Credential) -> Actor:
    """The ledger's view of a verified credential: party, role and key, never the certificate."""
    return Actor(
        party=credential.party_id,
        role=LedgerRole(credential.role.value),
        key_spki=credential.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        x5t=credential.x5t_s256,
        tbs_sha256=credential.tbs_sha256,
        services=credential.services,
        delegated_by=credential.delegated_by,
    )


class Directory:
    """Known certificates, and what they prove at a stated time from the status evidence at hand.

    A credential found good is kept for as long as the evidence that proved it says; it dies when evidence is added.
    """

    def __init__(
        self, anchors: TrustAnchors, issuers: Iterable[bytes], status: StatusSet, roots: Sequence[RootWindow] = ()
    ) -> None:
        """With `roots` these count, each at its time; without, `anchors` always."""
        self._roots = RootsInTime(anchors, roots)
        self._authorities = KnownAuthorities()
        self._issuers: dict[bytes, list[bytes]] = {}
        for issuer in issuers:
            name = _name(issuer, _SUBJECT_PLACE)
            self._issuers.setdefault(name, []).append(issuer)
        self.policy_index: int | None = None
        """Of the last change of policy or roots that counts here; None where the roots are no log's."""
        self.status = status
        self.epoch = 0
        self._revoked: dict[tuple[str, int], int] = {}
        """What was revoked, by issuer's key and serial number, and from when; lists follow, this counts at once."""
        self._listeners: list[Callable[[], None]] = []
        self._known: dict[str, bytes] = {}
        self._keys: dict[str, tuple[str, float]] = {}
        """SHA-256 of its key, and when it ends, of each known certificate that was looked at for them."""
        self._actors: dict[str, tuple[Credential, Actor]] = {}
        self._proven: dict[tuple[str, Purpose], tuple[int, int, Credential]] = {}
        """From, until (exclusive) and what was proven."""
        self._documents: dict[bytes, tuple[int, int, VerifiedClaim | VerifiedLink]] = {}
        """The same of claims and links, by their DER."""

    @property
    def anchors(self) -> TrustAnchors:
        """Every root that counts at some time."""
        return self._roots.whole

    @property
    def roots(self) -> tuple[RootWindow, ...]:
        """The roots with their times, where they have any."""
        return self._roots.windows

    def count_roots(self, roots: Sequence[RootWindow], policy_index: int | None = None) -> None:
        """From now on these roots count, each at its time; nothing proven before counts any longer.

        `policy_index` is the entry that says so last, where they are those of a log that goes on.
        """
        self._roots = RootsInTime(self.anchors, roots)
        self.policy_index = policy_index
        self.evidence_moved()

    def add(self, der: bytes) -> str:
        """From now on the certificate can be named by its thumbprint, which is returned; it proves nothing yet."""
        x5t = thumbprint(der)
        self._known[x5t] = der
        return x5t

    def introduce(self, der: bytes, at_ms: int) -> None:
        """From now on a signing credential that is good at `at_ms` can be named by its thumbprint.

        Raises what `validate` raises; then the certificate is not remembered, so that strangers cannot fill us up.
        """
        x5t = thumbprint(der)
        if x5t not in self._known:
            self.validate(der, at_ms, purpose=Purpose.SIGNING)
            self._known[x5t] = der

    def forget(self, x5t: str) -> None:
        """The certificate is no longer known; a person's is kept only while it is needed."""
        self._known.pop(x5t, None)
        self._keys.pop(x5t, None)
        self._actors.pop(x5t, None)
        for purpose in Purpose:
            self._proven.pop((x5t, purpose), None)

    def certificate(self, x5t: str) -> bytes:
        """The DER of a known certificate; raises `SignerUnknown`."""
        try:
            return self._known[x5t]
        except KeyError:
            raise SignerUnknown("no certificate with this thumbprint is known", found=x5t) from None

    def evidence_moved(self) -> None:
        """New revocation evidence is at hand: nothing proven before counts any longer."""
        self.epoch += 1
        self._proven.clear()
        self._documents.clear()
        for listener in self._listeners:
            listener()

    def on_evidence(self, listener: Callable[[], None]) -> None:
        """From now on `listener` is called whenever evidence moves; it must not block."""
        self._listeners.append(listener)

    def revoke(self, issuer_key_sha256: str, serial: int, from_ms: int) -> None:
        """From `from_ms` on the credential of this name is refused here, whatever any list says of it."""
        self._revoked.setdefault((issuer_key_sha256, serial), from_ms)
        self.evidence_moved()

    def credential(
        self, x5t: str, at_ms: int, *, purpose: Purpose = Purpose.SIGNING, roles: Collection[Role] | None = None
    ) -> Credential:
        """The credential behind a thumbprint, valid at `at_ms`; raises what `pki.validation.validate` raises."""
        found = self._proven.get((x5t, purpose))
        if found is not None and found[0] <= at_ms < found[1] and (roles is None or found[2].role in roles):
            return found[2]
        credential = self.validate(self.certificate(x5t), at_ms, purpose=purpose, roles=roles)
        if len(self._proven) >= MAX_CACHED:
            self._proven.clear()
        # A list that was handed over ahead of its time begins to count on its own: nothing proven outlives that.
        until_ms = min(self._next_moment(at_ms), credential.status_valid_until_ms, credential.not_after_ms)
        self._proven[x5t, purpose] = (at_ms, until_ms, credential)
        return credential

    def proof(self, x5t: str, at_ms: int) -> SignerProof:
        """How long the signing credential behind a thumbprint is proven by what counts here; raises as `credential`."""
        self.credential(x5t, at_ms)
        return SignerProof(self._proven[x5t, Purpose.SIGNING][1], self.policy_index)

    def validate(
        self, der: bytes, at_ms: int, *, purpose: Purpose, roles: Collection[Role] | None = None
    ) -> Credential:
        """The credential that `der` proves at `at_ms`; raises what `pki.validation.validate` raises.

        Raises `RootNotInForce` where it is good but for its root's time.
        """

        def under(anchors: TrustAnchors) -> Credential:
            return validation.validate(
                der,
                self._issuers_of(der),
                anchors=anchors,
                status=self.status,
                at_ms=at_ms,
                purpose=purpose,
                roles=roles,
                known=self._authorities,
            )

        try:
            found = under(self._roots.at(at_ms))
        except Untrusted:
            if self._roots.windows:
                under(self.anchors)
                raise RootNotInForce("its root does not count at this time", found=at_ms) from None
            raise
        self._require_not_revoked(found.issuer_key_sha256, found.serial, at_ms)
        return found

    def _next_moment(self, at_ms: int) -> int:
        """Until when (exclusive) what was proven at `at_ms` is proven: then other lists or other roots count."""
        of_roots, of_lists = self._roots.next_moment(at_ms), self.status.next_moment(at_ms)
        return of_lists if of_roots is None else min(of_roots, of_lists)

    def _require_not_revoked(self, issuer_key_sha256: str, serial: int, at_ms: int) -> None:
        revoked_at_ms = self._revoked.get((issuer_key_sha256, serial))
        if revoked_at_ms is not None and revoked_at_ms <= at_ms:
            raise Revoked("the credential was revoked", revoked_at_ms=revoked_at_ms)

    def issuers(self) -> list[bytes]:
        """DER of every issuing authority that is known."""
        return [issuer for same_name in self._issuers.values() for issuer in same_name]

    def document(self, der: bytes, at_ms: int) -> VerifiedClaim | VerifiedLink:
        """The claim or link, good at `at_ms`; raises `SignerUnknown` or what `conformity.open_document` raises."""
        found = self._documents.get(der)
        if found is not None and found[0] <= at_ms < found[1]:
            return found[2]
        chain = self.chain_of_claim(der)
        opened = open_document(der, chain=chain, anchors=self._roots.at(at_ms), status=self.status, at_ms=at_ms)
        for name, serial in (
            (opened.body.issuer_key_sha256, opened.body.serial),
            (opened.body.spki_sha256, opened.serial),
        ):
            self._require_not_revoked(name, serial, at_ms)
        if len(self._documents) >= MAX_CACHED:
            self._documents.clear()
        until_ms = min(self._next_moment(at_ms), opened.status_valid_until_ms)
        self._documents[der] = (at_ms, until_ms, opened)
        return opened

    def chain_of_claim(self, claim: bytes) -> list[bytes]:
        """The certificate of the signer that an attribute certificate names by its key id, and that one's issuers.

        Raises `SignerUnknown` if no known certificate has that key id; proves nothing.
        """
        key_id = attributecert.parse(claim).info.issuer_key_id
        for der in self._known.values():
            try:
                certificate = x509.load_der_x509_certificate(der)
                own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
            except (ValueError, x509.ExtensionNotFound):
                continue
            if own == key_id:
                return [der, *self._issuers_of(der)]
        raise SignerUnknown("no certificate of who signed the document is known")

    def station(self, spki_sha256: str, at_ms: int) -> Credential:
        """The station's credential with this key that is good at `at_ms`; one key may have had several certificates.

        Raises `SignerUnknown`, or what validation raises of the newest of them, if none is good.
        """
        refused: PkiError | None = None
        for x5t in self._with_key(spki_sha256):
            try:
                return self.credential(x5t, at_ms, roles=(Role.STATION,))
            except PkiError as error:
                refused = refused or error
        raise refused or SignerUnknown("no certificate of the station is known")

    def _with_key(self, spki_sha256: str) -> list[str]:
        """The thumbprint of each known certificate with this key, the one that ends last first."""
        for x5t in self._known.keys() - self._keys.keys():
            self._keys[x5t] = _key_and_end(self._known[x5t])
        found = [(end, x5t) for x5t, (key, end) in self._keys.items() if key == spki_sha256]
        return [x5t for _, x5t in sorted(found, reverse=True)]

    def _issuers_of(self, der: bytes) -> list[bytes]:
        """The authorities whose name the certificate gives as its issuer; an unreadable certificate has none."""
        try:
            return self._issuers.get(_name(der, _ISSUER_PLACE), [])
        except MalformedDer:
            return []

    def actor(self, x5t: str, at_ms: int, *, roles: Collection[Role] | None = None) -> Actor:
        """Who signs with that certificate, if it is a signing credential at `at_ms`."""
        credential = self.credential(x5t, at_ms, roles=roles)
        known = self._actors.get(x5t)
        if known is not None and known[0] is credential:
            return known[1]
        actor = actor_of(credential)
        if len(self._actors) >= MAX_CACHED:
            self._actors.clear()
        self._actors[x5t] = (credential, actor)
        return actor


def _key_and_end(der: bytes) -> tuple[str, float]:
    """SHA-256 of the certificate's key and the second at which it ends; no key where it is not one that signs."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        # A bundle may bring along what is no certificate: it is nobody's, and must not hide the others.
        return "", 0.0
    return keys.spki_sha256(key) if isinstance(key, SigningKey) else "", certificate.not_valid_after_utc.timestamp()
