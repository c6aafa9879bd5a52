"""A party's statement key, ready to speak for one log."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from api.errors import Refused
from ledger import plain_file
from ledger.records import jws, statement
from ledger.records.record import Record


class SigningKeyUnfit(Refused):
    """The files hold no key and certificate that can sign statements; nothing of the key is shown."""

    code = "api/signing-key-unfit"
    title = "Signing key cannot be used"


@dataclass(frozen=True, slots=True)
class StatementSigner:
    """Signs as `party` for the log whose origin is `audience`; `x5t` names the signing certificate (RFC 7515 4.1.8)."""

    party: str
    key: jws.PrivateKey = field(repr=False)
    x5t: str
    audience: str
    certificate: bytes | None = field(default=None, repr=False)
    """DER of the signing certificate, which goes along with every statement; None where the service knows it."""

    @classmethod
    def load(
        cls, *, party: str, key: Path | str, certificate: Path | str, audience: str, password: bytes | None = None
    ) -> Self:
        """The signer from a PEM key and a PEM certificate; raises `SigningKeyUnfit` unless the two belong together."""
        try:
            private = serialization.load_pem_private_key(plain_file.read(Path(key)), password)
            leaf = x509.load_pem_x509_certificate(plain_file.read(Path(certificate)))
        except OSError as error:
            raise SigningKeyUnfit("a file cannot be read", found=error.strerror) from None
        except (ValueError, TypeError) as error:
            raise SigningKeyUnfit("a file is not PEM of the right kind", found=type(error).__name__) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise SigningKeyUnfit("no statement is signed with this kind of key", expected="P-256 or Ed25519")
        if _spki(private.public_key()) != _spki(leaf.public_key()):
            raise SigningKeyUnfit("the certificate is for another key")
        der = leaf.public_bytes(serialization.Encoding.DER)
        x5t = jws.encode_base64url(hashlib.sha256(der).digest())
        return cls(party=party, key=private, x5t=x5t, audience=audience, certificate=der)

    def sign(
        self,
        record: Record,
        stream: str,
        *,
        now_ms: int,
        jti: str | None = None,
        exp_prev: str | None = None,
        actor_seq: int | None = None,
    ) -> statement.Signed:
        """The record as this party's statement for `stream`, with its disclosures beside it."""
        return statement.sign(
            record,
            key=self.key,
            x5t=self.x5t,
            party=self.party,
            audience=self.audience,
            stream=stream,
            now_ms=now_ms,
            jti=jti,
            exp_prev=exp_prev,
            actor_seq=actor_seq,
        )


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise SigningKeyUnfit("no statement is signed with this kind of key", expected="P-256 or Ed25519")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
