"""A signer that may hang is waited for only so long."""

import queue
import threading

from cryptography.hazmat.primitives.asymmetric import ec

from pki.errors import Busy
from pki.keys import OutsideKey, Signer

SIGN_LIMIT_MS = 10_000
MAX_AT_ONCE = 16
"""Signatures that are waited for at once; those that hang count until they come back, so threads stay few."""
_MS_PER_S = 1000


class SignerTimeout(Busy):
    """The place that holds the key did not answer in time; what it was asked to sign may be signed all the same."""

    code = "pki/signer-timeout"
    title = "Signer does not answer"


class BoundedKey(OutsideKey):
    """Another key, asked in a thread of its own that nobody waits for longer than `limit_ms`."""

    def __init__(self, key: Signer, *, limit_ms: int = SIGN_LIMIT_MS) -> None:
        super().__init__(key.public_key())
        self._key = key
        self.place = key.place if isinstance(key, OutsideKey) else None
        self._limit_s = limit_ms / _MS_PER_S
        self._slots = threading.BoundedSemaphore(MAX_AT_ONCE)

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """The signature of the other key, or what it raises; SignerTimeout."""
        if not self._slots.acquire(timeout=self._limit_s):
            raise SignerTimeout("too many signatures are waited for", expected=f"at most {MAX_AT_ONCE}")
        answer: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self._key.sign(data, signature_algorithm))
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that asked
                answer.put(error)
            finally:
                self._slots.release()

        # Not a pool: its threads would be waited for when the process ends, and this one may never come back.
        threading.Thread(target=ask, name="signer", daemon=True).start()
        try:
            found = answer.get(timeout=self._limit_s)
        except queue.Empty:
            raise SignerTimeout("no signature in time", expected=f"within {self._limit_s:g} s") from None
        if isinstance(found, BaseException):
            raise found
        return found
