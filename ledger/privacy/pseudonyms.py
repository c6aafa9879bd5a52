"""Pseudonyms: another one for every recipient, purpose and epoch, by default for every transaction.

They are computed over the subject's random internal id, never over an identifier: a stolen pseudonym key tries no
dictionary, and erasing the link from internal id to person ends re-identification in every export ever made.
Pseudonymised data is still personal data.
"""

import base64
import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ledger.privacy.keys import PSEUDONYM, Keys, framed

PREFIX: Final = "P1"
"""Version of the construction."""
TAG_BYTES: Final = 20
KEY_BYTES: Final = 32
REMEMBERED: Final = 4_096
"""Pseudonyms, and keys of epochs, that are remembered while one export is made."""

_LABEL: Final = b"flexledger pseudonym v1"


def transaction_epoch(transaction: str) -> str:
    """The epoch of one transaction, such as one request: nothing links it to the person's next one."""
    return f"transaction:{transaction}"


def month_epoch(month: str) -> str:
    """The epoch of one month: rows of one person link within it, by explicit policy only."""
    return f"month:{month}"


class Pseudonyms:
    """Makes pseudonyms under the vault's root key."""

    def __init__(self, keys: Keys) -> None:
        """Uses the pseudonym root of these keys."""
        self._keys = keys

    def __repr__(self) -> str:
        """Says nothing of the key."""
        return "Pseudonyms()"

    def of(self, uid: bytes, *, recipient: str, purpose: str, epoch: str) -> str:
        """The subject's name for this recipient, purpose and epoch: `P1` and 32 letters and digits (base32)."""
        return self.maker(recipient=recipient, purpose=purpose, epoch=epoch)(uid)

    def maker(self, *, recipient: str, purpose: str, epoch: str) -> Callable[[bytes], str]:
        """Makes the pseudonyms of many subjects for one recipient, purpose and epoch."""
        info = framed(_LABEL, recipient.encode(), purpose.encode(), epoch.encode())
        expand = HKDFExpand(algorithm=hashes.SHA256(), length=KEY_BYTES, info=info)
        key = expand.derive(self._keys.service_key(PSEUDONYM))

        def make(uid: bytes) -> str:
            return PREFIX + base64.b32encode(hmac.digest(key, uid, "sha256")[:TAG_BYTES]).decode()

        return make

    def of_many(self, *, recipient: str, purpose: str) -> Callable[[bytes, str], str]:
        """Makes the pseudonyms of many subjects and epochs; those of late are remembered."""
        makers = lru_cache(REMEMBERED)(lambda epoch: self.maker(recipient=recipient, purpose=purpose, epoch=epoch))

        @lru_cache(REMEMBERED)
        def make(uid: bytes, epoch: str) -> str:
            return makers(epoch)(uid)

        return make
