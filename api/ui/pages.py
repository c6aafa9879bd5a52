"""The application behind the pages: who may ask, which page it is, and what is said when there is none.

It holds a party's TLS key and shows what that party may see, so it listens on the loopback interface only, answers
under a path that nobody can guess, and under no other host name than its own. It only reads, and changes nothing.
"""

import hmac
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from api.client.errors import AnswerMalformed, RemoteProblem
from api.ui import lists, show
from api.ui.asked import Asked
from api.ui.errors import HostUnexpected, PageAbsent
from api.ui.layout import HEADERS, Page, Place, render
from api.web import problems
from api.web.asgi import Receive, Scope, Send
from api.web.errors import MethodNotAllowed

MAX_PATH: Final = 1_024
MAX_SEGMENTS: Final = 3
MAX_QUERY: Final = 1_024
PAGE_SIZE: Final = "50"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""The report is one file that carries its style along, also in its pictures."""
_ANSWER_UNFIT: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What showing an answer raises that lacks what it should have, or has too deep inside: the service is a stranger's."""
_OBJECTS: Final = {
    "contracts": ("Contract", "/v1/contracts"),
    "sites": ("Site", "/v1/sites"),
    "checks": ("Check", "/v1/checks"),
    "claims": ("Claim", "/v1/claims"),
    "credentials": ("Credential", "/v1/credentials"),
}


class Pages:
    """The application; `secret` is the first segment of every path."""

    def __init__(
        self, asked: Asked, *, secret: str, hosts: frozenset[str], reader: str, service: str, origin: str
    ) -> None:
        """`hosts` are the values of the Host header under which it answers."""
        self._asked = asked
        self._secret = secret
        self._hosts = hosts
        self._about = (reader, service, origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; every failure is a page too."""
        del receive
        if scope["type"] != "http":
            return
        try:
            place = Place(self._enter(scope), *self._about)
        except problems.ROOTS as error:
            # Whoever does not know the secret is told nothing of whose pages these are.
            await problems.send_problem(error, scope, send)
            return
        try:
            status, headers, body = await self._answer(place, _query(scope))
        except problems.ROOTS as error:
            status, headers, body = _problem(error, place)
        except _ANSWER_UNFIT:
            status, headers, body = _problem(AnswerMalformed("a member is missing, or is no such thing"), place)
        await _send(send, status, headers, b"" if scope["method"] == "HEAD" else body, len(body))

    def _enter(self, scope: Scope) -> tuple[str, ...]:
        """The path below the secret; raises for whoever may not ask."""
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"), "")
        if host not in self._hosts:
            raise HostUnexpected(
                "the pages answer under their own address only", expected=", ".join(sorted(self._hosts))
            )
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("pages are read", allow=("GET", "HEAD"))
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        first, *segments = path.removeprefix("/").split("/")
        if not hmac.compare_digest(first.encode("latin-1"), self._secret.encode()) or len(path) > MAX_PATH:
            raise PageAbsent("no such page")
        if segments == [""]:
            return ()
        # The first page's address ends in a stroke and no other does: links are relative.
        if not segments or len(segments) > MAX_SEGMENTS or not all(segments):
            raise PageAbsent("no such page")
        return tuple(unquote(segment) for segment in segments)

    async def _answer(self, place: Place, query: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        match place.segments:
            case ("requests", fsr_id, "report"):
                html = (await self._asked.request(fsr_id)).html
                return HTTPStatus.OK, {**HEADERS, "content-security-policy": _REPORT_POLICY}, html.encode()
            case ("requests", fsr_id, "record"):
                return _download((await self._asked.request(fsr_id)).data, "application/json", "record.json")
            case ("entries", index, "receipt"):
                receipt = (await self._asked.entry(_index(index))).receipt
                return _download(receipt, "text/plain; charset=utf-8", f"entry-{index}.tlog-proof")
        page = await self._page(place, query)
        return page.status, HEADERS, render(page, place)

    async def _page(self, place: Place, query: Mapping[str, str]) -> Page:
        match place.segments:
            case ():
                return show.home(await self._asked.home(), place)
            case ("entries",):
                return show.entry(await self._asked.entry(_index(query.get("index", ""))), place)
            case ("entries", index):
                return show.entry(await self._asked.entry(_index(index)), place)
            case ("requests", fsr_id):
                return await self._request(fsr_id, place)
            case ("streams", kind, name):
                before = {"before": query["before"]} if "before" in query else {}
                answer = await self._asked.listed(_path("/v1/streams", kind, name), {"limit": PAGE_SIZE, **before})
                return show.stream(answer, place)
            case (name,) if name in lists.LISTS:
                return await self._list(name, place, query)
            case (kind, name) if kind in _OBJECTS:
                title, path = _OBJECTS[kind]
                return show.named(f"{title} {name}", await self._asked.one(path, name))
        raise PageAbsent("no such page")

    async def _list(self, name: str, place: Place, query: Mapping[str, str]) -> Page:
        listing = lists.LISTS[name]
        asked = {key: value for key, value in query.items() if value and key in (*listing.filters, listing.paged_by)}
        limit = {} if name == "claims" else {"limit": PAGE_SIZE}
        return lists.page(listing, await self._asked.listed(listing.path, {**limit, **asked}), place, asked)

    async def _request(self, fsr_id: str, place: Place) -> Page:
        view = await self._asked.one("/v1/requests", fsr_id)
        logged = await self._asked.listed(_path("/v1/requests", fsr_id, "log"), {"limit": PAGE_SIZE})
        try:
            verified, unverified = await self._asked.request(fsr_id), ""
        except problems.ROOTS as error:
            # What was asked for is there; that it could not be verified is the first thing that the page says.
            verified, unverified = None, f"{error.code}: {error}"
        return show.request(view, logged, verified, unverified, place)


def _problem(error: problems.CodedError, place: Place) -> tuple[int, Mapping[str, str], bytes]:
    status = error.status if isinstance(error, RemoteProblem) else problems.status_of(error)
    return status, HEADERS, render(show.problem(error, status), place)


def _path(path: str, *names: str) -> str:
    return "/".join((path, *(quote(name, safe="") for name in names)))


def _index(text: str) -> int:
    if not _INDEX.fullmatch(text):
        raise PageAbsent("an entry has a number", expected="a decimal number", found=text[:32])
    return int(text)


def _query(scope: Scope) -> dict[str, str]:
    raw = scope.get("query_string", b"")
    if len(raw) > MAX_QUERY:
        raise PageAbsent("the query is too long", expected=f"at most {MAX_QUERY} bytes", found=len(raw))
    return dict(parse_qsl(raw.decode("latin-1"), max_num_fields=16))


def _download(data: bytes, media_type: str, name: str) -> tuple[int, Mapping[str, str], bytes]:
    headers = {
        **HEADERS,
        "content-type": media_type,
        "content-disposition": f'attachment; filename="{name}"',
    }
    return HTTPStatus.OK, headers, data


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes, length: int) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": raw})
    await send({"type": "http.response.body", "body": body})
