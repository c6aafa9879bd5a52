"""Whom the verifier trusts: the log's key and the roots, brought along by whoever verifies."""

from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from api.verification.bundle_format import MAX_ROOTS, Bundle
from api.verification.errors import BundleUnusable
from ledger import toml_text
from ledger.tlog import note
from ledger.tlog import policy as policies
from ledger.tlog.note import Verifier
from pki import trust
from pki.trust import TrustAnchors

MAX_POLICY_BYTES: Final = 262_144


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A verifier key (c2sp.org/signed-note) and root certificates in PEM.

    `development` says that credentials of a development hierarchy count; they never do otherwise. `witnesses` is the
    text of a c2sp.org/tlog-policy: who must have cosigned, and other keys of the log while it changes them.
    """

    vkey: Annotated[str, Meta(min_length=1, max_length=2048)]
    roots: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_ROOTS)]
    development: bool = False
    witnesses: Annotated[str, Meta(max_length=MAX_POLICY_BYTES)] = ""
    timestamp_roots: Annotated[tuple[str, ...], Meta(max_length=MAX_ROOTS)] = ()
    """The time-stamping authorities whose time counts, in PEM."""

    def anchors(self) -> TrustAnchors:
        """The roots, found self-signed; raises `BadAnchor`, `WeakKey`, `DevelopmentCredential`."""
        return TrustAnchors([root.encode() for root in self.roots], allow_development=self.development)

    def witnessing(self) -> policies.Policy | None:
        """The witnesses and the quorum, None where the policy asks for none; raises `PolicyMalformed`."""
        return policies.parse(self.witnesses.encode()) if self.witnesses else None

    def timestamp_authorities(self) -> list[x509.Certificate]:
        """Raises `BundleUnusable`."""
        try:
            return [x509.load_pem_x509_certificate(root.encode()) for root in self.timestamp_roots]
        except ValueError:
            raise BundleUnusable("a time-stamping authority of the policy is not a certificate") from None

    def log_keys(self) -> tuple[Verifier, ...]:
        """The log's keys: `vkey`, and those of its name in `witnesses`; raises `KeyMalformed`, `PolicyMalformed`."""
        own = note.parse_vkey(self.vkey)
        asked = self.witnessing()
        others = () if asked is None else asked.keys_of(own.name)
        return (own, *(key for key in others if key != own))

    def verifiers(self) -> tuple[Verifier, ...]:
        """All keys: the log's and the witnesses'."""
        asked = self.witnessing()
        return self.log_keys() + (() if asked is None else asked.verifiers)


def parse_policy(data: bytes, *, toml: bool = False) -> Policy:
    """The policy in a JSON or TOML file; raises `BundleUnusable`, `KeyMalformed`, `PolicyMalformed`."""
    if len(data) > MAX_POLICY_BYTES:
        raise BundleUnusable("the policy is too large", expected=f"at most {MAX_POLICY_BYTES} bytes", found=len(data))
    try:
        found = toml_text.decode(data, Policy) if toml else msgspec.json.decode(data, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = str(error).partition(", got ")[0] if isinstance(error, msgspec.ValidationError) else None
        syntax = "TOML" if toml else "JSON, or TOML in a file that ends in .toml"
        raise BundleUnusable("not a policy", expected=fault or f"vkey and roots in {syntax}") from error
    found.verifiers()
    return found


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
