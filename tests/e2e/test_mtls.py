"""A real server on the loopback, real handshakes, real certificates: who gets in, and what the others hear."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import websockets.exceptions
import websockets.sync.client
from litestar import Request, WebSocket, get, post, route, websocket
from litestar.params import FromPath, FromQuery, JSONBody

from api import telemetry
from api.client.errors import HandshakeRefused, RemoteProblem, Unreachable
from api.client.http import NO_RETRY, AsyncTransport, Transport
from api.client.http import Request as Wanted
from api.settings import Limits, Listen, OpsListen, Pki, Settings, Signing, Vault
from api.web import assembly, server, transport
from api.web.identity import Identity, principal_of, require
from api.web.limits import Gcra
from api.web.routes import health
from pki.clock import SystemClock
from pki.credential import Credential
from pki.errors import Busy as PkiBusy
from pki.errors import Refused as PkiRefused
from pki.roles import Role
from tests.support.tls_files import Authority, Pair, credential_of

MAX_BODY = 64 * 1024


class Revoked(PkiRefused):
    code = "pki/test-revoked"
    title = "Revoked"


class StatusStale(PkiBusy):
    code = "pki/test-status-stale"
    title = "Status evidence is too old"


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    power_w: int


@get("/public", sync_to_thread=False)
def public() -> dict[str, str]:
    return {"for": "everyone"}


@get("/whoami", guards=[require()], sync_to_thread=False)
def whoami(request: Request[Any, Any, Any]) -> dict[str, str]:
    principal = principal_of(request.scope)
    return {"party": principal.party, "role": principal.role.value}


@get("/for-fo", guards=[require(Role.FO)], sync_to_thread=False)
def for_fo() -> dict[str, str]:
    return {"for": "FO"}


@post("/events", guards=[require(Role.FO, Role.CSO)], sync_to_thread=False)
def events(data: JSONBody[Event]) -> dict[str, int]:
    return {"power_w": data.power_w}


@get("/page", sync_to_thread=False)
def page(limit: FromQuery[int]) -> dict[str, int]:
    return {"limit": limit}


@websocket("/socket", guards=[require(Role.FO)])
async def speak(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text(principal_of(socket.scope).party)
    await socket.close()


@route("/people/{person:str}", http_method=["GET"], sync_to_thread=False)
def people(person: FromPath[str]) -> dict[str, str]:
    raise RuntimeError(f"secret of {person}")


@dataclasses.dataclass
class House:
    """What a test can turn."""

    authority: Authority
    rogue: Authority
    settings: Settings
    log_lines: list[dict[str, Any]]
    epoch: int = 0
    checks: int = 0
    refuse: Exception | None = None
    bound: server.Bound | None = None

    @property
    def url(self) -> str:
        assert self.bound is not None
        return f"https://127.0.0.1:{self.bound.port}"

    def authenticate(self, der: bytes) -> Credential:
        self.checks += 1
        if self.refuse is not None:
            raise self.refuse
        return credential_of(der)

    def transport(self, pair: Pair | None, *, ca: Path | None = None) -> Transport:
        return Transport(
            self.url,
            ca=ca or self.authority.pem,
            cert=pair.cert if pair else None,
            key=pair.key if pair else None,
            timeout_s=10,
            retry=NO_RETRY,
        )


class Lines:
    """A binary stream that keeps log lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, data: bytes) -> int:
        self.lines += [msgspec.json.decode(line) for line in data.splitlines() if line]
        return len(data)

    def flush(self) -> None:
        pass


def _settings(folder: Path, authority: Authority, *, required: bool = False) -> Settings:
    pair = authority.server()
    return Settings(
        origin="test.example/log",
        data_dir=folder,
        log_key=folder / "log.key",
        listen=Listen(
            port=0, certificate=pair.cert, key=pair.key, client_ca=authority.pem, require_client_cert=required
        ),
        ops_listen=OpsListen(port=0),
        pki=Pki(anchors=folder, issuers_dir=folder, crl_dir=folder),
        signing=Signing(certificate=folder, key=folder, party="FCSBE"),
        vault=Vault(dir=folder, kek=folder),
        limits=Limits(max_body_bytes=MAX_BODY),
    )


@contextlib.contextmanager
def _running(house: House, *, gcra: Gcra | None = None) -> Iterator[House]:
    async def works() -> None:
        return None

    async def broken() -> None:
        raise OSError("never shown")

    probes = {"works": works, "broken": broken}
    assembled = assembly.assemble(
        [
            public,
            whoami,
            for_fo,
            events,
            page,
            people,
            speak,
            *health.routes(probes=probes, about=lambda: {"origin": "o"}),
        ],
        identity=Identity(house.authenticate, epoch=lambda: house.epoch, clock=SystemClock()),
        limits=house.settings.limits,
        version="0.0.0",
        gcra=gcra,
    )
    started = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))

        def on_started(bound: server.Bound) -> None:
            house.bound = bound
            started.set()

        await server.serve(
            assembled.app, house.settings, on_started=on_started, ops_app=health.ops_app(probes), stop=stop
        )

    thread = threading.Thread(target=lambda: server.run(main()))
    thread.start()
    try:
        assert started.wait(20), "the server did not start"
        yield house
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("mtls")
    authority = Authority(folder / "good")
    lines = Lines()
    telemetry.configure(lines)  # type: ignore[arg-type]
    house = House(authority, Authority(folder / "rogue"), _settings(folder, authority), lines.lines)
    with _running(house):
        yield house


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    shared.refuse = None
    shared.log_lines.clear()
    yield shared
    shared.refuse = None


def _get(house: House, pair: Pair | None, path: str) -> Any:
    with house.transport(pair) as caller:
        return caller.request(Wanted("GET", path)).json()


def _refusal(act: Callable[[], object]) -> RemoteProblem:
    with pytest.raises(RemoteProblem) as caught:
        act()
    return caught.value


def test_a_verified_certificate_says_who_is_calling(house: House) -> None:
    assert _get(house, house.authority.client("FO-1", "FO"), "/whoami") == {"party": "FO-1", "role": "FO"}


def test_without_certificate_public_resources_answer_and_others_are_401(house: House) -> None:
    assert _get(house, None, "/public") == {"for": "everyone"}
    refusal = _refusal(lambda: _get(house, None, "/whoami"))
    assert (refusal.status, refusal.code) == (401, "api/credential-missing")


def test_a_401_carries_a_challenge_and_the_problem_media_type(house: House) -> None:
    context = ssl.create_default_context(cafile=house.authority.pem)
    with httpx2.Client(verify=context, trust_env=False) as client:
        response = client.get(f"{house.url}/whoami")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == 'Mutual realm="flexledger"'
    assert response.json()["type"] == "https://flexledger.invalid/problems/api/credential-missing"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda house: house.rogue.client("FO-1", "FO"), "UNKNOWN_CA"),
        (lambda house: house.authority.client("FO-1", "FO", from_days=-9, to_days=-1), "CERTIFICATE_EXPIRED"),
        (lambda house: house.authority.server("FO-1"), "UNSUPPORTED_CERTIFICATE"),
    ],
    ids=["another-authority", "expired", "no-client-purpose"],
)
def test_a_bad_certificate_is_refused_in_the_handshake_and_the_client_hears_why(
    house: House, make: Callable[[House], Pair], reason: str
) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        _get(house, make(house), "/public")
    assert caught.value.found is not None
    assert reason in caught.value.found
    assert any(line["event"] == "tls handshake refused" for line in house.log_lines)


def test_tls_1_2_is_refused(house: House) -> None:
    context = ssl.create_default_context(cafile=house.authority.pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        httpx2.Client(verify=context, trust_env=False) as client,
        pytest.raises(httpx2.ConnectError, match=r"(?i)version"),
    ):
        client.get(f"{house.url}/public")


def test_a_client_does_not_trust_a_server_of_another_authority(house: House) -> None:
    with house.transport(None, ca=house.rogue.pem) as caller, pytest.raises(HandshakeRefused):
        caller.request(Wanted("GET", "/public"))


def _raw(house: House, data: bytes) -> bytes:
    """What a client hears that speaks its own kind of HTTP, until the server closes."""
    context = ssl.create_default_context(cafile=house.authority.pem)
    assert house.bound is not None
    raw = socket.create_connection(("127.0.0.1", house.bound.port))
    raw.settimeout(10)
    heard = b""
    with context.wrap_socket(raw, server_hostname="localhost") as tls:
        with contextlib.suppress(OSError):
            tls.sendall(data)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            while chunk := tls.recv(65_536):
                heard += chunk
    return heard


@pytest.mark.parametrize(
    "data",
    [
        b"this is not HTTP\r\n\r\n",
        b"GET /public HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (transport.MAX_HEAD_OCTETS + 1),
        b"GET /public HTTP/1.1\r\n" + b"X: a\r\n" * (transport.MAX_HEAD_OCTETS // 4),
    ],
    ids=["not-http", "one-endless-header", "endless-headers"],
)
def test_a_head_that_cannot_be_taken_is_a_400_problem_and_the_end_of_the_connection(house: House, data: bytes) -> None:
    heard = _raw(house, data)
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"api/request-malformed"' in heard


def test_a_head_just_under_the_limit_is_taken(house: House) -> None:
    head = b"GET /public HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "
    heard = _raw(house, head + b"a" * (transport.MAX_HEAD_OCTETS - len(head) - 4) + b"\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_never_ends_its_head_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HEAD_TIMEOUT_S", 0.1)
    assert _raw(house, b"GET /public HTTP/1.1\r\n") == b""


def test_no_session_is_resumed(house: House) -> None:
    context = ssl.create_default_context(cafile=house.authority.pem)
    assert house.bound is not None
    raw = socket.create_connection(("127.0.0.1", house.bound.port))
    with context.wrap_socket(raw, server_hostname="localhost") as tls:
        tls.sendall(b"GET /public HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert tls.recv(4096).startswith(b"HTTP/1.1 200")
        assert tls.session is None or not tls.session.has_ticket


def test_another_role_is_403_and_learns_which_it_takes(house: House) -> None:
    refusal = _refusal(lambda: _get(house, house.authority.client("CSO-1", "CSO"), "/for-fo"))
    assert (refusal.status, refusal.code) == (403, "api/role-not-allowed")
    assert (refusal.expected, refusal.found) == ("FO", "CSO")


def test_a_credential_that_our_rules_refuse_is_401_with_the_reason_and_public_resources_still_answer(
    house: House,
) -> None:
    pair = house.authority.client("FO-2", "FO")
    house.refuse = Revoked("the certificate is revoked")
    refusal = _refusal(lambda: _get(house, pair, "/whoami"))
    assert (refusal.status, refusal.code, refusal.found) == (401, "api/credential-refused", "pki/test-revoked")
    assert _get(house, pair, "/public") == {"for": "everyone"}


def test_stale_status_evidence_is_503_and_not_a_refusal(house: House) -> None:
    house.refuse = StatusStale("the revocation list is too old")
    refusal = _refusal(lambda: _get(house, house.authority.client("FO-3", "FO"), "/whoami"))
    assert (refusal.status, refusal.code) == (503, "pki/test-status-stale")


def test_an_open_connection_is_judged_again_when_the_epoch_moves(house: House) -> None:
    with house.transport(house.authority.client("FO-4", "FO")) as caller:
        caller.request(Wanted("GET", "/whoami"))
        checks = house.checks
        caller.request(Wanted("GET", "/whoami"))
        assert house.checks == checks, "the second request is answered from the cache"
        house.refuse = Revoked("the certificate is revoked")
        house.epoch += 1
        refusal = _refusal(lambda: caller.request(Wanted("GET", "/whoami")))
        assert refusal.code == "api/credential-refused"


def _socket_context(house: House, pair: Pair | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=house.authority.pem)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def test_a_websocket_has_the_same_identity(house: House) -> None:
    url = house.url.replace("https", "wss") + "/socket"
    pair = house.authority.client("FO-10", "FO")
    with websockets.sync.client.connect(url, ssl=_socket_context(house, pair), proxy=None) as caller:
        assert caller.recv() == "FO-10"


@pytest.mark.parametrize("role", [None, "CSO"], ids=["nobody", "another-role"])
def test_a_websocket_is_guarded_too(house: House, role: str | None) -> None:
    url = house.url.replace("https", "wss") + "/socket"
    pair = None if role is None else house.authority.client("CSO-10", role)
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        websockets.sync.client.connect(url, ssl=_socket_context(house, pair), proxy=None)


def test_a_body_over_the_limit_is_413_and_the_next_request_works(house: House) -> None:
    pair = house.authority.client("FO-5", "FO")
    with house.transport(pair) as caller:
        for size in (MAX_BODY + 1, 4 * MAX_BODY, 40 * MAX_BODY):
            wanted = Wanted("POST", "/events", b" " * size, {"content-type": "application/json"})
            refusal = _refusal(lambda wanted=wanted: caller.request(wanted))  # type: ignore[misc]
            assert (refusal.status, refusal.code) == (413, "api/body-too-large")
        assert caller.request(Wanted("GET", "/public")).status == 200


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(house: House) -> None:
    pair = house.authority.client("FO-5", "FO")
    context = ssl.create_default_context(cafile=house.authority.pem)
    context.load_cert_chain(pair.cert, pair.key)
    chunks = (b" " * 1024 for _ in range(MAX_BODY // 1024 + 2))
    with httpx2.Client(verify=context, trust_env=False) as client:
        response = client.post(f"{house.url}/events", content=chunks, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert response.json()["code"] == "api/body-too-large"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"name":', None),
        (b'{"name": "secret-value", "power_w": "secret-value"}', ".power_w"),
        (b'{"name": "secret-value", "power_w": 1, "secret-member": 1}', None),
    ],
    ids=["not-json", "wrong-type", "unknown-member"],
)
def test_a_malformed_body_is_400_and_repeats_nothing_that_was_sent(
    house: House, body: bytes, pointer: str | None
) -> None:
    with house.transport(house.authority.client("FO-6", "FO")) as caller:
        refusal = _refusal(
            lambda: caller.request(Wanted("POST", "/events", body, {"content-type": "application/json"}))
        )
    assert (refusal.status, refusal.code) == (400, "api/request-malformed")
    assert b"secret" not in refusal.body
    problem = msgspec.json.decode(refusal.body)
    assert problem["errors"][0].get("pointer") == pointer


def test_a_malformed_query_is_400_and_repeats_nothing_that_was_sent(house: House) -> None:
    refusal = _refusal(lambda: _get(house, None, "/page?limit=secret"))
    assert (refusal.status, refusal.code) == (400, "api/request-malformed")
    assert b"secret" not in refusal.body
    assert b"limit" in refusal.body


def test_an_unknown_path_is_a_404_problem_and_is_not_logged(house: House) -> None:
    refusal = _refusal(lambda: _get(house, None, "/nobody/Erika-Mustermann"))
    assert (refusal.status, refusal.code) == (404, "api/route-unknown")
    assert b"Erika" not in refusal.body
    (line,) = [line for line in house.log_lines if line["event"] == "request"]
    assert line["route"] == "-"
    assert "Erika" not in str(house.log_lines)


def test_another_method_is_a_405_problem_that_names_the_right_ones(house: House) -> None:
    with house.transport(None) as caller:
        refusal = _refusal(lambda: caller.request(Wanted("DELETE", "/public")))
        assert (refusal.status, refusal.code) == (405, "api/method-not-allowed")
        assert refusal.expected == "GET, HEAD, OPTIONS"
        answer = caller.request(Wanted("OPTIONS", "/public"))
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_head_answers_as_get_without_a_body(house: House) -> None:
    with house.transport(None) as caller:
        got = caller.request(Wanted("GET", "/public"))
        head = caller.request(Wanted("HEAD", "/public"))
    assert head.body == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))
    assert [line["method"] for line in house.log_lines if line["event"] == "request"] == ["GET", "HEAD"]


def test_a_failure_of_ours_is_a_500_whose_text_stays_here(house: House) -> None:
    refusal = _refusal(lambda: _get(house, None, "/people/Erika-Mustermann"))
    assert (refusal.status, refusal.code) == (500, "api/internal")
    assert b"Erika" not in refusal.body
    assert b"secret" not in refusal.body
    failures = [line for line in house.log_lines if line["event"] == "request failed"]
    assert [line["instance"] for line in failures] == [refusal.instance]
    assert failures[0]["error"] == "builtins.RuntimeError"
    assert "Erika" not in str(house.log_lines)


def test_a_request_leaves_one_line_with_its_route_and_an_ev_user_stays_unnamed(house: House) -> None:
    for party, role in (("FO-7", "FO"), ("EVU-random", "EVU")):
        _get(house, house.authority.client(party, role), "/whoami")
    fo, evu = [line for line in house.log_lines if line["event"] == "request"]
    assert (fo["route"], fo["status"], fo["role"], fo["party"]) == ("/whoami", 200, "FO", "FO-7")
    assert (evu["role"], "party" in evu) == ("EVU", False)


def test_readiness_names_the_part_that_does_not_work_and_nothing_else(house: House) -> None:
    refusal = _refusal(lambda: _get(house, None, "/readyz"))
    assert (refusal.status, refusal.code, refusal.found) == (503, "api/not-ready", "broken")
    assert _get(house, None, "/livez") == {"status": "alive"}
    assert _get(house, None, "/.well-known/flexledger") == {"origin": "o"}


def test_metrics_are_on_the_operations_listener_alone(house: House) -> None:
    assert house.bound is not None
    with httpx2.Client(base_url=f"http://127.0.0.1:{house.bound.ops_port}", trust_env=False) as client:
        metrics = client.get("/metrics")
        assert 'flexledger_http_requests_total{method="GET",route="/whoami",status="200"}' in metrics.text
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/readyz").status_code == 503
        assert client.get("/whoami").json()["code"] == "api/route-unknown"
        assert client.post("/metrics").headers["allow"] == "GET, HEAD"
    assert _refusal(lambda: _get(house, None, "/metrics")).status == 404


def test_the_openapi_document_is_closed_and_names_the_scheme(house: House) -> None:
    document = _get(house, None, "/openapi.json")
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/events"]["post"]
    assert operation["security"] == [{"mutualTLS": []}]
    assert operation["x-roles"] == ["CSO", "FO"]
    assert set(operation["responses"]) == {"201", "default"}
    assert document["components"]["schemas"]["Event"]["additionalProperties"] is False
    assert "security" not in document["paths"]["/public"]["get"]


def test_new_certificate_files_are_used_without_a_restart(house: House) -> None:
    listen = house.settings.listen
    old = listen.certificate.read_bytes(), listen.key.read_bytes()
    fresh = house.rogue.server("fresh")
    try:
        listen.key.write_bytes(fresh.key.read_bytes())
        listen.certificate.write_bytes(fresh.cert.read_bytes())
        with house.transport(None, ca=house.rogue.pem) as caller:
            assert caller.request(Wanted("GET", "/public")).status == 200
        listen.certificate.write_bytes(b"broken")
        with house.transport(None, ca=house.rogue.pem) as caller:
            assert caller.request(Wanted("GET", "/public")).status == 200
    finally:
        listen.certificate.write_bytes(old[0])
        listen.key.write_bytes(old[1])
    assert _get(house, None, "/public") == {"for": "everyone"}


def test_an_authority_that_is_removed_is_no_longer_trusted_by_new_handshakes(house: House) -> None:
    pair = house.authority.client("FO-8", "FO")
    bundle = house.settings.listen.client_ca
    old = bundle.read_bytes()
    ca = bundle.with_name("kept.pem")
    ca.write_bytes(old)
    try:
        bundle.write_bytes(house.rogue.pem.read_bytes())
        with house.transport(pair, ca=ca) as caller, pytest.raises(HandshakeRefused):
            caller.request(Wanted("GET", "/whoami"))
    finally:
        bundle.write_bytes(old)
    assert _get(house, pair, "/whoami")["party"] == "FO-8"


def test_a_caller_beyond_its_rate_is_429_with_retry_after_and_others_are_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "good")
    slow = House(authority, authority, _settings(tmp_path, authority), [])
    with _running(slow, gcra=Gcra(1, 2)):
        pair = authority.client("FO-1", "FO")
        with slow.transport(pair) as caller:
            caller.request(Wanted("GET", "/whoami"))
            caller.request(Wanted("GET", "/whoami"))
            refusal = _refusal(lambda: caller.request(Wanted("GET", "/whoami")))
        assert (refusal.status, refusal.code) == (429, "api/rate-limited")
        assert _get(slow, authority.client("FO-2", "FO"), "/whoami")["party"] == "FO-2"


def test_with_require_client_cert_nobody_comes_in_without_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "good")
    strict = House(authority, authority, _settings(tmp_path, authority, required=True), [])
    with _running(strict):
        with pytest.raises(HandshakeRefused) as caught:
            _get(strict, None, "/public")
        assert "CERTIFICATE_REQUIRED" in str(caught.value.found)
        assert _get(strict, authority.client("FO-1", "FO"), "/public") == {"for": "everyone"}


async def test_the_async_client_keeps_its_connection(house: House) -> None:
    pair = house.authority.client("FO-9", "FO")
    async with AsyncTransport(house.url, ca=house.authority.pem, cert=pair.cert, key=pair.key) as caller:
        for _ in range(3):
            assert (await caller.request(Wanted("GET", "/whoami"))).json()["party"] == "FO-9"


def test_a_stopped_server_is_unreachable(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "good")
    brief = House(authority, authority, _settings(tmp_path, authority), [])
    with _running(brief), brief.transport(None) as caller:
        assert caller.request(Wanted("GET", "/public")).status == 200
    with brief.transport(None) as caller, pytest.raises(Unreachable):
        caller.request(Wanted("GET", "/public"))
