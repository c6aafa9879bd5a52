"""What is tried again, what is not, and what an answer becomes; against a server that says what it is told to."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.client import http as client_http
from api.client.errors import AnswerMalformed, RemoteProblem, Unreachable
from api.client.http import NO_RETRY, Answer, AsyncTransport, Request, Retry, Transport
from api.web import problems
from tests.support.tls_files import Authority

PROBLEM = {
    "type": "https://flexledger.invalid/problems/rules/writer-role",
    "title": "Not yours",
    "status": 409,
    "code": "rules/writer-role",
    "detail": "another role writes this",
    "expected": "FO",
    "found": "CSO",
    "where": {"index": 3},
    "instance": "urn:uuid:0",
    "a-later-member": 1,
}
DEEP = b"[" * 100_000 + b"]" * 100_000

RETRY = Retry()


class Script:
    """Answers in the order in which they are to be given: (status, headers, body), or "drop" for a cut connection."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.heard: list[tuple[str, str, bytes]] = []
        self.pauses: list[float] = []

    def problem(self, status: int = 409, **headers: str) -> None:
        body = json.dumps({**PROBLEM, "status": status}).encode()
        self.answers.append((status, {"content-type": "application/problem+json", **headers}, body))

    def ok(self, body: bytes = b"{}") -> None:
        self.answers.append((200, {}, body))

    def drop(self) -> None:
        self.answers.append("drop")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            script.heard.append((self.command, self.path, body))
            answer = script.answers.pop(0)
            if answer == "drop":
                self.close_connection = True
                return
            status, headers, data = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Authority(tmp_path_factory.mktemp("ca")).pem


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, url: str, ca: Path, script: Script) -> Any:
    """Asks once, by the sync or the async transport."""

    def sync(wanted: Request, retry: Retry = RETRY) -> Answer:
        with Transport(url, ca=ca, timeout_s=5, retry=retry, sleep=script.pauses.append) as transport:
            return transport.request(wanted)

    def asynchronous(wanted: Request, retry: Retry = RETRY) -> Answer:
        async def sleep(pause_s: float) -> None:
            script.pauses.append(pause_s)

        async def main() -> Answer:
            async with AsyncTransport(url, ca=ca, timeout_s=5, retry=retry, sleep=sleep) as transport:
                return await transport.request(wanted)

        return asyncio.run(main())

    return sync if request.param == "sync" else asynchronous


def test_an_answer_that_only_calls_itself_compressed_is_malformed_and_not_asked_for_again(
    ask: Any, script: Script
) -> None:
    script.answers.append((200, {"content-encoding": "gzip"}, b"plain words"))
    with pytest.raises(AnswerMalformed, match="decompressed"):
        ask(Request("GET", "/x"))
    assert len(script.heard) == 1


def test_a_problem_becomes_an_error_with_the_services_own_code(ask: Any, script: Script) -> None:
    script.problem()
    with pytest.raises(RemoteProblem) as caught:
        ask(Request("GET", "/x"))
    error = caught.value
    assert (error.code, error.status, error.title) == ("rules/writer-role", 409, "Not yours")
    assert (error.detail, error.expected, error.found) == ("another role writes this", "FO", "CSO")
    assert (error.where, error.instance) == ({"index": 3}, "urn:uuid:0")
    assert json.loads(error.body)["code"] == "rules/writer-role"
    assert problems.status_of(RemoteProblem) == 502


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_tried_again_after_the_time_that_the_service_names(ask: Any, script: Script, status: int) -> None:
    script.problem(status, **{"retry-after": "7"})
    script.problem(status)
    script.ok(b"[1]")
    assert ask(Request("POST", "/x", b"body")).json() == [1]
    assert script.pauses == [7.0, 0.4]
    assert script.heard == [("POST", "/x", b"body")] * 3


def test_a_time_that_is_too_far_away_is_not_waited_for(ask: Any, script: Script) -> None:
    script.problem(503, **{"retry-after": "21"})
    with pytest.raises(RemoteProblem):
        ask(Request("GET", "/x"))
    script.problem(503, **{"retry-after": "20"})
    script.ok()
    ask(Request("GET", "/x"))
    assert script.pauses == [20.0]


def test_attempts_are_bounded(ask: Any, script: Script) -> None:
    for _ in range(4):
        script.problem(503)
    with pytest.raises(RemoteProblem):
        ask(Request("GET", "/x"))
    assert len(script.heard) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_other_failures_are_not_tried_again(ask: Any, script: Script, status: int) -> None:
    script.problem(status)
    with pytest.raises(RemoteProblem):
        ask(Request("GET", "/x"))
    assert len(script.heard) == 1


def test_a_cut_connection_is_tried_again_where_asking_twice_is_asking_once(ask: Any, script: Script) -> None:
    for wanted in (Request("GET", "/x"), Request("POST", "/x", b"s", idempotent=True)):
        script.drop()
        script.ok()
        assert ask(wanted).status == 200
    script.drop()
    with pytest.raises(Unreachable) as caught:
        ask(Request("POST", "/x", b"s"))
    assert caught.value.code == "api/unreachable"


def test_a_service_that_is_not_there_is_unreachable(ca: Path) -> None:
    with Transport("http://127.0.0.1:1", ca=ca, retry=NO_RETRY) as transport, pytest.raises(Unreachable) as failed:
        transport.request(Request("GET", "/x"))
    assert failed.value.found == "no connection"


@pytest.mark.parametrize(
    "answer",
    [
        (502, {"content-type": "text/html"}, b"<html>"),
        (400, {"content-type": "application/problem+json"}, b"not json"),
        (400, {"content-type": "application/problem+json"}, b"{}"),
        (400, {"content-type": "application/problem+json"}, b'{"later":' + DEEP + b"}"),
    ],
)
def test_a_failure_that_is_no_problem_document_is_malformed(ask: Any, script: Script, answer: Any) -> None:
    script.answers.append(answer)
    with pytest.raises(AnswerMalformed):
        ask(Request("GET", "/x"))


@pytest.mark.parametrize("body", [b"<html>", DEEP])
def test_an_answer_that_is_not_json_is_malformed(ask: Any, script: Script, body: bytes) -> None:
    script.ok(body)
    with pytest.raises(AnswerMalformed):
        ask(Request("GET", "/x")).json()


def test_an_answer_is_read_up_to_the_limit(ask: Any, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_http, "MAX_ANSWER_BYTES", 1000)
    script.ok(b"x" * 1000)
    assert len(ask(Request("GET", "/x")).body) == 1000
    script.ok(b"x" * 1001)
    with pytest.raises(AnswerMalformed, match="too large"):
        ask(Request("GET", "/x"))


def test_a_redirect_is_not_followed(ask: Any, script: Script) -> None:
    script.answers.append((302, {"location": "http://elsewhere.invalid/"}, b""))
    with pytest.raises(AnswerMalformed, match="found 302"):
        ask(Request("GET", "/x"))
    assert len(script.heard) == 1


def test_pauses_double_up_to_the_longest() -> None:
    retry = Retry(attempts=5, first_pause_s=1, max_pause_s=3)
    assert [retry.pause_s(attempt, None) for attempt in range(1, 6)] == [1, 2, 3, 3, None]
    assert retry.pause_s(1, "Wed, 21 Oct 2015 07:28:00 GMT") == 1
