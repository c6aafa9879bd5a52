"""Revocation status at a stated time, from stated evidence: CRLs, delta CRLs and OCSP responses.

A `StatusSet` holds evidence of any times. Asked about a moment, it takes what existed then. The stricter wins: one
authentic word of a revocation revokes, whatever else says good; evidence that is missing, stale or contradicts itself
is INDETERMINATE, which is never good (RFC 5280 section 6.3 and RFC 6960, the subset that our authorities publish, and
delta CRLs, which others do).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from cryptography import x509

from pki import crl, ocsp
from pki.asn1 import ocsp as ocsp_octets
from pki.asn1 import tlv
from pki.asn1.der import MalformedDer, OversizeDer
from pki.asn1.ocsp import CertStatus, Single
from pki.crl import AUTHORITIES, BadCrl, CheckedCrl, Held, Revoked, Scope, Signing
from pki.errors import Refused
from pki.ocsp import Authentic, OcspMalformed

__all__ = [
    "AUTHORITIES",
    "BadCrl",
    "CheckedCrl",
    "Revoked",
    "Scope",
    "Signing",
    "Standing",
    "StatusIndeterminate",
    "StatusSet",
    "Voided",
]

MAX_CRLS = 1024
MAX_RESPONSES = 16_384
MAX_HELD_BYTES = 1024 * 1024 * 1024
FOREVER_MS = 2**53 - 1
_CERTIFICATE_HOLD: Final = 6
_REMOVE_FROM_CRL: Final = 8
_PASSING: Final = frozenset({_CERTIFICATE_HOLD, _REMOVE_FROM_CRL})


class StatusIndeterminate(Refused):
    """There is no good evidence whether the credential was revoked: not a pass, and not a failure either."""

    code = "pki/status-indeterminate"
    title = "Revocation status not known"


class Voided(Refused):
    """The credential passed then, but what is known now says that its key was not to be trusted any more then.

    An invalidity date, or a revocation that was published after it had begun (RFC 5280 section 5.3.2).
    """

    code = "pki/voided"
    title = "Credential was invalid already, as is known now"


class Standing(msgspec.Struct, frozen=True):
    """A certificate was not revoked, by the evidence with these digests (SHA-256, hex), which holds until then."""

    digests: tuple[str, ...]
    valid_until_ms: int


class _Row(msgspec.Struct, frozen=True):
    """CRLs of one kind in the order of their times, and the highest number among each and all before it."""

    crls: Sequence[CheckedCrl]
    begun_ms: Sequence[int]
    highest: Sequence[int]

    @classmethod
    def of(cls, crls: Iterable[CheckedCrl]) -> "_Row":
        ordered = sorted(crls, key=lambda one: (one.this_update_ms, one.number))
        highest: list[int] = []
        for one in ordered:
            highest.append(max(one.number, highest[-1]) if highest else one.number)
        return cls(ordered, [one.this_update_ms for one in ordered], highest)

    def newest(self, at_ms: int) -> CheckedCrl | None:
        """The newest that existed at `at_ms`; StatusIndeterminate if numbers went back while time went on."""
        place = bisect_right(self.begun_ms, at_ms)
        if place == 0:
            return None
        found = self.crls[place - 1]
        if self.highest[place - 1] > found.number:
            raise StatusIndeterminate("the CRL numbers of this issuer go back", found=found.number)
        return found


class _Lane(msgspec.Struct, frozen=True):
    """All usable CRLs of one issuer and scope, as of one state of the evidence."""

    generation: int
    complete: _Row
    deltas: _Row

    def newest(self, at_ms: int) -> CheckedCrl | None:
        """The newest complete CRL at `at_ms`, with the newest delta that applies to it; stale or not.

        Raises StatusIndeterminate if there is a delta, and nothing it could be applied to: what it does not say is
        not known, and what the older CRL does not say is known to be outdated.
        """
        base, delta = self.complete.newest(at_ms), self.deltas.newest(at_ms)
        if delta is None or (base is not None and delta.number <= base.number):
            return base
        if base is None:
            raise StatusIndeterminate("there is a delta CRL of this issuer, but no complete one", found=at_ms)
        if delta.base_number is None or delta.base_number > base.number:
            raise StatusIndeterminate(
                "the complete CRL is too old for the delta", expected=delta.base_number, found=base.number
            )
        return base.completed_by(delta)


class StatusSet:
    """Evidence as it was given; each piece is checked when, and against whom, it is used."""

    def __init__(self, evidence: Iterable[bytes] = (), *, signing: Signing = AUTHORITIES) -> None:
        self._signing = signing
        self._crls: dict[bytes, dict[str, Held]] = {}
        self._checked: dict[tuple[str, x509.Certificate, Scope], CheckedCrl | None] = {}
        self._prepared: dict[str, Held] = {}
        self._lanes: dict[tuple[x509.Certificate, Scope], _Lane] = {}
        self._responses: dict[int, dict[str, bytes]] = {}
        self._authentic: dict[tuple[str, x509.Certificate], Authentic | None] = {}
        self._ders: dict[str, bytes] = {}
        self._sizes = [0, 0]
        self._held_bytes = 0
        self._generation = 0
        self._moments: list[int] = []
        for data in evidence:
            self.add(data)

    def add(self, data: bytes) -> str:
        """Hold the CRL or OCSP response in `data` (DER); its SHA-256 (hex). Adding it again changes nothing.

        Raises BadCrl, or `OcspMalformed` for a response, also for one that says nothing.
        """
        digest = sha256(data).hexdigest()
        if digest in self._ders:
            return digest
        if _is_response(data):
            self._add_response(data, digest)
        else:
            self._add_crl(data, digest)
        self._ders[digest] = bytes(data)
        self._held_bytes += len(data)
        self._generation += 1
        return digest

    def prepare(self, data: bytes, issuer: x509.Certificate, scope: Scope = Scope.USER) -> None:
        """Check a CRL of `issuer` that is about to be added: a large one takes a while, and any thread may do this."""
        held = crl.load(data)
        self._checked[held.digest, issuer, scope] = crl.check(held, issuer, scope, self._signing)
        self._prepared[held.digest] = held

    def _add_crl(self, data: bytes, digest: str) -> None:
        held = self._prepared.pop(digest, None) or crl.load(data)
        if self._sizes[0] >= MAX_CRLS or self._held_bytes + len(data) > MAX_HELD_BYTES:
            raise BadCrl("there are too many CRLs", expected=f"at most {MAX_CRLS}")
        self._sizes[0] += 1
        self._crls.setdefault(held.issuer, {})[digest] = held
        self._note((held.this_update_ms,))

    def _add_response(self, data: bytes, digest: str) -> None:
        try:
            response = ocsp_octets.parse_response(data)
        except (MalformedDer, OversizeDer) as error:
            raise OcspMalformed(error.detail, expected=error.expected, found=error.found) from error
        if self._sizes[1] >= MAX_RESPONSES:
            raise OcspMalformed("there are too many OCSP responses", expected=f"at most {MAX_RESPONSES}")
        self._sizes[1] += 1
        for single in response.data.singles:
            self._responses.setdefault(single.cert_id.serial, {})[digest] = data
        self._note((response.data.produced_at_ms,))
        self._note(at_ms for single in response.data.singles if (at_ms := _revoked_from_ms(single)) is not None)

    def _note(self, moments: Iterable[int]) -> None:
        self._moments = sorted({*self._moments, *moments})

    def der(self, digest: str) -> bytes:
        """The evidence (DER) with this SHA-256 (hex), which is one of `digests`."""
        return self._ders[digest]

    def next_moment(self, at_ms: int) -> int:
        """When a question asked at `at_ms` may next have another answer: evidence appears, or a revocation begins.

        Of revocations that a CRL announces, those count whose issuer was asked about.
        """
        place = bisect_right(self._moments, at_ms)
        return self._moments[place] if place < len(self._moments) else FOREVER_MS

    def digests(self) -> tuple[str, ...]:
        """The SHA-256 (hex) of all evidence held, sorted."""
        return tuple(sorted(self._ders))

    def ders(self) -> tuple[bytes, ...]:
        """All evidence held (DER), as it was given, in the order of `digests`."""
        return tuple(self._ders[digest] for digest in sorted(self._ders))

    def known(self, issuer: x509.Certificate, serial: int | None, at_ms: int) -> tuple[str, ...]:
        """Digests of what `issuer` signed before `at_ms`: on these rests that nothing is known.

        What others made in its name is passed over, so nothing rests on it.
        """
        held = self._crls.get(issuer.subject.public_bytes(), {}).values()
        before = [one for one in held if one.this_update_ms <= at_ms]
        digests = [one.digest for one in before if any(self._check(one, issuer, scope) for scope in Scope)]
        answers = [] if serial is None else self._answers(issuer, serial)
        return (*digests, *(answer.digest for answer in answers if answer.available_ms <= at_ms))

    def standing(
        self,
        issuer: x509.Certificate,
        serial: int,
        at_ms: int,
        scope: Scope = Scope.USER,
        *,
        known_ms: int | None = None,
    ) -> Standing:
        """That the certificate `serial` of `issuer` was not revoked at `at_ms`, by what existed then.

        Raises Revoked if any of it says that it was, else StatusIndeterminate if none of it is in force, if the issuer
        contradicts itself, or if its responder does not know the certificate. With `known_ms`, raises Voided if
        evidence up to that later time says that it was revoked, or its key invalid, at `at_ms` already.
        """
        answers = self._answers(issuer, serial)
        self._require_never_revoked(answers, at_ms, at_ms)
        good = [*self._crl_word(issuer, serial, at_ms, scope), *self._ocsp_word(answers, at_ms)]
        if not good:
            raise StatusIndeterminate("no evidence about this certificate is in force", found=at_ms)
        if known_ms is not None and known_ms > at_ms:
            self._require_not_voided(issuer, serial, at_ms, known_ms, scope)
        digests = tuple(digest for standing in good for digest in standing.digests)
        self._rests_on(digests)
        return Standing(digests, max(standing.valid_until_ms for standing in good))

    def crl_for(self, issuer: x509.Certificate, at_ms: int, scope: Scope = Scope.USER) -> CheckedCrl:
        """The newest CRL of `issuer` with this_update <= `at_ms`, in force then; StatusIndeterminate if there is none.

        With the newest delta CRL that applies to it. CRLs that `issuer` did not sign or that break the CRL profile are
        passed over: anyone can make those. If the numbers of the signed ones go back while time goes on, somebody
        rolled something back, and nothing is known.
        """
        newest = self._lane(issuer, scope).newest(at_ms)
        if newest is None:
            raise StatusIndeterminate("there is no CRL of this issuer from before this time", found=at_ms)
        until_ms = newest.until_ms(at_ms)
        if at_ms > until_ms:
            raise StatusIndeterminate(
                "the newest CRL of this issuer is stale", expected=f"next update after {at_ms}", found=until_ms
            )
        return newest

    def _crl_word(self, issuer: x509.Certificate, serial: int, at_ms: int, scope: Scope) -> list[Standing]:
        """What the CRLs say, if they say good; nothing if none is in force. Raises Revoked also from a stale one."""
        lane = self._lane(issuer, scope)
        try:
            newest = lane.newest(at_ms)
        except StatusIndeterminate:
            delta = lane.deltas.newest(at_ms)
            if delta is not None:  # a delta that cannot be applied still says what it says
                self._require_not_listed(delta, serial, at_ms)
            raise
        if newest is None:
            return []
        self._require_not_listed(newest, serial, at_ms)
        until_ms = newest.until_ms(at_ms)
        return [Standing(newest.digests, until_ms)] if at_ms <= until_ms else []

    def _ocsp_word(self, answers: Sequence[Authentic], at_ms: int) -> list[Standing]:
        """What the newest OCSP response says, if it says good; nothing if none is in force."""
        before = [
            (single.this_update_ms, answer.available_ms, answer, single)
            for answer in answers
            for single in answer.singles
            if answer.available_ms <= at_ms
        ]
        if not before:
            return []
        _, _, answer, single = max(before, key=lambda one: one[:2])
        until_ms = answer.until_ms(single)
        if until_ms is None or at_ms > until_ms:
            return []
        if single.status is CertStatus.GOOD:
            return [Standing((answer.digest,), until_ms)]
        from_ms = _revoked_from_ms(single)
        if single.status is CertStatus.REVOKED and from_ms is not None and from_ms <= at_ms:
            self._rests_on((answer.digest,))
            raise Revoked("the credential was revoked", revoked_at_ms=from_ms)
        raise StatusIndeterminate("the responder does not know the certificate, or expects its end", found=at_ms)

    def _require_not_listed(self, found: CheckedCrl, serial: int, at_ms: int) -> None:
        try:
            found.require_not_revoked(serial, at_ms)
        except Revoked:
            self._rests_on(found.digests)
            raise

    def _rests_on(self, digests: Sequence[str]) -> None:
        """Called with the evidence on which an answer rests, for those who keep account of it."""

    def _require_never_revoked(self, answers: Sequence[Authentic], at_ms: int, known_ms: int) -> None:
        """No OCSP response from up to `known_ms` says revoked as of `at_ms`; such a word stays true, but for a hold."""
        for answer in answers:
            for single in answer.singles:
                from_ms = _revoked_from_ms(single)
                if from_ms is None or single.reason in _PASSING or answer.available_ms > known_ms:
                    continue
                if from_ms <= at_ms:
                    self._rests_on((answer.digest,))
                    raise Revoked("the credential was revoked", revoked_at_ms=from_ms)

    def _require_not_voided(
        self, issuer: x509.Certificate, serial: int, at_ms: int, known_ms: int, scope: Scope
    ) -> None:
        try:
            self._require_never_revoked(self._answers(issuer, serial), at_ms, known_ms)
            newest = self._lane(issuer, scope).newest(known_ms)
            if newest is not None:
                self._require_not_listed(newest, serial, at_ms)
        except Revoked as error:
            raise Voided("the credential was invalid then, as is known now", **error.where) from error

    def _answers(self, issuer: x509.Certificate, serial: int) -> list[Authentic]:
        """The OCSP responses about this certificate that may be believed, each with what it says of it alone."""
        found = []
        for digest, data in tuple(self._responses.get(serial, {}).items()):
            name = (digest, issuer)
            if name not in self._authentic:
                try:
                    self._authentic[name] = ocsp.authenticate(data, issuer)
                except Refused:
                    self._authentic[name] = None
            answer = self._authentic[name]
            if answer is not None:
                found.append(answer.narrowed(serial))
        return found

    def _lane(self, issuer: x509.Certificate, scope: Scope) -> _Lane:
        name, generation = (issuer, scope), self._generation
        lane = self._lanes.get(name)
        if lane is None or lane.generation != generation:
            held = tuple(self._crls.get(issuer.subject.public_bytes(), {}).values())
            usable = [checked for one in held if (checked := self._check(one, issuer, scope)) is not None]
            lane = _Lane(
                generation,
                _Row.of(one for one in usable if one.base_number is None),
                _Row.of(one for one in usable if one.base_number is not None),
            )
            self._note(at_ms for one in usable for at_ms in one.announced_ms)
            self._lanes[name] = lane
        return lane

    def _check(self, held: Held, issuer: x509.Certificate, scope: Scope) -> CheckedCrl | None:
        # The certificate, not its key: what the issuer may sign and how its key is called is read from there.
        name = (held.digest, issuer, scope)
        if name not in self._checked:
            self._checked[name] = crl.check(held, issuer, scope, self._signing)
        return self._checked[name]


def _is_response(data: bytes) -> bool:
    """Whether `data` begins as an OCSPResponse: a sequence whose first member is its status."""
    try:
        _, start, _ = tlv.header(data, 0, "evidence")
    except MalformedDer:
        return False
    return data[start : start + 1] == bytes((tlv.ENUMERATED,))


def _revoked_from_ms(single: Single) -> int | None:
    """The earlier of revocation and invalidity date; None if it is not revoked."""
    if single.revoked_at_ms is None:
        return None
    return min(single.revoked_at_ms, single.revoked_at_ms if single.invalid_from_ms is None else single.invalid_from_ms)
