"""Is this credential good, for this purpose, at this time, by this evidence?

A subset of RFC 5280 section 6 that fails closed. Stage 1, `path`: caps, path building, signatures, names.
Stage 2: `binding` (what the chain says about the role) and `status` (revocation). No database, no network, no
clock: what is needed comes in as arguments, so that the same question years later has the same answer.
"""

import base64
import hashlib
from collections.abc import Collection, Sequence

from cryptography import x509

from pki import binding, keys, names, path
from pki.credential import Credential
from pki.known import KnownAuthorities
from pki.opened import OpenedCertificate
from pki.roles import Purpose, Role
from pki.status import Scope, StatusSet
from pki.trust import TrustAnchors


def validate(
    leaf: bytes,
    intermediates: Sequence[bytes],
    *,
    anchors: TrustAnchors,
    status: StatusSet,
    at_ms: int,
    purpose: Purpose,
    roles: Collection[Role] | None = None,
    server_name: str | None = None,
    known_ms: int | None = None,
    known: KnownAuthorities | None = None,
) -> Credential:
    """The credential that `leaf` (DER) proves at `at_ms` for `purpose`; `roles` None allows every role.

    `server_name` is the host that was dialled; a caller that leaves it out compares host names itself, as a TLS library
    does. What existed at `at_ms`, the time asked about, decides; with a later `known_ms`, what was known by then does
    too: a credential that had been revoked at `at_ms`, or whose key had been invalid, is `pki/voided`, and what was
    decided by it is to be looked at again. `known` changes nothing but the time it takes (`pki.known`).

    Raises a coded `Refused`: `pki/oversize`, `pki/malformed`, `pki/expired`, `pki/not-yet-valid`, `pki/untrusted`,
    `pki/weak-key`, `pki/development-credential`, `pki/role-mismatch`, `pki/role-not-allowed`, `pki/purpose`,
    `pki/profile`, `pki/outlives-issuer`, `pki/bad-name`, `pki/malformed-der`, `pki/revoked`, `pki/voided`; or
    `pki/status-indeterminate` if nothing is wrong with it but whether it was revoked cannot be known.
    """
    host = None if server_name is None else x509.DNSName(names.dns_name(server_name))
    build = path.build if known is None else known.build
    chain = build(leaf, intermediates, anchors.certificates, at_ms=at_ms, server_name=host)
    bound = binding.bind(
        chain,
        purpose=purpose,
        roles=None if roles is None else frozenset(roles),
        allow_development=anchors.allow_development,
    )
    subject, issuing, _root = chain
    digests, valid_until_ms = _require_status(
        chain, status, at_ms, noted=not bound.profile.no_rev_avail, known_ms=known_ms
    )
    return Credential(
        role=bound.identity.role,
        party_id=bound.identity.party_id,
        purpose=purpose,
        services=frozenset(str(service) for service in bound.role.services),
        delegated_by=bound.role.delegated_by,
        station_id=bound.identity.station_id,
        organisation=bound.organisation,
        public_key=keys.require_leaf_key(subject.certificate.public_key()),
        spki_sha256=hashlib.sha256(subject.spki).hexdigest(),
        x5t_s256=base64.urlsafe_b64encode(hashlib.sha256(leaf).digest()).rstrip(b"=").decode(),
        tbs_sha256=hashlib.sha256(subject.tbs).hexdigest(),
        issuer_key_sha256=hashlib.sha256(issuing.spki).hexdigest(),
        serial=subject.serial,
        not_before_ms=subject.not_before_ms,
        not_after_ms=subject.not_after_ms,
        chain=(leaf, issuing.der),
        status_digests=digests,
        status_valid_until_ms=min(valid_until_ms, subject.not_after_ms),
        development=bound.development,
    )


def _require_status(
    chain: Sequence[OpenedCertificate], status: StatusSet, at_ms: int, *, noted: bool, known_ms: int | None
) -> tuple[tuple[str, ...], int]:
    """Neither leaf nor authority is revoked: digests of the evidence used, and until when it holds.

    `noted` is whether revocations of the leaf are published at all; short-lived ones simply expire (RFC 9608).
    The authority comes first: if it is revoked, what it says about its leaves is worth nothing.
    """
    leaf, issuing, root = chain
    used = [status.standing(root.certificate, issuing.serial, at_ms, Scope.AUTHORITY, known_ms=known_ms)]
    if noted:
        used.append(status.standing(issuing.certificate, leaf.serial, at_ms, Scope.USER, known_ms=known_ms))
    return tuple(digest for one in used for digest in one.digests), min(one.valid_until_ms for one in used)
