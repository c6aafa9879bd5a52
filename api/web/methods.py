"""HEAD and OPTIONS for every resource, and no act at the word of another site: no handler has to think of them."""

from typing import Final

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.utils import normalize_path

from api.web import problems
from api.web.asgi import Application, Message, Receive, Scope, Send
from api.web.errors import CrossSite

STATE_METHOD: Final = "method"
"""In the state: the method that the client used."""

_NO_METHOD: Final = "-"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_BROWSERS: Final = frozenset({b"origin", b"sec-fetch-site"})


class HeadAsGet:
    """HEAD is GET without the body (RFC 9110 section 9.3.2)."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks for the GET and lets only the head of its answer pass."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: the server must go on knowing that it was a HEAD.
        scope.setdefault("state", {})[STATE_METHOD] = "HEAD"
        await self._app({**scope, "method": "GET"}, receive, send_head)


class NoCrossSite:
    """A browser shows its certificate to whoever's page it runs; so what it sends for a page only reads.

    Browsers say `Origin` with every POST and DELETE, and `Sec-Fetch-Site` with every request; no page is served here
    from which one could come. Who is no browser says neither.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses whatever could change something and comes from a page; passes on everything else."""
        changes = scope["type"] == "http" and scope["method"] not in _READING
        if changes and any(name in _OF_BROWSERS for name, _ in scope["headers"]):
            error = CrossSite("a page asks in a browser", expected="a client of the party's own")
            await problems.send_problem(error, scope, send)
            return
        await self._app(scope, receive, send)


class Options:
    """OPTIONS names what a resource takes; the framework's own answer names the first handler's methods only."""

    def __init__(self, app: Application, framework: Litestar) -> None:
        self._app = app
        self._framework = framework

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers OPTIONS with 204 and `Allow`; passes on everything else, unknown paths included."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            allow = self._allow(scope["path"])
            if allow is not None:
                await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        await self._app(scope, receive, send)

    def _allow(self, path: str) -> str | None:
        try:
            # No resource has this method, so a known one answers with those that it has.
            self._framework.asgi_router.handle_routing(path=normalize_path(path), method=_NO_METHOD)
        except HTTPException as error:
            return ", ".join(problems.allowed(error.headers)) if error.status_code == 405 else None
        return None
