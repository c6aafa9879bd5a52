"""Posting to addresses that others name: only to public ones, over TLS, never where a redirect or a name server leads.

The name is looked up here, every address that it has is judged, and the connection goes to an address that was judged:
a second look-up could answer otherwise. The certificate is checked for the name.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from api.client.errors import AddressRefused, Unreachable, UrlRefused
from api.client.http import Answer
from api.client.posting import Posting

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_CHARS: Final = 1_024
MAX_ANSWER_BYTES: Final = 4_096
_TRANSLATED: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""NAT64 (RFC 6052, RFC 8215): an IPv4 address stands in them, and a gateway decides where it leads."""
_RETIRED: Final = (ipaddress.ip_network("fec0::/10"), ipaddress.ip_network("192.88.99.0/24"))
"""Site-local (RFC 3879) and 6to4 relays (RFC 7526): given up, and where they still lead, it is not to the internet."""


class Outbound:
    """Posts to receivers; with `development`, to plain HTTP on the loopback interface too."""

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        ca: Path | None = None,
        timeout_s: float,
        development: bool = False,
        resolve: Resolve | None = None,
    ) -> None:
        self._allow = tuple(ipaddress.ip_network(one) for one in allow)
        self._development = development
        self._resolve = resolve or LookUps().resolve
        self._timeout_s = timeout_s
        self._posting = Posting(ca=ca, max_answer_bytes=MAX_ANSWER_BYTES, timeout_s=timeout_s)

    def require_url(self, url: str) -> None:
        """Raises `UrlRefused`, or `AddressRefused` where the host is an address; a name is judged when it is used."""
        parts = split(url)
        if parts.scheme != "https" and not (self._development and parts.scheme == "http"):
            raise UrlRefused("not posted to", expected="https", found=parts.scheme)
        literal = _literal(parts.hostname or "")
        if literal is not None:
            self._require(literal, parts.scheme)
        elif parts.scheme == "http" and parts.hostname != "localhost":
            raise UrlRefused("plain HTTP goes to the loopback interface only", expected="https")

    async def post(self, url: str, body: bytes, media_type: str) -> Answer:
        """The answer with any status; a redirect is one, and is not followed.

        Raises `UrlRefused`, `AddressRefused`, `Unreachable`, `HandshakeRefused` or `AnswerMalformed`.
        """
        self.require_url(url)
        parts = split(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(self._timeout_s):
                found = [ipaddress.ip_address(one) for one in await self._resolve(host, port)]
        except (OSError, ValueError, UnicodeError):  # a TimeoutError is an OSError
            raise Unreachable("the host has no address", found="no answer from the name service") from None
        if not found:
            raise Unreachable("the host has no address", found="none")
        for address in found:
            # All of them: whoever answers with a public and a private one is not posted to at all.
            self._require(address, parts.scheme)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._posting.post_to(str(found[0]), url, body, media_type)
        except TimeoutError:
            raise Unreachable("the receiver took too long", expected=f"{self._timeout_s} s") from None

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._posting.close()

    def _require(self, address: Address, scheme: str) -> None:
        inner = _inner(address)
        if self._development and inner.is_loopback:
            return
        if scheme == "http":
            raise UrlRefused("plain HTTP goes to the loopback interface only", expected="https")
        if any(inner.version == network.version and inner in network for network in self._allow):
            return
        if not is_public(address):
            raise AddressRefused("the address is not public", expected="a public address, or one that is allowed")


def split(url: str) -> SplitResult:
    """The parts of a URL that hides nothing; raises `UrlRefused`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("not a URL", expected="https://host/path") from None
    odd = not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > MAX_URL_CHARS
    if odd or parts.username is not None or parts.password is not None or parts.fragment or not parts.hostname:
        raise UrlRefused("not posted to", expected="https://host/path, without user, password and fragment")
    if port == 0:
        raise UrlRefused("no such port", expected="1 to 65535")
    return parts


def is_public(address: Address) -> bool:
    """Whether the address is one of the whole internet, whatever it is written inside of."""
    inner = _inner(address)
    if any(inner.version == network.version and inner in network for network in (*_TRANSLATED, *_RETIRED)):
        return False
    if isinstance(inner, ipaddress.IPv6Address) and (inner.sixtofour is not None or inner.teredo is not None):
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def _inner(address: Address) -> Address:
    """The IPv4 address that is mapped into an IPv6 one; else the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


MAX_LOOK_UPS: Final = 256
"""Names that are looked up at a time, each on a thread: who asks for ever new slow ones waits with its receivers."""


class LookUps:
    """Asks the system's name service, on threads of its own.

    A look-up cannot be ended, and somebody else's name server decides how long it takes. So none is made on a thread
    that others wait for, nothing that stops waits for one, and a name that is being looked up is not looked up again.
    """

    def __init__(self) -> None:
        """None is under way."""
        self._under_way: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses; raises OSError, also where too many are under way, or UnicodeError."""
        looking = self._under_way.get((host, port))
        if looking is None:
            if len(self._under_way) >= MAX_LOOK_UPS:
                raise OSError("too many names are being looked up")
            loop = asyncio.get_running_loop()
            looking = self._under_way[host, port] = loop.create_future()
            looking.add_done_callback(lambda done: self._ended(host, port, done))
            threading.Thread(target=_look_up, args=(loop, looking, host, port), name="look-up", daemon=True).start()
        return await asyncio.shield(looking)

    def _ended(self, host: str, port: int, done: "asyncio.Future[list[str]]") -> None:
        del self._under_way[host, port]
        if not done.cancelled():
            done.exception()  # whoever waited has it; nobody may wait any longer


def _look_up(loop: asyncio.AbstractEventLoop, looking: "asyncio.Future[list[str]]", host: str, port: int) -> None:
    found: list[str] | Exception
    try:
        asked = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [str(one[4][0]).partition("%")[0] for one in asked]
    except (OSError, UnicodeError) as error:
        found = error
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(_tell, looking, found)


def _tell(looking: "asyncio.Future[list[str]]", found: list[str] | Exception) -> None:
    if looking.done():
        return
    if isinstance(found, Exception):
        looking.set_exception(found)
    else:
        looking.set_result(found)
