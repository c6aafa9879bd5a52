"""Conditional requests (RFC 9110 section 13) for resources whose bytes are known."""

import asyncio
import gzip
import hashlib
from typing import Any, Final

from litestar.connection import Request
from litestar.response import Response

from api.web.encoding import GZIP, accepts_gzip

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""A full tile or an entry never changes."""
REVALIDATE: Final = "public, no-cache"
"""A checkpoint or a partial tile may change: keep it, and ask each time whether it did."""
PRIVATE: Final = "private, no-cache"
"""What one party sees may be kept by that party alone."""

MAX_TAGS: Final = 50
GZIP_LEVEL: Final = 6


def etag(data: bytes) -> str:
    """The strong entity tag of these bytes."""
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def matches(if_none_match: str, tag: str) -> bool:
    """True if the header names the tag; by weak comparison (RFC 9110 section 13.1.2), of at most `MAX_TAGS` tags."""
    if if_none_match.strip() == "*":
        return True
    return any(part.strip().removeprefix("W/") == tag for part in if_none_match.split(",")[:MAX_TAGS])


def respond(
    request: Request[Any, Any, Any],
    data: bytes,
    *,
    media_type: str,
    cache_control: str = IMMUTABLE,
    tag: str | None = None,
) -> Response[bytes]:
    """The bytes with their tag, or 304 without them when the caller has them already."""
    found = tag or etag(data)
    headers = {"etag": found, "cache-control": cache_control}
    wanted = request.headers.get("if-none-match")
    if wanted is not None and matches(wanted, found):
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    return Response(data, headers=headers, media_type=media_type)


async def respond_packed(
    request: Request[Any, Any, Any], data: bytes, *, media_type: str, cache_control: str = IMMUTABLE
) -> Response[bytes]:
    """As `respond`, in gzip for whoever asks for that; each form has a tag of its own, and caches are told of both."""
    is_packed = accepts_gzip(request.headers.get("accept-encoding", ""))
    tag = etag(data)
    tag = f'{tag[:-1]}-{GZIP}"' if is_packed else tag
    response = respond(request, data, media_type=media_type, cache_control=cache_control, tag=tag)
    response.set_header("vary", "accept-encoding")
    if is_packed and response.status_code != 304:
        response.content = await asyncio.to_thread(gzip.compress, data, GZIP_LEVEL, mtime=0)
        response.set_header("content-encoding", GZIP)
    return response
