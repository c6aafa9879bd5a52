"""Contracts rest while a party has no signing credential left, or no claim is good, and go on when there is one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from api.flows.coverage import has_lost_claims
from api.flows.suspensions import Suspensions
from ledger.records.contracts import ContractSuspended, SuspensionCause
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    RevocationReason,
)
from ledger.records.sites import ClaimWithdrawn, Withdrawal
from ledger.rules.contract_state import ContractStatus
from ledger.rules.errors.contracts import ContractNotInForce
from pki import regions
from pki.gridcode import Status
from tests.support import world as stage
from tests.support.world import FO, World

ISSUER = "a" * 64


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    opened = await World.open(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


async def _issued(world: World, number: int, profile: str = "FO/SIGNING/v1") -> None:
    name = {"issuer_key_sha256": ISSUER, "serial": f"{number:040x}", "tbs_sha256": f"{number:064x}"}
    await world.desk.say(CredentialIntended(**name, profile=profile), CREDENTIAL_STREAM)
    await world.desk.say(CredentialIssued(**name, party=world.party(FO)), CREDENTIAL_STREAM)


async def _revoked(world: World, number: int) -> None:
    gone = CredentialRevoked(
        issuer_key_sha256=ISSUER,
        serial=f"{number:040x}",
        reason=RevocationReason.KEY_COMPROMISE,
        revoked_at_ms=world.clock.now_ms(),
    )
    await world.desk.say(gone, CREDENTIAL_STREAM)


async def _status(world: World, fsc_id: str, wanted: ContractStatus) -> ContractStatus:
    for _ in range(100):
        if world.desk.state.contract(fsc_id).status(world.clock.now_ms()) is wanted:
            break
        await asyncio.sleep(0)
    return world.desk.state.contract(fsc_id).status(world.clock.now_ms())


async def test_contracts_rest_from_the_last_revocation_to_the_next_issuance(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    watching = Suspensions(world.desk, world.memory)
    await _issued(world, 1)
    await _issued(world, 2)
    await _issued(world, 3, "FO/TLS_CLIENT/v1")
    await _revoked(world, 1)
    await watching.close()
    for fsc_id in fsc_ids:
        assert await _status(world, fsc_id, ContractStatus.ACTIVE) is ContractStatus.ACTIVE
    await _revoked(world, 2)
    await watching.close()
    for fsc_id in fsc_ids:
        assert await _status(world, fsc_id, ContractStatus.SUSPENDED) is ContractStatus.SUSPENDED
        assert [one.cause for one in world.desk.state.contract(fsc_id).suspensions] == [SuspensionCause.CREDENTIAL]
    await _issued(world, 4)
    await watching.close()
    for fsc_id in fsc_ids:
        assert await _status(world, fsc_id, ContractStatus.ACTIVE) is ContractStatus.ACTIVE


async def test_a_start_lets_go_on_what_rested_when_the_service_died_after_the_issuance(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    for fsc_id in fsc_ids:
        await world.desk.say(ContractSuspended(fsc_id=fsc_id, cause=SuspensionCause.CREDENTIAL), f"fsc/{fsc_id}")
        assert await _status(world, fsc_id, ContractStatus.SUSPENDED) is ContractStatus.SUSPENDED
    await world.desk.say(ContractSuspended(fsc_id=fsc_ids[0], cause=SuspensionCause.NOTICE), f"fsc/{fsc_ids[0]}")
    watching = await Suspensions.begin(world.desk, world.memory)
    await watching.close()
    # What somebody asked for is theirs to take back.
    assert await _status(world, fsc_ids[0], ContractStatus.SUSPENDED) is ContractStatus.SUSPENDED
    for fsc_id in fsc_ids[1:]:
        assert await _status(world, fsc_id, ContractStatus.ACTIVE) is ContractStatus.ACTIVE


async def _rest_on_claims(world: World) -> dict[str, str]:
    """Contracts for droop at the whole site and at each EVSE, and one for congestion too."""
    await stage.configure(world)
    await stage.plug_in(world)
    await stage.certify(world)
    droop = (stage.DROOP_TERMS,)
    return {
        "site": await stage.contract(world, services=droop),
        "first": await stage.contract(world, stage.PERSONS[0], stage.EVSES[0], services=droop),
        "second": await stage.contract(world, stage.PERSONS[1], stage.EVSES[1], services=droop),
    }


async def _states(world: World, fsc_ids: dict[str, str]) -> dict[str, ContractStatus]:
    now_ms = world.clock.now_ms()
    return {name: world.desk.state.contract(fsc_id).status(now_ms) for name, fsc_id in fsc_ids.items()}


ACTIVE, RESTS = ContractStatus.ACTIVE, ContractStatus.SUSPENDED


async def test_contracts_rest_while_no_claim_that_they_rest_on_is_good(world: World) -> None:
    fsc_ids = await _rest_on_claims(world)
    watching = Suspensions(world.desk, world.memory)
    first, second = world.desk.state.site(stage.SITE).claims
    stream = f"site/{stage.SITE}"
    gone = ClaimWithdrawn(claim_id=first.claim_id, site_id=stage.SITE, reason=Withdrawal.THING_CHANGED)
    await world.states(stage.CSO, gone, stream)
    await watching.close()
    assert await _states(world, fsc_ids) == {"site": ACTIVE, "first": RESTS, "second": ACTIVE}
    await world.states(stage.CSO, msgspec.structs.replace(gone, claim_id=second.claim_id), stream)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, RESTS)
    for fsc_id in fsc_ids.values():
        assert [one.cause for one in world.desk.state.contract(fsc_id).suspensions] == [SuspensionCause.CLAIM]
    start_at_ms = stage.DAWN_MS + 4 * stage.HOUR_MS
    with pytest.raises(ContractNotInForce):
        await stage.issue(world, [fsc_ids["site"]], stage.droop(), start_at_ms, start_at_ms + stage.HOUR_MS)
    await stage.certify(world)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, ACTIVE)


async def test_a_start_makes_good_what_a_crash_left_between_a_claims_end_and_the_contracts(world: World) -> None:
    fsc_ids = await _rest_on_claims(world)
    for registered in world.desk.state.site(stage.SITE).claims:
        gone = ClaimWithdrawn(claim_id=registered.claim_id, site_id=stage.SITE, reason=Withdrawal.THING_CHANGED)
        await world.states(stage.CSO, gone, f"site/{stage.SITE}")
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, ACTIVE)
    await _begun_until(world, fsc_ids, RESTS)
    # And the other way round: the claims came, and nobody heard it.
    await stage.certify(world)
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, RESTS)
    await _begun_until(world, fsc_ids, ACTIVE)


async def _begun_until(world: World, fsc_ids: dict[str, str], wanted: ContractStatus) -> None:
    watching = await Suspensions.begin(world.desk, world.memory)
    for _ in range(500):
        if set((await _states(world, fsc_ids)).values()) == {wanted}:
            break
        await asyncio.sleep(0.01)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, wanted)


async def test_a_revoked_claim_is_noticed_though_no_entry_tells(world: World) -> None:
    fsc_ids = await _rest_on_claims(world)
    watching = await Suspensions.begin(world.desk, world.memory)
    await asyncio.sleep(0.05)
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, ACTIVE)
    for registered in world.desk.state.site(stage.SITE).claims:
        held = world.memory.claim(registered.claim_id)
        assert held is not None
        opened = world.desk.directory.document(held[1], world.clock.now_ms())
        world.desk.directory.revoke(opened.body.spki_sha256, opened.serial, world.clock.now_ms())
    for _ in range(500):
        if set((await _states(world, fsc_ids)).values()) == {RESTS}:
            break
        await asyncio.sleep(0.01)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, RESTS)


async def test_no_contract_rests_on_a_guess_about_what_a_region_asks_of_a_claim(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsc_ids = await _rest_on_claims(world)
    contract = world.desk.state.contract(fsc_ids["first"])
    assert has_lost_claims(world.desk, world.memory, contract, world.clock.now_ms()) is False
    finland = regions.grid_codes()["FI"]
    guess = msgspec.structs.replace(finland.claims, status=Status.UNCERTAIN, settled_by="the text")
    monkeypatch.setattr(regions, "grid_codes", lambda: {"FI": msgspec.structs.replace(finland, claims=guess)})
    assert has_lost_claims(world.desk, world.memory, contract, world.clock.now_ms()) is None
    watching = Suspensions(world.desk, world.memory)
    await watching.settle_site(stage.SITE)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, ACTIVE)


async def test_a_contract_that_can_be_served_without_claims_never_rests_for_one(world: World) -> None:
    fsc_ids = dict(zip("abc", await stage.prepare(world), strict=True))
    watching = Suspensions(world.desk, world.memory)
    for registered in tuple(world.desk.state.site(stage.SITE).claims):
        gone = ClaimWithdrawn(claim_id=registered.claim_id, site_id=stage.SITE, reason=Withdrawal.ERROR)
        await world.states(stage.CSO, gone, f"site/{stage.SITE}")
    await watching.settle_site(stage.SITE)
    await watching.close()
    assert await _states(world, fsc_ids) == dict.fromkeys(fsc_ids, ACTIVE)


async def test_where_no_claim_ever_was_none_is_lost(world: World) -> None:
    await stage.configure(world)
    await stage.plug_in(world)
    watching = Suspensions(world.desk, world.memory)
    fsc_id = await stage.contract(world, services=(stage.DROOP_TERMS,))
    await watching.settle_site(stage.SITE)
    await watching.close()
    assert await _status(world, fsc_id, ACTIVE) is ACTIVE


async def test_a_start_makes_good_what_a_crash_left_between_the_revocation_and_the_contracts(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    await _issued(world, 1)
    await _revoked(world, 1)
    watching = Suspensions(world.desk, world.memory)
    await watching.settle_all()
    assert await _status(world, fsc_ids[0], ContractStatus.SUSPENDED) is ContractStatus.SUSPENDED
    size = world.desk.appender.head.size
    await watching.settle_all()
    assert world.desk.appender.head.size == size


async def test_what_is_done_already_does_not_keep_a_service_from_closing(world: World) -> None:
    """From Python 3.12 on nobody gets a turn to leave the set while one waits for what is done already."""
    watching = Suspensions(world.desk, world.memory)
    done = asyncio.create_task(watching.settle(world.party(FO)))
    await done
    watching._tasks.add(done)
    async with asyncio.timeout(5):
        await watching.close()
    assert watching._tasks == set()
