"""Persons' credentials: what they say, what is said of them, and what is left when a person is forgotten."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from cryptography import x509

from api.cli.demo import cast
from api.cli.pki_gaps import KINDS
from ledger.privacy.pseudonyms import Pseudonyms, transaction_epoch
from ledger.records import statement
from ledger.records.credentials import CREDENTIAL_STREAM
from ledger.records.privacy import ErasureBasis
from ledger.rules.credential_state import CredentialBook
from pki import keys, names, ocsp
from pki.profiles import SHORT_LIVED_MS
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.store.records import Reason
from tests.support import canaries
from tests.support.enrolling import certificate, der, enrol, invite, pkcs10
from tests.support.house import House

QUARTER_MS = 15 * 60_000
PERSON: dict[str, Any] = {
    "role": "EVU",
    "party_id": "",
    "organisation": "",
    "purposes": ["TLS_CLIENT", "SIGNING"],
}
IDENTIFYING = {
    "EMAID": re.compile(r"\b[A-Z]{2}[-*]?[A-Z0-9]{3}[-*]?C[A-Z0-9]{8}([-*]?[A-Z0-9])?\b"),
    "VIN": re.compile(r"\b(?=[A-HJ-NPR-Z0-9]*[A-Z])(?=[A-HJ-NPR-Z0-9]*\d)[A-HJ-NPR-Z0-9]{17}\b"),
    "e-mail": re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b"),
    "IP address": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?!\.\d)"),
}
UTC_TIME = re.compile(r"\d{12,14}Z")
"""Stands in DER beside other octets, and together they can look like anything."""
HEX = re.compile(r"^[0-9a-f]{32,}$")


def found_in(texts: Iterator[str]) -> list[tuple[str, str]]:
    """What identifies a person in a text, and its kind; digests and object identifiers name nobody."""
    return [
        (kind, match[0])
        for text in texts
        if not HEX.fullmatch(text)
        for kind, pattern in IDENTIFYING.items()
        for match in pattern.finditer(text)
    ]


def printable(data: bytes) -> Iterator[str]:
    """Every run of text in DER: strings of names, URIs and hosts stand there as they are."""
    yield from (UTC_TIME.sub(" ", run.decode("ascii")) for run in re.findall(rb"[\x20-\x7e]{4,}", data))


def strings(value: Any) -> Iterator[str]:
    """Every string in JSON, members' names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)


async def a_person(house: House) -> tuple[str, x509.Certificate, x509.Certificate]:
    """A person who enrols under one contract: the pseudonym, and both certificates."""
    reply = await house.post(cast.OPS, "/v1/credentials/invitations", PERSON)
    invited = reply.json()
    both = [
        certificate(await enrol(house, invited["code"], pkcs10(keys.generate()), label=label))
        for label in ("tls-client", "signing")
    ]
    return invited["party_id"], both[0], both[1]


def told(house: House) -> list[Any]:
    """Every statement of the log about credentials, as JSON says it, with the entry's own members."""
    said = []
    for index in range(house.size()):
        entry = house.entry(index)
        if entry.stream == CREDENTIAL_STREAM:
            said.append(statement.parse_statement(entry.stmt).claims.event)
    return said


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("EMAID", "DE-8AA-CA2B3C4D5-L"),
        ("VIN", "WVWZZZ1JZXW000001"),
        ("e-mail", "erika.mustermann@example.org"),
        ("IP address", "from 203.0.113.9"),
    ],
)
def test_the_scan_finds_what_it_looks_for(kind: str, text: str) -> None:
    assert kind in {found for found, _ in found_in(iter([text]))}


async def test_no_emaid_vin_email_or_ip_in_evu_certificates_crls_ocsp_or_ledger(house: House) -> None:
    """A day's sessions, contracts and enrolments later, nothing that leaves the office identifies a person."""
    _, tls, signing = await a_person(house)
    office = house.service.office
    assert office is not None
    held = office.store.get(office.hierarchy.issuing[Group.EVU].key_sha256, tls.serial_number)
    await office.revoke(held, Reason.CESSATION)
    now_ms = office.now_ms(Purpose.TLS_CLIENT)
    evu = office.hierarchy.issuing[Group.EVU]
    responder = Responder(office.hierarchy.issuing.values())
    await office.work(lambda: responder.rotate(now_ms))
    answer = responder.answer(ocsp.ask(evu.certificate, (tls.serial_number,)).der, now_ms)
    assert len(answer.der) > 200
    for made in (der(tls), der(signing), evu.crl(now_ms), answer.der):
        assert found_in(printable(made)) == []
    entries = [house.entry(index) for index in range(house.size())]
    assert len(entries) > 30
    for entry in entries:
        claims = statement.parse_statement(entry.stmt).claims
        plain = msgspec.to_builtins(claims.event)
        # A certificate or a claim inside an entry is base64; what an organisation says in clear is JSON.
        assert found_in(strings(plain)) == [], entry.type
    assert found_in(text for line in house.lines for text in strings(msgspec.to_builtins(line))) == []


async def test_a_persons_certificate_says_a_pseudonym_and_nothing_else(house: House) -> None:
    pseudonym, tls, signing = await a_person(house)
    for found in (tls, signing):
        assert [(each.oid.dotted_string, each.value) for each in found.subject] == [("2.5.4.65", pseudonym)]
        san = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = list(san)
        assert isinstance(uri, x509.UniformResourceIdentifier)
        assert uri.value.endswith(f"/evu/{pseudonym}")
        life_ms = (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() * 1000
        assert life_ms <= SHORT_LIVED_MS + 600_000


async def test_pseudonym_not_derivable_from_identity(house: House) -> None:
    """It is drawn before anybody knows for whom, twice the same answer never gives the same one."""
    drawn = {(await a_person(house))[0] for _ in range(8)}
    assert len(drawn) == 8
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in drawn)
    given = {**PERSON, "party_id": names.new_pseudonym()}
    refused = await house.post(cast.OPS, "/v1/credentials/invitations", given)
    assert refused.json()["code"] == "api/invitation-unfit"
    bits = [format(int(one, 16), "0128b").count("1") for one in (canaries.UNMARKED() for _ in range(200))]
    assert 60 < sum(bits) / len(bits) < 68


async def test_erasing_the_mapping_leaves_chain_verification_intact(house: House) -> None:
    """The office and the vault forget the person; every entry, rule and certificate path verifies as before."""
    person = house.party("EVU-E1")
    pseudonym, tls, signing = await a_person(house)
    office = house.service.office
    assert office is not None
    before = len(office.desk.state.credentials.all())
    await house.service.privacy.erase(person, ErasureBasis.CONSENT_WITHDRAWN)
    office.forget_person(pseudonym)
    for gone in (person, pseudonym):
        assert office.store.find(party_id=gone) == []
        files = [path for path in house.settings.data_dir.iterdir() if path.is_file()]
        assert [path.name for path in files if gone.encode() in path.read_bytes()] == []
    rebuilt = CredentialBook()
    for index in range(house.size()):
        entry = house.entry(index)
        record = statement.parse_statement(entry.stmt).record
        if isinstance(record, KINDS):
            rebuilt.fold(record, index)
    # A table that is kept on disk is walked in another order than one in memory.
    told, kept = (sorted(book.all(), key=lambda one: one.name) for book in (rebuilt, office.desk.state.credentials))
    assert told == kept
    assert (len(rebuilt.all()), rebuilt.gaps()) == (before, ())
    # Whoever still has the certificate can show that it was issued by this office: digest and serial number are there.
    directory = house.service.directory
    for found, purpose in ((tls, Purpose.TLS_CLIENT), (signing, Purpose.SIGNING)):
        proven = directory.validate(der(found), office.now_ms(purpose), purpose=purpose)
        state = rebuilt.find(proven.issuer_key_sha256, f"{proven.serial:040x}")
        assert state is not None
        assert state.tbs_sha256 == proven.tbs_sha256


async def test_two_contracts_of_one_evu_are_unlinkable_in_exports(house: House) -> None:
    """One person, two contracts: nothing in certificates, log or exports is shared that not every person shares."""
    start = len(told(house))
    first, second, stranger = [await a_person(house) for _ in range(3)]
    mine = [set(strings(event)) for event in told(house)[start:]]
    assert len(mine) == 12
    one, two, other = (set().union(*mine[place : place + 4]) for place in (0, 4, 8))
    assert one & two == one & other == two & other
    for place in (1, 2):
        ours, theirs = (
            {extension.value.digest for found in person[1:] for extension in found.extensions if _is_key_id(extension)}
            for person in (first, (first, second, stranger)[place])
        )
        assert ours.isdisjoint(theirs)
        assert first[0] != (first, second, stranger)[place][0]
    pseudonyms = Pseudonyms(house.service.engines.vault.keys)
    exported = {
        pseudonyms.of(uid, recipient=cast.FO, purpose="SETTLEMENT", epoch=transaction_epoch(stream))
        for uid in (b"first contract's subject", b"second contract's subject")
        for stream in ("fsr/fsr-1", "fsr/fsr-2")
    }
    assert len(exported) == 4


def _is_key_id(extension: x509.Extension[Any]) -> bool:
    return isinstance(extension.value, x509.SubjectKeyIdentifier)


async def test_an_entry_about_a_person_has_no_exact_time(house: House) -> None:
    """The quarter of an hour, or the time of the entry before, which is somebody else's; never the moment."""
    house.clock.set_ms(house.clock.now_ms() + 7 * 60_000 + 123)
    start = house.size()
    await a_person(house)
    for index in range(start, house.size()):
        entry = house.entry(index)
        assert entry.type in ("credential.intended", "credential.issued")
        assert entry.rec % QUARTER_MS == 0 or entry.rec == house.entry(index - 1).rec
        claims = statement.parse_statement(entry.stmt).claims
        assert claims.iat * 1000 % QUARTER_MS == 0
        assert {"not_before_ms", "not_after_ms", "at_ms"}.isdisjoint(claims.event)
    assert house.size() == start + 4


async def test_a_code_for_a_person_is_forgotten_with_the_person(house: House) -> None:
    code = await invite(house, **PERSON)
    office = house.service.office
    assert office is not None
    found = certificate(await enrol(house, code, pkcs10(keys.generate())))
    pseudonym = str(found.subject.rdns[0].get_attributes_for_oid(x509.NameOID.PSEUDONYM)[0].value)
    office.forget_person(pseudonym)
    reply = await enrol(house, code, pkcs10(keys.generate()), label="signing")
    assert (reply.status, reply.json()["code"]) == (401, "api/code-refused")
