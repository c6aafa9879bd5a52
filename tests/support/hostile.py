"""A server that answers with exactly the octets that it is told to, over TLS or not, and for as long as it is told to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.tls_files import Authority

Chunks = Callable[[], Iterable[bytes]]
"""What is sent to each request, piece by piece; it may have no end."""

PAUSE_S = 0.02


class Hostile:
    """Where it is, what it was asked, and what it answers next."""

    def __init__(self, port: int, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.port = port
        self.heard: list[bytes] = []
        self.chunks: Chunks = list
        self.sent = 0
        self.ended = threading.Event()

    def says(self, *pieces: bytes) -> None:
        """The same to each request, and then it hangs up."""
        self.chunks = lambda: pieces

    def answers(self, status: str = "200 OK", body: bytes = b"{}", **headers: str) -> None:
        """A whole answer, with a length."""
        self.says(head(status, content_length=str(len(body)), **headers) + body)

    def endless(self, first: bytes, again: bytes, *, pause_s: float = 0.0) -> None:
        """`first`, and then `again` for ever, each after a pause."""

        def chunks() -> Iterator[bytes]:
            yield first
            while not self.ended.wait(pause_s):
                yield again

        self.chunks = chunks


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


@contextmanager
def serving(tls: Path | None, *, address: str = "127.0.0.1", latest: ssl.TLSVersion | None = None) -> Iterator[Hostile]:
    """A server with a certificate for 127.0.0.1 of the authority in the folder `tls`; over plain TCP without one."""
    listening = socket.create_server((address, 0))
    context = None
    if tls is not None:
        pair = Authority(tls).server()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if latest is not None:
            context.maximum_version = latest
    hostile = Hostile(listening.getsockname()[1], "http" if context is None else "https")
    threads = [threading.Thread(target=_accept, args=(listening, context, hostile), daemon=True)]
    threads[0].start()
    try:
        yield hostile
    finally:
        hostile.ended.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        threads[0].join(5)


def _accept(listening: socket.socket, context: ssl.SSLContext | None, hostile: Hostile) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_speak, args=(connection, context, hostile), daemon=True).start()


def _speak(connection: socket.socket, context: ssl.SSLContext | None, hostile: Hostile) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(10)
        wrapped = connection if context is None else context.wrap_socket(connection, server_side=True)
        with wrapped:
            heard = b""
            while b"\r\n\r\n" not in heard:
                heard += (piece := wrapped.recv(65_536))
                if not piece:
                    return
            hostile.heard.append(heard)
            for piece in hostile.chunks():
                wrapped.sendall(piece)
                hostile.sent += len(piece)
                if hostile.ended.is_set():
                    return
