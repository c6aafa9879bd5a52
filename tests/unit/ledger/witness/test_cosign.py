"""The witness: one answer for each thing that can be wrong, and no way to roll it back."""

import base64

import pytest

from ledger.clock import SetClock
from ledger.tlog import checkpoint, hashing, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.witness import cosign as witness
from ledger.witness.cosign import Fork, Head, Witness

ORIGIN = "example.com/log"
LEAVES = [hashing.leaf(bytes([at])) for at in range(20)]
OTHERS = [hashing.leaf(bytes([at, at])) for at in range(20)]
LOG = note.NoteSigner.generate(ORIGIN)
COSIGNER = note.Cosigner.generate("example.com/witness", SetClock(7_000))


class Memory:
    """A store; `race` happens between reading and writing, once."""

    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}
        self.race: Head | None = None

    def latest(self, origin: str) -> Head | None:
        return self.heads.get(origin)

    def compare_and_set(self, origin: str, expected: Head | None, new: Head) -> bool:
        if self.race is not None:
            self.heads[origin], self.race = self.race, None
        if self.heads.get(origin) != expected:
            return False
        self.heads[origin] = new
        return True


class Bench:
    """A witness of one log, with what it stored and reported."""

    def __init__(self) -> None:
        self.store = Memory()
        self.forks: list[Fork] = []
        self.witness = Witness([COSIGNER], {ORIGIN: [LOG.verifier]}, self.store, on_fork=self.forks.append)

    def ask(self, request: bytes) -> witness.Answer:
        return self.witness.add_checkpoint(request)

    @property
    def size(self) -> int:
        head = self.store.latest(ORIGIN)
        return head.size if head else 0


def signed(size: int, leaves: list[bytes] = LEAVES, signer: note.NoteSigner = LOG) -> bytes:
    return checkpoint.sign(Checkpoint(signer.name, size, merkle.root(leaves[:size])), [signer])


def request(old: int, proof: list[bytes], note_: bytes) -> bytes:
    """A request that our own encoder may refuse."""
    lines = [f"old {old}", *(base64.b64encode(item).decode() for item in proof), "", ""]
    return "\n".join(lines).encode() + note_


def honest(old: int, new: int) -> bytes:
    return witness.encode_request(old, merkle.consistency_proof(old, new, merkle.reader(LEAVES)), signed(new))


@pytest.fixture
def bench() -> Bench:
    """A witness that has cosigned size 5."""
    bench = Bench()
    assert bench.ask(honest(0, 5)).status == witness.OK
    return bench


def test_an_honest_log_is_cosigned_step_by_step(bench: Bench) -> None:
    for old, new in ((5, 8), (8, 8), (8, 20)):
        answer = bench.ask(honest(old, new))
        assert answer.status == witness.OK
        assert answer.content_type == "text/plain; charset=utf-8"
        cosigned = note.add_signatures(signed(new), [answer.body.decode()])
        opened = checkpoint.open_checkpoint(cosigned, ORIGIN, [LOG.verifier, COSIGNER.verifier])
        assert [line.cosigned_at_ms for line in opened.cosignatures] == [7_000]
        assert bench.store.latest(ORIGIN) == Head(new, merkle.root(LEAVES[:new]), signed(new))


def test_the_first_checkpoint_may_be_that_of_the_empty_log() -> None:
    bench = Bench()
    assert bench.ask(honest(0, 0)).status == witness.OK
    assert bench.ask(honest(0, 3)).status == witness.OK
    assert bench.size == 3


def test_an_old_size_that_is_not_the_latest_is_answered_with_the_latest(bench: Bench) -> None:
    for old in (0, 4, 6):
        answer = bench.ask(honest(old, 8))
        assert answer == (witness.CONFLICT, b"5\n")
        assert answer.content_type == "text/x.tlog.size"
    assert bench.size == 5


def test_a_witness_that_never_cosigned_answers_with_zero() -> None:
    assert Bench().ask(honest(4, 8)) == (witness.CONFLICT, b"0\n")


def test_a_log_that_shrinks_is_refused(bench: Bench) -> None:
    assert bench.ask(request(5, [], signed(4))).status == witness.BAD_REQUEST
    assert bench.ask(request(4, [], signed(4))) == (witness.CONFLICT, b"5\n")
    assert bench.size == 5


def test_a_rewritten_history_is_refused(bench: Bench) -> None:
    proof = merkle.consistency_proof(5, 8, merkle.reader(OTHERS))
    assert bench.ask(request(5, proof, signed(8, OTHERS))).status == witness.UNPROCESSABLE
    assert bench.size == 5
    assert bench.forks == []


def test_a_second_root_for_one_size_is_refused_and_reported_with_both_notes(bench: Bench) -> None:
    answer = bench.ask(request(5, [], signed(5, OTHERS)))
    assert answer.status == witness.UNPROCESSABLE
    assert bench.forks == [Fork(ORIGIN, signed(5), signed(5, OTHERS))]
    for evidence in (bench.forks[0].cosigned, bench.forks[0].refused):
        assert checkpoint.open_checkpoint(evidence, ORIGIN, [LOG.verifier]).checkpoint.size == 5


@pytest.mark.parametrize("proof", [[LEAVES[0]], []])
def test_a_proof_must_be_empty_from_the_empty_tree(proof: list[bytes]) -> None:
    answer = Bench().ask(request(0, proof, signed(8)))
    assert answer.status == (witness.UNPROCESSABLE if proof else witness.OK)


def test_a_proof_must_be_empty_between_equal_sizes(bench: Bench) -> None:
    assert bench.ask(request(5, [LEAVES[0]], signed(5))).status == witness.UNPROCESSABLE


def test_an_empty_log_has_the_empty_root() -> None:
    wrong = checkpoint.sign(Checkpoint(ORIGIN, 0, LEAVES[0]), [LOG])
    assert Bench().ask(request(0, [], wrong)).status == witness.UNPROCESSABLE


def test_an_unknown_log_is_not_found(bench: Bench) -> None:
    stranger = note.NoteSigner.generate("example.com/stranger")
    assert bench.ask(request(0, [], signed(5, signer=stranger))) == (witness.NOT_FOUND, b"unknown log\n")


def test_a_checkpoint_by_another_key_of_the_same_name_is_forbidden(bench: Bench) -> None:
    thief = note.NoteSigner.generate(ORIGIN)
    answer = bench.ask(request(5, [], signed(5, signer=thief)))
    assert answer.status == witness.FORBIDDEN
    assert answer.body.startswith(b"invalid signature")


def test_a_changed_checkpoint_is_forbidden(bench: Bench) -> None:
    assert bench.ask(honest(5, 8).replace(b"\n8\n", b"\n9\n")).status == witness.FORBIDDEN


def test_of_two_requests_at_once_the_later_one_loses_and_nothing_is_rolled_back(bench: Bench) -> None:
    winner = Head(20, merkle.root(LEAVES), signed(20))
    bench.store.race = winner
    answer = bench.ask(honest(5, 8))
    assert answer == (witness.CONFLICT, b"20\n")
    assert bench.store.latest(ORIGIN) == winner


def test_a_witness_without_a_listener_refuses_a_fork_all_the_same() -> None:
    quiet = Witness([COSIGNER], {ORIGIN: [LOG.verifier]}, Memory())
    assert quiet.add_checkpoint(honest(0, 5)).status == witness.OK
    assert quiet.add_checkpoint(request(5, [], signed(5, OTHERS))).status == witness.UNPROCESSABLE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 5\n",
        honest(5, 8).replace(b"old 5", b"old 05"),
        honest(5, 8).replace(b"old 5", b"old -5"),
        honest(5, 8).replace(b"old 5", b"old"),
        honest(5, 8).replace(b"old 5", b"new 5"),
        honest(5, 8).replace(b"old 5", b"old 5\r"),
        honest(5, 8).replace(b"old 5", b"old \xff"),
        honest(5, 8).replace(b"old 5\n", b"old 5\nAAAA\n"),
        request(5, [LEAVES[0]] * 64, signed(8)),
        b"old 5\n\nnot a note\n",
        request(5, [], note.sign("not\na checkpoint\n", [LOG])),
    ],
)
def test_what_is_not_a_request_is_a_bad_request(bench: Bench, body: bytes) -> None:
    assert bench.ask(body).status == witness.BAD_REQUEST
    assert bench.size == 5


@pytest.mark.parametrize("over", [0, 1])
def test_a_request_has_at_most_64_kibibytes(bench: Bench, over: int) -> None:
    start = honest(5, 8)
    padding = witness.MAX_REQUEST_OCTETS - len(start)
    line = "\u2014 stranger ".encode()
    # base64 comes in fours; the name takes up the rest.
    room = padding - len(line) - 1
    name = b"x" * (room % 4)
    body = start + line[:-1] + name + b" " + base64.b64encode(bytes(room // 4 * 3)) + b"\n" + b"\n" * over
    assert len(body) == witness.MAX_REQUEST_OCTETS + over
    assert bench.ask(body).status == (witness.BAD_REQUEST if over else witness.OK)


def test_a_request_reads_back_as_it_was_written() -> None:
    proof = merkle.consistency_proof(5, 8, merkle.reader(LEAVES))
    asked = witness.parse_request(honest(5, 8))
    assert (asked.old_size, asked.proof, asked.signed) == (5, tuple(proof), signed(8))
    assert asked.claimed.size == 8


@pytest.mark.parametrize(("old", "proof"), [(-1, []), (5, [b"short"]), (5, [LEAVES[0]] * 64)])
def test_what_no_witness_would_read_is_not_sent(old: int, proof: list[bytes]) -> None:
    with pytest.raises(witness.RequestMalformed) as refused:
        witness.encode_request(old, proof, signed(8))
    assert refused.value.code == "ledger/witness-request-malformed"
