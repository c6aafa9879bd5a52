"""From the client's certificate to a `Principal`, and the guards that ask for one.

A cached answer dies when the revocation epoch moves, when the evidence behind it is too old, and when the certificate
expires, so a connection that stays open is judged again with every request.
"""

import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

import api.errors
import ledger.errors
import pki.errors
from api import telemetry
from api.principals import Principal
from api.web import problems
from api.web.errors import CredentialMissing, CredentialRefused, CredentialUndecided, RoleNotAllowed
from api.web.tokens import TokenRefused, Tokens, require_within
from pki.clock import Clock
from pki.credential import Credential
from pki.roles import Role
from pki.status import StatusIndeterminate

Authenticate = Callable[[bytes], Credential]
"""A DER leaf, verified by the handshake, to a credential by our own rules; raises a coded error."""

MAX_CACHED: Final = 4_096

STATE_PRINCIPAL: Final = "principal"
STATE_REFUSAL: Final = "identity_refusal"
STATE_STILL: Final = "identity_still"

_CALLER_IS_WRONG: Final = tuple(
    kind for module in (pki.errors, ledger.errors, api.errors) for kind in (module.Refused, module.Absent)
)


@dataclass(frozen=True, slots=True)
class _Cached:
    epoch: int
    good_until_ms: int
    principal: Principal


class Identity(ASGIMiddleware):
    """Sets `scope["state"]["principal"]` to a `Principal` or None, from the TLS extension; a token only narrows it.

    A certificate that is refused makes the caller nobody, and the reason is kept for `require`, so that public
    resources answer everyone alike. `clock` is the transport's, always the system's.
    """

    def __init__(
        self, authenticate: Authenticate, *, epoch: Callable[[], int], clock: Clock, tokens: Tokens | None = None
    ) -> None:
        """Without `tokens` nobody's access token is taken."""
        self._authenticate = authenticate
        self._tokens = tokens
        self._epoch = epoch
        self._clock = clock
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Identifies the caller, then goes on."""
        state = scope.setdefault("state", {})
        state[STATE_PRINCIPAL] = None
        leaf = leaf_of(scope)
        if leaf is not None:
            # The token too: an answer that takes long must not outlive it.
            state[STATE_STILL] = still = partial(self._caller, leaf, scope)
            try:
                state[STATE_PRINCIPAL] = still()
            except problems.ROOTS as error:
                state[STATE_REFUSAL] = error
        await next_app(scope, receive, send)

    def _caller(self, leaf: bytes, scope: Scope) -> Principal:
        return self._narrowed(self.identify(leaf), leaf, scope)

    def _narrowed(self, principal: Principal, leaf: bytes, scope: Scope) -> Principal:
        """The principal with what its access token leaves, if it shows one; a token never makes somebody of nobody."""
        shown = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if not shown:
            return principal
        scheme, _, text = shown[0].decode("latin-1").partition(" ")
        if self._tokens is None or len(shown) > 1 or scheme.lower() != "bearer":
            raise TokenRefused("the header is not one access token", expected="Bearer")
        narrowed = self._tokens.narrow(principal, leaf, text)
        require_within(narrowed, str(scope.get("method", "GET")))
        return narrowed

    def identify(self, leaf: bytes) -> Principal:
        """The principal of a DER certificate, as of now.

        Raises `CredentialRefused` when it is no credential here, `CredentialUndecided` when nobody can say now; what is
        Busy or Broken on our side stays so.
        """
        fingerprint = hashlib.sha256(leaf).digest()
        # Read before the check: a revocation that comes while we check must not be covered by its answer.
        epoch = self._epoch()
        now_ms = self._clock.now_ms()
        cached = self._cache.get(fingerprint)
        if cached is not None and cached.epoch == epoch and now_ms < cached.good_until_ms:
            self._cache.move_to_end(fingerprint)
            return cached.principal
        self._cache.pop(fingerprint, None)
        credential = self._checked(leaf)
        if not credential.not_before_ms <= now_ms <= credential.not_after_ms:
            telemetry.CREDENTIALS_CHECKED.labels("refused").inc()
            raise CredentialRefused("the certificate is not valid at this time", found="outside its validity")
        principal = Principal.from_credential(credential)
        good_until_ms = min(credential.not_after_ms, credential.status_valid_until_ms)
        self._cache[fingerprint] = _Cached(epoch, good_until_ms, principal)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        telemetry.CREDENTIALS_CHECKED.labels("accepted").inc()
        return principal

    def _checked(self, leaf: bytes) -> Credential:
        try:
            return self._authenticate(leaf)
        except StatusIndeterminate as error:
            telemetry.CREDENTIALS_CHECKED.labels("undecided").inc()
            raise CredentialUndecided(error.detail, found=error.code) from error
        except _CALLER_IS_WRONG as error:
            telemetry.CREDENTIALS_CHECKED.labels("refused").inc()
            raise CredentialRefused(error.detail, expected=error.expected, found=error.code) from error
        except problems.ROOTS:
            telemetry.CREDENTIALS_CHECKED.labels("undecided").inc()
            raise


class Require:
    """A Litestar guard that lets in authenticated callers in one of `roles`, or in any role when none is named."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        """Raises `CredentialMissing`, `CredentialRefused` or `RoleNotAllowed`; closes a WebSocket with 4401 or 4403."""
        try:
            principal_of(connection.scope, *self.roles)
        except problems.ROOTS as error:
            if connection.scope["type"] == ScopeType.WEBSOCKET:
                raise WebSocketException(detail=error.code, code=4000 + problems.status_of(error)) from error
            raise


def require(*roles: Role) -> Require:
    """For `guards=[require(Role.FO, Role.CSO)]`; no role means any authenticated caller."""
    return Require(*roles)


def principal_of(scope: Scope, *roles: Role) -> Principal:
    """The caller, for handlers behind the guard and for raw ASGI handlers; raises as `Require` says."""
    state = scope.get("state", {})
    principal: Principal | None = state.get(STATE_PRINCIPAL)
    if principal is None:
        refusal = state.get(STATE_REFUSAL)
        if refusal is not None:
            raise refusal
        raise CredentialMissing("the resource needs a client certificate", expected="mutual TLS")
    if roles and principal.role not in roles:
        raise RoleNotAllowed(
            "the resource is for other roles",
            expected=", ".join(sorted(roles)),
            found=principal.role.value,
        )
    return principal


def still_good(scope: Scope) -> Callable[[], object]:
    """Asks anew, for answers that take long: it raises what identified the caller raises once it is refused."""
    found: Callable[[], object] | None = scope.get("state", {}).get(STATE_STILL)
    if found is None:
        raise CredentialMissing("the resource needs a client certificate", expected="mutual TLS")
    return found


def leaf_of(scope: Scope) -> bytes | None:
    """The DER leaf that the handshake verified, None where the client showed none."""
    tls: Any = (scope.get("extensions") or {}).get("tls")
    chain = tls.get("client_cert_chain") if tls else None
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None
