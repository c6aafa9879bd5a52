"""A client that has seen one history notices another."""

from pathlib import Path

import pytest

from api.client import checkpoints
from api.client.checkpoints import Checkpoints, CheckpointStore, FileCheckpoints, MemoryCheckpoints, ProofWanted
from api.verification import evidence_file
from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import Forked, NoteUnverified, ProofInvalid
from ledger.tlog.note import NoteSigner

ORIGIN = "log.example/test"
SIGNER = NoteSigner.generate(ORIGIN)
LEAVES = [hashing.leaf(bytes([number])) for number in range(16)]
OTHERS = [hashing.leaf(bytes([number, 1])) for number in range(16)]


def _note(size: int, leaves: list[bytes] = LEAVES, signer: NoteSigner = SIGNER) -> bytes:
    return checkpoint.sign(Checkpoint(ORIGIN, size, merkle.root(leaves[:size])), [signer])


def _proof(old: int, new: int, leaves: list[bytes] = LEAVES) -> list[bytes]:
    return merkle.consistency_proof(old, new, merkle.reader(leaves))


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    return MemoryCheckpoints() if request.param == "memory" else FileCheckpoints(tmp_path / "seen")


@pytest.fixture
def seen(store: CheckpointStore) -> Checkpoints:
    return Checkpoints(ORIGIN, [SIGNER.verifier], store)


def test_the_first_checkpoint_is_taken_and_kept(seen: Checkpoints) -> None:
    assert seen.latest() is None
    assert seen.wanted_proof(_note(5)) is None
    seen.accept(_note(5))
    latest = seen.latest()
    assert latest is not None
    assert latest.checkpoint.size == 5


def test_a_larger_tree_needs_a_proof_from_the_one_seen(seen: Checkpoints) -> None:
    seen.accept(_note(5))
    assert seen.wanted_proof(_note(12)) == ProofWanted(5, 12)
    with pytest.raises(ProofInvalid):
        seen.accept(_note(12), [])
    assert seen.accept(_note(12), _proof(5, 12)).checkpoint.size == 12


def test_an_older_tree_must_be_a_prefix_and_the_largest_stays_the_latest(seen: Checkpoints) -> None:
    seen.accept(_note(12))
    assert seen.wanted_proof(_note(5)) == ProofWanted(5, 12)
    seen.accept(_note(5), _proof(5, 12))
    latest = seen.latest()
    assert latest is not None
    assert latest.checkpoint.size == 12


def test_the_same_tree_again_needs_nothing(seen: Checkpoints) -> None:
    seen.accept(_note(5))
    assert seen.wanted_proof(_note(5)) is None
    seen.accept(_note(5))


def test_two_roots_for_one_size_are_a_fork(seen: Checkpoints) -> None:
    seen.accept(_note(5))
    with pytest.raises(Forked):
        seen.accept(_note(5, OTHERS))


def test_another_history_that_is_longer_is_refused(seen: Checkpoints) -> None:
    seen.accept(_note(5))
    with pytest.raises(ProofInvalid):
        seen.accept(_note(12, OTHERS), _proof(5, 12, OTHERS))


def test_a_log_that_forgets_everything_is_noticed(seen: Checkpoints) -> None:
    seen.accept(_note(0))
    seen.accept(_note(5))
    assert seen.wanted_proof(_note(0)) is None
    with pytest.raises(ProofInvalid):
        seen.accept(_note(0))


@pytest.mark.parametrize("size", [5, 12])
def test_a_history_that_was_refused_once_is_refused_again(seen: Checkpoints, store: CheckpointStore, size: int) -> None:
    seen.accept(_note(5))
    reopened = Checkpoints(ORIGIN, [SIGNER.verifier], store)
    for client in (seen, seen, reopened):
        with pytest.raises((Forked, ProofInvalid)):
            client.accept(_note(size, OTHERS), _proof(5, size, OTHERS))
    assert store.latest() == _note(5)
    assert seen.accept(_note(12), _proof(5, 12)).checkpoint.size == 12


@pytest.mark.parametrize(("kept", "left"), [(3, 3), (4, 3)])
def test_memory_is_bounded_and_the_largest_is_never_dropped(
    monkeypatch: pytest.MonkeyPatch, kept: int, left: int
) -> None:
    monkeypatch.setattr(checkpoints, "MAX_KEPT", 3)
    store = MemoryCheckpoints()
    for size in range(10, 10 - kept, -1):
        store.keep(size, bytes(32), str(size).encode())
    assert len(store._notes) == left
    assert store.latest() == b"10"


def test_the_note_of_a_refused_history_is_kept_as_evidence(tmp_path: Path) -> None:
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))
    seen.accept(_note(5))
    with pytest.raises(Forked):
        seen.accept(_note(5, OTHERS))
    evidence = {file for file in tmp_path.iterdir() if file.name.endswith(".evidence.json")}
    assert {file.read_bytes() for file in set(tmp_path.iterdir()) - evidence} == {_note(5), _note(5, OTHERS)}
    assert [evidence_file.verify(evidence_file.read(file.read_bytes())).exit_code for file in evidence] == [0]


def test_a_note_that_the_log_did_not_sign_is_neither_taken_nor_kept(seen: Checkpoints) -> None:
    with pytest.raises(NoteUnverified):
        seen.accept(_note(5, LEAVES, NoteSigner.generate(ORIGIN)))
    assert seen.latest() is None


def test_a_store_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))
    seen.accept(_note(5))
    (file,) = tmp_path.iterdir()
    file.write_bytes(_note(5).replace(b"\n5\n", b"\n6\n"))
    with pytest.raises(NoteUnverified):
        Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path)).latest()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "zzz").write_text("not ours")
    store = FileCheckpoints(tmp_path)
    assert store.latest() is None
    store.keep(5, bytes(32), b"note")
    assert FileCheckpoints(tmp_path).latest() == b"note"
