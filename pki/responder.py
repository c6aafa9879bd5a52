"""Answering OCSP (RFC 6960, RFC 5019) from the store of issued certificates.

One short-lived signer for each authority. An answer without nonce is signed once and given to everybody for a short
while; after a revocation `forget` makes every answer new. A serial number that was never issued is `unknown`.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import ocsp, tbs
from pki.asn1 import ocsp as octets
from pki.asn1.der import MalformedDer, OversizeDer
from pki.asn1.ocsp import CertId, CertStatus, OcspRequest, ResponseData, ResponseStatus, Single
from pki.authority import Authority
from pki.errors import PkiError
from pki.infrastructure import Held, issue
from pki.path import not_after_ms, not_before_ms
from pki.profiles import DAY_MS, HOUR_MS, OCSP_SIGNER
from pki.store.records import REASON_NUMBER
from pki.trust import encoded

ANSWER_LIFETIME_MS: Final = HOUR_MS
"""From thisUpdate to nextUpdate."""
REUSE_MS: Final = 60_000
"""For how long one answer is given to everybody: another process may have revoked meanwhile."""
ROTATE_BEFORE_MS: Final = DAY_MS
"""A signer with less than this left is replaced."""
MAX_KEPT: Final = 16_384
MAX_KEPT_REQUEST_BYTES: Final = 512
"""A client asks about one certificate in a hundred; a stranger's padding is answered, and not remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An OCSPResponse (DER); the times (Unix ms) are those of what it says, None if it says nothing.

    `shared` is whether anyone may be given the same octets until `next_update_ms`.
    """

    der: bytes
    status: ResponseStatus
    this_update_ms: int | None = None
    next_update_ms: int | None = None
    shared: bool = False


Make = Callable[[Authority, int], Held]


class Responder:
    """Answers for `authorities`; any thread may ask it. Nothing can be answered before `rotate` was called."""

    def __init__(self, authorities: Iterable[Authority], *, make: Make | None = None) -> None:
        """`make` issues a signer at a time; without it a new key is made in memory."""
        self._authorities = tuple(authorities)
        self._named = [
            (one, one.certificate.subject.public_bytes(), ocsp.key_bits_of(one.certificate))
            for one in self._authorities
        ]
        self._found: dict[tuple[str, bytes, bytes], Authority] = {}
        self._signers: dict[str, _Signer] = {}
        self._make = make or _made
        self._kept: dict[bytes, Answer] = {}
        self._wanted: set[str] = set()
        self._generation = 0
        self._lock = threading.Lock()

    def rotate(self, now_ms: int, *, only_wanted: bool = False) -> list[x509.Certificate]:
        """Every authority that is valid itself has a signer with more than a day left; the certificates of new ones.

        With `only_wanted`, every authority that somebody has asked about. If one cannot be made, the others are, and
        the last failure is raised; the authority keeps the signer it has.
        """
        fresh: list[x509.Certificate] = []
        failure: PkiError | None = None
        for authority in self._authorities:
            held = self._signers.get(authority.key_sha256)
            if only_wanted and authority.key_sha256 not in self._wanted:
                continue
            if held is not None and held.begins_ms <= now_ms and held.ends_ms - now_ms > ROTATE_BEFORE_MS:
                continue
            if not not_before_ms(authority.certificate) <= now_ms < not_after_ms(authority.certificate):
                continue
            try:
                made = self._make(authority, now_ms)
            except PkiError as error:
                failure = error
                continue
            self._signers[authority.key_sha256] = _Signer.of(made)
            fresh.append(made.certificate)
        if fresh:
            self.forget()
        if failure is not None:
            raise failure
        return fresh

    def forget(self) -> None:
        """Nothing that was answered before is given again: something was revoked, or a signer is new."""
        with self._lock:
            self._generation += 1
            self._kept = {}

    def answer(self, request: bytes, now_ms: int) -> Answer:
        """The response to `request` (DER) at `now_ms`; never raises for what a stranger sent."""
        kept = self.kept(request, now_ms)
        if kept is not None:
            return kept
        generation = self._generation
        try:
            asked = octets.parse_request(request)
        except (MalformedDer, OversizeDer):
            return _refusal(ResponseStatus.MALFORMED_REQUEST)
        made = self._answer(asked, now_ms)
        if made.shared and len(request) <= MAX_KEPT_REQUEST_BYTES:
            self._keep(request, made, generation)
        return made

    def kept(self, request: bytes, now_ms: int) -> Answer | None:
        """The answer that was given to the very same request a short while ago; None if it has to be made."""
        kept = self._kept.get(request)
        return kept if kept is not None and _is_fresh(kept, now_ms) else None

    def _keep(self, request: bytes, made: Answer, generation: int) -> None:
        with self._lock:
            if generation == self._generation:  # else it was read before a revocation and signed after it
                if len(self._kept) >= MAX_KEPT:
                    self._kept = {}
                self._kept[request] = made

    def _answer(self, asked: OcspRequest, now_ms: int) -> Answer:
        authority = self._authority(asked.ids[0])
        if authority is None or any(
            self._authority(one) is not authority for one in asked.ids
        ):  # RFC 6960 section 4.2.2.2: one signer speaks for one authority
            return _refusal(ResponseStatus.UNAUTHORIZED)
        self._wanted.add(authority.key_sha256)
        signer = self._signers.get(authority.key_sha256)
        if signer is None or not signer.begins_ms <= now_ms < signer.ends_ms:
            return _refusal(ResponseStatus.TRY_LATER)
        this_ms = now_ms // tbs.MS_PER_S * tbs.MS_PER_S
        next_ms = min(this_ms + ANSWER_LIFETIME_MS, signer.ends_ms)
        singles = tuple(_single(authority, one, this_ms, next_ms, now_ms) for one in asked.ids)
        data = octets.encode_data(ResponseData(signer.responder, True, this_ms, singles, asked.nonce))
        signature = signer.key.sign(data, signer.how)
        response = octets.assemble(data, signer.algorithm, signature, signer.included)
        return Answer(response, ResponseStatus.SUCCESSFUL, this_ms, next_ms, asked.nonce is None)

    def _authority(self, asked: CertId) -> Authority | None:
        name = (asked.algorithm, asked.name_hash, asked.key_hash)
        found = self._found.get(name)
        if found is None:
            found = next((one for one, subject, bits in self._named if asked.is_of(subject, bits)), None)
            if found is not None:  # strangers' names are not remembered: there is no end to them
                self._found[name] = found
        return found


@dataclass(frozen=True, slots=True)
class _Signer:
    """What every answer needs of a signer, made ready once."""

    key: ec.EllipticCurvePrivateKey
    how: ec.ECDSA
    algorithm: str
    responder: bytes
    included: tuple[bytes, ...]
    begins_ms: int
    ends_ms: int

    @classmethod
    def of(cls, held: Held) -> "_Signer":
        digest = tbs.digest_for(held.signer)
        return cls(
            key=held.signer,
            how=ec.ECDSA(digest),
            algorithm=tbs.algorithm_for(held.signer).dotted_string,
            responder=ocsp.responder_id(held.certificate),
            included=(encoded(held.certificate),),
            begins_ms=not_before_ms(held.certificate),
            ends_ms=not_after_ms(held.certificate),
        )


def _made(authority: Authority, now_ms: int) -> Held:
    return issue(authority, OCSP_SIGNER, now_ms=now_ms)


def _is_fresh(answer: Answer, now_ms: int) -> bool:
    made_ms = answer.this_update_ms
    return made_ms is not None and made_ms <= now_ms < made_ms + REUSE_MS


def _refusal(status: ResponseStatus) -> Answer:
    return Answer(octets.unsuccessful(status), status)


def _single(authority: Authority, asked: CertId, this_ms: int, next_ms: int, now_ms: int) -> Single:
    if asked.serial <= 0:
        return Single(asked, CertStatus.UNKNOWN, this_ms, next_ms)
    noted = authority.store.noted(authority.key_sha256, asked.serial)
    revocation = noted.revocation
    if revocation is not None and revocation.revoked_at_ms <= now_ms:
        reason, invalid_ms = REASON_NUMBER[revocation.reason], revocation.invalid_from_ms
        return Single(asked, CertStatus.REVOKED, this_ms, next_ms, revocation.revoked_at_ms, reason, invalid_ms)
    return Single(asked, CertStatus.GOOD if noted.issued else CertStatus.UNKNOWN, this_ms, next_ms)
