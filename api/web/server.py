"""Runs the service: the main TLS listener and the plain operations listener, until a signal says stop."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn

from api import telemetry
from api.settings import Settings
from api.web import tls, transport
from api.web.asgi import Application
from api.web.connections import Connections
from api.web.errors import ListenerFailed
from api.web.tls import server_context

KEEP_ALIVE_S: Final = 75
"""A handshake costs as much as twelve requests, so clients are let keep their connections."""
GRACE_S: Final = 10
"""How long requests may go on after the signal."""
BACKLOG: Final = 1_024
PLAIN_CONNECTIONS: Final = 256
"""At once on a listener that knows nobody."""
MAX_FRAME_OCTETS: Final = 1 << 20
"""Of one WebSocket message."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the listeners really are."""

    host: str
    port: int
    ops_host: str | None
    ops_port: int | None


async def serve(
    app: Application,
    settings: Settings,
    *,
    on_started: Callable[[Bound], None],
    ops_app: Application | None = None,
    stop: asyncio.Event | None = None,
    on_stopping: Callable[[], None] = lambda: None,
    connections: Connections | None = None,
) -> None:
    """Serves until SIGTERM, SIGINT or `stop`; then accepts nothing more, lets requests end, and returns.

    `on_started` is called once both listeners accept, `on_stopping` when they begin to stop, so that answers without an
    end come to one. Raises OSError or ssl.SSLError when a certificate or a key cannot be used, and `ListenerFailed`
    when an address is taken or the application does not start. `connections` learns of every connection that shows a
    certificate.
    """
    stop = stop or asyncio.Event()
    listen, ops = settings.listen, settings.ops_listen
    context = server_context(listen.certificate, listen.key, listen.client_ca, listen.require_client_cert)
    protocol = transport.http_protocol(connections)
    main = _config(app, listen.host, listen.port, protocol, lifespan="on", ssl_context_factory=lambda *_: context)
    servers = [_Server(main)]
    if ops_app is not None:
        servers.append(_Server(_config(ops_app, ops.host, ops.port, transport.http_protocol(), lifespan="off")))
    with _stop_on_signals(stop):
        tasks: list[asyncio.Task[None]] = []
        try:
            for server in servers:
                tasks.append(asyncio.create_task(server.serve()))
                await _until_started(server, tasks[-1])
            bound = Bound(*servers[0].address(), *(servers[1].address() if ops_app is not None else (None, None)))
            telemetry.log.info("serving", host=bound.host, port=bound.port, ops_port=bound.ops_port)
            on_started(bound)
            await _until_any(asyncio.ensure_future(stop.wait()), *tasks)
        finally:
            on_stopping()
            for server in servers:
                server.should_exit = True
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    telemetry.log.info("stopped")


async def serve_plain(
    app: Application,
    *,
    host: str,
    port: int,
    on_started: Callable[[str, int], None],
    certificate: Path | None = None,
    key: Path | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves one application without client certificates until a signal or `stop`; under TLS with a certificate.

    `on_started` is told the address once it accepts. Raises as `serve` does.
    """
    stop = stop or asyncio.Event()
    more: dict[str, Any] = {}
    if certificate is not None and key is not None:
        context = tls.public_context(certificate, key)
        more["ssl_context_factory"] = lambda *_: context
    listener = _Server(
        _config(app, host, port, transport.http_protocol(), lifespan="off", limit_concurrency=PLAIN_CONNECTIONS, **more)
    )
    with _stop_on_signals(stop):
        task = asyncio.create_task(listener.serve())
        try:
            await _until_started(listener, task)
            on_started(*listener.address())
            await _until_any(asyncio.ensure_future(stop.wait()), task)
        finally:
            listener.should_exit = True
            (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException):
        raise result


async def serve_local(
    app: Application, listening: socket.socket, *, on_started: Callable[[], None], stop: asyncio.Event | None = None
) -> None:
    """Serves one application without TLS on a socket that is bound already, until a signal or `stop`.

    `on_started` is called once it accepts. Raises `ListenerFailed`.
    """
    stop = stop or asyncio.Event()
    listener = _Server(
        _config(app, "local", 0, transport.http_protocol(), lifespan="off", limit_concurrency=PLAIN_CONNECTIONS)
    )
    with _stop_on_signals(stop):
        task = asyncio.create_task(listener.serve(sockets=[listening]))
        try:
            await _until_started(listener, task)
            on_started()
            await _until_any(asyncio.ensure_future(stop.wait()), task)
        finally:
            listener.should_exit = True
            (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException):
        raise result


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on uvloop, or on asyncio's own loop where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def settle() -> None:
    """What the start has made stays, and the garbage collector no longer looks at it.

    A full collection of a service that has read its log stops every connection for tenths of a second.
    """
    gc.collect()
    gc.freeze()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it accepts, and leaves the signals to `serve`: there are two of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit as error:
            # uvicorn has logged why. Raised in a task, its SystemExit would tear down the whole event loop.
            raise ListenerFailed("the listener did not start; the log says why", host=self.config.host) from error
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def address(self) -> tuple[str, int]:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return host, port


def _config(app: Application, host: str, port: int, protocol: type[asyncio.Protocol], **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        ws_max_size=MAX_FRAME_OCTETS,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        **more,
    )


async def _until_started(server: _Server, task: asyncio.Task[None]) -> None:
    await _until_any(asyncio.ensure_future(server.accepting.wait()), task)
    if not server.accepting.is_set():
        await task
        raise ListenerFailed("the listener stopped before it started", host=server.config.host)


async def _until_any(waiting: asyncio.Future[Any], *others: asyncio.Future[Any]) -> None:
    """Waits for the first; what is waited for only here is then given up."""
    try:
        await asyncio.wait((waiting, *others), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


@contextlib.contextmanager
def _stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Sets `stop` on SIGTERM and SIGINT, where this thread may handle signals."""
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # RuntimeError: not the main thread, as in tests; NotImplementedError: Windows.
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
