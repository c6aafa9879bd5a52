"""Chains under authorities that were seen before: what time and evidence cannot change about them is proven once.

That its root signed the certificate of an issuing authority, and that both meet the rules of a path, is a fact about
two certificates. It is remembered here. Nothing else is: the windows of all three certificates, the leaf's signature
and form and the issuing authority's constraints on it are looked at each time, and revocation is `status`'s business.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography import x509
from cryptography.x509 import verification

from pki import path
from pki.errors import Refused
from pki.opened import OpenedCertificate, opened

MAX_KNOWN: Final = 64
_CHAIN_LENGTH: Final = 3  # leaf, issuing authority, root


class _Proven(msgspec.Struct, frozen=True):
    """An issuing authority under the only one of `roots` that bears its issuer's name."""

    issuing: OpenedCertificate
    root: OpenedCertificate
    roots: tuple[x509.Certificate, ...]
    store: verification.Store
    """Of the issuing authority alone: the library applies all of its rules about authorities to this one too."""


class KnownAuthorities:
    """Issuing authorities that a root was found to have signed; it only ever makes `build` faster. Any thread may ask.

    One that is not remembered, or not to be used as it stands, is looked at as if nothing were known.
    """

    def __init__(self) -> None:
        self._proven: dict[bytes, _Proven] = {}

    def build(
        self,
        leaf: bytes | OpenedCertificate,
        intermediates: Sequence[bytes],
        roots: Sequence[x509.Certificate],
        *,
        at_ms: int,
        server_name: x509.DNSName | x509.IPAddress | None = None,
    ) -> tuple[OpenedCertificate, ...]:
        """What `path.build` returns and raises for the same arguments."""
        anchors = tuple(roots)
        found = self._proven.get(intermediates[0]) if len(intermediates) == 1 else None
        if found is not None and found.roots == anchors:
            chain = _under(found, leaf, at_ms, server_name)
            if chain is not None:
                return chain
        chain = path.build(leaf, intermediates, anchors, at_ms=at_ms, server_name=server_name)
        if len(intermediates) == 1 and _is_plain(chain, intermediates[0], anchors):
            if len(self._proven) >= MAX_KNOWN:
                self._proven = {}
            _, issuing, root = chain
            self._proven[bytes(intermediates[0])] = _Proven(
                issuing, root, anchors, verification.Store([issuing.certificate])
            )
        return chain


def _is_plain(chain: Sequence[OpenedCertificate], intermediate: bytes, roots: Sequence[x509.Certificate]) -> bool:
    """The chain is the only one there can be by way of `intermediate`, and its root asks nothing of the leaf itself."""
    if len(chain) != _CHAIN_LENGTH or chain[1].der != intermediate:
        return False
    _, issuing, root = chain
    by_name = [one for one in roots if one.subject == issuing.certificate.issuer]
    alike = any(one.subject == issuing.certificate.subject for one in roots)
    return by_name == [root.certificate] and not alike and x509.NameConstraints.oid not in root.extensions


def _under(
    found: _Proven, leaf: bytes | OpenedCertificate, at_ms: int, server_name: x509.DNSName | x509.IPAddress | None
) -> tuple[OpenedCertificate, ...] | None:
    """The chain; None if anything is wrong with it, for `path.build` to say what."""
    try:
        subject = opened(leaf)
        for certificate in (found.root, found.issuing, subject):
            path.require_valid(certificate, at_ms)
        path.require_sound_leaf(subject, path.ROLES)
        chain = path.verified(subject.certificate, [], found.store, at_ms, path.ROLES, server_name)
    except Refused:
        return None
    return (subject, found.issuing, found.root) if chain == (subject.certificate, found.issuing.certificate) else None
