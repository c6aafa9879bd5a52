"""Whom data is about is worked out, not believed: nobody hides a person's data from erasure by naming somebody else."""

from typing import Any

import msgspec

from api import wire
from api.cli.demo import cast, props
from ledger.privacy.opened import State
from ledger.records import disclosure
from ledger.records.requests import Answer, Offer, RequestAnswered
from ledger.records.services import Service
from ledger.records.sites import ClaimKind
from pki import keys
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House

SESSIONS = f"/v1/sites/{cast.SITE}/sessions"


def owners(house: House, submitted_digests: list[str]) -> set[bytes | None]:
    return set(house.service.engines.vault.owners(submitted_digests).values())


async def test_a_session_given_to_nobody_or_to_another_spelling_is_the_persons_all_the_same(house: House) -> None:
    person = house.party(cast.BAYS[0].person)
    uid = house.service.engines.vault.uid_of(person)
    for subject in (None, f" {person.upper()} "):
        said = house.said(cast.CSO, house_acts.session(evu=person), f"site/{cast.SITE}", subject=subject)
        assert (await house.post(cast.CSO, SESSIONS, said)).status == 201
        assert owners(house, [disclosure.digest(one.text) for one in said.disclosures]) == {uid}


async def test_a_session_given_to_another_than_it_names_is_refused(house: House) -> None:
    said = house.said(
        cast.CSO,
        house_acts.session(evu=house.party(cast.BAYS[0].person)),
        f"site/{cast.SITE}",
        subject=house.party(cast.BAYS[1].person),
    )
    await house.attack(cast.CSO, SESSIONS, said, status=400, code="api/subject-other")


async def test_what_is_said_of_a_participation_is_kept_under_whose_it_is_whoever_is_named(house: House) -> None:
    """And the sender is not told whose it is: naming a person and watching for a refusal would be a way to ask."""
    await house_acts.issued(house)
    found = await house_acts.checked(house)
    first, second = cast.DC_BAYS[:2]
    offers = tuple(
        Offer(participation=found[bay.name], offered_w=4_000, up_w=4_000, down_w=0, evse_id=bay.evse_id)
        for bay in (first, second)
    )
    check_id = house.checks[house_acts.FSR]["check_id"]
    answer = RequestAnswered(fsr_id=house_acts.FSR, answer=Answer.ACCEPTED, check_id=check_id, offers=offers)
    # Both are given to the second person.
    said = house.said(cast.CSO, answer, f"fsr/{house_acts.FSR}", subject=house.party(second.person))
    reply = await house.post(cast.CSO, house_acts.at("response"), said)
    assert reply.status == 201, reply.body
    vault = house.service.engines.vault
    expected = {vault.uid_of(house.party(bay.person)) for bay in (first, second)}
    assert owners(house, [disclosure.digest(one.text) for one in said.disclosures]) == expected


def car_claim(house: House, key: Any) -> wire.Submission:
    things = (props.car_thing(key),)
    record, der = props.claim(house.made, things, ClaimKind.EV, Service.DROOP, house.clock.now_ms())
    return house.said(cast.CSO, record, f"site/{cast.SITE}", attachments=[props.attachment(der)])


async def test_a_cars_papers_without_a_subject_are_its_drivers_or_are_refused(house: House) -> None:
    path = f"/v1/sites/{cast.SITE}/claims"
    known = car_claim(house, house.car_keys[cast.AC_V2G_BAYS[0].name])
    assert (await house.post(cast.CSO, path, known)).status == 201
    driver = house.party(cast.AC_V2G_BAYS[0].person)
    vault = house.service.engines.vault
    assert owners(house, [disclosure.digest(one.text) for one in known.disclosures]) == {vault.uid_of(driver)}
    assert houses.sha256(known.attachments[0].data) in vault.attachments_of(driver)
    await house.attack(cast.CSO, path, car_claim(house, keys.generate()), status=400, code="api/subject-missing")


async def test_erasing_the_person_takes_what_was_given_to_nobody(house: House) -> None:
    person = house.party(cast.BAYS[0].person)
    said = house.said(cast.CSO, house_acts.session(evu=person), f"site/{cast.SITE}", subject=None)
    assert (await house.post(cast.CSO, SESSIONS, said)).status == 201
    digests = [disclosure.digest(one.text) for one in said.disclosures]
    reply = await house.post(cast.DPO, "/v1/subjects/erasure", {"subject": person, "basis": "OBJECTION"})
    assert msgspec.json.decode(reply.body)["size"] >= 16
    assert {one.state for one in house.service.engines.vault.open_many(digests).values()} == {State.ERASED}
