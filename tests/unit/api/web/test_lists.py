"""Lists and reads: whole and in order over any page length, by concern, filtered, and as at a past time."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.cli.demo import cast, props, story
from api.client import discovery
from api.client.errors import RemoteProblem
from ledger.records.contracts import ContractTerminated, HoldersAsked, TerminationReason
from ledger.records.services import Service
from ledger.records.site_changes import AvailabilityChanged, EvseRemoved, FirmwareReplaced, SiteChanged
from ledger.records.sites import Operational
from pki.ceremony import Ceremony
from tests.support import house as houses
from tests.support import house_acts
from tests.support.house import House, require_problem
from tests.support.house_acts import FSR

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # takes seconds

CONTRACTS = ("fsc-site", "fsc-voltwise", *(f"fsc-{bay.name.lower()}" for bay in (*cast.DC_BAYS, *cast.AC_V2G_BAYS)))
QUERY = "query-of-the-lists"


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return houses.perform()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, made: Ceremony) -> AsyncIterator[House]:
    """A request that is accepted, with a decision; a question about holders; a contract that was ended."""
    async with House.open(tmp_path_factory.mktemp("lists"), made) as opened:
        play = opened.play()
        await story.open_the_day(play)
        parts = await house_acts.accepted(opened)
        bay = cast.DC_BAYS[0]
        await story.opt_out(play, bay, FSR, parts[bay.name], house_acts.out("p").reason)  # type: ignore[arg-type]
        asked = HoldersAsked(
            query_id=QUERY,
            site_id=cast.SITE,
            service=Service.CONGESTION,
            start_at_ms=house_acts.START_MS,
            end_at_ms=house_acts.END_MS,
            candidates=discovery.candidates(play.offers.values(), QUERY),
        )
        await play.post(cast.FO, "/v1/contracts/discovery", asked, f"discovery/{QUERY}")
        ended = ContractTerminated(fsc_id="fsc-voltwise", reason=TerminationReason.NOTICE)
        await play.post(cast.CSP, "/v1/contracts/fsc-voltwise/termination", ended, "fsc/fsc-voltwise")
        yield opened


async def _get(house: House, who: str, path: str) -> Any:
    reply = await house.ask(who, "GET", path)
    assert reply.status == 200, reply.body
    return reply.json()


async def _all(house: House, who: str, path: str, member: str, *, limit: int, cursor: str = "after") -> list[Any]:
    """Every item, a page at a time; each page but the last is full and every page names the tree size."""
    found: list[Any] = []
    mark = "&" if "?" in path else "?"
    following = ""
    for _ in range(100):
        page = await _get(house, who, f"{path}{mark}limit={limit}{following}")
        assert page["tree_size"] == house.size()
        assert len(page[member]) <= limit
        found += page[member]
        if page["next"] is None:
            return found
        assert len(page[member]) == limit
        following = f"&{cursor}={page['next']}"
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_contracts_come_whole_and_in_order_whatever_the_page(house: House, limit: int) -> None:
    found = await _all(house, cast.FO, "/v1/contracts", "contracts", limit=limit)
    assert [one["fsc_id"] for one in found] == list(CONTRACTS)
    statuses = {one["fsc_id"]: one["status"] for one in found}
    assert statuses.pop("fsc-voltwise") == "TERMINATED"
    assert set(statuses.values()) == {"ACTIVE"}


async def test_contracts_are_filtered_by_state_and_site_and_shown_to_who_is_in_them(house: House) -> None:
    ended = await _get(house, cast.FO, "/v1/contracts?status=TERMINATED")
    assert [one["fsc_id"] for one in ended["contracts"]] == ["fsc-voltwise"]
    assert (await _get(house, cast.FO, "/v1/contracts?site_id=ELSEWHERE"))["contracts"] == []
    seen = {
        who: [one["fsc_id"] for one in (await _get(house, who, "/v1/contracts"))["contracts"]]
        for who in (cast.RIVAL, cast.CSP, cast.OTHER_CSO, cast.AUD, cast.DC_BAYS[1].person)
    }
    assert seen == {
        cast.RIVAL: [],
        cast.CSP: ["fsc-voltwise"],
        cast.OTHER_CSO: [],
        cast.AUD: list(CONTRACTS),
        cast.DC_BAYS[1].person: [f"fsc-{cast.DC_BAYS[1].name.lower()}"],
    }


async def test_a_contract_is_told_as_it_stood_at_a_time_and_never_names_the_person(house: House) -> None:
    now = await _get(house, cast.FO, "/v1/contracts/fsc-voltwise")
    version = now["versions"][0]
    assert (now["status"], now["reason"], now["in_force"]) == ("TERMINATED", "NOTICE", 1)
    before = await _get(house, cast.FO, f"/v1/contracts/fsc-voltwise?at_ms={now['terminated_at_ms'] - 1}")
    assert (before["status"], before.get("terminated_at_ms")) == ("ACTIVE", None)
    offered_only = await _get(house, cast.FO, f"/v1/contracts/fsc-voltwise?at_ms={version['offered_at_ms']}")
    assert offered_only["versions"][0]["offer_sha256"] == version["offer_sha256"]
    too_early = await house.ask(cast.FO, "GET", f"/v1/contracts/fsc-voltwise?at_ms={version['offered_at_ms'] - 1}")
    require_problem(too_early, 404, "api/not-concerned")
    whole = (await house.ask(cast.FO, "GET", "/v1/contracts")).body.decode()
    assert not any(house.party(bay.person) in whole or bay.evse_id in whole for bay in cast.BAYS)


async def test_a_site_is_told_as_it_was_in_force_at_a_time(house: House) -> None:
    first = await _get(house, cast.CSO, f"/v1/sites/{cast.SITE}")
    assert [one["evse_id"] for one in first["evses"]] == [bay.evse_id for bay in cast.BAYS]
    declared_at_ms = first["declared_at_ms"]
    early = await house.ask(cast.CSO, "GET", f"/v1/sites/{cast.SITE}?at_ms={declared_at_ms - 1}")
    require_problem(early, 404, "api/nothing-in-force")
    house.clock.set_ms(house.clock.now_ms() + 60_000)
    play = house.play()
    smaller = msgspec.structs.replace(props.site(house.made), version=2, import_limit_w=90_000)
    await play.post(cast.CSO, "/v1/sites", smaller, f"site/{cast.SITE}")
    now = await _get(house, cast.CSO, f"/v1/sites/{cast.SITE}")
    assert (now["version"], now["import_limit_w"]) == (2, 90_000)
    then = await _get(house, cast.CSO, f"/v1/sites/{cast.SITE}?at_ms={now['declared_at_ms'] - 1}")
    assert (then["version"], then["latest_version"], then["import_limit_w"]) == (1, 2, 160_000)


async def test_sites_and_stations_are_shown_to_who_has_a_contract_there(house: House) -> None:
    for who, count in ((cast.CSO, 1), (cast.FO, 1), (cast.CSP, 1), (cast.AUD, 1), (cast.RIVAL, 0), (cast.OTHER_CSO, 0)):
        assert len((await _get(house, who, "/v1/sites"))["sites"]) == count, who
        assert len((await _get(house, who, "/v1/stations"))["stations"]) == count * len(cast.BAYS), who
    found = await _all(house, cast.FO, "/v1/stations", "stations", limit=3)
    assert [one["station_id"] for one in found] == sorted(bay.station_id for bay in cast.BAYS)
    one = await _get(house, cast.FO, f"/v1/stations/{cast.BAYS[2].station_id}")
    assert [evse["evse_id"] for evse in one["evses"]] == [cast.BAYS[2].evse_id]
    require_problem(
        await house.ask(cast.RIVAL, "GET", f"/v1/stations/{cast.BAYS[2].station_id}"), 404, "api/not-concerned"
    )
    assert (await _get(house, cast.FO, "/v1/stations?site_id=ELSEWHERE"))["stations"] == []


async def test_checks_tell_every_answer_and_nobody_behind_it(house: House) -> None:
    listed = (await _get(house, cast.FO, f"/v1/checks?fsr_id={FSR}"))["checks"]
    assert [one["check_id"] for one in listed] == [house.service.desk.state.request(FSR).check.check_id]  # type: ignore[union-attr]
    check = await _get(house, cast.FO, f"/v1/checks/{listed[0]['check_id']}")
    assert (check["fsr_id"], check["overall"], len(check["participations"])) == (FSR, "PASS", 2)
    assert {len(one["dimensions"]) for one in check["participations"]} == {6}
    text = (await house.ask(cast.FO, "GET", "/v1/checks")).body.decode()
    assert not any(house.party(bay.person) in text or bay.evse_id in text for bay in cast.BAYS)
    assert (await _get(house, cast.RIVAL, "/v1/checks"))["checks"] == []
    require_problem(await house.ask(cast.RIVAL, "GET", f"/v1/checks/{listed[0]['check_id']}"), 404, "api/not-concerned")


async def test_decisions_are_told_without_their_reason_and_a_person_sees_only_own(house: House) -> None:
    path = f"/v1/requests/{FSR}/decisions"
    told = (await _get(house, cast.FO, path))["decisions"]
    assert [(one["actor"], one["choice"], one["said_by"]) for one in told] == [("EVU", "OUT", cast.CSO)]
    assert set(told[0]) == {"opt_id", "participation", "actor", "said_by", "choice", "recorded_at_ms"}
    assert told[0]["recorded_at_ms"] % 900_000 == 0
    first, second = cast.DC_BAYS[:2]
    assert (await _get(house, first.person, path))["decisions"] == told
    assert (await _get(house, second.person, path))["decisions"] == []
    for who in (cast.DC_BAYS[2].person, cast.RIVAL, cast.CSP):
        require_problem(await house.ask(who, "GET", path), 404, "api/not-concerned")


async def test_discovery_is_told_to_who_asked_and_to_who_answers(house: House) -> None:
    for who in (cast.FO, cast.CSO, cast.AUD):
        (one,) = (await _get(house, who, "/v1/contracts/discovery"))["questions"]
        assert (one["query_id"], one["asked_by"]) == (QUERY, cast.FO)
        names = discovery.recognised(
            {name: house.service.desk.state.contract(name).latest.sha256 for name in ("fsc-site", "fsc-voltwise")},
            QUERY,
        )
        assert [names[held["blinded"]] for held in one["answer"]["matches"]] == ["fsc-site", "fsc-voltwise"]
    for who in (cast.RIVAL, cast.OTHER_CSO):
        assert (await _get(house, who, "/v1/contracts/discovery"))["questions"] == []
        require_problem(await house.ask(who, "GET", f"/v1/contracts/discovery/{QUERY}"), 404, "api/not-concerned")


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_the_log_of_a_request_is_whole_and_newest_first(house: House, limit: int) -> None:
    found = await _all(house, cast.FO, f"/v1/requests/{FSR}/log", "entries", limit=limit, cursor="before")
    assert [one["seq"] for one in found] == list(range(len(found), 0, -1))
    assert found[-1]["type"] == "fsr.issued"
    assert {one["type"] for one in found} >= {"check.recorded", "fsr.answered", "opt.decided"}
    for one in found:
        entry = house.entry(one["index"])
        assert (entry.stream, entry.seq, entry.rec) == (f"fsr/{FSR}", one["seq"], one["rec_ms"])


async def test_streams_are_told_by_concern_and_a_cursor_of_another_stream_is_none(house: House) -> None:
    own = await _all(house, cast.FO, "/v1/streams", "streams", limit=2)
    names = [one["stream"] for one in own]
    assert {"log/policy", f"fsr/{FSR}", "fsc/fsc-site", f"discovery/{QUERY}"} <= set(names)
    assert f"site/{cast.SITE}" not in names
    fsc = await _get(house, cast.RIVAL, "/v1/streams?prefix=fsc/")
    assert fsc["streams"] == []
    everything = await _all(house, cast.AUD, "/v1/streams", "streams", limit=1000)
    assert sum(one["entries"] for one in everything) == house.size()
    whole = await _get(house, cast.FO, "/v1/streams/fsc/fsc-site")
    assert [one["type"] for one in whole["entries"]] == ["contract.accepted", "contract.offered"]
    assert whole["stream"]["last_index"] == whole["entries"][0]["index"]
    foreign = (await _get(house, cast.FO, f"/v1/streams/fsr/{FSR}"))["entries"][0]["index"]
    for path in (f"/v1/streams/fsc/fsc-site?before={foreign}", "/v1/streams/fsc/fsc-site?before=99999999"):
        require_problem(await house.ask(cast.FO, "GET", path), 404, "api/not-concerned")
    require_problem(await house.ask(cast.RIVAL, "GET", "/v1/streams/fsc/fsc-site"), 404, "api/not-concerned")


async def test_disclosures_tell_each_recipient_of_its_own_exports(house: House) -> None:
    for recipient in (cast.FO, cast.RIVAL):
        done = await house.post(cast.DPO, "/v1/exports", {"profile": "SETTLEMENT", "recipient": recipient})
        assert done.status == 201, done.body
    told = {
        who: [one["event"]["recipient"] for one in (await _get(house, who, "/v1/disclosures"))["disclosures"]]
        for who in (cast.FO, cast.RIVAL, cast.CSP, cast.DPO, cast.AUD)
    }
    assert told == {
        cast.FO: [cast.FO],
        cast.RIVAL: [cast.RIVAL],
        cast.CSP: [],
        cast.DPO: [cast.RIVAL, cast.FO],
        cast.AUD: [cast.RIVAL, cast.FO],
    }
    # Whoever is no auditor asks for its own, whatever it names.
    asked = await _get(house, cast.FO, f"/v1/disclosures?recipient={cast.RIVAL}")
    assert [one["event"]["recipient"] for one in asked["disclosures"]] == [cast.FO]
    only = await _get(house, cast.DPO, f"/v1/disclosures?recipient={cast.RIVAL}&limit=1")
    assert [one["event"]["recipient"] for one in only["disclosures"]] == [cast.RIVAL]


@pytest.mark.parametrize(
    "path",
    ["/v1/contracts", "/v1/sites", "/v1/stations", "/v1/checks", "/v1/streams", "/v1/requests"],
)
async def test_a_cursor_that_is_not_the_callers_is_refused(house: House, path: str) -> None:
    require_problem(await house.ask(cast.FO, "GET", f"{path}?after=nobody"), 404, "api/not-concerned")
    for query in ("limit=0", "limit=1001", "limit=x"):
        require_problem(await house.ask(cast.FO, "GET", f"{path}?{query}"), 400, "api/request-malformed")


async def test_a_site_is_changed_in_part_and_told_as_it_was_before(house: House) -> None:
    before = await _get(house, cast.CSO, f"/v1/sites/{cast.SITE}")
    house.clock.set_ms(house.clock.now_ms() + 60_000)
    bay, play = cast.BAYS[0], house.play()
    changes = (
        AvailabilityChanged(evse_id=bay.evse_id, operational=Operational.INOPERATIVE),
        FirmwareReplaced(evse_id=cast.BAYS[1].evse_id, firmware_sha256="f" * 64),
    )
    said = SiteChanged(site_id=cast.SITE, base_version=before["version"], changes=changes)
    await play.post(cast.CSO, f"/v1/sites/{cast.SITE}/changes", said, f"site/{cast.SITE}")
    now = await _get(house, cast.FO, f"/v1/sites/{cast.SITE}")
    assert now["version"] == before["version"] + 1
    assert now["evses"][0] == {**before["evses"][0], "operational": "INOPERATIVE"}
    assert now["evses"][1] == {**before["evses"][1], "firmware_sha256": "f" * 64}
    assert now["evses"][2:] == before["evses"][2:]
    then = await _get(house, cast.FO, f"/v1/stations/{bay.station_id}?at_ms={now['declared_at_ms'] - 1}")
    assert then["evses"] == [before["evses"][0]]
    with pytest.raises(RemoteProblem) as refused:
        await play.post(cast.CSO, f"/v1/sites/{cast.SITE}/changes", said, f"site/{cast.SITE}")
    assert (refused.value.code, refused.value.status) == ("rules/version-gap", 409)
    taken = SiteChanged(
        site_id=cast.SITE, base_version=now["version"], changes=(EvseRemoved(evse_id=cast.DC_BAYS[1].evse_id),)
    )
    with pytest.raises(RemoteProblem) as held:
        await play.post(cast.CSO, f"/v1/sites/{cast.SITE}/changes", taken, f"site/{cast.SITE}")
    assert (held.value.code, held.value.status) == ("rules/evse-committed", 409)
