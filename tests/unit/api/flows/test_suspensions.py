"""Contracts rest while a party has no signing credential left, and go on when it has one again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from api.flows.suspensions import Suspensions
from ledger.records.contracts import SuspensionCause
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    CredentialIntended,
    CredentialIssued,
    CredentialRevoked,
    RevocationReason,
)
from ledger.rules.contract_state import ContractStatus
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
    watching = Suspensions(world.desk)
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


async def test_a_start_makes_good_what_a_crash_left_between_the_revocation_and_the_contracts(world: World) -> None:
    fsc_ids = await stage.prepare(world)
    await _issued(world, 1)
    await _revoked(world, 1)
    watching = Suspensions(world.desk)
    await watching.settle_all()
    assert await _status(world, fsc_ids[0], ContractStatus.SUSPENDED) is ContractStatus.SUSPENDED
    size = world.desk.appender.head.size
    await watching.settle_all()
    assert world.desk.appender.head.size == size
