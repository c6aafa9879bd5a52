"""Handing over: who holds the key of a certificate signs that another key is to follow it.

A request proves that its maker has the new key, a connection that the caller has the key of the connection. Neither
shows that the caller has the old key of another purpose. This does: a signature, by the old key, over the name of the
old certificate and the new key, in words that nothing else here is signed in.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pki import keys, tbs
from pki.errors import Refused

HEADER: Final = "key-handover"
"""Where the signature travels beside a request, in base64."""
MAX_PROOF_BYTES: Final = 256
_WORDS: Final = "flexledger key handover v1"


class HandoverUnproven(Refused):
    """Nobody who has the old key said that the new one is to follow it."""

    code = "pki/handover-unproven"
    title = "Old key did not hand over"


def message(issuer_key_sha256: str, serial: int, spki_sha256: str) -> bytes:
    """What the old key signs: three lines of ASCII, the old certificate's name and the digest of the new key (hex)."""
    return f"{_WORDS}\n{issuer_key_sha256}.{serial:040x}\n{spki_sha256}\n".encode("ascii")


def prove(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, said: bytes) -> bytes:
    """The signature of the old key over `said`, which is a `message`: ECDSA in DER, or Ed25519."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(said)
    return key.sign(said, ec.ECDSA(tbs.digest_for(key)))


def require_proven(key: keys.PublicKey, said: bytes, proof: bytes | None) -> None:
    """Passes if `proof` is the signature over `said` by the old key, of which `key` is the public half."""
    if proof is None:
        raise HandoverUnproven("the old key signs for the new one", expected="its signature, or an enrolment code")
    if len(proof) > MAX_PROOF_BYTES:
        raise HandoverUnproven(
            "the signature is too long", expected=f"at most {MAX_PROOF_BYTES} bytes", found=len(proof)
        )
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(proof, said)
        else:
            key.verify(proof, said, ec.ECDSA(tbs.digest_for(key)))
    except (InvalidSignature, ValueError) as error:
        raise HandoverUnproven("the signature is not the old key's over this new key") from error
