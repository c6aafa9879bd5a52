"""Whom the verifier trusts: the log's key and the roots, brought along by whoever verifies."""

from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from api.verification.bundle_format import MAX_ROOTS, Bundle
from api.verification.errors import BundleUnusable
from pki import trust
from pki.trust import TrustAnchors

MAX_POLICY_BYTES: Final = 262_144


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A verifier key (c2sp.org/signed-note) and root certificates in PEM.

    `development` says that credentials of a development hierarchy count; they never do otherwise.
    """

    vkey: Annotated[str, Meta(min_length=1, max_length=2048)]
    roots: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_ROOTS)]
    development: bool = False

    def anchors(self) -> TrustAnchors:
        """The roots, found self-signed; raises `BadAnchor`, `WeakKey`, `DevelopmentCredential`."""
        return TrustAnchors([root.encode() for root in self.roots], allow_development=self.development)


def parse_policy(data: bytes, *, toml: bool = False) -> Policy:
    """The policy in a JSON or TOML file; raises `BundleUnusable`."""
    if len(data) > MAX_POLICY_BYTES:
        raise BundleUnusable("the policy is too large", expected=f"at most {MAX_POLICY_BYTES} bytes", found=len(data))
    try:
        return msgspec.toml.decode(data, type=Policy) if toml else msgspec.json.decode(data, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleUnusable("not a policy", expected="vkey and roots") from error


def policy_of(bundle: Bundle) -> Policy:
    """The anchors that the bundle names, as a policy: only as good as the way by which the bundle came."""
    roots = [x509.load_der_x509_certificate(der) for der in bundle.anchors.roots]
    return Policy(
        vkey=bundle.anchors.vkey,
        roots=tuple(root.public_bytes(Encoding.PEM).decode() for root in roots),
        development=any(trust.is_marked(root) for root in roots),
    )


def encode_policy(policy: Policy) -> bytes:
    """JSON for people to read."""
    return msgspec.json.format(msgspec.json.encode(policy), indent=2) + b"\n"
