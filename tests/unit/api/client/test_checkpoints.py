"""A client that has seen one history notices another."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.client import checkpoints
from api.client.checkpoints import (
    Checkpoints,
    CheckpointsMoved,
    CheckpointStore,
    CheckpointsUnusable,
    FileCheckpoints,
    MemoryCheckpoints,
    ProofWanted,
)
from api.verification import evidence_file
from ledger.clock import SetClock
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, hashing, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import Forked, NoteUnverified, ProofInvalid
from ledger.tlog.note import Cosigner, NoteSigner

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
    evidence = set(tmp_path.glob("*.evidence.json"))
    assert {file.read_bytes() for file in set(tmp_path.glob("*.checkpoint*")) - evidence} == {
        _note(5),
        _note(5, OTHERS),
    }
    assert [evidence_file.verify(evidence_file.read(file.read_bytes())).exit_code for file in evidence] == [0]


def test_a_note_that_the_log_did_not_sign_is_neither_taken_nor_kept(seen: Checkpoints) -> None:
    with pytest.raises(NoteUnverified):
        seen.accept(_note(5, LEAVES, NoteSigner.generate(ORIGIN)))
    assert seen.latest() is None


def test_a_store_that_was_tampered_with_is_noticed(tmp_path: Path) -> None:
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))
    seen.accept(_note(5))
    (file,) = tmp_path.glob("*.checkpoint")
    file.write_bytes(_note(5).replace(b"\n5\n", b"\n6\n"))
    with pytest.raises(CheckpointsUnusable, match="note-unverified"):
        Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path)).latest()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "zzz").write_text("not ours")
    store = FileCheckpoints(tmp_path)
    assert store.latest() is None
    store.keep(5, bytes(32), b"note")
    assert FileCheckpoints(tmp_path).latest() == b"note"


# What a hostile log, a hostile neighbour and a crash can do


def _cosigned(size: int, *cosigners: Cosigner) -> bytes:
    return checkpoint.sign(Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size])), [SIGNER, *cosigners])


def test_two_clients_of_one_folder_know_what_the_other_saw(tmp_path: Path) -> None:
    one, other = (Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path)) for _ in range(2))
    one.accept(_note(5))
    other.accept(_note(12), _proof(5, 12))
    latest = one.latest()
    assert latest is not None
    assert latest.checkpoint.size == 12
    # Each alone would believe this one: it extends what the first one saw itself.
    forged = [*LEAVES[:8], *OTHERS[8:]]
    assert one.wanted_proof(_note(10, forged)) == ProofWanted(10, 12)
    with pytest.raises(ProofInvalid):
        one.accept(_note(10, forged), _proof(5, 10, forged))


def test_a_proof_for_what_is_no_longer_the_largest_accuses_nobody(tmp_path: Path) -> None:
    one, other = (Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path)) for _ in range(2))
    one.accept(_note(5))
    wanted = one.wanted_proof(_note(16))
    other.accept(_note(12), _proof(5, 12))
    with pytest.raises(CheckpointsMoved):
        one.accept(_note(16), _proof(5, 16), wanted=wanted)
    assert not list(tmp_path.glob("*.refused"))
    wanted = one.wanted_proof(_note(16))
    assert one.accept(_note(16), _proof(12, 16), wanted=wanted).checkpoint.size == 16


def test_processes_take_turns_in_one_folder(tmp_path: Path) -> None:
    stores = [FileCheckpoints(tmp_path) for _ in range(2)]
    entered = threading.Event()

    def wait() -> bytes | None:
        entered.set()
        with stores[1].turn():
            return stores[1].latest()

    with ThreadPoolExecutor(1) as pool, stores[0].turn():
        late = pool.submit(wait)
        assert entered.wait(10)
        stores[0].keep(5, bytes(32), b"note")
        assert not late.done()
    assert late.result(10) == b"note"


def test_a_cosignature_that_was_shown_once_is_not_lost_to_a_note_without_it(store: CheckpointStore) -> None:
    clock = SetClock(7_000)
    first, second = (Cosigner.generate(f"witness.example/{name}", clock) for name in ("a", "b"))
    stranger = Cosigner.generate("witness.example/stranger", clock)
    keys = [SIGNER.verifier, first.verifier, second.verifier]
    seen = Checkpoints(ORIGIN, keys, store)
    seen.accept(_cosigned(5, first))
    seen.accept(_note(5))
    seen.accept(_cosigned(5, second, stranger))
    seen.accept(_note(5))
    latest = Checkpoints(ORIGIN, keys, store).latest()
    assert latest is not None
    assert [line.name for line in latest.note.verified] == [ORIGIN, "witness.example/a", "witness.example/b"]


def test_a_note_with_as_many_strangers_as_it_may_have_leaves_room_for_a_witness(store: CheckpointStore) -> None:
    clock = SetClock(7_000)
    strangers = [Cosigner.generate(f"witness.example/{number}", clock) for number in range(note.MAX_SIGNATURES - 1)]
    witness = Cosigner.generate("witness.example/w", clock)
    seen = Checkpoints(ORIGIN, [SIGNER.verifier, witness.verifier], store)
    seen.accept(_cosigned(5, *strangers))
    seen.accept(_cosigned(5, witness))
    latest = seen.latest()
    assert latest is not None
    assert [line.name for line in latest.note.verified] == [ORIGIN, "witness.example/w"]


def test_a_log_that_lies_again_and_again_fills_no_disk(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MAX_REFUSED", 3)
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], store)
    seen.accept(_note(5))
    for number in range(6):
        with pytest.raises(Forked):
            seen.accept(_note(5, [hashing.leaf(bytes([number, 2]))] * 5))
    if isinstance(store, MemoryCheckpoints):
        assert (len(store.refused), len(store.evidence)) == (3, 3)
    else:
        found = [file.name.partition(".checkpoint")[2] for file in (tmp_path / "seen").iterdir()]
        assert (found.count(".refused"), found.count(".evidence.json")) == (3, 3)


def test_of_a_log_that_grows_for_ever_the_newest_checkpoints_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MAX_KEPT", 3)
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))
    for size in range(1, 9):
        seen.accept(_note(size), _proof(size - 1, size) if size > 1 else [])
    assert sorted(int(file.name[:19]) for file in tmp_path.glob("*.checkpoint")) == [6, 7, 8]


@pytest.mark.parametrize("damage", ["cut", "empty", "words", "another log", "endless", "a pipe", "a folder"])
def test_a_store_that_is_damaged_says_so_and_nothing_is_believed(tmp_path: Path, damage: str) -> None:
    seen = Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))
    seen.accept(_note(5))
    (path,) = tmp_path.glob("*.checkpoint")
    other = NoteSigner.generate("log.example/other")
    foreign = checkpoint.sign(Checkpoint("log.example/other", 5, merkle.root(LEAVES[:5])), [other])
    data = {"cut": _note(5)[:-9], "words": b"hello\n", "another log": foreign, "endless": b"a" * 2_000_000}
    path.write_bytes(data.get(damage, b""))
    if damage in ("a pipe", "a folder"):
        path.unlink()
        os.mkfifo(path) if damage == "a pipe" else path.mkdir()
    for client in (seen, Checkpoints(ORIGIN, [SIGNER.verifier], FileCheckpoints(tmp_path))):
        with pytest.raises(CheckpointsUnusable):
            client.accept(_note(12), _proof(5, 12))
    assert [file.name for file in tmp_path.glob("*.checkpoint")] == [path.name]


def test_another_logs_checkpoint_is_refused_and_leaves_nothing(seen: Checkpoints) -> None:
    other = NoteSigner("log.example/other", SIGNER.private)
    with pytest.raises(LedgerError):
        seen.accept(checkpoint.sign(Checkpoint("log.example/other", 5, merkle.root(LEAVES[:5])), [other]))
    assert seen.latest() is None
