"""A key in a token signs, and does nothing else: it is not exported, not shadowed by another, and its PIN is not told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki import keyplace, keys, pkcs11
from pki.keyplace import BadKeyPlace, PinAbsent, PinExposed
from tests.support import softhsm

GOOD = "pkcs11:token=t;object=o?module-path=/m.so&pin-source=file:/pin"


@pytest.fixture
def label() -> str:
    """A token of the test's own."""
    name = f"t-{uuid4().hex[:12]}"
    softhsm.token(name)
    return name


def test_a_place_reads_as_it_is_written() -> None:
    uri = "pkcs11:token=my%20token;object=fo%3Bca;id=%01%ff?module-path=/usr/lib/m.so&pin-source=env:PKI_PIN"
    place = keyplace.parse(uri)
    assert (place.token, place.label, place.key_id) == ("my token", "fo;ca", b"\x01\xff")
    assert place.uri() == uri
    assert keyplace.parse(GOOD.replace("?", ";type=private?")).key_id is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:/key",
        GOOD.replace("token=t;", ""),
        GOOD.replace("object=o", "object="),
        GOOD.replace("object=o", "object=o;object=p"),
        GOOD.replace("object=o", "object=o;colour=red"),
        GOOD.replace("object=o", "object=o;type=public"),
        GOOD.replace("object=o", "object=%ff"),
        GOOD.replace("object=o", "object=%0a"),
        GOOD.replace("module-path=/m.so&", ""),
        GOOD.replace("/m.so", "m.so"),
        GOOD.replace("pin-source=file:/pin", "pin-value=1234"),
        f"{GOOD}&pin-value=1234",
        GOOD.replace("file:/pin", "file:pin"),
        GOOD.replace("file:/pin", "env:lower"),
        GOOD.replace("file:/pin", "http://x"),
        GOOD + "x" * keyplace.MAX_URI_CHARS,
    ],
)
def test_a_place_that_names_no_key_is_refused_and_tells_no_pin(uri: str) -> None:
    with pytest.raises(BadKeyPlace) as caught:
        keyplace.parse(uri)
    assert "1234" not in str(caught.value)


def test_a_pin_comes_from_a_closed_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = tmp_path / "pin"
    place = keyplace.parse(GOOD.replace("/pin", str(pin)))
    with pytest.raises(PinAbsent):
        place.pin()
    pin.write_text("4711\n")
    pin.chmod(0o644)
    with pytest.raises(PinExposed):
        place.pin()
    pin.chmod(0o600)
    assert place.pin() == "4711"
    pin.write_bytes(b"\xff")
    with pytest.raises(PinAbsent):
        place.pin()
    pin.write_text("1" * (keyplace.MAX_PIN_BYTES + 1))
    with pytest.raises(PinAbsent):
        place.pin()
    named = keyplace.parse(GOOD.replace("file:/pin", "env:TEST_TOKEN_PIN"))
    with pytest.raises(PinAbsent):
        named.pin()
    monkeypatch.setenv("TEST_TOKEN_PIN", "0815")
    assert named.pin() == "0815"


@pytest.mark.parametrize(("curve", "digest"), [(ec.SECP256R1(), hashes.SHA256()), (ec.SECP384R1(), hashes.SHA384())])
def test_a_key_of_the_token_signs_what_its_public_half_verifies(
    label: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm
) -> None:
    place = keyplace.parse(softhsm.uri(label, "ca"))
    key = pkcs11.generate(place, curve)
    opened = pkcs11.open_key(place)
    assert keys.spki_sha256(opened.public_key()) == keys.spki_sha256(key.public_key())
    key.public_key().verify(opened.sign(b"statement", ec.ECDSA(digest)), b"statement", ec.ECDSA(digest))
    hashed = hashes.Hash(digest)
    hashed.update(b"statement")
    signature = key.sign(hashed.finalize(), ec.ECDSA(Prehashed(digest)))
    key.public_key().verify(signature, b"statement", ec.ECDSA(digest))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest)
    assert request.is_signature_valid
    with pytest.raises(keys.KeyNotExportable):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert key.place == place.uri()


def test_hsm_key_label_reuse_is_refused(label: str) -> None:
    place = keyplace.parse(softhsm.uri(label, "ca", key_id="%01"))
    first = pkcs11.generate(place, ec.SECP256R1())
    for again in (softhsm.uri(label, "ca", key_id="%02"), softhsm.uri(label, "other", key_id="%01")):
        with pytest.raises(pkcs11.TokenKeyTaken) as caught:
            pkcs11.generate(keyplace.parse(again), ec.SECP256R1())
    assert caught.value.code == "pki/token-key-taken"
    assert pkcs11.open_key(place).public_key() == first.public_key()
    assert pkcs11.generate(keyplace.parse(softhsm.uri(label, "other", key_id="%02")), ec.SECP256R1())


def test_what_is_not_there_or_not_fit_is_said(label: str, tmp_path: Path) -> None:
    with pytest.raises(pkcs11.TokenKeyAbsent):
        pkcs11.open_key(keyplace.parse(softhsm.uri(label, "nobody")))
    with pytest.raises(pkcs11.TokenKeyAbsent):
        pkcs11.open_key(keyplace.parse(softhsm.uri("no-such-token", "ca")))
    missing = softhsm.uri(label, "ca").replace(str(softhsm.MODULE), str(tmp_path / "absent.so"))
    with pytest.raises(pkcs11.Pkcs11Absent):
        pkcs11.open_key(keyplace.parse(missing))
    with pytest.raises(pkcs11.TokenKeyUnfit):
        pkcs11.generate(keyplace.parse(softhsm.uri(label, "p521")), ec.SECP521R1())


def test_a_wrong_pin_is_refused_and_not_told(label: str, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text("not-the-pin-4711")
    with pytest.raises(pkcs11.TokenPinRefused) as caught:
        pkcs11.open_key(keyplace.parse(softhsm.uri(label, "ca", pin=pin)))
    assert "4711" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_could_leave_the_token_is_not_used(label: str) -> None:
    import pkcs11 as library
    from pkcs11 import Attribute, KeyType

    place = keyplace.parse(softhsm.uri(label, "loose"))

    def loose(session: object) -> None:
        parameters = {Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        domain = session.create_domain_parameters(KeyType.EC, parameters, local=True)  # type: ignore[attr-defined]
        template = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
        domain.generate_keypair(store=True, label="loose", id=b"1", private_template=template)

    pkcs11._token(place).use(loose, place)
    with pytest.raises(pkcs11.TokenKeyUnfit) as caught:
        pkcs11.open_key(place)
    assert caught.value.code == "pki/token-key-unfit"
    assert library is not None


def test_a_token_that_was_logged_out_is_busy_once_and_then_opened_again(label: str) -> None:
    key = pkcs11.generate(keyplace.parse(softhsm.uri(label, "ca")), ec.SECP256R1())
    held = pkcs11._token(key._at)
    assert key.sign(b"", ec.ECDSA(hashes.SHA256()))
    held._session.close()  # as if the token had been pulled: the handle means nothing any more
    with pytest.raises(pkcs11.TokenUnavailable) as caught:
        key.sign(b"", ec.ECDSA(hashes.SHA256()))
    assert caught.value.code == "pki/token-unavailable"
    assert key.sign(b"", ec.ECDSA(hashes.SHA256()))


def test_many_threads_share_one_token(label: str) -> None:
    key = pkcs11.generate(keyplace.parse(softhsm.uri(label, "ca")), ec.SECP256R1())
    together = threading.Barrier(4)

    def sign(number: int) -> None:
        message = b"%d" % number
        if number < 4:
            together.wait(5)
        key.public_key().verify(key.sign(message, ec.ECDSA(hashes.SHA256())), message, ec.ECDSA(hashes.SHA256()))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sign, range(32))) == [None] * 32
