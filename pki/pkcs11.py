"""Keys in a PKCS#11 token: made there, used there, never taken out (extra `hsm`).

One session a token serves the whole process under a lock; a token that was pulled or logged out is opened again for the
next signature.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from pki.errors import Absent, Broken, Busy, Refused
from pki.keyplace import TokenPlace
from pki.keys import OutsideKey

T = TypeVar("T")

# DER of the curves' object identifiers: CKA_EC_PARAMS (PKCS #11 v2.40 section 2.3.3).
_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
}
_UNCOMPRESSED = 0x04
_OCTET_STRING = 0x04


class Pkcs11Absent(Absent):
    """The extra `hsm` is not installed, or the token's module is not at this path."""

    code = "pki/pkcs11-absent"
    title = "PKCS#11 is not available"


class TokenUnavailable(Busy):
    """The token was removed, logged out or does not answer; nothing was signed."""

    code = "pki/token-unavailable"
    title = "Token does not answer"


class TokenPinRefused(Broken):
    """The token does not take the PIN, or has locked it: asked again, it may lock itself for good."""

    code = "pki/token-pin"
    title = "PIN refused"


class TokenKeyAbsent(Absent):
    """There is no key of this label and id in the token, or no such token."""

    code = "pki/token-key-absent"
    title = "Key not in the token"


class TokenKeyTaken(Refused):
    """A key of this label or id is in the token already; two keys of one label cannot be told apart."""

    code = "pki/token-key-taken"
    title = "Key label already used"


class TokenKeyUnfit(Refused):
    """The key is not P-256 or P-384, or could leave the token, or the place names more than one."""

    code = "pki/token-key-unfit"
    title = "Key of the token cannot be used"


class _Token:
    """One token of one module with its one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._keys: dict[TokenPlace, Any] = {}

    def use(self, act: Callable[[Any], T], place: TokenPlace) -> T:
        """What `act` does with the session, which is opened if there is none; whatever goes wrong is one of ours."""
        with self._lock, _translated():
            if self._session is None:
                self._session = self._open(place)
            try:
                return act(self._session)
            except (Absent, Refused):
                raise
            except Exception:
                # Whatever it was, the next one starts anew: most of what can go wrong here is the session itself.
                self._forget()
                raise

    def _open(self, place: TokenPlace) -> Any:
        import pkcs11

        if not place.module.is_file():
            raise Pkcs11Absent("the module is not there", module=place.module.name)
        library = pkcs11.lib(str(place.module))
        try:
            token = library.get_token(token_label=place.token)
        except (pkcs11.exceptions.NoSuchToken, pkcs11.exceptions.MultipleTokensReturned) as error:
            raise TokenKeyAbsent("not one token has this label", token=place.token) from error
        return token.open(rw=True, user_pin=place.pin())

    def _forget(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            with _quietly():
                session.close()

    def sign(self, session: Any, place: TokenPlace, digest: bytes) -> bytes:
        """The raw signature (r and s), by the key at `place`, which is looked for once a session."""
        from pkcs11 import Mechanism, ObjectClass

        if place not in self._keys:
            self._keys[place] = _found(session, place, ObjectClass.PRIVATE_KEY)
        return bytes(self._keys[place].sign(digest, mechanism=Mechanism.ECDSA))

    def close(self) -> None:
        """The session is closed; the next use opens another."""
        with self._lock:
            self._forget()


_TOKENS: dict[tuple[Path, str], _Token] = {}
_TOKENS_LOCK = threading.Lock()


class TokenKey(OutsideKey):
    """A private key in a token; `place` says where."""

    def __init__(self, place: TokenPlace, public_key: ec.EllipticCurvePublicKey) -> None:
        super().__init__(public_key)
        self.place = place.uri()
        self._at = place

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """The signature (DER), made in the token over a digest made here. TokenUnavailable, TokenKeyAbsent."""
        digest = _digest(bytes(data), signature_algorithm)
        token = _token(self._at)
        raw = token.use(lambda session: token.sign(session, self._at, digest), self._at)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def open_key(place: TokenPlace) -> TokenKey:
    """The key at `place`: P-256 or P-384, in the token for ever. TokenKeyAbsent, TokenKeyUnfit, TokenPinRefused."""
    return _token(place).use(lambda session: _opened(session, place), place)


def find_key(place: TokenPlace) -> TokenKey | None:
    """The key at `place`, None where the token has none of this label; raises as `open_key` for one that is unfit."""

    def look(session: Any) -> TokenKey | None:
        from pkcs11 import Attribute, ObjectClass

        asked = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: place.label}
        return _opened(session, place) if list(session.get_objects(asked)) else None

    return _token(place).use(look, place)


def require_free(place: TokenPlace) -> None:
    """A key can be made at `place`: the token is there and uses neither label nor id, or TokenKeyTaken."""
    _token(place).use(lambda session: _require_free(session, place), place)


def generate(place: TokenPlace, curve: ec.EllipticCurve) -> TokenKey:
    """A new key at `place`, made in the token, sensitive and not extractable; TokenKeyTaken if label or id is used."""

    def made(session: Any) -> TokenKey:
        from pkcs11 import Attribute, KeyType

        parameters = next((der for der, known in _CURVES.items() if isinstance(curve, type(known))), None)
        if parameters is None:
            raise TokenKeyUnfit("the curve is not allowed", expected="P-256 or P-384", found=curve.name)
        _require_free(session, place)
        key_id = place.key_id or place.label.encode()
        domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: parameters}, local=True)
        domain.generate_keypair(
            store=True,
            label=place.label,
            id=key_id,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
        )
        return _opened(session, place)

    return _token(place).use(made, place)


def use(place: TokenPlace, act: Callable[[Any], T]) -> T:
    """What `act` does with the session of the token at `place`, which nobody else uses meanwhile.

    A coded error of the caller's own passes; whatever the library raises is TokenUnavailable or TokenPinRefused.
    """
    return _token(place).use(act, place)


def forget_sessions() -> None:
    """Every session of this process is closed; keys open another when they are used again."""
    with _TOKENS_LOCK:
        held = list(_TOKENS.values())
    for token in held:
        token.close()


def _token(place: TokenPlace) -> _Token:
    with _TOKENS_LOCK:
        return _TOKENS.setdefault((place.module, place.token), _Token())


def _require_free(session: Any, place: TokenPlace) -> None:
    from pkcs11 import Attribute, ObjectClass

    for taken in ({Attribute.LABEL: place.label}, {Attribute.ID: place.key_id or place.label.encode()}):
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
            if list(session.get_objects({**taken, Attribute.CLASS: kind})):
                raise TokenKeyTaken("the token has a key of this label or id", label=place.label)


def _found(session: Any, place: TokenPlace, kind: Any) -> Any:
    from pkcs11 import Attribute

    asked = {Attribute.CLASS: kind, Attribute.LABEL: place.label}
    if place.key_id is not None:
        asked[Attribute.ID] = place.key_id
    keys = list(session.get_objects(asked))
    if not keys:
        raise TokenKeyAbsent("the token has no such key", label=place.label)
    if len(keys) > 1:
        raise TokenKeyUnfit("the place names several keys", expected="one; add its id", label=place.label)
    return keys[0]


def _opened(session: Any, place: TokenPlace) -> TokenKey:
    from pkcs11 import Attribute, KeyType, ObjectClass

    private = _found(session, place, ObjectClass.PRIVATE_KEY)
    if private.key_type is not KeyType.EC:
        raise TokenKeyUnfit("not an elliptic-curve key", label=place.label)
    if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
        raise TokenKeyUnfit(
            "the key could leave the token", expected="sensitive and not extractable", label=place.label
        )
    public = _found(session, place, ObjectClass.PUBLIC_KEY)
    curve = _CURVES.get(bytes(public[Attribute.EC_PARAMS]))
    if curve is None:
        raise TokenKeyUnfit("the curve is not allowed", expected="P-256 or P-384", label=place.label)
    return TokenKey(place, ec.EllipticCurvePublicKey.from_encoded_point(curve, _point(public[Attribute.EC_POINT])))


def _point(value: bytes) -> bytes:
    """The point in CKA_EC_POINT, which is an OCTET STRING around it; some tokens leave the OCTET STRING out."""
    wrapped = len(value) > 2 and value[0] == _OCTET_STRING and value[1] == len(value) - 2
    return bytes(value[2:]) if wrapped and value[2] == _UNCOMPRESSED else bytes(value)


def _digest(data: bytes, algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
    wanted = algorithm.algorithm
    if isinstance(wanted, Prehashed):
        return data
    digest = hashes.Hash(wanted)
    digest.update(data)
    return digest.finalize()


@contextmanager
def _translated() -> Iterator[None]:
    """What the library raises becomes an error of ours, without the PIN or anything of the token's in it."""
    try:
        from pkcs11 import exceptions
    except ImportError as error:
        raise Pkcs11Absent("the extra is not installed", expected="pip install flexledger[hsm]") from error
    pin = (exceptions.PinIncorrect, exceptions.PinLocked, exceptions.PinInvalid, exceptions.PinExpired)
    try:
        yield
    except (*pin, exceptions.PinLenRange) as error:
        raise TokenPinRefused("the token does not take the PIN", found=type(error).__name__) from None
    except exceptions.PKCS11Error as error:
        raise TokenUnavailable("the token does not do it", found=type(error).__name__) from error


@contextmanager
def _quietly() -> Iterator[None]:
    from pkcs11 import exceptions

    try:
        yield
    except exceptions.PKCS11Error:
        return  # it was broken already
