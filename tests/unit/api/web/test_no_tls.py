"""Who speaks something else to a TLS port hears so at once: the time that a handshake may take is a minute."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import uvloop

from api.web.tls import server_context
from tests.support.tls_files import Authority

PATIENCE_S = 20
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


async def heard(folder: Path, said: bytes) -> bytes:
    """All that a listener answers to `said`, until it closes the connection or the client would."""
    authority = Authority(folder)
    server = authority.server()
    context = server_context(server.cert, server.key, authority.pem, False)
    listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
    async with listener:
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname()[:2])
        writer.write(said)
        answer = await asyncio.wait_for(reader.read(4096), PATIENCE_S)
        writer.close()
        return answer


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_plain_http_at_a_tls_port_is_answered_in_plain_http(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        answer = runner.run(heard(tmp_path, b"GET /checkpoint HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    problem = msgspec.json.decode(body)
    assert (problem["code"], problem["status"], "https" in problem["detail"]) == ("api/request-malformed", 400, True)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_what_is_neither_http_nor_tls_is_cut_at_once(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(heard(tmp_path, b"hello\r\n\r\n")) == b""
