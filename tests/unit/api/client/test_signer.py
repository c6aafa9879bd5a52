"""A signer is a key and the certificate for that very key, or it is refused."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from api.client.signer import SigningKeyUnfit, StatementSigner
from ledger.records import statement
from ledger.records.log import StreamClosed
from tests.support.tls_files import Authority

ORIGIN = "log.example/test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _load(key: Path, certificate: Path) -> StatementSigner:
    return StatementSigner.load(party="FO-1", key=key, certificate=certificate, audience=ORIGIN)


def test_a_statement_names_the_party_the_log_and_the_certificate(authority: Authority) -> None:
    pair = authority.client("FO-1", "FO")
    signed = _load(pair.key, pair.cert).sign(StreamClosed(closed="fsr/one", n=1), "fsr/one", now_ms=1_795_532_000_123)
    claims = statement.parse_statement(signed.raw)
    assert (claims.claims.iss, claims.claims.aud, claims.claims.iat) == ("FO-1", ORIGIN, 1_795_532_000)
    der = x509.load_pem_x509_certificate(pair.cert.read_bytes()).public_bytes(serialization.Encoding.DER)
    assert claims.header.x5t == base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def test_a_certificate_for_another_key_is_refused(authority: Authority) -> None:
    one, two = authority.client("FO-1", "FO"), authority.client("FO-1", "FO")
    with pytest.raises(SigningKeyUnfit, match="another key"):
        _load(one.key, two.cert)


@pytest.mark.parametrize("broken", ["absent", "not-pem", "swapped", "rsa"])
def test_files_that_hold_no_usable_key_are_refused(authority: Authority, tmp_path: Path, broken: str) -> None:
    pair = authority.client("FO-1", "FO")
    key = tmp_path / "key.pem"
    if broken == "not-pem":
        key.write_text("secret")
    elif broken == "swapped":
        key = pair.cert
    elif broken == "rsa":
        made = rsa.generate_private_key(65537, 2048)
        key.write_bytes(
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    with pytest.raises(SigningKeyUnfit) as caught:
        _load(key, pair.cert)
    assert "secret" not in caught.value.message()


def test_the_key_is_not_shown(authority: Authority) -> None:
    pair = authority.client("FO-1", "FO")
    assert "PrivateKey" not in repr(_load(pair.key, pair.cert))
