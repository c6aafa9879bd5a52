"""`flexledger serve`: the service under TLS, with its listener for charging stations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from api import engines, telemetry, webhook
from api.app import create_app, probes
from api.cli import failures, ready
from api.client.errors import Unreachable
from api.client.outbound import Outbound
from api.client.posting import Posting
from api.engines import Engines
from api.errors import ApiError
from api.execution.errors import StationRefused
from api.execution.ocpp.access import StationIdentity, server_context
from api.execution.ocpp.limits import Limits
from api.execution.ocpp.listener import StationListener
from api.flows.service import directory_of, open_service
from api.flows.stamping import QUERY, AskAuthority
from api.flows.webhooks import Answered
from api.settings import Settings, load
from api.verification.actors import Directory
from api.web import server
from api.web.asgi import Application
from api.web.routes.health import ops_app
from api.web.routes.status import plain_app
from ledger.clock import MS_PER_S, SystemClock
from ledger.errors import LedgerError
from ledger.witness import gather
from ledger.witness.gather import HttpAnswer, Post, WitnessUnreachable
from pki.asn1.timestamp import MAX_RESPONSE_BYTES
from pki.errors import PkiError
from pki.roles import Purpose, Role


def run(config: Path, *, ready_file: Path | None) -> int:
    """Exit code 0 after a signal, 2 if the service cannot start."""
    import os

    try:
        settings = load(config, os.environ)
        telemetry.configure()
        server.run(_serve(settings, ready_file))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"cannot start: {failures.told(error)}", err=True)
        return 2
    return 0


async def _serve(settings: Settings, ready_file: Path | None) -> None:
    # A log that was begun is opened, never begun again, and its vault has to be there.
    opened = engines.open_engines(settings, create=not engines.is_begun(settings))
    directory = directory_of(opened)
    listener = station_listener(settings, opened, directory)
    async with (
        asking(settings) as ask,
        posting(settings) as poster,
        stamping(settings) as stamp,
        open_service(settings, opened, listener, directory=directory, ask=ask, poster=poster, stamp=stamp) as service,
    ):

        def started(bound: server.Bound, status_port: int | None) -> None:
            where = {
                "host": bound.host,
                "port": bound.port,
                "ops_port": bound.ops_port,
                "ocpp_port": listener.bound_port if listener is not None and service.is_serving_stations else None,
                "status_port": status_port,
                "origin": settings.origin,
                "vkey": opened.log_keys.vkeys()[-1],
            }
            ready.tell(where, ready_file)
            server.settle()

        assembled, stop = create_app(service), asyncio.Event()
        directory.on_evidence(assembled.connections.review)
        async with status_listener(settings, assembled.app, stop) as status_port:
            await server.serve(
                assembled.app,
                settings,
                connections=assembled.connections,
                on_started=lambda bound: started(bound, status_port),
                ops_app=ops_app(probes(service)),
                stop=stop,
                on_stopping=service.feed.close,
            )


@asynccontextmanager
async def status_listener(settings: Settings, app: Application, stop: asyncio.Event) -> AsyncIterator[int | None]:
    """The plain listener for revocation status while it lasts, and its port; None where the settings ask for none."""
    place = settings.status_listen
    if place is None:
        yield None
        return
    accepting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        server.serve_plain(
            plain_app(app),
            host=place.host,
            port=place.port,
            on_started=lambda _host, port: accepting.set_result(port),
            stop=stop,
        )
    )
    try:
        await asyncio.wait((accepting, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # raises what kept it from starting
        yield accepting.result()
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Post | None]:
    """How witnesses are asked over HTTP, where the settings name any."""
    if settings.witnesses is None:
        yield None
        return
    posting = Posting(
        ca=settings.witnesses.ca,
        max_answer_bytes=gather.MAX_ANSWER_OCTETS,
        timeout_s=settings.witnesses.timeout_ms / MS_PER_S,
    )

    async def post(url: str, request: bytes) -> HttpAnswer:
        try:
            answer = await posting.post(url, request, "text/plain; charset=utf-8")
        except ApiError as error:
            raise WitnessUnreachable(error.detail, found=error.found) from error
        return HttpAnswer(answer.status, answer.headers.get("content-type", ""), answer.body)

    try:
        yield post
    finally:
        await posting.close()


@asynccontextmanager
async def stamping(settings: Settings) -> AsyncIterator[AskAuthority | None]:
    """How time-stamping authorities are asked over HTTP, where the settings name any."""
    wanted = settings.timestamps
    if wanted is None:
        yield None
        return
    posting = Posting(ca=wanted.ca, max_answer_bytes=MAX_RESPONSE_BYTES, timeout_s=wanted.timeout_ms / MS_PER_S)

    async def ask(url: str, query: bytes) -> tuple[int, str, bytes]:
        # The timeout of the library is for each step; a server that drips octets must end as well.
        try:
            answer = await asyncio.wait_for(posting.post(url, query, QUERY), wanted.timeout_ms / MS_PER_S)
        except TimeoutError:
            raise Unreachable("no answer in time", expected=f"{wanted.timeout_ms} ms") from None
        return answer.status, answer.headers.get("content-type", ""), answer.body

    try:
        yield ask
    finally:
        await posting.close()


class Receivers:
    """How webhooks' receivers are reached over HTTP."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def require_url(self, url: str) -> None:
        """Raises `UrlRefused`, `AddressRefused`."""
        self._outbound.require_url(url)

    async def post(self, url: str, body: bytes) -> Answered:
        """The receiver's answer; raises as `Outbound.post`."""
        answer = await self._outbound.post(url, body, webhook.MEDIA_TYPE)
        return Answered(answer.status, answer.body, answer.headers.get("retry-after"))


@asynccontextmanager
async def posting(settings: Settings) -> AsyncIterator[Receivers | None]:
    """How webhooks are posted, where the settings want any."""
    if settings.webhooks is None:
        yield None
        return
    outbound = Outbound(
        allow=settings.webhooks.allow,
        ca=settings.webhooks.ca,
        timeout_s=settings.webhooks.timeout_ms / MS_PER_S,
        development=settings.development,
    )
    try:
        yield Receivers(outbound)
    finally:
        await outbound.close()


def station_listener(settings: Settings, opened: Engines, directory: Directory) -> StationListener | None:
    """The listener for stations (OCPP 2.1, security profile 3), where the settings ask for one.

    `directory` is the service's own, so that a station's revocation counts here at once.
    """
    place = settings.ocpp_listen
    if place is None:
        return None
    clock = SystemClock()

    def authenticate(leaf: bytes, _chain: object) -> StationIdentity:
        credential = directory.validate(leaf, clock.now_ms(), purpose=Purpose.TLS_CLIENT, roles=(Role.STATION,))
        if credential.party_id != settings.signing.party or credential.station_id is None:
            raise StationRefused("the station belongs to another operator", expected=settings.signing.party)
        return StationIdentity(credential.station_id)

    return StationListener(
        host=place.host,
        port=place.port,
        clock=opened.clock,
        ssl_context=server_context(place.certificate, place.key, place.client_ca, tls_1_2=place.tls_1_2),
        limits=Limits(max_connections=place.max_connections),
        authenticate=authenticate,
        origins=place.allowed_origins,
    )
