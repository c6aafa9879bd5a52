"""A log and its witnesses: who is behind catches up, who is silent costs bounded time, who is ahead stops everything."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from ledger.clock import SetClock
from ledger.tlog import checkpoint, hashing, merkle, note, policy
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Cosigner, NoteSigner
from ledger.witness import cosign
from ledger.witness.cosign import Head, Witness
from ledger.witness.gather import Gatherer, HttpAnswer, WitnessAhead, WitnessDiffers, WitnessUnreachable

ORIGIN = "example.com/log"
LOG = NoteSigner.generate(ORIGIN)
LEAVES = [hashing.leaf(bytes([at])) for at in range(40)]
READ = merkle.reader(LEAVES)
NAMES = ("fo", "cso", "csp")
COSIGNERS = {name: Cosigner.generate(f"witness.example/{name}", SetClock(7_000)) for name in NAMES}
POLICY = policy.parse(
    "".join(f"witness {name} {one.vkey} https://{name}.example/\n" for name, one in COSIGNERS.items()).encode()
    + b"group two 2 fo cso csp\nquorum two\n"
)

Answering = Callable[[bytes], Awaitable[HttpAnswer]]


class Memory:
    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}

    def latest(self, origin: str) -> Head | None:
        return self.heads.get(origin)

    def compare_and_set(self, origin: str, expected: Head | None, new: Head) -> bool:
        if self.heads.get(origin) != expected:
            return False
        self.heads[origin] = new
        return True


class World:
    """Three witnesses behind URLs; `instead` replaces what one of them answers."""

    def __init__(self) -> None:
        self.memories = {name: Memory() for name in NAMES}
        self.witnesses = {
            name: Witness([COSIGNERS[name]], {ORIGIN: [LOG.verifier]}, self.memories[name]) for name in NAMES
        }
        self.instead: dict[str, Answering] = {}
        self.asked: list[tuple[str, int]] = []

    async def post(self, url: str, request: bytes) -> HttpAnswer:
        assert url.endswith(".example/add-checkpoint")
        name = url.removeprefix("https://").partition(".")[0]
        self.asked.append((name, cosign.parse_request(request).old_size))
        if name in self.instead:
            return await self.instead[name](request)
        answer = self.witnesses[name].add_checkpoint(request)
        return HttpAnswer(answer.status, answer.content_type, answer.body)


def consistency(old: int, new: int) -> Sequence[bytes]:
    return merkle.consistency_proof(old, new, READ)


def signed(size: int) -> bytes:
    return checkpoint.sign(Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size])), [LOG])


@pytest.fixture
def world() -> World:
    return World()


def gatherer(world: World, timeout_s: float = 5.0) -> Gatherer:
    return Gatherer(POLICY, world.post, consistency, timeout_s=timeout_s)


def answering(status: int, body: bytes = b"", content_type: str = "text/plain") -> Answering:
    async def answer(_request: bytes) -> HttpAnswer:
        return HttpAnswer(status, content_type, body)

    return answer


async def test_all_cosign_and_the_quorum_is_met(world: World) -> None:
    asking = gatherer(world)
    for size in (1, 7, 40):
        got = await asking.gather(signed(size), size)
        assert got.cosigned == NAMES
        assert not got.failed
        opened = checkpoint.open_checkpoint(got.signed, ORIGIN, [LOG.verifier, *POLICY.verifiers])
        assert POLICY.require_quorum(opened) == tuple(name.encode() for name in NAMES)


async def test_who_has_cosigned_is_not_asked_again(world: World) -> None:
    asking = gatherer(world)
    got = await asking.gather(signed(3), 3)
    world.asked.clear()
    assert (await asking.gather(got.signed, 3)).signed == got.signed
    assert world.asked == []


async def test_a_publisher_that_restarted_catches_up_with_one_more_question(world: World) -> None:
    await gatherer(world).gather(signed(5), 5)
    world.asked.clear()
    got = await gatherer(world).gather(signed(9), 9)
    assert got.cosigned == NAMES
    assert sorted(world.asked) == sorted([(name, old) for name in NAMES for old in (0, 5)])


async def test_a_silent_witness_costs_its_own_time_only(world: World) -> None:
    async def never(_request: bytes) -> HttpAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    world.instead["cso"] = never
    got = await gatherer(world, timeout_s=0.05).gather(signed(5), 5)
    assert got.cosigned == ("fo", "csp")
    assert got.failed["cso"].code == "ledger/witness-unreachable"
    opened = checkpoint.open_checkpoint(got.signed, ORIGIN, [LOG.verifier, *POLICY.verifiers])
    assert POLICY.require_quorum(opened) == (b"fo", b"csp")


async def test_a_witness_that_is_ahead_of_the_signer_stops_everything(world: World) -> None:
    await gatherer(world).gather(signed(40), 40)
    with pytest.raises(WitnessAhead) as ahead:
        await gatherer(world).gather(signed(30), 30)
    assert (ahead.value.code, ahead.value.found) == ("ledger/witness-ahead", "40")


async def test_a_witness_that_cosigned_another_history_stops_everything(world: World) -> None:
    await gatherer(world).gather(signed(5), 5)
    others = [hashing.leaf(bytes([at, at])) for at in range(40)]
    forked = checkpoint.sign(Checkpoint(ORIGIN, 9, merkle.root(others[:9])), [LOG])
    asking = Gatherer(POLICY, world.post, lambda old, new: merkle.consistency_proof(old, new, merkle.reader(others)))
    with pytest.raises(WitnessDiffers) as differs:
        await asking.gather(forked, 9)
    assert differs.value.code == "ledger/witness-differs"


async def test_a_witness_that_has_a_later_checkpoint_of_ours_is_not_ahead(world: World) -> None:
    await gatherer(world).gather(signed(40), 40)
    got = await gatherer(world).gather(signed(30), 40)
    assert got.cosigned == ()
    assert set(got.failed) == set(NAMES)
    assert got.signed == signed(30)


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (200, b"", "text/plain"),
        (200, b"\xff", "text/plain"),
        (200, b"no line\n", "text/plain"),
        (200, b"\n\n", "text/plain"),
        (200, COSIGNERS["csp"].sign(note.parse_text(signed(5))).encode(), "text/plain"),
        (200, COSIGNERS["fo"].sign(note.parse_text(signed(6))).encode(), "text/plain"),
        (301, b"", "text/plain"),
        (403, b"no\n", "text/plain"),
        (500, b"", "text/plain"),
        (409, b"5\n", "text/plain"),
        (409, b"-1\n", "text/x.tlog.size"),
        (409, b"05\n", "text/x.tlog.size"),
        (409, b"5", "text/x.tlog.size"),
        (409, b"\xff\n", "text/x.tlog.size"),
        (409, b"2\n", "text/x.tlog.size"),
    ],
    ids=range(15),
)
async def test_an_answer_that_is_no_cosignature_of_that_witness_is_none(
    world: World, status: int, body: bytes, content_type: str
) -> None:
    world.instead["fo"] = answering(status, body, content_type)
    got = await gatherer(world).gather(signed(5), 5)
    assert got.cosigned == ("cso", "csp")
    assert isinstance(got.failed["fo"], WitnessUnreachable)


async def test_lines_by_others_beside_the_witnesss_own_are_left_away(world: World) -> None:
    text = note.parse_text(signed(5))
    stranger = Cosigner.generate("stranger.example/s", SetClock(7_000))
    world.instead["fo"] = answering(200, (stranger.sign(text) + COSIGNERS["fo"].sign(text)).encode())
    got = await gatherer(world).gather(signed(5), 5)
    assert {line.name for line in note.parse(got.signed).signatures} == {
        ORIGIN,
        *(one.name for one in COSIGNERS.values()),
    }
