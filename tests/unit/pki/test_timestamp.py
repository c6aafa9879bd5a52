"""A time stamp by OpenSSL's authority is read as a stranger's library reads it, and nothing else is believed."""

import hashlib
from pathlib import Path

import pytest
import rfc3161_client
from rfc3161_client import VerifierBuilder
from rfc3161_client.errors import VerificationError

from pki import path, timestamp
from pki.asn1 import timestamp as asn1
from pki.asn1.der import MalformedDer, OversizeDer
from pki.errors import PkiError
from pki.timestamp import TimestampRefused
from tests.support import tsa
from tests.support.tsa import Tsa

pytestmark = pytest.mark.slow  # takes seconds

DIGEST = hashlib.sha256(b"a checkpoint").digest()
OTHER = hashlib.sha256(b"another").digest()
NONCE = 0xC0FFEE


@pytest.fixture(scope="module", params=["rsa", "ec"])
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "a", kind=request.param)


@pytest.fixture(scope="module")
def response(authority: Tsa) -> bytes:
    return authority.stamp(timestamp.request(DIGEST, NONCE))


def test_a_stamp_says_when_and_who(authority: Tsa, response: bytes) -> None:
    token = timestamp.open_response(response, imprint=DIGEST, nonce=NONCE, roots=[authority.root])
    found = timestamp.verify_token(token, imprint=DIGEST, roots=[authority.root])
    signer = authority.signer
    assert path.not_before_ms(signer) <= found.at_ms < path.not_after_ms(signer)
    assert (found.serial, found.policy, found.authority) == (0x1001, "1.3.6.1.4.1.32473.1", "CN=TSA signer")


def test_a_stamp_says_by_how_much_its_time_may_be_wrong(authority: Tsa, response: bytes) -> None:
    """RFC 3161 section 2.4.2: seconds, thousandths and millionths of one; OpenSSL's authority says one second."""
    token = asn1.token_of(response)
    assert timestamp.verify_token(token, imprint=DIGEST, roots=[authority.root]).accuracy_ms == 1_000
    one_second = b"\x30\x03\x02\x01\x01"
    assert token.count(one_second) == 1
    for said, accuracy_ms in ((b"\x80\x01\x05", 5), (b"\x81\x01\x07", 1), (b"\x02\x01\x00", 0)):
        assert asn1.decode_token(token.replace(one_second, b"\x30\x03" + said)).info.accuracy_ms == accuracy_ms
    for said in (b"\x02\x01\xff", b"\x80\x01\xff", b"\x04\x01\x01"):
        with pytest.raises(MalformedDer):
            asn1.decode_token(token.replace(one_second, b"\x30\x03" + said))


def test_a_strangers_library_says_the_same_of_the_same_bytes(authority: Tsa, response: bytes) -> None:
    theirs = rfc3161_client.decode_timestamp_response(response)
    verifier = VerifierBuilder().add_root_certificate(authority.root).build()
    verifier.verify(theirs, DIGEST)
    with pytest.raises(VerificationError):
        verifier.verify(theirs, OTHER)
    ours = timestamp.verify_token(asn1.token_of(response), imprint=DIGEST, roots=[authority.root])
    assert int(theirs.tst_info.gen_time.timestamp()) == ours.at_ms // 1000
    assert theirs.tst_info.serial_number == ours.serial


def test_other_octets_and_an_answer_to_another_request_are_refused(authority: Tsa, response: bytes) -> None:
    with pytest.raises(TimestampRefused):
        timestamp.open_response(response, imprint=OTHER, nonce=NONCE, roots=[authority.root])
    with pytest.raises(TimestampRefused):
        timestamp.open_response(response, imprint=DIGEST, nonce=NONCE + 1, roots=[authority.root])


def test_an_authority_that_nobody_trusts_is_refused(authority: Tsa, response: bytes, tmp_path: Path) -> None:
    stranger = tsa.make(tmp_path / "stranger")
    for roots in ([], [stranger.root]):
        with pytest.raises(TimestampRefused):
            timestamp.verify_token(asn1.token_of(response), imprint=DIGEST, roots=roots)


def test_no_byte_of_a_token_can_be_changed_for_another_meaning(authority: Tsa, response: bytes) -> None:
    token = asn1.token_of(response)
    said = timestamp.verify_token(token, imprint=DIGEST, roots=[authority.root])
    for at in range(0, len(token), 3):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            found = timestamp.verify_token(changed, imprint=DIGEST, roots=[authority.root])
        except PkiError:
            continue
        # CMS leaves its versions and its list of digests unsigned; what the stamp says is signed.
        assert found == said


def test_what_is_cut_or_too_large_is_refused(response: bytes) -> None:
    token = asn1.token_of(response)
    for at in range(0, len(token), 7):
        with pytest.raises(MalformedDer):
            asn1.decode_token(token[:at])
    with pytest.raises(OversizeDer):
        asn1.decode_token(bytes(asn1.MAX_RESPONSE_BYTES + 1))
    with pytest.raises(OversizeDer):
        asn1.token_of(bytes(asn1.MAX_RESPONSE_BYTES + 1))


@pytest.mark.parametrize("section", ["web", "root"])
def test_a_certificate_that_is_for_more_than_time_stamps_is_refused(tmp_path: Path, section: str) -> None:
    made = tsa.make(tmp_path / "tsa", kind="ec", section=section)
    with pytest.raises(TimestampRefused):
        timestamp._require_purpose(made.signer)


@pytest.mark.parametrize("ess", ["sha1", "sha512"])
def test_the_signers_certificate_may_be_named_by_other_digests(tmp_path: Path, ess: str) -> None:
    made = tsa.make(tmp_path / "tsa", kind="ec", ess=ess)
    token = asn1.token_of(made.stamp(timestamp.request(DIGEST, NONCE)))
    assert timestamp.verify_token(token, imprint=DIGEST, roots=[made.root]).serial == 0x1001


def test_an_authority_that_refuses_grants_nothing(authority: Tsa) -> None:
    refused = bytes.fromhex("3009300702010203020780")
    with pytest.raises(MalformedDer, match="granted nothing"):
        asn1.token_of(refused)


@pytest.mark.parametrize(("imprint", "nonce"), [(b"short", 1), (DIGEST, 0), (DIGEST, 1 << 64)])
def test_a_request_is_for_a_digest_and_has_a_nonce(imprint: bytes, nonce: int) -> None:
    with pytest.raises(TimestampRefused):
        timestamp.request(imprint, nonce)
