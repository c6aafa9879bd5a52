"""P14 and P15: an OCSP answer, fresh and cached, and the look-up of a revocation among many."""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue
from threading import Thread
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from api.cli.demo import cast
from api.web.server import serve_plain
from pki import ocsp
from pki.asn1 import ocsp as octets
from pki.ceremony import Ceremony
from pki.crl import CheckedCrl
from pki.responder import Responder
from pki.roles import Group, Purpose
from tests.bench.frame import Pair, Row, Scale, repeated, speed
from tests.support import house as houses
from tests.support import pki_world

FEW = 10


@contextmanager
def _fresh(scale: Scale) -> Iterator[Pair]:
    responder, question, at_ms = _asked(scale, with_nonce=True)
    key, how, message = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256()), bytes(300)
    times = scale.of(2_000, 300)
    yield Pair(
        repeated(lambda: responder.answer(question.der, at_ms), times), repeated(lambda: key.sign(message, how), times)
    )


@contextmanager
def _cached(scale: Scale) -> Iterator[Pair]:
    responder, question, at_ms = _asked(scale, with_nonce=False)
    times = scale.of(20_000, 3_000)
    yield Pair(
        repeated(lambda: responder.answer(question.der, at_ms), times),
        repeated(lambda: octets.parse_request(question.der), times),
    )


def _asked(scale: Scale, *, with_nonce: bool) -> tuple[Responder, ocsp.Question, int]:
    world = scale.shared("pki world", pki_world.perform)
    responder = Responder(world.made.hierarchy.authorities())
    responder.rotate(world.tls_at_ms)
    serial = world.made.parties["FI-AUR"].credentials[Purpose.TLS_CLIENT].certificate.serial_number
    question = ocsp.ask(world.made.hierarchy.issuing[Group.FO].certificate, (serial,), with_nonce=with_nonce)
    if responder.answer(question.der, world.tls_at_ms).status is not octets.ResponseStatus.SUCCESSFUL:
        raise AssertionError("the answer that is measured is none")
    return responder, question, world.tls_at_ms


@contextmanager
def _over_http(scale: Scale) -> Iterator[Pair]:
    """A service on a loop in a thread of its own, asked over one connection that stays open; no TLS, as for status."""
    made = scale.shared("house", houses.perform)
    serial = made.parties[cast.FO].credentials[Purpose.TLS_CLIENT].certificate.serial_number
    question = ocsp.ask(made.hierarchy.issuing[Group.FO].certificate, (serial,), with_nonce=False)
    path = f"/pki/ocsp/{quote(base64.b64encode(question.der).decode(), safe='')}"
    with _served(scale.fresh(), made) as port, closing(HTTPConnection("127.0.0.1", port, timeout=30)) as asking:

        def get(place: str) -> bytes:
            asking.request("GET", place)
            answer = asking.getresponse()
            body = answer.read()
            if answer.status != HTTPStatus.OK:
                raise AssertionError(f"{place}: {answer.status}")
            return body

        if octets.status_of(get(path)) is not octets.ResponseStatus.SUCCESSFUL:
            raise AssertionError("the answer that is measured is none")
        times = scale.of(1_000, 200)
        yield Pair(repeated(lambda: get(path), times), repeated(lambda: get("/livez"), times))


@contextmanager
def _served(folder: Path, made: Ceremony) -> Iterator[int]:
    """The port of the service's application, without the filter of paths, so that its no-op is there too."""
    started: Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Queue()

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        async with houses.House.open(folder, made) as house:
            told = partial(_tell, started, loop, stop)
            await serve_plain(house.app, host="127.0.0.1", port=0, on_started=told, stop=stop)

    thread = Thread(target=lambda: asyncio.run(serve()), name="service")
    thread.start()
    loop, stop, port = started.get(timeout=60)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=60)


def _tell(
    started: "Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]",
    loop: asyncio.AbstractEventLoop,
    stop: asyncio.Event,
    _host: str,
    port: int,
) -> None:
    started.put((loop, stop, port))


def _revoked(count: int) -> CheckedCrl:
    return CheckedCrl("", 1, 0, 1, {(1 << 158) + number * 7919: 1 for number in range(count)})


@contextmanager
def _looked_up(scale: Scale) -> Iterator[Pair]:
    many, few = _revoked(scale.of(1_000_000, 100_000)), _revoked(FEW)
    times = scale.of(200_000, 20_000)
    absent = (1 << 158) + 1
    yield Pair(
        repeated(lambda: many.require_not_revoked(absent, 1), times),
        repeated(lambda: few.require_not_revoked(absent, 1), times),
    )


ROWS = (
    Row(
        id="P14",
        what="OCSP answer, fresh, with a nonce",
        floor="one P-256 signature",
        goal=speed(0.30),
        prepare=_fresh,
    ),
    Row(
        id="P14",
        what="OCSP answer, cached",
        floor="reading the request",
        goal=speed(0.50),
        prepare=_cached,
    ),
    Row(
        id="P14",
        what="OCSP answer, cached, over HTTP (GET)",
        floor="a no-op GET of the same application",
        goal=speed(0.90),
        prepare=_over_http,
    ),
    Row(
        id="P15",
        what="revocation look-up in 1,000,000 (--quick: 100,000)",
        floor="the same among 10",
        goal=speed(0.80),
        prepare=_looked_up,
    ),
)
