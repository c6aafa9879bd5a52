"""A client that was shown two histories has a file afterwards that convinces a stranger."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.client import contradiction
from api.client.checkpoints import Checkpoints, FileCheckpoints, MemoryCheckpoints
from api.client.client import CHECKPOINT_PATH, Conversation
from api.client.http import Answer, Request
from api.verification import evidence_file
from api.verification.errors import BundleUnusable
from api.verification.report import Exit
from ledger.errors import Absent
from ledger.records.errors import NotCanonical
from ledger.tlog import checkpoint, hashing, merkle, tiles
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import Forked, NotContradictory, ProofInvalid, TileMismatch
from ledger.tlog.note import NoteSigner

ORIGIN = "log.example/test"
SIGNER = NoteSigner.generate(ORIGIN)
HONEST = [b"entry %d" % number for number in range(600)]
FORGED = [*HONEST[:2], b"another", *HONEST[3:]]


class Served:
    """A log of these entries, as a conversation's requests reach it."""

    def __init__(self, entries: list[bytes]) -> None:
        self.files: dict[str, bytes] = {}
        self.frontier = tiles.write_tree(entries, self.files.__setitem__)
        self.leaves = [hashing.leaf(entry) for entry in entries]
        self.note = checkpoint.sign(Checkpoint(ORIGIN, len(entries), self.frontier.root()), [SIGNER])
        self.asked: list[str] = []

    def answer(self, wanted: Request) -> Answer:
        self.asked.append(wanted.path)
        if wanted.path.startswith("/tile/"):
            return Answer(200, {}, self.files[wanted.path.removeprefix("/")])
        old, new = (int(part.partition("=")[2]) for part in wanted.path.partition("?")[2].split("&"))
        hashes = merkle.consistency_proof(old, min(new, len(self.leaves)), merkle.reader(self.leaves))
        proof = {"old_size": old, "new_size": new, "hashes": [one.hex() for one in hashes]}
        return Answer(200, {}, msgspec.json.encode(proof))


def agree(conversation: Conversation, served: Served) -> Any:
    steps = conversation.agree(served.note)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(served.answer(wanted))
    except StopIteration as done:
        return done.value


@pytest.mark.parametrize("seen", [3, 4, 255, 256, 257, 512, 599])
def test_a_larger_tree_with_another_past_leaves_evidence(seen: int) -> None:
    store = MemoryCheckpoints()
    conversation = Conversation(checkpoints=Checkpoints(ORIGIN, [SIGNER.verifier], store))
    agree(conversation, Served(HONEST[:seen]))
    assert store.evidence == []
    served = Served(FORGED)
    with pytest.raises(ProofInvalid):
        agree(conversation, served)
    (data,) = store.evidence
    assert evidence_file.verify(evidence_file.read(data)).outcome is Exit.VERIFIED
    assert CHECKPOINT_PATH not in served.asked


def test_a_neighbour_who_sees_more_meanwhile_makes_it_ask_again_and_accuse_nobody(tmp_path: Path) -> None:
    one, other = (Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path)) for _ in range(2))
    one.accept(Served(HONEST[:10]).note)
    served = Served(HONEST[:30])
    steps = Conversation(checkpoints=one).agree(served.note)
    first = next(steps)
    middle = Served(HONEST[:20])
    other.accept(middle.note, merkle.consistency_proof(10, 20, merkle.reader(middle.leaves)))
    again = steps.send(served.answer(first))
    with pytest.raises(StopIteration) as done:
        steps.send(served.answer(again))
    assert done.value.value.checkpoint.size == 30
    assert [path.partition("?")[2] for path in served.asked] == ["old=10&new=30", "old=20&new=30"]
    assert not list(tmp_path.glob("*.refused"))


def test_two_roots_for_one_size_leave_evidence_in_a_file(tmp_path: Path) -> None:
    conversation = Conversation(checkpoints=Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path / "seen")))
    agree(conversation, Served(HONEST[:10]))
    with pytest.raises(Forked):
        agree(conversation, Served(FORGED[:10]))
    (path,) = (tmp_path / "seen").glob("*.evidence.json")
    report = evidence_file.verify(evidence_file.read(path.read_bytes()))
    assert report.outcome is Exit.VERIFIED
    assert report.summary().endswith("the log's keys are those that the file names itself")
    assert FileCheckpoints(tmp_path / "seen").latest() == Served(HONEST[:10]).note


def test_a_wrong_proof_from_an_honest_log_is_evidence_of_nothing() -> None:
    store = MemoryCheckpoints()
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], store)
    seen.accept(Served(HONEST[:10]).note)
    with pytest.raises(ProofInvalid):
        seen.accept(Served(HONEST[:20]).note, [])
    served = Served(HONEST[:20])
    read = merkle.reader(served.leaves)
    with pytest.raises(NotContradictory):
        seen.convict(served.note, merkle.root_at(10, read), merkle.consistency_proof(10, 20, read))
    assert store.evidence == []


def walk(head: Checkpoint, size: int, files: dict[str, bytes]) -> tuple[bytes, list[bytes]]:
    steps = contradiction.prefix_of(head, size)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(Answer(200, {}, files[wanted.path.removeprefix("/")]))
    except StopIteration as done:
        found: tuple[bytes, list[bytes]] = done.value
        return found


def test_tiles_that_do_not_fit_the_signed_root_are_not_believed() -> None:
    honest, forged = Served(HONEST), Served(FORGED)
    head = Checkpoint(ORIGIN, len(HONEST), honest.frontier.root())
    assert walk(head, 300, honest.files)[0] == merkle.root(honest.leaves[:300])
    with pytest.raises(TileMismatch):
        walk(head, 300, forged.files)


def test_a_log_whose_tiles_have_no_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contradiction, "MAX_TILES", 2)
    served = Served(HONEST)
    with pytest.raises(Absent):
        walk(Checkpoint(ORIGIN, len(HONEST), served.frontier.root()), 300, served.files)


def evidence() -> dict[str, Any]:
    first, second = Served(HONEST[:10]).note, Served(FORGED[:10]).note
    data = evidence_file.encode(first, second, origin=ORIGIN, vkeys=[SIGNER.vkey])
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("second", Served(HONEST[:10]).note.decode()),
        ("second", Served(HONEST[:20]).note.decode()),
        ("origin", "log.example/other"),
        ("vkeys", [NoteSigner.generate(ORIGIN).vkey]),
        ("vkeys", ["rubbish"]),
        ("proof", ["00" * 32]),
        ("prefix_root", "00" * 32),
        ("first", "rubbish"),
    ],
    ids=range(8),
)
def test_evidence_with_anything_changed_is_refuted(member: str, value: Any) -> None:
    changed = evidence() | {member: value}
    report = evidence_file.verify(evidence_file.read(msgspec.json.encode(changed, order="sorted")))
    assert report.outcome is Exit.REFUTED


def test_a_file_that_is_not_evidence_is_unusable() -> None:
    for changed in ({"format": "flexledger-evidence/2"}, {"more": 1}, {"vkeys": []}, {"proof": []}):
        with pytest.raises(BundleUnusable):
            evidence_file.read(msgspec.json.encode(evidence() | changed, order="sorted"))
    with pytest.raises(NotCanonical):
        evidence_file.read(msgspec.json.encode(evidence(), order="sorted") + b"\n")
    with pytest.raises(BundleUnusable):
        evidence_file.read(b"x" * (evidence_file.MAX_BYTES + 1))
