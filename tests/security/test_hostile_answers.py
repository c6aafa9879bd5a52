"""Whatever a service answers, a command ends with an exit code and a stable code: never with a mistake of ours."""

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from api.cli import contract_acts, enroll, party_acts, privacy_text, site_acts
from api.cli.words import told
from api.client.errors import AnswerMalformed
from api.client.http import Answer
from pki import keys
from pki.roles import Purpose

OF_PRIVACY = "held erased recipients policies expired notices rotated reidentifications answer ropa breach_scope"
TEXTS: dict[str, Callable[[Any], str]] = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module, names in (
        (party_acts, "_requests _request _log"),
        (contract_acts, "_contracts _contract _found"),
        (site_acts, "_sites _site"),
        (privacy_text, OF_PRIVACY),
    )
    for name in names.split()
}
ANSWERS: tuple[Any, ...] = (
    None,
    5,
    "text",
    [],
    {},
    [[]],
    {"requests": [{}], "contracts": [{}], "entries": [{}], "next": None},
    {"requests": 5, "contracts": 5, "entries": 5, "next": 5},
    {"entries": [{"index": {}, "rec_ms": 10**30, "type": [], "party": None}]},
    {"requests": [{"fsr_id": "x", "status": "x", "service": "x", "start_at_ms": -(10**18)}], "next": None},
)


@pytest.mark.parametrize("name", TEXTS)
def test_an_answer_that_cannot_be_told_is_malformed(name: str) -> None:
    outcomes = [_outcome(TEXTS[name], answer) for answer in ANSWERS]
    assert AnswerMalformed.code in outcomes
    assert all(one == AnswerMalformed.code or one.replace("\n", "").isprintable() for one in outcomes)


def _outcome(text: Callable[[Any], str], answer: Any) -> str:
    try:
        return told(text, answer)
    except AnswerMalformed as error:
        return error.code


def test_a_command_says_that_an_answer_cannot_be_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def acted(*_: object) -> Any:
        return {"requests": 5}

    monkeypatch.setattr(party_acts, "_acted", acted)
    monkeypatch.setattr(party_acts.parties, "load", lambda _: None)
    assert party_acts.run(Path(), acted, TEXTS["api.cli.party_acts._requests"], json=False) == party_acts.UNKNOWN
    assert capsys.readouterr().err.startswith("unknown: api/answer-malformed: ")


# Enrolment


def certificate(key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, at, at + dt.timedelta(days=1))
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    return builder.sign(key, hashes.SHA256())


def packed(*found: x509.Certificate) -> bytes:
    return base64.b64encode(pkcs7.serialize_certificates(list(found), Encoding.DER))


GOOD = packed(certificate(keys.generate()))
BODIES = {
    "nothing": b"",
    "no base64": b"\xff\xfe*",
    "no DER": base64.b64encode(b"\x30\x80\x00\x00"),
    "other content": base64.b64encode(bytes.fromhex("300b06092a864886f70d010703")),
    "no content": base64.b64encode(bytes.fromhex("300b06092a864886f70d010702")),
    "BER": base64.b64encode(base64.b64decode(GOOD).replace(b"\x02\x01\x01", b"\x02\x01\xfe", 1)),
    "cut off": base64.b64encode(base64.b64decode(GOOD)[:-40]),
    "too large": b"A" * (enroll.MAX_ANSWER_BYTES + 4),
}


@pytest.mark.parametrize("kind", BODIES)
def test_what_holds_no_certificates_is_refused(kind: str) -> None:
    with pytest.raises(AnswerMalformed):
        enroll.certificates_in(BODIES[kind])


def test_whichever_octet_is_changed_the_answer_is_read_or_refused() -> None:
    whole = base64.b64decode(GOOD)
    refused = 0
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        try:
            for one in enroll.certificates_in(base64.b64encode(bytes(changed))):
                assert one.subject is not None
        except AnswerMalformed:
            refused += 1
    assert refused > len(whole) // 8


class Service:
    """Answers whatever is asked with the certificates that it is given."""

    def __init__(self, found: Callable[[ec.EllipticCurvePublicKey], bytes]) -> None:
        self._found = found

    def request(self, wanted: Any) -> Answer:
        asked = x509.load_der_x509_csr(base64.b64decode(wanted.body)).public_key()
        assert isinstance(asked, ec.EllipticCurvePublicKey)
        return Answer(200, {}, self._found(asked))


@pytest.mark.parametrize("answer", [GOOD, packed(*(certificate(keys.generate()) for _ in range(2)))])
def test_a_certificate_for_another_key_is_not_kept(tmp_path: Path, answer: bytes) -> None:
    service: Any = Service(lambda _: answer)
    with pytest.raises(AnswerMalformed):
        enroll._fetch(service, "code", Purpose.SIGNING, tmp_path, [])
    assert [one.name for one in tmp_path.iterdir()] == ["signing.key.pem"]


@pytest.mark.parametrize(
    "extensions", [(), (x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:other")]),)]
)
def test_a_certificate_that_names_nobody_is_refused(extensions: tuple[x509.ExtensionType, ...]) -> None:
    with pytest.raises(AnswerMalformed):
        enroll._identity(certificate(keys.generate(), *extensions))
