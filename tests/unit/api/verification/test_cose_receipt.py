"""COSE receipts: ours are a stranger's to verify, and no byte of one can change."""

from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
import scitt_cose
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from api.cli.main import app
from api.verification import cose_receipt
from api.verification.bundle_policy import Policy, encode_policy
from api.verification.cose_receipt import ReceiptMalformed, ReceiptUnverified
from ledger.store.errors import CheckpointAbsent
from ledger.tlog import hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import ProofInvalid
from ledger.tlog.note import NoteSigner
from tests.support import logs

ENTRIES = [b"entry %d" % number for number in range(11)]
LEAVES = [hashing.leaf(entry) for entry in ENTRIES]
LOG = NoteSigner("example.com/log", logs.key_of("log"))
HEAD = Checkpoint(LOG.name, 11, merkle.root(LEAVES))


def made(index: int = 7, signer: NoteSigner = LOG) -> bytes:
    path = merkle.inclusion_proof(index, 11, merkle.reader(LEAVES))
    return cose_receipt.encode(HEAD, index, path, verifier=signer.verifier, sign=signer.sign_octets)


def opened(data: bytes, entry: bytes = ENTRIES[7]) -> cose_receipt.CoseReceipt:
    return cose_receipt.open_receipt(data, entry=entry, origin=LOG.name, verifiers=[LOG.verifier])


def pem(signer: NoteSigner = LOG) -> bytes:
    return signer.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("index", range(11))
def test_a_stranger_verifies_every_receipt(index: int) -> None:
    found = scitt_cose.verify_receipt(made(index), leaf_entry_hex=ENTRIES[index].hex(), log_public_key_pem=pem())
    assert found.ok, found.errors
    assert (found.tree_size, found.leaf_index, found.issuer) == (11, index, "example.com/log")
    assert found.root == HEAD.root.hex()


def test_a_stranger_refuses_another_entry_and_another_key() -> None:
    other = NoteSigner.generate("x")
    for entry, key in ((ENTRIES[6], pem()), (ENTRIES[7], pem(other))):
        assert not scitt_cose.verify_receipt(made(), leaf_entry_hex=entry.hex(), log_public_key_pem=key).ok


def test_a_receipt_opens_and_is_deterministic() -> None:
    found = opened(made())
    assert (found.index, found.size, found.subject) == (7, 11, "example.com/log/entries/7?size=11")
    assert made() == made()


def test_another_entry_key_or_log_is_refused() -> None:
    with pytest.raises(ReceiptUnverified):
        opened(made(), ENTRIES[6])
    with pytest.raises(ReceiptUnverified):
        opened(made(signer=NoteSigner.generate(LOG.name)))
    with pytest.raises(ReceiptUnverified):
        cose_receipt.open_receipt(made(), entry=ENTRIES[7], origin="example.com/other", verifiers=[LOG.verifier])


def test_no_byte_can_be_changed_cut_or_added() -> None:
    data = made()
    for at in range(len(data)):
        with pytest.raises((ReceiptMalformed, ReceiptUnverified, ProofInvalid)):
            opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ReceiptMalformed):
            opened(data[:at])
    with pytest.raises(ReceiptMalformed):
        opened(data + b"\x00")
    with pytest.raises(ReceiptMalformed):
        opened(bytes(cose_receipt.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "value",
    [
        1,
        cbor2.CBORTag(18, []),
        cbor2.CBORTag(18, [b"", {}, None, b""]),
        cbor2.CBORTag(18, [b"\xa0", {396: {-1: [b"\x83\x01\x00\x80"]}}, None, b""]),
        cbor2.CBORTag(18, [cbor2.dumps(1), {396: {-1: [b"\x83\x01\x00\x80"]}}, None, b""]),
        cbor2.CBORTag(17, cbor2.loads(made()).value),
        cbor2.CBORTag(18, [*cbor2.loads(made()).value[:2], HEAD.root, cbor2.loads(made()).value[3]]),
    ],
    ids=range(7),
)
def test_other_cbor_is_no_receipt(value: Any) -> None:
    with pytest.raises(ReceiptMalformed):
        cose_receipt.parse(cbor2.dumps(value, canonical=True))


async def test_the_key_signs_for_a_published_root_only(tmp_path: Path) -> None:
    log = await logs.begin(tmp_path)
    await log.add(1, 2)
    await log.publisher.publish()
    head = Checkpoint(logs.ORIGIN, 2, log.appender.head.frontier.root())
    assert len(log.publisher.sign_root(head, b"octets")) == 64
    for other in (Checkpoint(logs.ORIGIN, 2, bytes(32)), Checkpoint(logs.ORIGIN, 1, head.root)):
        with pytest.raises(CheckpointAbsent):
            log.publisher.sign_root(other, b"octets")
    await log.close()


def test_the_command_takes_a_receipt_with_entry_and_policy(tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("receipt.cose", "entry.json", "policy.json")}
    paths["receipt.cose"].write_bytes(made())
    paths["entry.json"].write_bytes(ENTRIES[7])
    policy = Policy(vkey=LOG.vkey, roots=("not looked at",))
    paths["policy.json"].write_bytes(encode_policy(policy))

    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["verify", str(paths["receipt.cose"]), *options])
        return result.exit_code, result.output

    entry, trusted = ["--entry", str(paths["entry.json"])], ["--policy", str(paths["policy.json"])]
    assert [run()[0], run(*entry)[0], run(*trusted)[0]] == [2, 2, 2]
    code, text = run(*entry, *trusted)
    assert "the entry stands at 7 in the tree of 11, whose root the log signed" in text
    assert (code, "ledger/entry-malformed" in text) == (1, True)  # the words of this test are no entry of a log
    asked = msgspec.structs.replace(policy, witnesses="quorum none\n")
    paths["policy.json"].write_bytes(encode_policy(asked))
    assert "no cosignature is needed" in run(*entry, *trusted)[1]
