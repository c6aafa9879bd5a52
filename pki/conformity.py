"""Conformity claims: open one, and decide whether those at hand cover what is asked of an EVSE and an EV.

DC: the inverter is in the EVSE, so its claim suffices. AC: the inverter is in the car and functions are split, so
the EV and the EVSE need a claim each, or one for the two as a matched pair. Charging alone needs none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pki import keys, oids, path
from pki.asn1 import attributecert, claims
from pki.asn1.claims import Claim, ConformityClaims, Thing, ThingKind
from pki.credential import Credential
from pki.errors import Refused
from pki.roles import Purpose, Role, Service
from pki.status import Scope, StatusSet
from pki.trust import TrustAnchors
from pki.validation import validate

Kind: TypeAlias = Literal["AC", "DC"]
MAX_CLAIMS = 64  # looked at for one decision
_PAIR = 2
_EVSE_KINDS = frozenset({ThingKind.EVSE, ThingKind.CHARGING_STATION})
_EV_KINDS = frozenset({ThingKind.EV})
_Things: TypeAlias = tuple[tuple[str, frozenset[ThingKind]], ...]


class ClaimUntrusted(Refused):
    """The attribute certificate was not signed by the body that it names."""

    code = "pki/claim-untrusted"
    title = "Claim not authentic"


class ClaimExpired(Refused):
    """The claim is not, or not yet, or no longer valid at the time asked about."""

    code = "pki/claim-expired"
    title = "Claim not valid at this time"


class ClaimHolder(Refused):
    """The holder of the attribute certificate is not the thing, or the pair, that its claims are about."""

    code = "pki/claim-holder"
    title = "Claim about something else"


class NotCovered(Refused):
    """The claims at hand do not cover what is asked; `reason` is the nearest miss, stable like a code."""

    code = "pki/not-covered"
    title = "Conformity not covered"
    reasons: ClassVar[tuple[str, ...]] = (
        "no-claim",
        "not-valid",
        "function",
        "region",
        "power",
        "firmware",
        "too-many-claims",
    )

    def __init__(self, reason: str, detail: str, **where: str) -> None:
        """`reason` is one of `reasons`."""
        self.reason = reason
        super().__init__(detail, found=reason, **where)


@dataclass(frozen=True, slots=True)
class VerifiedClaim:
    """A claim whose body, signature, holder, times and status were good. `digest` is the SHA-256 (hex) of its DER."""

    digest: str
    serial: int
    body: Credential
    content: ConformityClaims
    not_before_ms: int
    not_after_ms: int
    status_digests: tuple[str, ...]
    status_valid_until_ms: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Why it is covered: the claims used (digests), and until when that holds; no claims if none are needed."""

    needed: bool
    digests: tuple[str, ...]
    valid_until_ms: int | None


def holder(spki_sha256s: Sequence[str]) -> tuple[bytes, bool]:
    """What the holder field binds: the one key digest, or the SHA-256 over both (EVSE, EV); and if it is a pair."""
    if len(spki_sha256s) == _PAIR:
        return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in spki_sha256s)).digest(), True
    return bytes.fromhex(spki_sha256s[0]), False


def open_claim(
    der: bytes, *, aa_chain: Sequence[bytes], anchors: TrustAnchors, status: StatusSet, at_ms: int
) -> VerifiedClaim:
    """The claim in `der`, good at `at_ms`; `aa_chain` is the body's attribute certificate chain, leaf first (DER).

    Raises what `validation.validate` raises for the body, `pki/malformed-der`, `pki/oversize-der`, ClaimUntrusted,
    ClaimExpired, ClaimHolder, `pki/revoked`, `pki/status-indeterminate`.
    """
    parsed = attributecert.parse(der)
    if not aa_chain:
        raise ClaimUntrusted("the chain of the body is missing")
    body = validate(
        aa_chain[0],
        aa_chain[1:],
        anchors=anchors,
        status=status,
        at_ms=at_ms,
        purpose=Purpose.ATTRIBUTE,
        roles={Role.CB},
    )
    certificate = path.load(aa_chain[0])
    info = parsed.info
    _require_signed_by(parsed, certificate)
    if not info.not_before_ms <= at_ms // 1000 * 1000 <= info.not_after_ms:
        raise ClaimExpired(
            "not valid at this time", expected=f"{info.not_before_ms} to {info.not_after_ms}", found=at_ms
        )
    if info.not_before_ms < body.not_before_ms or info.not_after_ms > body.not_after_ms:
        raise ClaimUntrusted("the claim is valid when the certificate of its body is not")
    content = claims.decode(info.claims)
    if holder([thing.spki_sha256 for thing in content.things]) != (info.holder_digest, info.pair):
        raise ClaimHolder("the holder is not the thing that the claims are about")
    crl = status.crl_for(certificate, at_ms, Scope.ATTRIBUTE)
    crl.require_not_revoked(info.serial, at_ms)
    return VerifiedClaim(
        digest=hashlib.sha256(der).hexdigest(),
        serial=info.serial,
        body=body,
        content=content,
        not_before_ms=info.not_before_ms,
        not_after_ms=info.not_after_ms,
        status_digests=(*body.status_digests, crl.digest),
        status_valid_until_ms=min(body.status_valid_until_ms, crl.next_update_ms, info.not_after_ms),
    )


def _require_signed_by(parsed: attributecert.ParsedAttribute, certificate: x509.Certificate) -> None:
    info = parsed.info
    own_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if info.issuer != certificate.subject.public_bytes() or info.issuer_key_id != own_id:
        raise ClaimUntrusted("the claim names another issuer")
    sha384 = parsed.signature_oid == oids.ECDSA_WITH_SHA384.dotted_string
    key = keys.require_authority_key(certificate.public_key())
    try:
        key.verify(parsed.signature, parsed.info_der, ec.ECDSA(hashes.SHA384() if sha384 else hashes.SHA256()))
    except InvalidSignature as error:
        raise ClaimUntrusted("the claim is not signed by the key of its body") from error


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a claim must cover."""

    function: Service
    region: str
    at_ms: int
    charge_w: int
    discharge_w: int
    firmware_sha256: Mapping[str, str]


def covers(
    held: Sequence[VerifiedClaim],
    *,
    kind: Kind,
    generator: bool,
    function: Service,
    region: str,
    evse_spki_sha256: str,
    ev_spki_sha256: str | None,
    at_ms: int,
    charge_w: int = 0,
    discharge_w: int = 0,
    firmware_sha256: Mapping[str, str] | None = None,
) -> Coverage:
    """The claims that cover `function` in `region` at `at_ms` for this EVSE and this EV; or NotCovered with the reason.

    `generator` is whether the function feeds in or holds a droop; without it no claim is needed. Things are the SHA-256
    (hex) of their keys; `firmware_sha256` is what each thing runs now, by its key. `charge_w` and `discharge_w` are the
    greatest powers asked for, both positive. A region covers itself and its parts ("FI" covers "FI-18").
    """
    if not generator:
        return Coverage(needed=False, digests=(), valid_until_ms=None)
    if len(held) > MAX_CLAIMS:
        raise NotCovered("too-many-claims", f"at most {MAX_CLAIMS} claims are looked at")
    ask = _Ask(function, region, at_ms, charge_w, discharge_w, firmware_sha256 or {})
    evse = (evse_spki_sha256, _EVSE_KINDS)
    if kind == "DC":
        return _coverage([_find(held, (evse,), ask)])
    if ev_spki_sha256 is None:
        raise NotCovered("no-claim", "in AC the EV needs a claim, and no EV is known")
    ev = (ev_spki_sha256, _EV_KINDS)
    try:
        return _coverage([_find(held, (evse, ev), ask)])
    except NotCovered as error:
        of_pair = error
    try:
        return _coverage([_find(held, (evse,), ask), _find(held, (ev,), ask)])
    except NotCovered as error:
        # If there is a claim about the pair, why it does not do says more than that there is none about the two.
        raise (error if of_pair.reason == "no-claim" else of_pair) from None


def _coverage(used: Sequence[VerifiedClaim]) -> Coverage:
    return Coverage(
        needed=True,
        digests=tuple(claim.digest for claim in used),
        valid_until_ms=min(claim.status_valid_until_ms for claim in used),
    )


def _find(held: Sequence[VerifiedClaim], things: _Things, ask: _Ask) -> VerifiedClaim:
    """The first claim that is about exactly `things` and covers `ask`; else NotCovered with the last miss."""
    miss = "no-claim"
    for claim in held:
        if not _is_about(claim.content.things, things):
            continue
        found = _miss(claim, ask)
        if found is None:
            return claim
        miss = found
    what = "pair" if len(things) == _PAIR else "thing"
    raise NotCovered(miss, f"no claim about this {what} covers what is asked", thing=things[-1][0])


def _is_about(found: tuple[Thing, ...], asked: _Things) -> bool:
    """Exactly these keys, each as the kind of thing that it is asked about: an EV never stands for an EVSE."""
    return len(found) == len(asked) and all(
        thing.spki_sha256 == key and thing.kind in kinds for thing, (key, kinds) in zip(found, asked, strict=True)
    )


def _miss(claim: VerifiedClaim, ask: _Ask) -> str | None:
    """Why `claim` does not cover `ask`; None if it does."""
    if not claim.not_before_ms <= ask.at_ms <= claim.status_valid_until_ms:
        return "not-valid"
    for thing in claim.content.things:
        certified = None if thing.type_ref is None else thing.type_ref.firmware_sha256
        if certified is not None and ask.firmware_sha256.get(thing.spki_sha256) != certified:
            return "firmware"
    misses = [_claim_miss(item, ask) for item in claim.content.claims]
    return None if None in misses else misses[-1]


def _claim_miss(item: Claim, ask: _Ask) -> str | None:
    if ask.function not in item.services:
        return "function"
    if not any(ask.region == region or ask.region.startswith(f"{region}-") for region in item.regions):
        return "region"
    over_charge = item.max_charge_w is not None and ask.charge_w > item.max_charge_w
    over_discharge = item.max_discharge_w is not None and ask.discharge_w > item.max_discharge_w
    return "power" if over_charge or over_discharge else None
