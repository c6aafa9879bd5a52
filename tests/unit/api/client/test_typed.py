"""A method for each route: the modules are what the routes say, and every one of them works against the real service."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any, cast, get_type_hints

import pytest
import pytest_asyncio

from api.cli.demo import cast as people
from api.cli.demo import story
from api.client.client import AsyncClient, Client
from api.client.errors import RemoteProblem
from api.client.http import Answer, AsyncTransport, Request, Transport
from api.client.typed.async_questions import AsyncQuestions
from api.client.typed.async_statements import AsyncStatements
from api.client.typed.caller import address, addressed
from api.client.typed.questions import Questions
from api.client.typed.statements import Statements
from api.client.typed.views import CheckAsked, SiteView
from api.web.routes.taking import TAKEN
from ledger.records.actor import Role
from ledger.records.contracts import HoldersAsked
from ledger.records.log import FreezeReason, LogFrozen
from ledger.records.parties import PartyDeclared
from ledger.records.services import Service
from ledger.records.site_changes import AvailabilityChanged, SiteChanged
from ledger.records.sites import Operational, SiteAvailable
from ledger.rules.request_state import RequestStatus
from pki.ceremony import Ceremony
from tests.support import client_source, house_acts
from tests.support import house as houses
from tests.support.house import House
from tests.support.house_acts import FSR

pytestmark = pytest.mark.slow  # takes seconds

QUERY = "query-of-the-methods"
ROUTES = {route.name: route for route in client_source.routes()}
PARTLY: dict[str, dict[str, Any]] = {
    "read_energy": {"from_ms": 0, "to_ms": 900_000, "period": 900},
    "read_stream": {"kind": "fsr", "name": FSR},
}


def test_the_methods_are_what_the_routes_say() -> None:
    for name, text in client_source.written().items():
        found = (client_source.FOLDER / name).read_text(encoding="utf-8")
        assert found == text, "run: python -m tests.support.client_source --write"


def test_every_kind_of_statement_that_is_taken_has_a_method_sync_and_async() -> None:
    taken = {kind for route in client_source.routes() for kind in route.records}
    assert taken == set(TAKEN)


@pytest.mark.parametrize(("sync", "other"), [(Statements, AsyncStatements), (Questions, AsyncQuestions)])
def test_both_clients_have_the_same_methods_and_hide_none_of_their_own(sync: type, other: type) -> None:
    for name, method in vars(sync).items():
        if name.startswith("_"):
            continue
        assert inspect.signature(method) == inspect.signature(getattr(other, name))
        assert get_type_hints(method) == get_type_hints(getattr(other, name))
        assert name not in vars(Client)
        assert name not in vars(AsyncClient)
    assert {name for name in vars(sync) if not name.startswith("_")} == {
        name for name in vars(other) if not name.startswith("_")
    }


def test_names_in_an_address_are_escaped_and_what_is_not_asked_for_is_left_out() -> None:
    assert address("/v1/sites/{site_id}", {"site_id": "a/../b?c"}, {}) == "/v1/sites/a%2F..%2Fb%3Fc"
    asked = {"status": RequestStatus.ACTIVE, "limit": 3, "after": None, "revoked": True}
    assert address("/v1/requests", {}, asked) == "/v1/requests?status=ACTIVE&limit=3&revoked=true"


def test_a_statement_without_a_stream_of_its_own_has_no_address() -> None:
    with pytest.raises(ValueError, match=r"log\.frozen names no stream"):
        addressed("/v1/statements", LogFrozen(reason=FreezeReason.CLOSED))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    made: Ceremony = houses.perform()
    async with House.open(tmp_path_factory.mktemp("typed"), made) as opened:
        await story.open_the_day(opened.play())
        await house_acts.accepted(opened)
        yield opened


class Bridge:
    """A transport for who waits: the service runs on the loop of another thread."""

    def __init__(self, house: House, who: str) -> None:
        self._client = house.client(who)
        self._loop = asyncio.get_running_loop()

    def request(self, wanted: Request) -> Answer:
        transport = cast("AsyncTransport", self._client.transport)
        return asyncio.run_coroutine_threadsafe(transport.request(wanted), self._loop).result(60)

    def client(self, house: House, who: str) -> Client:
        return Client(cast("Transport", self), signer=house.signer(who), clock=house.clock)


def _arguments(house: House, name: str) -> dict[str, Any]:
    request = house.service.desk.state.request(FSR)
    assert request.check is not None
    site = house.service.desk.state.site(people.SITE)
    known = {
        "site_id": people.SITE,
        "station_id": people.BAYS[0].station_id,
        "fsc_id": "fsc-site",
        "fsr_id": FSR,
        "check_id": request.check.check_id,
        "claim_id": site.claims[0].claim_id,
        "query_id": QUERY,
    }
    return PARTLY.get(name, {}) | {one: known[one] for one in ROUTES[name].in_path if one in known}


ASKED = (
    *("list_sites", "read_site", "read_energy", "list_stations", "read_station"),
    *("list_contracts", "read_contract", "list_discoveries", "read_discovery"),
    *("list_requests", "read_request", "list_decisions", "read_request_log", "export_openadr", "bundle"),
    *("list_checks", "read_check", "list_streams", "read_stream", "list_disclosures"),
    *("list_claims", "read_claim", "read_claim_status"),
)


@pytest.mark.asyncio(loop_scope="module")
async def test_whatever_can_be_read_is_read_as_what_it_is_by_both_clients(house: House) -> None:
    asked = HoldersAsked(
        query_id=QUERY,
        site_id=people.SITE,
        service=Service.CONGESTION,
        start_at_ms=house_acts.START_MS,
        end_at_ms=house_acts.END_MS,
    )
    await house.client(people.FO).discover_holders(asked)
    waiting = Bridge(house, people.CSO).client(house, people.CSO)
    for name in ASKED:
        arguments = _arguments(house, name)
        found = await getattr(house.client(people.CSO), name)(**arguments)
        kind = get_type_hints(getattr(Questions, name))["return"]
        assert isinstance(found, kind), name
        again = await asyncio.to_thread(getattr(waiting, name), **arguments)
        if name != "bundle":
            assert again == found, name


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_stated_finds_its_address_and_its_stream(house: House) -> None:
    client = house.client(people.CSO)
    waiting = Bridge(house, people.CSO).client(house, people.CSO)
    forecast = SiteAvailable(
        site_id=people.SITE, from_ms=people.at(20), until_ms=people.at(23), up_w=1_000, down_w=0, duration_s=900
    )
    first = await client.forecast_availability(forecast)
    declared = PartyDeclared(party_id=people.CSO, version=1, role=Role.CSO)
    second = await asyncio.to_thread(waiting.declare_party, declared)
    assert (first.index, second.index) == (house.size() - 2, house.size() - 1)
    assert [house.entry(one.index).stream for one in (first, second)] == [f"site/{people.SITE}", "party/declared"]
    before = await client.read_site(people.SITE)
    broken = AvailabilityChanged(evse_id=people.BAYS[-1].evse_id, operational=Operational.INOPERATIVE)
    changed = SiteChanged(site_id=people.SITE, base_version=before.version, changes=(broken,))
    await client.change_site(changed)
    now = await client.read_site(people.SITE, at_ms=house.clock.now_ms())
    assert isinstance(now, SiteView)
    assert (now.version, now.evses[-1].operational) == (before.version + 1, Operational.INOPERATIVE)
    with pytest.raises(RemoteProblem) as refused:
        await client.change_site(changed)
    assert refused.value.code == "rules/version-gap"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_has_a_body_and_an_answer_of_its_own_type(house: House) -> None:
    client = house.client(people.CSO)
    checked = await client.check(CheckAsked(fsr_id=FSR, evse_ids=(people.DC_BAYS[0].evse_id,)))
    assert checked.check_id in {one.check_id for one in (await client.list_checks(fsr_id=FSR)).checks}
    with pytest.raises(RemoteProblem) as refused:
        await client.prove_work(FSR)
    assert refused.value.code == "api/nothing-to-prove"
    with pytest.raises(RemoteProblem) as absent:
        await house.client(people.RIVAL).read_request(FSR)
    assert (absent.value.code, absent.value.status) == ("api/not-concerned", 404)
