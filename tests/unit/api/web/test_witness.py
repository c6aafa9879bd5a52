"""The witness over HTTP: the statuses and bodies of the protocol, and no request that costs more than it may."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.web import witness as web
from ledger.clock import SetClock
from ledger.store.errors import StoreBusy, StoreIo
from ledger.tlog import checkpoint, hashing, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Cosigner, NoteSigner
from ledger.witness import cosign
from ledger.witness.cosign import Witness
from ledger.witness.memory import WitnessMemory

ORIGIN = "example.com/log"
LOG = NoteSigner.generate(ORIGIN)
COSIGNER = Cosigner.generate("witness.example/w", SetClock(7_000))
LEAVES = [hashing.leaf(bytes([at])) for at in range(9)]


def honest(old: int, new: int, leaves: list[bytes] = LEAVES) -> bytes:
    signed = checkpoint.sign(Checkpoint(ORIGIN, new, merkle.root(leaves[:new])), [LOG])
    return cosign.encode_request(old, merkle.consistency_proof(old, new, merkle.reader(leaves)), signed)


class Caller:
    """One witness and the answers that it gives over ASGI."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.memory = WitnessMemory.open(folder / "witness.db", create=True)
        witness = Witness([COSIGNER], {ORIGIN: [LOG.verifier]}, self.memory, on_fork=self.memory.keep_fork)
        self.app = web.witness_app(witness, prefix=prefix)

    async def ask(
        self, *parts: bytes, method: str = "POST", path: str = "/add-checkpoint", hangs: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the request's body comes in parts, and never ends if it hangs."""
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        sent: list[Any] = []

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            if hangs:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app({"type": "http", "method": method, "path": path}, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, sent[1]["body"]


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    made = Caller(tmp_path)
    yield made
    made.memory.close()


async def test_an_honest_log_is_cosigned_and_a_stale_one_is_told_the_size(caller: Caller) -> None:
    status, headers, body = await caller.ask(honest(0, 4)[:40], honest(0, 4)[40:])
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    cosigned = note.add_signatures(honest(0, 4).partition(b"\n\n")[2], [body.decode()])
    assert note.open(cosigned, [COSIGNER.verifier]).verified[0].cosigned_at_ms == 7_000
    status, headers, body = await caller.ask(honest(0, 9))
    assert (status, headers["content-type"], body) == (409, "text/x.tlog.size", b"4\n")
    assert (await caller.ask(honest(4, 9)))[0] == 200


async def test_an_equivocating_log_is_refused_and_its_two_notes_are_kept(caller: Caller) -> None:
    others = [hashing.leaf(bytes([at, at])) for at in range(9)]
    assert (await caller.ask(honest(0, 4)))[0] == 200
    assert (await caller.ask(honest(4, 4, others)))[0] == 422
    assert (await caller.ask(honest(4, 9, others)))[0] == 422
    (fork,) = caller.memory.forks()
    assert (fork.cosigned, fork.refused) == (
        honest(0, 4).partition(b"\n\n")[2],
        honest(4, 4, others).partition(b"\n\n")[2],
    )


async def test_a_replayed_old_checkpoint_moves_nothing(caller: Caller) -> None:
    assert (await caller.ask(honest(0, 4)))[0] == 200
    assert (await caller.ask(honest(4, 9)))[0] == 200
    assert (await caller.ask(honest(0, 4)))[::2] == (409, b"9\n")
    assert (await caller.ask(honest(4, 4)))[::2] == (409, b"9\n")
    head = caller.memory.latest(ORIGIN)
    assert head is not None
    assert head.size == 9


async def test_an_unknown_log_and_a_strangers_signature_are_refused(caller: Caller) -> None:
    thief = NoteSigner.generate(ORIGIN)
    other = NoteSigner.generate("example.com/other")
    for signer, expected in ((thief, 403), (other, 404)):
        signed = checkpoint.sign(Checkpoint(signer.name, 1, LEAVES[0]), [signer])
        assert (await caller.ask(cosign.encode_request(0, [], signed)))[0] == expected
    assert (await caller.ask(b"rubbish"))[0] == 400
    assert caller.memory.heads() == {}


async def test_a_body_is_read_up_to_its_limit_and_no_further(caller: Caller) -> None:
    full = b"x" * cosign.MAX_REQUEST_OCTETS
    assert (await caller.ask(full))[0] == 400
    assert (await caller.ask(full, b"x"))[0] == 413


async def test_a_body_that_never_ends_is_given_up(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODY_TIMEOUT_S", 0.05)
    assert (await caller.ask(b"old 0\n", hangs=True))[0] == 408


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/add-checkpoint", 405),
        ("PUT", "/add-checkpoint", 405),
        ("POST", "/", 404),
        ("POST", "/add-checkpoint/", 404),
        ("POST", "/livez", 405),
        ("GET", "/livez", 200),
    ],
)
async def test_there_is_one_resource_and_a_probe(caller: Caller, method: str, path: str, expected: int) -> None:
    assert (await caller.ask(b"", method=method, path=path))[0] == expected


async def test_a_prefix_stands_before_both(tmp_path: Path) -> None:
    caller = Caller(tmp_path, prefix="/fo/w1")
    assert (await caller.ask(honest(0, 4), path="/fo/w1/add-checkpoint"))[0] == 200
    assert (await caller.ask(honest(0, 4)))[0] == 404
    caller.memory.close()


async def test_of_many_requests_at_once_one_is_cosigned(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.ask(honest(0, size)) for size in range(1, 10)))
    statuses = sorted(status for status, _, _ in answers)
    assert statuses == [200, *[409] * 8]


@pytest.mark.parametrize(("error", "expected"), [(StoreBusy("locked"), 503), (StoreIo("gone"), 500)])
async def test_a_memory_that_fails_cosigns_nothing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: int
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(caller.memory, "compare_and_set", fail)
    status, headers, body = await caller.ask(honest(0, 4))
    assert (status, b"\xe2\x80\x94" in body) == (expected, False)
    assert headers.get("retry-after") == ("1" if expected == 503 else None)
