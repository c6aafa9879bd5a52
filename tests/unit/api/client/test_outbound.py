"""Where others' URLs lead: to public addresses, to the address that was judged, under the name that was asked for."""

import asyncio
import contextlib
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api import webhook
from api.client import outbound
from api.client.errors import AddressRefused, AnswerMalformed, HandshakeRefused, Unreachable, UrlRefused
from api.client.outbound import Outbound
from ledger.records import canonical, jws
from pki import keys
from tests.support.pages import Page
from tests.support.tls_files import Authority
from tests.support.vectors import REPOSITORY


@dataclass
class Heard:
    """What a receiver was asked, and what it answers."""

    hosts: list[str] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    pause_s: float = 0.0


@dataclass
class Place:
    """A receiver under TLS on the loopback interface."""

    port: int
    ca: Path
    heard: Heard


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    pair = authority.server()
    heard = Heard()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            heard.hosts.append(self.headers["host"])
            time.sleep(heard.pause_s)
            self.send_response(heard.status)
            for name, value in heard.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(heard.body)))
            with contextlib.suppress(OSError):  # who asked may be gone
                self.end_headers()
                self.wfile.write(heard.body)

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield Place(server.server_port, authority.pem, heard)
    server.shutdown()
    server.server_close()


@pytest.fixture
def heard(place: Place) -> Heard:
    fresh = Heard()
    place.heard.__dict__.update(fresh.__dict__)
    return place.heard


class Names:
    """A name server of the test's own."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _outbound(place: Place, names: Names, **changes: Any) -> Outbound:
    made: dict[str, Any] = {"allow": ("127.0.0.0/8",), "ca": place.ca, "timeout_s": 20.0, "resolve": names}
    return Outbound(**{**made, **changes})


@pytest_asyncio.fixture
async def sender(place: Place) -> AsyncIterator[tuple[Outbound, Names]]:
    names = Names(["127.0.0.1"])
    made = _outbound(place, names)
    yield made, names
    await made.close()


async def test_it_posts_to_the_address_under_the_name(
    place: Place, heard: Heard, sender: tuple[Outbound, Names]
) -> None:
    outbox, names = sender
    answer = await outbox.post(f"https://localhost:{place.port}/hook", b"x", "text/plain")
    assert (answer.status, answer.body) == (200, b"ok")
    assert heard.hosts == [f"localhost:{place.port}"]
    assert names.asked == ["localhost"]  # once


async def test_the_certificate_is_checked_for_the_name_even_where_the_address_was_reached_before(
    place: Place, heard: Heard, sender: tuple[Outbound, Names]
) -> None:
    outbox, _ = sender
    assert (await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")).status == 200
    with pytest.raises(HandshakeRefused):
        await outbox.post(f"https://receiver.example:{place.port}/", b"x", "text/plain")
    assert len(heard.hosts) == 1


async def test_a_redirect_is_an_answer_and_is_not_followed(
    place: Place, heard: Heard, sender: tuple[Outbound, Names]
) -> None:
    heard.status, heard.headers = 307, {"location": f"https://localhost:{place.port}/elsewhere"}
    outbox, _ = sender
    assert (await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")).status == 307
    assert len(heard.hosts) == 1


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["::ffff:127.0.0.1"], ["::1"]],
)
async def test_a_name_with_any_address_inside_is_not_posted_to(
    place: Place, heard: Heard, addresses: list[str]
) -> None:
    outbox = _outbound(place, Names(addresses), allow=())
    with pytest.raises(AddressRefused):
        await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")
    assert heard.hosts == []
    await outbox.close()


async def test_a_second_look_up_changes_nothing(place: Place, heard: Heard) -> None:
    """A name that is public when it is judged, and private when it is connected to, is connected to as it was judged."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    outbox = _outbound(place, names)
    assert (await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")).status == 200
    assert names.asked == ["localhost"]
    with pytest.raises(AddressRefused):
        await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")
    assert len(heard.hosts) == 1
    await outbox.close()


async def test_an_answer_that_is_too_large_or_too_late_is_none(place: Place, heard: Heard) -> None:
    outbox = _outbound(place, Names(["127.0.0.1"]))
    heard.body = b"x" * outbound.MAX_ANSWER_BYTES
    assert (await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")).status == 200
    heard.body += b"x"
    with pytest.raises(AnswerMalformed):
        await outbox.post(f"https://localhost:{place.port}/", b"x", "text/plain")
    await outbox.close()
    hasty = _outbound(place, Names(["127.0.0.1"]), timeout_s=0.2)
    heard.pause_s = 1.0
    with pytest.raises(Unreachable):
        await hasty.post(f"https://localhost:{place.port}/", b"x", "text/plain")
    await hasty.close()


class SlowNames:
    """The system's name service as an attacker's name server has it: it answers when it likes."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        if not self.may_answer.wait(30):
            raise OSError("nobody let it answer")
        if host == "nobody.example":
            raise socket.gaierror(-2, "no such name")
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%lo", port, 0, 0))]


async def test_a_slow_name_server_holds_no_thread_that_others_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    outbox = Outbound(timeout_s=0.05)
    many = [f"https://slow{number}.example/" for number in range(40)]
    told = await asyncio.gather(*(outbox.post(one, b"", "text/plain") for one in many), return_exceptions=True)
    assert {type(one) for one in told} == {Unreachable}
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 20) == "done"
    assert all(one.daemon for one in threading.enumerate() if one.name == "look-up"), "a service that stops waits"
    names.may_answer.set()
    await outbox.close()


async def test_a_name_that_is_being_looked_up_is_not_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    look_ups = outbound.LookUps()
    first = asyncio.ensure_future(look_ups.resolve("slow.example", 443))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    again = [asyncio.ensure_future(look_ups.resolve("slow.example", 443)) for _ in range(3)]
    await asyncio.sleep(0)
    names.may_answer.set()
    assert await asyncio.gather(*again) == [["fe80::1"]] * 3
    assert names.asked == ["slow.example"]
    assert await look_ups.resolve("slow.example", 443) == ["fe80::1"]
    assert names.asked == ["slow.example"] * 2
    with pytest.raises(OSError, match="no such name"):
        await look_ups.resolve("nobody.example", 443)


async def test_a_name_without_an_address_is_unreachable(place: Place) -> None:
    for answer in ([], ["not an address"]):
        outbox = _outbound(place, Names(answer))
        with pytest.raises(Unreachable):
            await outbox.post("https://nobody.example/", b"x", "text/plain")
        await outbox.close()


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", False),
        ("64:ff9b:1::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("192.88.99.1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
    ],
)
def test_what_is_public(text: str, public: bool) -> None:
    assert outbound.is_public(ipaddress.ip_address(text)) is public


def test_plain_http_is_for_the_loopback_interface_in_development() -> None:
    outside, inside = Outbound(timeout_s=1.0), Outbound(timeout_s=1.0, development=True)
    for url in ("http://localhost:8080/", "http://127.0.0.1:8080/", "http://[::1]:8080/"):
        inside.require_url(url)
        with pytest.raises((UrlRefused, AddressRefused)):
            outside.require_url(url)
    for url in ("http://receiver.example/", "http://10.0.0.1/", "http://93.184.216.34/"):
        with pytest.raises((UrlRefused, AddressRefused)):
            inside.require_url(url)
    # An allowed network is reached over TLS all the same.
    with pytest.raises(UrlRefused):
        Outbound(timeout_s=1.0, development=True, allow=("10.0.0.0/8",)).require_url("http://10.0.0.1/")


@pytest.mark.parametrize("length", [outbound.MAX_URL_CHARS, outbound.MAX_URL_CHARS + 1])
def test_a_url_has_a_greatest_length(length: int) -> None:
    url = "https://receiver.example/".ljust(length, "x")
    if length <= outbound.MAX_URL_CHARS:
        outbound.split(url)
    else:
        with pytest.raises(UrlRefused):
            outbound.split(url)


async def test_the_receiver_of_the_page_hears_each_event_once_and_believes_nobody_else() -> None:
    (block,) = Page(REPOSITORY / "docs" / "how-to" / "receive-webhooks.md").blocks("python")
    names: dict[str, Any] = {"__name__": "__page__"}
    exec(compile(block, "receive-webhooks.md", "exec"), names)  # noqa: S102 -- our own page
    key = keys.generate()
    certificate = _self_signed(key)
    told: list[int] = []
    handler = names["receiver"](certificate, "FI-AUR", "log.example", lambda event: told.append(event.index))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    outbox = Outbound(timeout_s=20.0, development=True)
    url = f"http://127.0.0.1:{server.server_port}/hook"

    async def post(signer: Any, *indices: int, challenge: str | None = None) -> tuple[int, bytes]:
        events = tuple(
            webhook.Event(index=one, type="fsr.issued", stream="fsr/a", seq=1, rec_ms=1, leaf_hash="0" * 64)
            for one in indices
        )
        claims = webhook.Claims(
            iss="FI-NGC",
            aud="FI-AUR",
            sub="hook-1",
            log="log.example",
            iat=int(time.time()),
            events=events,
            challenge=challenge,
        )
        header = {"typ": webhook.TYP, "x5t#S256": _x5t(certificate)}
        token = jws.sign(canonical.encode(claims), signer, header)
        answer = await outbox.post(url, token.encode(), webhook.MEDIA_TYPE)
        return answer.status, answer.body

    try:
        assert await post(key, challenge="again") == (200, b"again")
        assert await post(key, 1, 2) == (200, b"")
        assert await post(key, 2, 5) == (200, b"")
        assert (await post(keys.generate(), 9))[0] == 400
        assert told == [1, 2, 5]
    finally:
        await outbox.close()
        server.shutdown()
        server.server_close()


def _x5t(certificate: bytes) -> str:
    import hashlib

    return jws.encode_base64url(hashlib.sha256(certificate).digest())


def _self_signed(key: Any) -> bytes:
    import datetime as dt

    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "port")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


async def test_so_many_names_are_looked_up_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    monkeypatch.setattr(outbound, "MAX_LOOK_UPS", 3)
    look_ups = outbound.LookUps()
    waiting = [asyncio.ensure_future(look_ups.resolve(f"slow{number}.example", 443)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await look_ups.resolve("one-more.example", 443)
    names.may_answer.set()
    assert await asyncio.gather(*waiting) == [["fe80::1"]] * 3
    assert await look_ups.resolve("one-more.example", 443) == ["fe80::1"]
