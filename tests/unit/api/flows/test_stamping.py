"""Time stamps in a running service: asked in the background, verified, on record, served, and carried in bundles."""

import asyncio
import dataclasses
import http.server
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import serve
from api.errors import ApiError
from api.flows import bundle_stamps, stamping
from api.flows.stamping import StampBook, Stamping
from api.settings import Settings, Timestamps
from api.verification import timestamps
from api.verification.bundle import open_bundle, verify
from api.verification.bundle_format import Bundle, encode, in_order
from api.verification.bundle_policy import Policy, policy_of
from api.verification.bundle_stamps import check
from api.verification.report import Lines, Report, Status
from ledger.records.log import TimeStamped
from ledger.rules.errors.log import StampAhead
from ledger.tlog import checkpoint, note
from pki import timestamp
from pki.asn1 import timestamp as asn1
from pki.errors import PkiError
from tests.support import tsa
from tests.support import world as stage
from tests.support.tsa import Tsa

pytestmark = pytest.mark.slow

OID = "1.3.6.1.4.1.32473.1"
URL = "http://tsa.example/"
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "a", kind="ec")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "b", kind="ec")


class Asked:
    """Authorities by URL, each an answer to a query."""

    def __init__(self, **by_host: Callable[[bytes], tuple[int, str, bytes]]) -> None:
        self.by_host = by_host
        self.count = 0

    async def __call__(self, url: str, query: bytes) -> tuple[int, str, bytes]:
        self.count += 1
        return self.by_host[url.partition("//")[2].partition(".")[0]](query)


def good(authority: Tsa) -> Callable[[bytes], tuple[int, str, bytes]]:
    return lambda query: (200, f"{stamping.REPLY}; charset=binary", authority.stamp(query))


@dataclass(frozen=True)
class Stamped:
    """A request's bundle without and with stamps, whom to trust, and what was seen on the way."""

    plain: Bundle
    bundle: Bundle
    policy: Policy
    seen: dict[str, object]


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory, authority: Tsa) -> Stamped:
    return asyncio.run(_played(tmp_path_factory.mktemp("stamped"), authority))


async def _played(folder: Path, authority: Tsa) -> Stamped:
    world = await stage.World.open(folder, crl_every_ms=stage.HOUR_MS)
    try:
        book = StampBook(world.reader)
        maker = at_work(world, authority, book=book)
        fsc_ids = await stage.prepare(world)
        await world.desk.publisher.publish()
        early = await maker.once()
        played = await stage.play(world, fsc_ids)
        await world.desk.publisher.publish()
        late = await maker.once()
        await world.desk.publisher.publish()
        # Grown by nothing but the entry about the stamp.
        again = await maker.once()
        plain = open_bundle(await world.bundle(played.fsr_id))
        engines = dataclasses.replace(world.engines, timestamp_roots=(authority.root,))
        bundle = bundle_stamps.stamped(plain, book, world.reader, engines)
        # Who trusts the authority no longer gives its stamps to nobody.
        untrusted = bundle_stamps.stamped(plain, book, world.reader, world.engines)
        seen = {
            "early": early,
            "late": late,
            "again": again,
            "untrusted": untrusted,
            "shown": stamping.shown(StampBook(world.reader), world.engines.store, after=0, limit=10),
            "after": stamping.shown(book, world.engines.store, after=getattr(early, "size", 0), limit=10),
            "stamps": list(StampBook(world.reader).all()),
        }
    finally:
        await world.close()
    pem = authority.root.public_bytes(Encoding.PEM).decode()
    policy = msgspec.structs.replace(policy_of(bundle), timestamp_roots=(pem,))
    return Stamped(plain, open_bundle(encode(bundle)), policy, seen)


def at_work(
    world: "stage.World", authority: Tsa, *, book: StampBook | None = None, ask: Asked | None = None, **settings: object
) -> Stamping:
    wanted = Timestamps(**{"authorities": (URL,), "trust": Path("unread"), **settings})  # type: ignore[arg-type]
    return Stamping(
        wanted,
        desk=world.desk,
        publisher=world.desk.publisher,
        book=book or StampBook(world.reader),
        roots=[authority.root],
        ask=ask or Asked(tsa=good(authority)),
    )


def of_stamps(report: Report) -> list[tuple[Status, str]]:
    return [(line.status, line.code) for line in report.lines if line.check == "time stamp"]


VERIFIED = (Status.VERIFIED, "verify/ok")


def test_what_grew_is_stamped_once_and_on_record(stamped: Stamped) -> None:
    early, late = stamped.seen["early"], stamped.seen["late"]
    assert [one.size for one in stamped.seen["stamps"]] == [early.size, late.size]  # type: ignore[attr-defined]
    assert late.index >= late.size > early.size  # type: ignore[attr-defined]
    assert stamped.seen["again"] is None


def test_stamps_are_served_with_what_was_stamped(stamped: Stamped, authority: Tsa) -> None:
    first, second = stamped.seen["shown"]  # type: ignore[misc]
    for one in (first, second):
        found = timestamp.verify_token(
            one.token, imprint=timestamps.imprint(one.checkpoint.encode()), roots=[authority.root]
        )
        assert found.policy == OID
        assert checkpoint.parse(note.parse_text(one.checkpoint.encode())).size == one.size
    assert stamped.seen["after"] == (second,)


def test_a_bundle_says_before_what_time_it_existed(stamped: Stamped) -> None:
    assert stamped.plain.timestamps == ()
    assert [checkpoint.parse(note.parse_text(one.checkpoint.encode())).size for one in stamped.bundle.timestamps] == [
        stamped.seen["late"].size  # type: ignore[attr-defined]
    ]
    for policy in (None, stamped.policy):
        report = verify(stamped.bundle, anchors=policy)
        assert report.exit_code == 0, report.of(Status.REFUTED)
        assert of_stamps(report) == [VERIFIED]
        (line,) = [line for line in report.lines if line.check == "time stamp"]
        assert "everything here existed at 20" in line.detail
    assert stamped.seen["untrusted"].timestamps == ()  # type: ignore[attr-defined]


def test_an_authority_that_the_policy_does_not_name_vouches_for_nothing(stamped: Stamped, stranger: Tsa) -> None:
    silent = msgspec.structs.replace(stamped.policy, timestamp_roots=())
    report = verify(stamped.bundle, anchors=silent)
    assert (report.exit_code, of_stamps(report)) == (0, [(Status.UNDECIDED, "verify/timestamp-unvouched")])
    other = stranger.root.public_bytes(Encoding.PEM).decode()
    report = verify(stamped.bundle, anchors=msgspec.structs.replace(stamped.policy, timestamp_roots=(other,)))
    assert (report.exit_code, of_stamps(report)) == (1, [(Status.REFUTED, "pki/timestamp-refused")])
    broken = msgspec.structs.replace(stamped.policy, timestamp_roots=("no certificate",))
    assert verify(stamped.bundle, anchors=broken).exit_code == 1


def test_no_bit_of_a_stamp_can_be_changed_unnoticed(stamped: Stamped) -> None:
    (stamp,) = stamped.bundle.timestamps
    places = [*range(0, len(stamp.token), 7), len(stamp.token) - 1]
    for at in places:
        token = bytearray(stamp.token)
        token[at] ^= 1 << at % 8
        require_refuted(stamped, msgspec.structs.replace(stamp, token=bytes(token)))
    for text in (
        stamp.checkpoint.replace("\n", "\nx\n", 1),
        stamp.checkpoint + stamp.checkpoint.splitlines(keepends=True)[-1],
        stamp.checkpoint + "— other.example AAAAAAAA\n",
        "no note",
    ):
        require_refuted(stamped, msgspec.structs.replace(stamp, checkpoint=text))
    require_refuted(stamped, msgspec.structs.replace(stamp, consistency=stamp.consistency[:-1]))
    require_refuted(stamped, msgspec.structs.replace(stamp, consistency=(*stamp.consistency, "00" * 32)))


def require_refuted(stamped: Stamped, *stamps: object) -> None:
    changed = msgspec.structs.replace(stamped.bundle, timestamps=stamps)
    for policy in (None, stamped.policy):
        lines: Lines = Lines()
        head = checkpoint.parse(note.parse_text(changed.checkpoint.encode()))
        check(changed, head, policy, lines)
        assert lines.report("").exit_code == 1


def test_a_stamp_that_shows_nothing_new_and_an_authority_without_one_are_surplus(
    stamped: Stamped, stranger: Tsa
) -> None:
    (stamp,) = stamped.bundle.timestamps
    require_refuted(stamped, stamp, stamp)
    anchors = stamped.bundle.anchors
    more = (*anchors.timestamp_roots, stranger.root.public_bytes(Encoding.DER))
    changed = in_order(
        msgspec.structs.replace(stamped.bundle, anchors=msgspec.structs.replace(anchors, timestamp_roots=more))
    )
    assert verify(changed).exit_code == 1
    assert verify(msgspec.structs.replace(changed, timestamps=())).exit_code == 1


def test_a_token_with_more_than_it_needs_is_cut_down_and_openssl_takes_what_is_left(
    stamped: Stamped, authority: Tsa, tmp_path: Path
) -> None:
    (stamp,) = stamped.bundle.timestamps
    signed = tmp_path / "signed"
    signed.write_bytes(stamp.checkpoint.encode())
    (tmp_path / "token").write_bytes(stamp.token)
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-data", signed, "-in", tmp_path / "token", "-token_in", "-CAfile",
         authority.folder / "root.pem"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Verification: OK" in done.stdout + done.stderr
    found = asn1.decode_token(stamp.token)
    fat = asn1.encode_minimal(found, [*found.certificates, authority.root.public_bytes(Encoding.DER)])
    assert fat != stamp.token
    assert timestamp.minimal(fat, roots=[authority.root]) == stamp.token
    require_refuted(stamped, msgspec.structs.replace(stamp, token=fat))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator["stage.World"]:
    found = await stage.World.open(tmp_path)
    await found.desk.publisher.publish()
    yield found
    await found.close()


async def test_an_authority_that_fails_leaves_nothing_behind_and_the_next_one_is_asked(
    world: "stage.World", authority: Tsa, stranger: Tsa
) -> None:
    def to_another(query: bytes) -> tuple[int, str, bytes]:
        digest = timestamps.imprint(world.desk.publisher.latest())
        return good(authority)(timestamp.request(digest, 7))

    failing: dict[str, tuple[Callable[[bytes], tuple[int, str, bytes]], str]] = {
        "stranger": (good(stranger), "pki/timestamp-refused"),
        "replay": (to_another, "pki/timestamp-refused"),
        "busy": (lambda _: (503, "text/plain", b""), "api/timestamp-not-given"),
        "page": (lambda _: (200, "text/html", b"<p>"), "api/timestamp-not-given"),
        "rubbish": (lambda _: (200, stamping.REPLY, b"\x30\x80"), "pki/malformed-der"),
        "flood": (lambda _: (200, stamping.REPLY, bytes(65_537)), "api/timestamp-not-given"),
    }
    size = world.desk.appender.head.size
    for name, (answer, code) in failing.items():
        maker = at_work(world, authority, ask=Asked(**{name: answer}), authorities=(f"http://{name}.example/",))
        with pytest.raises((ApiError, PkiError)) as refused:
            await maker.once()
        assert refused.value.code == code, name
    other = at_work(world, authority, policy_oid="1.2.3.4")
    with pytest.raises((ApiError, PkiError)):
        await other.once()
    assert world.desk.appender.head.size == size
    urls = tuple(f"http://{name}.example/" for name in (*list(failing)[:3], "tsa"))
    every = Asked(**{name: answer for name, (answer, _) in failing.items()}, tsa=good(authority))
    found = await at_work(world, authority, ask=every, authorities=urls, policy_oid=OID).once()
    assert (found is not None, every.count) == (True, 4)


async def test_another_replica_that_stamped_a_moment_ago_is_enough(world: "stage.World", authority: Tsa) -> None:
    first, second = at_work(world, authority), at_work(world, authority)
    assert await first.once() is not None
    await world.desk.say(TimeStamped(size=1, token_sha256="0" * 64), "log/other")
    await world.desk.publisher.publish()
    assert await second.once() is None
    world.at(world.clock.now_ms() + 31 * MINUTE_MS)
    assert await second.once() is not None


async def test_a_stamp_over_a_tree_that_is_not_there_is_refused(world: "stage.World") -> None:
    size = world.desk.appender.head.size
    with pytest.raises(StampAhead):
        await world.desk.say(TimeStamped(size=size + 5, token_sha256="0" * 64), stamping.STREAM)
    assert list(StampBook(world.reader).all()) == []


async def test_failures_are_answered_with_ever_longer_pauses(
    world: "stage.World", authority: Tsa, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1_100:
            raise asyncio.CancelledError

    monkeypatch.setattr(stamping.asyncio, "sleep", sleep)

    def failing(_: bytes) -> tuple[int, str, bytes]:
        if len(pauses) == 4:
            raise ValueError("a library that nobody expected to fail")
        return 500, "", b""

    broken = Asked(tsa=failing)
    with pytest.raises(asyncio.CancelledError):
        await at_work(world, authority, ask=broken, every_minutes=60).watch()
    assert pauses[:3] == [20.0, 40.0, 80.0]
    assert pauses[-1] == 3600.0


class Answering(http.server.BaseHTTPRequestHandler):
    """An authority over HTTP: good, one that drips, and one that points elsewhere."""

    authority: Tsa

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == stamping.QUERY
        if self.path == "/elsewhere":
            self.send_response(307)
            self.send_header("location", "/good")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-type", stamping.REPLY)
        self.end_headers()
        with suppress(OSError):
            if self.path == "/drip":
                for _ in range(100):
                    self.wfile.write(b"0")
                    self.wfile.flush()
                    time.sleep(0.05)
            self.wfile.write(self.authority.stamp(query))

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def served(authority: Tsa) -> Iterator[str]:
    handler = type("Handler", (Answering,), {"authority": authority})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_authority_is_asked_over_http_in_bounded_time(
    world: "stage.World", authority: Tsa, served: str
) -> None:
    wanted = Timestamps(authorities=(served,), trust=Path("unread"), timeout_ms=1_500)
    async with serve.stamping(cast(Settings, SimpleNamespace(timestamps=wanted))) as ask:
        assert ask is not None
        begun = time.monotonic()
        for path, code in (("/drip", "api/unreachable"), ("/elsewhere", "api/timestamp-not-given")):
            maker = at_work(world, authority, ask=cast(Asked, ask), authorities=(served + path,))
            with pytest.raises(ApiError) as refused:
                await maker.once()
            assert refused.value.code == code
        assert time.monotonic() - begun < 5
        assert await at_work(world, authority, ask=cast(Asked, ask), authorities=(f"{served}/good",)).once() is not None
    async with serve.stamping(cast(Settings, SimpleNamespace(timestamps=None))) as nobody:
        assert nobody is None
