"""Posting to services that are not ours: witnesses, time-stamping authorities, receivers of webhooks."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx2

from api.client.bounds import Body, Patience, refuse_encoded
from api.client.errors import HandshakeRefused, Unreachable
from api.client.http import KEEP_ALIVE_S, MAX_CONNECTIONS, TIMEOUT_S, Answer, in_words, no_cookies, tls_reason
from api.client.tls import client_context


class Posting:
    """Posts to anybody's URL and gives back what came, whatever the status; for services that are not ours."""

    def __init__(self, *, ca: Path | str | None, max_answer_bytes: int, timeout_s: float = TIMEOUT_S) -> None:
        """With `ca`, only its authorities are believed; without, those of the system. Redirects are not followed."""
        context = ssl.create_default_context() if ca is None else client_context(ca)
        self._max_answer_bytes = max_answer_bytes
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            verify=context,
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
            cookies=no_cookies(),
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
        # Decoding would be paid by everybody who is served by this process: none is asked for, and none is done.
        headers = {**headers, "accept-encoding": "identity"}
        patience = Patience(self._timeout_s, len(body))
        try:
            async with (
                asyncio.timeout(patience.left_s()),
                self._client.stream("POST", url, content=body, headers=headers, extensions=extensions) as response,
            ):
                answered = {name.lower(): value for name, value in response.headers.items()}
                refuse_encoded(answered)
                got = Body(answered, self._max_answer_bytes)
                async for chunk in response.aiter_raw():
                    got.feed(chunk)
        except (httpx2.TransportError, httpx2.InvalidURL, ssl.SSLError, TimeoutError) as error:
            reason = tls_reason(error)
            if reason is not None:
                raise HandshakeRefused("TLS was refused", found=reason) from error
            raise Unreachable("the service did not answer", found=in_words(error)) from error
        return Answer(response.status_code, answered, got.whole())

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._client.aclose()
