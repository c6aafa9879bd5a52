"""Certification requests give a key and nothing else; private keys are for their owner's eyes."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import csr, keys


def _request(key: Any, **extensions: x509.ExtensionType) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody else")])
    )
    for value in extensions.values():
        builder = builder.add_extension(value, critical=True)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def test_a_request_gives_its_key_in_der_and_in_pem() -> None:
    key = keys.generate()
    data = _request(key)
    assert csr.open_csr(data).spki_sha256 == keys.spki_sha256(key.public_key())
    pem = x509.load_der_x509_csr(data).public_bytes(Encoding.PEM)
    assert csr.open_csr(pem).public_key == key.public_key()
    assert csr.open_csr(_request(ed25519.Ed25519PrivateKey.generate()))


def test_a_request_not_signed_by_its_key_is_refused() -> None:
    data = _request(keys.generate())
    body = x509.load_der_x509_csr(data).tbs_certrequest_bytes
    at = data.index(body) + body.index(b"somebody else")
    forged = data[:at] + b"Somebody else" + data[at + len(b"somebody else") :]
    with pytest.raises(csr.NoPossession):
        csr.open_csr(forged)


def test_the_size_of_a_request_is_capped() -> None:
    data = _request(keys.generate())
    pem = x509.load_der_x509_csr(data).public_bytes(Encoding.PEM)
    assert csr.open_csr(pem + b"\n" * (csr.MAX_CSR_BYTES - len(pem)))
    with pytest.raises(csr.OversizeRequest):
        csr.open_csr(pem + b"\n" * (csr.MAX_CSR_BYTES + 1 - len(pem)))


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"-----BEGIN NONSENSE-----", b"\xff" * 100])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(csr.BadRequest):
        csr.open_csr(data)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP521R1())], ids=["rsa", "p521"]
)
def test_a_request_with_a_key_that_is_not_allowed_is_refused(key: Any) -> None:
    with pytest.raises(keys.WeakKey):
        csr.open_csr(_request(key))


def test_nothing_but_the_key_is_taken_from_a_request_that_asks_for_a_ca() -> None:
    data = _request(
        keys.generate(),
        ca=x509.BasicConstraints(ca=True, path_length=None),
        names=x509.SubjectAlternativeName([x509.DNSName("evil.example")]),
    )
    opened = csr.open_csr(data)
    assert set(opened.__slots__) == {"public_key", "spki_sha256"}


@pytest.mark.parametrize("password", [None, b"correct horse"])
def test_a_key_survives_its_file(tmp_path: Path, password: bytes | None) -> None:
    key, path = keys.generate(), tmp_path / "key.pem"
    keys.save_private(path, key, password)
    assert path.stat().st_mode & 0o777 == keys.OWNER_ONLY
    assert keys.spki_sha256(keys.load_private(path, password).public_key()) == keys.spki_sha256(key.public_key())
    with pytest.raises(keys.KeyFileExists):
        keys.save_private(path, key, password)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o644])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    keys.save_private(path, keys.generate(), None)
    path.chmod(mode)
    with pytest.raises(keys.KeyFileMode) as caught:
        keys.load_private(path, None)
    assert caught.value.code == "pki/key-file-mode"


def test_key_files_that_hold_no_usable_key_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(keys.KeyFileAbsent):
        keys.load_private(path, None)
    keys.save_private(path, keys.generate(), b"secret")
    for wrong in (b"other", None):
        with pytest.raises(keys.BadKeyFile):
            keys.load_private(path, wrong)
    foreign = ed25519.Ed25519PrivateKey.generate()
    for name, data in (
        ("ed.pem", foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        ("big.pem", b"x" * (keys.MAX_KEY_FILE_BYTES + 1)),
    ):
        other = tmp_path / name
        other.write_bytes(data)
        other.chmod(0o600)
        with pytest.raises(keys.BadKeyFile):
            keys.load_private(other, None)
