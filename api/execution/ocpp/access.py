"""Who may connect: the identity of a station from its certificate or password, against the path it asks for.

Security profile 3 of OCPP: the station's client certificate is its identity. What a good certificate is, `pki` knows;
it comes in as a callable. Profile 2 (TLS and a password) and plain WebSocket on loopback are for development and tests.
"""

import base64
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from api.errors import ApiError
from api.execution.errors import StationCrossSite, StationPathUnknown, StationRefused
from ledger import plain_file
from pki.errors import PkiError

PATH_PREFIX = "/ocpp/"
MAX_STATION_ID = 48
TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """Who a credential says the station is."""

    station_id: str


Authenticate = Callable[[bytes, Sequence[bytes]], StationIdentity | Awaitable[StationIdentity]]
CheckPassword = Callable[[str, str], StationIdentity | Awaitable[StationIdentity]]


def server_context(
    certificate: Path, key: Path, client_authorities: Path, password: str | None = None, *, tls_1_2: bool = False
) -> ssl.SSLContext:
    """A TLS context for security profile 3: a client certificate under `client_authorities` is required.

    TLS 1.3, under which nobody who listens sees which station it is. With `tls_1_2` also 1.2, for stations that have
    no other, with ephemeral keys and authenticated encryption only.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if tls_1_2 else ssl.TLSVersion.TLSv1_3
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.load_cert_chain(plain_file.require(certificate), plain_file.require(key), password)
    context.load_verify_locations(plain_file.require(client_authorities))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def station_of(path: str) -> str:
    """The station id in `/ocpp/{station_id}`. Raises `StationPathUnknown`."""
    name = unquote(path.removeprefix(PATH_PREFIX)) if path.startswith(PATH_PREFIX) else ""
    if not 1 <= len(name) <= MAX_STATION_ID or not name.isascii() or not name.isprintable() or set(name) & set("/?#: "):
        raise StationPathUnknown("not a station's path", expected=f"{PATH_PREFIX}{{station_id}}")
    return name


def peer_chain(connection: ServerConnection) -> tuple[bytes, ...]:
    """The verified client certificates in DER, leaf first; empty without TLS or without a client certificate."""
    tls = connection.transport.get_extra_info("ssl_object")
    leaf = None if tls is None else tls.getpeercert(binary_form=True)
    if leaf is None:
        return ()
    # `get_verified_chain` is public from Python 3.13 on; before, only the inner object has it.
    inner = tls if hasattr(tls, "get_verified_chain") else tls._sslobj  # noqa: SLF001
    chain = tuple(
        c if isinstance(c, bytes) else ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in inner.get_verified_chain()
    )
    return chain or (leaf,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorkeeper:
    """Decides about one connection.

    A browser opens a WebSocket to anywhere for whatever page it shows, with the certificate that it holds, and no
    same-origin policy hides the answers. It always says `Origin` (RFC 6455 section 4.1), which stations do not.
    With `authenticate` a client certificate is demanded; else with `check_password` HTTP Basic; else, which is for
    tests on loopback only, the path itself is believed.
    """

    authenticate: Authenticate | None = None
    check_password: CheckPassword | None = None
    origins: frozenset[str] = frozenset()
    """What may be said as `Origin`, by stations whose software says one."""

    async def admit(self, connection: ServerConnection, request: Request) -> str:
        """The station's id. Raises `StationCrossSite`, `StationRefused` (403), `StationPathUnknown` (404)."""
        if not self.origins.issuperset(request.headers.get_all("Origin")):
            raise StationCrossSite("a page asks in a browser", expected="no Origin, or one of the settings")
        station_id = station_of(request.path)
        identity = await self._identify(connection, request, station_id)
        if identity.station_id != station_id:
            raise StationRefused("the credential names another station", expected=identity.station_id, found=station_id)
        return station_id

    async def _identify(self, connection: ServerConnection, request: Request, station_id: str) -> StationIdentity:
        if self.authenticate is not None:
            chain = peer_chain(connection)
            if not chain:
                raise StationRefused("no client certificate")
            try:
                return await _resolved(self.authenticate(chain[0], chain[1:]))
            except (PkiError, ApiError) as error:
                raise StationRefused("the certificate was refused", found=error.code) from error
        if self.check_password is not None:
            user, password = _basic(request)
            if user != station_id:
                raise StationRefused("the user is not the station of the path")
            try:
                return await _resolved(self.check_password(user, password))
            except (PkiError, ApiError) as error:
                raise StationRefused("the password was refused", found=error.code) from error
        return StationIdentity(station_id)


async def _resolved(answer: StationIdentity | Awaitable[StationIdentity]) -> StationIdentity:
    return answer if isinstance(answer, StationIdentity) else await answer


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode("ascii").partition(":")
    except ValueError as error:  # not base64, or not ASCII before or after it
        raise StationRefused("the Authorization header is malformed") from error
    if scheme.lower() != "basic" or not colon:
        raise StationRefused("HTTP Basic authentication is required")
    return user, password
