"""Checkpoints: their text, who must have signed, and two that contradict each other."""

import pytest

from ledger.clock import SetClock
from ledger.tlog import checkpoint, hashing, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import CheckpointMalformed, Forked, NoteUnverified, OriginMismatch

ORIGIN = "example.com/log"
ROOT = hashing.leaf(b"")
HEAD = Checkpoint(ORIGIN, 1, ROOT)
LOG = note.NoteSigner.generate(ORIGIN)
WITNESS = note.Cosigner.generate("example.com/witness", SetClock(5_000))
LINES = HEAD.text().splitlines()


def test_a_checkpoint_opens_under_its_origin_and_key() -> None:
    opened = checkpoint.open_checkpoint(checkpoint.sign(HEAD, [LOG]), ORIGIN, [LOG.verifier])
    assert opened.checkpoint == HEAD
    assert opened.cosignatures == ()


def test_cosignatures_are_given_with_their_time() -> None:
    signed = checkpoint.sign(HEAD, [LOG, WITNESS])
    opened = checkpoint.open_checkpoint(signed, ORIGIN, [LOG.verifier, WITNESS.verifier])
    assert [(line.name, line.cosigned_at_ms) for line in opened.cosignatures] == [("example.com/witness", 5_000)]


def test_extension_lines_are_kept() -> None:
    longer = Checkpoint(ORIGIN, 1, ROOT, ("one", "two words"))
    assert checkpoint.parse(longer.text()) == longer


def test_a_checkpoint_that_only_a_witness_signed_is_refused() -> None:
    with pytest.raises(NoteUnverified):
        checkpoint.open_checkpoint(checkpoint.sign(HEAD, [WITNESS]), ORIGIN, [LOG.verifier, WITNESS.verifier])


def test_a_cosigner_with_the_name_of_the_log_is_not_the_log() -> None:
    pretender = note.Cosigner.generate(ORIGIN, SetClock(0))
    with pytest.raises(NoteUnverified) as refused:
        checkpoint.open_checkpoint(checkpoint.sign(HEAD, [pretender]), ORIGIN, [pretender.verifier])
    assert refused.value.detail == "the log itself has not signed its checkpoint"


def test_a_key_with_another_name_does_not_speak_for_the_log() -> None:
    other = note.NoteSigner.generate("example.com/other")
    with pytest.raises(NoteUnverified):
        checkpoint.open_checkpoint(checkpoint.sign(HEAD, [other]), ORIGIN, [other.verifier])


def test_the_checkpoint_of_another_log_is_refused() -> None:
    signed = checkpoint.sign(Checkpoint("example.com/log2", 1, ROOT), [LOG])
    with pytest.raises(OriginMismatch) as refused:
        checkpoint.open_checkpoint(signed, ORIGIN, [LOG.verifier])
    assert refused.value.code == "ledger/origin-mismatch"
    assert (refused.value.expected, refused.value.found) == (ORIGIN, "example.com/log2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD.text()[:-1],
        "\n".join([*LINES[:2], ""]),
        "\n".join(["", *LINES[1:], ""]),
        *("\n".join([LINES[0], size, LINES[2], ""]) for size in ("", "01", "-1", "+1", " 1", "1 ", "1e3", "\u0661")),
        "\n".join([LINES[0], str(2**63), LINES[2], ""]),
        "\n".join([LINES[0], "9" * 5000, LINES[2], ""]),
        *("\n".join([*LINES[:2], root, ""]) for root in ("", LINES[2][:-1], LINES[2] + "=", "AAAA", "!" * 44)),
        HEAD.text() + "\n",
        HEAD.text() + "one\n\ntwo\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointMalformed) as refused:
        checkpoint.parse(text)
    assert refused.value.code == "ledger/checkpoint-malformed"


@pytest.mark.parametrize("size", [0, 1, 2**63 - 1])
def test_sizes_up_to_the_limit_are_read(size: int) -> None:
    assert checkpoint.parse(Checkpoint(ORIGIN, size, ROOT).text()).size == size


@pytest.mark.parametrize("count", [16, 17])
def test_a_checkpoint_has_at_most_sixteen_extensions(count: int) -> None:
    text = HEAD.text() + "extension\n" * count
    if count == checkpoint.MAX_EXTENSIONS:
        assert len(checkpoint.parse(text).extensions) == count
    else:
        with pytest.raises(CheckpointMalformed):
            checkpoint.parse(text)


def test_two_roots_for_one_size_are_a_fork() -> None:
    with pytest.raises(Forked) as refused:
        checkpoint.refuse_fork(HEAD, Checkpoint(ORIGIN, 1, hashing.leaf(b"other")))
    assert refused.value.code == "ledger/forked"
    checkpoint.refuse_fork(HEAD, HEAD)
    checkpoint.refuse_fork(HEAD, Checkpoint(ORIGIN, 2, hashing.leaf(b"other")))


def test_two_logs_have_nothing_to_agree_about() -> None:
    with pytest.raises(OriginMismatch):
        checkpoint.refuse_fork(HEAD, Checkpoint("example.com/log2", 1, ROOT))


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, ROOT, ()),
        ("two\nlines", 1, ROOT, ()),
        (ORIGIN, -1, ROOT, ()),
        (ORIGIN, 2**63, ROOT, ()),
        (ORIGIN, 1, ROOT[:31], ()),
        (ORIGIN, 1, ROOT, ("",)),
        (ORIGIN, 1, ROOT, ("two\nlines",)),
    ],
)
def test_what_cannot_be_a_checkpoint_is_not_one(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointMalformed):
        Checkpoint(origin, size, root, extensions)
