"""The transcript of a ceremony: what was made, from which reviewed file, by whom and when, to be signed and kept.

It names certificates by what was signed and by their keys, never by the bytes of a signature, and it names no person
whom a certificate does not name: certificates of EV users stand in it by profile and digest alone.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from pki import keys, path, tbs
from pki.authority import Authority
from pki.roles import Role
from pki.store.records import Issued


class AuthorityLine(msgspec.Struct, frozen=True, kw_only=True):
    """One authority; `key_place` is "file" or the URI of the token's key."""

    name: str
    subject: str
    serial: str
    tbs_sha256: str
    key_sha256: str
    key_place: str
    not_before_ms: int
    not_after_ms: int


class CertificateLine(msgspec.Struct, frozen=True, kw_only=True):
    """One other certificate that was issued."""

    profile: str
    party: str | None
    station: str | None
    issuer_key_sha256: str
    serial: str
    tbs_sha256: str
    key_sha256: str


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ceremony made; digests are SHA-256 in hex, times Unix milliseconds."""

    ceremony: str
    spec_sha256: str
    at_ms: tuple[int, ...]
    performed_by: tuple[str, ...]
    authorities: tuple[AuthorityLine, ...]
    certificates: tuple[CertificateLine, ...]
    crls_sha256: tuple[str, ...]
    papers_sha256: tuple[str, ...] = ()
    """Of what roots said for logs."""


def spec_sha256(spec: msgspec.Struct) -> str:
    """The digest of what a ceremony file says: another layout of the same file has the same."""
    return hashlib.sha256(msgspec.json.encode(spec, order="sorted")).hexdigest()


def written(
    *,
    ceremony: str,
    spec: msgspec.Struct,
    at_ms: Sequence[int],
    performed_by: Sequence[str],
    authorities: Iterable[Authority],
    certificates: Iterable[Issued],
    crls: Iterable[bytes],
    papers: Iterable[bytes] = (),
) -> bytes:
    """The transcript as canonical JSON: the same ceremony gives the same bytes."""
    made = Transcript(
        ceremony=ceremony,
        spec_sha256=spec_sha256(spec),
        at_ms=tuple(sorted(set(at_ms))),
        performed_by=tuple(performed_by),
        authorities=tuple(_authority(one) for one in authorities),
        certificates=tuple(_certificate(one) for one in certificates),
        crls_sha256=tuple(hashlib.sha256(crl).hexdigest() for crl in crls),
        papers_sha256=tuple(hashlib.sha256(paper).hexdigest() for paper in papers),
    )
    return msgspec.json.encode(made, order="sorted") + b"\n"


def signed(transcript: bytes, root: Authority) -> bytes:
    """The root's signature (DER) over the transcript, for `openssl dgst -sha384 -verify`; `keys.KeyOffline`."""
    keys.require_online(root.signer)
    return root.signer.sign(transcript, ec.ECDSA(tbs.digest_for(root.signer)))


def _authority(authority: Authority) -> AuthorityLine:
    certificate = authority.certificate
    place = authority.signer.place if isinstance(authority.signer, keys.OutsideKey) else "file"
    return AuthorityLine(
        name=authority.name,
        subject=certificate.subject.rfc4514_string(),
        serial=f"{certificate.serial_number:040x}",
        tbs_sha256=hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest(),
        key_sha256=authority.key_sha256,
        key_place=place or "offline",
        not_before_ms=path.not_before_ms(certificate),
        not_after_ms=path.not_after_ms(certificate),
    )


def _certificate(issued: Issued) -> CertificateLine:
    is_person = issued.role is Role.EVU
    return CertificateLine(
        profile=issued.profile,
        party=None if is_person else issued.party_id,
        station=issued.station_id,
        issuer_key_sha256=issued.issuer_key_sha256,
        serial=f"{issued.serial:040x}",
        tbs_sha256=issued.tbs_sha256,
        key_sha256="" if is_person else issued.spki_sha256,
    )
