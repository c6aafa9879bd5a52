"""Key-encryption keys in a PKCS#11 token: AES-256, made there, used there, never taken out (extra `hsm`).

One key an epoch, its label the ring's own and the number of the epoch behind it. What a destroyed key wrapped is gone
with it: a token, unlike a file on flash storage, forgets for certain.
"""

import re
import secrets
from typing import Any, Final

from ledger.privacy.errors import KekEpochAbsent, KekEpochInUse, TamperedData
from ledger.records.privacy import MAX_EPOCH
from pki import pkcs11
from pki.keyplace import TokenPlace

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
KEY_BITS: Final = 256


class TokenRing:
    """A key ring in a token; `place.label` is the beginning of every key's label."""

    def __init__(self, place: TokenPlace) -> None:
        self._place = place
        self._label = re.compile(rf"{re.escape(place.label)}-([1-9][0-9]{{0,9}})")

    def __repr__(self) -> str:
        """Names the place, which holds no PIN."""
        return f"TokenRing({self._place.uri()!r})"

    def epochs(self) -> tuple[int, ...]:
        """The epochs that exist, oldest first."""
        return tuple(sorted(pkcs11.use(self._place, self._keys)))

    def new_epoch(self) -> int:
        """Makes a key in the token; the number is above that of any epoch that still exists.

        The newest one is never destroyed, so no number comes twice.
        """

        def made(session: Any) -> int:
            from pkcs11 import Attribute, KeyType

            epoch = max(self._keys(session), default=0) + 1
            if epoch > MAX_EPOCH:
                raise KekEpochAbsent("no number is left for another epoch", expected=f"at most {MAX_EPOCH}")
            session.generate_key(
                KeyType.AES,
                KEY_BITS,
                store=True,
                label=f"{self._place.label}-{epoch}",
                template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.PRIVATE: True,
                    Attribute.ENCRYPT: True,
                    Attribute.DECRYPT: True,
                },
            )
            return epoch

        return pkcs11.use(self._place, made)

    def wrap(self, epoch: int, key: bytes, associated: bytes) -> bytes:
        """`key` under AES-256-GCM, made in the token, with a random nonce, bound to `associated`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + pkcs11.use(
            self._place, lambda session: bytes(self._key(session, epoch).encrypt(key, **_gcm(nonce, associated)))
        )

    def unwrap(self, epoch: int, wrapped: bytes, associated: bytes) -> bytes:
        """What was wrapped; raises `KekEpochAbsent`, `TamperedData`."""
        nonce, body = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        if len(body) <= TAG_BYTES:
            raise TamperedData("a wrapped key is not what was wrapped", epoch=epoch)

        def opened(session: Any) -> bytes:
            import pkcs11 as driver

            key = self._key(session, epoch)
            try:
                return bytes(key.decrypt(body, **_gcm(nonce, associated)))
            except (
                driver.exceptions.EncryptedDataInvalid,
                driver.exceptions.EncryptedDataLenRange,
                driver.exceptions.GeneralError,
            ):
                raise TamperedData("a wrapped key is not what was wrapped", epoch=epoch) from None

        return pkcs11.use(self._place, opened)

    def destroy(self, epoch: int) -> None:
        """The token forgets the key for good; raises `KekEpochAbsent`, `KekEpochInUse` for the newest one."""

        def destroyed(session: Any) -> None:
            keys = self._keys(session)
            if epoch not in keys:
                raise KekEpochAbsent("the token does not hold this epoch", epoch=epoch)
            if epoch == max(keys):
                raise KekEpochInUse("the newest epoch stays", epoch=epoch)
            keys[epoch].destroy()

        pkcs11.use(self._place, destroyed)

    def _keys(self, session: Any) -> dict[int, Any]:
        from pkcs11 import Attribute, ObjectClass

        found = {}
        for key in session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}):
            named = self._label.fullmatch(key[Attribute.LABEL])
            if named is not None:
                found[int(named[1])] = key
        return found

    def _key(self, session: Any, epoch: int) -> Any:
        from pkcs11 import Attribute, ObjectClass

        asked = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: f"{self._place.label}-{epoch}"}
        found = list(session.get_objects(asked))
        if len(found) != 1:
            raise KekEpochAbsent("the token does not hold this epoch once", epoch=epoch, found=len(found))
        return found[0]


def _gcm(nonce: bytes, associated: bytes) -> dict[str, Any]:
    from pkcs11 import GCMParams, Mechanism

    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, associated, TAG_BYTES * 8)}
