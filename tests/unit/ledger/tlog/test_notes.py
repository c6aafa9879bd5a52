"""Signed notes and their keys: what is written, opened and refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.clock import SetClock
from ledger.tlog import note, notekeys
from ledger.tlog.errors import KeyAmbiguous, KeyMalformed, NoteMalformed, NoteUnverified

TEXT = "a text\nof two lines\n"
NOW_MS = 1_795_532_000_999
LOG = note.NoteSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = note.NoteSigner("example.com/other", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
WITNESS = note.Cosigner(
    "example.com/witness", Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))), SetClock(NOW_MS)
)
SIGNED = note.sign(TEXT, [LOG])


def refused_note(data: bytes) -> str:
    with pytest.raises(NoteMalformed) as refused:
        note.parse(data)
    assert refused.value.code == "ledger/note-malformed"
    return refused.value.detail


def test_a_note_opens_under_the_key_that_signed_it() -> None:
    opened = note.open(SIGNED, [LOG.verifier])
    assert opened.text == TEXT
    assert [(line.name, line.cosigned_at_ms) for line in opened.verified] == [("example.com/log", None)]
    assert opened.unverified == ()


def test_a_text_with_empty_lines_keeps_them() -> None:
    text = "one\n\n\nfour\n\n"
    assert note.open(note.sign(text, [LOG]), [LOG.verifier]).text == text


def test_lines_of_unknown_keys_are_kept_and_not_believed() -> None:
    opened = note.open(note.sign(TEXT, [OTHER, LOG]), [LOG.verifier])
    assert [line.name for line in opened.verified] == ["example.com/log"]
    assert [line.name for line in opened.unverified] == ["example.com/other"]


def test_a_key_of_the_same_name_is_another_key() -> None:
    namesake = note.NoteSigner.generate(LOG.name)
    opened = note.open(note.sign(TEXT, [namesake, LOG]), [LOG.verifier])
    assert [line.key_id for line in opened.unverified] == [namesake.verifier.key_id]


def test_a_note_without_a_trusted_signature_is_refused() -> None:
    for verifiers in ([], [OTHER.verifier]):
        with pytest.raises(NoteUnverified) as refused:
            note.open(SIGNED, verifiers)
        assert refused.value.code == "ledger/note-unverified"


def test_a_changed_text_is_refused() -> None:
    with pytest.raises(NoteUnverified):
        note.open(SIGNED.replace(b"a text", b"b text"), [LOG.verifier])


def test_one_wrong_signature_of_a_trusted_key_refuses_the_note_whatever_else_it_has() -> None:
    elsewhere = OTHER.sign("another text\n")
    with pytest.raises(NoteUnverified) as refused:
        note.open(note.add_signatures(SIGNED, [elsewhere]), [LOG.verifier, OTHER.verifier])
    assert refused.value.where["name"] == "example.com/other"


def test_a_second_wrong_line_of_a_key_that_already_signed_refuses_the_note() -> None:
    with pytest.raises(NoteUnverified):
        note.open(note.add_signatures(SIGNED, [LOG.sign("another text\n")]), [LOG.verifier])


def test_a_repeated_line_counts_once() -> None:
    opened = note.open(SIGNED + LOG.sign(TEXT).encode(), [LOG.verifier])
    assert len(opened.verified) == 1


def test_a_key_given_twice_cannot_be_told_apart() -> None:
    with pytest.raises(KeyAmbiguous) as refused:
        note.open(SIGNED, [LOG.verifier, LOG.verifier])
    assert refused.value.code == "ledger/note-key-ambiguous"


def test_a_cosignature_says_when_it_was_made() -> None:
    opened = note.open(note.sign(TEXT, [LOG, WITNESS]), [LOG.verifier, WITNESS.verifier])
    assert [line.cosigned_at_ms for line in opened.verified] == [None, 1_795_532_000_000]


def test_a_cosignature_with_another_time_is_refused() -> None:
    line = note.parse(note.sign(TEXT, [WITNESS])).signatures[0]
    later = note.Signature(line.name, line.key_id, (1_795_532_001).to_bytes(8, "big") + line.value[8:])
    with pytest.raises(NoteUnverified):
        WITNESS.verifier.verify(TEXT, later)


def test_a_cosignature_beyond_the_range_of_time_is_refused() -> None:
    octets = (2**63).to_bytes(8, "big")
    octets += WITNESS.private.sign(f"cosignature/v1\ntime {2**63}\n{TEXT}".encode())
    with pytest.raises(NoteUnverified):
        WITNESS.verifier.verify(TEXT, note.Signature(WITNESS.name, WITNESS.verifier.key_id, octets))


def test_a_cosignature_does_not_pass_as_a_signature_nor_the_other_way_round() -> None:
    private = Ed25519PrivateKey.generate()
    as_log = note.NoteSigner("example.com/both", private)
    as_witness = note.Cosigner("example.com/both", private, SetClock(NOW_MS))
    assert as_log.verifier.key_id != as_witness.verifier.key_id
    for signer, verifier in ((as_log, as_witness.verifier), (as_witness, as_log.verifier)):
        line = note.parse(note.sign(TEXT, [signer])).signatures[0]
        with pytest.raises(NoteUnverified):
            verifier.verify(TEXT, line)


@pytest.mark.parametrize("count", [100, 101])
def test_a_note_has_at_most_a_hundred_signatures(count: int) -> None:
    signed = TEXT.encode() + b"\n" + LOG.sign(TEXT).encode() * count
    if count == note.MAX_SIGNATURES:
        assert len(note.parse(signed).signatures) == 1
    else:
        assert refused_note(signed) == "too many signatures"


@pytest.mark.parametrize("over", [0, 1])
def test_a_note_has_at_most_a_mebibyte(over: int) -> None:
    tail = ("\n\n" + LOG.sign("x\n")).encode()
    signed = b"x" * (note.MAX_NOTE_OCTETS - len(tail) + over) + tail
    if over:
        assert refused_note(signed) == "note too long"
    else:
        assert len(note.parse(signed).text) == note.MAX_NOTE_OCTETS - len(tail) + 1


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no signatures"),
        (b"text\n", "no signatures"),
        (b"text\n\n", "no signatures"),
        (SIGNED[:-1], "the last line has no newline"),
        (SIGNED + b"\n", "no signatures"),
        (SIGNED.replace(b"a text", b"a\x01text"), "control character in the text"),
        (SIGNED.replace(b"a text", b"a\ttext"), "control character in the text"),
        (SIGNED.replace(b"a text", b"a\r\ntext"), "control character in the text"),
        (SIGNED.replace(b"a text", b"a\xfftext"), "not UTF-8"),
        (SIGNED.replace(b"example.com/log", b"example.com log"), "not a signature line"),
        (SIGNED.replace(b"example.com/log", b"example.com+log"), "not a signature line"),
        (SIGNED.replace(b"example.com/log", "example.com\u00a0log".encode()), "not a signature line"),
        (SIGNED.replace(b"example.com/log", b""), "not a signature line"),
        (SIGNED.replace("\u2014".encode(), b"-"), "not a signature line"),
        (SIGNED[:-2] + b"\n", "not a signature line"),
        (b"text\n\n\xe2\x80\x94 name\n", "not a signature line"),
        (b"text\n\n\xe2\x80\x94 name AAAAAA==\n", "signature too short"),
        (b"text\n\n\xe2\x80\x94 name AAAAAAB=\n", "not a signature line"),
    ],
)
def test_what_is_not_a_note_is_refused_with_the_reason(data: bytes, detail: str) -> None:
    assert refused_note(data) == detail


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "lone surrogate \ud800\n"])
def test_a_text_that_no_note_may_have_is_not_signed(text: str) -> None:
    with pytest.raises(NoteMalformed):
        note.sign(text, [LOG])


def test_a_note_needs_a_signer() -> None:
    with pytest.raises(NoteMalformed):
        note.sign(TEXT, [])


def test_only_signature_lines_are_added_to_a_note() -> None:
    with pytest.raises(NoteMalformed):
        note.add_signatures(SIGNED, ["not a line\n"])
    with pytest.raises(NoteMalformed):
        note.add_signatures(SIGNED, ["\n" + LOG.sign(TEXT)[:-1]])


def test_adding_cannot_move_the_end_of_the_text() -> None:
    with pytest.raises(NoteMalformed):
        note.add_signatures(SIGNED, ["\n", OTHER.sign(TEXT)])


@pytest.mark.parametrize("signer", [LOG, WITNESS], ids=["log", "witness"])
def test_a_verifier_key_reads_back_as_it_was_written(signer: note.NoteSigner | note.Cosigner) -> None:
    assert note.parse_vkey(signer.vkey) == signer.verifier


def test_private_keys_read_back_as_they_were_written() -> None:
    assert note.NoteSigner.load(LOG.dump()).vkey == LOG.vkey
    assert note.Cosigner.load(WITNESS.dump(), SetClock(0)).vkey == WITNESS.vkey


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PRIVATE+KEY+name",
        LOG.vkey,
        WITNESS.dump(),
        LOG.dump().replace("example.com/log", "example.com/lag"),
        LOG.dump()[:-1],
        LOG.dump().replace("example.com/log", "example com/log"),
    ],
)
def test_what_is_not_the_private_key_of_a_log_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(KeyMalformed) as refused:
        note.NoteSigner.load(text)
    assert refused.value.code == "ledger/note-key-malformed"
    for secret in (LOG.dump(), WITNESS.dump()):
        assert secret.rpartition("+")[2][:20] not in str(refused.value)


def test_a_key_of_an_unknown_type_is_refused() -> None:
    mldsa = base64.b64encode(b"\x06" + bytes(32)).decode()
    with pytest.raises(KeyMalformed) as refused:
        note.parse_vkey(f"name+00000000+{mldsa}")
    assert refused.value.found == "0x06"


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\t", "\u2003", "\ud800", "x" * 1025])
def test_a_name_that_no_key_may_have_is_refused(name: str) -> None:
    with pytest.raises(KeyMalformed):
        note.NoteSigner.generate(name)
    with pytest.raises(KeyMalformed):
        note.Cosigner.generate(name, SetClock(0))


def test_the_longest_name_is_allowed() -> None:
    name = "x" * notekeys.MAX_NAME_CHARACTERS
    assert note.NoteSigner.generate(name).verifier.name == name


def test_a_public_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(KeyMalformed):
        note.Verifier("name", note.KeyKind.ED25519, bytes(31))


def test_a_signer_does_not_show_its_key() -> None:
    assert "private" not in repr(LOG)
    assert "private" not in repr(WITNESS)
