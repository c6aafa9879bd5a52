"""tlog-proof texts: what is written, opened and refused."""

import base64

import pytest

from ledger.tlog import checkpoint, hashing, merkle, note, proof
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import NoteMalformed, NoteUnverified, OriginMismatch, ProofInvalid, ProofMalformed

ORIGIN = "example.com/log"
LEAVES = [hashing.leaf(bytes([at])) for at in range(5)]
LOG = note.NoteSigner.generate(ORIGIN)
SIGNED = checkpoint.sign(Checkpoint(ORIGIN, 5, merkle.root(LEAVES)), [LOG])
HASHES = merkle.inclusion_proof(2, 5, merkle.reader(LEAVES))
TEXT = proof.encode(2, HASHES, SIGNED)


def opened(data: bytes, leaf_hash: bytes = LEAVES[2], origin: str = ORIGIN) -> proof.OpenedProof:
    return proof.open_proof(data, leaf_hash=leaf_hash, origin=origin, verifiers=[LOG.verifier])


def test_a_proof_opens_to_its_index_and_checkpoint() -> None:
    found = opened(TEXT)
    assert (found.index, found.leaf_hash, found.extra) == (2, LEAVES[2], None)
    assert found.checkpoint.checkpoint.size == 5


def test_extra_data_is_carried() -> None:
    data = proof.encode(2, HASHES, SIGNED, b"\x00extra")
    assert data.split(b"\n")[1] == b"extra " + base64.b64encode(b"\x00extra")
    assert opened(data).extra == b"\x00extra"


def test_the_proof_of_the_only_entry_has_no_hashes() -> None:
    signed = checkpoint.sign(Checkpoint(ORIGIN, 1, LEAVES[0]), [LOG])
    data = proof.encode(0, [], signed)
    assert data == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + signed
    assert opened(data, LEAVES[0]).index == 0


def test_another_leaf_is_refused() -> None:
    with pytest.raises(ProofInvalid):
        opened(TEXT, LEAVES[3])


def test_another_index_is_refused() -> None:
    with pytest.raises(ProofInvalid):
        opened(TEXT.replace(b"index 2", b"index 3"))


def test_another_log_is_refused() -> None:
    with pytest.raises(OriginMismatch):
        opened(TEXT, origin="example.com/other")


def test_a_checkpoint_that_the_log_did_not_sign_is_refused() -> None:
    with pytest.raises(NoteUnverified):
        opened(TEXT.replace(b"\n5\n", b"\n6\n"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT.replace(b"@v1", b"@v2"),
        TEXT.replace(b"index 2\n", b""),
        *(TEXT.replace(b"index 2", b"index " + index) for index in (b"", b"02", b"-1", b" 2", b"9" * 30)),
        TEXT.replace(b"index 2", b"extra \nindex 2"),
        TEXT.replace(b"index 2", b"extra AA=\nindex 2"),
        TEXT.replace(b"index 2", b"extra AA==\nextra AA==\nindex 2"),
        TEXT.replace(b"index 2", b"index 2\nAAAA"),
        TEXT.replace(b"index 2", b"index 2\n!"),
        TEXT.replace(b"index 2", b"index 2\r"),
        TEXT.replace(b"index 2", b"index \xd9\xa2"),
        b"c2sp.org/tlog-proof@v1\nindex 2\n",
    ],
)
def test_what_is_not_a_proof_is_refused(data: bytes) -> None:
    with pytest.raises(ProofMalformed) as refused:
        proof.parse(data)
    assert refused.value.code == "ledger/proof-malformed"


def test_a_proof_whose_checkpoint_is_no_note_is_refused() -> None:
    with pytest.raises(NoteMalformed):
        proof.parse(TEXT[:-1])
    with pytest.raises(NoteMalformed):
        proof.encode(0, [], b"not a note")


@pytest.mark.parametrize("count", [63, 64])
def test_a_proof_has_at_most_63_hashes(count: int) -> None:
    line = base64.b64encode(LEAVES[0]) + b"\n"
    data = b"c2sp.org/tlog-proof@v1\nindex 0\n" + line * count + b"\n" + SIGNED
    if count == merkle.MAX_PROOF_HASHES:
        assert proof.parse(data).proof == (LEAVES[0],) * count
        assert proof.encode(0, [LEAVES[0]] * count, SIGNED) == data
    else:
        with pytest.raises(ProofMalformed):
            proof.parse(data)
        with pytest.raises(ProofMalformed):
            proof.encode(0, [LEAVES[0]] * count, SIGNED)


@pytest.mark.parametrize("over", [0, 1])
def test_extra_data_has_at_most_a_mebibyte(over: int) -> None:
    extra = bytes(proof.MAX_EXTRA_OCTETS + over)
    data = proof.encode(2, HASHES, SIGNED, b"\x00").replace(b"AA==", base64.b64encode(extra))
    if over:
        with pytest.raises(ProofMalformed):
            proof.parse(data)
        with pytest.raises(ProofMalformed):
            proof.encode(2, HASHES, SIGNED, extra)
    else:
        assert proof.parse(data).extra == extra


@pytest.mark.parametrize("over", [0, 1])
def test_a_text_longer_than_the_limit_is_not_looked_at(over: int) -> None:
    data = b"x" * (proof.MAX_TLOG_PROOF_OCTETS + over)
    with pytest.raises(ProofMalformed) as refused:
        proof.parse(data)
    assert refused.value.detail == ("too long" if over else "no empty line before the checkpoint")


@pytest.mark.parametrize(
    ("index", "hashes", "extra"), [(-1, [], None), (2**63, [], None), (0, [b""], None), (0, [], b"")]
)
def test_what_cannot_be_a_proof_is_not_written(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    with pytest.raises(ProofMalformed):
        proof.encode(index, hashes, SIGNED, extra)
