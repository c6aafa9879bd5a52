"""A service that means ill to its clients: answers without end, bombs, lies about what they are, other hosts' names.

Everything ends in bounded memory and time, as an error with a code, whose words are not the service's.
"""

import asyncio
import gzip
import json
import ssl
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import wire
from api.client import bounds, problem
from api.client import http as client_http
from api.client.bounds import MIN_OCTETS_PER_S, Body, Patience
from api.client.errors import AnswerMalformed, HandshakeRefused, RemoteProblem, Unreachable, UrlRefused
from api.client.http import NO_RETRY, Answer, AsyncTransport, Request, Retry, Transport
from api.client.posting import Posting
from api.errors import ApiError
from tests.support.hostile import Hostile, head, serving

pytestmark = pytest.mark.slow  # takes seconds

STEP_S = 0.15
PATIENT_S = 10.0
"""Far more than any of these may take, and far less than for ever; the machine may be busy."""
Ask = Callable[..., Answer]
ASKED = Request("GET", "/x")
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
"""A block of deflate that holds nothing: work without an octet of output."""
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def running(authority: Path) -> Iterator[Hostile]:
    with serving(authority) as found:
        yield found


@pytest.fixture
def service(running: Hostile) -> Iterator[Hostile]:
    running.heard.clear()
    running.sent = 0
    running.ended.clear()
    yield running
    running.ended.set()  # whatever is still being said ends here


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, service: Hostile, authority: Path) -> Ask:
    """Asks once over TLS, by the sync or the async transport."""
    ca = authority / "root.pem"

    def sync(wanted: Request = ASKED, step_s: float = PATIENT_S) -> Answer:
        with Transport(service.url, ca=ca, timeout_s=step_s, retry=NO_RETRY) as transport:
            return transport.request(wanted)

    def asynchronous(wanted: Request = ASKED, step_s: float = PATIENT_S) -> Answer:
        async def main() -> Answer:
            async with AsyncTransport(service.url, ca=ca, timeout_s=step_s, retry=NO_RETRY) as transport:
                return await transport.request(wanted)

        return asyncio.run(main())

    return sync if request.param == "sync" else asynchronous


# Answers without end

CHUNKED = head(transfer_encoding="chunked")
SLOW = {
    "a body": (head(content_length="1000000"), b"x"),
    "a chunked body": (CHUNKED, b"1\r\nx\r\n"),
    "a head": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "a name in the head": (b"HTTP/1.1 200 OK\r\nx-", b"y"),
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "interim answers": (b"", head("100 Continue")),
    "hints": (b"", head("103 Early Hints", link="</x>")),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n"),
    "gzip of nothing": (head(content_encoding="gzip", content_length="1000000") + GZIP_HEAD, EMPTY_BLOCK),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("what", SLOW)
def test_an_answer_that_drips_ends_though_no_step_of_it_is_late(ask: Ask, service: Hostile, what: str) -> None:
    service.endless(*SLOW[what], pause_s=0.01)
    started = time.monotonic()
    with pytest.raises(Unreachable) as failed:
        ask(step_s=STEP_S)
    assert time.monotonic() - started < PATIENT_S
    assert failed.value.found in {"no answer in time", "the connection broke"}


FAST = {
    "a body": (CHUNKED, b"10000\r\n" + b"x" * 0x10000 + b"\r\n"),
    "a body without a length": (head(connection="close"), b"x" * 65_536),
    "after gzip": (head(content_encoding="gzip", connection="close") + gzip.compress(b"{}"), b"x" * 65_536),
    "gzip of nothing": (head(content_encoding="gzip", connection="close") + GZIP_HEAD, EMPTY_BLOCK * 10_000),
    "gzip of zeros": (head(content_encoding="gzip", connection="close") + GZIP_HEAD, zlib.compress(bytes(1 << 20))),
}


@pytest.mark.parametrize("what", FAST)
def test_an_answer_that_floods_ends_at_its_limit(
    ask: Ask, service: Hostile, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(client_http, "MAX_ANSWER_BYTES", 1 << 18)
    service.endless(*FAST[what])
    tracemalloc.start()
    try:
        with pytest.raises(AnswerMalformed):
            ask()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: "])
def test_a_head_that_floods_ends(ask: Ask, service: Hostile, first: bytes) -> None:
    service.endless(first, b"x: " + b"y" * 4_000 + b"\r\n")
    with pytest.raises(Unreachable):
        ask()
    assert service.sent < 8 << 20


@pytest.mark.parametrize("idempotent", [True, False])
async def test_silence_is_not_taken_for_a_refusal(service: Hostile, authority: Path, idempotent: bool) -> None:
    """Nobody knows whether it acted: who may ask twice does, and who may not is told that it is unknown."""
    service.endless(b"", b"", pause_s=0.01)
    wanted = Request("POST", "/x", b"{}", idempotent=idempotent)
    retry = Retry(attempts=2, first_pause_s=0.0)
    async with AsyncTransport(service.url, ca=authority / "root.pem", timeout_s=STEP_S, retry=retry) as transport:
        with pytest.raises(Unreachable, match="no answer in time"):
            await transport.request(wanted)
    assert len(service.heard) == (2 if idempotent else 1)


# What it says of itself


@pytest.mark.parametrize(
    "coding", ["gzip, gzip", "deflate", "br", "gzip, gzip, gzip, gzip, gzip", "identity, gzip", "\xff"]
)
def test_a_coding_that_nobody_asked_for_is_refused_before_it_costs_anything(
    ask: Ask, service: Hostile, coding: str
) -> None:
    service.endless(head(content_encoding=coding, transfer_encoding="chunked"), b"1\r\nx\r\n")
    with pytest.raises(AnswerMalformed, match="as nobody asked"):
        ask()
    assert b"accept-encoding: gzip\r\n" in service.heard[0].lower()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity", " gzip "])
def test_one_coding_is_decoded(ask: Ask, service: Hostile, coding: str) -> None:
    body = b'{"a":1}' if coding == "identity" else gzip.compress(b'{"a":1}')
    service.answers(body=body, content_encoding=coding)
    assert ask().json() == {"a": 1}


WHOLE_GZIP = gzip.compress(b"{}" * 99, mtime=0)
NO_GZIP = {"cut": WHOLE_GZIP[:-9], "more": WHOLE_GZIP + b"x", "plain": b"{}", "a head": GZIP_HEAD}


@pytest.mark.parametrize("spoilt", NO_GZIP)
def test_what_is_no_whole_gzip_is_refused(ask: Ask, service: Hostile, spoilt: str) -> None:
    service.answers(body=NO_GZIP[spoilt], content_encoding="gzip")
    with pytest.raises(AnswerMalformed, match="decompressed"):
        ask()


@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False)])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_body_is_read_up_to_its_limit_in_either_coding(size: int, fits: bool, coding: str) -> None:
    data = bytes(size)
    body = Body({"content-encoding": coding}, 1_000)
    sent = gzip.compress(data) if coding == "gzip" else data
    if fits:
        body.feed(sent)
        assert body.whole() == data
    else:
        with pytest.raises(AnswerMalformed, match="too large"):
            body.feed(sent)


@pytest.mark.parametrize(
    "status", [ "206 Partial Content", "300 Many", "301 Moved", "302 Found", "304 Not Modified",
               "307 Temporary", "308 Permanent", "226 IM Used"],
)  # fmt: skip
def test_a_redirect_and_whatever_else_was_not_asked_for_is_no_answer(ask: Ask, service: Hostile, status: str) -> None:
    service.answers(status, b"", location="https://elsewhere.invalid/")
    with pytest.raises(AnswerMalformed, match="not asked for"):
        ask()
    assert len(service.heard) == 1


def test_unchanged_is_an_answer_to_who_asked_for_a_change(ask: Ask, service: Hostile) -> None:
    service.says(head("304 Not Modified", etag='"1"'))
    assert ask(Request("GET", "/x", headers={"if-none-match": '"1"'})).status == 304


def test_what_a_server_wants_remembered_is_forgotten(service: Hostile, authority: Path) -> None:
    service.answers(set_cookie="id=1; Path=/; Max-Age=999")
    with Transport(service.url, ca=authority / "root.pem", retry=NO_RETRY) as transport:
        for _ in range(2):
            transport.request(Request("GET", "/x"))
    assert len(service.heard) == 2
    assert not any(b"cookie:" in one.lower() for one in service.heard)


@pytest.mark.parametrize(
    "body",
    [b'{"a":"\xff"}', b'"\xed\xa0\x80"', b"9" * 5_000, b"1e999", b"NaN", b"[" * 9_000, b"", b"{}{}", b"\xef\xbb\xbf{}"],
)
def test_an_answer_that_is_no_json_says_where_and_repeats_nothing(ask: Ask, service: Hostile, body: bytes) -> None:
    service.answers(body=body)
    answer = ask()
    for kind in (Any, wire.Accepted, wire.ConsistencyProof):
        with pytest.raises(AnswerMalformed):
            answer.decode(kind)


def test_the_words_of_an_answer_that_does_not_fit_are_not_repeated() -> None:
    answer = Answer(200, {}, json.dumps({"accepted": "\x1b[2Jsecret", "outcomes": []}).encode())
    with pytest.raises(AnswerMalformed) as failed:
        answer.decode(wire.BatchOutcome)
    assert "secret" not in str(failed.value)
    assert failed.value.where == {"pointer": ".accepted"}


# What it says against us

CODED = {"type": "t", "title": "T", "status": 409, "code": "rules/writer-role"}


def _refusal(ask: Ask, service: Hostile, document: Any, status: str = "409 Conflict") -> ApiError:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    service.answers(status, body, content_type="application/problem+json")
    with pytest.raises(ApiError) as failed:
        ask()
    return failed.value


def test_a_place_that_an_error_has_already_changes_nothing(ask: Ask, service: Hostile) -> None:
    where = {"expected": 1, "found": "x", "detail": "y", "self": 2, "body": 3, "a b": 4, "index": 5, "stream": "fsr/a"}
    error = _refusal(ask, service, {**CODED, "detail": "no", "where": where})
    assert isinstance(error, RemoteProblem)
    assert (error.where, error.detail, error.expected) == ({"index": 5, "stream": "fsr/a"}, "no", None)


def test_the_words_of_a_problem_fit_on_a_line_and_move_no_cursor(ask: Ask, service: Hostile) -> None:
    evil = "\x1b[2J\x1b]0;x\x07\r\nentry 1, proven by the log\u202e" + "x" * 60_000
    words = dict.fromkeys(("detail", "title", "expected", "found", "instance"), evil)
    error = _refusal(ask, service, {**CODED, **words, "where": {"index": evil}})
    assert isinstance(error, RemoteProblem) is False  # it is larger than a problem may be
    words = {name: one[:5_000] for name, one in words.items()}
    error = _refusal(ask, service, {**CODED, **words, "where": {"stream": evil[:5_000]}})
    assert isinstance(error, RemoteProblem)
    for said in (str(error), error.title, error.instance or ""):
        assert said.isprintable()
        assert len(said) < 6 * bounds.MAX_TEXT
    assert json.loads(error.body)["detail"] == words["detail"]  # for who hands it on as it came


@pytest.mark.parametrize("code", ["", "x", "a/b\n", "A/B", "rules/\x1b[2J", "a/" + "b" * 65, "../../etc"])
def test_a_code_that_is_none_is_not_taken_for_one(ask: Ask, service: Hostile, code: str) -> None:
    assert _refusal(ask, service, {**CODED, "code": code}).code == "api/answer-malformed"


@pytest.mark.parametrize("spoilt", [b'{"code":"\xff"}', b"[" * 9_000, b"null", b"", b'{"status":"x"}'])
def test_a_problem_that_cannot_be_read_is_malformed(ask: Ask, service: Hostile, spoilt: bytes) -> None:
    assert _refusal(ask, service, spoilt).code == "api/answer-malformed"


@pytest.mark.parametrize("over", [0, 1])
def test_a_problem_has_a_greatest_size(ask: Ask, service: Hostile, over: int) -> None:
    document = {**CODED, "detail": ""}
    document["detail"] = "x" * (problem.MAX_PROBLEM_BYTES - len(json.dumps(document)) + over)
    assert _refusal(ask, service, document).code == ("api/answer-malformed" if over else "rules/writer-role")


@pytest.mark.parametrize(
    "asked", ["\xb2", "\u0663".encode().decode("latin-1"), "9" * 400, "-1", "1e9", "inf", "nan", "", "0x9", "7, 7"]
)
def test_no_number_of_seconds_is_waited_for_that_is_none_or_is_absurd(asked: str) -> None:
    for said in (asked, *([asked.encode("latin-1").decode()] if asked.isascii() else [])):
        assert Retry().pause_s(1, said) in {0.2, None}
    assert Retry().pause_s(1, "\u00b2") == Retry().pause_s(1, "\u0663") == 0.2
    assert Retry().pause_s(1, "999999999") is None


# Where it is


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1",
        "http://localhost.invalid",
        "http://127.0.0.1.invalid",
        "ftp://127.0.0.1",
        "127.0.0.1",
        "",
        "https://",
        "https://a@127.0.0.1",
        "https://a:b@localhost",
        "https://localhost:0",
        "https://localhost:99999",
        "https://localhost/#x",
        "https://localhost/?x",
        "https://local\nhost",
        "https://[::1",
        "https://\u4f8b.invalid",
    ],
)
def test_a_service_is_asked_over_tls_or_on_the_loopback_interface_only(authority: Path, url: str) -> None:
    for made in (Transport, AsyncTransport):
        with pytest.raises(UrlRefused) as refused:
            made(url, ca=authority / "root.pem")
        assert "a:b" not in str(refused.value)


@pytest.mark.parametrize(
    "path", ["x", "", "//elsewhere.invalid/x", "https://elsewhere.invalid/", "/\u00e9", "/" + "x" * 9_000]
)
def test_a_path_leads_nowhere_else(ask: Ask, service: Hostile, path: str) -> None:
    with pytest.raises(UrlRefused):
        ask(Request("GET", path))
    assert service.heard == []


def test_a_certificate_of_another_host_or_of_nobody_is_refused(authority: Path, tmp_path: Path) -> None:
    with serving(tmp_path, address="127.0.0.2") as other:
        url = f"https://127.0.0.2:{other.port}"
        for ca, why in ((tmp_path, "IP address mismatch"), (authority, "certificate verify failed|CERTIFICATE_VERIFY")):
            with Transport(url, ca=ca / "root.pem") as transport, pytest.raises(HandshakeRefused, match=why):
                transport.request(Request("GET", "/x"))
        assert other.heard == []


def test_nothing_older_than_tls_1_3_is_spoken_and_no_plain_http_where_tls_is_expected(tmp_path: Path) -> None:
    with serving(tmp_path, latest=ssl.TLSVersion.TLSv1_2) as old:
        with Transport(old.url, ca=tmp_path / "root.pem") as transport, pytest.raises(HandshakeRefused):
            transport.request(Request("GET", "/x"))
        assert old.heard == []
    with serving(None) as plain:
        plain.answers()
        url = plain.url.replace("http:", "https:")
        transport = Transport(url, ca=tmp_path / "root.pem", retry=NO_RETRY, timeout_s=0.3)
        with transport, pytest.raises((HandshakeRefused, Unreachable)):
            transport.request(Request("GET", "/x"))


# Downloads, and services that are not ours


async def test_a_download_is_not_decoded_and_ends(
    service: Hostile, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_http, "MAX_DOWNLOAD_BYTES", 1 << 17)
    async with AsyncTransport(service.url, ca=authority / "root.pem", timeout_s=PATIENT_S) as transport:
        for data, fits in ((bytes(1 << 17), True), (bytes((1 << 17) + 1), False)):
            service.answers(body=data)
            got = bytearray()
            if fits:
                await transport.download(Request("GET", "/x"), got.extend)
                assert got == data
            else:
                with pytest.raises(AnswerMalformed, match="too large"):
                    await transport.download(Request("GET", "/x"), got.extend)
        service.answers(body=gzip.compress(bytes(1 << 20)), content_encoding="gzip")
        got = bytearray()
        with pytest.raises(AnswerMalformed, match="as nobody asked"):
            await transport.download(Request("GET", "/x"), got.extend)
        assert got == b""
        service.answers("302 Found", b"not the file", location="https://elsewhere.invalid/")
        with pytest.raises(AnswerMalformed, match="not asked for"):
            await transport.download(Request("GET", "/x"), got.extend)
        assert got == b""
    async with AsyncTransport(service.url, ca=authority / "root.pem", timeout_s=STEP_S) as transport:
        service.endless(head(content_length="1000000"), b"x", pause_s=0.01)
        with pytest.raises(Unreachable):
            await transport.download(Request("GET", "/x"), got.extend)


async def test_a_receivers_bomb_keeps_nobody_else_waiting(service: Hostile) -> None:
    """Four codings, one in the other, around 30 megabytes of deflate that come to nothing."""
    bomb = GZIP_HEAD + EMPTY_BLOCK * 6_000_000
    for _ in range(3):
        bomb = gzip.compress(bomb, 1)
    assert len(bomb) < 2_000
    posting = Posting(ca=None, max_answer_bytes=4_096, timeout_s=PATIENT_S)
    with serving(None) as receiver:
        for coding in ("gzip, gzip, gzip, gzip", "gzip"):
            receiver.answers(body=bomb, content_encoding=coding)
            with pytest.raises(AnswerMalformed, match="as nobody asked"):
                await posting.post(f"{receiver.url}/", b"x", "text/plain")
    await posting.close()


@pytest.mark.parametrize("what", SLOW)
async def test_a_receiver_that_drips_is_left(what: str) -> None:
    posting = Posting(ca=None, max_answer_bytes=4_096, timeout_s=STEP_S)
    with serving(None) as receiver:
        receiver.endless(*SLOW[what], pause_s=0.01)
        started = time.monotonic()
        with pytest.raises((Unreachable, AnswerMalformed)):
            await posting.post(f"{receiver.url}/", b"x", "text/plain")
        assert time.monotonic() - started < PATIENT_S
    await posting.close()


# How long


def test_patience_grows_with_what_went_and_came_and_with_nothing_else() -> None:
    now = [100.0]
    patience = Patience(30.0, MIN_OCTETS_PER_S * 5, clock=lambda: now[0])
    assert patience.left_s() == 65.0
    now[0] += 60.0
    patience.came(MIN_OCTETS_PER_S * 2)
    assert patience.left_s() == 7.0
    now[0] += 8.0
    assert patience.left_s() == 0.0


def test_a_slow_line_that_goes_on_is_waited_for(ask: Ask, service: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MIN_OCTETS_PER_S", 100)
    body = b"[" + b"0," * 49 + b"0]"
    pieces = [head(content_length=str(len(body))), *(body[at : at + 10] for at in range(0, len(body), 10))]

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            time.sleep(0.05)

    service.chunks = slowly
    assert ask(step_s=0.2).json() == [0] * 50
