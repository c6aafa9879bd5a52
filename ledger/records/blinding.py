"""Blinded ids of contracts: whoever has the offer recognises its contract, and nobody else can tell which it is."""

import hashlib
import hmac
from typing import Final

_LABEL: Final = b"flexledger contract v1\x00"


def blinded(offer_sha256: str, salt: str) -> str:
    """HMAC-SHA-256 in hex of `salt` under the digest of the newest signed offer, which only its parties have.

    `salt` is what is asked or answered under, such as the id of a question: two answers cannot be linked by it.
    """
    return hmac.digest(bytes.fromhex(offer_sha256), _LABEL + salt.encode("ascii"), hashlib.sha256).hex()
