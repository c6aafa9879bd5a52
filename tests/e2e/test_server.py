"""The server starts whole or says why not, and stops when it is told to, with every answer given."""

import asyncio
import dataclasses
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from api.client.http import NO_RETRY, AsyncTransport, Request
from api.settings import Listen, OpsListen, Pki, Settings, Signing, Vault
from api.web import server
from api.web.errors import ListenerFailed
from tests.support.tls_files import Authority


@dataclasses.dataclass
class App:
    """A plain ASGI application with a slow answer."""

    fails_to_start: bool = False
    asked: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    go_on: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    stopped: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            if self.fails_to_start:
                await send({"type": "lifespan.startup.failed", "message": "no"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopped = True
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.asked.set()
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _settings(folder: Path, authority: Authority, *, port: int = 0) -> Settings:
    pair = authority.server()
    return Settings(
        origin="test.example/log",
        data_dir=folder,
        log_key=folder,
        listen=Listen(port=port, certificate=pair.cert, key=pair.key, client_ca=authority.pem),
        ops_listen=OpsListen(port=0),
        pki=Pki(anchors=folder, issuers_dir=folder, crl_dir=folder),
        signing=Signing(certificate=folder, key=folder, party="FCSBE"),
        vault=Vault(dir=folder, kek=folder),
    )


async def test_a_signal_stops_it_and_a_request_in_flight_gets_its_answer(tmp_path: Path, authority: Authority) -> None:
    app = App()
    bound: asyncio.Future[server.Bound] = asyncio.get_running_loop().create_future()
    kept = signal.signal(signal.SIGTERM, lambda *_: None)  # so that a failure here does not end the test run
    try:
        serving = asyncio.create_task(server.serve(app, _settings(tmp_path, authority), on_started=bound.set_result))
        port = (await bound).port
        async with AsyncTransport(f"https://127.0.0.1:{port}", ca=authority.pem, retry=NO_RETRY) as caller:
            asking = asyncio.create_task(caller.request(Request("GET", "/")))
            await app.asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert not serving.done()
            app.go_on.set()
            assert (await asking).body == b"done"
        await asyncio.wait_for(serving, 10)
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert app.stopped


async def test_an_address_that_is_taken_is_an_error(tmp_path: Path, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = _settings(tmp_path, authority, port=taken.getsockname()[1])
        with pytest.raises(ListenerFailed, match="did not start"):
            await server.serve(App(), settings, on_started=lambda _: pytest.fail("it never started"))


async def test_an_application_that_does_not_start_is_an_error(tmp_path: Path, authority: Authority) -> None:
    settings = _settings(tmp_path, authority)
    with pytest.raises(ListenerFailed, match="did not start"):
        await server.serve(App(fails_to_start=True), settings, on_started=lambda _: pytest.fail("it never started"))


async def test_a_certificate_that_cannot_be_used_is_an_error(tmp_path: Path, authority: Authority) -> None:
    settings = _settings(tmp_path, authority)
    settings.listen.certificate.write_text("not a certificate")
    with pytest.raises(OSError, match="PEM"):
        await server.serve(App(), settings, on_started=lambda _: pytest.fail("it never started"))
