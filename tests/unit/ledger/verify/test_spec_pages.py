"""The worked bytes in the specification are what the code writes and reads."""

import base64
import re
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.verification import json_receipt, timestamps
from api.verification.bundle_policy import policy_of
from api.verification.json_receipt import as_bundle
from ledger.records import canonical, disclosure, jws, statement
from ledger.records import entry as entries
from ledger.records.errors import NotCanonical
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.rules.state import LogState
from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.note import NoteSigner
from ledger.verify import verify_chain
from pki import timestamp
from tests.support.vectors import REPOSITORY

SPEC: Path = REPOSITORY / "docs" / "spec"
BLOCK = re.compile(r"^```(?:text|json) ([a-z-]+)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def block(name: str) -> str:
    """The fenced block of this name on one of the pages."""
    pages = (SPEC / f"{page}.md" for page in ("canonical", "statement", "entry", "chain", "checkpoint"))
    found = [text for page in pages for label, text in BLOCK.findall(page.read_text()) if label == name]
    assert len(found) == 1, name
    return found[0]


def test_the_canonical_bytes_are_those_of_the_page() -> None:
    value = msgspec.json.decode(block("canonical-value"))
    assert canonical.encode(value) == block("canonical-bytes").encode()
    assert canonical.decode(block("canonical-bytes").encode()) == value


@pytest.mark.parametrize("line", block("canonical-refused").splitlines())
def test_what_the_page_calls_refused_is_refused(line: str) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(line.encode())


def test_the_statement_is_the_one_of_the_page() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert key.public_key().public_bytes_raw().hex() == block("statement-key")
    opened = disclosure.parse(block("statement-disclosure"))
    signed = statement.sign(
        ExecutionNoted(
            n_id="note-1", fsr_id="fsr-1", participation="part-1", kind=ExecutionKind.STARTED, at_ms=opened.value
        ),
        key=key,
        x5t=jws.encode_base64url(bytes(32)),
        party="NL-CSO",
        audience="log.example/nl",
        stream="fsr/fsr-1",
        now_ms=1_795_532_000_123,
        jti="019d0b6a9b7b00000001",
        salt=lambda: jws.decode_base64url(opened.salt),
    )
    assert signed.raw == block("statement")
    parsed = jws.parse(signed.raw)
    assert canonical.encode(parsed.header) == block("statement-header").encode()
    assert jws.open_jws(parsed, key.public_key()) == block("statement-payload").encode()
    assert opened.digest in block("statement-payload")


def test_the_entry_and_its_leaf_hash_are_those_of_the_page() -> None:
    data = block("entry").encode()
    made = entries.decode(data)
    assert made.stmt == block("statement")
    assert f"It has {len(data)} octets" in (SPEC / "entry.md").read_text()
    assert hashing.leaf(data).hex() == block("entry-leaf")


def test_the_chain_and_its_tree_are_those_of_the_page() -> None:
    first = block("entry").encode()
    second = entries.encode(msgspec.structs.replace(entries.decode(first), prev=block("entry-leaf"), seq=2))
    assert second.decode().startswith(block("chain-second-prefix"))
    leaves = [hashing.leaf(first), hashing.leaf(second)]
    assert leaves[1].hex() == block("chain-second-leaf")
    assert merkle.root(leaves).hex() == block("chain-root")
    assert [made.seq for made in verify_chain([(4, first), (9, second)])] == [1, 2]


def test_the_time_stamp_of_the_page_is_minimal_and_says_when() -> None:
    log = NoteSigner("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    root = merkle.root([hashing.leaf(entry) for entry in (b"one", b"two", b"three")])
    imprint = timestamps.imprint(checkpoint.sign(checkpoint.Checkpoint("example.com/log", 3, root), [log]))
    assert imprint.hex() in (SPEC / "checkpoint.md").read_text()
    token = base64.b64decode(block("stamp-token"), validate=True)
    roots = [x509.load_der_x509_certificate(base64.b64decode(block("stamp-root"), validate=True))]
    said = timestamp.verify_token(token, imprint=imprint, roots=roots)
    assert (said.at_ms, said.serial) == (1_796_074_567_000, 4097)
    assert timestamp.minimal(token, roots=roots) == token
    with pytest.raises(timestamp.TimestampRefused):
        timestamp.verify_token(token, imprint=bytes(32), roots=roots)


def test_the_receipt_beside_the_page_verifies_and_no_octet_of_its_entry_is_free() -> None:
    file = (SPEC / "receipt.json").read_bytes()
    receipt = json_receipt.read(file)
    assert json_receipt.verify(receipt, policy=policy_of(as_bundle(receipt))).exit_code == 0
    other = json_receipt.read(file.replace(b'"rec":17', b'"rec":18'))
    assert json_receipt.verify(other, policy=policy_of(as_bundle(receipt))).exit_code == 1


def test_the_storage_page_lists_every_kind_of_row_and_no_other() -> None:
    table = (SPEC / "storage.md").read_text().partition("| kind | key | value |")[2].partition("```")[0]
    first_column = re.findall(r"^\|([^|]*)\|", table, flags=re.MULTILINE)
    named = [kind for cell in first_column for kind in re.findall(r"`([a-z-]+)`", cell)]
    assert sorted(named) == list(LogState().tables.kinds)
