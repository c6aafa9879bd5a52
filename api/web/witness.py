"""The witness over HTTP (c2sp.org/tlog-witness): one resource, plain bytes in and out, and a probe."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from api.web.asgi import Application, Receive, Scope, Send
from ledger.errors import Broken, Busy, LedgerError
from ledger.witness import cosign
from ledger.witness.cosign import Answer, Witness

ADD_CHECKPOINT: Final = "/add-checkpoint"
LIVEZ: Final = "/livez"
TEXT: Final = "text/plain; charset=utf-8"
BODY_TIMEOUT_S: Final = 10.0
"""For the whole body of a request: a sender of one octet a second holds no place for longer."""

TOO_LARGE: Final = 413
TIMED_OUT: Final = 408
METHOD_NOT_ALLOWED: Final = 405
NO_SUCH_RESOURCE: Final = 404

log = structlog.get_logger()


def witness_app(witness: Witness, *, prefix: str = "") -> Application:
    """The application of a witness whose submission prefix ends in `prefix`; it keeps nothing between requests."""
    paths = {prefix + ADD_CHECKPOINT: "POST", prefix + LIVEZ: "GET"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method = paths.get(scope["path"])
        if method is None:
            await _send(send, NO_SUCH_RESOURCE, TEXT, b"no such resource\n")
        elif scope["method"] != method:
            await _send(send, METHOD_NOT_ALLOWED, TEXT, b"method not allowed\n", allow=method)
        elif method == "GET":
            await _send(send, cosign.OK, TEXT, b"alive\n")
        else:
            await _answer(witness.add_checkpoint, receive, send)

    return app


async def _answer(add_checkpoint: Callable[[bytes], Answer], receive: Receive, send: Send) -> None:
    try:
        request = await asyncio.wait_for(_body(receive), BODY_TIMEOUT_S)
    except TimeoutError:
        await _send(send, TIMED_OUT, TEXT, b"the body did not come in time\n")
        return
    if request is None:
        await _send(send, TOO_LARGE, TEXT, f"at most {cosign.MAX_REQUEST_OCTETS} octets\n".encode())
        return
    try:
        # Checking costs milliseconds and storing a sync of the medium: neither is the event loop's business.
        answer = await asyncio.to_thread(add_checkpoint, request)
    except (Busy, Broken) as error:
        await _unavailable(send, error)
        return
    log.info("add-checkpoint", status=answer.status)
    await _send(send, answer.status, answer.content_type, answer.body)


async def _unavailable(send: Send, error: LedgerError) -> None:
    """The memory could not be asked or moved, so nothing was cosigned."""
    log.error("witness's memory failed", code=error.code)
    is_busy = isinstance(error, Busy)
    await _send(
        send, 503 if is_busy else 500, TEXT, f"{error.code}\n".encode(), **({"retry_after": "1"} if is_busy else {})
    )


async def _body(receive: Receive) -> bytes | None:
    """The body, or None once it is longer than any request may be."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > cosign.MAX_REQUEST_OCTETS:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _send(send: Send, status: int, media_type: str, body: bytes, **more: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
