"""What a privacy officer does over HTTP: rights, exports, re-identification by two persons; and what nobody else may."""

import io
import tarfile
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from api.cli.demo import cast
from ledger.privacy import erasure_receipt, export_verify, rights
from ledger.privacy.errors import OpeningInvalid
from ledger.privacy.exports import archive, manifest, sealing
from ledger.privacy.pseudonyms import Pseudonyms, transaction_epoch
from ledger.records import disclosure, record, statement
from ledger.records import entry as entries
from ledger.records.privacy import RestrictionGround, RestrictionSet
from ledger.records.sites import SessionMirrored
from ledger.tlog import note
from pki.roles import Purpose
from tests.support import house_acts
from tests.support.house import CANARY, House, Reply, require_problem
from tests.support.privacy import Crash, Log

PERSON, NEIGHBOUR = (bay.person for bay in cast.BAYS[:2])
MINE = {"access", "portability", "restriction", "restriction/lifting", "hold", "hold/release", "recipients", "erasure"}


def body_for(act: str, subject: str) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {
        "restriction": {"ground": "OBJECTION_PENDING"},
        "hold": {"ground": "LEGAL_CLAIMS"},
        "erasure": {"basis": "OBJECTION"},
    }
    return {"subject": subject, **more.get(act, {})}


async def act(house: House, what: str, subject: str, who: str = cast.DPO) -> Reply:
    return await house.post(who, f"/v1/subjects/{what}", body_for(what, subject))


def files_of(data: bytes) -> dict[str, bytes]:
    return archive.read(data)


def verified(house: House, data: bytes) -> export_verify.VerifiedExport:
    return export_verify.verify_export(
        files_of(data),
        signer_key=house.issued(cast.CSO, Purpose.SIGNING).key.public_key(),
        vkeys=[note.parse_vkey(one) for one in house.service.engines.log_keys.vkeys()],
        origin=cast.ORIGIN,
        now_ms=house.clock.now_ms(),
    )


async def test_an_access_export_is_everything_of_one_person_and_nothing_of_another(house: House) -> None:
    person, other = house.party(PERSON), house.party(NEIGHBOUR)
    reply = await act(house, "access", f" {person.upper()}")
    assert reply.status == 201, reply.body
    found = verified(house, reply.body)
    types = {row["type"] for row in found.rows}
    assert types >= {"site.session-mirrored", "contract.offered", "contract.accepted"}
    told = reply.body.decode("latin-1")
    assert person in told
    assert other not in told
    papers = export_verify.papers(files_of(reply.body)[manifest.PAPERS])
    assert set(papers) == set(house.service.engines.vault.attachments_of(person)) != set()
    about = msgspec.json.decode(files_of(reply.body)[manifest.ABOUT])
    assert {one["category"] for one in about["categories"]} >= {"contract", "location", "time"}
    # It is on record, without saying whose it is or how much there was.
    last = statement.parse_statement(house.entry(house.size() - 1).stmt)
    assert last.claims.event == {
        "manifest_sha256": reply.headers["flexledger-manifest-sha256"],
        "profile": "ACCESS",
        "purpose": "SUBJECT_RIGHTS",
        "legal_basis": "ACCESS_RIGHT",
        "policy_version": 1,
    }
    house.require_silent()


async def test_a_portability_export_has_only_what_is_marked_portable(house: House) -> None:
    reply = await act(house, "portability", house.party(PERSON))
    assert reply.status == 201, reply.body
    rows = verified(house, reply.body).rows
    assert [row["type"] for row in rows] == ["site.session-mirrored"]
    portable = {name for name, mark in record.personal_marks(SessionMirrored).items() if mark.portable}
    shown = set(rows[0]["record"]) - {"_sd", "session_id", "site_id"}
    assert {"discharge_allowed"} <= shown <= portable


async def test_a_copy_that_is_sealed_opens_for_the_key_alone(house: House) -> None:
    key = x25519.X25519PrivateKey.generate()
    pem = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    asked = {"subject": house.party(PERSON), "seal_to": pem}
    reply = await house.post(cast.DPO, "/v1/subjects/access", asked)
    _, data = sealing.open_sealed(reply.body, key)
    assert verified(house, data).manifest_sha256 == reply.headers["flexledger-manifest-sha256"]
    for bad in (
        "",
        CANARY,
        house.made.parties[cast.CSO]
        .credentials[Purpose.SIGNING]
        .key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ):
        await house.attack(
            cast.DPO, "/v1/subjects/access", {**asked, "seal_to": bad}, status=400, code="ledger/sealing-refused"
        )


@pytest.mark.parametrize("header", [("origin", "https://page.example"), ("origin", "null"), ("sec-fetch-site", "none")])
async def test_what_a_page_makes_a_browser_ask_changes_nothing(house: House, header: tuple[str, str]) -> None:
    """A form of any page posts text that is JSON, and the browser shows the officer's certificate without asking."""
    body = msgspec.json.encode(body_for("erasure", house.party(PERSON)))
    before = house.size()
    for path in ("/v1/subjects/erasure", "/v1/tokens", "/v1/nothing"):
        reply = await house.ask(cast.DPO, "POST", path, body, [("content-type", "text/plain"), header])
        require_problem(reply, 403, "api/cross-site")
    assert house.size() == before
    assert (await house.ask(cast.DPO, "GET", "/v1/subjects", b"", [header])).status != 403
    assert (await act(house, "access", house.party(PERSON))).status == 201


async def test_restriction_keeps_a_person_out_of_exports_until_it_is_lifted(house: House) -> None:
    person = house.party(PERSON)
    digests = house.service.engines.vault.digests_of(person)
    assert (await act(house, "restriction", person)).status == 201
    states = {one.state.value for one in house.service.engines.vault.open_many(digests).values()}
    assert states == {"restricted"}
    assert (await act(house, "access", person)).status == 201
    assert (await act(house, "restriction/lifting", person)).status == 201
    states = {one.state.value for one in house.service.engines.vault.open_many(digests).values()}
    assert states == {"text"}
    require_problem(await act(house, "restriction/lifting", person), 409, "ledger/subject-not-restricted")


async def test_a_restriction_that_a_crash_kept_out_of_the_log_is_recorded_at_the_next_start(house: House) -> None:
    person = house.party(PERSON)
    log = Log(crash_before=0)
    with pytest.raises(Crash):
        await rights.restrict(
            house.service.engines.vault, log.record, person, ground=RestrictionGround.OBJECTION_PENDING
        )
    before = house.size()
    await house.service.privacy.catch_up()
    assert house.size() == before + 1
    said = statement.parse_statement(house.entry(before).stmt).record
    assert isinstance(said, RestrictionSet)
    await house.service.privacy.catch_up()
    assert house.size() == before + 1, "the next start has nothing to say"
    lifted = await act(house, "restriction/lifting", person)
    assert (lifted.status, lifted.json()) == (201, {"handle": said.handle})
    assert house.size() == before + 2


async def test_a_hold_stands_against_erasure_and_the_log_says_so(house: House) -> None:
    person = house.party(PERSON)
    assert (await act(house, "hold", person)).status == 201
    require_problem(await act(house, "erasure", person), 409, "ledger/subject-held")
    assert house.entry(house.size() - 1).type == "privacy.erasure-refused"
    handle = (await act(house, "hold", person)).json()["handle"]
    lifted = await act(house, "hold/release", person)
    assert (lifted.status, lifted.json()) == (201, {"handle": handle})
    require_problem(await act(house, "hold/release", person), 409, "ledger/subject-not-held")
    logged = [house.entry(index) for index in range(house.size())]
    said = [statement.parse_statement(one.stmt).record for one in logged if one.type.startswith("privacy.hold-")]
    assert [one.TYPE for one in said] == ["privacy.hold-placed", "privacy.hold-lifted"]
    assert [getattr(one, "handle", None) for one in said] == [handle, handle]
    assert (await act(house, "erasure", person)).status == 201


async def test_unknown_and_erased_persons_cannot_be_told_apart(house: House) -> None:
    """A25: the same answer to every question, but for the id of the answer."""
    person = house.party(PERSON)
    assert (await act(house, "erasure", person)).status == 201

    async def answers(subject: str) -> list[Any]:
        found = []
        for what in sorted(MINE):
            reply = await act(house, what, subject)
            told = reply.json()
            assert told.pop("instance").startswith("urn:uuid:")
            headers = {name: value for name, value in reply.headers.items() if name != "date"}
            found.append((what, reply.status, headers, told))
        return found

    erased, never = await answers(person), await answers("nobody-was-ever-called-so")
    assert [one[:2] + one[3:] for one in erased] == [one[:2] + one[3:] for one in never]
    assert {one[1] for one in erased} == {404}
    assert [set(one[2]) for one in erased] == [set(one[2]) for one in never]
    sizes = [[one[2]["content-length"] for one in found] for found in (erased, never)]
    assert sizes[0] == sizes[1]


async def test_a_wrong_value_is_put_right_by_a_later_entry(house: House) -> None:
    person = house.party(PERSON)
    said = house.said(cast.CSO, house_acts.session(evu=person), f"site/{cast.SITE}")
    index = (await house.post(cast.CSO, f"/v1/sites/{cast.SITE}/sessions", said)).json()["index"]
    asked = {"subject": person, "index": index, "member": "discharge_allowed", "value": False}
    reply = await house.post(cast.DPO, "/v1/subjects/rectification", asked)
    assert reply.status == 201, reply.body
    entry = house.entry(reply.json()["index"])
    claims = statement.parse_statement(entry.stmt).claims
    assert (claims.type, claims.event["corrects"], claims.event["member"]) == (
        "privacy.entry-rectified",
        index,
        "discharge_allowed",
    )
    rows = verified(house, (await act(house, "access", person)).body).rows
    assert [row["record"]["value"] for row in rows if row["type"] == claims.type] == ["false"]
    for change in (
        {"member": "evse_idd"},
        {"value": CANARY},
        {"index": 0},
        {"subject": house.party(NEIGHBOUR)},
        {"member": "session_id"},
        {"value": 0.5},
        {"value": [[]] * 9},
    ):
        await house.attack(
            cast.DPO, "/v1/subjects/rectification", {**asked, **change}, status=400, code="ledger/rectification-unfit"
        )


async def test_a_receipt_shows_what_of_one_entry_was_erased_and_nothing_else(house: House) -> None:
    person = house.party(PERSON)
    said = house.said(cast.CSO, house_acts.session(evu=person), f"site/{cast.SITE}")
    index = (await house.post(cast.CSO, f"/v1/sites/{cast.SITE}/sessions", said)).json()["index"]
    path = f"/v1/entries/{index}/erasure-receipt"
    require_problem(await house.ask(cast.AUD, "GET", path), 404, "api/receipt-absent")
    assert (await act(house, "erasure", person)).status == 201
    reply = await house.ask(cast.AUD, "GET", path)
    receipt = erasure_receipt.read(reply.body)
    assert set(erasure_receipt.verify(receipt)) == {disclosure.digest(one.text) for one in said.disclosures}
    changed = msgspec.structs.replace(receipt, erased=(msgspec.structs.replace(receipt.erased[0], digest="A" * 43),))
    with pytest.raises(OpeningInvalid):
        erasure_receipt.verify(changed)
    other = msgspec.structs.replace(receipt, entry=receipt.tombstones[0])
    with pytest.raises(OpeningInvalid):
        erasure_receipt.verify(other)
    for who in (cast.FO, cast.CSO, cast.CSP, NEIGHBOUR):
        require_problem(await house.ask(who, "GET", path), 403, "api/role-not-allowed")


def pseudonym_of(house: House, person: str, recipient: str = cast.FO, stream: str = "fsr/fsr-1") -> str:
    vault = house.service.engines.vault
    return Pseudonyms(vault.keys).of(
        vault.uid_of(person), recipient=recipient, purpose="SETTLEMENT", epoch=transaction_epoch(stream)
    )


def asked_for(pseudonym: str, **changes: Any) -> dict[str, Any]:
    return {
        "pseudonym": pseudonym,
        "recipient": cast.FO,
        "purpose": "SETTLEMENT",
        "epoch": "transaction:fsr/fsr-1",
        "ground": "DISPUTE",
        **changes,
    }


async def test_a_pseudonym_is_opened_by_two_persons_once_and_on_record_first(house: House) -> None:
    """A20."""
    person = house.party(PERSON)
    begun = house.size()
    made = (await house.post(cast.DPO, "/v1/reidentifications", asked_for(pseudonym_of(house, person)))).json()
    place = f"/v1/reidentifications/{made['request']}"
    require_problem(await house.post(cast.DPO, f"{place}/answer", {}), 409, "ledger/reidentification-not-approved")
    require_problem(await house.post(cast.DPO, f"{place}/approval", {}), 403, "api/role-not-allowed")
    shown = (await house.ask(cast.OPS, "GET", "/v1/reidentifications")).json()["requests"]
    assert [one["request"] for one in shown] == [made["request"]]
    assert pseudonym_of(house, person) not in str(shown)
    approved = await house.post(cast.OPS, f"{place}/approval", {})
    assert approved.json()["approver"] == cast.OPS
    require_problem(await house.post(cast.OPS, f"{place}/answer", {}), 403, "api/role-not-allowed")
    answered = await house.post(cast.DPO, f"{place}/answer", {})
    assert answered.json() == {"subject": person.casefold()}
    require_problem(await house.post(cast.DPO, f"{place}/answer", {}), 404, "ledger/reidentification-unknown")
    written = [house.entry(index) for index in range(begun, house.size())]
    assert [one.type.partition(".")[2] for one in written] == [
        "reidentification-requested",
        "reidentification-approved",
        "reidentification-closed",
    ]
    assert all(pseudonym_of(house, person) not in one.stmt for one in written)
    house.require_silent(pseudonym_of(house, person))


async def test_what_is_not_exactly_that_pseudonym_is_nobody(house: House) -> None:
    """A20: another recipient, epoch or purpose, a restricted person, and anybody after an erasure."""
    person, other = house.party(PERSON), house.party(NEIGHBOUR)
    theirs = pseudonym_of(house, other)
    asked = [
        asked_for(pseudonym_of(house, person), recipient=cast.CSP),
        asked_for(pseudonym_of(house, person), epoch="transaction:fsr/fsr-2"),
        asked_for(pseudonym_of(house, person), purpose="AUDIT"),
        asked_for("P1" + "A" * 32),
        asked_for(theirs),
        asked_for(pseudonym_of(house, person)),
    ]
    await act(house, "restriction", other)
    requests = [(await house.post(cast.DPO, "/v1/reidentifications", one)).json()["request"] for one in asked]
    for request in requests:
        assert (await house.post(cast.OPS, f"/v1/reidentifications/{request}/approval", {})).status == 201
    await act(house, "erasure", person)
    for request in requests:
        answered = await house.post(cast.DPO, f"/v1/reidentifications/{request}/answer", {})
        assert answered.json() == {"subject": None}
    claims = asked_for(theirs, ground="LEGAL_CLAIMS")
    request = (await house.post(cast.DPO, "/v1/reidentifications", claims)).json()["request"]
    await house.post(cast.OPS, f"/v1/reidentifications/{request}/approval", {})
    answered = await house.post(cast.DPO, f"/v1/reidentifications/{request}/answer", {})
    assert answered.json() == {"subject": other.casefold()}


OFFICERS = {
    **{f"/v1/subjects/{what}": "POST" for what in MINE},
    "/v1/subjects/rectification": "POST",
    "/v1/exports": "POST",
    "/v1/retention/runs": "POST",
    "/v1/reidentifications": "POST",
    "/v1/reidentifications/x/answer": "POST",
    "/v1/breach-scope": "POST",
    "/v1/notices/1/sent": "POST",
    "/v1/notices": "GET",
    "/v1/records-of-processing": "GET",
}


async def test_the_privacy_officers_resources_are_closed_to_every_other_role(door: House) -> None:
    """Some of them to the operator too: whoever runs the machine is not who answers for the persons."""
    for path, method in OFFICERS.items():
        for who in (cast.FO, cast.CSO, cast.CSP, cast.AUD, cast.OPS, PERSON):
            await door.attack(who, path, b"{}", status=403, code="api/role-not-allowed", method=method)
        await door.attack(None, path, b"{}", status=401, code="api/credential-missing", method=method)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/subjects/access", {"subject": ""}, "api/body-malformed"),
        ("/v1/subjects/access", {"subject": CANARY * 40}, "api/body-malformed"),
        ("/v1/subjects/hold", {"subject": CANARY, "ground": CANARY}, "api/body-malformed"),
        ("/v1/exports", {"recipient": "FI-X"}, "api/body-malformed"),
        ("/v1/exports", {"recipient": "FI-X", "policy": "research", "profile": "RESEARCH"}, "api/body-malformed"),
        ("/v1/reidentifications", {**asked_for(CANARY)}, "api/body-malformed"),
        ("/v1/reidentifications", {**asked_for("P1" + "A" * 32), "epoch": CANARY}, "api/body-malformed"),
        ("/v1/breach-scope", {"recipient": ""}, "api/body-malformed"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(door: House, path: str, body: Any, code: str) -> None:
    await door.attack(cast.DPO, path, body, status=400, code=code)


async def test_an_unknown_policy_and_an_unknown_request_are_absent(door: House) -> None:
    body = {"recipient": "FI-X", "policy": "nonesuch"}
    await door.attack(cast.DPO, "/v1/exports", body, status=404, code="api/policy-unknown")
    path = f"/v1/reidentifications/{'0' * 32}/approval"
    await door.attack(cast.OPS, path, b"", status=404, code="ledger/reidentification-unknown")
    listed = (await door.ask(cast.AUD, "GET", "/v1/exports/policies")).json()["policies"]
    assert {one["name"] for one in listed} == {"audit", "grid-planning", "research", "settlement"}


async def test_the_papers_of_the_officer_name_nobody(house: House) -> None:
    ropa = await house.ask(cast.DPO, "GET", "/v1/records-of-processing")
    scope = await house.post(cast.DPO, "/v1/breach-scope", {})
    given = await house.post(cast.DPO, "/v1/breach-scope", {"recipient": cast.FO})
    assert {one["category"] for one in ropa.json()["activities"]} >= {"contract", "location", "meter", "time"}
    assert "Not legal advice" in ropa.json()["caveat"]
    assert scope.json()["subjects"] >= 8
    assert sum(one["values"] for one in scope.json()["categories"]) > 50
    assert given.json()["exports"] == []
    for reply in (ropa, scope, given):
        for bay in cast.BAYS:
            assert house.party(bay.person) not in reply.body.decode()


async def test_an_archive_is_plain_tar(house: House) -> None:
    reply = await act(house, "access", house.party(PERSON))
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as opened:
        assert set(opened.getnames()) == manifest.FILES[manifest.Profile.ACCESS] | {
            manifest.MANIFEST,
            manifest.SIGNATURE,
        }
    assert entries.decode(house.service.reader.entry(0)).seq == 1
