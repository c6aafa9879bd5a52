"""OpenSSL and we read each other's OCSP: requests and responses, in both directions, and over HTTP."""

import http.server
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import ceremony, ocsp
from pki.asn1.ocsp import CertStatus
from pki.ceremony import Ceremony
from pki.infrastructure import issue
from pki.profiles import OCSP_SIGNER
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.store.records import Reason
from tests.support.pki_world import SPEC

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
NOW_MS = time.time_ns() // 1_000_000
"""OpenSSL's `ocsp` knows no other time than the machine's."""
CLIENT = Purpose.TLS_CLIENT
PATH = "/pki/ocsp"


@pytest.fixture(scope="module")
def made() -> Ceremony:
    found = ceremony.perform(SPEC, tls_now_ms=NOW_MS, signing_now_ms=NOW_MS)
    serial = found.parties["FI-AUR"].credentials[Purpose.SIGNING].certificate.serial_number
    found.hierarchy.issuing[Group.FO].revoke(serial, Reason.KEY_COMPROMISE, NOW_MS)
    return found


@pytest.fixture(scope="module")
def answering(made: Ceremony) -> Responder:
    found = Responder(made.hierarchy.authorities())
    found.rotate(NOW_MS)
    return found


def _openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def files(made: Ceremony, tmp_path: Path) -> Path:
    (tmp_path / "root.pem").write_bytes(made.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "fo.pem").write_bytes(made.hierarchy.issuing[Group.FO].certificate.public_bytes(Encoding.PEM))
    for purpose, name in ((CLIENT, "good.pem"), (Purpose.SIGNING, "revoked.pem")):
        certificate = made.parties["FI-AUR"].credentials[purpose].certificate
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
    return tmp_path


def _trust(folder: Path) -> tuple[str | Path, ...]:
    return "-CAfile", folder / "root.pem", "-verify_other", folder / "fo.pem", "-issuer", folder / "fo.pem"


@pytest.mark.parametrize("digest", [(), ("-sha256",)], ids=["SHA-1", "SHA-256"])
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
def test_openssl_believes_our_answers_to_its_requests(
    files: Path, answering: Responder, digest: tuple[str, ...], nonce: str
) -> None:
    request, response = files / "request.der", files / "response.der"
    certificates = (*digest, "-issuer", files / "fo.pem", "-cert", files / "good.pem", "-cert", files / "revoked.pem")
    _openssl("ocsp", *certificates, nonce, "-reqout", request)
    response.write_bytes(answering.answer(request.read_bytes(), NOW_MS).der)
    said = _openssl(
        "ocsp", "-CAfile", files / "root.pem", "-verify_other", files / "fo.pem",
        "-reqin", request, "-respin", response, "-no_nonce", *certificates,
    )  # fmt: skip
    assert "Response verify OK" in said, said
    assert "good.pem: good" in said, said
    assert "revoked.pem: revoked" in said, said
    assert "keyCompromise" in said, said


def test_openssl_reads_our_request(made: Ceremony, files: Path) -> None:
    serial = made.parties["FI-AUR"].credentials[CLIENT].certificate.serial_number
    asked = ocsp.ask(made.hierarchy.issuing[Group.FO].certificate, (serial, 7))
    (files / "request.der").write_bytes(asked.der)
    said = _openssl("ocsp", "-reqin", files / "request.der", "-req_text")
    assert f"{serial:040X}" in said.upper(), said
    assert "sha256" in said, said
    assert "Nonce" in said, said


def test_we_believe_what_openssl_answers_with_our_signer(made: Ceremony, files: Path) -> None:
    authority = made.hierarchy.issuing[Group.FO]
    held = issue(authority, OCSP_SIGNER, now_ms=NOW_MS)
    (files / "signer.pem").write_bytes(held.certificate.public_bytes(Encoding.PEM))
    key = held.signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (files / "signer.key").write_bytes(key)
    good = made.parties["FI-AUR"].credentials[CLIENT].certificate
    bad = made.parties["FI-AUR"].credentials[Purpose.SIGNING].certificate
    expiry = good.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
    revoked = f"{time.strftime('%y%m%d%H%M%SZ', time.gmtime(NOW_MS // 1000 - 60))},keyCompromise"
    (files / "index.txt").write_text(
        f"V\t{expiry}\t\t{good.serial_number:040X}\tunknown\t/CN=good\n"
        f"R\t{expiry}\t{revoked}\t{bad.serial_number:040X}\tunknown\t/CN=bad\n"
    )
    asked = ocsp.ask(authority.certificate, (good.serial_number, bad.serial_number))
    (files / "request.der").write_bytes(asked.der)
    said = _openssl(
        "ocsp", "-index", files / "index.txt", "-CA", files / "fo.pem", "-rsigner", files / "signer.pem",
        "-rkey", files / "signer.key", "-rmd", "sha256", "-reqin", files / "request.der", "-nmin", "30",
        "-respout", files / "response.der",
    )  # fmt: skip
    assert (files / "response.der").exists(), said
    now_ms = time.time_ns() // 1_000_000
    found = ocsp.answered(asked, (files / "response.der").read_bytes(), now_ms)
    assert found[good.serial_number].status is CertStatus.GOOD
    assert (found[bad.serial_number].status, found[bad.serial_number].reason) == (CertStatus.REVOKED, 1)


@pytest.fixture
def url(answering: Responder) -> Iterator[str]:
    """A bare HTTP server around the responder; that of the service has tests of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if urlsplit(self.path).path != PATH:
                self.send_error(404)
                return
            der = answering.answer(body, NOW_MS).der
            self.send_response(200)
            self.send_header("content-type", "application/ocsp-response")
            self.send_header("content-length", str(len(der)))
            self.end_headers()
            self.wfile.write(der)

        def log_message(self, *_arguments: Any) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_openssl_reads_where_to_ask_and_asks_there(files: Path, url: str) -> None:
    """`openssl ocsp` looks up no extension itself: whoever uses it does so. The host is this one, not the zone's."""
    named = _openssl("x509", "-in", files / "good.pem", "-noout", "-ocsp_uri").strip()
    assert named == "http://pki.flexledger.example/pki/ocsp"
    place = urlsplit(named)
    there = urlunsplit(place._replace(netloc=urlsplit(url).netloc))
    asked = ("ocsp", *_trust(files), "-cert", files / "good.pem", "-header", f"host={place.hostname}")
    said = _openssl(*asked, "-url", there)
    assert "Response verify OK" in said, said
    assert "good.pem: good" in said, said
    assert "Response verify OK" not in _openssl(*asked, "-url", url)  # only there, and nowhere else


def test_openssl_finds_no_responder_where_none_answers(files: Path, made: Ceremony) -> None:
    (files / "signer.pem").write_bytes(
        issue(made.hierarchy.issuing[Group.FO], OCSP_SIGNER, now_ms=NOW_MS).certificate.public_bytes(Encoding.PEM)
    )
    for name in ("root.pem", "fo.pem", "signer.pem"):
        assert _openssl("x509", "-in", files / name, "-noout", "-ocsp_uri").strip() == ""
    shown = _openssl("x509", "-in", files / "fo.pem", "-noout", "-ext", "authorityInfoAccess")
    assert "CA Issuers - URI:http://pki.flexledger.example/pki/root.crt" in shown


def test_openssl_asks_over_http(files: Path, url: str) -> None:
    said = _openssl(
        "ocsp", *_trust(files), "-cert", files / "good.pem", "-cert", files / "revoked.pem", "-url", url + PATH
    )
    assert "Response verify OK" in said, said
    assert "good.pem: good" in said, said
    assert "revoked.pem: revoked" in said, said
