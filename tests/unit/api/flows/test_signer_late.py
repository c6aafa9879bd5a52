"""What was authentic at the door and has to wait is judged as of its turn: nothing gets in that an audit would name."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from api.flows.desk import Opened
from api.flows.office_journal import serial_text
from api.verification.roots_in_time import RootNotInForce, RootWindow
from ledger.appender import SignerLate
from ledger.privacy.opened import State
from ledger.records import disclosure
from ledger.records.credentials import (
    CREDENTIAL_STREAM,
    AdoptedCredential,
    CredentialRevoked,
    CredentialsAdopted,
    RevocationReason,
)
from ledger.rules.errors.writing import SignerRevoked
from pki.roles import Purpose
from tests.support import world as stage
from tests.support.world import World
from tests.unit.api.flows.test_desk import mirrored, question

pytestmark = pytest.mark.slow  # takes seconds

UNTIL_MS = stage.DAWN_MS + 60_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(tmp_path)
    await stage.configure(made)
    yield made
    await made.close()


def window(world: World, until_ms: int | None = None) -> list[RootWindow]:
    return [RootWindow(world.engines.anchors.certificates[0], 0, until_ms)]


def asked(world: World, number: int = 1) -> Opened:
    return world.opened(stage.FO, question(number), f"discovery/query-{number}")


async def test_a_statement_whose_turn_comes_when_its_root_has_ended_is_not_in_the_log(world: World) -> None:
    world.directory.count_roots(window(world, UNTIL_MS), 0)
    opened, size = asked(world), world.desk.appender.head.size
    assert opened.proof is not None
    assert (opened.proof.until_ms, opened.proof.policy_index) == (UNTIL_MS, 0)
    world.at(UNTIL_MS)
    with pytest.raises(RootNotInForce):
        await world.desk.admit(opened, world.principal(stage.FO))
    assert world.desk.appender.head.size == size
    world.at(UNTIL_MS - 1)
    assert (await world.desk.admit(opened, world.principal(stage.FO))).index == size


async def test_a_statement_whose_proof_has_ended_is_proven_again_where_its_signer_is_still_good(world: World) -> None:
    (root,) = world.engines.anchors.certificates
    world.directory.count_roots([RootWindow(root, 0, UNTIL_MS), RootWindow(root, UNTIL_MS)], 0)
    opened = asked(world)
    world.at(UNTIL_MS)
    accepted = await world.desk.admit(opened, world.principal(stage.FO))
    assert (accepted.rec_ms, accepted.duplicate) == (UNTIL_MS, False)


async def test_a_door_that_has_not_heard_of_the_last_change_of_roots_reads_it_and_proves_the_signer_again(
    world: World,
) -> None:
    world.directory.count_roots(window(world), None)
    heard: list[int] = []

    def hear() -> None:
        heard.append(world.desk.appender.policy_index)
        world.directory.count_roots(window(world), world.desk.appender.policy_index)

    world.directory.count_roots(window(world), 99)
    world.desk.on_late(hear)
    assert not (await world.desk.admit(asked(world), world.principal(stage.FO))).duplicate
    assert heard == [0]


async def test_who_cannot_be_proven_for_the_present_is_told_to_come_again_and_nothing_is_kept(world: World) -> None:
    said = world.submission(stage.CSO, mirrored(world), f"site/{stage.SITE}")
    world.directory.count_roots(window(world), 99)
    principal, size = world.principal(stage.CSO), world.desk.appender.head.size
    with pytest.raises(SignerLate, match="expected 0, found 99"):
        await world.desk.admit(world.desk.open(said, principal), principal)
    assert world.desk.appender.head.size == size
    digests = [disclosure.digest(one.text) for one in said.disclosures]
    found = world.engines.vault.open_many(digests)
    assert [found[one].state for one in digests] == [State.LOST] * len(digests)


async def test_what_waits_behind_the_revocation_of_its_signer_is_refused_by_its_place(world: World) -> None:
    """The revocation and the statement are in one batch: no clock tells them apart, and no list is out yet."""
    der = world.made.parties[stage.FO].credentials[Purpose.SIGNING].chain[0]
    certificate = x509.load_der_x509_certificate(der)
    actor = world.directory.actor(world.directory.add(der), stage.DAWN_MS)
    credential = world.directory.credential(actor.x5t, stage.DAWN_MS)
    name = {"issuer_key_sha256": credential.issuer_key_sha256, "serial": serial_text(certificate.serial_number)}
    adopted = AdoptedCredential(**name, tbs_sha256=actor.tbs_sha256, profile="FO/SIGNING/v1")
    await world.desk.say(CredentialsAdopted(credentials=(adopted,)), CREDENTIAL_STREAM)
    assert not (await world.desk.admit(asked(world, 1), world.principal(stage.FO))).duplicate
    opened, late = asked(world, 2), asked(world, 3)
    revoked = CredentialRevoked(**name, reason=RevocationReason.KEY_COMPROMISE, revoked_at_ms=stage.DAWN_MS)
    before, revocation, behind = await asyncio.gather(
        world.desk.admit(opened, world.principal(stage.FO)),
        world.desk.say(revoked, CREDENTIAL_STREAM),
        world.desk.admit(late, world.principal(stage.FO)),
        return_exceptions=True,
    )
    assert not isinstance(before, BaseException)
    assert not isinstance(revocation, BaseException)
    assert before.rec_ms == revocation.rec_ms == stage.DAWN_MS
    assert isinstance(behind, SignerRevoked)
    assert behind.found == str(revocation.index)
