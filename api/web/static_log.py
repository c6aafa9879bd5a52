"""A static copy of a log over HTTP (c2sp.org/tlog-tiles): its files by their names, and nothing else of the folder.

A path is parsed as the name of a tile before any file is looked for, so there is no other file that a path could reach;
nor is there by way of a link, which a copy of a stranger's may bring along, if it leads out of the folder.
Files go out as they are read, some at a time, so a slow receiver holds little memory; one that takes nothing is cut off
by the transport.
"""

import asyncio
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from api.web import conditional, problems
from api.web.asgi import Application, Receive, Scope, Send
from api.web.encoding import GZIP, accepts_gzip
from api.web.errors import MethodNotAllowed, RequestMalformed, RouteUnknown
from ledger import plain_file
from ledger.mirror import GZIP_SUFFIX
from ledger.reader import CHECKPOINT_FILE, VKEY_FILE
from ledger.tlog import layout
from ledger.tlog.errors import TileMalformed

TEXT: Final = "text/plain; charset=utf-8"
OCTETS: Final = "application/octet-stream"
METHODS: Final = ("GET", "HEAD")
CHUNK_OCTETS: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Resource:
    """What a path names: a file below the folder, and how it may be kept."""

    name: str
    media_type: str
    cache_control: str
    is_bundle: bool = False


def static_app(directory: Path) -> Application:
    """The application of a static copy; what `flexledger mirror update` does to the folder is served at once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive  # No request here has a body.
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        resource = _resource(scope["path"])
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            # The rest of a body would keep the connection for as long as it is being sent.
            await problems.send_problem(RequestMalformed("no body is taken here"), scope, send, more_body=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif resource is None:
            await problems.send_problem(_unknown(), scope, send)
        elif scope["method"] not in METHODS:
            await problems.send_problem(MethodNotAllowed("files are read only", allow=METHODS), scope, send)
        else:
            await _answer(directory, resource, headers, scope, send)

    return app


def _unknown() -> RouteUnknown:
    return RouteUnknown("no such file of a log", expected="/checkpoint, /vkey, or a tile that the tree has")


def _headers(scope: Scope) -> Mapping[str, str]:
    """The request's headers; several of one name are a list (RFC 9110 section 5.3)."""
    found: dict[str, str] = {}
    for name, value in ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]):
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _resource(path: str) -> _Resource | None:
    name = path.removeprefix("/")
    if name in (CHECKPOINT_FILE, VKEY_FILE):
        return _Resource(name, TEXT, conditional.REVALIDATE)
    try:
        tile = layout.parse_path(name)
    except TileMalformed:
        return None
    cache = conditional.IMMUTABLE if tile.width == layout.TILE_WIDTH else conditional.REVALIDATE
    return _Resource(tile.path, OCTETS, cache, is_bundle=tile.level is None)


async def _answer(directory: Path, resource: _Resource, headers: Mapping[str, str], scope: Scope, send: Send) -> None:
    wants_gzip = resource.is_bundle and accepts_gzip(headers.get("accept-encoding", ""))
    names = [resource.name + GZIP_SUFFIX] if wants_gzip else []
    found = await asyncio.to_thread(_open_first, directory, [*names, resource.name])
    if found is None:
        await problems.send_problem(_unknown(), scope, send)
        return
    name, file, octets, tag = found
    with file:
        answer = {"etag": tag, "cache-control": resource.cache_control, "content-type": resource.media_type}
        if resource.is_bundle:
            answer["vary"] = "accept-encoding"
        if name != resource.name:
            answer["content-encoding"] = GZIP
        if conditional.matches(headers.get("if-none-match", ""), tag):
            await _start(send, 304, answer)
            return
        answer["content-length"] = str(octets)
        if scope["method"] == "HEAD":
            await _start(send, 200, answer)
            return
        await _start(send, 200, answer, more_body=True)
        await _send_file(file, octets, send)


async def _start(send: Send, status: int, headers: Mapping[str, str], *, more_body: bool = False) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if not more_body:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_file(file: BinaryIO, octets: int, send: Send) -> None:
    """All that was announced; a file that became shorter ends the connection, so nobody takes it for whole."""
    left = octets
    while left:
        data = await asyncio.to_thread(file.read, min(left, CHUNK_OCTETS))
        if not data:
            return
        left -= len(data)
        await send({"type": "http.response.body", "body": data, "more_body": left > 0})


def _open_first(directory: Path, names: list[str]) -> tuple[str, BinaryIO, int, str] | None:
    """The first of the files that is there: its name, itself, its length, and the tag of what is in it now."""
    for name in names:
        try:
            file = plain_file.opened(_within(directory, name))
        except OSError:
            continue
        found = os.fstat(file.fileno())
        return name, file, found.st_size, f'"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"'
    return None


def _within(directory: Path, name: str) -> Path:
    """Where the file really stands; raises OSError if it is not there, or a link to it leads out of the folder."""
    try:
        real = (directory / name).resolve(strict=True)
        is_within = real.is_relative_to(directory.resolve(strict=True))
    except RuntimeError as error:
        raise OSError(errno.ELOOP, "links in a circle") from error
    if not is_within:
        raise OSError(errno.EXDEV, "a link that leads out of the folder")
    return real
