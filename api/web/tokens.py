"""Access tokens that are worth nothing without the certificate they were issued to (RFC 8705 section 3, RFC 9068).

A token narrows what its holder may do on a connection of the same certificate: a tool that shares the connection can be
handed one that only reads. It lives five minutes at most, never longer than what proved the certificate, and dies with
the next movement of revocation evidence. Its key lives in this process and nowhere else, so a restart ends all tokens.

The one door to `jwt`. Algorithm, type and key are pinned before anything in the token is believed: that library's own
list of algorithms has "none" and HMAC in it.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.errors import Refused
from api.principals import Principal
from pki.clock import Clock

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
MAX_LIFETIME_S: Final = 300
MAX_TOKEN_BYTES: Final = 2_048
MS_PER_S: Final = 1_000
JTI_BYTES: Final = 16
_MEMBERS: Final = frozenset({"iss", "aud", "sub", "iat", "exp", "jti", "scope", "cnf", "role", "epoch"})
_HEADER: Final = frozenset({"alg", "typ", "kid"})


class Scope(StrEnum):
    """What a token lets its holder do; without a token a certificate has all of them."""

    READ = "read"
    WRITE = "write"


EVERYTHING: Final = frozenset(Scope)
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class TokenRefused(Refused):
    """The access token is not one of this process, for this certificate, now; why exactly is not told."""

    code = "api/token-refused"
    title = "Access token refused"


class ScopeExceeded(Refused):
    """The access token does not reach that far."""

    code = "api/scope-exceeded"
    title = "Outside the token's scope"


class _Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x5t: str = msgspec.field(name="x5t#S256")


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    sub: str
    iat: int
    exp: int
    jti: str
    scope: str
    cnf: _Confirmation
    role: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token just issued."""

    text: str
    expires_in_s: int
    scopes: frozenset[Scope]


class Tokens:
    """Issues and opens the tokens of one process."""

    def __init__(self, *, issuer: str, epoch: Callable[[], int], clock: Clock) -> None:
        """`issuer` is the log's origin: the service is issuer and audience in one. `clock` is the transport's."""
        self._issuer = issuer
        self._epoch = epoch
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        spki = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._key_id = _base64url(hashlib.sha256(spki).digest())

    def issue(self, principal: Principal, scopes: Collection[Scope], lifetime_s: int = MAX_LIFETIME_S) -> Token:
        """A token for who is on the connection now, for `scopes` of what they have; raises ScopeExceeded."""
        if not scopes or not set(scopes) <= principal_scopes(principal):
            raise ScopeExceeded("a scope can only be narrowed", expected=_written(principal_scopes(principal)))
        now_s = self._clock.now_ms() // MS_PER_S
        credential = principal.credential
        last_s = min(credential.not_after_ms, credential.status_valid_until_ms) // MS_PER_S
        expires_s = min(now_s + min(lifetime_s, MAX_LIFETIME_S), last_s)
        claims = _Claims(
            iss=self._issuer,
            aud=self._issuer,
            sub=principal.party,
            iat=now_s,
            exp=expires_s,
            jti=secrets.token_urlsafe(JTI_BYTES),
            scope=_written(scopes),
            cnf=_Confirmation(credential.x5t_s256),
            role=principal.role.value,
            epoch=self._epoch(),
        )
        header = {"typ": TYPE, "kid": self._key_id}
        text = jwt.encode(msgspec.to_builtins(claims), self._key, algorithm=ALGORITHM, headers=header)
        return Token(text, expires_s - now_s, frozenset(scopes))

    def narrow(self, principal: Principal, leaf: bytes, text: str) -> Principal:
        """`principal`, whose certificate `leaf` the handshake verified just now, with what `text` lets it do.

        Raises TokenRefused.
        """
        claims = self._open(text)
        now_s = self._clock.now_ms() // MS_PER_S
        good = (
            claims.iss == self._issuer
            and claims.aud == self._issuer
            and claims.iat <= now_s < claims.exp <= claims.iat + MAX_LIFETIME_S
            and claims.epoch == self._epoch()
            and secrets.compare_digest(claims.cnf.x5t, _base64url(hashlib.sha256(leaf).digest()))
            and (claims.sub, claims.role) == (principal.party, principal.role.value)
        )
        if not good:
            raise TokenRefused("the token is not for this certificate, this service or this time")
        try:
            scopes = frozenset(Scope(word) for word in claims.scope.split(" "))
        except ValueError:
            raise TokenRefused("the token has an unknown scope") from None
        return Principal(principal.party, principal.role, principal.credential, frozenset(map(str, scopes)))

    def _open(self, text: str) -> _Claims:
        """The claims of a token that this process signed."""
        if len(text) > MAX_TOKEN_BYTES:
            raise TokenRefused("the token is too large", expected=f"at most {MAX_TOKEN_BYTES} bytes")
        try:
            header: dict[str, Any] = jwt.get_unverified_header(text)
            pinned = {"alg": ALGORITHM, "typ": TYPE, "kid": self._key_id}
            if set(header) != _HEADER or header != pinned:
                raise TokenRefused("the token has another header", expected=f"{ALGORITHM}, {TYPE} and our key")
            found = jwt.decode(
                text,
                self._key.public_key(),
                algorithms=[ALGORITHM],
                audience=self._issuer,
                issuer=self._issuer,
                # Times are judged by our own clock, above.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": sorted(_MEMBERS)},
            )
            return msgspec.convert(found, _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused("the token is not one of this service") from error


def require_within(principal: Principal, method: str) -> None:
    """The method is in the principal's scopes; or ScopeExceeded."""
    needed = Scope.READ if method in SAFE_METHODS else Scope.WRITE
    if needed not in principal_scopes(principal):
        raise ScopeExceeded("the token does not allow this method", expected=needed, found=_written(principal.scopes))


def principal_scopes(principal: Principal) -> frozenset[Scope]:
    """What the principal may do on this connection."""
    return frozenset(Scope(word) for word in principal.scopes)


def _written(scopes: Collection[str]) -> str:
    return " ".join(sorted(scopes))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
