"""A service as clients see it: mutual TLS, kept connections, bounded retries and answers, problems as errors."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from api import wire
from api.client import problem
from api.client.bounds import GZIP, Body, Patience, PatientSocket, refuse_encoded, retry_after_s, shown
from api.client.errors import AnswerMalformed, HandshakeRefused, Unreachable, UrlRefused
from api.client.tls import client_context
from api.errors import ApiError

TIMEOUT_S: Final = 45.0
"""For each step of an exchange; `bounds.Patience` bounds the whole of it.

Longer than a service waits for its database (`store.patience_s`, 30): its 503 says more than silence does.
"""
MAX_ANSWER_BYTES: Final = 64 << 20
MAX_DOWNLOAD_BYTES: Final = 1 << 40
MAX_PATH: Final = 8_192
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE_S: Final = 60.0
HTTP_ERRORS: Final = 400
"""Where the status codes of errors begin."""

Kind = TypeVar("Kind")

_RETRIED: Final = frozenset({429, 503})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_MAX_CAUSES: Final = 16
_CAUGHT: Final = (httpx2.TransportError, httpx2.InvalidURL, ssl.SSLError)
_NO_REFUSAL: Final = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)
"""What OpenSSL calls an error and is none: the end, and that more has to come first."""
_ANSWERS: Final = frozenset({200, 201, 202, 204})
_UNCHANGED: Final = 304


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `idempotent` says that asking twice is asking once, as for a signed statement with its id."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False

    @property
    def may_repeat(self) -> bool:
        """True if it may be sent again when nobody knows whether it was acted on."""
        return self.idempotent or self.method in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with a status below 400."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises `AnswerMalformed`."""
        return self.decode(Any)

    def decode(self, kind: type[Kind]) -> Kind:
        """The body as `kind`; raises `AnswerMalformed`."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError as error:
            wrong = wire.invalid(str(error))
            place = {"pointer": shown(wrong.pointer)} if wrong.pointer else {}
            raise AnswerMalformed("the answer does not fit", expected=wrong.detail, **place) from None
        except UnicodeDecodeError:
            raise AnswerMalformed("the answer does not fit", expected="well-formed JSON in UTF-8") from None
        except RecursionError:
            raise AnswerMalformed("the answer is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long to try again; `Retry-After` is honoured up to `max_pause_s`."""

    attempts: int = 4
    first_pause_s: float = 0.2
    max_pause_s: float = 20.0

    def pause_s(self, attempt: int, retry_after: str | None) -> float | None:
        """Seconds before attempt number `attempt + 1`; None if there is to be none."""
        if attempt >= self.attempts:
            return None
        wanted = retry_after_s(retry_after)
        if wanted is not None:
            return wanted if wanted <= self.max_pause_s else None
        return min(self.first_pause_s * 2.0 ** (attempt - 1), self.max_pause_s)


NO_RETRY: Final = Retry(attempts=1)


class Transport:
    """A service, as seen by one caller: connections are kept, and every answer is below 400 or an error."""

    def __init__(
        self,
        base_url: str,
        *,
        ca: Path | str,
        cert: Path | str | None = None,
        key: Path | str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = Retry(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = require_service(base_url).rstrip("/")
        self._retry = retry
        self._sleep = sleep
        self._timeout_s = timeout_s
        context = client_context(ca, cert, key)
        context.sslsocket_class = PatientSocket
        self._client = httpx2.Client(**_options(self.base_url, context, timeout_s))

    def request(self, wanted: Request) -> Answer:
        """The answer; raises `RemoteProblem`, `Unreachable`, `HandshakeRefused`, `AnswerMalformed` or `UrlRefused`."""
        attempt = 1
        while True:
            outcome: Answer | _Failed
            patience = Patience(self._timeout_s, len(wanted.body or b""))
            try:
                with patience.kept(), self._client.stream(**_asked(wanted)) as response:
                    reading = _Reading(response, wanted)
                    for chunk in response.iter_raw():
                        patience.came(len(chunk))
                        reading.body.feed(chunk)
                    outcome = reading.outcome()
            except _CAUGHT as error:
                outcome = _failed(error, wanted)
            if isinstance(outcome, Answer):
                return outcome
            pause_s = self._retry.pause_s(attempt, outcome.retry_after) if outcome.again else None
            if pause_s is None:
                raise outcome.error
            self._sleep(pause_s)
            attempt += 1

    def close(self) -> None:
        """Closes every kept connection."""
        self._client.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()


class AsyncTransport:
    """`Transport` for asyncio."""

    def __init__(
        self,
        base_url: str,
        *,
        ca: Path | str,
        cert: Path | str | None = None,
        key: Path | str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = Retry(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.base_url = require_service(base_url).rstrip("/")
        self._retry = retry
        self._sleep = sleep
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(**_options(self.base_url, client_context(ca, cert, key), timeout_s))

    async def request(self, wanted: Request) -> Answer:
        """The answer; raises `RemoteProblem`, `Unreachable`, `HandshakeRefused`, `AnswerMalformed` or `UrlRefused`."""
        attempt = 1
        while True:
            outcome: Answer | _Failed
            try:
                async with self._reading(wanted) as (reading, chunks):
                    async for chunk in chunks:
                        reading.body.feed(chunk)
                    outcome = reading.outcome()
            except (*_CAUGHT, TimeoutError) as error:
                outcome = _failed(error, wanted)
            if isinstance(outcome, Answer):
                return outcome
            pause_s = self._retry.pause_s(attempt, outcome.retry_after) if outcome.again else None
            if pause_s is None:
                raise outcome.error
            await self._sleep(pause_s)
            attempt += 1

    async def download(self, wanted: Request, write: Callable[[bytes], object]) -> Answer:
        """The answer without its body, which went to `write` piece by piece, up to `MAX_DOWNLOAD_BYTES`. Asked once.

        Raises what `request` raises; where something was written before, it is not the whole.
        """
        plain = replace(wanted, headers={**wanted.headers, "accept-encoding": "identity"})
        outcome: Answer | _Failed
        try:
            async with self._reading(plain) as (reading, chunks):
                if reading.is_refusal:
                    async for chunk in chunks:
                        reading.body.feed(chunk)
                else:
                    refuse_encoded(reading.headers)
                    octets = 0
                    async for chunk in chunks:
                        octets += len(chunk)
                        if octets > MAX_DOWNLOAD_BYTES:
                            raise AnswerMalformed(
                                "the answer is too large", expected=f"at most {MAX_DOWNLOAD_BYTES} bytes"
                            )
                        write(chunk)
                outcome = reading.outcome()
        except (*_CAUGHT, TimeoutError) as error:
            outcome = _failed(error, wanted)
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    @asynccontextmanager
    async def _reading(self, wanted: Request) -> AsyncIterator[tuple["_Reading", AsyncIterator[bytes]]]:
        """The answer's head, and its octets as they come; TimeoutError where the whole of it takes too long."""
        patience = Patience(self._timeout_s, len(wanted.body or b""))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(patience.left_s()) as until, self._client.stream(**_asked(wanted)) as response:

            async def chunks() -> AsyncIterator[bytes]:
                async for chunk in response.aiter_raw():
                    patience.came(len(chunk))
                    until.reschedule(loop.time() + patience.left_s())
                    yield chunk

            yield _Reading(response, wanted), chunks()

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.close()


@dataclass(frozen=True, slots=True)
class _Failed:
    error: ApiError
    again: bool
    retry_after: str | None = None


def no_cookies() -> CookieJar:
    """A jar that forgets whatever a server puts in: who is speaking stands in the certificate alone."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _options(base_url: str, context: ssl.SSLContext, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "verify": context,
        "timeout": timeout_s,
        "trust_env": False,
        "follow_redirects": False,
        "cookies": no_cookies(),
        "limits": httpx2.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_S,
        ),
    }


class _Reading:
    """An answer that is being read: what it may be is clear from its head."""

    def __init__(self, response: httpx2.Response, wanted: Request) -> None:
        """Raises `AnswerMalformed` for a status that nobody here waits for; redirects are not followed."""
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.is_refusal = self.status >= HTTP_ERRORS
        is_asked = self.status in _ANSWERS or (self.status == _UNCHANGED and "if-none-match" in wanted.headers)
        if not (is_asked or self.is_refusal):
            raise AnswerMalformed("an answer that was not asked for", expected="200 to 204", found=self.status)
        self.body = Body(self.headers, problem.MAX_PROBLEM_BYTES if self.is_refusal else MAX_ANSWER_BYTES)

    def outcome(self) -> "Answer | _Failed":
        """What it comes to, once all of it is there."""
        body = self.body.whole()
        if not self.is_refusal:
            return Answer(self.status, self.headers, body)
        error = problem.read(self.status, self.headers.get("content-type", ""), body)
        return _Failed(error, self.status in _RETRIED, self.headers.get("retry-after"))


def require_service(url: str) -> str:
    """The address of a service; raises `UrlRefused` unless it is https, or plain http on the loopback interface."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("not a URL", expected="https://host:port") from None
    hidden = parts.username is not None or parts.password is not None or parts.query or parts.fragment
    if hidden or not (url.isascii() and url.isprintable()) or not parts.hostname or port == 0:
        raise UrlRefused("no address of a service", expected="https://host:port")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        # Whoever is on the way would read every code and every answer.
        raise UrlRefused("no service is asked over this", expected="https", found=shown(parts.scheme))
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _asked(wanted: Request) -> dict[str, Any]:
    """What the library is told; raises `UrlRefused` for a path that leads elsewhere."""
    path = wanted.path
    if not path.startswith("/") or path.startswith("//") or not path.isascii() or len(path) > MAX_PATH:
        raise UrlRefused("no path of a service", expected=f"/..., in ASCII, at most {MAX_PATH} characters")
    headers = {"accept-encoding": GZIP, **wanted.headers}
    return {"method": wanted.method, "url": path, "content": wanted.body, "headers": headers}


def _failed(error: Exception, wanted: Request) -> _Failed:
    reason = tls_reason(error)
    if reason is not None:
        return _Failed(HandshakeRefused("TLS was refused", found=reason), again=False)
    if isinstance(error, httpx2.InvalidURL):
        return _Failed(UrlRefused("no address of a service", expected="https://host:port"), again=False)
    # Where the connection was never made, nothing was asked.
    never_asked = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    failure = Unreachable("the service did not answer", found=in_words(error))
    return _Failed(failure, again=never_asked or wanted.may_repeat)


def in_words(error: Exception) -> str:
    """What became of the connection, without the names of a library."""
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return "no connection"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "no answer in time"
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "not an address"
    return "the connection broke"


def tls_reason(error: BaseException) -> str | None:
    """OpenSSL's reason somewhere among the causes; TLS 1.3 tells a client only when it first reads."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return None
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{cause.reason}: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _NO_REFUSAL):
            return cause.reason or "unknown"
        cause = cause.__cause__ or cause.__context__
    return None
