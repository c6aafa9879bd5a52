"""What the service shows of its log: what enough witnesses cosigned, and what was published while nothing may be signed."""

import asyncio
from pathlib import Path

import pytest

from api.flows import witnessing
from api.flows.witnessing import Witnessing
from ledger.reader import Reader
from ledger.store.log_keys import LogKeys
from ledger.tlog import checkpoint, note, policy
from ledger.tlog.note import Cosigner
from ledger.witness.cosign import Witness
from ledger.witness.gather import HttpAnswer, WitnessAhead
from ledger.witness.memory import WitnessMemory
from tests.support import logs


class World:
    """An open log with one witness that can be made silent, or to say that it is ahead."""

    def __init__(self, log: logs.Log, folder: Path) -> None:
        self.log = log
        self.cosigner = Cosigner.generate("witness.example/w", log.clock)
        self.memory = WitnessMemory.open(folder / "witness.db", create=True)
        self.witness = Witness([self.cosigner], {logs.ORIGIN: [logs.signer().verifier]}, self.memory)
        self.is_silent = False
        self.size_said: int | None = None
        asked = policy.parse(f"witness w {self.cosigner.vkey} http://w.example\nquorum w\n".encode())
        self.witnessing = Witnessing(
            log.publisher,
            Reader(log.store),
            origin=logs.ORIGIN,
            keys=LogKeys([logs.signer()]),
            policy=asked,
            post=self.post,
            timeout_ms=200,
        )

    async def post(self, _url: str, request: bytes) -> HttpAnswer:
        if self.is_silent:
            await asyncio.Event().wait()
        if self.size_said is not None:
            return HttpAnswer(409, "text/x.tlog.size", b"%d\n" % self.size_said)
        answer = self.witness.add_checkpoint(request)
        return HttpAnswer(answer.status, answer.content_type, answer.body)

    def is_cosigned(self, signed: bytes) -> bool:
        return any(line.name == self.cosigner.name for line in note.parse(signed).signatures)

    async def close(self) -> None:
        await self.log.close()
        self.memory.close()


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(await logs.begin(tmp_path), tmp_path)
    await world.log.add(1, 2, 3)
    return world


def size_of(signed: bytes) -> int:
    return checkpoint.parse(note.parse_text(signed)).size


async def test_what_is_shown_is_what_the_quorum_cosigned_last(world: World) -> None:
    show = world.witnessing
    assert not world.is_cosigned(await show.shown())
    await show.round()
    assert (size_of(await show.shown()), world.is_cosigned(await show.shown())) == (3, True)
    await world.log.add(4)
    assert size_of(await show.shown()) == 3
    await show.round()
    assert (size_of(await show.shown()), world.is_cosigned(await show.shown())) == (4, True)
    await world.close()


async def test_a_receipt_waits_for_witnesses_and_no_longer_than_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = world.witnessing
    assert world.is_cosigned(await show.covering(2))
    await world.log.add(4)
    world.is_silent = True
    monkeypatch.setattr(witnessing, "WAIT_S", 0.05)
    plain = await show.covering(3)
    assert (size_of(plain), world.is_cosigned(plain)) == (4, False)
    assert world.is_cosigned(await show.covering(2))
    world.is_silent = False
    await world.close()


async def test_a_witness_that_is_ahead_stops_the_signing_and_not_the_reading(world: World) -> None:
    show = world.witnessing
    await show.publish()
    await show.round()
    show.require_signing()
    await world.log.add(4)
    world.size_said = 99
    await show.publish()
    with pytest.raises(WitnessAhead):
        await show.round()
    await world.log.add(5)
    with pytest.raises(WitnessAhead):
        await show.publish()
    with pytest.raises(WitnessAhead):
        show.require_signing()
    assert size_of(await show.shown()) == 3
    assert size_of(await show.covering(2)) == 3
    with pytest.raises(WitnessAhead):
        await show.covering(4)
    assert size_of(world.log.publisher.latest()) == 4
    await world.close()


async def test_without_a_policy_the_logs_own_signature_is_shown(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(1)
    alone = Witnessing(log.publisher, Reader(log.store), origin=logs.ORIGIN, keys=LogKeys([logs.signer()]))
    await alone.round()
    assert await alone.shown() == await alone.covering(0) == log.publisher.latest()
    await log.close()
