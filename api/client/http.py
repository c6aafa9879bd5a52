"""The one file that knows the HTTP library: mutual TLS, kept connections, bounded retries, problems as errors."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
import msgspec

from api.client.errors import AnswerMalformed, HandshakeRefused, RemoteProblem, Unreachable
from api.client.tls import client_context
from api.errors import ApiError
from api.wire import PROBLEM_MEDIA_TYPE, Problem

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 << 20
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE_S: Final = 60.0
HTTP_ERRORS: Final = 400
"""Where the status codes of errors begin."""

Kind = TypeVar("Kind")

_RETRIED: Final = frozenset({429, 503})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_MAX_CAUSES: Final = 16


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
            raise AnswerMalformed("the answer does not fit", found=str(error)) from None
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
        if retry_after is not None and retry_after.isdigit():
            wanted = float(retry_after)
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
        self.base_url = base_url.rstrip("/")
        self._retry = retry
        self._sleep = sleep
        self._client = httpx2.Client(**_options(self.base_url, client_context(ca, cert, key), timeout_s))

    def request(self, wanted: Request) -> Answer:
        """The answer; raises `RemoteProblem`, `Unreachable`, `HandshakeRefused` or `AnswerMalformed`."""
        attempt = 1
        while True:
            outcome: Answer | _Failed
            try:
                with self._client.stream(
                    wanted.method, wanted.path, content=wanted.body, headers=dict(wanted.headers)
                ) as response:
                    body = bytearray()
                    for chunk in response.iter_bytes():
                        _grow(body, chunk)
                    outcome = _outcome(response, bytes(body))
            except (httpx2.TransportError, httpx2.DecodingError, ssl.SSLError) as error:
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
        self.base_url = base_url.rstrip("/")
        self._retry = retry
        self._sleep = sleep
        self._client = httpx2.AsyncClient(**_options(self.base_url, client_context(ca, cert, key), timeout_s))

    async def request(self, wanted: Request) -> Answer:
        """The answer; raises `RemoteProblem`, `Unreachable`, `HandshakeRefused` or `AnswerMalformed`."""
        attempt = 1
        while True:
            outcome: Answer | _Failed
            try:
                async with self._client.stream(
                    wanted.method, wanted.path, content=wanted.body, headers=dict(wanted.headers)
                ) as response:
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        _grow(body, chunk)
                    outcome = _outcome(response, bytes(body))
            except (httpx2.TransportError, httpx2.DecodingError, ssl.SSLError) as error:
                outcome = _failed(error, wanted)
            if isinstance(outcome, Answer):
                return outcome
            pause_s = self._retry.pause_s(attempt, outcome.retry_after) if outcome.again else None
            if pause_s is None:
                raise outcome.error
            await self._sleep(pause_s)
            attempt += 1

    async def download(self, wanted: Request, write: Callable[[bytes], object]) -> Answer:
        """The answer without its body, which went to `write` piece by piece, however large it is. Asked once.

        Raises what `request` raises; where something was written before, it is not the whole.
        """
        try:
            async with self._client.stream(
                wanted.method, wanted.path, content=wanted.body, headers=dict(wanted.headers)
            ) as response:
                if response.status_code < HTTP_ERRORS:
                    async for chunk in response.aiter_bytes():
                        write(chunk)
                    outcome = _outcome(response, b"")
                else:
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        _grow(body, chunk)
                    outcome = _outcome(response, bytes(body))
        except (httpx2.TransportError, httpx2.DecodingError, ssl.SSLError) as error:
            outcome = _failed(error, wanted)
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

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


class Posting:
    """Posts to anybody's URL and gives back what came, whatever the status; for services that are not ours."""

    def __init__(self, *, ca: Path | str | None, max_answer_bytes: int, timeout_s: float = TIMEOUT_S) -> None:
        """With `ca`, only its authorities are believed; without, those of the system. Redirects are not followed."""
        context = ssl.create_default_context() if ca is None else client_context(ca)
        self._max_answer_bytes = max_answer_bytes
        self._client = httpx2.AsyncClient(
            verify=context,
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S),
        )

    async def post(self, url: str, body: bytes, media_type: str) -> Answer:
        """The answer with any status; raises `Unreachable`, `HandshakeRefused` or `AnswerMalformed`."""
        return await self._post(url, body, {"content-type": media_type}, {})

    async def post_to(self, address: str, url: str, body: bytes, media_type: str) -> Answer:
        """The same over a connection to this IP address, whatever a name server says; TLS asks for the URL's own host.

        The connection ends with the answer: the next post to this address may be for another host that shares it.
        """
        wanted = httpx2.URL(url)
        headers = {"content-type": media_type, "host": wanted.netloc.decode("ascii"), "connection": "close"}
        pinned = str(wanted.copy_with(host=address))
        return await self._post(pinned, body, headers, {"sni_hostname": wanted.host})

    async def _post(self, url: str, body: bytes, headers: dict[str, str], extensions: dict[str, Any]) -> Answer:
        got = bytearray()
        try:
            async with self._client.stream(
                "POST", url, content=body, headers={**headers, "accept-encoding": "identity"}, extensions=extensions
            ) as response:
                async for chunk in response.aiter_bytes():
                    got += chunk
                    if len(got) > self._max_answer_bytes:
                        raise AnswerMalformed("the answer is too large", expected=f"<= {self._max_answer_bytes} bytes")
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.DecodingError, ssl.SSLError) as error:
            reason = _tls_reason(error)
            if reason is not None:
                raise HandshakeRefused("TLS was refused", found=reason) from error
            raise Unreachable("the service did not answer", found=_in_words(error)) from error
        answered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, answered, bytes(got))

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._client.aclose()


@dataclass(frozen=True, slots=True)
class _Failed:
    error: ApiError
    again: bool
    retry_after: str | None = None


def _options(base_url: str, context: ssl.SSLContext, timeout_s: float) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "verify": context,
        "timeout": timeout_s,
        "trust_env": False,
        "follow_redirects": False,
        "limits": httpx2.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_S,
        ),
    }


def _grow(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerMalformed("the answer is too large", expected=f"at most {MAX_ANSWER_BYTES} bytes")


def _outcome(response: httpx2.Response, body: bytes) -> Answer | _Failed:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status_code < HTTP_ERRORS:
        return Answer(response.status_code, headers, body)
    error = _problem(response.status_code, headers.get("content-type", ""), body)
    return _Failed(error, response.status_code in _RETRIED, headers.get("retry-after"))


def _problem(status: int, media_type: str, body: bytes) -> ApiError:
    if media_type.partition(";")[0].strip() != PROBLEM_MEDIA_TYPE:
        return AnswerMalformed("the service failed without saying why", expected=PROBLEM_MEDIA_TYPE, found=status)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, RecursionError):
        return AnswerMalformed("the problem is malformed", found=status)
    wrong = "; ".join(f"{item.pointer or 'body'}: {item.detail}" for item in problem.errors)
    return RemoteProblem(
        problem.detail,
        code=problem.code,
        status=status,
        title=problem.title,
        instance=problem.instance,
        expected=problem.expected or wrong or None,
        found=problem.found,
        where=problem.where,
        body=body,
    )


def _failed(error: httpx2.RequestError | ssl.SSLError, wanted: Request) -> _Failed:
    reason = _tls_reason(error)
    if reason is not None:
        return _Failed(HandshakeRefused("TLS was refused", found=reason), again=False)
    if isinstance(error, httpx2.DecodingError):
        return _Failed(AnswerMalformed("the answer cannot be decompressed"), again=False)
    # Where the connection was never made, nothing was asked.
    never_asked = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    failure = Unreachable("the service did not answer", found=_in_words(error))
    return _Failed(failure, again=never_asked or wanted.may_repeat)


def _in_words(error: Exception) -> str:
    """What became of the connection, without the names of a library."""
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return "no connection"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "not an address"
    return "the connection broke"


def _tls_reason(error: BaseException) -> str | None:
    """OpenSSL's reason somewhere among the causes; TLS 1.3 tells a client only when it first reads."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return None
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{cause.reason}: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return cause.reason or "unknown"
        cause = cause.__cause__ or cause.__context__
    return None
